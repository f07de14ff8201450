//! Everything that a policy asks of one subject, by its rule and by every overlay that matches.

use std::sync::Arc;

use super::attested::AttestationRule;
use super::configured::ConfigGate;
use super::document::{Rule, RuleId, SignerChange, Trust};
use super::expressions::{FactKinds, NamedExpression, When};
use super::fresh::{FastTrack, FreshGate};
use super::mode::Mode;
use super::on_error::OnError;
use super::overlay::{Alone, Overlay};
use super::scanned::ScanGate;
use super::signed::SignatureRule;
use crate::time::Timestamp;

/// What is asked of one subject: by the one rule that applies, and by every overlay that matches.
///
/// Nobody who judges or gathers asks a rule alone, so that nobody forgets an overlay.
#[derive(Debug, Clone, Default)]
pub struct Demands<'a> {
    rule: Option<&'a Rule>,
    overlays: Vec<&'a Overlay>,
    expressions: &'a [NamedExpression],
    attestations: Vec<Demanded<'a, AttestationRule>>,
    gates: Vec<Arc<ScanGate>>,
    configured: Vec<Arc<ConfigGate>>,
    fresh: Vec<Arc<FreshGate>>,
}

/// One thing that is asked for, and by which overlay; `None` is the rule.
#[derive(Debug, Clone, Copy)]
pub struct Demanded<'a, T> {
    /// The overlay that asks for it.
    pub by: Option<&'a RuleId>,
    /// What is asked for.
    pub what: &'a T,
}

impl<T> Demanded<'_, T> {
    /// What stands in front of what is said about it.
    pub fn label(&self) -> String {
        super::overlay::label(self.by)
    }
}

impl<'a> Demands<'a> {
    /// What `rule` and `overlays` ask for, all of it.
    pub fn new(rule: Option<&'a Rule>, overlays: Vec<&'a Overlay>) -> Self {
        let mut demands = Self { rule, ..Self::default() };
        let own = rule.map(|rule| (None, rule.alone()));
        let added = overlays.iter().map(|overlay| (Some(overlay.id()), overlay.alone()));
        for (by, alone) in own.into_iter().chain(added) {
            demands.add(by, &alone);
        }
        Self { overlays, ..demands }
    }

    /// What `gates` ask of scans, and nothing else.
    pub fn of_gates(gates: Vec<Arc<ScanGate>>) -> Self {
        Self { gates, ..Self::default() }
    }

    /// Adds what one speaker asks for; what is asked already is not asked twice.
    fn add(&mut self, by: Option<&'a RuleId>, alone: &Alone<'a>) {
        let Alone { attestations, gates, configured, fresh, signatures: _ } = *alone;
        self.attestations.extend(attestations.iter().map(|what| Demanded { by, what }));
        for gate in gates {
            // One that somebody else asks for too is asked twice: exceptions take from one of them.
            let asked = |it: &ScanGate| (it.is_floor, it.part);
            let is_known = |it: &Arc<ScanGate>| it.name == gate.name && asked(it) == asked(gate);
            if !self.gates.iter().any(is_known) {
                self.gates.push(Arc::clone(gate));
            }
        }
        for gate in configured {
            if self.configured.iter().all(|it| it.name != gate.name) {
                self.configured.push(Arc::clone(gate));
            }
        }
        for gate in fresh {
            if self.fresh.iter().all(|it| it.name != gate.name) {
                self.fresh.push(Arc::clone(gate));
            }
        }
    }

    /// These, and `expressions`, which everything has to meet that the rule would admit.
    #[must_use]
    pub fn with_expressions(self, expressions: &'a [NamedExpression]) -> Self {
        Self { expressions, ..self }
    }

    /// The same without the overlays that `applies` says no to.
    #[must_use]
    pub fn where_applies(&self, applies: impl Fn(&Overlay) -> bool) -> Self {
        let overlays = self.overlays.iter().copied().filter(|overlay| applies(overlay));
        Self::new(self.rule, overlays.collect()).with_expressions(self.expressions)
    }

