//! Reading a map key by key, so that nothing in it stays unread and nothing wrong stays unsaid.

use super::problem::{Position, Problem};
use super::yaml::{Content, Entry, Node, Text};

/// Longest text that a policy may hold in one place, apart from keys; in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// A key this close to a known one is taken for a slip of the pen.
const SLIP_EDITS_MAX: usize = 2;

/// What people may look for Docker Content Trust by, in lower case.
const RETIRED: [&str; 5] = ["contenttrust", "dct", "dockercontenttrust", "notary", "notaryv1"];
const RETIRED_TEXT: &str = "Docker Content Trust (Notary v1) is retired and not supported; sign with \
    cosign (key or keyless) or notation instead: docs/signatures.md";

/// The words of a place in the format: those that are read, and those that some would write and that are not,
/// each with why, and what to write in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) known: &'static [&'static str],
    pub(super) later: &'static [(&'static str, &'static str)],
}

/// Where problems go, while everything is read that can be read.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, position: Position, path: &str, text: impl Into<String>) {
        self.0.push(Problem::new(position, path, text));
    }
}

/// A map of the document, whose keys are taken one after the other.
pub(super) struct Fields {
    pub(super) path: String,
    pub(super) position: Position,
    entries: Vec<Entry>,
}

impl Fields {
    /// The map in `node`; every key that is not among `words` is a problem at once.
    pub(super) fn of(
        node: Node,
        path: &str,
        words: Words,
        problems: &mut Problems,
    ) -> Option<Self> {
        #[cfg(test)]
        super::schema::seen::map(path, words);
        let Node { position, content } = node;
        let Content::Map(entries) = content else {
            problems.add(position, path, format!("must be a map, this is {}", content.kind()));
            return None;
        };
        let mut fields = Self { path: path.to_owned(), position, entries: Vec::new() };
        for entry in entries {
            if words.known.contains(&entry.key.as_str()) {
                fields.entries.push(entry);
                continue;
            }
            let why = words.later.iter().find(|(key, _)| *key == entry.key);
            let text = match why {
                Some((_, why)) => format!("not supported by this version; {why}"),
                None => unknown(&entry.key, words),
            };
            problems.add(entry.position, &fields.path_of(&extract(&entry.key)), text);
        }
        Some(fields)
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`, if it is written.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.swap_remove(index).value)
    }

    /// Whether `key` is written, and not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The value of `key`; that it is missing is a problem.
    pub(super) fn require(
        &mut self,
        key: &str,
        hint: &str,
        problems: &mut Problems,
    ) -> Option<Node> {
        let value = self.take(key);
        if value.is_none() {
            problems.add(self.position, &self.path_of(key), format!("is missing; {hint}"));
        }
        value
    }

    /// The text at `key`, if it is written.
    pub(super) fn text(
        &mut self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<(String, Position)> {
        let node = self.take(key)?;
        text(node, &self.path_of(key), problems)
    }

    /// The text at `key`; that it is missing is a problem.
    pub(super) fn require_text(
        &mut self,
        key: &str,
        hint: &str,
        problems: &mut Problems,
    ) -> Option<(String, Position)> {
        let node = self.require(key, hint, problems)?;
        text(node, &self.path_of(key), problems)
    }

    /// The word at `key`, which must be one of `choices`; `later` are words of later versions.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        choices: &[(&str, T)],
        later: &[&str],
        problems: &mut Problems,
    ) -> Option<T> {
        let node = self.take(key)?;
        choice(node, &self.path_of(key), choices, later, problems)
    }

    /// The whole number at `key`, if it is written.
    pub(super) fn number(&mut self, key: &str, problems: &mut Problems) -> Option<(u64, Position)> {
        let node = self.take(key)?;
        let position = node.position;
        if let Content::Text(Text { text, plain: true }) = &node.content
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
            && let Ok(number) = text.parse()
        {
            return Some((number, position));
        }
        problems.add(position, &self.path_of(key), "must be a whole number, without quotes");
        None
    }

    /// The list at `key`, each item with its path, if it is written. An empty list is a problem.
    pub(super) fn list(
        &mut self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Vec<(Node, String)>> {
        let node = self.take(key)?;
        list(node, &self.path_of(key), problems)
    }

    /// The texts in the list at `key`, if it is written. An empty list is a problem.
    pub(super) fn texts(
        &mut self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Vec<(String, Position, String)>> {
        let items = self.list(key, problems)?;
        Some(texts(items, problems))
    }

    /// Every key that is left, in the order of the document, for maps with free keys.
    pub(super) fn free(node: Node, path: &str, problems: &mut Problems) -> Vec<Entry> {
        let Node { position, content } = node;
        if let Content::Map(entries) = content {
            return entries;
        }
        problems.add(position, path, format!("must be a map, this is {}", content.kind()));
        Vec::new()
    }
}

/// The word in `node`, which must be one of `choices`; `later` are words of later versions.
pub(super) fn choice<T: Copy>(
    node: Node,
    path: &str,
    choices: &[(&str, T)],
    later: &[&str],
    problems: &mut Problems,
) -> Option<T> {
    #[cfg(test)]
    super::schema::seen::word(path, choices.iter().map(|(name, _)| *name));
    let (word, position) = text(node, path, problems)?;
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
        return Some(*value);
    }
    let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let text = if later.contains(&word.as_str()) {
        format!("\"{word}\" is not supported by this version; write one of: {names}")
    } else {
        format!("\"{}\" is not one of: {names}", extract(&word))
    };
    problems.add(position, path, text);
    None
}

/// The items of the list in `node`, each with its path. An empty list is a problem.
pub(super) fn list(node: Node, path: &str, problems: &mut Problems) -> Option<Vec<(Node, String)>> {
    let Node { position, content } = node;
    let Content::List(items) = content else {
        let text = format!(
            "must be a list in [brackets] or of lines that begin with -, this is {}",
            content.kind()
        );
        problems.add(position, path, text);
        return None;
    };
    if items.is_empty() {
        problems.add(position, path, "is an empty list; fill it or remove the key");
    }
    Some(items.into_iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect())
}

/// The texts among `items`; each that is none is a problem.
pub(super) fn texts(
    items: Vec<(Node, String)>,
    problems: &mut Problems,
) -> Vec<(String, Position, String)> {
    let text_of = |(node, path): (Node, String)| {
        text(node, &path, problems).map(|(text, position)| (text, position, path))
    };
    items.into_iter().filter_map(text_of).collect()
}

/// The text in `node`: not empty, bounded, without control characters.
pub(super) fn text(node: Node, path: &str, problems: &mut Problems) -> Option<(String, Position)> {
    let position = node.position;
    let text = match node.content {
        Content::Text(Text { text, .. }) => text,
        other @ (Content::List(_) | Content::Map(_) | Content::Null) => {
            problems.add(position, path, format!("must be a text, this is {}", other.kind()));
            return None;
        }
    };
    let wrong = if text.trim().is_empty() {
        "is empty"
    } else if text.len() > TEXT_BYTES_MAX {
        "is longer than 1024 bytes"
    } else if text.chars().any(char::is_control) {
        "has control characters or line breaks; write it in one line"
    } else {
        return Some((text, position));
    };
    problems.add(position, path, wrong);
    None
}

/// The beginning of `text`, fit for a message.
pub(super) fn extract(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

fn unknown(key: &str, words: Words) -> String {
    if RETIRED.contains(&key.to_ascii_lowercase().as_str()) {
        return RETIRED_TEXT.to_owned();
    }
    let near = words
        .known
        .iter()
        .map(|known| (edits(key, known), *known))
        .filter(|(edits, _)| *edits <= SLIP_EDITS_MAX)
        .min();
    match near {
        Some((_, known)) => format!("unknown key; did you mean {known}?"),
        None => format!("unknown key; known here: {}", words.known.join(", ")),
    }
}

/// How many letters have to be changed, added or dropped to make `a` of `b`, case apart.
fn edits(a: &str, b: &str) -> usize {
    if a.len() > b.len() + SLIP_EDITS_MAX {
        return usize::MAX;
    }
    let b = b.to_ascii_lowercase().into_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ours) in a.to_ascii_lowercase().bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (theirs, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(ours != *theirs);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
