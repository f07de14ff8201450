//! The rules.

use std::sync::Arc;

use super::super::approval::ExceptionApproval;
use super::super::document::{ArtifactKind, Located, Rule, RuleId, Signer, Trust};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::pattern::Pattern;
use super::super::problem::Position;
use super::super::scanners::Scanners;
use super::super::tags::TagFilter;
use super::super::yaml::{Content, Node};
use super::attestations::{self, ReadAttestation};
use super::signatures::{self, ReadQuorum};
use super::{
    Defaults, approvals, checked_name, exception_approvals, floor, gates, isolation, modes,
    read_signer_change, read_tag_move,
};

/// Most rules in one policy.
pub(super) const RULES_MAX: usize = 5_000;

const RULE: Words = Words {
    known: &[
        "id",
        "match",
        "tags",
        "trust",
        "signatures",
        "attestations",
        "gates",
        "approval",
        "mode",
        "modeUntil",
        "onError",
        "signerChange",
        "tagMove",
        "exceptionApproval",
        "requires",
    ],
    later: &[
        ("maxWaiver", "it is called maxException, and stands at the top"),
        ("waivers", "they are called exceptions, and stand at the top"),
        ("when", "two rules for one image would leave open which applies; an overlay has it"),
    ],
};
const MATCH: Words = Words { known: &["images", "artifact"], later: &[] };
const TAGS: Words = Words { known: &["semver", "glob", "exact"], later: &[] };
/// The artifact type of Helm charts, for which rules may say `chart`.
const CHART: &str = "application/vnd.cncf.helm.config.v1+json";

/// What rules refer to by name, and who grants exceptions where they do not say so.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) gates: &'a [gates::Gate],
    pub(super) approvals: &'a approvals::Approvals,
    pub(super) signers: &'a [Signer],
    pub(super) granting: &'a Option<ExceptionApproval>,
}

/// A rule and where the document has the things that other checks speak of.
pub(super) struct ReadRule {
    pub(super) rule: Rule,
    pub(super) id_position: Position,
    pub(super) quorums: Vec<ReadQuorum>,
    pub(super) attestations: Vec<ReadAttestation>,
}

pub(super) fn read(
    node: Node,
    defaults: Defaults,
    named: Named<'_>,
    problems: &mut Problems,
) -> Vec<ReadRule> {
    let position = node.position;
    let items = fields::list(node, "rules", problems).unwrap_or_default();
    if items.len() > RULES_MAX {
        problems.add(position, "rules", format!("has more than {RULES_MAX} rules"));
        return Vec::new();
    }
    let numbered = items.into_iter().enumerate();
    numbered
        .filter_map(|(index, (node, path))| rule(index, node, &path, (defaults, named), problems))
        .collect()
}

