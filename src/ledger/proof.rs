//! Proofs that a record is in the audit chain, for who has a checkpoint and not the chain.

use rusqlite::{OptionalExtension as _, params};

use super::rows::{integer, unsigned};
use super::{Error, Ledger};
use crate::transparency::{Checkpoint, Inclusion, NodeHash};

/// Records that are read in one go.
const PAGE: u64 = 4_096;

/// That a record is in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditProof {
    /// The record as it was hashed.
    pub record: String,
    /// The hashes on the way from its leaf to the root.
    pub inclusion: Vec<NodeHash>,
    /// What they lead to.
    pub checkpoint: Checkpoint,
}

impl Ledger {
    /// The proof that record `sequence` is among those of a checkpoint, which is signed now if it has to
    /// be. `None` when there is no such record. Reads every record, so one at a time should be asked for.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn audit_proof(&self, sequence: u64) -> Result<Option<AuditProof>, Error> {
        let Some(checkpoint) = self.checkpoint().await? else { return Ok(None) };
        let index = sequence.checked_sub(1);
        let size = checkpoint.size();
        let Some(mut inclusion) = index.and_then(|index| Inclusion::begin(index, size)) else {
            return Ok(None);
        };
        let mut after = 0;
        while after < size {
            let limit = (size - after).min(PAGE);
            let showing = self.read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT sequence, body FROM audit
                     WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                )?;
                let rows = statement.query_map(params![integer(after), integer(limit)], |row| {
                    Ok((unsigned(row.get(0)?), row.get::<_, String>(1)?))
                })?;
                for row in rows {
                    let (sequence, body) = row?;
                    inclusion.push(body.as_bytes());
                    after = sequence;
                }
                Ok((inclusion, after))
            });
            let before = after;
            (inclusion, after) = showing.await?;
            if after == before {
                break;
            }
        }
        let corrupt = || Error::corrupt("audit", sequence);
        let record = self.audit_body(sequence).await?.ok_or_else(corrupt)?;
        let inclusion = inclusion.finish().ok_or_else(corrupt)?;
        Ok(Some(AuditProof { record, inclusion, checkpoint }))
    }

    async fn audit_body(&self, sequence: u64) -> Result<Option<String>, Error> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT body FROM audit WHERE sequence = ?1")?;
            Ok(statement.query_row([integer(sequence)], |row| row.get(0)).optional()?)
        })
        .await
    }
}
