//! What is asked on top of the one rule that applies.

use std::sync::Arc;

use super::attested::AttestationRule;
use super::configured::ConfigGate;
use super::document::{Artifact, ArtifactKind, Located, RuleId};
use super::expressions::When;
use super::fresh::FreshGate;
use super::mode::{Mode, ModeUntil};
use super::pattern::Pattern;
use super::problem::FileNumber;
use super::scanned::ScanGate;
use super::signed::SignatureRule;
use super::tags::TagFilter;
use crate::oci::Tag;
use crate::time::Timestamp;

/// One overlay: whatever it matches has to have what it asks for, too. It admits nothing by itself, and
/// takes nothing away from what the rule asks.
#[derive(Debug, Clone)]
pub struct Overlay {
    pub(super) id: RuleId,
    pub(super) patterns: Vec<Located<Pattern>>,
    pub(super) artifacts: Vec<ArtifactKind>,
    pub(super) tags: Option<TagFilter>,
    pub(super) when: Option<When>,
    pub(super) denies: bool,
    pub(super) signatures: Option<SignatureRule>,
    pub(super) attestations: Vec<AttestationRule>,
    pub(super) gates: Vec<Arc<ScanGate>>,
    pub(super) configured: Vec<Arc<ConfigGate>>,
    pub(super) fresh: Vec<Arc<FreshGate>>,
    pub(super) mode: ModeUntil,
    pub(super) closes_on_error: bool,
    pub(super) file: FileNumber,
}

impl Overlay {
    /// Its name; no rule has the same.
    pub fn id(&self) -> &RuleId {
        &self.id
    }

    /// The file of the policy that it stands in.
    pub fn file(&self) -> FileNumber {
        self.file
    }

    /// The patterns of the repositories it speaks of, canonical.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().map(|pattern| &pattern.value)
    }

    /// The tags it speaks of; `None` is all, and untagged content too.
    pub fn tags(&self) -> Option<&TagFilter> {
        self.tags.as_ref()
    }

    /// Whether it refuses everything that it speaks of.
    pub fn denies(&self) -> bool {
        self.denies
    }

    /// Whether nothing that it speaks of is served where nothing can be decided, whatever the rule says.
    pub fn closes_on_error(&self) -> bool {
        self.closes_on_error
    }

    /// What has to hold for it to apply; `None` is nothing.
    pub fn when(&self) -> Option<&When> {
        self.when.as_ref()
    }

    /// The mode of what it refuses at `now`.
    pub fn mode(&self, now: Timestamp) -> Mode {
        self.mode.at(now)
    }

    /// As [`Overlay::mode`], with the end that it may have.
    pub fn mode_until(&self) -> ModeUntil {
        self.mode
    }

    /// What it asks for by itself; what an image has to have is in [`Demands`](super::Demands).
    pub fn alone(&self) -> Alone<'_> {
        Alone {
            signatures: self.signatures.as_ref(),
            attestations: &self.attestations,
            gates: &self.gates,
            configured: &self.configured,
            fresh: &self.fresh,
        }
    }

    /// Whether it speaks of the repository with this canonical name, whatever is asked for of it.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.patterns().any(|pattern| pattern.matches(name))
    }

    /// Whether it speaks of an `artifact` to which `tags` resolved, in a repository that it covers.
    pub(super) fn takes(&self, artifact: Artifact<'_>, tags: &[Tag]) -> bool {
        let kinds = &self.artifacts;
        let is_kind = kinds.is_empty() || kinds.iter().any(|kind| kind.covers(artifact));
        let has_tag = |filter: &TagFilter| tags.iter().any(|tag| filter.matches(tag));
        is_kind && self.tags.as_ref().is_none_or(has_tag)
    }
}

/// What stands in front of what the overlay `id` refuses; nothing where it is none.
pub(super) fn label(id: Option<&RuleId>) -> String {
    id.map(|id| format!("overlay {id}: ")).unwrap_or_default()
}

/// What a rule or an overlay asks for by itself, for whoever tells of it: no image is judged by it alone.
#[derive(Debug, Clone, Copy)]
pub struct Alone<'a> {
    /// What it says about signatures.
    pub signatures: Option<&'a SignatureRule>,
    /// What it asks to have attested: all of it.
    pub attestations: &'a [AttestationRule],
    /// What scans have to show: all of these.
    pub gates: &'a [Arc<ScanGate>],
    /// What the configurations of images have to say: all of these.
    pub configured: &'a [Arc<ConfigGate>],
    /// What is asked of the time of images: all of these.
    pub fresh: &'a [Arc<FreshGate>],
}
