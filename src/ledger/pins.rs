//! Pins: images that people keep in the cache. A pin keeps content; it admits nothing.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::rows::{self, Sealed};
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::Subject;
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// Most pins.
pub(super) const PINS_MAX: usize = 1_000;
/// Most repositories that are told of one content.
const HOLDERS_MAX: u32 = 16;

/// An image that is kept in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The image.
    pub subject: Subject,
    /// Who pinned it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// As it was written, for people: `docker.io/library/redis:7.4`.
    pub image: String,
}

fn load(connection: &Tables<'_>) -> Result<Vec<Pin>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT n.name, p.digest, p.body, p.seal
         FROM pins p JOIN repositories n ON n.id = p.repository ORDER BY n.name, p.digest",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, Sealed::from_row(row, 2)?))
    })?;
    rows.map(|row| {
        let (name, digest, sealed) = row?;
        sealed.open(connection.sealer, "pins", &[&name, &digest])
    })
    .collect()
}

impl Writing<'_> {
    fn pin(&mut self, pin: &Pin) -> Result<bool, Error> {
        let repository = rows::repository_for(self.connection, &pin.subject.name)?;
        let pins = load(self.connection)?;
        if pins.iter().any(|other| other.subject == pin.subject) {
            return Ok(false);
        }
        if pins.len() >= PINS_MAX {
            return Err(Error::TooManyPins { limit: PINS_MAX });
        }
        let (name, digest) = (pin.subject.name.to_string(), pin.subject.digest.to_string());
        let sealed = Sealed::new(self.connection.sealer, "pins", &[&name, &digest], pin)?;
        self.connection.execute(
            "INSERT INTO pins (repository, digest, body, seal) VALUES (?1, ?2, ?3, ?4)",
            params![repository, digest, sealed.body, sealed.seal],
        )?;
        let mut event = AuditEvent::new(AuditKind::Pinned, pin.by.clone());
        event.subject = Some(pin.subject.clone());
        self.audit(&event)?;
        Ok(true)
    }

    fn unpin(&mut self, subject: &Subject, by: String) -> Result<bool, Error> {
        let gone = self.connection.execute(
            "DELETE FROM pins WHERE digest = ?2
             AND repository = (SELECT id FROM repositories WHERE name = ?1)",
            params![subject.name.to_string(), subject.digest.to_string()],
        )?;
        if gone == 0 {
            return Ok(false);
        }
        let mut event = AuditEvent::new(AuditKind::Unpinned, by);
        event.subject = Some(subject.clone());
        self.audit(&event)?;
        Ok(true)
    }
}

impl Ledger {
    /// Pins; gives whether it was not pinned before.
    ///
    /// # Errors
    /// [`Error::TooManyPins`]; else when it did not reach the disk.
    pub async fn pin(&self, subject: Subject, image: String, by: String) -> Result<bool, Error> {
        let pin = Pin { subject, by, at: self.inner.clock.now(), image };
        self.write(move |writing| writing.pin(&pin)).await
    }

    /// Takes a pin back, on the word of `by`; gives whether there was one.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn unpin(&self, subject: Subject, by: String) -> Result<bool, Error> {
        self.write(move |writing| writing.unpin(&subject, by)).await
    }

    /// Everything that is pinned, by name.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub async fn pins(&self) -> Result<Vec<Pin>, Error> {
        self.read(load).await
    }

    /// Repositories that have `digest`, as a manifest of theirs or listed by one: candidates to fetch
    /// it from. Goes through all grants: for what happens seldom.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn holders(&self, digest: &Digest) -> Result<Vec<Name>, Error> {
        let digest = digest.to_string();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name FROM repositories WHERE id IN (
                     SELECT repository FROM grants WHERE digest = ?1
                     UNION SELECT repository FROM records WHERE digest = ?1
                 ) ORDER BY id LIMIT ?2",
            )?;
            let names =
                statement.query_map(params![digest, HOLDERS_MAX], |row| row.get::<_, String>(0))?;
            names.map(|name| rows::parsed("repositories", &name?)).collect()
        })
        .await
    }
}
