//! SECURITY.md names tests; this checks that they are there, and that no attack is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every number of the catalogue of attacks on the wire, the content, the gates and the disk.
const ROWS: &[u32] = &[
    1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 16, 18, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31,
    32, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 48, 49, 50, 51, 52, 54, 55, 56, 57, 58,
    59, 60, 61, 63, 65, 66, 67, 68, 69, 70, 71, 73, 74, 75, 76, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 89, 90, 91, 92, 93, 95, 97, 98, 99, 100, 101, 102, 104, 105, 106, 107, 108, 109, 110, 112,
    113, 114, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 127, 128, 129, 130,
];
/// Every advisory of this field that the catalogue names.
const ADVISORIES: &[&str] = &[
    "CVE-2017-11468",
    "CVE-2019-19030",
    "CVE-2020-15157",
    "CVE-2021-41190",
    "CVE-2022-31667",
    "CVE-2022-35929",
    "CVE-2022-36056",
    "CVE-2023-2253",
    "CVE-2023-25153",
    "CVE-2023-33959",
    "CVE-2024-3727",
    "CVE-2024-39897",
    "CVE-2024-4956",
    "CVE-2025-23208",
    "CVE-2026-101295",
    "CVE-2026-103868",
    "CVE-2026-111590",
    "CVE-2026-117685",
    "CVE-2026-17106",
    "CVE-2026-17594",
    "CVE-2026-22703",
    "CVE-2026-31801",
    "CVE-2026-32591",
    "CVE-2026-33540",
    "CVE-2026-35172",
    "CVE-2026-39395",
    "CVE-2026-39984",
    "CVE-2026-42018",
    "CVE-2026-4404",
    "CVE-2026-48978",
    "CVE-2026-50163",
    "CVE-2026-53493",
    "CVE-2026-59891",
    "CVE-2026-61833",
    "CVE-2026-65388",
    "CVE-2026-85747",
    "CVE-2026-88887",
    "CVE-2026-95839",
    "GHSA-3p65-76g6-3w7r",
    "GHSA-55r9-5mx9-qq7r",
    "GHSA-742w-89gc-8m9c",
    "GHSA-f2g3-hh2r-cwgc",
    "GHSA-f689-h8m7-3jp2",
    "GHSA-fxhp-mv3v-67qp",
    "GHSA-hpxr-w9w7-g4gv",
    "GHSA-hqxw-f8mx-cpmw",
    "GHSA-qg67-7m6v-qg25",
    "GHSA-qq97-vm5h-rrhg",
    "GHSA-qv35-3gw6-8q4j",
    "GHSA-r3h2-rgqf-9hv9",
    "GHSA-vwhp-8p66-mq4f",
    "GHSA-xf85-363p-868w",
    "GO-2022-0865",
    "GO-2023-2109",
    "GO-2024-2915",
    "GO-2024-2916",
    "GO-2024-3038",
    "GO-2025-3409",
    "GO-2026-5338",
    "GO-2026-6597",
];
/// Those of the disk.
const DISK_ROWS: &[u32] = &[131, 133, 134, 135, 136];
/// Those of verifying signatures, which have a letter before them.
const SIGNATURE_ROWS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 28, 29, 30, 31,
    32, 34, 35, 37, 38, 39, 40, 41, 42, 43, 45, 46, 47, 49, 50,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn security() -> String {
    fs::read_to_string(root().join("SECURITY.md")).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
}

/// What stands between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of every table row in `text`.
fn table_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|-"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// The numbers that stand alone in `cell`.
fn numbers(cell: &str) -> impl Iterator<Item = u32> {
    cell.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok())
}

/// Whether `text` has a test called `name`.
fn has_test(text: &str, name: &str) -> bool {
    let needle = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().any(|(number, line)| {
        line.contains(&needle)
            && lines[number.saturating_sub(4)..number]
                .iter()
                .any(|before| before.trim_start().starts_with("#[") && before.contains("test"))
    })
}

/// Whether `path` is where the modules `modules` are.
fn is_place(path: &Path, modules: &[&str]) -> bool {
    let text = path.with_extension("").to_string_lossy().into_owned();
    let parts: Vec<&str> = text.split('/').collect();
    modules.iter().filter(|module| **module != "tests").all(|module| parts.contains(module))
}

#[test]
fn every_test_that_is_named_exists() {
    let table = security();
    let mut files = Vec::new();
    for folder in ["src", "tests", "model"] {
        if root().join(folder).exists() {
            sources(&root().join(folder), &mut files);
        }
    }
    let mut missing = Vec::new();
    let mut found = 0;
    for cells in table_rows(&table) {
        let Some(tests) = cells.last() else { continue };
        for name in quoted(tests) {
            if name.starts_with("tests/") || name.starts_with("plugins/") {
                if !root().join(name).exists() {
                    missing.push(name);
                }
                continue;
            }
            let mut modules: Vec<&str> = name.split("::").collect();
            let last = modules.pop().unwrap();
            let is_there = files
                .iter()
                .any(|(path, source)| is_place(path, &modules) && has_test(source, last));
            if is_there {
                found += 1;
            } else {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "named in SECURITY.md and nowhere else: {missing:#?}");
    assert!(found > 150, "only {found} tests are named");
}

#[test]
fn every_row_of_the_catalogue_has_a_test_or_a_reason() {
    let text = security();
    let mut seen = BTreeSet::new();
    for cells in table_rows(&text) {
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        if first.starts_with(|c: char| c.is_ascii_digit()) {
            assert!(!last.is_empty(), "{cells:?} says nothing");
            seen.extend(numbers(first));
        }
    }
    let left_out: Vec<u32> =
        ROWS.iter().chain(DISK_ROWS).copied().filter(|row| !seen.contains(row)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn every_row_about_signatures_has_a_test_or_a_reason() {
    let text = security();
    let mut seen = BTreeSet::new();
    for cells in table_rows(&text) {
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        let lettered = first.split(", ").filter_map(|row| row.strip_prefix('T')?.parse().ok());
        let lettered: Vec<u32> = lettered.collect();
        assert!(lettered.is_empty() || !last.is_empty(), "{cells:?} says nothing");
        seen.extend(lettered);
    }
    let left_out: Vec<_> = SIGNATURE_ROWS.iter().filter(|row| !seen.contains(row)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn every_advisory_of_the_catalogue_is_answered() {
    let text = security();
    let named: BTreeSet<&str> = table_rows(&text)
        .flatten()
        .flat_map(|cell| cell.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'))
        .collect();
    let left_out: Vec<_> = ADVISORIES.iter().filter(|id| !named.contains(*id)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    let source = "#[test]\nfn here() {}\n\nfn helper() {}\n";
    assert!(has_test(source, "here") && !has_test(source, "gone") && !has_test(source, "her"));
    assert!(!has_test("fn here() {}\n", "here"), "not a test");
    assert!(is_place(Path::new("src/oci/json.rs"), &["oci", "json", "tests"]));
    assert!(!is_place(Path::new("src/oci/name.rs"), &["oci", "json", "tests"]));
}
