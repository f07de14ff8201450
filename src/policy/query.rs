//! What a policy says about one repository, digest or tag.

use std::cmp::Reverse;

use super::pattern::Rank;
use super::{
    Artifact, FloorLimits, Mode, Outright, OutrightCause, Pattern, Policy, PolicyId, Rule, Signer,
    TagFilter, TagMove, Trust,
};
use crate::oci::{Digest, Name, Platform, Registry, Tag};

impl Policy {
    /// The name of the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision, which grows from one version of a policy to the next.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The hash of the policy's text and of every file it refers to.
    pub fn id(&self) -> &PolicyId {
        &self.id
    }

    /// The mode of what no rule speaks of, and of the floor's lists.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The mode that applies to pulls of `name` before it is known which rule applies: `Audit` only
    /// when every possible outcome is in audit mode.
    ///
    /// [`Policy::denied_image`] follows [`Policy::mode`] instead: no rule loosens the floor.
    pub fn mode_for(&self, name: &Name) -> Mode {
        if !self.lists(name.registry()) {
            return self.mode;
        }
        let candidates = self.candidates(name);
        let every_audits = candidates.iter().all(|rule| rule.mode == Mode::Audit);
        let rest_audits = decides_alone(&candidates) || self.mode == Mode::Audit;
        if every_audits && rest_audits { Mode::Audit } else { Mode::Enforce }
    }

    /// What happens when a tag of `name` moves; where several rules could apply, `Strict` wins.
    pub fn tag_move(&self, name: &Name) -> TagMove {
        let candidates = self.candidates(name);
        let strict = candidates.iter().any(|rule| rule.tag_move == TagMove::Strict)
            || (!decides_alone(&candidates) && self.tag_move == TagMove::Strict);
        if strict { TagMove::Strict } else { TagMove::HoldNew }
    }

    /// Why nothing of `name` may be served, when that is certain without a look at the content.
    pub fn refuses_outright(&self, name: &Name) -> Option<Outright> {
        let enforced = self.mode == Mode::Enforce;
        if !self.lists(name.registry()) {
            let text = format!("{} is not among the policy's registries", name.registry());
            return Some(Outright { cause: OutrightCause::Registry, rule: None, text, enforced });
        }
        let candidates = self.candidates(name);
        let Some(first) = candidates.first() else {
            let text = format!("no rule lists {name}");
            return Some(Outright { cause: OutrightCause::NoRule, rule: None, text, enforced });
        };
        if candidates.iter().any(|rule| rule.trust != Trust::Deny) {
            return None;
        }
        Some(Outright {
            cause: OutrightCause::Rule,
            rule: Some(first.id.clone()),
            text: format!("nothing of {name} is served"),
            enforced: self.mode_for(name) == Mode::Enforce,
        })
    }

    /// Whether asking by `tag` is forbidden. The same content asked by digest is not.
    pub fn refuses_tag(&self, tag: &Tag) -> bool {
        self.floor.forbidden_tags.iter().any(|pattern| pattern.matches(tag.as_str()))
    }

    /// Why the manifest `digest` is refused under every rule and approval, if it is.
    pub fn denied_image(&self, digest: &Digest) -> Option<&str> {
        let denied = self.floor.denied_images.iter().find(|denied| denied.digest == *digest);
        denied.map(|denied| denied.reason.as_str())
    }

    /// The one rule that applies to an artifact of `name` to which `tags` resolved.
    pub fn rule_for(&self, name: &Name, artifact: Artifact<'_>, tags: &[Tag]) -> Option<&Rule> {
        self.ranked(name).into_iter().map(|(_, rule)| rule).find(|rule| {
            let kinds = &rule.artifacts;
            let is_kind = kinds.is_empty() || kinds.iter().any(|kind| kind.covers(artifact));
            let has_tag = |filter| tags.iter().any(|tag| TagFilter::matches(filter, tag));
            is_kind && rule.tags.as_ref().is_none_or(has_tag)
        })
    }

    /// The platforms that images may be served for; none listed is all.
    pub fn platforms(&self) -> &[Platform] {
        &self.floor.platforms
    }

    /// The bounds that hold under every rule.
    pub fn limits(&self) -> &FloorLimits {
        &self.floor.limits
    }

    /// The signers, in the order of the document.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The signer of that name.
    pub fn signer(&self, name: &str) -> Option<&Signer> {
        self.signers.iter().find(|signer| signer.name == name)
    }

    /// The rules, in the order of the document.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The registries that may be served from; `None` is every registry that a rule matches.
    pub fn registries(&self) -> Option<&[Registry]> {
        self.floor.registries.as_deref()
    }

    fn lists(&self, registry: &Registry) -> bool {
        self.floor.registries.as_ref().is_none_or(|listed| listed.contains(registry))
    }

    /// The rules that could apply to content of `name`, most specific first.
    pub fn candidates(&self, name: &Name) -> Vec<&Rule> {
        let mut candidates = Vec::new();
        for (_, rule) in self.ranked(name) {
            candidates.push(rule);
            if rule.is_unconditional() {
                break;
            }
        }
        candidates
    }

    /// The rules with a pattern that covers `name`, most specific first.
    fn ranked(&self, name: &Name) -> Vec<((Rank, u8, bool), &Rule)> {
        let text = name.to_string();
        let mut ranked = Vec::new();
        for rule in &self.rules {
            let patterns = rule.patterns().filter(|pattern| pattern.matches(&text));
            if let Some(rank) = patterns.map(Pattern::rank).max() {
                ranked.push(((rank, rule.tag_rank(), !rule.artifacts.is_empty()), rule));
            }
        }
        ranked.sort_by_key(|(rank, _)| Reverse(*rank));
        ranked
    }
}

/// Whether one of `candidates` is sure to apply, so that "no rule" cannot come about.
fn decides_alone(candidates: &[&Rule]) -> bool {
    candidates.last().is_some_and(|rule| rule.is_unconditional())
}

impl Rule {
    /// Whether the rule applies to everything in the repositories it matches.
    fn is_unconditional(&self) -> bool {
        self.tags.is_none() && self.artifacts.is_empty()
    }

    pub(super) fn tag_rank(&self) -> u8 {
        self.tags.as_ref().map_or(0, TagFilter::rank)
    }
}
