//! What becomes of a break-glass, each with its record of the audit in the same transaction.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::params;

use super::{
    EMERGENCIES_OPEN_MAX, EMERGENCIES_UNREVIEWED_MAX, EmergencyEnd, EmergencyReview, EmergencyRow,
    EmergencyScope, EmergencyState, EmergencyVote, Held, TABLE, loading, read,
};
use crate::gate::EmergencyId;
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::caller::{Caller, PersonId};
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::people::TotpStep;
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// What whoever has a session shows once more, so that a session alone opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmergencyProof {
    /// A code of their authenticator, which counts for this once.
    Code(TotpStep),
    /// A sign-in at their provider, just before.
    Provider,
    /// The token that they signed in with.
    Token,
}

impl EmergencyProof {
    /// As the audit has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code(_) => "authenticator",
            Self::Provider => "provider",
            Self::Token => "token",
        }
    }
}

/// One that somebody wants to use.
#[derive(Debug, Clone)]
pub struct NewEmergency {
    /// What it is for.
    pub scope: EmergencyScope,
    /// Who.
    pub by: Caller,
    /// Why.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: Option<String>,
    /// For how long.
    pub ttl: Duration,
    /// How many people it takes.
    pub quorum: u64,
    /// Within which time somebody else has to look at it.
    pub review_within: Duration,
    /// The policy in force.
    pub policy: PolicyId,
    /// What time it is.
    pub now: Timestamp,
    /// What they showed once more; `None` where a token said it all.
    pub proof: Option<EmergencyProof>,
}

/// What becomes of one.
#[derive(Debug, Clone)]
pub enum EmergencyChange {
    /// It is over.
    End {
        /// Who says so.
        by: String,
        /// Why.
        why: String,
        /// What time it is.
        now: Timestamp,
    },
    /// Nobody reviewed it in time, and people are told.
    Overdue,
    /// Somebody looked at it.
    Review(EmergencyReview),
    /// Somebody says yes.
    Vote {
        /// Who, and what they wrote.
        vote: EmergencyVote,
        /// Whether it was the one that was missing, and within which time it is to be reviewed then.
        opens: Option<Duration>,
        /// How many that are now, whoever used it among them.
        have: u64,
        /// What they showed once more.
        proof: Option<EmergencyProof>,
    },
}

impl EmergencyRow {
    fn open(&mut self, now: Timestamp, review_within: Duration) {
        self.state = EmergencyState::Open;
        self.in_force_at = Some(now);
        self.until = Some(now.after(self.ttl()));
        self.review_by = Some(now.after(review_within));
    }

    /// The event `kind` about it, by `by`.
    fn event(&self, kind: AuditKind, by: impl Into<String>) -> AuditEvent {
        let mut event = AuditEvent::new(kind, by)
            .with("break_glass", self.id)
            .with("version", self.version)
            .with("state", self.state.as_str());
        event = match &self.scope {
            EmergencyScope::Image { subject } => event.about(subject),
            EmergencyScope::Repository { name } => event.with("repository", name),
        };
        if let Some(until) = self.until {
            event = event.with("until", until);
        }
        if let Some(ticket) = &self.ticket {
            event = event.with("ticket", ticket);
        }
        event
    }

