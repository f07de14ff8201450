//! What went wrong, and the types of problems: clients compare these, people read the title and the detail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReasonView;

/// An error answer.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc9457#section-3>
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProblemView {
    /// What kind of problem it is: a URN that stays as it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What happened to what, and what to do.
    pub detail: String,
    /// Reasons, when something is not admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonView>,
}

/// Someone else decided in between, or there is nothing to undo.
pub const CONFLICT: &str = "urn:pratique:problem:conflict";
/// The policy does not let this be decided so.
pub const DECISION_REFUSED: &str = "urn:pratique:problem:decision-refused";
/// A fault of this program or its disk.
pub const INTERNAL: &str = "urn:pratique:problem:internal";
/// The request is not well-formed.
pub const INVALID: &str = "urn:pratique:problem:invalid";
/// The `Idempotency-Key` belongs to another request.
pub const KEY_REUSED: &str = "urn:pratique:problem:key-reused";
/// The body is not `application/json`.
pub const MEDIA_TYPE: &str = "urn:pratique:problem:media-type";
/// The path is there, the method is not.
pub const METHOD: &str = "urn:pratique:problem:method";
/// There is no such thing.
pub const NOT_FOUND: &str = "urn:pratique:problem:not-found";
/// The token's role does not allow this.
pub const ROLE: &str = "urn:pratique:problem:role";
/// Too many failed logins, or too many requests.
pub const THROTTLED: &str = "urn:pratique:problem:throttled";
/// The body did not arrive in time.
pub const TIMEOUT: &str = "urn:pratique:problem:timeout";
/// The body is too large.
pub const TOO_LARGE: &str = "urn:pratique:problem:too-large";
/// There is no token, or it is not valid.
pub const UNAUTHENTICATED: &str = "urn:pratique:problem:unauthenticated";
/// It could not be decided now; trying again may help.
pub const UNDECIDED: &str = "urn:pratique:problem:undecided";
