//! What a policy says about one repository, digest or tag.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::lately::Applied;
use super::pattern::Rank;
use super::{
    Artifact, AttestationRule, BreakGlass, Demands, Exception, FloorLimits, Mode, ModeUntil,
    NamedExpression, Outright, OutrightCause, Overlay, Pattern, Policy, PolicyId, Position, Rule,
    RuleId, ScanLimits, Signer, TagFilter, TagMove, Trust, TrustRoot,
};
use crate::oci::{Digest, Name, Platform, Registry, Tag};
use crate::time::Timestamp;

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

    /// The mode of what no rule speaks of, and of the floor's lists, at `now`.
    pub fn mode(&self, now: Timestamp) -> Mode {
        self.mode.at(now)
    }

    /// As [`Policy::mode`], with the end that it may have.
    pub fn mode_until(&self) -> ModeUntil {
        self.mode
    }

    /// The mode that applies to pulls of `name` at `now`, before it is known which rule applies: that of the
    /// strictest of all that may come to decide, overlays among it.
    ///
    /// [`Policy::denied_image`] follows [`Policy::mode`] instead: no rule loosens the floor.
    pub fn mode_for(&self, name: &Name, now: Timestamp) -> Mode {
        let applied = self.applied(name);
        strictest(applied.modes.iter().chain(&applied.overlay_modes), now)
    }

    /// When a mode of the policy becomes another for the first time after `now`.
    pub fn mode_changes_after(&self, now: Timestamp) -> Option<Timestamp> {
        let rules = self.rules.iter().map(|rule| rule.mode);
        let overlays = self.overlays.iter().map(|overlay| overlay.mode);
        let all = std::iter::once(self.mode).chain(rules).chain(overlays);
        all.filter_map(|mode| mode.changes_after(now)).min()
    }

    /// What happens when a tag of `name` moves; where several rules could apply, `Strict` wins.
    pub fn tag_move(&self, name: &Name) -> TagMove {
        self.applied(name).tag_move
    }

    /// Why nothing of `name` may be served, when that is certain without a look at the content, and in which
    /// mode that is refused at `now`.
    pub fn refuses_outright(&self, name: &Name, now: Timestamp) -> Option<Outright> {
        let applied = self.applied(name);
        let (cause, rule, text) = applied.outright.clone()?;
        let mode = match cause {
            OutrightCause::NoRule | OutrightCause::Registry => self.mode.at(now),
            OutrightCause::Rule => strictest(&applied.modes, now),
        };
        Some(Outright { cause, rule, text, mode })
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

    /// The overlays that speak of an artifact of `name` to which `tags` resolved.
    pub fn overlays_for(&self, name: &Name, artifact: Artifact<'_>, tags: &[Tag]) -> Vec<&Overlay> {
        let covering = self.covering(name).into_iter();
        covering.filter(|overlay| overlay.takes(artifact, tags)).collect()
    }

    /// Everything that is asked of an artifact of `name` to which `tags` resolved.
    pub fn demands(&self, name: &Name, artifact: Artifact<'_>, tags: &[Tag]) -> Demands<'_> {
        let rule = self.rule_for(name, artifact, tags);
        let overlays = self.overlays_for(name, artifact, tags);
        Demands::new(rule, overlays).with_expressions(&self.expressions)
    }

    /// Everything that may be asked of content of `name`, for each rule that could apply: what it is and
    /// which tags it has is not known, so that every overlay for the repository is among it.
    pub fn possible_demands(&self, name: &Name) -> Vec<Demands<'_>> {
        let candidates = self.candidates(name);
        let covering = self.covering(name);
        if candidates.is_empty() && !covering.is_empty() {
            return vec![Demands::new(None, covering)];
        }
        let demands = candidates.into_iter().map(|rule| {
            Demands::new(Some(rule), covering.clone()).with_expressions(&self.expressions)
        });
        demands.collect()
    }

    /// What rules and overlays ask to have attested, in the order of the document.
    pub fn attestations(&self) -> impl Iterator<Item = &AttestationRule> {
        let rules = self.rules.iter().flat_map(|rule| &rule.attestations);
        rules.chain(self.overlays.iter().flat_map(|overlay| &overlay.attestations))
    }

    /// The overlays for the repository `name`, whatever is asked for of it.
    fn covering(&self, name: &Name) -> Vec<&Overlay> {
        let applied = self.applied(name);
        applied.overlays.iter().filter_map(|place| self.overlays.get(*place)).collect()
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

    /// The longest time for which an exception is in force.
    pub fn exception_time_max(&self) -> Duration {
        self.exception_time_max
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

    /// The expressions that everything has to meet, in the order of the document.
    pub fn expressions(&self) -> &[NamedExpression] {
        &self.expressions
    }

    /// Where the policy has something for a program to compute, each with its path.
    pub fn programs(&self) -> Vec<(Position, String)> {
        let attested = self.attestations().filter(|it| it.condition.is_some());
        let attested = attested.map(|it| (it.position(), it.path_of("cel")));
        let whens = self.overlays.iter().filter_map(Overlay::when);
        let whens = whens.chain(self.expressions.iter().map(NamedExpression::when));
        attested.chain(whens.map(|when| (when.position, when.path.clone()))).collect()
    }

    /// Who may break the glass, and for what; `None`: nobody may.
    pub fn break_glass(&self) -> Option<&Arc<BreakGlass>> {
        self.break_glass.as_ref()
    }

    /// The overlays, in the order of the document.
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
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

    /// How much of the images of `name` is read: the most that a gate allows that could apply.
    pub fn scan_limits(&self, name: &Name) -> ScanLimits {
        let possible = self.possible_demands(name);
        let gates = possible.iter().flat_map(Demands::gates);
        gates.fold(ScanLimits::default(), |limits, gate| limits.or_larger(gate.limits))
    }

    /// The scanners beside the one inside that gates may ask about `name`, each with how old what it says
    /// may be.
    pub fn other_scanners(&self, name: &Name) -> BTreeMap<String, Duration> {
        let possible = self.possible_demands(name);
        let mut asked = BTreeMap::new();
        for gate in possible.iter().flat_map(Demands::gates) {
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
        let text = name.to_string();
        let covering = self.overlays.iter().enumerate();
        let covering: Vec<(usize, &Overlay)> =
            covering.filter(|(_, overlay)| overlay.covers(&text)).collect();
        Applied {
            modes: self.modes_by(name, &candidates),
            overlay_modes: covering.iter().map(|(_, overlay)| overlay.mode).collect(),
            overlays: covering.iter().map(|(place, _)| *place).collect(),
            tag_move: self.tag_move_by(&candidates),
            outright: self.outright_by(name, &candidates),
            candidates: count,
            ranked: ranked.into_iter().map(|(_, place, _)| place).collect(),
        }
    }

    /// The modes of whatever may come to decide, overlays apart.
    fn modes_by(&self, name: &Name, candidates: &[&Rule]) -> Vec<ModeUntil> {
        if !self.lists(name.registry()) {
            return vec![self.mode];
        }
        let rest = (!decides_alone(candidates)).then_some(self.mode);
        let mut modes: Vec<ModeUntil> = Vec::new();
        for mode in candidates.iter().map(|rule| rule.mode).chain(rest) {
            if !modes.contains(&mode) {
                modes.push(mode);
            }
        }
        modes
    }

    fn tag_move_by(&self, candidates: &[&Rule]) -> TagMove {
        let strict = candidates.iter().any(|rule| rule.tag_move == TagMove::Strict)
            || (!decides_alone(candidates) && self.tag_move == TagMove::Strict);
        if strict { TagMove::Strict } else { TagMove::HoldNew }
    }

    fn outright_by(
        &self,
        name: &Name,
        candidates: &[&Rule],
    ) -> Option<(OutrightCause, Option<RuleId>, String)> {
        if !self.lists(name.registry()) {
            let text = format!("{} is not among the policy's registries", name.registry());
            return Some((OutrightCause::Registry, None, text));
        }
        let Some(first) = candidates.first() else {
            return Some((OutrightCause::NoRule, None, format!("no rule lists {name}")));
        };
        if candidates.iter().any(|rule| rule.trust != Trust::Deny) {
            return None;
        }
        let text = format!("nothing of {name} is served");
        Some((OutrightCause::Rule, Some(first.id.clone()), text))
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

/// The strictest of `modes` at `now`.
fn strictest<'a>(modes: impl IntoIterator<Item = &'a ModeUntil>, now: Timestamp) -> Mode {
    modes.into_iter().map(|mode| mode.at(now)).max().unwrap_or_default()
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
