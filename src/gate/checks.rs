//! The checks, one function each: what it saw, and what speaks against serving.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Applicable;
use super::text::{ascii, day, few, size};
use super::{
    Carried, Check, CheckState, Context, Evidence, EvidenceKind, Excepted, Gathered, ManifestFacts,
    Passed, Reason, ReasonCode, Silenced, Standing, Subject,
};
use crate::oci::{Digest, MediaType, Name, Platform};
use crate::policy::{Artifact, Demands, Outright, OutrightCause, Policy, Rule, Trust};
use crate::time::Timestamp;

/// What one check found.
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) reasons: Vec<Reason>,
    /// Until when it holds; `None` is for as long as the evidence does.
    pub(super) until: Option<Timestamp>,
    /// When the first of what people granted ends that it rests on: an exception, an approval.
    pub(super) rests_until: Option<Timestamp>,
    /// What VEX documents took away.
    pub(super) silenced: Vec<Silenced>,
    /// What exceptions took out.
    pub(super) excepted: Vec<Excepted>,
    /// What gates let pass.
    pub(super) passed: Option<Box<Passed>>,
    /// The earliest moment at which the subject is proven to have existed, by somebody who counts.
    pub(super) existed_at: Option<Timestamp>,
    /// The same of single images that an index lists.
    pub(super) images_existed_at: BTreeMap<Digest, Timestamp>,
    /// Whose approval it rests on, where that is another subject's.
    pub(super) carried: Option<Box<Carried>>,
    /// Reasons that a signature which comes later could end.
    pub(super) awaits_signature: BTreeSet<ReasonCode>,
    /// Since when something is known that nobody was shown who approved it.
    pub(super) unseen: BTreeMap<String, Timestamp>,
}

impl Finding {
    pub(super) fn new(name: &str, state: CheckState, text: impl Into<String>) -> Self {
        let check = Check { name: name.to_owned(), state, text: text.into() };
        Self {
            check,
            reasons: Vec::new(),
            until: None,
            rests_until: None,
            silenced: Vec::new(),
            excepted: Vec::new(),
            passed: None,
            carried: None,
            existed_at: None,
            images_existed_at: BTreeMap::new(),
            awaits_signature: BTreeSet::new(),
            unseen: BTreeMap::new(),
        }
    }

    /// A finding that passes if there are no `reasons`, and fails with all of them otherwise.
    fn of(name: &str, reasons: Vec<Reason>, passed: &str) -> Self {
        let texts = reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>();
        let (state, text) = if texts.is_empty() {
            (CheckState::Pass, passed.to_owned())
        } else {
            (CheckState::Fail, texts.join("; "))
        };
        Self { reasons, ..Self::new(name, state, text) }
    }

    pub(super) fn denies(&self) -> bool {
        self.check.state == CheckState::Fail
    }
}

/// What a check came to that may need evidence.
#[expect(clippy::large_enum_variant, reason = "nearly all are findings, and each is taken at once")]
pub(super) enum Checked {
    /// The evidence could not be had; why.
    Failed(String),
    Finding(Finding),
    /// This is needed.
    Missing(EvidenceKind),
    /// It is not asked for, or nothing hangs on it.
    Nothing,
}

pub(super) fn reason(code: ReasonCode, text: &str, remedy: impl Into<String>) -> Reason {
    Reason { code, text: ascii(text), remedy: remedy.into() }
}

/// The lists of the floor, which nothing loosens: registries and denied images.
pub(super) fn floor(
    subject: &Subject,
    evidence: &Evidence,
    policy: &Policy,
    outright: Option<&Outright>,
) -> Finding {
    const REMEDY: &str =
        "The policy would have to drop it from floor.denyImages; no approval overrides that list.";
    let mut reasons = Vec::new();
    if let Some(outright) = outright.filter(|found| found.cause == OutrightCause::Registry) {
        reasons.push(registry_not_allowed(&outright.text, &subject.name));
    }
    if let Some(why) = policy.denied_image(&subject.digest) {
        reasons.push(reason(ReasonCode::DeniedImage, &format!("denied image: {why}"), REMEDY));
    }
    // A child is served on the word of its index, so an index falls with any of its children.
    let children = evidence.manifest.found().map_or(&[][..], |facts| &facts.children);
    for child in children {
        if let Some(why) = policy.denied_image(child) {
            let text = format!("lists denied image {}: {why}", child.short());
            reasons.push(reason(ReasonCode::DeniedImage, &text, REMEDY));
        }
    }
    Finding::of("floor", reasons, "registry listed, image not denied")
}

pub(super) fn registry_not_allowed(text: &str, name: &Name) -> Reason {
    let remedy = format!("The policy would have to list {} in floor.registries.", name.registry());
    reason(ReasonCode::RegistryNotAllowed, text, remedy)
}

