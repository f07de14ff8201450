//! Approvals of the same content under other names, and that one was found to have run out.

use std::sync::Arc;

use rusqlite::params;

use super::records::{self, Loaded, Record};
use super::rows::Sealed;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{Standing, Subject};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// Most approvals of one digest that are looked at; beyond them nothing counts.
const APPROVED_MAX: u32 = 64;

impl Ledger {
    /// The repositories other than `name` in which people approved `digest`, at most 64, whether that has
    /// run out or not.
    ///
    /// # Errors
    /// When the database fails. A damaged row is left out: it approves nothing.
    pub async fn approved_elsewhere(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let (name, digest) = (name.to_string(), digest.to_string());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT n.name, r.body, r.seal
                 FROM records r JOIN repositories n ON n.id = r.repository
                 WHERE r.digest = ?1 AND n.name <> ?2 AND json_valid(r.body)
                   AND json_extract(r.body, '$.standing.state') = 'approved'
                 ORDER BY r.id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![digest, name, APPROVED_MAX], |row| {
                Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?))
            })?;
            let mut approved = Vec::new();
            for row in rows {
                let (of, sealed) = row?;
                match sealed.open::<Record>(connection.sealer, "records", &[&of, &digest]) {
                    Ok(record) => approved.push(Arc::new(record)),
                    Err(error) => tracing::error!(%error, "left out"),
                }
            }
            Ok(approved)
        })
        .await
    }

    /// Notes that the approval of `subject` had run out by `now`, so that no clock brings it back.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn note_run_out(&self, subject: &Subject, now: Timestamp) -> Result<(), Error> {
        let subject = subject.clone();
        self.write(move |writing| writing.note_run_out(&subject, now)).await
    }
}

impl Writing<'_> {
    fn note_run_out(&mut self, subject: &Subject, now: Timestamp) -> Result<(), Error> {
        let Some(Loaded { mut record, .. }) = records::load(self.connection, subject)? else {
            return Ok(());
        };
        let ends = match &record.standing {
            Some(Standing::Approved { expires, .. }) => *expires,
            Some(_) | None => None,
        };
        if record.ran_out || ends.is_none_or(|ends| ends > now) {
            return Ok(());
        }
        record.ran_out = true;
        // What was reached while it had not.
        record.admitted = record.last_admission();
        (record.judgement, record.policy) = (None, None);
        self.save_record(&Arc::new(record)).map(drop)
    }
}
