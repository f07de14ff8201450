//! Granting, refusing and ending exceptions. Each is one transaction with its record of the audit.

use super::{
    Closed, ExceptionId, ExceptionRow, ExceptionState, ExceptionVote, Granting,
    IN_FORCE_PER_REPOSITORY_MAX, reading,
};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::time::Timestamp;

/// What a vote that was the last one missing brings about.
#[derive(Debug, Clone)]
pub struct ExceptionGrant {
    /// Who granted it, the last of them last.
    pub by: Vec<String>,
    /// How many they are, as the approval policy counts them.
    pub counted: u64,
    /// Until when.
    pub expires: Timestamp,
}

/// A no to an exception, or its end.
#[derive(Debug, Clone)]
pub struct ExceptionEnd {
    /// Which.
    pub id: ExceptionId,
    /// Who does it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Whether it is a no to what waits; else it is the end of what was granted or asked.
    pub refuses: bool,
}

impl Writing<'_> {
    /// The exception `id`, which must be in one of `states`.
    fn exception_in(
        &self,
        id: ExceptionId,
        states: &[ExceptionState],
    ) -> Result<ExceptionRow, Error> {
        let row = reading::by_id(self.connection, id)?.ok_or(Error::NoSuchException(id))?;
        if !states.contains(&row.state) {
            return Err(Error::ExceptionClosed { exception: id, state: row.state });
        }
        Ok(row)
    }

    fn vote_on_exception(
        &mut self,
        vote: ExceptionVote,
        then: Option<ExceptionGrant>,
    ) -> Result<ExceptionRow, Error> {
        let mut row = self.exception_in(vote.exception, &[ExceptionState::Asked])?;
        let (reason, ballot) = (vote.reason.clone(), vote.ballot.clone());
        if row.scope != vote.scope || row.expires != ballot.expires {
            return Err(Error::CorruptRow { table: "exceptions", key: row.id.to_string() });
        }
        self.keep_exception_vote(&row, vote)?;
        let Some(grant) = then else { return Ok(row) };
        let in_force = reading::in_force_of(self.connection, &row.scope.name)?;
        if in_force.len() >= IN_FORCE_PER_REPOSITORY_MAX {
            let limit = u64::try_from(IN_FORCE_PER_REPOSITORY_MAX).unwrap_or(u64::MAX);
            return Err(Error::TooManyExceptions { of: "in force for the repository", limit });
        }
        reading::check_in_force(self.connection)?;
        // What says the same until another day makes way: one finding has one exception.
        for before in in_force.into_iter().filter(|before| before.scope == row.scope) {
            let by = grant.by.last().cloned().unwrap_or_default();
            self.close_exception(before, (&by, &format!("{} takes its place", row.id)), false)?;
        }
        let mut event = AuditEvent::new(
            AuditKind::ExceptionGranted,
            grant.by.last().cloned().unwrap_or_default(),
        )
        .with("expires", grant.expires)
        .with("rule", &ballot.rule)
        .with("approval", &ballot.approval)
        .with("policy", ballot.policy)
        .with("voters", grant.by.join(", "));
        event.reason = Some(reason.clone());
        row.state = ExceptionState::Granted;
        row.granted = Some(Granting {
            by: grant.by,
            at: self.now,
            reason,
            expires: grant.expires,
            rule: ballot.rule,
            approval: ballot.approval,
            counted: grant.counted,
        });
        self.change_exception(&mut row, &event)?;
        Ok(row)
    }

    fn end_exception(&mut self, end: &ExceptionEnd) -> Result<ExceptionRow, Error> {
        let states = [ExceptionState::Asked, ExceptionState::Granted];
        let states = if end.refuses { states.get(..1) } else { Some(&states[..]) };
        let row = self.exception_in(end.id, states.unwrap_or_default())?;
        if end.refuses {
            return self.refuse_exception(row, end);
        }
        self.close_exception(row, (&end.by, &end.reason), false)
    }

    fn refuse_exception(
        &mut self,
        mut row: ExceptionRow,
        end: &ExceptionEnd,
    ) -> Result<ExceptionRow, Error> {
        let mut event = AuditEvent::new(AuditKind::ExceptionRefused, end.by.clone());
        event.reason = Some(end.reason.clone());
        row.state = ExceptionState::Refused;
        row.closed = Some(self.closed(&end.by, &end.reason, false));
        self.change_exception(&mut row, &event)?;
        Ok(row)
    }

    fn closed(&self, by: &str, reason: &str, expired: bool) -> Closed {
        Closed { by: by.to_owned(), at: self.now, reason: reason.to_owned(), expired }
    }

    fn close_exception(
        &mut self,
        mut row: ExceptionRow,
        (by, reason): (&str, &str),
        expired: bool,
    ) -> Result<ExceptionRow, Error> {
        let how = if expired { "expired" } else { "withdrawn" };
        let mut event = AuditEvent::new(AuditKind::ExceptionEnded, by).with("how", how);
        event = event.with("state_before", row.state);
        event.reason = Some(reason.to_owned());
        row.state = ExceptionState::Ended;
        row.closed = Some(self.closed(by, reason, expired));
        self.change_exception(&mut row, &event)?;
        Ok(row)
    }

    fn end_expired(&mut self, now: Timestamp) -> Result<Vec<ExceptionRow>, Error> {
        let mut ended = Vec::new();
        for row in reading::expired(self.connection, now)? {
            let reason = match row.state {
                ExceptionState::Granted => "it has expired",
                ExceptionState::Asked | ExceptionState::Ended | ExceptionState::Refused => {
                    "nobody granted it in time"
                }
            };
            ended.push(self.close_exception(row, ("server", reason), true)?);
        }
        Ok(ended)
    }
}

impl Ledger {
    /// Puts `vote` on record, signed, and, where it is the one that was missing, grants the exception in the
    /// same transaction; gives the exception as it is then.
    ///
    /// # Errors
    /// [`Error::NoSuchException`], [`Error::ExceptionClosed`], [`Error::TooManyExceptions`],
    /// [`Error::TooManyExceptionVotes`]; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the vote may be cast even if the future is dropped.
    pub async fn vote_on_exception(
        &self,
        vote: ExceptionVote,
        then: Option<ExceptionGrant>,
    ) -> Result<ExceptionRow, Error> {
        self.write(move |writing| writing.vote_on_exception(vote, then)).await
    }

    /// Refuses what waits, or ends what was granted or asked for. What was granted is not in force any more
    /// when this returns.
    ///
    /// # Errors
    /// [`Error::NoSuchException`], [`Error::ExceptionClosed`]; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, it may be ended even if the future is dropped.
    pub async fn end_exception(&self, end: ExceptionEnd) -> Result<ExceptionRow, Error> {
        self.write(move |writing| writing.end_exception(&end)).await
    }

    /// Ends what has expired by `now`, up to 1,000 at a time: it stays ended whatever a clock says later.
    /// Gives those that were ended.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn end_expired_exceptions(&self, now: Timestamp) -> Result<Vec<ExceptionRow>, Error> {
        self.write(move |writing| writing.end_expired(now)).await
    }
}