/// The rule that applies, and whether it lets anything be served.
pub(super) fn allowlist(
    subject: &Subject,
    applicable: Applicable<'_>,
    outright: Option<&Outright>,
) -> Finding {
    const NAME: &str = "allowlist";
    let name = &subject.name;
    if let Some(outright) = outright {
        return match outright.cause {
            OutrightCause::NoRule => Finding::of(NAME, vec![no_rule(&outright.text, name)], ""),
            OutrightCause::Registry => Finding::new(
                NAME,
                CheckState::NotLooked,
                "not looked at: the floor refuses the registry",
            ),
            OutrightCause::Rule => Finding::of(NAME, vec![denied_by_rule(&outright.text)], ""),
        };
    }
    match applicable {
        Applicable::Unsettled => {
            Finding::new(NAME, CheckState::NotLooked, "not settled: content not read")
        }
        Applicable::None => {
            let text = format!("no rule lists this kind or tag of {name}");
            Finding::of(NAME, vec![no_rule(&text, name)], "")
        }
        Applicable::Rule(rule) if rule.trust() == Trust::Deny => {
            Finding::of(NAME, vec![denied_by_rule(&format!("{name} is not served"))], "")
        }
        Applicable::Rule(rule) => {
            let patterns: Vec<&str> = rule.patterns().map(crate::policy::Pattern::as_str).collect();
            let text = format!("rule {} matches ({})", rule.id(), few(&patterns));
            Finding::new(NAME, CheckState::Pass, text)
        }
    }
}

pub(super) fn no_rule(text: &str, name: &Name) -> Reason {
    let remedy = format!("The policy would need a rule whose match covers {name}.");
    reason(ReasonCode::NoRule, text, remedy)
}

pub(super) fn denied_by_rule(text: &str) -> Reason {
    let remedy = "The rule would have to say trust: allow or trust: approve, or a more specific rule would have to.";
    reason(ReasonCode::DeniedByRule, text, remedy)
}

/// The overlays that let nothing be served.
pub(super) fn overlays(
    subject: &Subject,
    _evidence: &Evidence,
    _context: &Context<'_>,
    demands: &Demands<'_>,
    _certain: bool,
) -> Checked {
    let denying = demands.overlays().iter().filter(|overlay| overlay.denies());
    let reasons: Vec<Reason> = denying
        .map(|overlay| {
            let text = format!("overlay {}: {} is not served", overlay.id(), subject.name);
            let remedy = format!("The policy would have to do without overlay {}.", overlay.id());
            reason(ReasonCode::DeniedByRule, &text, remedy)
        })
        .collect();
    if reasons.is_empty() {
        return Checked::Nothing;
    }
    Checked::Finding(Finding::of("overlays", reasons, ""))
}

/// What the manifest says, against the floor's bounds.
pub(super) fn manifest(manifest: &Gathered<ManifestFacts>, policy: &Policy) -> Finding {
    const NAME: &str = "manifest";
    match manifest {
        Gathered::Absent => {
            let remedy = "The upstream registry would have to have it.";
            let absent = reason(ReasonCode::NotFound, "upstream does not have it", remedy);
            Finding::of(NAME, vec![absent], "")
        }
        Gathered::Failed(why) => Finding::new(NAME, CheckState::Failed, why),
        Gathered::NotGathered => Finding::new(NAME, CheckState::NotLooked, "not looked at"),
        Gathered::Found(facts) => Finding::of(NAME, against(facts, policy), &describe(facts)),
    }
}

fn describe(facts: &ManifestFacts) -> String {
    let what = match (facts.artifact(), facts.is_index) {
        (Artifact::Other(artifact_type), _) => {
            format!("artifact of type {}", MediaType::new(artifact_type).shown())
        }
        (Artifact::Image, true) => format!("index of {}", platforms(&facts.platforms)),
        (Artifact::Image, false) => format!("image for {}", platforms(&facts.platforms)),
    };
    format!("{what}, {} layers, {}", facts.layers, size(facts.image_bytes))
}

