//! One delivery: what is sent, and what came of it.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::body::From;
use super::event::Event;
use super::sign::{self, SecretError, Signer};
use super::{Address, WebhookSettings};
use crate::oci::Secret;
use crate::tasks::Tasks;
use crate::time::Timestamp;
use crate::upstream::{self, Hook, HookAnswer};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Milliseconds in a second.
const SECOND: i64 = 1_000;

/// What came of a delivery.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The receiver took it.
    Delivered(HookAnswer),
    /// The receiver may take it later.
    Failed {
        /// Why it did not.
        error: String,
        answer: Option<HookAnswer>,
    },
    /// The receiver wants nothing more.
    Gone(HookAnswer),
    /// The receiver does not take this event, and may take others.
    Refused(HookAnswer),
}

/// Where to send, and what signs.
pub(super) struct Keys {
    pub(super) url: Secret,
    pub(super) signer: Option<Signer>,
}

impl Keys {
    /// Reads what `settings` names.
    ///
    /// # Errors
    /// When a file cannot be read or holds no secret.
    pub(super) fn read(settings: &WebhookSettings) -> Result<Self, SecretError> {
        let url = match &settings.address {
            Address::File(path) => sign::read(path)?,
            Address::Url(url) => url.clone(),
        };
        let signer = settings.secret_file.as_deref().map(Signer::from_file).transpose()?;
        Ok(Self { url, signer })
    }

    /// As [`Keys::read`], on a thread that may wait.
    pub(super) async fn load(settings: &WebhookSettings, tasks: &Tasks) -> Result<Self, String> {
        let settings = settings.clone();
        let reading = tasks.spawn_blocking(move || Self::read(&settings));
        let read = reading.await.map_err(|_| "was stopped".to_owned())?;
        read.map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("its secret or address {error}{cause}")
        })
    }
}

/// Sends `event` once.
pub(super) async fn send(
    hook: &Hook,
    keys: &Keys,
    settings: &WebhookSettings,
    from: &From,
    event: &Event,
    now: Timestamp,
) -> Outcome {
    let body = settings.format.body(event, from);
    let Some(headers) = headers(keys, settings, event, &body, now) else {
        return failed("what is to be sent cannot be a header", None);
    };
    match hook.post(&keys.url, headers, body, now).await {
        Ok(answer) => judged(answer),
        Err(error) => failed(in_words(&error), None),
    }
}

fn headers(
    keys: &Keys,
    settings: &WebhookSettings,
    event: &Event,
    body: &Bytes,
    now: Timestamp,
) -> Option<HeaderMap> {
    let seconds = now.milliseconds().div_euclid(SECOND);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(settings.format.media_type()));
    headers.insert(ID, HeaderValue::from_str(&event.id).ok()?);
    headers.insert(TIMESTAMP, HeaderValue::from(seconds));
    if let Some(signer) = &keys.signer {
        let signature = signer.sign(&event.id, seconds, body);
        headers.insert(SIGNATURE, HeaderValue::from_str(&signature).ok()?);
    }
    Some(headers)
}

fn failed(error: impl Into<String>, answer: Option<HookAnswer>) -> Outcome {
    Outcome::Failed { error: error.into(), answer }
}

/// What an answer means.
fn judged(answer: HookAnswer) -> Outcome {
    let status = answer.status;
    match status {
        _ if status.is_success() => Outcome::Delivered(answer),
        StatusCode::GONE => Outcome::Gone(answer),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused(answer),
        _ if status.is_redirection() => {
            let text =
                "it redirects, which is not followed; write where it leads into the settings";
            failed(text, Some(answer))
        }
        _ => failed(status_text(status), Some(answer)),
    }
}

/// A status for people.
pub(super) fn status_text(status: StatusCode) -> String {
    format!("it answered {}", status.as_u16())
}

/// How long the receiver asked to be left alone.
pub(super) fn wanted_rest(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Failed { answer: Some(answer), .. } => answer.retry_after,
        Outcome::Failed { answer: None, .. }
        | Outcome::Delivered(_)
        | Outcome::Gone(_)
        | Outcome::Refused(_) => None,
    }
}

/// A failure to send, with its cause; no part of the address but its host.
fn in_words(error: &upstream::Error) -> String {
    use upstream::Error;
    let cause = |text: &str| match error.source() {
        Some(cause) => format!("{text}: {cause}"),
        None => text.to_owned(),
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are about registries")]
    match error {
        Error::AddressRefused { host, .. } => {
            format!("{host} has no public address; allow_private = true lets it be another")
        }
        Error::Connect { .. } => cause("no connection"),
        Error::Setting { .. } => {
            "its address is none that may be sent to: https, or http with danger_plain_http"
                .to_owned()
        }
        Error::TimedOut { stage, .. } => format!("no answer in time ({stage})"),
        Error::Tls { .. } => cause("no TLS connection"),
        Error::Transport { .. } => cause("the connection broke"),
        _ => cause(&error.to_string()),
    }
}
