//! The house has floors: a module imports only from modules of a lower layer.

use std::fs;
use std::path::{Path, PathBuf};

/// Every module and its layer; modules of one layer do not import each other.
const LAYERS: [(&str, u8); 37] = [
    ("expression", 0),
    ("metrics", 0),
    ("oci", 0),
    ("program", 0),
    ("tasks", 0),
    ("time", 0),
    ("kubernetes", 1),
    ("layout", 1),
    ("node", 1),
    ("policy", 1),
    ("sandbox", 1),
    ("scan", 1),
    ("signature", 1),
    ("store", 1),
    ("summary", 1),
    ("transparency", 1),
    ("text", 1),
    ("upstream", 1),
    ("adapter", 2),
    ("admission", 2),
    ("archive", 2),
    ("doctor", 2),
    ("gate", 2),
    ("opening", 2),
    ("people", 2),
    ("cluster", 3),
    ("evidence", 3),
    ("ledger", 3),
    ("preload", 3),
    ("rehearsal", 3),
    ("mirror", 4),
    ("notify", 4),
    ("http", 6),
    ("config", 7),
    ("app", 8),
    ("cli", 9),
    ("fuzzing", 9),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a source text names after `crate::`, comments left out.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| -> String {
            text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
        };
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(group) => {
                names.extend(heads(group).into_iter().map(|head| word(head.trim_start())));
            }
        }
    }
    names
}

/// The first words of the entries of a `{…}` group, nested groups skipped.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut heads) = (0_u32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(&group[start..at]);
                return heads;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

fn violations(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    sources(root, &mut files);
    let mut violations = Vec::new();
    for file in files {
        let relative = file.strip_prefix(root).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(own) = layer(module) else {
            violations.push(format!("{} belongs to no layer", relative.display()));
            continue;
        };
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            if import == module || import.is_empty() {
                continue;
            }
            match layer(&import) {
                Some(other) if other < own => {}
                Some(other) => violations.push(format!(
                    "{}: {module} (layer {own}) imports {import} (layer {other})",
                    relative.display()
                )),
                None => violations
                    .push(format!("{}: crate::{import} belongs to no layer", relative.display())),
            }
        }
    }
    violations
}

#[test]
fn modules_import_only_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(violations(&root), Vec::<String>::new());
}

#[test]
fn an_import_that_points_upwards_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let source =
        "use crate::{\n    mirror::{Error, Mirror},\n    oci::Digest,\n};\nuse crate::gate;\n";
    fs::create_dir(folder.path().join("store")).unwrap();
    fs::write(folder.path().join("store/mod.rs"), source).unwrap();
    fs::write(folder.path().join("cellar.rs"), "").unwrap();
    let mut found = violations(folder.path());
    found.sort();
    assert_eq!(
        found,
        [
            "cellar.rs belongs to no layer",
            "store/mod.rs: store (layer 1) imports gate (layer 2)",
            "store/mod.rs: store (layer 1) imports mirror (layer 4)",
        ]
    );
}