fn platforms(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no stated platform".to_owned();
    }
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn against(facts: &ManifestFacts, policy: &Policy) -> Vec<Reason> {
    const REBUILD: &str = "The image would have to be built and pushed anew.";
    if facts.media_type.is_schema1() {
        let text = "manifest schema 1 is retired and cannot be verified";
        return vec![reason(ReasonCode::Schema1, text, REBUILD)];
    }
    if let Some(why) = &facts.malformed {
        return vec![reason(ReasonCode::Malformed, why, REBUILD)];
    }
    let mut reasons = Vec::new();
    if let Some(layer) = facts.foreign_layer {
        let text = format!("layer {} is meant to be fetched around the mirror", layer.short());
        let remedy = "The image would have to be pushed with all its layers.";
        reasons.push(reason(ReasonCode::ForeignLayer, &text, remedy));
    }
    let limits = policy.limits();
    let bounds = [
        (
            ReasonCode::ManifestTooLarge,
            "manifest",
            facts.size,
            limits.manifest_bytes,
            "manifestBytes",
        ),
        (
            ReasonCode::ImageTooLarge,
            "image",
            facts.image_bytes,
            limits.image_bytes.unwrap_or(u64::MAX),
            "imageBytes",
        ),
    ];
    for (code, what, is, most, key) in bounds {
        if is > most {
            let text = format!("{what} has {}, the policy allows {}", size(is), size(most));
            let remedy = format!("floor.limits.{key} would have to be at least {is}B.");
            reasons.push(reason(code, &text, remedy));
        }
    }
    if facts.layers > limits.layers {
        let text = format!("{} layers, the policy allows {}", facts.layers, limits.layers);
        let remedy = format!("floor.limits.layers would have to be at least {}.", facts.layers);
        reasons.push(reason(ReasonCode::TooManyLayers, &text, remedy));
    }
    let allowed = policy.platforms();
    let runs = |allowed: &Platform| facts.platforms.iter().any(|platform| allowed.covers(platform));
    let is_image = facts.artifact() == Artifact::Image;
    if is_image && !allowed.is_empty() && !allowed.iter().any(runs) {
        let text = format!("not for any allowed platform, but for {}", platforms(&facts.platforms));
        let remedy = "floor.platforms would have to list one of its platforms.";
        reasons.push(reason(ReasonCode::PlatformNotAllowed, &text, remedy));
    }
    reasons
}

/// What people said, and whether the rule asks them.
pub(super) fn approval(
    applicable: Applicable<'_>,
    standing: Option<&Standing>,
    now: Timestamp,
) -> Finding {
    const NAME: &str = "approval";
    let asking = match applicable {
        Applicable::Rule(rule) if rule.trust() != Trust::Approve => Applicable::None,
        Applicable::Rule(_) | Applicable::None | Applicable::Unsettled => applicable,
    };
    match (standing, asking) {
        (Some(Standing::Rejected { by, at, reason: why }), _) => {
            let text = format!("rejected {}: {why}", day(*at));
            Finding::of(NAME, vec![by_people(ReasonCode::Rejected, &text, by)], "")
        }
        (Some(Standing::Revoked { by, at, reason: why }), _) => {
            let text = format!("revoked {}: {why}", day(*at));
            Finding::of(NAME, vec![by_people(ReasonCode::Revoked, &text, by)], "")
        }
        (_, Applicable::Unsettled) => Finding::new(NAME, CheckState::NotLooked, "not looked at"),
        (Some(Standing::Approved { by, .. }), Applicable::None) => {
            let text = format!("not asked for (an approval by {by} is on record)");
            Finding::new(NAME, CheckState::NotAsked, text)
        }
        (None, Applicable::None) => Finding::new(NAME, CheckState::NotAsked, "not asked for"),
        (
            Some(Standing::Approved { by, at, expires: Some(expires), .. }),
            Applicable::Rule(rule),
        ) if *expires <= now => {
            let text = format!("approval by {by} of {} ran out {}", day(*at), day(*expires));
            waiting(ReasonCode::ApprovalExpired, &text, rule)
        }
        (Some(Standing::Approved { by, at, expires, voters, .. }), Applicable::Rule(rule)) => {
            let needed = rule.approval().map_or(1, |approval| approval.quorum());
            if voters.len().max(1) < needed {
                let text =
                    format!("approved by too few for rule {}: it asks {needed} people", rule.id());
                return waiting(ReasonCode::ApprovalNeeded, &text, rule);
            }
            let by = if voters.is_empty() { by.clone() } else { voters.join(", ") };
            let until = expires.map(|expires| format!(" until {}", day(expires)));
            let text = format!("by {by} on {}{}", day(*at), until.unwrap_or_default());
            Finding { rests_until: *expires, ..Finding::new(NAME, CheckState::Pass, text) }
        }
        (None, Applicable::Rule(rule)) => {
            let text = format!("rule {} asks for approval", rule.id());
            waiting(ReasonCode::ApprovalNeeded, &text, rule)
        }
    }
}

fn waiting(code: ReasonCode, text: &str, rule: &Rule) -> Finding {
    let who = rule.approval().map_or_else(
        || "Someone would have to approve this digest".to_owned(),
        |approval| format!("This digest would have to be approved by {approval}"),
    );
    let remedy = format!("{who} (rule {}).", rule.id());
    let mut finding = Finding::new("approval", CheckState::Waiting, text);
    finding.reasons.push(reason(code, text, remedy));
    finding
}

fn by_people(code: ReasonCode, text: &str, by: &str) -> Reason {
    let remedy = format!("{by} or another admin would have to approve or reinstate this digest.");
    reason(code, text, remedy)
}
