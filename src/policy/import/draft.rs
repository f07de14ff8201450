//! The policy that is being made.

use std::collections::BTreeSet;

use super::Lost;
use crate::policy::parse::NAME_BYTES_MAX;

/// A value of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
    Number(usize),
    Text(String),
    /// A word of the format.
    Word(&'static str),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts(texts: &[String]) -> Self {
        Self::List(texts.iter().cloned().map(Self::Text).collect())
    }

    /// What a map has under `key`.
    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => field(entries, key),
            Self::List(_) | Self::Number(_) | Self::Text(_) | Self::Word(_) => None,
        }
    }

    /// One line of YAML. A text is written as JSON has it, which means the same in YAML.
    fn flow(&self) -> String {
        match self {
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {}", value.flow())).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Self::Number(number) => number.to_string(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Word(word) => (*word).to_owned(),
        }
    }
}

/// Something of the policy that has a name, with what is told about it.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    value: Value,
    notes: Vec<String>,
}

/// The parts of the policy, in the order in which they were found.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    roots: Vec<Named>,
    signers: Vec<Named>,
    rules: Vec<Named>,
    overlays: Vec<Named>,
    /// The names of rules and overlays.
    ids: BTreeSet<String>,
    /// The images that overlays speak of, and that one rule has to let through to them.
    pub(super) images: BTreeSet<String>,
    pub(super) notes: Vec<String>,
}

