//! Exceptions that end soon: people are told of each once per step, as of approvals.

use std::time::Duration;

use super::{ExceptionRow, reading};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::endings::{ENDING_STEPS_DAYS, step};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::time::Timestamp;

impl Writing<'_> {
    fn ring_exceptions(&mut self, now: Timestamp) -> Result<u64, Error> {
        let first = ENDING_STEPS_DAYS.into_iter().max().unwrap_or(0);
        let until = now.after(Duration::from_hours(24 * first));
        let mut rung = 0;
        for mut row in reading::ending(self.connection, (now, until))? {
            let Some(due) = due(&row, now) else { continue };
            let Some(granted) = &row.granted else { continue };
            // The word about it is not about its state: its last record stays the one that made it.
            let event = AuditEvent::new(AuditKind::ExceptionExpiring, "server")
                .with("ending", row.id)
                .with("approved_by", granted.by.join(", "))
                .with("days", due)
                .with("expires", granted.expires);
            let event = row.scope.told(event);
            row.rung = Some(due);
            self.audit(&event)?;
            self.save_exception(&row)?;
            rung += 1;
        }
        Ok(rung)
    }
}

/// The step of which people have still to be told.
fn due(row: &ExceptionRow, now: Timestamp) -> Option<u64> {
    let granted = row.granted.as_ref()?;
    let step = step(granted.at, granted.expires, now)?;
    row.rung.is_none_or(|rung| step < rung).then_some(step)
}

impl Ledger {
    /// Puts on record, once for each step of [`ENDING_STEPS_DAYS`], that an exception ends; gives how many
    /// records that were.
    ///
    /// # Errors
    /// When the database fails; nothing is on record then.
    pub async fn ring_exceptions(&self, now: Timestamp) -> Result<u64, Error> {
        self.write(move |writing| writing.ring_exceptions(now)).await
    }

    /// The exceptions that end within `within` of `now`, soonest first; at most 1,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ending_exceptions(
        &self,
        now: Timestamp,
        within: Duration,
    ) -> Result<Vec<ExceptionRow>, Error> {
        let until = now.after(within);
        self.read(move |connection| reading::ending(connection, (now, until))).await
    }
}
