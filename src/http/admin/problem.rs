//! Error answers of the admin API: problem documents.
//!
//! The one place where a [`desk::Error`] becomes a status code. Its Display is written for admins;
//! causes go to the log only.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tracing::warn;

use crate::gate::Reason;
use crate::ledger::{self, Caller, Permission};
use crate::mirror;
use crate::mirror::desk;
use crate::mirror::desk::emergencies::EmergencyError;
use crate::mirror::desk::view::{ProblemView, ReasonView, problem};

/// When it is worth asking again after something could not be decided, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Longest detail, in characters: it may quote what was sent.
const DETAIL_LENGTH_MAX: usize = 700;

/// A problem document.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc9457>
#[derive(Debug, Clone)]
pub(super) struct Problem {
    view: Box<ProblemView>,
    retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_LENGTH_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        let view = ProblemView {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            reasons: Vec::new(),
        };
        Self { view: Box::new(view), retry_after: None }
    }

    /// 401: no token, or none that is known. Both look alike.
    pub(super) fn unauthenticated() -> Self {
        let detail = "send a valid token as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, problem::UNAUTHENTICATED, "No valid token", detail)
    }

    /// 403: the role of whoever asks does not allow it.
    pub(super) fn role(caller: &Caller, needed: Permission) -> Self {
        let (name, needed) = (&caller.display, needed.least_role());
        let detail = format!("{name} may not do this as {}; it takes role {needed}", caller.role);
        Self::new(StatusCode::FORBIDDEN, problem::ROLE, "Role does not allow this", detail)
    }

    /// 403: something else that is not allowed, in words.
    pub(super) fn forbidden(title: &str, detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, problem::ROLE, title, detail)
    }

    /// 415: no form.
    pub(super) fn form_type() -> Self {
        let detail = "send it as `application/x-www-form-urlencoded`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, problem::MEDIA_TYPE, "Not a form", detail)
    }

    /// What it says.
    pub(super) fn view(&self) -> &ProblemView {
        &self.view
    }

    /// The status that it is sent with.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.view.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// When it is worth trying again, in seconds, if that is known.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// 404.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, problem::NOT_FOUND, "Not found", detail)
    }

    /// 405.
    pub(super) fn method() -> Self {
        let detail = "this path does not answer that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, problem::METHOD, "Method not allowed", detail)
    }

    /// 400.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, problem::INVALID, "Not well-formed", detail)
    }

    /// 415.
    pub(super) fn media_type() -> Self {
        let detail = "send the body as `Content-Type: application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, problem::MEDIA_TYPE, "Body is not JSON", detail)
    }

    /// 413.
    pub(super) fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("a body has at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, problem::TOO_LARGE, "Body too large", detail)
    }

    /// 408.
    pub(super) fn timeout() -> Self {
        let detail = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, problem::TIMEOUT, "Too slow", detail)
    }

    /// 429, to be tried again in `seconds`.
    pub(super) fn throttled(seconds: u64) -> Self {
        let detail = format!("too many failed logins; try again in {seconds} s");
        let title = "Too many failed logins";
        let throttled = Self::new(StatusCode::TOO_MANY_REQUESTS, problem::THROTTLED, title, detail);
        Self { retry_after: Some(seconds), ..throttled }
    }

    /// 503: not now.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let busy = Self::new(status, problem::UNDECIDED, "Not at this moment", detail);
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..busy }
    }

    /// 500: it is not known what came of it.
    pub(super) fn internal(detail: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, problem::INTERNAL, "Failed", detail)
    }

    /// 422: an `Idempotency-Key` that came with another request before.
    pub(super) fn key_reused() -> Self {
        let detail = "this Idempotency-Key came with another request before; take a new one";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, problem::KEY_REUSED, "Key of another request", detail)
    }

    /// 409: a request with this `Idempotency-Key` is not answered yet.
    pub(super) fn key_under_way() -> Self {
        Self::conflict("the request with this Idempotency-Key is still under way; ask again")
    }

    /// 412: it is not what `If-Match` names any more.
    fn changed(detail: impl Into<String>) -> Self {
        let status = StatusCode::PRECONDITION_FAILED;
        Self::new(status, problem::CONFLICT, "Nothing was changed", detail)
    }

    /// What is wrong, in words.
    pub(super) fn detail(&self) -> &str {
        &self.view.detail
    }

    fn undecided(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let undecided = Self::new(status, problem::UNDECIDED, "Could not decide", detail);
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..undecided }
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, problem::CONFLICT, "Nothing was changed", detail)
    }

    fn refused(detail: impl Into<String>) -> Self {
        let title = "The policy does not allow this decision";
        Self::new(StatusCode::FORBIDDEN, problem::DECISION_REFUSED, title, detail)
    }

    fn because(mut self, reasons: &[Reason]) -> Self {
        self.view.reasons = reasons.iter().map(ReasonView::from).collect();
        self
    }
}

