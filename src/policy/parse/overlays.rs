//! The overlays.

use std::sync::Arc;

use super::super::document::{RuleId, Trust};
use super::super::fields::{self, Fields, Problems, Words, extract};
use super::super::overlay::Overlay;
use super::super::problem::Position;
use super::super::scanned::ScanGate;
use super::super::signed::SignatureRule;
use super::super::yaml::Node;
use super::attestations::{self, ReadAttestation};
use super::gates::{self, Gates};
use super::rules::{read_id, read_match, read_tags};
use super::signatures::{self, ReadQuorum};
use super::{Defaults, expressions, modes};

/// Most overlays of one policy: each that matches is judged with every image.
pub(super) const OVERLAYS_MAX: usize = 200;

const OVERLAY: Words = Words {
    known: &[
        "id",
        "match",
        "tags",
        "when",
        "trust",
        "signatures",
        "attestations",
        "gates",
        "mode",
        "modeUntil",
        "onError",
    ],
    later: &[(
        "approval",
        "the rule says whom it asks; an overlay asks for more of what is no person's to say",
    )],
};
/// What is said of an overlay by whoever takes it for a rule.
const RULES_OWN: [&str; 4] = ["tagMove", "signerChange", "exceptionApproval", "requires"];

/// An overlay and where the document has the things that other checks speak of.
pub(super) struct ReadOverlay {
    pub(super) overlay: Overlay,
    pub(super) index: usize,
    pub(super) id_position: Position,
    pub(super) quorums: Vec<ReadQuorum>,
    pub(super) attestations: Vec<ReadAttestation>,
}

pub(super) fn read(
    node: Node,
    defaults: Defaults,
    gates: &[gates::Gate],
    problems: &mut Problems,
) -> Vec<ReadOverlay> {
    let position = node.position;
    let items = fields::list(node, "overlays", problems).unwrap_or_default();
    if items.len() > OVERLAYS_MAX {
        problems.add(position, "overlays", format!("has more than {OVERLAYS_MAX} overlays"));
        return Vec::new();
    }
    let numbered = items.into_iter().enumerate();
    numbered
        .filter_map(|(index, (node, path))| {
            overlay(index, node, &path, (defaults, gates), problems)
        })
        .collect()
}

fn overlay(
    index: usize,
    node: Node,
    path: &str,
    (defaults, gates): (Defaults, &[gates::Gate]),
    problems: &mut Problems,
) -> Option<ReadOverlay> {
    let node = without_rules_own(node, path, problems);
    let before = problems.0.len();
    let mut fields = Fields::of(node, path, OVERLAY, problems)?;
    let id = read_id(&mut fields, problems);
    let matched = fields.require("match", "write match: [\"**\"]", problems);
    let matched = matched.map(|node| read_match(node, &fields.path_of("match"), problems));
    let tags = fields.take("tags");
    let tags = tags.map(|node| read_tags(node, &fields.path_of("tags"), problems));
    let trust = fields.choice("trust", &[("deny", Trust::Deny)], &[], problems);
    let when = expressions::when(&mut fields, problems);
    let signatures = signatures::read(&mut fields, trust, problems).unwrap_or_default();
    if let Some(SignatureRule::None { .. }) = signatures.rule {
        let text = "an overlay takes nothing away from what the rule asks; remove it";
        problems.add(fields.position, &fields.path_of("signatures.none"), text);
    }
    let attestations = attestations::read(&mut fields, trust, problems);
    let Gates { scans, configs, fresh } = gates::of_rule(&mut fields, trust, gates, problems);
    let mode = modes::read(&mut fields, defaults.mode, problems);
    let closes = fields.choice("onError", &[("deny", ())], &[], problems).is_some();
    if let Some(gate) = scans.iter().find(|gate| !gate.sbom_from.is_empty()) {
        takes_bills(gate, &fields, problems);
    }
    let is_nothing = trust.is_none()
        && signatures.rule.is_none()
        && attestations.is_empty()
        && scans.is_empty()
        && configs.is_empty()
        && fresh.is_empty()
        && !closes;
    if is_nothing && problems.0.len() == before {
        let text = "asks for nothing; write signatures, attestations, gates, onError: deny, or trust: deny";
        problems.add(fields.position, path, text);
    }
    let (patterns, artifacts) = matched.unwrap_or_default();
    let (id, id_position) = id.unwrap_or_else(|| (RuleId(Arc::from("")), fields.position));
    let named = Some(id.clone());
    Some(ReadOverlay {
        overlay: Overlay {
            patterns,
            artifacts,
            tags: tags.flatten(),
            when,
            denies: trust.is_some(),
            signatures: signatures.rule,
            attestations: attestations.iter().map(|read| read.rule.clone()).collect(),
            gates: each(&scans, |gate| gate.overlay.clone_from(&named)),
            configured: each(&configs, |gate| gate.overlay.clone_from(&named)),
            fresh: each(&fresh, |gate| gate.overlay.clone_from(&named)),
            mode,
            closes_on_error: closes,
            file: fields.position.file,
            id,
        },
        index,
        id_position,
        quorums: signatures.quorums,
        attestations,
    })
}

/// Copies of `gates`, each changed.
fn each<T: Clone>(gates: &[Arc<T>], change: impl Fn(&mut T)) -> Vec<Arc<T>> {
    let changed = |gate: &Arc<T>| {
        let mut gate = gate.as_ref().clone();
        change(&mut gate);
        Arc::new(gate)
    };
    gates.iter().map(changed).collect()
}

/// The overlay without the keys that only rules have; each is a problem.
fn without_rules_own(mut node: Node, path: &str, problems: &mut Problems) -> Node {
    use super::super::yaml::Content;
    if let Content::Map(entries) = &mut node.content {
        entries.retain(|entry| {
            let is_rules = RULES_OWN.contains(&entry.key.as_str());
            if is_rules {
                let text = "is for rules to say: an overlay only adds to what the rule asks, and \
                            admits nothing; remove it";
                problems.add(entry.position, &format!("{path}.{}", entry.key), text);
            }
            !is_rules
        });
    }
    node
}

/// What bills of materials list, all gates see: so they are not taken in addition.
fn takes_bills(gate: &ScanGate, fields: &Fields, problems: &mut Problems) {
    let text = format!(
        "\"{}\" takes bills of materials, by which every gate would go; name it in a rule",
        extract(&gate.name)
    );
    problems.add(fields.position, &fields.path_of("gates"), text);
}
