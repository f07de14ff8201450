//! Proofs that a record is in the audit chain, for who has a checkpoint and not the chain.

use super::archive::{self, Place, Records};
use super::audit::Stored;
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
    /// be. `None` when there is no such record. Reads every record that is in the database, so one at a time
    /// should be asked for.
    ///
    /// # Errors
    /// [`Error::Archived`] when the record, or one after it, is in a segment that is not there. Else as
    /// [`checkpoint`](Self::checkpoint).
    pub async fn audit_proof(&self, sequence: u64) -> Result<Option<AuditProof>, Error> {
        let Some(checkpoint) = self.checkpoint().await? else { return Ok(None) };
        let size = checkpoint.size();
        let Some(index) = sequence.checked_sub(1).filter(|index| *index < size) else {
            return Ok(None);
        };
        let begin = self.read(move |connection| {
            let before = archive::preceding(connection, Some(connection.sealer), index)?;
            archive::beginning(before)
        });
        let (chain, tree) = begin.await?;
        let corrupt = || Error::corrupt("audit", sequence);
        let mut inclusion = Inclusion::begin_after(index, size, &tree).ok_or_else(corrupt)?;
        let (mut records, mut record) = (Records::after(chain.count), None);
        while records.place() < size {
            let (before, dir) = (records.place(), self.inner.dir.clone());
            let showing = self.read(move |connection| {
                let mut show = |stored: &Stored| {
                    inclusion.push(stored.body.as_bytes());
                    if stored.sequence == sequence {
                        record = Some(stored.body.clone());
                    }
                    Ok(())
                };
                let limit = (size - before).min(PAGE);
                records.read(&Place::of(connection, &dir), limit, &mut show)?;
                Ok((inclusion, records, record))
            });
            (inclusion, records, record) = showing.await?;
            if records.place() == before {
                break;
            }
        }
        let record = record.ok_or_else(corrupt)?;
        let inclusion = inclusion.finish().ok_or_else(corrupt)?;
        Ok(Some(AuditProof { record, inclusion, checkpoint }))
    }
}
