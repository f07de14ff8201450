//! Changes of a policy's text that leave everything else as it is, comments among it, and the unified diff of
//! them.
//!
//! What is added is put where the parser says that something stands, as a line of its own or within one, and
//! nothing is written anew. Whoever changes a policy so reads the result: it is a policy then, or no change.

use std::collections::BTreeMap;

use super::source::quoted;
use super::yaml::{self, Content, Entry, Node};

/// Lines around a change in a diff.
const AROUND: usize = 3;
/// What the file is called in a diff.
pub(super) const FILE: &str = "policy.yaml";

/// Why a text cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum EditError {
    /// It is written in a way that is not understood well enough.
    #[error(
        "the policy is written in a way in which nothing can be added to {0} without writing it anew"
    )]
    Form(&'static str),
    /// There is no text.
    #[error("the policy in force is the one that is built in, and has no file")]
    NoText,
}

/// A text with changes.
#[derive(Debug)]
pub(super) struct Editor<'a> {
    lines: Vec<&'a str>,
    root: Node,
    added: BTreeMap<usize, Vec<String>>,
    within: BTreeMap<usize, Vec<Within>>,
}

/// A change within a line.
#[derive(Debug)]
struct Within {
    /// Where, in characters from the beginning of the line.
    at: usize,
    /// How many characters go.
    less: usize,
    text: String,
}

/// A text that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edited {
    pub(super) text: String,
    /// The unified diff.
    pub(super) diff: String,
}

impl<'a> Editor<'a> {
    /// For changes of `text`, which is a policy.
    ///
    /// # Errors
    /// When its lines cannot be told.
    pub(super) fn new(text: &'a str) -> Result<Self, EditError> {
        let lines: Vec<&str> = text.split('\n').collect();
        let is_lone = |line: &&str| line.strip_suffix('\r').unwrap_or(line).contains('\r');
        if lines.iter().any(is_lone) {
            return Err(EditError::Form("it"));
        }
        let root = yaml::read(text, &mut Vec::new()).ok_or(EditError::NoText)?;
        Ok(Self { lines, root, added: BTreeMap::new(), within: BTreeMap::new() })
    }

    /// Writes the next revision.
    pub(super) fn raise_revision(&mut self) -> Result<(), EditError> {
        const WHAT: EditError = EditError::Form("metadata");
        let node = below(&self.root, &["metadata", "revision"]).ok_or(WHAT)?;
        let Content::Text(text) = &node.content else { return Err(WHAT) };
        let number: u64 = text.text.parse().map_err(|_| WHAT)?;
        let (line, at) = place(node);
        let length = text.text.chars().count();
        let written: String = self.line(line).chars().skip(at).take(length).collect();
        if written != text.text {
            return Err(WHAT);
        }
        let text = number.checked_add(1).ok_or(WHAT)?.to_string();
        self.within.entry(line).or_default().push(Within { at, less: length, text });
        Ok(())
    }

    /// Adds `items`, each in one line of YAML, to the list at the top-level `key`: before the one in place `before`, or
    /// as the first; the list is made where there is none. `notes` stand above it where it has lines of its own.
    pub(super) fn add_items(
        &mut self,
        key: &'static str,
        before: usize,
        items: &[String],
        notes: &[String],
    ) -> Result<(), EditError> {
        let change = if let Some(list) = below(&self.root, &[key]) {
            self.items_in(list, before, items, notes)
        } else if self.is_flow(&self.root, '{') {
            self.entries_in(&self.root, &[(key.to_owned(), format!("[{}]", items.join(", ")))])
        } else {
            let lines = std::iter::once(format!("{key}:")).chain(notes.iter().cloned());
            let lines = lines.chain(items.iter().map(|item| format!("- {item}")));
            self.before_rules().map(|at| Change::Lines(at, lines.collect()))
        };
        self.take(change.ok_or(EditError::Form(key))?);
        Ok(())
    }

