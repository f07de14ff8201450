//! What rules ask of the time of images: how long they are known, and how old they may be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::document::RuleId;
use super::overlay::label;
use super::scanned::{Answer, Rating};

/// The part of a gate that is about time. What it does not speak of is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshGate {
    /// The name of the gate.
    pub name: String,
    /// The overlay that names it, where no rule does.
    pub overlay: Option<RuleId>,
    /// For how long the mirror must have known a digest before it is served; `None` is not at all.
    pub observed_age_min: Option<Duration>,
    /// How long ago an image may have been built; `None` is as long as one likes.
    pub image_age_max: Option<Duration>,
    /// What becomes of an image of which nothing says when it was built.
    pub undated: Answer,
    /// What becomes of what is no image, and says nowhere when it was built.
    pub not_applicable: Answer,
    /// Who may have a digest served before the mirror has known it for long enough.
    pub fast_track: Option<FastTrack>,
}

impl FreshGate {
    /// What stands in front of what it refuses: who asks for it, where that is not the rule.
    pub fn label(&self) -> String {
        label(self.overlay.as_ref())
    }

    /// Where the policy has it, for messages about it.
    pub fn place(&self) -> String {
        format!("gates.{}", self.name)
    }
}

/// What a digest needs to be served at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastTrack {
    /// One of these has to sign the very digest.
    pub signers: Vec<String>,
    /// And what it has to do beside.
    pub when: FastTrackWhen,
}

/// What a digest has to do besides being signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastTrackWhen {
    /// It ends a finding this bad at least that is in what its tag was last admitted as, and brings no
    /// other one that is as bad.
    Fixes(Rating),
    /// Nothing.
    Signed,
}

impl FastTrackWhen {
    /// The words of the policy.
    pub const CHOICES: [(&str, Self); 3] = [
        ("signed", Self::Signed),
        ("fixes-critical", Self::Fixes(Rating::Critical)),
        ("fixes-high", Self::Fixes(Rating::High)),
    ];
}

impl Policy {
    /// The same policy without waits: for whoever has no history to count them by.
    #[must_use]
    pub(crate) fn without_waits(mut self) -> Self {
        let rules = self.rules.iter_mut().map(|rule| &mut rule.fresh);
        let overlays = self.overlays.iter_mut().map(|overlay| &mut overlay.fresh);
        for gate in rules.chain(overlays).flatten() {
            *gate = Arc::new(FreshGate { observed_age_min: None, ..gate.as_ref().clone() });
        }
        self
    }
}

impl fmt::Display for FastTrackWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::CHOICES.iter().find(|(_, when)| when == self).map(|(word, _)| *word);
        f.write_str(word.unwrap_or_default())
    }
}
