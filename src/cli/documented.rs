//! The documents against the command line: every command and flag that they name is there.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};

use super::Arguments;

fn documents() -> Vec<PathBuf> {
    fn look(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
            } else if path.extension().is_some_and(|it| it == "md") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"]
        .map(|it| root.join(it))
        .into();
    look(&root.join("docs"), &mut found);
    look(&root.join("deploy"), &mut found);
    found
}

/// What stands in `text` as a command of ours: lines of blocks, and code within sentences, where `|`
/// stands between alternatives.
fn commands(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.trim_start();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if line.starts_with("pratique ") {
                let shell = line.split([';', '|', '#', '>', '<', '&', '\'', '"']).next();
                found.push((shell.unwrap_or_default().to_owned(), false));
            }
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            let ours = spans.filter(|it| it.starts_with("pratique "));
            found.extend(ours.map(|it| (it.to_owned(), true)));
        }
    }
    found
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_lowercase() || it == b'-') && text.len() > 1
}

/// What is wrong with `line`.
fn problem(root: &Command, line: &str, mut has_alternatives: bool) -> Option<String> {
    let mut command = root;
    let mut parent = root;
    let mut words = line.split_whitespace().skip(1).peekable();
    while let Some(word) = words.next() {
        let word = word.trim_end_matches([',', '.', ']', ')', '\\']).trim_start_matches(['[', '(']);
        // After a flag it stands between its values, or before another program.
        if word == "|" && !has_alternatives {
            break;
        }
        if word == "|" {
            if let Some(other) = words.peek().filter(|it| is_word(it)) {
                if parent.find_subcommand(other).is_none() {
                    return Some(format!("no command {other} beside it"));
                }
                words.next();
            }
            continue;
        }
        if let Some(flag) = word.strip_prefix("--") {
            has_alternatives = false;
            let name = flag.split('=').next().unwrap_or_default();
            let is_there =
                |it: &Command| it.get_arguments().any(|argument| argument.get_long() == Some(name));
            if !name.is_empty() && name != "help" && name != "version" && !is_there(command) {
                return Some(format!("no flag --{name}"));
            }
            continue;
        }
        if command.has_subcommands() && is_word(word) {
            match command.find_subcommand(word) {
                Some(inner) => (parent, command) = (command, inner),
                None => return Some(format!("no command {word}")),
            }
        }
    }
    None
}

#[test]
fn every_command_and_flag_in_the_documents_is_there() {
    let mut root = Arguments::command();
    root.build();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for path in documents() {
        for (line, has_alternatives) in commands(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            if let Some(problem) = problem(&root, &line, has_alternatives) {
                wrong.push(format!("{}: {line}: {problem}", path.display()));
            }
        }
    }
    assert!(seen > 150, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_there_is_found() {
    let mut root = Arguments::command();
    root.build();
    for (line, what) in [
        ("pratique frobnicate", "no command frobnicate"),
        ("pratique policy invent FILE", "no command invent"),
        ("pratique policy check FILE --loudly", "no flag --loudly"),
        ("pratique policy check | invent", "no command invent"),
    ] {
        assert_eq!(
            problem(&root, line, true).as_deref().map(|it| it.starts_with(what)),
            Some(true)
        );
    }
    assert_eq!(problem(&root, "pratique policy check | test FILE --json", true), None);
    assert_eq!(problem(&root, "pratique approve R-1 --reason \"x\"", true), None);
}
