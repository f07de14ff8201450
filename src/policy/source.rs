//! How a policy is written: its text, and the files that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use super::Policy;
use super::difference::Document;
use super::files::PolicySource;
use super::yaml::{self, Content, Node};

/// The text of a policy, and what was in the files that it names when it was read.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Where the text lies in a directory; empty where the policy is one file.
    pub path: String,
    /// The text, as it was read; at most 1 MiB. Of a directory, that of the base file.
    pub text: String,
    /// The texts of the other files of a directory, by their paths.
    pub parts: BTreeMap<String, String>,
    /// The contents of the files that texts name, by their paths: from the directory on, or as the one text
    /// has them.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes, {} files)", self.text.len(), self.files.len())
    }
}

impl Source {
    /// What was in the file that the text calls `path`.
    ///
    /// # Errors
    /// When it names no such file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = path.to_str().and_then(|path| self.files.get(path));
        found.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// All texts of the policy, with `text` in the place of the one, or of the base file's.
    pub fn with<'a>(&'a self, text: &'a str) -> Vec<PolicySource<'a>> {
        let parts = self.parts.iter().map(|(path, text)| PolicySource { path, text });
        std::iter::once(PolicySource { path: &self.path, text }).chain(parts).collect()
    }

    /// The same as documents, to compare.
    pub fn documents<'a>(
        &'a self,
        text: &'a str,
        read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Vec<Document<'a>> {
        let all = self.with(text).into_iter();
        all.map(|PolicySource { path, text }| Document { path, text, read_file }).collect()
    }

    /// The entries of the map at the top-level `key`, each in one line of YAML with no comments, by their
    /// names; none where there is no such map.
    pub(super) fn entries(&self, key: &str) -> BTreeMap<String, String> {
        let found = self.top().into_iter().find(|entry| entry.key == key);
        let found = found.map(|entry| entry.value.content);
        let Some(Content::Map(entries)) = found else { return BTreeMap::new() };
        entries.into_iter().map(|entry| (entry.key, in_one_line(&entry.value))).collect()
    }

    /// The entries of each map in the list at the top-level `key`, as [`Source::entries`] has them.
    pub(super) fn items(&self, key: &str) -> Vec<BTreeMap<String, String>> {
        let found = self.top().into_iter().find(|entry| entry.key == key);
        let Some(Content::List(items)) = found.map(|entry| entry.value.content) else {
            return Vec::new();
        };
        let entries = |item: Node| match item.content {
            Content::Map(entries) => {
                entries.into_iter().map(|it| (it.key, in_one_line(&it.value))).collect()
            }
            Content::List(_) | Content::Null | Content::Text(_) => BTreeMap::new(),
        };
        items.into_iter().map(entries).collect()
    }

    /// The top-level keys.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.top().into_iter().map(|entry| entry.key).collect()
    }

    fn top(&self) -> Vec<yaml::Entry> {
        match yaml::read(&self.text, &mut Vec::new()) {
            Some(Node { content: Content::Map(top), .. }) => top,
            Some(_) | None => Vec::new(),
        }
    }
}

impl Policy {
    /// How it is written.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

fn in_one_line(node: &Node) -> String {
    match &node.content {
        Content::Null => "null".to_owned(),
        // A word of the format means the same in quotes; a number does not.
        Content::Text(text) if text.plain && text.text.bytes().all(|it| it.is_ascii_digit()) => {
            text.text.clone()
        }
        Content::Text(text) => quoted(&text.text),
        Content::List(items) => {
            let items: Vec<String> = items.iter().map(in_one_line).collect();
            format!("[{}]", items.join(", "))
        }
        Content::Map(entries) => {
            let entry = |it: &yaml::Entry| format!("{}: {}", key(&it.key), in_one_line(&it.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn key(text: &str) -> String {
    if super::is_plain_name(text) { text.to_owned() } else { quoted(text) }
}

/// `text` in double quotes of YAML and in ASCII alone: whatever it holds, it is this text and nothing else, in
/// one line.
pub(super) fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            _ => _ = write!(out, "\\U{:08X}", u32::from(c)),
        }
    }
    out.push('"');
    out
}

/// A line of a comment that says `text`, whatever it holds: printable ASCII and nothing else, so that no
/// character ends the line or turns it around.
pub(super) fn comment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("#");
    if !text.is_empty() {
        out.push(' ');
    }
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            _ => _ = write!(out, "[U+{:04X}]", u32::from(c)),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 9] = [
        "a\nrules: []",
        "x\" }, trust: allow",
        "\\\" # no comment",
        "*alias &anchor !tag",
        "\r\n- {id: b}",
        "\u{2028}b\u{85}c\u{feff}",
        "\u{202e}gnp.\u{1f600}",
        "{{${%",
        "\u{0}\u{7f}\t",
    ];

    #[test]
    fn a_quoted_text_is_that_text_and_nothing_else() {
        for text in HOSTILE {
            let written = format!("a: {}\n", quoted(text));
            let mut problems = Vec::new();
            let node = yaml::read(&written, &mut problems);
            assert_eq!(problems, [], "{written}");
            let Some(Node { content: Content::Map(map), .. }) = node else { panic!("{written}") };
            let [entry] = map.as_slice() else { panic!("{written}") };
            let Content::Text(read) = &entry.value.content else { panic!("{written}") };
            assert_eq!((read.text.as_str(), read.plain), (text, false));
            assert!(written.is_ascii() && written.lines().count() == 1, "{written}");
        }
    }

    #[test]
    fn a_comment_is_one_line_and_ends_nothing() {
        for text in HOSTILE {
            let line = comment(text);
            assert!(line.starts_with("# ") && line.is_ascii(), "{line}");
            assert!(!line.bytes().any(|it| it.is_ascii_control()), "{line}");
        }
        assert_eq!(comment(""), "#");
    }

    #[test]
    fn an_entry_is_in_one_line_whatever_way_it_was_written() {
        let text = "signers:\n  # ours\n  a:\n    key:\n      pem: |\n        line\n        two\n    n: 1\n\
                    \x20 b: {list: [x, 'y: z'], empty: }\nother: [1]\n";
        let source = Source { text: text.to_owned(), ..Source::default() };
        let entries = source.entries("signers");
        assert_eq!(entries["a"], r#"{key: {pem: "line\ntwo\n"}, n: 1}"#);
        assert_eq!(entries["b"], r#"{list: ["x", "y: z"], empty: null}"#);
        assert!(source.entries("other").is_empty() && source.entries("none").is_empty());
    }
}