impl From<desk::Error> for Problem {
    fn from(error: desk::Error) -> Self {
        use desk::Error;
        let detail = error.to_string();
        match &error {
            Error::Absent { .. }
            | Error::AuditRecordUnknown { .. }
            | Error::ExceptionUnknown { .. }
            | Error::NoCheckpoint
            | Error::NotPinned { .. }
            | Error::PersonUnknown { .. }
            | Error::RequestUnknown { .. }
            | Error::TagNotServed { .. }
            | Error::TokenUnknown { .. } => Self::not_found(detail),
            Error::Changed { .. } | Error::ExceptionChanged { .. } => Self::changed(detail),
            Error::LastAdminToken { .. }
            | Error::NoPolicyFollowed
            | Error::NothingToUndo { .. }
            | Error::Simulating
            | Error::Stale { .. } => Self::conflict(detail),
            Error::Days { .. }
            | Error::Draft { .. }
            | Error::ExceptionForm { .. }
            | Error::ExceptionState { .. }
            | Error::ExceptionTooLong { .. }
            | Error::ExpiryPast
            | Error::ExpiryUnwanted
            | Error::NoPassword { .. }
            | Error::LabelForm { .. }
            | Error::ReasonForm
            | Error::RemarkForm
            | Error::Role { .. }
            | Error::State { .. }
            | Error::TooManyImages { .. }
            | Error::TooManyTogether { .. } => Self::invalid(detail),
            Error::Emergency(source) => from_emergency(source, detail),
            Error::Image { source, .. } => Self::invalid(format!("{detail}: {source}")),
            Error::ApproveInstead { .. }
            | Error::NoDigest { .. }
            | Error::NotApprover { .. }
            | Error::NoExceptions { .. }
            | Error::NoFileApprovers { .. }
            | Error::NotAskedFor { .. }
            | Error::NotRequester { .. }
            | Error::NotYourException { .. }
            | Error::NothingToExcept { .. }
            | Error::OwnException { .. }
            | Error::OwnRequest { .. } => Self::refused(detail),
            Error::OutOfScope { .. } => Self::forbidden("Not for this token", &detail),
            Error::NotAllowed { reasons, .. } => Self::refused(detail).because(reasons),
            Error::Undecided { reasons, .. } => Self::undecided(detail).because(reasons),
            Error::Backup { source, .. } | Error::TokenFile { source, .. } => {
                Self::internal(format!("{detail}: {source}"))
            }
            Error::Ledger(source) => from_ledger(source),
            Error::Proposal { .. } => Self::internal(detail),
            Error::SigningKey { source } => Self::internal(format!("{detail}: {source}")),
            Error::Store(source) => Self::internal(format!("{detail}: {source}")),
            Error::Mirror { subject, error } => from_mirror(subject, error),
        }
    }
}

fn from_emergency(error: &EmergencyError, detail: String) -> Problem {
    match error {
        EmergencyError::Repository { .. }
        | EmergencyError::Review
        | EmergencyError::Scope
        | EmergencyError::Ticket { .. }
        | EmergencyError::Ttl { .. } => Problem::invalid(detail),
        EmergencyError::Unknown { .. } => Problem::not_found(detail),
        EmergencyError::NotReviewable { .. } => Problem::conflict(detail),
        EmergencyError::Holds { .. }
        | EmergencyError::NotCovered { .. }
        | EmergencyError::NotInPolicy
        | EmergencyError::NotNamed { .. }
        | EmergencyError::NotOwn { .. }
        | EmergencyError::Own { .. } => Problem::refused(detail),
    }
}

fn from_ledger(error: &ledger::Error) -> Problem {
    use ledger::Error;
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other failure is the ledger's own")]
    match error {
        Error::AlreadyDecided { .. }
        | Error::ArchiveRefused(_)
        | Error::ChainBroken(_)
        | Error::DecidedMeanwhile(_)
        | Error::EmergencyState { .. }
        | Error::ExceptionClosed { .. }
        | Error::LastAdmin(_)
        | Error::NothingAsked(_)
        | Error::NothingToReinstate(_)
        | Error::OtherSubject { .. }
        | Error::PersonElsewhere(_)
        | Error::PersonExists(_)
        | Error::TokenExists(_)
        | Error::TooManyEmergencies { .. }
        | Error::TooManyExceptionVotes(_)
        | Error::TooManyPeople(_)
        | Error::TooManyPins { .. }
        | Error::TooManyRemarks { .. }
        | Error::TooManyRequesters(_)
        | Error::TooManySegments(_)
        | Error::TooManyTokens(_)
        | Error::TooManyVotes(_) => Problem::conflict(error.to_string()),
        Error::Archived(_)
        | Error::NoSuchEmergency(_)
        | Error::NoSuchException(_)
        | Error::NoSuchPerson(_)
        | Error::NoSuchRequest(_)
        | Error::NoSuchToken(_) => Problem::not_found(error.to_string()),
        Error::GroupName(_)
        | Error::PersonName(_)
        | Error::PersonRole(_)
        | Error::TokenExpiry
        | Error::TokenName(_)
        | Error::TokenScope { .. } => Problem::invalid(error.to_string()),
        Error::TooManyExceptions { .. } | Error::TooManyRequests { .. } => {
            Problem::undecided(error.to_string())
        }
        _ => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(%error, cause, "ledger failed under an admin");
            Problem::internal(format!("the trust ledger failed, nothing was changed: {error}"))
        }
    }
}

fn from_mirror(subject: &str, error: &mirror::Error) -> Problem {
    use mirror::Error;
    match error {
        Error::Absent(_) => Problem::not_found(format!("{subject} does not exist upstream")),
        Error::Ledger(error) => from_ledger(error),
        Error::Refused(_) | Error::RegistryUnknown(_) | Error::Ungranted => {
            Problem::refused(format!("{subject}: {error}"))
        }
        Error::Malformed(source) => Problem::refused(format!("{subject}: {error}: {source}")),
        Error::Undecided { reasons, .. } => {
            Problem::undecided(format!("{subject}: {error}")).because(reasons)
        }
        Error::Abandoned(_) | Error::Overloaded | Error::Store(_) => {
            Problem::undecided(format!("{subject}: {error}"))
        }
        // Display of an upstream error is made for clients: our words, no secret.
        Error::Upstream(upstream) => Problem::undecided(format!("{subject}: {error}: {upstream}")),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.view.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.view).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"pratique\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
