//! What a node is told when it gets no content.

use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::super::body::NodeBody;
use super::{DECISION, RETRY_AFTER, error_response, error_value, insert};
use crate::gate;
use crate::mirror::{Decision, Error, Refusal};
use crate::oci::{ErrorCode, Name, Reference};

/// When it is worth trying again, where nobody knows better.
const SOON: &str = "shortly";

/// An answer without content: what is said, in every form in which it is said.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    code: ErrorCode,
    phrase: Option<String>,
    message: String,
    detail: Value,
    decision: Option<Decision>,
    link: Option<String>,
    retry_after: Option<Duration>,
}

impl Refused {
    /// What `error` is to a node that asked for something of `name`, which is called `unknown` when
    /// upstream does not have it; requests are found below `public_url`.
    pub(crate) fn new(
        error: &Error,
        name: &Name,
        unknown: ErrorCode,
        public_url: Option<&str>,
    ) -> Self {
        match error {
            Error::Absent(what) => Self::absent(what, unknown),
            Error::Malformed(error) => Self::denied(
                gate::refused_phrase(&format!("Denied: {error}")),
                format!("upstream has no well-formed manifest there: {error}"),
            ),
            Error::Refused(refusal) => Self::of_gate(refusal, public_url),
            Error::RegistryUnknown(registry) => Self::denied(
                gate::refused_phrase(&format!("Denied: registry {registry} is not configured")),
                format!("the registry {registry} of {name} is not configured at this mirror"),
            ),
            Error::Ungranted => Self::denied(
                gate::refused_phrase("Denied: no admitted image of this repository lists it"),
                "no admitted image of this repository lists this content".to_owned(),
            ),
            Error::Undecided { reasons, retry_after } => {
                let phrase = gate::undecided_phrase(reasons);
                let detail = json!({"reasons": reasons});
                Self::unavailable(phrase, detail, *retry_after)
            }
            Error::Upstream(upstream) if upstream.is_rate_limited() => {
                let retry_after = upstream.retry_after().unwrap_or(Duration::from_mins(1));
                let seconds = retry_after.as_secs().max(1);
                let registry = name.registry();
                let phrase = gate::later_phrase(
                    &format!("Upstream {registry} limits the rate"),
                    &format!("in {seconds} s"),
                );
                let mut refused = Self::unavailable(phrase, json!({}), retry_after);
                refused.code = ErrorCode::Toomanyrequests;
                refused
            }
            Error::Upstream(upstream) => {
                let registry = name.registry();
                let phrase = gate::later_phrase(
                    &format!("Upstream {registry} failed and nothing is cached"),
                    SOON,
                );
                let retry_after = upstream.retry_after().unwrap_or(RETRY_AFTER);
                Self::unavailable(phrase, json!({"cause": upstream.to_string()}), retry_after)
            }
            Error::Abandoned(_) | Error::Ledger(_) | Error::Overloaded | Error::Store(_) => {
                let phrase = gate::later_phrase("Mirror unavailable, failing closed", SOON);
                Self::unavailable(phrase, json!({}), RETRY_AFTER)
            }
        }
    }

    fn of_gate(refusal: &Refusal, public_url: Option<&str>) -> Self {
        let id = refusal.request.as_ref().map(ToString::to_string);
        let link =
            public_url.zip(refusal.request.as_ref()).map(|(url, id)| format!("{url}/r/{}", id.0));
        let (phrase, message) = if let Some(judgement) = &refusal.judgement {
            (
                gate::phrase(judgement, id.as_deref(), link.as_deref()),
                gate::message(&image(refusal), judgement, id.as_deref(), link.as_deref()),
            )
        } else {
            let phrase = gate::checking_phrase(id.as_deref());
            (phrase.clone(), phrase)
        };
        let judgement = refusal.judgement.as_ref();
        let detail = json!({
            "decision": refusal.decision.as_str(),
            "digest": refusal.digest,
            "image": format!("{}", refusal.name),
            "reference": refusal.reference,
            "request": id,
            "rule": judgement.and_then(|judgement| judgement.rule.as_ref().map(ToString::to_string)),
            "reasons": judgement.map(gate::Judgement::reasons),
        });
        Self {
            status: StatusCode::FORBIDDEN,
            code: ErrorCode::Denied,
            phrase: Some(phrase),
            message,
            detail,
            decision: Some(refusal.decision),
            link,
            retry_after: None,
        }
    }

    fn denied(phrase: String, message: String) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: ErrorCode::Denied,
            phrase: Some(phrase),
            message,
            detail: json!({"decision": Decision::Denied.as_str()}),
            decision: Some(Decision::Denied),
            link: None,
            retry_after: None,
        }
    }

    fn absent(what: &str, unknown: ErrorCode) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: unknown,
            phrase: None,
            message: format!("{what} does not exist upstream"),
            detail: json!({}),
            decision: None,
            link: None,
            retry_after: None,
        }
    }

    fn unavailable(phrase: String, detail: Value, retry_after: Duration) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: ErrorCode::Unavailable,
            message: phrase.clone(),
            phrase: Some(phrase),
            detail,
            decision: None,
            link: None,
            retry_after: Some(retry_after),
        }
    }

    /// Tells the log what the client is told, and the causes that it is not told.
    pub(crate) fn log(&self, error: &Error) {
        let status = self.status.as_u16();
        if self.status.is_server_error() {
            let mut causes = Vec::new();
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                causes.push(error.to_string());
                cause = error.source();
            }
            warn!(status, reason = %self.message, ?causes, "could not answer");
        } else {
            info!(status, reason = %self.message, detail = %self.detail, "refused");
        }
    }

    /// The answer.
    pub(crate) fn response(self) -> Response<NodeBody> {
        let error = error_value(self.code, &self.message, &self.detail);
        let mut response = error_response(self.status, self.phrase.as_deref(), &error);
        let headers = response.headers_mut();
        if let Some(decision) = self.decision {
            headers.insert(DECISION, HeaderValue::from_static(decision.as_str()));
        }
        if let Some(link) = self.link {
            insert(headers, header::LINK, &format!("<{link}>; rel=\"describedby\""));
        }
        if let Some(retry_after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        response
    }
}

/// What was asked for, as people write it.
fn image(refusal: &Refusal) -> String {
    match (&refusal.reference, &refusal.digest) {
        (Reference::Tag(tag), Some(digest)) => format!("{}:{tag}@{digest}", refusal.name),
        (Reference::Tag(tag), None) => format!("{}:{tag}", refusal.name),
        (Reference::Digest(digest), _) => format!("{}@{digest}", refusal.name),
    }
}