    /// Adds `entries`, names with values in one line of YAML, to the map at the top-level `key`, which is made
    /// where there is none.
    pub(super) fn add_entries(
        &mut self,
        key: &'static str,
        entries: &[(String, String)],
    ) -> Result<(), EditError> {
        let written =
            |(name, value): &(String, String)| format!("{}: {value}", plain_or_quoted(name));
        let change = match below(&self.root, &[key]) {
            _ if entries.is_empty() => return Ok(()),
            Some(map) => self.entries_in(map, entries),
            None if self.is_flow(&self.root, '{') => {
                let all: Vec<String> = entries.iter().map(written).collect();
                self.entries_in(&self.root, &[(key.to_owned(), format!("{{{}}}", all.join(", ")))])
            }
            None => self.before_rules().map(|at| {
                let lines = entries.iter().map(|entry| format!("  {}", written(entry)));
                Change::Lines(at, std::iter::once(format!("{key}:")).chain(lines).collect())
            }),
        };
        self.take(change.ok_or(EditError::Form(key))?);
        Ok(())
    }

    /// Adds `item` to the list `inner` in the map at the top-level `key`; either is made where there is none.
    pub(super) fn add_inner(
        &mut self,
        key: &'static str,
        inner: &str,
        item: &str,
    ) -> Result<(), EditError> {
        let Some(list) = below(&self.root, &[key, inner]) else {
            return self.add_entries(key, &[(inner.to_owned(), format!("[{item}]"))]);
        };
        let change = self.items_in(list, 0, &[item.to_owned()], &[]);
        self.take(change.ok_or(EditError::Form(key))?);
        Ok(())
    }

    /// Adds `item` to what the rule in place `rule` approves for good.
    pub(super) fn add_standing(&mut self, rule: usize, item: &str) -> Result<(), EditError> {
        const WHAT: EditError = EditError::Form("the rule");
        let Some(Content::List(rules)) = below(&self.root, &["rules"]).map(|it| &it.content) else {
            return Err(WHAT);
        };
        let rule = rules.get(rule).ok_or(WHAT)?;
        let entry = |key: &str, value: String| [(key.to_owned(), value)];
        let change = match (below(rule, &["approval"]), below(rule, &["approval", "standing"])) {
            (_, Some(list)) => self.items_in(list, 0, &[item.to_owned()], &[]),
            (Some(approval), None) => {
                self.entries_in(approval, &entry("standing", format!("[{item}]")))
            }
            (None, None) => {
                self.entries_in(rule, &entry("approval", format!("{{standing: [{item}]}}")))
            }
        };
        self.take(change.ok_or(WHAT)?);
        Ok(())
    }

    fn line(&self, number: usize) -> &str {
        self.lines.get(number).copied().unwrap_or_default()
    }

    /// What stands in front of `node` in its line.
    fn ahead(&self, node: (usize, usize)) -> String {
        self.line(node.0).chars().take(node.1).collect()
    }

    fn is_flow(&self, node: &Node, opens: char) -> bool {
        let (line, at) = place(node);
        self.line(line).chars().nth(at) == Some(opens)
    }

    /// The line before which something at the top is put.
    fn before_rules(&self) -> Option<usize> {
        let Content::Map(top) = &self.root.content else { return None };
        let rules = top.iter().find(|entry| entry.key == "rules")?;
        let (line, at) = place_of(rules);
        (at == 0).then(|| self.above_comments(line))
    }

    /// The first line of the comments that stand directly above `line`.
    fn above_comments(&self, line: usize) -> usize {
        let is_comment = |line: usize| self.line(line).trim_start().starts_with('#');
        let mut line = line;
        // What stands at the very top speaks of all of it.
        while line > 1 && is_comment(line - 1) {
            line -= 1;
        }
        line
    }

