//! What people decided about a subject.

use serde::{Deserialize, Serialize};

use super::SeenFindings;
use crate::oci::Digest;
use crate::time::Timestamp;

/// The last decision of people about a subject.
///
/// A rejection or revocation denies under every rule. An approval only ever counts where the rule
/// asks for one, and only for exactly this subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Standing {
    /// May be served where the rule asks for an approval.
    Approved {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// From when on it no longer counts; `None` is never.
        expires: Option<Timestamp>,
        /// Why.
        reason: String,
        /// Everybody whose yes it took, where it took more than one; the last of them is `by`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        voters: Vec<String>,
        /// What they were shown of what is known against it; `None` where that was not kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Box<SeenFindings>>,
        /// The approval files that it rests on, by the digests of their envelopes: without one of them it ends.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<Digest>,
    },
    /// Refused before it was ever served.
    Rejected {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Refused from now on.
    Revoked {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}
