//! How a webhook is: what is kept of it in memory, and how that is shown.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::ledger::{WebhookCursor, WebhookDelivery, WebhookPause};
use crate::oci::Digest;
use crate::time::Timestamp;

/// What is known of a webhook.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether its cursor has been read.
    pub(super) has_begun: bool,
    pub(super) cursor: WebhookCursor,
    /// Whether the cursor has moved since it was last written.
    pub(super) is_unsaved: bool,
    /// The event that is being sent: the oldest that was not delivered.
    pub(super) pending: Option<Pending>,
    pub(super) last_failure: Option<FailureView>,
    pub(super) deliveries: u64,
    pub(super) failures: u64,
    pub(super) given_up: u64,
}

/// An event on its way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) at: Timestamp,
    /// Failures in a row.
    pub(super) failures: u32,
    /// When it is sent again.
    pub(super) next_try: Option<Timestamp>,
}

impl Pending {
    pub(super) fn of(event: &Event) -> Self {
        Self { id: event.id.clone(), at: event.at, failures: 0, next_try: None }
    }
}

impl State {
    /// Since when the oldest event waits that was not delivered.
    pub(super) fn waiting_since(&self) -> Option<Timestamp> {
        self.pending.as_ref().map(|pending| pending.at)
    }

    /// Takes up where it was, unless that is paused for another address than `address`, which has not said
    /// that it is gone.
    pub(super) fn begin(&mut self, cursor: WebhookCursor, address: Option<Digest>) {
        self.cursor = cursor;
        self.cursor.paused = self.cursor.paused.take().filter(|it| Some(it.address) == address);
        (self.has_begun, self.is_unsaved) = (true, true);
    }

    /// Notes that the receiver is gone.
    pub(super) fn pause(&mut self, pause: WebhookPause) {
        self.cursor.paused = Some(pause);
        self.is_unsaved = true;
    }

    /// Notes that a delivery failed.
    pub(super) fn failed(&mut self, at: Timestamp, error: &str, id: &str) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(FailureView { at, event: id.to_owned(), error: error.to_owned() });
    }

    /// Notes that an event was delivered.
    pub(super) fn delivered(&mut self, at: Timestamp, id: &str) {
        self.deliveries = self.deliveries.saturating_add(1);
        self.pending = None;
        self.cursor.delivered = Some(WebhookDelivery { at, id: id.to_owned() });
    }

    /// Notes that everything up to the record `sequence` was dealt with.
    pub(super) fn advance(&mut self, sequence: u64) {
        self.cursor.sequence = self.cursor.sequence.max(sequence);
        self.is_unsaved = true;
    }

    /// The state in one word.
    pub(super) fn word(&self) -> &'static str {
        match &self.pending {
            _ if !self.has_begun => "starting",
            _ if self.cursor.paused.is_some() => "paused",
            Some(pending) if pending.failures > 0 => "retrying",
            Some(_) => "sending",
            None => "idle",
        }
    }
}

/// A webhook.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Where it sends: scheme, host and port; what follows may be a secret.
    pub to: String,
    /// `cloudevents`, `slack` or `mail-json`.
    pub format: String,
    /// Which events.
    pub events: Vec<String>,
    /// `idle`, `sending`, `retrying`, `paused` (the receiver said that it is gone) or `starting`.
    pub state: String,
    /// The last record of the audit that was dealt with.
    pub sequence: u64,
    /// How many records of the audit come after that, events of this webhook or not.
    pub behind: u64,
    /// Since when the oldest event waits that was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// The identity of that event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_event: Option<String>,
    /// When that is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// Since when it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Timestamp>,
    /// What was delivered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<DeliveryView>,
    /// What failed last, since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureView>,
    /// Deliveries since the start.
    pub deliveries: u64,
    /// Failed deliveries since the start.
    pub failures: u64,
    /// Events that the receiver refused until they were given up, since the start.
    pub given_up: u64,
}

/// A delivery that succeeded.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// When.
    pub at: Timestamp,
    /// The identity of the event.
    pub event: String,
}

/// A delivery that failed.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// When.
    pub at: Timestamp,
    /// The identity of the event.
    pub event: String,
    /// Why.
    pub error: String,
}

/// What came of a test.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTestView {
    /// The webhook.
    pub name: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The identity of the event that was sent.
    pub event: String,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the body of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether it was paused before, and goes on now.
    #[serde(default)]
    pub resumed: bool,
}

/// How long ago `since` was, in whole seconds; 0 when there is none.
pub(super) fn age(since: Option<Timestamp>, now: Timestamp) -> u64 {
    since.map_or(Duration::ZERO, |since| now.since(since)).as_secs()
}
