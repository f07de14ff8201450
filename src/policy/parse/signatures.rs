//! What rules say about signatures.

use super::super::document::Trust;
use super::super::fields::{Fields, Problems, Words};
use super::super::problem::Position;
use super::super::signed::{Quorum, Quorums, Scope, SignatureRule};
use super::super::yaml::Node;

const SIGNATURES: Words = Words {
    known: &["atLeast", "of", "all", "scope", "none"],
    later: &[("any", "write atLeast: 1")],
};
const QUORUM: Words = Words { known: &["atLeast", "of"], later: &[("any", "write atLeast: 1")] };
const SCOPES: [(&str, Scope); 3] =
    [("index", Scope::Index), ("every-platform", Scope::EveryPlatform), ("either", Scope::Either)];
/// Most quorums that one rule asks for.
const QUORUMS_MAX: usize = 16;

/// `signatures`, still with the places of what it refers to.
#[derive(Default)]
pub(super) struct ReadSignatures {
    pub(super) rule: Option<SignatureRule>,
    pub(super) quorums: Vec<ReadQuorum>,
}

/// A quorum, with the places of the signers that it names and of `atLeast`.
pub(super) struct ReadQuorum {
    pub(super) path: String,
    pub(super) position: Position,
    pub(super) of: Vec<(String, Position, String)>,
    /// `None` when it is missing, and reported.
    pub(super) at_least: Option<(u64, Position)>,
}

impl ReadQuorum {
    fn quorum(&self) -> Quorum {
        let at_least = self.at_least.and_then(|(number, _)| usize::try_from(number).ok());
        let of = self.of.iter().map(|(name, ..)| name.clone()).collect();
        Quorum { at_least: at_least.unwrap_or(usize::MAX), of }
    }
}

pub(super) fn read(
    rule: &mut Fields,
    trust: Option<Trust>,
    problems: &mut Problems,
) -> Option<ReadSignatures> {
    let written = rule.take("signatures")?;
    let path = rule.path_of("signatures");
    let mut fields = Fields::of(written, &path, SIGNATURES, problems)?;
    let position = fields.position;
    if trust == Some(Trust::Deny) {
        problems.add(position, &path, "has no effect on a rule that denies; remove it");
    }
    let (has_all, says_none) = (fields.has("all"), fields.has("none"));
    let asks = ["atLeast", "of", "all", "scope"].iter().any(|key| fields.has(key));
    let has_single = fields.has("atLeast") || fields.has("of");
    let reason = fields.text("none", problems);
    let scope = fields.choice("scope", &SCOPES, &[], problems).unwrap_or_default();
    let quorums = match (says_none && asks, has_all && has_single) {
        (true, _) => {
            let text = "says none and asks for some; keep none: \"reason\", or who must sign";
            problems.add(position, &path, text);
            return None;
        }
        (_, true) => {
            let text = "takes either atLeast and of, or all: [{atLeast: 1, of: [signer]}, ...]";
            problems.add(position, &path, text);
            return None;
        }
        _ if has_all => read_all(&mut fields, problems),
        _ => read_quorum(&mut fields, problems).into_iter().collect(),
    };
    let by = Quorums::new(quorums.iter().map(ReadQuorum::quorum).collect());
    let rule = match (reason, by) {
        (Some((reason, _)), _) => SignatureRule::None { reason },
        (None, Some(by)) => SignatureRule::Signed { by, scope },
        (None, None) => {
            asks_for_nothing(&fields, problems);
            return None;
        }
    };
    Some(ReadSignatures { rule: Some(rule), quorums })
}

/// The quorums of `all`, of which no two are about the same signers.
fn read_all(fields: &mut Fields, problems: &mut Problems) -> Vec<ReadQuorum> {
    let (position, path) = (fields.position, fields.path_of("all"));
    let items = fields.list("all", problems).unwrap_or_default();
    if items.len() > QUORUMS_MAX {
        problems.add(position, &path, format!("has more than {QUORUMS_MAX} entries"));
        return Vec::new();
    }
    let mut quorums: Vec<ReadQuorum> = Vec::new();
    for (node, path) in items {
        let Some(quorum) = read_entry(node, &path, problems) else { continue };
        let names = sorted(&quorum);
        let same = quorums.iter().find(|other| sorted(other) == names);
        if let Some(same) = same.filter(|_| !names.is_empty()) {
            let text = format!(
                "asks the same signers as {}; keep the one with the higher atLeast",
                same.path
            );
            problems.add(quorum.position, &path, text);
        }
        quorums.push(quorum);
    }
    quorums
}

fn sorted(quorum: &ReadQuorum) -> Vec<&str> {
    let mut names: Vec<&str> = quorum.of.iter().map(|(name, ..)| name.as_str()).collect();
    names.sort_unstable();
    names
}

fn read_entry(node: Node, path: &str, problems: &mut Problems) -> Option<ReadQuorum> {
    let mut fields = Fields::of(node, path, QUORUM, problems)?;
    let quorum = read_quorum(&mut fields, problems);
    if quorum.is_none() {
        asks_for_nothing(&fields, problems);
    }
    quorum
}

/// `atLeast` and `of`; `None` when nobody is named.
fn read_quorum(fields: &mut Fields, problems: &mut Problems) -> Option<ReadQuorum> {
    let of = fields.texts("of", problems);
    let at_least = fields.number("atLeast", problems);
    let of = of?;
    let path = fields.path_of("atLeast");
    if at_least.is_none() && problems.0.iter().all(|problem| problem.key != path) {
        let text = "is missing; write how many of these signers must have signed";
        problems.add(fields.position, &path, text);
    }
    Some(ReadQuorum { path: fields.path.clone(), position: fields.position, of, at_least })
}

fn asks_for_nothing(fields: &Fields, problems: &mut Problems) {
    // An unsupported or misspelt key has been reported already, and is why there is nothing.
    if problems.0.iter().all(|problem| !problem.key.starts_with(&fields.path)) {
        let text = "asks for nothing; write {atLeast: 1, of: [signer]} or {none: \"reason\"}";
        problems.add(fields.position, &fields.path, text);
    }
}
