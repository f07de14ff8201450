//! By which logic stored verdicts are known to be reached: what a person confirmed last.

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::rows::Sealed;
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::Logic;
use crate::time::Timestamp;

/// A logic that all stored verdicts were brought to, since when, and who confirmed it: a token's
/// name, or `server` for a ledger that began with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ConfirmedLogic {
    version: Logic,
    since: Timestamp,
    by: String,
}

/// Notes in a new ledger that it begins with the logic of this program.
pub(super) fn begin(connection: &Tables<'_>, now: Timestamp) -> Result<(), Error> {
    let begun = ConfirmedLogic { version: Logic::CURRENT, since: now, by: "server".to_owned() };
    insert(connection, &begun)
}

fn insert(connection: &Tables<'_>, confirmed: &ConfirmedLogic) -> Result<(), Error> {
    let sealed = Sealed::new(connection.sealer, "logics", &[], confirmed)?;
    connection.execute(
        "INSERT INTO logics (body, seal) VALUES (?1, ?2)",
        params![sealed.body, sealed.seal],
    )?;
    Ok(())
}

fn load(connection: &Tables<'_>) -> Result<Option<ConfirmedLogic>, Error> {
    let row = connection
        .query_row("SELECT body, seal FROM logics ORDER BY id DESC LIMIT 1", [], |row| {
            Sealed::from_row(row, 0)
        })
        .optional()?;
    row.map(|sealed| sealed.open(connection.sealer, "logics", &[])).transpose()
}

impl Writing<'_> {
    fn confirm_logic(&mut self, confirmed: &ConfirmedLogic) -> Result<(), Error> {
        insert(self.connection, confirmed)?;
        let event = AuditEvent::new(AuditKind::LogicConfirmed, confirmed.by.clone())
            .with("logic", confirmed.version);
        self.audit(&event)
    }
}

impl Ledger {
    /// The logic that stored verdicts were last brought to.
    ///
    /// # Errors
    /// When the database fails, or the row is not what was written.
    pub async fn confirmed_logic(&self) -> Result<Logic, Error> {
        let confirmed = self.read(load).await?;
        Ok(confirmed.map_or(Logic::FIRST, |confirmed| confirmed.version))
    }

    /// Notes, with an audit row, that `by` had all stored verdicts brought to the logic of this
    /// program.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn confirm_logic(&self, by: &str) -> Result<(), Error> {
        let confirmed = ConfirmedLogic {
            version: Logic::CURRENT,
            since: self.inner.clock.now(),
            by: by.to_owned(),
        };
        self.write(move |writing| writing.confirm_logic(&confirmed)).await
    }
}
