//! What a policy says about one repository, digest or tag.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::lately::Applied;
use super::pattern::Rank;
use super::{
    Artifact, Exception, FloorLimits, Mode, Outright, OutrightCause, Pattern, Policy, PolicyId,
    Rule, Signer, TagFilter, TagMove, Trust, TrustRoot,
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
        self.applied(name).mode
    }

    /// What happens when a tag of `name` moves; where several rules could apply, `Strict` wins.
    pub fn tag_move(&self, name: &Name) -> TagMove {
        self.applied(name).tag_move
    }

    /// Why nothing of `name` may be served, when that is certain without a look at the content.
    pub fn refuses_outright(&self, name: &Name) -> Option<Outright> {
        self.applied(name).outright.clone()
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
        let applied = self.applied(name);
        applied.ranked.iter().filter_map(|place| self.rules.get(*place)).find(|rule| {
            let kinds = &rule.artifacts;
            let is_kind = kinds.is_empty() || kinds.iter().any(|kind| kind.covers(artifact));
            let has_tag = |filter| tags.iter().any(|tag| TagFilter::matches(filter, tag));
            is_kind && rule.tags.as_ref().is_none_or(has_tag)
        })
    }

    /// The exceptions that speak of the manifest `digest` of `name`, and the longest time for which one is
    /// in force; whether one is in force now is not looked at.
    pub fn exceptions_for(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> (impl Iterator<Item = &Exception>, Duration) {
        let (name, digest) = (name.clone(), *digest);
        let found = self.exceptions.iter().filter(move |it| it.covers(&name, &digest));
        (found, self.exception_time_max)
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

    /// The trust roots, in the order of the document.
    pub fn trust_roots(&self) -> &[TrustRoot] {
        &self.trust_roots
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
        let applied = self.applied(name);
        let places = applied.ranked.iter().take(applied.candidates);
        places.filter_map(|place| self.rules.get(*place)).collect()
    }

    /// What the policy says about `name`, whatever of it is asked for.
    fn applied(&self, name: &Name) -> Arc<Applied> {
        self.lately.of(name, || self.work_out(name))
    }

    fn work_out(&self, name: &Name) -> Applied {
        let ranked = self.ranked(name);
        let unconditional = ranked.iter().position(|(_, _, rule)| rule.is_unconditional());
        let count = unconditional.map_or(ranked.len(), |place| place + 1);
        let candidates: Vec<&Rule> = ranked.iter().take(count).map(|(_, _, rule)| *rule).collect();
        let mode = self.mode_by(name, &candidates);
        Applied {
            mode,
            tag_move: self.tag_move_by(&candidates),
            outright: self.outright_by(name, &candidates, mode),
            candidates: count,
            ranked: ranked.into_iter().map(|(_, place, _)| place).collect(),
        }
    }

    fn mode_by(&self, name: &Name, candidates: &[&Rule]) -> Mode {
        if !self.lists(name.registry()) {
            return self.mode;
        }
        let every_audits = candidates.iter().all(|rule| rule.mode == Mode::Audit);
        let rest_audits = decides_alone(candidates) || self.mode == Mode::Audit;
        if every_audits && rest_audits { Mode::Audit } else { Mode::Enforce }
    }

    fn tag_move_by(&self, candidates: &[&Rule]) -> TagMove {
        let strict = candidates.iter().any(|rule| rule.tag_move == TagMove::Strict)
            || (!decides_alone(candidates) && self.tag_move == TagMove::Strict);
        if strict { TagMove::Strict } else { TagMove::HoldNew }
    }

    fn outright_by(&self, name: &Name, candidates: &[&Rule], mode: Mode) -> Option<Outright> {
        let enforced = self.mode == Mode::Enforce;
        if !self.lists(name.registry()) {
            let text = format!("{} is not among the policy's registries", name.registry());
            return Some(Outright { cause: OutrightCause::Registry, rule: None, text, enforced });
        }
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
            enforced: mode == Mode::Enforce,
        })
    }

    /// The rules with a pattern that covers `name` and their places, most specific first.
    fn ranked(&self, name: &Name) -> Vec<((Rank, u8, bool), usize, &Rule)> {
        let text = name.to_string();
        let mut ranked = Vec::new();
        for (place, rule) in self.rules.iter().enumerate() {
            let patterns = rule.patterns().filter(|pattern| pattern.matches(&text));
            if let Some(rank) = patterns.map(Pattern::rank).max() {
                let rank = (rank, rule.tag_rank(), !rule.artifacts.is_empty());
                ranked.push((rank, place, rule));
            }
        }
        ranked.sort_by_key(|(rank, _, _)| Reverse(*rank));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rest: &str) -> Policy {
        let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";
        let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Policy::parse(&format!("{head}{rest}"), &no_files).unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn audit_holds_only_when_every_possible_outcome_is_audited() {
        let policy = policy(
            r#"
floor: {registries: [up.test]}
rules:
- {id: a, match: ["up.test/a/*"], trust: allow, mode: audit}
- {id: b, match: ["up.test/a/b"], trust: allow}
- {id: c, match: ["up.test/c"], tags: {exact: [x]}, trust: allow, mode: audit}
- {id: d, match: ["up.test/d"], trust: allow, mode: audit}
- {id: e, match: ["up.test/d"], tags: {exact: [x]}, trust: deny}
"#,
        );
        for (text, expected) in [
            ("up.test/a/x", Mode::Audit),
            ("up.test/a/b", Mode::Enforce),
            ("up.test/c", Mode::Enforce),
            ("up.test/d", Mode::Enforce),
            ("up.test/none", Mode::Enforce),
            ("evil.test/a/x", Mode::Enforce),
        ] {
            assert_eq!(policy.mode_for(&name(text)), expected, "{text}");
        }
    }

    #[test]
    fn only_what_is_certain_is_refused_outright() {
        let policy = policy(
            r#"
floor: {registries: [up.test], forbidTags: [latest, "nightly-*"]}
rules:
- {id: a, match: ["up.test/a/**"], trust: deny}
- {id: b, match: ["up.test/a/b/*"], tags: {exact: [x]}, trust: allow}
- {id: c, match: {images: ["up.test/c"], artifact: [chart]}, trust: deny}
"#,
        );
        for (text, cause, rule) in [
            ("up.test/a/x", Some(OutrightCause::Rule), Some("a")),
            ("up.test/a/b/x", None, None),
            ("up.test/c", Some(OutrightCause::Rule), Some("c")),
            ("up.test/none", Some(OutrightCause::NoRule), None),
            ("evil.test/a", Some(OutrightCause::Registry), None),
        ] {
            let found = policy.refuses_outright(&name(text));
            assert_eq!(found.as_ref().map(|found| found.cause), cause, "{text}");
            let by = found.and_then(|found| found.rule);
            assert_eq!(by.as_ref().map(super::super::RuleId::as_str), rule, "{text}");
        }
        for (tag, expected) in [("latest", true), ("nightly-1", true), ("1.0", false)] {
            assert_eq!(policy.refuses_tag(&tag.parse().unwrap()), expected, "{tag}");
        }
    }

    #[test]
    fn a_tag_that_moved_is_refused_where_any_rule_that_could_apply_says_so() {
        let policy = policy(
            r#"
rules:
- {id: a, match: ["up.test/a"], trust: allow}
- {id: b, match: ["up.test/a"], tags: {exact: [x]}, trust: allow, tagMove: strict}
- {id: c, match: ["up.test/c"], trust: allow}
"#,
        );
        assert_eq!(policy.tag_move(&name("up.test/a")), TagMove::Strict);
        assert_eq!(policy.tag_move(&name("up.test/c")), TagMove::HoldNew);
    }
}
