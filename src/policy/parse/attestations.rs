//! What rules ask to have attested.

use super::super::attested::{AttestationRule, AttestationType};
use super::super::document::Trust;
use super::super::fields::{self, Fields, Problems, Words};
use super::super::problem::Position;
use super::super::yaml::Node;
use super::signers::wanted_if_written;

const ATTESTATION: Words = Words {
    known: &["type", "signers", "atLeast", "builder", "builderRegexp", "cel"],
    later: &[
        ("name", "an attestation is told by its type"),
        ("scope", "attestations are about what is asked for; signatures have a scope"),
        ("when", "write the condition as cel, or the whole in an overlay, which has when"),
    ],
};
/// Most attestations that one rule asks for.
const ATTESTATIONS_MAX: usize = 16;

/// An entry, with the places of the signers that it names and of `atLeast`.
pub(super) struct ReadAttestation {
    pub(super) rule: AttestationRule,
    pub(super) of: Vec<(String, Position, String)>,
    pub(super) at_least: (u64, Position),
}

pub(super) fn read(
    rule: &mut Fields,
    trust: Option<Trust>,
    problems: &mut Problems,
) -> Vec<ReadAttestation> {
    let position = rule.position;
    let Some(items) = rule.list("attestations", problems) else { return Vec::new() };
    let path = rule.path_of("attestations");
    if trust == Some(Trust::Deny) {
        problems.add(position, &path, "has no effect on a rule that denies; remove it");
    }
    if items.len() > ATTESTATIONS_MAX {
        problems.add(position, &path, format!("has more than {ATTESTATIONS_MAX} entries"));
        return Vec::new();
    }
    items.into_iter().filter_map(|(node, path)| entry(node, &path, problems)).collect()
}

fn entry(node: Node, path: &str, problems: &mut Problems) -> Option<ReadAttestation> {
    let position = node.position;
    let mut fields = Fields::of(node, path, ATTESTATION, problems)?;
    let hint =
        format!("write one of: {}; or the URI of a predicate type", AttestationType::names());
    let kind = fields.require_text("type", &hint, problems);
    let kind = kind.and_then(|(text, position)| {
        let kind = AttestationType::named(&text);
        if kind.is_none() {
            let text = format!("\"{}\" is not known; {hint}", fields::extract(&text));
            problems.add(position, &fields.path_of("type"), text);
        }
        kind
    });
    let of = fields.texts("signers", problems);
    if of.is_none() && problems.0.iter().all(|problem| problem.key != fields.path_of("signers")) {
        let text = "is missing; whoever attests counts only by name";
        problems.add(position, &fields.path_of("signers"), text);
    }
    let at_least = fields.number("atLeast", problems).unwrap_or((1, position));
    let builder = wanted_if_written(&mut fields, "builder", "builderRegexp", problems);
    let condition = fields.text("cel", problems).map(|(text, _)| text);
    let kind = kind?;
    if builder.is_some() && !kind.is_provenance() {
        let text = format!("goes with provenance only, and {kind} names no builder");
        problems.add(position, &fields.path_of("builder"), text);
    }
    let of = of?;
    let signers = of.iter().map(|(name, ..)| name.clone()).collect();
    let count = usize::try_from(at_least.0).unwrap_or(usize::MAX);
    let path = path.to_owned();
    let rule =
        AttestationRule { kind, at_least: count, signers, builder, condition, position, path };
    Some(ReadAttestation { rule, of, at_least })
}
