//! npm, yarn and pnpm.

use super::{gaps, packages, read, read_within};
use crate::scan::{GapKind, Limits};

const INSTALLED: &str = "app/node_modules/lodash/package.json";

#[test]
fn an_installed_package_says_its_name_and_version() {
    let text = r#"{"name":"lodash","version":"4.17.21","main":"x","deep":[{"a":null}]}"#;
    assert_eq!(packages(INSTALLED, text), ["lodash 4.17.21"]);
    let scoped = "node_modules/@babel/core/package.json";
    assert_eq!(
        packages(scoped, r#"{"version":"7.0.0","name":"@babel/core"}"#),
        ["@babel/core 7.0.0"]
    );
    // Installed under another name.
    assert_eq!(packages(INSTALLED, r#"{"name":"other","version":"1.0.0"}"#), ["other 1.0.0"]);
    assert_eq!(packages(INSTALLED, "\u{feff}{\"name\":\"a\",\"version\":\"1\"}"), ["a 1"]);
}

#[test]
fn a_package_file_that_names_no_package_is_ordinary() {
    for text in [
        r#"{"type":"module"}"#,
        r#"{"name":"a"}"#,
        r#"{"version":"1"}"#,
        r#"{"name":"","version":""}"#,
        r#"{"name":{"a":1},"version":["1"]}"#,
        r#"{"name":null,"version":1.5}"#,
        "{}",
    ] {
        assert_eq!(packages(INSTALLED, text), [""; 0], "{text}");
    }
}

#[test]
fn a_broken_file_of_an_installed_package_is_a_gap() {
    for bytes in [
        &b""[..],
        b"{",
        b"not json",
        b"[1",
        br#"{"name":"lodash","version":"4.17.21""#,
        br#"{"name":"lodash","version":"4.17.21"} x"#,
        br#"{"name":"lodash","version":"4.17.21","version":"4.17.20"}"#,
        br#"{"name":"lo\ud800dash","version":"4.17.21"}"#,
        b"\xff\xfe{\x00}\x00",
        b"{\"name\":\"lo\xff\",\"version\":\"1\"}",
    ] {
        for path in [
            INSTALLED,
            "node_modules/a/node_modules/@s/b/package.json",
            "node_modules/.pnpm/a@1.0.0/node_modules/a/package.json",
        ] {
            let facts = read(path, bytes);
            assert_eq!(facts.gaps.len(), 1, "{}", String::from_utf8_lossy(bytes));
            assert_eq!((facts.gaps[0].0, facts.packages.len()), (GapKind::Malformed, 0));
            assert!(facts.gaps[0].1.is_ascii());
        }
    }
}

#[test]
fn a_broken_file_in_the_tests_of_a_package_is_ordinary() {
    for path in [
        "node_modules/resolve/test/resolver/node_modules/broken/package.json",
        "node_modules/a/node_modules/b/test/node_modules/c/package.json",
        "node_modules/@s/a/__tests__/node_modules/c/package.json",
    ] {
        assert_eq!(packages(path, "{"), [""; 0], "{path}");
        let text = r#"{"name":"c","version":"1.0.0"}"#;
        assert_eq!(packages(path, text), ["c 1.0.0"], "a whole one counts: {path}");
    }
}

#[test]
fn names_and_versions_are_bounded_and_on_one_line() {
    let long = "9".repeat(300);
    for (name, version) in
        [("a\\nb", "1"), ("a", "1\\u0000"), ("a", &*long), (" a", "1"), ("a", "1 ")]
    {
        let text = format!(r#"{{"name":"{name}","version":"{version}"}}"#);
        assert_eq!(gaps(INSTALLED, text), [GapKind::Malformed], "{name} {version}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"name":"a","version":"1","x":{open}{close}}}"#)
    };
    assert_eq!(packages(INSTALLED, nested(64)), ["a 1"]);
    assert_eq!(gaps(INSTALLED, nested(65)), [GapKind::Limit]);
    assert_eq!(gaps(INSTALLED, nested(1_000_000)), [GapKind::Limit]);
    let in_text = format!(r#"{{"name":"a","version":"1","x":"\"{}"}}"#, "[".repeat(100));
    assert_eq!(packages(INSTALLED, in_text), ["a 1"]);
}

#[test]
fn files_and_lists_are_bounded() {
    let limits = Limits { file_bytes: 10, packages: 2, ..Limits::default() };
    let facts = read_within(INSTALLED, br#"{"name":"a"}"#, &limits);
    assert_eq!(facts.gaps[0].0, GapKind::Limit);
    assert!(facts.gaps[0].1.contains("file_bytes = 10"), "{}", facts.gaps[0].1);
    let limits = Limits { file_bytes: 10_000, ..limits };
    let lock = r#"{"packages":{"node_modules/a":{"version":"1"},"node_modules/b":{"version":"1"},
        "node_modules/c":{"version":"1"},"node_modules/d":{"version":"1"}}}"#;
    let facts = read_within("package-lock.json", lock.as_bytes(), &limits);
    assert_eq!(facts.packages.len(), 2);
    assert_eq!(facts.gaps.len(), 1);
    assert!(facts.gaps[0].1.contains("packages = 2"), "{}", facts.gaps[0].1);
}

#[test]
fn lock_files_of_npm_are_read_in_all_versions() {
    let third = r#"{"name":"app","lockfileVersion":3,"packages":{
        "":{"name":"app","version":"1.0.0"},
        "packages/part":{"version":"1.0.0"},
        "node_modules/part":{"resolved":"packages/part","link":true},
        "node_modules/lodash":{"version":"4.17.21"},
        "node_modules/a/node_modules/@s/b":{"version":"2.0.0","optional":true},
        "node_modules/alias":{"name":"real","version":"3.0.0"},
        "node_modules/jest":{"version":"29.0.0","dev":true},
        "node_modules/maybe":{"version":"1.0.0","devOptional":true}},
        "dependencies":{"old":{"version":"1.0.0"}}}"#;
    let expected = ["@s/b 2.0.0", "lodash 4.17.21", "maybe 1.0.0", "real 3.0.0"];
    assert_eq!(packages("app/package-lock.json", third), expected);
    assert_eq!(packages("app/node_modules/.package-lock.json", third), expected);
    let first = r#"{"lockfileVersion":1,"dependencies":{
        "lodash":{"version":"4.17.21"},
        "jest":{"version":"29.0.0","dev":true},
        "alias":{"version":"npm:@s/real@1.5.0"},
        "part":{"version":"file:packages/part"},
        "a":{"version":"1.0.0","requires":{"b":"1"},"dependencies":{"b":{"version":"2.0.0"}}}}}"#;
    let expected = ["@s/real 1.5.0", "a 1.0.0", "b 2.0.0", "lodash 4.17.21"];
    assert_eq!(packages("app/package-lock.json", first), expected);
    assert_eq!(packages("app/package-lock.json", "{}"), [""; 0]);
}

#[test]
fn broken_lock_files_are_gaps() {
    for (path, text) in [
        ("package-lock.json", "{"),
        ("package-lock.json", "[]x"),
        ("package-lock.json", r#"{"packages":{"node_modules/a":{}}}"#),
        ("package-lock.json", r#"{"packages":{"node_modules/a":1}}"#),
        ("package-lock.json", r#"{"packages":[1]}"#),
        ("yarn.lock", "<<<<<<< HEAD\na@1:\n  version \"1\"\n"),
        ("yarn.lock", "a@1:\n"),
        ("yarn.lock", "a:\n  version \"1\"\n"),
        ("pnpm-lock.yaml", "packages:\n"),
        ("pnpm-lock.yaml", "lockfileVersion: 5.4\npackages:\n  nothing:\n"),
    ] {
        assert_eq!(gaps(path, text), [GapKind::Malformed], "{path}: {text}");
    }
}

#[test]
fn lock_files_of_yarn_are_read_in_both_formats() {
    let first = "# yarn lockfile v1\n\n\n\
        \"@babel/code-frame@^7.0.0\", \"@babel/code-frame@^7.1.0\":\n  version \"7.1.0\"\n  \
        resolved \"https://registry.test/x.tgz#1\"\n  dependencies:\n    version \"^9.9.9\"\n\n\
        lodash@^4.0.0, lodash@^4.17.0:\r\n  version \"4.17.21\"\r\n\n\
        \"alias@npm:@s/real@^1.0.0\":\n  version \"1.5.0\"\n";
    let expected = ["@babel/code-frame 7.1.0", "@s/real 1.5.0", "lodash 4.17.21"];
    assert_eq!(packages("app/yarn.lock", first), expected);
    let later = "__metadata:\n  version: 8\n  cacheKey: 10c0\n\n\
        \"@babel/code-frame@npm:^7.0.0, @babel/code-frame@npm:^7.1.0\":\n  version: 7.1.0\n  \
        resolution: \"@babel/code-frame@npm:7.1.0\"\n  linkType: hard\n\n\
        \"alias@npm:lodash@^4\":\n  version: 4.17.21\n  resolution: \"lodash@npm:4.17.21\"\n\n\
        \"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n";
    assert_eq!(packages("app/yarn.lock", later), ["@babel/code-frame 7.1.0", "lodash 4.17.21"]);
    assert_eq!(packages("app/yarn.lock", "# yarn lockfile v1\n"), [""; 0]);
}

#[test]
fn lock_files_of_pnpm_are_read_in_all_versions() {
    let fifth = "lockfileVersion: 5.4\n\nspecifiers:\n  a: ^1\n\ndependencies:\n  a: 1.0.0\n\n\
        packages:\n\n  /a/1.0.0:\n    resolution: {integrity: x}\n    dev: false\n\n  \
        /@s/b/2.0.0_@babel+core@7.0.0:\n    dev: false\n\n  /c/3.0.0_react@17.0.2:\n    dev: false\n\n  \
        /d/4.0.0/react@17.0.2:\n    dev: false\n\n  registry.test/@s/e/5.0.0:\n    dev: false\n\n  \
        /jest/29.0.0:\n    resolution: {integrity: x}\n    dev: true\n\n  file:part:\n    dev: false\n";
    let expected = ["@s/b 2.0.0", "@s/e 5.0.0", "a 1.0.0", "c 3.0.0", "d 4.0.0"];
    assert_eq!(packages("pnpm-lock.yaml", fifth), expected);
    let sixth = "lockfileVersion: '6.0'\npackages:\n\n  /a@1.0.0:\n    resolution: {integrity: x}\n  \
        /@s/b@2.0.0(@babel/core@7.0.0)(react@17.0.2):\n    dev: false\n  /jest@29.0.0:\n    dev: true\n";
    assert_eq!(packages("pnpm-lock.yaml", sixth), ["@s/b 2.0.0", "a 1.0.0"]);
    let ninth = "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n\npackages:\n\n  \
        '@s/b@2.0.0':\n    resolution: {integrity: x}\n\n  a@1.0.0:\n    resolution: {integrity: x}\n\n  \
        part@file:part:\n    resolution: {directory: part, type: directory}\n\n\
        snapshots:\n\n  '@s/b@2.0.0(a@1.0.0)': {}\n";
    assert_eq!(packages("pnpm-lock.yaml", ninth), ["@s/b 2.0.0", "a 1.0.0"]);
}

/// Each entry takes more memory than it has bytes.
#[test]
fn lists_in_json_are_bounded() {
    let many = |entry: &str| entry.repeat(200_001);
    let lock = format!(r#"{{"packages":{{{}"x":{{}}}}}}"#, many(r#""":{},"#));
    let facts = read("package-lock.json", lock);
    assert_eq!(facts.gaps.len(), 1);
    assert_eq!(facts.gaps[0].0, GapKind::Limit);
    assert!(
        facts.gaps[0].1.starts_with("it has more than ENTRIES_MAX = 200000"),
        "{:?}",
        facts.gaps
    );
    let installed = format!("[{}{{}}]", many("{},"));
    assert_eq!(gaps("vendor/composer/installed.json", installed), [GapKind::Limit]);
}

/// Node looks for modules in every `node_modules` above a file, and packages have some of their own.
#[test]
fn a_broken_package_is_a_gap_wherever_node_would_load_it() {
    for (directory, is_gap) in [
        ("app/node_modules/a", true),
        ("app/node_modules/a/lib/node_modules/b", true),
        ("app/node_modules/.pnpm/a@1.0.0/node_modules/a", true),
        ("app/node_modules/a/test/fixtures/node_modules/b", false),
        ("app/test/node_modules/b", true),
    ] {
        let count = gaps(&format!("{directory}/package.json"), "{").len();
        assert_eq!(count, usize::from(is_gap), "{directory}");
    }
}
