//! Who may pull what.

use super::super::clients::ClientRule;
use super::super::fields::{self, Fields, Problems, Words, extract};
use super::super::pattern::Pattern;
use super::super::yaml::Node;
use super::rules::read_patterns;

const NAME: &str = "clients";
const WORDS: Words = Words {
    known: &["match", "namespaces", "serviceAccounts"],
    later: &[
        ("nodes", "a node is told by its certificate, and pulls for all of its pods"),
        ("when", "write namespaces or serviceAccounts"),
    ],
};
/// Most entries: each pull of a policy that has some is compared with all.
const CLIENTS_MAX: usize = 500;
/// Most names in one list.
const NAMES_MAX: usize = 200;

pub(super) fn read(node: Node, problems: &mut Problems) -> Vec<ClientRule> {
    let position = node.position;
    let items = fields::list(node, NAME, problems).unwrap_or_default();
    if items.len() > CLIENTS_MAX {
        problems.add(position, NAME, format!("has more than {CLIENTS_MAX} entries"));
        return Vec::new();
    }
    let read: Vec<ClientRule> =
        items.into_iter().filter_map(|(node, path)| entry(node, &path, problems)).collect();
    ties(&read, problems);
    read
}

fn entry(node: Node, path: &str, problems: &mut Problems) -> Option<ClientRule> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, path, WORDS, problems)?;
    let matched = fields.require("match", "write match: [\"ghcr.io/acme/shop/**\"]", problems);
    let place = fields.path_of("match");
    let patterns = matched
        .map(|node| read_patterns(fields::list(node, &place, problems), problems))
        .unwrap_or_default();
    let is_said = fields.has("namespaces") || fields.has("serviceAccounts");
    if !is_said {
        let text = "says for whom it is neither way; write namespaces: [shop]";
        problems.add(fields.position, path, text);
    }
    let namespaces = names(&mut fields, "namespaces", is_namespace, problems);
    let service_accounts = names(&mut fields, "serviceAccounts", is_account, problems);
    (problems.0.len() == before).then_some(ClientRule { patterns, namespaces, service_accounts })
}

/// The patterns at `key`, each of which `checked` finds no fault with.
fn names(
    fields: &mut Fields,
    key: &str,
    checked: fn(&str) -> Result<(), &'static str>,
    problems: &mut Problems,
) -> Vec<Pattern> {
    let (position, place) = (fields.position, fields.path_of(key));
    let texts = fields.texts(key, problems).unwrap_or_default();
    if texts.len() > NAMES_MAX {
        problems.add(position, &place, format!("has more than {NAMES_MAX} names"));
        return Vec::new();
    }
    let mut patterns = Vec::new();
    for (text, position, path) in texts {
        let read = checked(&text).map_err(str::to_owned).and_then(|()| Pattern::parse(&text));
        match read {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => problems.add(position, &path, format!("\"{}\" {why}", extract(&text))),
        }
    }
    patterns
}

/// A name of Kubernetes (RFC 1123), or with `*` for a part of it.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.contains("**")
        && text.bytes().all(|it| {
            it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.' | b'*')
        })
}

fn is_namespace(text: &str) -> Result<(), &'static str> {
    if is_plain(text) { Ok(()) } else { Err("is no name of a namespace; write shop, shop-* or *") }
}

fn is_account(text: &str) -> Result<(), &'static str> {
    match text.split_once('/') {
        Some((namespace, name)) if is_plain(namespace) && is_plain(name) => Ok(()),
        _ => Err("is no service account; write NAMESPACE/NAME, with * for a part of a name"),
    }
}

/// No two entries are equally specific for a repository that both match.
fn ties(entries: &[ClientRule], problems: &mut Problems) {
    for (index, entry) in entries.iter().enumerate() {
        for (before, other) in entries.iter().take(index).enumerate() {
            let rival = entry.patterns.iter().find(|pattern| {
                other.patterns.iter().any(|theirs| {
                    theirs.value.rank() == pattern.value.rank()
                        && theirs.value.overlaps(&pattern.value)
                })
            });
            if let Some(pattern) = rival {
                let text = format!(
                    "\"{}\" and {NAME}[{before}] can match the same repository equally; make one more specific",
                    pattern.value
                );
                problems.add(pattern.position, &format!("{NAME}[{index}].match"), text);
            }
        }
    }
}