    fn items_in(
        &self,
        list: &Node,
        before: usize,
        items: &[String],
        notes: &[String],
    ) -> Option<Change> {
        let Content::List(there) = &list.content else { return None };
        let next = there.get(before).or_else(|| there.first());
        if self.is_flow(list, '[') {
            let (line, at) = place(list);
            let written = items.join(", ");
            return Some(match next {
                None => Change::Within(line, at + 1, written),
                Some(next) => {
                    let (line, at) = place(next);
                    Change::Within(line, at, format!("{written}, "))
                }
            });
        }
        let (line, at) = place(next?);
        let ahead = self.ahead((line, at));
        let indent = ahead.trim_end().strip_suffix('-')?;
        if !indent.trim().is_empty() {
            return None;
        }
        let notes = notes.iter().map(|note| format!("{indent}{note}"));
        let items = items.iter().map(|item| format!("{indent}- {item}"));
        Some(Change::Lines(self.above_comments(line), notes.chain(items).collect()))
    }

    fn entries_in(&self, map: &Node, entries: &[(String, String)]) -> Option<Change> {
        let Content::Map(there) = &map.content else { return None };
        let written =
            |(name, value): &(String, String)| format!("{}: {value}", plain_or_quoted(name));
        let written: Vec<String> = entries.iter().map(written).collect();
        if self.is_flow(map, '{') {
            let (line, at) = place(map);
            let written = written.join(", ");
            return Some(match there.get(1).or_else(|| there.first()) {
                None => Change::Within(line, at + 1, written),
                Some(next) => {
                    let (line, at) = place_of(next);
                    Change::Within(line, at, format!("{written}, "))
                }
            });
        }
        // The first may stand behind what opens the map.
        let is_alone = |entry: &&Entry| self.ahead(place_of(entry)).trim().is_empty();
        let next = there.iter().take(2).rev().find(is_alone)?;
        let (line, at) = place_of(next);
        let indent = self.ahead((line, at));
        let lines = written.iter().map(|it| format!("{indent}{it}")).collect();
        Some(Change::Lines(self.above_comments(line), lines))
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Lines(at, lines) => self.added.entry(at).or_default().extend(lines),
            Change::Within(line, at, text) => {
                self.within.entry(line).or_default().push(Within { at, less: 0, text });
            }
        }
    }

    /// The text with all changes.
    pub(super) fn done(self) -> Edited {
        let mut ops: Vec<Op> = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            let end = if line.ends_with('\r') { "\r" } else { "" };
            let added = self.added.get(&number).into_iter().flatten();
            ops.extend(added.map(|text| Op::More(format!("{text}{end}"))));
            match self.within.get(&number) {
                None => ops.push(Op::Same((*line).to_owned())),
                Some(changes) => {
                    ops.push(Op::Less((*line).to_owned()));
                    ops.push(Op::More(changed(line, changes)));
                }
            }
        }
        let kept = ops.iter().filter_map(|op| match op {
            Op::Same(line) | Op::More(line) => Some(line.as_str()),
            Op::Less(_) => None,
        });
        let text = kept.collect::<Vec<_>>().join("\n");
        Edited { diff: diff(&ops), text }
    }
}

/// A change that was found.
enum Change {
    /// These lines before that one.
    Lines(usize, Vec<String>),
    /// This text within a line, behind so many characters.
    Within(usize, usize, String),
}

/// A line of the old text, of the new one, or of both.
enum Op {
    Same(String),
    Less(String),
    More(String),
}

/// `line` with its changes, the last one first.
fn changed(line: &str, changes: &[Within]) -> String {
    let mut characters: Vec<char> = line.chars().collect();
    let mut order: Vec<&Within> = changes.iter().collect();
    order.sort_by_key(|change| std::cmp::Reverse(change.at));
    for Within { at, less, text } in order {
        let from = (*at).min(characters.len());
        let to = from.saturating_add(*less).min(characters.len());
        drop(characters.splice(from..to, text.chars()));
    }
    characters.into_iter().collect()
}