fn rule(
    index: usize,
    node: Node,
    path: &str,
    (defaults, named): (Defaults, Named<'_>),
    problems: &mut Problems,
) -> Option<ReadRule> {
    let Named { gates, approvals, signers, granting } = named;
    let mut fields = Fields::of(node, path, RULE, problems)?;
    let id = read_id(&mut fields, problems);
    let matched = fields.require("match", "write match: [\"docker.io/library/*\"]", problems);
    let matched = matched.map(|node| read_match(node, &fields.path_of("match"), problems));
    let tags = fields.take("tags");
    let tags = tags.map(|node| read_tags(node, &fields.path_of("tags"), problems));
    let trust = read_trust(&mut fields, problems);
    let signatures = signatures::read(&mut fields, trust, problems);
    let attestations = attestations::read(&mut fields, trust, problems);
    let gates = gates::of_rule(&mut fields, trust, gates, problems);
    let scans = gates.scans.iter().map(|gate| &gate.scanners);
    let is_scanned_here = scans.clone().any(Scanners::are_asked_here);
    let asks = (trust, (scans.len() > 0, is_scanned_here));
    let approval = approvals::of_rule(&mut fields, asks, (approvals, signers), problems);
    let granting =
        exception_approvals::of_rule(&mut fields, trust, (approvals, granting), problems);
    let mode = modes::read(&mut fields, defaults.mode, problems);
    let tag_move = read_tag_move(&mut fields, problems).unwrap_or(defaults.tag_move);
    let signer_change = read_signer_change(&mut fields, problems).unwrap_or(defaults.signer_change);
    let on_error = defaults.errors.of_rule(&mut fields, problems);
    let isolation = isolation::of_rule(&mut fields, trust, problems);
    // What is missing from here on has been reported; the stand-ins only keep later checks going.
    let (patterns, artifacts) = matched.unwrap_or_default();
    let (id, id_position) = id.unwrap_or_else(|| (RuleId(Arc::from("")), fields.position));
    let signatures = signatures.unwrap_or_default();
    Some(ReadRule {
        rule: Rule {
            id,
            index,
            file: fields.position.file,
            patterns,
            artifacts,
            tags: tags.flatten(),
            trust: trust.unwrap_or(Trust::Deny),
            signatures: signatures.rule,
            attestations: attestations.iter().map(|read| read.rule.clone()).collect(),
            gates: gates.scans,
            configured: gates.configs,
            fresh: gates.fresh,
            approval: approval.policy,
            standing_approvals: approval.standing,
            carries: approval.carries,
            exception_approval: granting,
            mode,
            tag_move,
            signer_change,
            on_error,
            isolation,
        },
        id_position,
        quorums: signatures.quorums,
        attestations,
    })
}

/// The id of a rule or an overlay, and its place.
pub(super) fn read_id(fields: &mut Fields, problems: &mut Problems) -> Option<(RuleId, Position)> {
    let id = fields.require_text("id", "refusals and records name the rule by it", problems);
    id.and_then(|(id, position)| {
        let id = checked_name(id, position, &fields.path_of("id"), problems)?;
        Some((RuleId(Arc::from(id)), position))
    })
}

fn read_trust(fields: &mut Fields, problems: &mut Problems) -> Option<Trust> {
    const HINT: &str = "write allow (no human needed), approve (a person decides) or deny";
    let path = fields.path_of("trust");
    let before = problems.0.len();
    let choices = [("allow", Trust::Allow), ("approve", Trust::Approve), ("deny", Trust::Deny)];
    let trust = fields.choice("trust", &choices, &[], problems);
    if trust.is_none() && problems.0.len() == before {
        problems.add(fields.position, &path, format!("is missing; {HINT}"));
    }
    trust
}

/// The patterns, and the kinds of artifacts if the rule names some.
pub(super) fn read_match(
    node: Node,
    path: &str,
    problems: &mut Problems,
) -> (Vec<Located<Pattern>>, Vec<ArtifactKind>) {
    if !matches!(node.content, Content::Map(_)) {
        return (read_patterns(fields::list(node, path, problems), problems), Vec::new());
    }
    let Some(mut fields) = Fields::of(node, path, MATCH, problems) else {
        return (Vec::new(), Vec::new());
    };
    let images = fields.require("images", "write images: [\"docker.io/library/*\"]", problems);
    let images = images.and_then(|node| fields::list(node, &fields.path_of("images"), problems));
    let mut artifacts = Vec::new();
    for (text, position, path) in fields.texts("artifact", problems).unwrap_or_default() {
        match artifact_kind(&text) {
            Some(kind) if !artifacts.contains(&kind) => artifacts.push(kind),
            Some(_) => problems.add(position, &path, "is listed twice; keep one"),
            None => problems.add(
                position,
                &path,
                format!(
                    "\"{}\" is not image, chart or an artifact type such as application/x.y",
                    fields::extract(&text)
                ),
            ),
        }
    }
    (read_patterns(images, problems), artifacts)
}

pub(super) fn artifact_kind(text: &str) -> Option<ArtifactKind> {
    match text {
        "image" => Some(ArtifactKind::Image),
        "chart" => Some(ArtifactKind::Type(CHART.to_owned())),
        _ => {
            let (kind, name) = text.split_once('/')?;
            let plain = |part: &str| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
            };
            (plain(kind) && plain(name)).then(|| ArtifactKind::Type(text.to_ascii_lowercase()))
        }
    }
}

/// The patterns of names in `items`.
pub(super) fn read_patterns(
    items: Option<Vec<(Node, String)>>,
    problems: &mut Problems,
) -> Vec<Located<Pattern>> {
    let mut patterns = Vec::new();
    for (text, position, path) in fields::texts(items.unwrap_or_default(), problems) {
        match Pattern::of_names(&text) {
            Ok(value) => patterns.push(Located { value, position }),
            Err(error) => {
                problems.add(position, &path, format!("\"{}\": {error}", fields::extract(&text)));
            }
        }
    }
    patterns
}

pub(super) fn read_tags(node: Node, path: &str, problems: &mut Problems) -> Option<TagFilter> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, path, TAGS, problems)?;
    let semver = fields.text("semver", problems);
    let globs = fields.texts("glob", problems);
    let exact = fields.texts("exact", problems);
    match (semver, globs, exact) {
        (Some((text, position)), None, None) => match semver::VersionReq::parse(&text) {
            Ok(range) => Some(TagFilter::Semver(range)),
            Err(error) => {
                let text =
                    format!("\"{}\" is not a range of versions: {error}", fields::extract(&text));
                problems.add(position, &fields.path_of("semver"), text);
                None
            }
        },
        (None, Some(globs), None) => Some(TagFilter::Glob(floor::tag_patterns(globs, problems))),
        (None, None, Some(exact)) => Some(TagFilter::Exact(floor::parsed(exact, problems))),
        (None, None, None) if problems.0.len() > before => None,
        _ => {
            let text = "takes exactly one of semver: \">=1.2, <2\", glob: [...], exact: [...]";
            problems.add(fields.position, path, text);
            None
        }
    }
}