    /// Does `change`; gives what is put on record about it.
    ///
    /// # Errors
    /// [`Error::EmergencyState`] when it does not stand so that this could be done.
    fn change(&mut self, change: EmergencyChange) -> Result<AuditEvent, Error> {
        let refused = |state: EmergencyState| Err(Error::EmergencyState { id: self.id, state });
        self.version += 1;
        match (change, self.state) {
            (
                EmergencyChange::End { by, why, now },
                EmergencyState::Open | EmergencyState::Waiting,
            ) => {
                self.state = EmergencyState::Ended;
                self.ended = Some(EmergencyEnd { at: now, by: by.clone(), why: why.clone() });
                let mut event = self.event(AuditKind::BreakGlassEnded, by);
                event.reason = Some(why);
                Ok(event.with("used_by", &self.by))
            }
            (EmergencyChange::Overdue, _) => {
                if !self.is_unreviewed() || self.overdue_told {
                    return refused(self.state);
                }
                self.overdue_told = true;
                Ok(self.event(AuditKind::BreakGlassUnreviewed, "server").with("used_by", &self.by))
            }
            (EmergencyChange::Review(review), EmergencyState::Ended) if self.is_unreviewed() => {
                let verdict = if review.is_justified { "justified" } else { "not-justified" };
                let (by, comment) = (review.by.to_string(), review.comment.clone());
                self.review = Some(review);
                let mut event = self.event(AuditKind::BreakGlassReviewed, by);
                event.reason = Some(comment);
                Ok(event.with("review", verdict).with("used_by", &self.by))
            }
            (EmergencyChange::Vote { vote, opens, have, proof }, EmergencyState::Waiting) => {
                if self.is_of(&vote.by) {
                    return refused(self.state);
                }
                let (by, comment, at) = (vote.by.to_string(), vote.comment.clone(), vote.at);
                self.votes.push(vote);
                if let Some(review_within) = opens {
                    self.open(at, review_within);
                }
                let mut event = self.event(AuditKind::BreakGlassVoted, by);
                event.reason = Some(comment);
                event = event.with("quorum", format_args!("{have} of {}", self.quorum));
                Ok(proved(event, proof))
            }
            (
                EmergencyChange::End { .. }
                | EmergencyChange::Review(_)
                | EmergencyChange::Vote { .. },
                state,
            ) => refused(state),
        }
    }
}

/// `event` with what was shown for it.
fn proved(event: AuditEvent, proof: Option<EmergencyProof>) -> AuditEvent {
    match proof {
        Some(proof) => event.with("proved_by", proof.as_str()),
        None => event,
    }
}

