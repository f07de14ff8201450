//! Who may have something served in an emergency that nothing admitted, and what even they may not.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::approval::Principal;
use super::pattern::Pattern;
use super::scanned::ScanGate;
use crate::oci::Name;

/// What `breakGlass` of a policy says.
#[derive(Debug, Clone)]
pub struct BreakGlass {
    pub(super) who: Vec<Principal>,
    pub(super) quorum: usize,
    pub(super) ttl_max: Duration,
    pub(super) needs_ticket: bool,
    pub(super) patterns: Vec<Pattern>,
    pub(super) kept: BTreeSet<Kept>,
    pub(super) review_within: Duration,
    pub(super) floor_gate: Option<Arc<ScanGate>>,
}

/// Something that no emergency overrides, because the policy says so.
///
/// What the floor lists and limits, malware, what is not whole, and what people refused never is, and needs
/// no word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kept {
    /// A person has to have said yes where a rule asks for that.
    Approval,
    /// What has to be attested.
    Attestations,
    /// What is exploited, where the floor refuses that.
    Exploited,
    /// What expressions ask for.
    Expressions,
    /// What gates ask for.
    Gates,
    /// A rule has to match, and none may deny.
    Rules,
    /// Who has to have signed.
    Signatures,
}

impl fmt::Display for BreakGlass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who: Vec<String> = self.who.iter().map(ToString::to_string).collect();
        let people = if self.quorum == 1 { "one".to_owned() } else { self.quorum.to_string() };
        let minutes = self.ttl_max.as_secs() / 60;
        write!(f, "{people} of {}, for up to {minutes} min", who.join(", "))?;
        let kept = Self::KEPT.iter().filter(|(_, kept)| kept.is_some_and(|it| self.keeps(it)));
        let kept: Vec<&str> = kept.map(|(word, _)| *word).collect();
        if !kept.is_empty() {
            write!(f, "; does not override {}", kept.join(", "))?;
        }
        Ok(())
    }
}

impl BreakGlass {
    /// Longest time for which one may be asked.
    pub const TTL_MAX: Duration = Duration::from_hours(72);
    /// Longest time that a policy may leave for a review.
    pub const REVIEW_MAX: Duration = Duration::from_hours(30 * 24);
    /// The longest time where a policy does not say another.
    pub const TTL_DEFAULT: Duration = Duration::from_hours(4);
    /// Within which time one has to be reviewed where a policy does not say another.
    pub const REVIEW_DEFAULT: Duration = Duration::from_hours(72);

    /// What even an emergency does not override, by the words of the policy; `None` is what never is,
    /// whether it is written or not.
    pub(super) const KEPT: [(&str, Option<Kept>); 14] = [
        ("approval", Some(Kept::Approval)),
        ("attestations", Some(Kept::Attestations)),
        ("expressions", Some(Kept::Expressions)),
        ("floor.denyImages", None),
        ("floor.forbidTags", None),
        ("floor.limits", None),
        ("floor.platforms", None),
        ("floor.registries", None),
        ("floor.vulnerabilities.denyKEV", Some(Kept::Exploited)),
        ("floor.vulnerabilities.denyMalware", None),
        ("gates", Some(Kept::Gates)),
        ("integrity", None),
        ("rules", Some(Kept::Rules)),
        ("signatures", Some(Kept::Signatures)),
    ];

    /// Who may.
    pub fn who(&self) -> &[Principal] {
        &self.who
    }

    /// How many distinct people it takes, whoever asks for it among them.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// For how long at most.
    pub fn ttl_max(&self) -> Duration {
        self.ttl_max
    }

    /// Whether a ticket has to be named.
    pub fn needs_ticket(&self) -> bool {
        self.needs_ticket
    }

    /// Whether it may be used for `name`.
    pub fn covers(&self, name: &Name) -> bool {
        let text = name.to_string();
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(&text))
    }

    /// Within which time after its use somebody else has to have looked at it.
    pub fn review_within(&self) -> Duration {
        self.review_within
    }

    /// Whether `what` is not overridden.
    pub fn keeps(&self, what: Kept) -> bool {
        self.kept.contains(&what)
    }

    /// What of the floor's gate is asked of images all the same.
    pub fn floor_gate(&self) -> Option<&Arc<ScanGate>> {
        self.floor_gate.as_ref()
    }
}
