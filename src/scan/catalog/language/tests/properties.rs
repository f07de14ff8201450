//! Whatever a file is, it is read without a panic, within bounds.

use proptest::prelude::*;

use super::super::{File, fuzzing, has_suffix};
use super::made::{Program, by_pointers, inline, maven, packed, stored, zip, zip_as, zlib};
use super::read_within;
use crate::scan::Limits;

/// Paths of all kinds of files, each with something whole of its kind.
fn wholes() -> Vec<(&'static str, Vec<u8>)> {
    let modules =
        "mod\ta.test/a\tv1.0.0\th1:\ndep\tb.test/b\tv2.0.0\th1:\n=>\tc.test/c\tv3.0.0\th1:\n";
    let mut older = Program::new("");
    older.data = by_pointers(&older, "go1.17.2", modules);
    let crates = br#"{"packages":[{"name":"a","version":"1.0.0"},{"name":"b","version":"1.0.0"}]}"#;
    let both = Program::new(inline("go1.20.4", modules)).with(".go.buildinfo", None);
    let inner =
        zip(&[maven("g", "inner", "1"), packed("META-INF/MANIFEST.MF", "A: b\r\n c\r\n\r\n")]);
    let archive =
        [stored("lib/inner-1.jar", &inner), packed("lib/b-2.jar", &inner), maven("g", "a", "2")];
    let lock =
        r#"{"packages":{"node_modules/@s/a":{"version":"1"},"node_modules/b":{"version":"2"}}}"#;
    let older_lock =
        r#"{"dependencies":{"a":{"version":"1","dependencies":{"b":{"version":"2"}}}}}"#;
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("bin/older", older.bytes()),
        ("bin/both", both.with(".dep-v0", Some(zlib(crates))).bytes()),
        ("a.jar", zip(&archive)),
        ("large.jar", zip_as(&archive, true)),
        (
            "a/a-1.dist-info/METADATA",
            text("Metadata-Version: 2.1\r\nName: A_b\r\nVersion: 1.0\r\n\r\n"),
        ),
        ("a/a.egg-info/PKG-INFO", text("Name: a\nVersion: 1\n")),
        ("node_modules/a/package.json", text(r#"{"name":"a","version":"1.0.0","x":[{}]}"#)),
        ("package-lock.json", text(lock)),
        ("node_modules/.package-lock.json", text(older_lock)),
        (
            "yarn.lock",
            text(
                "\"@s/a@^1\", \"@s/a@npm:^2\":\n  version \"1\"\n\nb@1:\n  version: 1\n  \
            resolution: \"c@npm:1\"\n",
            ),
        ),
        (
            "pnpm-lock.yaml",
            text("lockfileVersion: 5\npackages:\n  /@s/a/1_b@2:\n    dev: true\n  a@1:\n"),
        ),
        (
            "specifications/a-1.gemspec",
            text("# stub: a 1 ruby lib\ns.name = \"a\"\ns.version = '1'\n"),
        ),
        (
            "Gemfile.lock",
            text("GEM\n  specs:\n    a (1.0-java)\n      b (~> 1)\n\nDEPENDENCIES\n  a\n"),
        ),
        ("vendor/composer/installed.json", text(r#"{"packages":[{"name":"a/b","version":"v1"}]}"#)),
        ("composer.lock", text(r#"{"packages":[{"name":"a/b","version":"v1"}]}"#)),
        ("a.deps.json", text(r#"{"libraries":{"a/1":{"type":"package"}}}"#)),
    ]
}

/// Bounds that small inputs reach, too.
fn limits() -> Limits {
    Limits {
        packages: 50,
        archive_inflated_bytes: 1 << 20,
        archive_bytes: 1 << 18,
        ..Limits::default()
    }
}

fn hold(path: &str, bytes: &[u8], limits: &Limits) {
    let file = File::of(path, &bytes[..bytes.len().min(4)]).unwrap();
    fuzzing::check(file, path, bytes, limits);
}

#[test]
fn the_wholes_are_read_without_a_gap() {
    for (path, bytes) in wholes() {
        let facts = read_within(path, &bytes, &limits());
        assert_eq!(facts.gaps, [], "{path}");
        assert_ne!(facts.packages, [], "{path}");
    }
}

/// Whatever is cut off the end of JSON, of an archive or of a program's lists, is never nothing.
#[test]
fn what_is_cut_off_is_told() {
    for (path, bytes) in wholes() {
        let is_json = has_suffix(path, ".json") || path == "composer.lock";
        let first = if path.starts_with("bin/") { 4 } else { 0 };
        for end in first..bytes.len() {
            let facts = read_within(path, &bytes[..end], &limits());
            if is_json || (has_suffix(path, ".jar") && end >= 4) {
                assert_ne!(facts.gaps, [], "{path} cut at {end}");
            }
        }
    }
}

#[test]
fn bytes_of_a_whole_file_may_be_others() {
    for (path, bytes) in wholes() {
        for at in (0..bytes.len()).step_by(2).filter(|at| !(path.starts_with("bin/") && *at < 4)) {
            for change in [0xff, bytes[at] ^ 1] {
                let mut changed = bytes.clone();
                changed[at] = change;
                hold(path, &changed, &limits());
            }
        }
    }
}

/// The targets that are run longer elsewhere, once with something whole of each kind.
#[test]
fn the_fuzz_targets_hold_for_whole_files() {
    let targets = [
        fuzzing::dotnet,
        fuzzing::java,
        fuzzing::node,
        fuzzing::path,
        fuzzing::php,
        fuzzing::program,
        fuzzing::python,
        fuzzing::ruby,
    ];
    for (_, bytes) in wholes() {
        for target in targets {
            target(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(
        index in 0..16_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let (path, _) = wholes().swap_remove(index);
        let start: &[u8] = if path.starts_with("bin/") { b"\x7fELF\x02\x01\x01" } else { b"" };
        hold(path, &[start, &bytes].concat(), &limits());
    }

    #[test]
    fn mutated_files_are_read_without_a_panic(
        index in 0..16_usize,
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        doubled in any::<bool>(),
        program_bytes in prop_oneof![Just(10_u64), Just(1 << 20)],
    ) {
        let (path, mut bytes) = wholes().swap_remove(index);
        for (place, value) in places {
            let at = place.index(bytes.len());
            if !(path.starts_with("bin/") && at < 4) {
                bytes[at] = value;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(4));
        }
        if doubled {
            bytes = bytes.repeat(2);
        }
        hold(path, &bytes, &Limits { program_bytes, ..limits() });
    }

    #[test]
    fn any_path_may_be_asked_for(path in "(/|a|node_modules|@s|\\.pnpm|package\\.json|\\.jar|é){0,9}") {
        if let Some(file) = File::of(&path, b"") {
            drop(file.yields_to(&path));
        }
    }

    /// JSON with the same fields in any order and any other fields says the same.
    #[test]
    fn other_fields_do_not_matter(name in "[a-z]{1,9}", version in "[0-9.]{1,9}", other in "[b-z]{5}") {
        let path = "node_modules/a/package.json";
        for text in [
            format!(r#"{{"name":"{name}","{other}":[1,null,{{}}],"version":"{version}"}}"#),
            format!(r#"{{"version":"{version}","{other}":{{"name":1}},"name":"{name}"}}"#),
        ] {
            prop_assert_eq!(super::packages(path, text), [format!("{name} {version}")]);
        }
    }

    #[test]
    fn a_name_is_normalised_once_and_for_all(name in "[A-Za-z0-9][A-Za-z0-9._-]{0,12}[A-Za-z0-9]") {
        let path = "a/a.egg-info/PKG-INFO";
        let once = read_within(path, format!("Name: {name}\nVersion: 1\n").as_bytes(), &limits());
        let name = &once.packages[0].name;
        prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        prop_assert!(!name.contains("--"));
        let again = read_within(path, format!("Name: {name}\nVersion: 1\n").as_bytes(), &limits());
        prop_assert_eq!(&again.packages[0].name, name);
    }
}
