//! What a policy says about one repository, digest or tag.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::lately::Applied;
use super::pattern::Rank;
use super::{
    Artifact, Exception, FloorLimits, Mode, Outright, OutrightCause, Pattern, Policy, PolicyId,
    Rule, ScanLimits, Signer, TagFilter, TagMove, Trust, TrustRoot,
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

    /// How much of the images of `name` is read: the most that a gate of a rule allows that could apply.
    pub fn scan_limits(&self, name: &Name) -> ScanLimits {
        let candidates = self.candidates(name);
        let gates = candidates.iter().flat_map(|rule| rule.gates());
        gates.fold(ScanLimits::default(), |limits, gate| limits.or_larger(gate.limits))
    }

    /// The scanners beside the one inside that gates may ask about `name`, each with how old what it says
    /// may be.
    pub fn other_scanners(&self, name: &Name) -> BTreeMap<String, Duration> {
        let candidates = self.candidates(name);
        let mut asked = BTreeMap::new();
        for gate in candidates.iter().flat_map(|rule| rule.gates()) {
            for scanner in gate.scanners.of_settings() {
                let age = asked.entry(scanner.to_owned()).or_insert(gate.report_age_max);
                *age = gate.report_age_max.min(*age);
            }
        }
        asked
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
    pub(super) fn ranked(&self, name: &Name) -> Vec<((Rank, u8, bool), usize, &Rule)> {
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
        let files = |_: &std::path::Path| Ok(Vec::new());
        Policy::parse(&format!("{head}{rest}"), &files).unwrap()
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

    const RANKED: &str = r#"
rules:
- {id: all, match: ["**"], trust: deny}
- {id: wide, match: ["up.test/**"], trust: allow}
- {id: app, match: ["up.test/app", "up.test/charts"], trust: approve}
- {id: range, match: ["up.test/app"], tags: {semver: ">=1.5"}, trust: allow}
- {id: exact, match: ["up.test/app"], tags: {exact: ["1.0", "1.5.0"]}, trust: allow}
- {id: chart, match: {images: ["up.test/charts"], artifact: [chart]}, trust: allow}
- {id: image, match: {images: ["up.test/kinds"], artifact: [image]}, trust: allow}
"#;
    const CHART: Artifact<'_> = Artifact::Other("application/vnd.cncf.helm.config.v1+json");

    #[test]
    fn the_most_specific_rule_of_what_it_is_and_is_called_applies() {
        let policy = policy(RANKED);
        let other = Artifact::Other("application/vnd.other+json");
        for (text, artifact, tags, expected) in [
            ("a.test/x", Artifact::Image, &[][..], Some("all")),
            ("up.test/x", Artifact::Image, &[], Some("wide")),
            ("up.test/app", Artifact::Image, &[], Some("app")),
            ("up.test/app", Artifact::Image, &["1.0"], Some("exact")),
            ("up.test/app", Artifact::Image, &["0.1", "1.0"], Some("exact")),
            ("up.test/app", Artifact::Image, &["0.1"], Some("app")),
            ("up.test/app", Artifact::Image, &["1.6.0"], Some("range")),
            ("up.test/app", Artifact::Image, &["1.5.0"], Some("exact")),
            ("up.test/app", CHART, &["1.6.0"], Some("range")),
            ("up.test/charts", CHART, &["1.0"], Some("chart")),
            ("up.test/charts", other, &[], Some("app")),
            ("up.test/charts", Artifact::Image, &[], Some("app")),
            ("up.test/kinds", Artifact::Image, &[], Some("image")),
            ("up.test/kinds", CHART, &["y"], Some("wide")),
        ] {
            let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            let rule = policy.rule_for(&name(text), artifact, &tags);
            assert_eq!(
                rule.map(|rule| rule.id().as_str()),
                expected,
                "{text} {artifact:?} {tags:?}"
            );
        }
        for (text, expected) in [
            ("up.test/app", &["exact", "range", "app"][..]),
            ("up.test/charts", &["chart", "app"]),
            ("up.test/kinds", &["image", "wide"]),
            ("a.test/x", &["all"]),
        ] {
            let candidates = policy.candidates(&name(text));
            let ids: Vec<&str> = candidates.iter().map(|rule| rule.id().as_str()).collect();
            assert_eq!(ids, expected, "{text}");
        }
        let some = self::policy("rules: [{id: a, match: [\"up.test/a\"], trust: allow}]");
        assert!(some.candidates(&name("up.test/b")).is_empty());
        assert!(some.rule_for(&name("up.test/b"), Artifact::Image, &[]).is_none());
    }

    #[test]
    fn the_mode_is_that_of_everything_that_could_come_about() {
        let rules = r#"
floor: {registries: [up.test]}
rules:
- {id: some, match: ["up.test/some"], tags: {exact: [x]}, trust: allow, mode: audit}
- {id: firm, match: ["up.test/firm"], tags: {exact: [x]}, trust: allow, mode: enforce}
- {id: rest, match: ["up.test/firm"], trust: deny, mode: audit}
- {id: shut, match: ["up.test/shut"], trust: deny, mode: audit}
- {id: lock, match: ["up.test/lock"], trust: deny, mode: enforce}
"#;
        let enforcing = policy(rules);
        let auditing = policy(&format!("mode: audit{rules}"));
        for (text, by_enforcing, by_auditing, cause) in [
            ("up.test/some", Mode::Enforce, Mode::Audit, None),
            ("up.test/firm", Mode::Enforce, Mode::Enforce, None),
            ("up.test/shut", Mode::Audit, Mode::Audit, Some(OutrightCause::Rule)),
            ("up.test/lock", Mode::Enforce, Mode::Enforce, Some(OutrightCause::Rule)),
            ("up.test/none", Mode::Enforce, Mode::Audit, Some(OutrightCause::NoRule)),
            ("evil.test/a", Mode::Enforce, Mode::Audit, Some(OutrightCause::Registry)),
        ] {
            for (policy, mode) in [(&enforcing, by_enforcing), (&auditing, by_auditing)] {
                assert_eq!(policy.mode_for(&name(text)), mode, "{text} {:?}", policy.mode());
                let found = policy.refuses_outright(&name(text));
                assert_eq!(found.as_ref().map(|found| found.cause), cause, "{text}");
                let enforced = found.map(|found| found.enforced);
                let expected = cause.map(|_| mode == Mode::Enforce);
                assert_eq!(enforced, expected, "{text} {:?}", policy.mode());
            }
        }
    }

    #[test]
    fn tags_may_move_where_every_rule_that_could_apply_lets_them() {
        let rules = r#"
rules:
- {id: some, match: ["up.test/some"], tags: {exact: [x]}, trust: allow, tagMove: hold-new}
- {id: calm, match: ["up.test/calm"], trust: allow, tagMove: hold-new}
- {id: firm, match: ["up.test/firm"], trust: allow, tagMove: strict}
- {id: silent, match: ["up.test/silent"], trust: allow}
"#;
        let held = policy(rules);
        let strict = policy(&format!("tagMove: strict{rules}"));
        for (text, by_held, by_strict) in [
            ("up.test/some", TagMove::HoldNew, TagMove::Strict),
            ("up.test/calm", TagMove::HoldNew, TagMove::HoldNew),
            ("up.test/firm", TagMove::Strict, TagMove::Strict),
            ("up.test/silent", TagMove::HoldNew, TagMove::Strict),
            ("up.test/none", TagMove::HoldNew, TagMove::Strict),
        ] {
            assert_eq!(held.tag_move(&name(text)), by_held, "{text}");
            assert_eq!(strict.tag_move(&name(text)), by_strict, "{text}");
        }
    }

    #[test]
    fn what_the_floor_lists_is_what_it_says() {
        let denied = Digest::sha256(b"denied");
        let policy = policy(&format!(
            "floor: {{registries: [up.test], platforms: [linux/amd64], denyImages: [{{digest: \"{denied}\", reason: xz}}]}}\nrules: [{{id: a, match: [\"up.test/a\"], trust: allow}}]"
        ));
        assert_eq!(policy.denied_image(&denied), Some("xz"));
        assert_eq!(policy.denied_image(&Digest::sha256(b"other")), None);
        assert_eq!(policy.platforms(), ["linux/amd64".parse().unwrap()]);
        assert_eq!(policy.registries(), Some(&["up.test".parse().unwrap()][..]));
        assert_eq!((policy.name(), policy.revision(), policy.rules().len()), ("t", 1, 1));
        let signers = self::policy(
            "trustRoots: {acme: {notation: {ca: [file:/ca.pem]}}}\nsigners:\n  x: {notation: {root: acme, identity: \"*\"}}\n  y: {notation: {root: acme, identity: \"x509.subject: C=US, ST=WA, O=Acme\"}}\nrules: [{id: a, match: [\"up.test/a\"], trust: allow}]",
        );
        for name in ["x", "y"] {
            assert_eq!(signers.signer(name).map(Signer::name), Some(name));
        }
        assert!(signers.signer("z").is_none());
    }
}
