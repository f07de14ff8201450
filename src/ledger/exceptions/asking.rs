//! Asking for an exception, and joining those who asked.

use rusqlite::params;

use super::{
    ASKED_MAX, ASKED_PER_PERSON_MAX, ASKERS_MAX, Asker, ExceptionId, ExceptionRow, ExceptionScope,
    ExceptionState, reading,
};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::rows::{Sealed, integer, unsigned};
use crate::ledger::writer::Writing;
use crate::ledger::{Caller, Error, Ledger};
use crate::time::Timestamp;

/// An exception that somebody wants.
#[derive(Debug, Clone)]
pub struct ExceptionWish {
    /// What it is about.
    pub scope: ExceptionScope,
    /// Until when.
    pub expires: Timestamp,
    /// Why the finding does no harm, in the word of `OpenVEX`.
    pub justification: Option<String>,
    /// Who asks.
    pub by: Caller,
    /// Why.
    pub reason: String,
    /// Where else that is written down.
    pub ticket: Option<String>,
}

impl ExceptionScope {
    /// `event` with what this is about.
    pub(super) fn told(&self, event: AuditEvent) -> AuditEvent {
        let event = event.with("vulnerability", &self.vulnerability);
        let event = match &self.package {
            Some(package) => event.with("package", package),
            None => event,
        };
        match self.subject() {
            Some(subject) => event.about(&subject),
            None => event.with("repository", &self.name),
        }
    }
}

impl Writing<'_> {
    fn ask_exception(&mut self, wish: &ExceptionWish) -> Result<(ExceptionId, bool), Error> {
        let key = wish.scope.key();
        if let Some(mut row) = reading::waiting(self.connection, &key)? {
            if row.askers.iter().any(|asker| asker.by == wish.by.id) {
                return Ok((row.id, false));
            }
            if row.askers.len() >= ASKERS_MAX {
                return Err(Error::TooManyRequesters(row.askers.len()));
            }
            row.askers.push(self.asker(wish));
            let event = Self::asked(&row, wish);
            self.change_exception(&mut row, &event)?;
            return Ok((row.id, true));
        }
        self.check_asked(&wish.by.name())?;
        let id = self.connection.query_row(
            "INSERT INTO exceptions (key, name, state, filed_by, ends, body, seal)
             VALUES (?1, ?2, 'asked', ?3, '', '', x'') RETURNING id",
            params![key, wish.scope.name.to_string(), wish.by.name()],
            |row| row.get(0),
        )?;
        let mut row = ExceptionRow {
            id: ExceptionId(unsigned(id)),
            scope: wish.scope.clone(),
            state: ExceptionState::Asked,
            expires: wish.expires,
            justification: wish.justification.clone(),
            askers: vec![self.asker(wish)],
            granted: None,
            closed: None,
            sequence: 0,
            rung: None,
        };
        let event = Self::asked(&row, wish);
        self.change_exception(&mut row, &event)?;
        Ok((row.id, true))
    }

    fn asker(&self, wish: &ExceptionWish) -> Asker {
        Asker {
            by: wish.by.id.clone(),
            display: wish.by.display.clone(),
            at: self.now,
            reason: wish.reason.clone(),
            ticket: wish.ticket.clone(),
        }
    }

    fn asked(row: &ExceptionRow, wish: &ExceptionWish) -> AuditEvent {
        let mut event = AuditEvent::new(AuditKind::ExceptionAsked, wish.by.name());
        event = event.with("expires", row.expires);
        if let Some(ticket) = &wish.ticket {
            event = event.with("ticket", ticket);
        }
        if let Some(justification) = &row.justification {
            event = event.with("justification", justification);
        }
        event.reason = Some(wish.reason.clone());
        event
    }

    fn check_asked(&self, by: &str) -> Result<(), Error> {
        let count = |by: Option<&str>| -> Result<u64, Error> {
            let sql = "SELECT count(*) FROM exceptions
                       WHERE state = 'asked' AND (?1 IS NULL OR filed_by = ?1)";
            let count = self.connection.prepare_cached(sql)?.query_row([by], |row| row.get(0))?;
            Ok(unsigned(count))
        };
        if count(None)? >= ASKED_MAX {
            return Err(Error::TooManyExceptions { of: "that wait", limit: ASKED_MAX });
        }
        if count(Some(by))? >= ASKED_PER_PERSON_MAX {
            let of = "that wait and you asked for";
            return Err(Error::TooManyExceptions { of, limit: ASKED_PER_PERSON_MAX });
        }
        Ok(())
    }

    /// Puts `event`, by which the state of `row` is what it is now, on record, and writes the row.
    pub(super) fn change_exception(
        &mut self,
        row: &mut ExceptionRow,
        event: &AuditEvent,
    ) -> Result<(), Error> {
        let event = row.scope.told(event.clone()).with("exception", row.id);
        row.sequence = self.chain.count + 1;
        self.audit(&event)?;
        self.save_exception(row)
    }

    /// Writes `row`, and has what is in force shown in memory.
    pub(super) fn save_exception(&mut self, row: &ExceptionRow) -> Result<(), Error> {
        let (id, key) = (row.id.to_string(), row.scope.key());
        let sealed = Sealed::new(self.connection.sealer, "exceptions", &[&id, &key], row)?;
        self.connection
            .prepare_cached(
                "UPDATE exceptions SET state = ?2, ends = ?3, body = ?4, seal = ?5 WHERE id = ?1",
            )?
            .execute(params![
                integer(row.id.0),
                row.state.as_str(),
                row.ends().to_string(),
                sealed.body,
                sealed.seal
            ])?;
        let row = row.clone();
        self.after_commit(move |memory| {
            memory.exceptions.write().unwrap_or_else(std::sync::PoisonError::into_inner).put(&row);
        });
        Ok(())
    }
}

impl Ledger {
    /// Files what somebody wants, or joins them to those who asked for the same; gives its number, and whether
    /// anything changed: who asks twice has asked once.
    ///
    /// # Errors
    /// [`Error::TooManyExceptions`], [`Error::TooManyRequesters`]; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, it may be filed even if the future is dropped.
    pub async fn ask_exception(&self, wish: ExceptionWish) -> Result<(ExceptionId, bool), Error> {
        self.write(move |writing| writing.ask_exception(&wish)).await
    }
}
