//! A webhook at work: it follows the audit chain and sends its events, one after the other.
//!
//! Promises: every event since the webhook began is sent until the receiver took it, in order, at least
//! once, across restarts; of what waits no more than a page is in memory; nobody waits for a receiver
//! but the events behind its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use super::attempt::{self, Keys, Outcome, status_text, wanted_rest};
use super::body::From;
use super::event::{Event, EventPattern, checkpoint_id};
use super::state::{DeliveryView, Pending, State, WebhookTestView, WebhookView};
use super::{Parts, Retry, WebhookSettings};
use crate::ledger::{self, AuditRow, WebhookCursor, WebhookPause};
use crate::oci::{Digest, Secret};
use crate::text::plain_to_see;
use crate::transparency::Checkpoint;
use crate::upstream::{Hook, origin_of};

/// Records that are read from the chain at a time.
const PAGE: u32 = 64;
/// How often the cursor is written while many events are sent; what was sent since is sent again after
/// a crash.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Times that an event is sent which the receiver refuses as such, before the next one gets its turn;
/// they span most of a day.
const REFUSALS_MAX: u32 = 24;
/// Least time between two checkpoints that are sent.
const CHECKPOINT_EVERY: Duration = Duration::from_mins(1);
/// Longest beginning of an answer that is shown, in characters.
const ANSWER_LENGTH_MAX: usize = 200;

/// One webhook.
#[derive(Debug)]
pub(super) struct Follower {
    settings: WebhookSettings,
    hook: Hook,
    from: From,
    retry: Retry,
    parts: Parts,
    /// How many records there were when this began.
    records: u64,
    state: Mutex<State>,
    /// Something changed that is worth another try at once.
    poke: Notify,
    testing: tokio::sync::Mutex<()>,
}