fn diff(ops: &[Op]) -> String {
    let changes = ops.iter().enumerate().filter(|(_, op)| !matches!(op, Op::Same(_)));
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, _) in changes {
        let (from, to) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(ops.len()));
        match hunks.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            Some(_) | None => hunks.push((from, to)),
        }
    }
    let mut out = String::new();
    if !hunks.is_empty() {
        out = format!("--- {FILE}\n+++ {FILE}\n");
    }
    for (from, to) in hunks {
        out.push_str(&hunk(ops, from, to));
    }
    out
}

fn hunk(ops: &[Op], from: usize, to: usize) -> String {
    let count = |of: &[Op]| {
        of.iter().filter(|it| !is_end(ops, it)).fold(
            (0_usize, 0_usize),
            |(old, new), op| match op {
                Op::Same(_) => (old + 1, new + 1),
                Op::Less(_) => (old + 1, new),
                Op::More(_) => (old, new + 1),
            },
        )
    };
    let (before, within) = (ops.get(..from).unwrap_or_default(), ops.get(from..to));
    let within = within.unwrap_or_default();
    let ((old, new), (olds, news)) = (count(before), count(within));
    // Of no lines it is the line before that is named.
    let begin = |line: usize, lines: usize| if lines == 0 { line } else { line + 1 };
    let mut out = format!("@@ -{},{olds} +{},{news} @@\n", begin(old, olds), begin(new, news));
    for op in within.iter().filter(|it| !is_end(ops, it)) {
        let (sign, line) = match op {
            Op::Same(line) => (' ', line),
            Op::Less(line) => ('-', line),
            Op::More(line) => ('+', line),
        };
        out.push(sign);
        out.push_str(line);
        out.push('\n');
        if ops.last().is_some_and(|last| std::ptr::eq(last, op)) || ends_without(ops, op) {
            out.push_str("\\ No newline at end of file\n");
        }
    }
    out
}

/// Whether `op` is what stands behind the last line break, and is nothing.
fn is_end(ops: &[Op], op: &Op) -> bool {
    ops.last().is_some_and(|last| std::ptr::eq(last, op))
        && matches!(op, Op::Same(line) if line.is_empty())
}

/// Whether `op` is the last line of the old text, which another one replaces.
fn ends_without(ops: &[Op], op: &Op) -> bool {
    let before_last = ops.len().checked_sub(2).and_then(|at| ops.get(at));
    matches!(op, Op::Less(_))
        && before_last.is_some_and(|it| std::ptr::eq(it, op))
        && matches!(ops.last(), Some(Op::More(_)))
}

fn below<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| {
        let Content::Map(entries) = &node.content else { return None };
        entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
    })
}

const fn place(node: &Node) -> (usize, usize) {
    (node.position.line.saturating_sub(1), node.position.column.saturating_sub(1))
}

const fn place_of(entry: &Entry) -> (usize, usize) {
    (entry.position.line.saturating_sub(1), entry.position.column.saturating_sub(1))
}

