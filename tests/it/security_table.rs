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
/// Those of the disk.
const DISK_ROWS: &[u32] = &[131, 133, 134, 135, 136];

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
            if name.starts_with("tests/") {
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
fn a_test_that_is_not_there_is_missed() {
    let source = "#[test]\nfn here() {}\n\nfn helper() {}\n";
    assert!(has_test(source, "here") && !has_test(source, "gone") && !has_test(source, "her"));
    assert!(!has_test("fn here() {}\n", "here"), "not a test");
    assert!(is_place(Path::new("src/oci/json.rs"), &["oci", "json", "tests"]));
    assert!(!is_place(Path::new("src/oci/name.rs"), &["oci", "json", "tests"]));
}