impl Follower {
    pub(super) fn new(
        settings: WebhookSettings,
        hook: Hook,
        from: From,
        retry: Retry,
        parts: Parts,
    ) -> Self {
        let records = *parts.ledger.audit_grown().borrow();
        Self {
            settings,
            hook,
            from,
            retry,
            parts,
            records,
            state: Mutex::default(),
            poke: Notify::new(),
            testing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what there is and what comes, until the program stops.
    pub(super) async fn run(self: Arc<Self>) {
        let stopping = self.parts.tasks.stopping();
        tokio::select! {
            () = stopping => {}
            () = self.go_on() => {}
        }
        self.save().await;
    }

    async fn go_on(&self) {
        let mut grown = self.parts.ledger.audit_grown();
        let (mut signed, mut not_before) = (self.parts.ledger.signed(), Instant::now());
        self.begin().await;
        loop {
            let cursor = self.state().cursor.sequence;
            let grew = async { grown.wait_for(|count| *count > cursor).await.map(drop) };
            tokio::select! {
                grew = grew => if grew.is_err() { return },
                checkpoint = self.next_checkpoint(&mut signed, not_before) => {
                    self.tell_of(&checkpoint).await;
                    not_before = Instant::now() + CHECKPOINT_EVERY;
                    continue;
                }
            }
            match self.page(cursor.saturating_add(1)).await {
                Ok(rows) if !rows.is_empty() => {
                    let mut saved = Instant::now();
                    for row in rows {
                        self.deal_with(&row, &mut saved).await;
                    }
                    self.save().await;
                }
                // The ledger has logged it; records that are gone are the audit's to tell of.
                Ok(_) | Err(_) => sleep(self.retry.max.min(Duration::from_mins(1))).await,
            }
        }
    }

    /// The last checkpoint that was signed, once it is another than the one that was told last; never for a
    /// webhook that does not ask for them by name.
    async fn next_checkpoint(
        &self,
        signed: &mut watch::Receiver<Option<Checkpoint>>,
        not_before: Instant,
    ) -> Checkpoint {
        if self.settings.events.iter().any(EventPattern::asks_for_checkpoints) {
            sleep_until(not_before).await;
            let told = self.state().cursor.checkpoint.clone();
            let is_new = |last: &Option<Checkpoint>| {
                last.as_ref().is_some_and(|last| Some(checkpoint_id(last)) != told)
            };
            if let Ok(last) = signed.wait_for(is_new).await
                && let Some(checkpoint) = last.clone()
            {
                return checkpoint;
            }
        }
        std::future::pending().await
    }

    /// Sends `checkpoint` until it was taken, or was refused for good. Those that are signed meanwhile are not
    /// sent, but the last one of them.
    async fn tell_of(&self, checkpoint: &Checkpoint) {
        let event = Event::checkpoint(checkpoint, self.parts.clock.now());
        self.deliver(&event).await;
        {
            let mut state = self.state();
            state.cursor.checkpoint = Some(event.id);
            state.is_unsaved = true;
        }
        self.save().await;
    }

    /// Finds out where to go on: at the end of the chain when this webhook is new.
    async fn begin(&self) {
        let mut failures = 0;
        loop {
            let found = self.parts.ledger.webhook_cursor(self.name()).await;
            let cursor = match found {
                Ok(Some(cursor)) => cursor,
                Ok(None) => self.at_the_end(),
                Err(ledger::Error::CorruptRow { .. }) => {
                    error!(
                        webhook = self.name(),
                        "how far it had come is not what was written; it begins at the end of the audit"
                    );
                    self.at_the_end()
                }
                Err(_) => {
                    failures += 1;
                    sleep(self.retry.after(failures)).await;
                    continue;
                }
            };
            let address = self.address().await;
            self.state().begin(cursor, address);
            self.save().await;
            return;
        }
    }

    fn at_the_end(&self) -> WebhookCursor {
        WebhookCursor { sequence: self.records, ..WebhookCursor::default() }
    }

    /// The hash of the address, by which a pause knows it again.
    async fn address(&self) -> Option<Digest> {
        let keys = Keys::load(&self.settings, &self.parts.tasks).await.ok()?;
        Some(fingerprint(&keys.url))
    }

    /// The records from `from` on, as many as are dealt with at a time. A damaged one is stepped over.
    async fn page(&self, from: u64) -> Result<Vec<AuditRow>, ledger::Error> {
        let ledger = &self.parts.ledger;
        match ledger.audit(from, PAGE).await {
            Err(ledger::Error::CorruptRow { .. }) => {}
            outcome => return outcome,
        }
        match ledger.audit(from, 1).await {
            Err(ledger::Error::CorruptRow { .. }) => {
                error!(
                    webhook = self.name(),
                    record = from,
                    "damaged record, nobody is told of it"
                );
                self.state().advance(from);
                self.page_after(from).await
            }
            outcome => outcome,
        }
    }

    async fn page_after(&self, from: u64) -> Result<Vec<AuditRow>, ledger::Error> {
        self.parts.ledger.audit(from.saturating_add(1), 1).await
    }

    async fn deal_with(&self, row: &AuditRow, saved: &mut Instant) {
        let wanted =
            |event: &Event| self.settings.events.iter().any(|pattern| pattern.matches(event.kind));
        if let Some(event) = Event::of(row).filter(wanted) {
            self.deliver(&event).await;
        }
        self.state().advance(row.sequence);
        if saved.elapsed() >= SAVE_EVERY {
            self.save().await;
            *saved = Instant::now();
        }
    }

    /// Sends `event` until it was taken, or was refused for good.
    async fn deliver(&self, event: &Event) {
        let (mut failures, mut refusals) = (0, 0);
        self.state().pending = Some(Pending::of(event));
        loop {
            self.wait_while_paused().await;
            let outcome = self.attempt(event).await;
            let now = self.parts.clock.now();
            let rest = wanted_rest(&outcome).unwrap_or_default();
            let error = match outcome {
                Outcome::Delivered(_) => return self.state().delivered(now, &event.id),
                Outcome::Gone(_) => {
                    self.state().failed(now, "it answered 410: it is gone", &event.id);
                    self.pause().await;
                    continue;
                }
                Outcome::Refused(answer) => {
                    refusals += 1;
                    status_text(answer.status)
                }
                Outcome::Failed { error, .. } => error,
            };
            failures += 1;
            self.state().failed(now, &error, &event.id);
            if refusals >= REFUSALS_MAX {
                error!(
                    webhook = self.name(),
                    event = event.id,
                    error,
                    "refused again and again, given up"
                );
                let mut state = self.state();
                state.given_up = state.given_up.saturating_add(1);
                state.pending = None;
                return;
            }
            warn!(webhook = self.name(), event = event.id, failures, error, "not delivered");
            self.rest(failures, rest).await;
        }
    }

    /// Waits before the next try.
    async fn rest(&self, failures: u32, wanted: Duration) {
        self.save().await;
        let wait = self.retry.after(failures).max(wanted.min(self.retry.max));
        if let Some(pending) = &mut self.state().pending {
            pending.failures = failures;
            pending.next_try = Some(self.parts.clock.now().after(wait));
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = self.poke.notified() => {}
        }
        if let Some(pending) = &mut self.state().pending {
            pending.next_try = None;
        }
    }

    async fn attempt(&self, event: &Event) -> Outcome {
        let keys = match Keys::load(&self.settings, &self.parts.tasks).await {
            Ok(keys) => keys,
            Err(error) => return Outcome::Failed { error, answer: None },
        };
        let now = self.parts.clock.now();
        attempt::send(&self.hook, &keys, &self.settings, &self.from, event, now).await
    }

    async fn wait_while_paused(&self) {
        while self.state().cursor.paused.is_some() {
            self.poke.notified().await;
        }
    }

    /// Sends nothing more until a test arrives, or the settings name another address.
    async fn pause(&self) {
        let Some(address) = self.address().await else { return };
        warn!(
            webhook = self.name(),
            "its receiver says that it is gone (410); paused until `pratique webhook test` arrives \
             or the settings name another address; what happens meanwhile is kept for it"
        );
        self.state().pause(WebhookPause { at: self.parts.clock.now(), address });
        self.save().await;
    }

    /// Writes the cursor, if it moved. What cannot be written is tried again with the next.
    async fn save(&self) {
        let cursor = {
            let mut state = self.state();
            if !std::mem::take(&mut state.is_unsaved) {
                return;
            }
            state.cursor.clone()
        };
        if let Err(error) = self.parts.ledger.save_webhook_cursor(self.name(), cursor).await {
            warn!(webhook = self.name(), %error, "how far it has come was not written");
            self.state().is_unsaved = true;
        }
    }

    /// Sends an event that is none, at once, and tells what came back; a paused webhook goes on when it
    /// arrived.
    pub(super) async fn test(&self, by: &str) -> WebhookTestView {
        let _one_at_a_time = self.testing.lock().await;
        let event = Event::test(self.parts.clock.now(), by);
        let since = Instant::now();
        let outcome = self.attempt(&event).await;
        let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (error, answer) = match outcome {
            Outcome::Delivered(answer) => (None, Some(answer)),
            Outcome::Failed { error, answer } => (Some(error), answer),
            Outcome::Gone(answer) | Outcome::Refused(answer) => {
                (Some(status_text(answer.status)), Some(answer))
            }
        };
        let delivered = error.is_none();
        let resumed = delivered && self.resume().await;
        let text = answer.as_ref().map(|answer| shown(&answer.text)).filter(|it| !it.is_empty());
        WebhookTestView {
            name: self.name().to_owned(),
            delivered,
            event: event.id,
            status: answer.map(|answer| answer.status.as_u16()),
            milliseconds,
            error,
            answer: text,
            resumed,
        }
    }

    /// Has what waits sent at once; gives whether it was paused.
    async fn resume(&self) -> bool {
        let was_paused = {
            let mut state = self.state();
            let was_paused = state.cursor.paused.take().is_some();
            state.is_unsaved |= was_paused;
            was_paused
        };
        if was_paused {
            info!(webhook = self.name(), "its receiver is back");
            self.save().await;
        }
        self.poke.notify_one();
        was_paused
    }

    /// How it is.
    pub(super) fn view(&self) -> WebhookView {
        let count = *self.parts.ledger.audit_grown().borrow();
        let to = self.settings.address.shown();
        let state = self.state();
        let delivered = state.cursor.delivered.clone();
        WebhookView {
            name: self.name().to_owned(),
            to,
            format: self.settings.format.as_str().to_owned(),
            events: self.settings.events.iter().map(ToString::to_string).collect(),
            state: state.word().to_owned(),
            sequence: state.cursor.sequence,
            behind: count.saturating_sub(state.cursor.sequence),
            waiting_since: state.waiting_since(),
            waiting_event: state.pending.as_ref().map(|pending| pending.id.clone()),
            next_try: state.pending.as_ref().and_then(|pending| pending.next_try),
            paused_since: state.cursor.paused.as_ref().map(|pause| pause.at),
            last_delivery: delivered.map(|it| DeliveryView { at: it.at, event: it.id }),
            last_failure: state.last_failure.clone(),
            deliveries: state.deliveries,
            failures: state.failures,
            given_up: state.given_up,
        }
    }
}

fn fingerprint(url: &Secret) -> Digest {
    Digest::sha256(url.expose().as_bytes())
}

/// The beginning of an answer, in one line.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(ANSWER_LENGTH_MAX)
        .collect();
    plain_to_see(&line)
}

impl super::Address {
    /// What may be shown of it.
    fn shown(&self) -> String {
        match self {
            Self::File(path) => format!("as in {}", path.display()),
            Self::Url(url) => origin_of(url).unwrap_or_default(),
        }
    }
}