fn plain_or_quoted(key: &str) -> String {
    if super::is_plain_name(key) { key.to_owned() } else { quoted(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "# The site's policy.\napiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: a, revision: 41}   # raise it\n\
        \nrules:\n# Ours.\n- id: one   # first\n  match: [\"a.io/**\"]\n  trust: approve\n  approval:\n    policy: four\n\
        - {id: two, match: [\"b.io/**\"], trust: deny}\n# the end\n";

    fn edited(text: &str, edit: impl FnOnce(&mut Editor<'_>) -> Result<(), EditError>) -> Edited {
        let mut editor = Editor::new(text).unwrap();
        editor.raise_revision().unwrap();
        edit(&mut editor).unwrap();
        editor.done()
    }

    fn items(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn what_is_added_has_its_place_and_all_else_stays() {
        let out = edited(BLOCK, |it| {
            it.add_items("rules", 1, &items("{id: new}"), &items("# Why."))?;
            it.add_items("exceptions", 0, &["{id: x}".to_owned(), "{id: y}".to_owned()], &[])?;
            it.add_entries("signers", &[("s".to_owned(), "{key: 1}".to_owned())])?;
            it.add_inner("floor", "denyImages", "{digest: 1}")?;
            it.add_standing(0, "{tags: 1}")
        });
        let expected = "# The site's policy.\napiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: a, revision: 42}   # raise it\n\
            \nexceptions:\n- {id: x}\n- {id: y}\nsigners:\n  s: {key: 1}\nfloor:\n  denyImages: [{digest: 1}]\n\
            rules:\n# Ours.\n- id: one   # first\n  match: [\"a.io/**\"]\n  trust: approve\n  approval:\n    standing: [{tags: 1}]\n    policy: four\n\
            # Why.\n- {id: new}\n- {id: two, match: [\"b.io/**\"], trust: deny}\n# the end\n";
        assert_eq!(out.text, expected);
        let first = edited(BLOCK, |it| it.add_items("rules", 0, &items("{id: new}"), &[])).text;
        assert!(first.contains("rules:\n- {id: new}\n# Ours.\n- id: one"), "{first}");
    }

    #[test]
    fn what_is_in_one_line_stays_in_it() {
        let json = "{\"apiVersion\": \"x\", \"metadata\": {\"name\": \"a\", \"revision\": 9}, \"signers\": {}, \
            \"rules\": [{\"id\": \"a\", \"trust\": \"approve\", \"approval\": {\"standing\": [1]}}]}";
        let out = edited(json, |it| {
            it.add_items("rules", 0, &items("{id: new}"), &[])?;
            it.add_items("exceptions", 0, &items("{id: x}"), &[])?;
            it.add_entries("signers", &[("s".to_owned(), "1".to_owned())])?;
            it.add_standing(0, "{tags: 1}")
        });
        assert_eq!(
            out.text,
            "{\"apiVersion\": \"x\", exceptions: [{id: x}], \"metadata\": {\"name\": \"a\", \"revision\": 10}, \"signers\": {s: 1}, \
            \"rules\": [{id: new}, {\"id\": \"a\", \"trust\": \"approve\", \"approval\": {\"standing\": [{tags: 1}, 1]}}]}"
        );
        assert!(out.diff.ends_with("\\ No newline at end of file\n"), "{}", out.diff);
        assert_eq!(out.diff.matches("No newline").count(), 2, "{}", out.diff);
    }

    #[test]
    fn what_is_not_understood_is_not_changed() {
        let mut editor = Editor::new("metadata: {revision: 1}\nrules:\nfloor:\n").unwrap();
        assert!(editor.add_items("rules", 0, &items("x"), &[]).is_err());
        assert!(editor.add_inner("floor", "denyImages", "x").is_err());
        assert!(editor.add_standing(0, "x").is_err());
        assert!(Editor::new("a: 1\rb: 2\n").is_err());
        let mut editor = Editor::new("metadata: {revision: one}\n").unwrap();
        assert!(editor.raise_revision().is_err());
    }

    #[test]
    fn lines_end_as_they_did() {
        let text = BLOCK.replace('\n', "\r\n");
        let out = edited(&text, |it| it.add_items("rules", 0, &items("{id: new}"), &[]));
        assert_eq!(out.text.matches('\n').count(), out.text.matches("\r\n").count());
        assert!(out.text.contains("\r\n- {id: new}\r\n"), "{:?}", out.text);
    }

    #[test]
    fn the_diff_is_what_patch_takes() {
        let out = edited(BLOCK, |it| it.add_items("rules", 1, &items("{id: new}"), &[]));
        assert_eq!(
            out.diff,
            "--- policy.yaml\n+++ policy.yaml\n@@ -1,7 +1,7 @@\n # The site's policy.\n apiVersion: pratique.dev/v1\n kind: Policy\n\
            -metadata: {name: a, revision: 41}   # raise it\n+metadata: {name: a, revision: 42}   # raise it\n \n rules:\n # Ours.\n\
            @@ -10,5 +10,6 @@\n   trust: approve\n   approval:\n     policy: four\n+- {id: new}\n - {id: two, match: [\"b.io/**\"], trust: deny}\n # the end\n"
        );
    }
}