impl Draft {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.overlays.is_empty() && self.images.is_empty()
    }

    /// A name for a rule or an overlay that no other has.
    fn id(&mut self, wanted: &str) -> String {
        let id = free(wanted, |name| self.ids.contains(name));
        self.ids.insert(id.clone());
        id
    }

    pub(super) fn rule(
        &mut self,
        wanted: &str,
        rest: Vec<(&'static str, Value)>,
        notes: Vec<String>,
    ) {
        let mut rest = rest;
        if self.untie(&mut rest, &notes) {
            return;
        }
        let id = self.id(wanted);
        self.rules.push(entry(id, rest, notes));
    }

    /// Leaves to denials alone the images that a denial and something else would speak of: two rules for
    /// the same are a tie, which is no policy. Gives whether nothing is left to be said by `rest`; what there
    /// is to tell of it is told where it is denied then.
    fn untie(&mut self, rest: &mut [(&'static str, Value)], notes: &[String]) -> bool {
        let comes_denied = denies(rest);
        let Some((_, Value::List(coming))) = rest.iter_mut().find(|(key, _)| *key == "match")
        else {
            return false;
        };
        for known in &mut self.rules {
            let Value::Map(entries) = &mut known.value else { continue };
            let is_denied = denies(entries);
            let Some((_, Value::List(images))) =
                entries.iter_mut().find(|(key, _)| *key == "match")
            else {
                continue;
            };
            let before = coming.len() + images.len();
            if is_denied {
                coming.retain(|image| !images.contains(image));
            } else if comes_denied {
                images.retain(|image| !coming.contains(image));
            }
            if coming.len() + images.len() < before {
                known.notes.extend(notes.iter().cloned());
            }
        }
        let is_empty = coming.is_empty();
        self.rules.retain(|rule| rule.value.get("match") != Some(&Value::List(Vec::new())));
        is_empty
    }

    pub(super) fn overlay(
        &mut self,
        wanted: &str,
        rest: Vec<(&'static str, Value)>,
        notes: Vec<String>,
    ) {
        let id = self.id(wanted);
        self.overlays.push(entry(id, rest, notes));
    }

    /// The name of the trust root that is `value`.
    pub(super) fn root(&mut self, wanted: &str, value: Value) -> String {
        known(&mut self.roots, wanted, value)
    }

    /// The name of the signer that is `value`. One key or identity is one signer, whoever names it.
    ///
    /// # Errors
    /// When it is one already, under other terms.
    pub(super) fn signer(&mut self, wanted: &str, value: Value) -> Result<String, String> {
        let key = |value: &Value| value.get("key").cloned();
        let other = self.signers.iter().find(|known| {
            let keys = (key(&known.value), key(&value));
            known.value != value && keys.0.is_some() && keys.0 == keys.1
        });
        match other {
            Some(other) => Err(format!(
                "has the key of signer {} under other terms, and one key is one signer",
                other.name
            )),
            None => Ok(known(&mut self.signers, wanted, value)),
        }
    }

    /// The text of the policy.
    pub(super) fn text(mut self, name: &str, lost: &[Lost]) -> String {
        if !self.images.is_empty() {
            let images: Vec<String> = self.images.iter().cloned().collect();
            let rest = vec![("match", Value::texts(&images)), ("trust", Value::Word("allow"))];
            let note =
                "Overlays admit nothing by themselves: this lets their images through to them.";
            self.rule("images", rest, vec![note.to_owned()]);
        }
        let mut lines = vec![
            "# Imported. Read it, check it with pratique policy check, and try it with mode: warn first."
                .to_owned(),
        ];
        lines.extend(self.notes.iter().map(|note| comment(note)));
        if !lost.is_empty() {
            lines.push("# What could not be said is denied:".to_owned());
            lines.extend(lost.iter().map(|lost| comment(&format!("  {lost}"))));
        }
        lines.push("apiVersion: pratique.dev/v1".to_owned());
        lines.push("kind: Policy".to_owned());
        lines.push(format!("metadata: {{name: {}, revision: 1}}", Value::text(name).flow()));
        // Those policies do not compare who signed before.
        lines.push("signerChange: allow".to_owned());
        for (key, named) in [("trustRoots", &self.roots), ("signers", &self.signers)] {
            if !named.is_empty() {
                lines.push(format!("{key}:"));
                let entry = |it: &Named| format!("  {}: {}", it.name, it.value.flow());
                lines.extend(named.iter().map(entry));
            }
        }
        if self.rules.is_empty() {
            let rest =
                vec![("match", Value::texts(&["**".to_owned()])), ("trust", Value::Word("deny"))];
            self.rule("nothing-else", rest, Vec::new());
        }
        for (key, named) in [("rules", &self.rules), ("overlays", &self.overlays)] {
            if !named.is_empty() {
                lines.push(format!("{key}:"));
            }
            for Named { value, notes, .. } in named {
                lines.extend(notes.iter().map(|note| comment(note)));
                lines.push(format!("- {}", value.flow()));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn field<'a>(entries: &'a [(&'static str, Value)], key: &str) -> Option<&'a Value> {
    entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn denies(entries: &[(&'static str, Value)]) -> bool {
    field(entries, "trust") == Some(&Value::Word("deny"))
}

fn entry(id: String, rest: Vec<(&'static str, Value)>, notes: Vec<String>) -> Named {
    let mut entries = vec![("id", Value::text(id.clone()))];
    entries.extend(rest);
    Named { name: id, value: Value::Map(entries), notes }
}

/// The name under which `value` is among `all`, where it is put if it is not there yet.
fn known(all: &mut Vec<Named>, wanted: &str, value: Value) -> String {
    if let Some(known) = all.iter().find(|known| known.value == value) {
        return known.name.clone();
    }
    let name = free(wanted, |name| all.iter().any(|known| known.name == name));
    all.push(Named { name: name.clone(), value, notes: Vec::new() });
    name
}

/// A plain name like `wanted` that is not taken.
fn free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    // Room for a number behind it.
    const LENGTH_MAX: usize = NAME_BYTES_MAX - 8;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mut name: String = wanted.chars().take(LENGTH_MAX).map(plain).collect();
    if name.is_empty() {
        "imported".clone_into(&mut name);
    }
    let mut candidate = name.clone();
    let mut number = 1_usize;
    while is_taken(&candidate) {
        number += 1;
        candidate = format!("{name}-{number}");
    }
    candidate
}

/// A line that says `text` to whoever reads the policy, and nothing to the mirror.
fn comment(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    format!("# {}", plain.collect::<String>().trim_end())
}
