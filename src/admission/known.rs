//! What the mirror knows of an image, as far as admission needs to.

use crate::oci::Digest;
use crate::policy::{Isolation, Mode};

/// What is known of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Yes, no, or that it is not known.
    pub said: Said,
    /// The rule that says so, or would.
    pub rule: Option<String>,
    /// What the image is now, where that is known.
    pub digest: Option<Digest>,
    /// What lets it be served besides the rule: who approved it, or which break-glass.
    pub approval: Option<String>,
    /// What the rules that apply ask of the pods that run it, each with its name and its mode.
    pub isolation: Vec<(String, Isolation, Mode)>,
}

/// What is said of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing is refused here: it is only watched, and told with this where somebody is to be warned.
    Observed(Option<String>),
    /// A pull is refused, in these words.
    Refused(String),
    /// A pull is answered with the digest; in `Some`, with this warning.
    Served(Option<String>),
    /// It cannot be told now, and why: nothing lets it in.
    Failed(String),
    /// It is not known, and why: the pull decides.
    Unknown(String),
    /// People have to say yes, in these words.
    Waiting(String),
}

/// What becomes of what is not known, or waits for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// It is refused.
    Deny,
    /// It is let in with a warning; the pull decides, and the pod shows it.
    #[default]
    Warn,
}

impl Unknown {
    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
        }
    }
}

impl Said {
    /// The one word for records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Observed(_) => "observed",
            Self::Refused(_) => "denied",
            Self::Served(_) => "admitted",
            Self::Unknown(_) => "unknown",
            Self::Waiting(_) => "pending",
        }
    }

    /// Why it is not let in, where it is not.
    pub fn refusal(&self, unknown: Unknown) -> Option<&str> {
        match self {
            Self::Refused(text) | Self::Failed(text) => Some(text),
            Self::Unknown(text) | Self::Waiting(text) => (unknown == Unknown::Deny).then_some(text),
            Self::Observed(_) | Self::Served(_) => None,
        }
    }

    /// What is told besides, where it is let in.
    pub fn warning(&self, unknown: Unknown) -> Option<&str> {
        match self {
            Self::Observed(warning) | Self::Served(warning) => warning.as_deref(),
            Self::Unknown(text) | Self::Waiting(text) => (unknown == Unknown::Warn).then_some(text),
            Self::Refused(_) | Self::Failed(_) => None,
        }
    }
}