impl Writing<'_> {
    /// Has what `id` showed count for this once.
    fn use_proof(
        &mut self,
        (id, since): (&PersonId, Timestamp),
        proof: Option<EmergencyProof>,
    ) -> Result<(), Error> {
        match proof {
            Some(EmergencyProof::Code(step)) => self.use_code(id, since, step),
            Some(EmergencyProof::Provider | EmergencyProof::Token) | None => Ok(()),
        }
    }

    fn begin_emergency(
        &mut self,
        new: NewEmergency,
        (monotonic, unsettled): (Duration, [usize; 2]),
    ) -> Result<Arc<EmergencyRow>, Error> {
        let [open, unreviewed] = unsettled;
        if open >= EMERGENCIES_OPEN_MAX || unreviewed >= EMERGENCIES_UNREVIEWED_MAX {
            return Err(Error::TooManyEmergencies { open, unreviewed });
        }
        self.use_proof((&new.by.id, new.by.since), new.proof)?;
        let empty: (&str, &[u8]) = ("{}", &[]);
        self.connection
            .prepare_cached("INSERT INTO emergencies (body, seal) VALUES (?1, ?2)")?
            .execute(params![empty.0, empty.1])?;
        let number = unsigned(self.connection.last_insert_rowid());
        let id = EmergencyId::new(number).ok_or_else(|| Error::corrupt(TABLE, number))?;
        let mut row = EmergencyRow {
            id,
            scope: new.scope,
            by: new.by.id.clone(),
            since: new.by.since,
            display: new.by.display,
            reason: new.reason,
            ticket: new.ticket,
            ttl_ms: u64::try_from(new.ttl.as_millis()).unwrap_or(u64::MAX),
            quorum: new.quorum,
            policy: new.policy,
            asked_at: new.now,
            votes: Vec::new(),
            state: EmergencyState::Waiting,
            in_force_at: None,
            until: None,
            review_by: None,
            ended: None,
            review: None,
            overdue_told: false,
            begun: self.chain.count + 1,
            version: 1,
        };
        if row.quorum <= 1 {
            row.open(new.now, new.review_within);
        }
        let mut event = row
            .event(AuditKind::BreakGlassUsed, row.by.to_string())
            .with("policy", row.policy)
            .with("ttl_s", row.ttl().as_secs())
            .with("quorum", format_args!("1 of {}", row.quorum));
        event = proved(event, new.proof);
        event.reason = Some(row.reason.clone());
        self.save_emergency(row, &event, monotonic)
    }

    fn save_emergency(
        &mut self,
        row: EmergencyRow,
        event: &AuditEvent,
        monotonic: Duration,
    ) -> Result<Arc<EmergencyRow>, Error> {
        let sealed = Sealed::new(self.connection.sealer, TABLE, &[&row.id.to_string()], &row)?;
        self.connection
            .prepare_cached("UPDATE emergencies SET body = ?2, seal = ?3 WHERE id = ?1")?
            .execute(params![integer(row.id.number()), sealed.body, sealed.seal])?;
        self.audit(event)?;
        let row = Arc::new(row);
        let shown = Arc::clone(&row);
        self.after_commit(move |memory| {
            let mut held = memory.emergencies.write().unwrap_or_else(PoisonError::into_inner);
            if shown.is_settled() {
                held.remove(&shown.id);
                return;
            }
            // The time runs from when it came into force, whatever becomes of it later.
            let before = held.get(&shown.id).filter(|held| held.row.in_force_at.is_some());
            let deadline = before.map_or(monotonic + shown.ttl(), |held| held.deadline);
            held.insert(shown.id, Held { row: shown, deadline });
        });
        Ok(row)
    }

    fn change_emergency(
        &mut self,
        id: EmergencyId,
        change: EmergencyChange,
        monotonic: Duration,
    ) -> Result<Arc<EmergencyRow>, Error> {
        let mut row = read(self.connection, id)?.ok_or(Error::NoSuchEmergency(id))?;
        let is_settled = row.is_settled();
        // An older row that was put back has a seal that fits. Records about one that is settled may have left
        // the database.
        if !is_settled && loading::last_word(self.connection, id, row.begun)? != Some(row.version) {
            return Err(Error::corrupt(TABLE, id));
        }
        if let EmergencyChange::Vote { vote, proof, .. } = &change {
            self.use_proof((&vote.by, vote.since), *proof)?;
        }
        let event = row.change(change)?;
        if is_settled {
            return Err(Error::corrupt(TABLE, id));
        }
        self.save_emergency(row, &event, monotonic)
    }
}

impl Ledger {
    /// Begins one: it is in force at once where that takes one person.
    ///
    /// # Errors
    /// [`Error::TooManyEmergencies`]; else when it did not reach the disk, and then it is not in force.
    ///
    /// # Cancel safety
    /// Once polled, it may be begun even if the future is dropped.
    pub async fn begin_emergency(&self, new: NewEmergency) -> Result<Arc<EmergencyRow>, Error> {
        let monotonic = self.inner.clock.monotonic();
        let held = self.emergencies_held();
        let open = held.iter().filter(|row| row.state != EmergencyState::Ended).count();
        let unreviewed = held.len() - open;
        self.write(move |writing| writing.begin_emergency(new, (monotonic, [open, unreviewed])))
            .await
    }

    /// Does `change` to the one with that number.
    ///
    /// # Errors
    /// [`Error::NoSuchEmergency`], [`Error::EmergencyState`]; [`Error::CorruptRow`] when its row is not what
    /// was written last; else when it did not reach the disk. Nothing was changed then.
    ///
    /// # Cancel safety
    /// Once polled, it may be done even if the future is dropped.
    pub async fn change_emergency(
        &self,
        id: EmergencyId,
        change: EmergencyChange,
    ) -> Result<Arc<EmergencyRow>, Error> {
        let monotonic = self.inner.clock.monotonic();
        self.write(move |writing| writing.change_emergency(id, change, monotonic)).await
    }

    /// Whoever `id` is, has not had reviewed in time what they used.
    pub fn has_overdue_emergency(&self, id: &PersonId, now: Timestamp) -> bool {
        self.emergencies_held().iter().any(|row| row.by == *id && row.is_overdue(now))
    }
}