    /// The expressions that everything has to meet, where a rule applies.
    pub fn expressions(&self) -> &'a [NamedExpression] {
        if self.rule.is_some() { self.expressions } else { &[] }
    }

    /// What has to be known for expressions, and to say which overlays apply.
    pub fn facts(&self) -> FactKinds {
        let own = self.expressions().iter().map(|it| it.when().facts());
        let added = self.overlays.iter().filter_map(|it| it.when()).map(When::facts);
        own.chain(added).fold(FactKinds::default(), FactKinds::and)
    }

    /// What becomes of what was admitted when nothing can be decided: as the rule says, unless an overlay is
    /// stricter. Without a rule nothing is served.
    pub fn on_error(&self) -> OnError {
        if self.overlays.iter().any(|overlay| overlay.closes_on_error()) {
            return OnError::Deny;
        }
        self.rule.map(Rule::on_error).unwrap_or_default()
    }

    /// The rule that applies; `None` where none does, or it is not known which.
    pub fn rule(&self) -> Option<&'a Rule> {
        self.rule
    }

    /// The overlays that match, in the order of the document.
    pub fn overlays(&self) -> &[&'a Overlay] {
        &self.overlays
    }

    /// The same without the rule, and without the overlays that are in a weaker mode than `least` at
    /// `now`.
    #[must_use]
    pub fn of_overlays(&self, least: Mode, now: Timestamp) -> Self {
        let overlays = self.overlays.iter().filter(|overlay| overlay.mode(now) >= least);
        Self::new(None, overlays.copied().collect())
    }

    /// The same without the overlays that are in a weaker mode than `least` at `now`.
    #[must_use]
    pub fn at_least(&self, least: Mode, now: Timestamp) -> Self {
        let overlays = self.overlays.iter().filter(|overlay| overlay.mode(now) >= least);
        Self::new(self.rule, overlays.copied().collect()).with_expressions(self.expressions)
    }

    /// Whether the rule denies everything.
    pub fn denies(&self) -> bool {
        self.rule.is_some_and(|rule| rule.trust() == Trust::Deny)
    }

    /// Whether what every overlay asks for is enforced at `now`.
    pub fn are_enforced(&self, now: Timestamp) -> bool {
        self.overlays.iter().all(|overlay| overlay.mode(now) == Mode::Enforce)
    }

    /// What is said about signatures, by the rule first.
    pub fn signatures(&self) -> Vec<Demanded<'a, SignatureRule>> {
        let own = self.rule.and_then(|rule| rule.alone().signatures);
        let own = own.map(|what| Demanded { by: None, what });
        let added = self.overlays.iter().filter_map(|overlay| {
            let what = overlay.alone().signatures?;
            Some(Demanded { by: Some(overlay.id()), what })
        });
        own.into_iter().chain(added).collect()
    }

    /// What has to be attested: all of it.
    pub fn attestations(&self) -> &[Demanded<'a, AttestationRule>] {
        &self.attestations
    }

    /// What scans have to show: all of these.
    pub fn gates(&self) -> &[Arc<ScanGate>] {
        &self.gates
    }

    /// What the configurations of images have to say: all of these.
    pub fn configured(&self) -> &[Arc<ConfigGate>] {
        &self.configured
    }

    /// What is asked of the time of images: all of these.
    pub fn fresh(&self) -> &[Arc<FreshGate>] {
        &self.fresh
    }

    /// Who may shorten waits, and for what.
    pub fn fast_tracks(&self) -> impl Iterator<Item = &FastTrack> {
        self.fresh.iter().filter_map(|gate| gate.fast_track.as_ref())
    }

    /// What happens when a tag moves from what a known signer signed to what they did not: that is the
    /// rule's to say.
    pub fn signer_change(&self) -> SignerChange {
        self.rule.map_or(SignerChange::Allow, Rule::signer_change)
    }
}
