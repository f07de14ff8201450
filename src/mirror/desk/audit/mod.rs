//! The audit: its records, whether they are whole, what is signed of them, and why something ran.

mod archives;
pub mod view;
mod why;

use view::{CheckpointView, KeysView, ProofView};

use super::show::word;
use super::view::{AuditPage, AuditReportView, AuditView};
use super::{Desk, Error, PAGE_MAX};
use crate::ledger::{AuditEvent, AuditKind, AuditReport, AuditRow, Export};
use crate::transparency::{Checkpoint, VerifierKey, tlog_proof};

/// Details of a vote that prove it to programs, and say nothing to people.
const PROOF: [&str; 3] = ["key", "signature", "signed"];

impl Desk {
    /// Records of the audit chain: `limit` of them from number `from` on, or the last ones.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn audit(&self, from: Option<u64>, limit: Option<u32>) -> Result<AuditPage, Error> {
        let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let from = match from {
            Some(from) => from,
            None => {
                (self.mirror.ledger().audit_count().await? + 1).saturating_sub(u64::from(limit))
            }
        };
        let rows = self.mirror.ledger().audit(from.max(1), limit).await?;
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| full).map(|row| row.sequence + 1);
        Ok(AuditPage { records: rows.iter().map(audit_view).collect(), next })
    }

    /// Checks the whole audit chain and its checkpoints. One at a time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn verify_audit(&self) -> Result<AuditReportView, Error> {
        let _one_at_a_time = self.reading_audit.lock().await;
        Ok(report_view(&self.mirror.ledger().verify_audit().await?))
    }

    /// The last signed checkpoint.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`]; else when it cannot be read.
    pub async fn checkpoint(&self) -> Result<CheckpointView, Error> {
        let ledger = self.mirror.ledger();
        let checkpoint = ledger.last_checkpoint().await?.ok_or(Error::NoCheckpoint)?;
        Ok(checkpoint_view(&checkpoint, &ledger.audit_keys().await?))
    }

    /// A signed checkpoint of every record that there is now.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] when there is no record; else when none can be signed.
    pub async fn new_checkpoint(&self) -> Result<CheckpointView, Error> {
        let ledger = self.mirror.ledger();
        let checkpoint = ledger.checkpoint().await?.ok_or(Error::NoCheckpoint)?;
        Ok(checkpoint_view(&checkpoint, &ledger.audit_keys().await?))
    }

    /// The public keys that sign checkpoints.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn audit_keys(&self) -> Result<KeysView, Error> {
        let keys = self.mirror.ledger().audit_keys().await?;
        Ok(KeysView { keys: keys.iter().map(ToString::to_string).collect() })
    }

    /// The proof that record `sequence` is in the audit. One at a time.
    ///
    /// # Errors
    /// [`Error::AuditRecordUnknown`]; else when it cannot be read, or no checkpoint can be signed.
    pub async fn audit_proof(&self, sequence: u64) -> Result<ProofView, Error> {
        let _one_at_a_time = self.reading_audit.lock().await;
        let proof = self.mirror.ledger().audit_proof(sequence).await?;
        let proof = proof.ok_or(Error::AuditRecordUnknown { sequence })?;
        let index = sequence.saturating_sub(1);
        Ok(ProofView {
            sequence,
            index,
            size: proof.checkpoint.size(),
            hashes: proof.inclusion.iter().map(ToString::to_string).collect(),
            proof: tlog_proof(index, &proof.inclusion, &proof.checkpoint),
            checkpoint: proof.checkpoint.as_str().to_owned(),
            record: proof.record,
        })
    }

    /// Begins an export from record `from` on.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn begin_export(&self, from: Option<u64>) -> Result<Export, Error> {
        Ok(self.mirror.ledger().begin_export(from.unwrap_or(1)).await?)
    }
}

fn checkpoint_view(checkpoint: &Checkpoint, keys: &[VerifierKey]) -> CheckpointView {
    CheckpointView {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: checkpoint.root().to_string(),
        checkpoint: checkpoint.as_str().to_owned(),
        key: keys.last().map(ToString::to_string),
    }
}

/// A report as people and programs are told it.
pub fn report_view(report: &AuditReport) -> AuditReportView {
    let coverage = &report.coverage;
    let is_empty = report.records < report.first;
    AuditReportView {
        intact: report.is_whole(),
        records: report.read,
        head: (!is_empty).then(|| report.head.clone()),
        problems: report.problem.iter().map(ToString::to_string).collect(),
        first_bad: report.problem.map(|problem| problem.sequence),
        checkpoints: coverage.checkpoints,
        covered: coverage.records,
        key: coverage.key.clone(),
        uncovered_since: coverage.uncovered_since,
        unchecked: coverage.unchecked.clone(),
        notes: report.notes.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn audit_view(row: &AuditRow) -> AuditView {
    let AuditEvent { kind, by, subject, request, reason, details } = &row.event;
    let is_proof = |key: &str| *kind == AuditKind::Voted && PROOF.contains(&key);
    let details = details.iter().filter(|(key, _)| !is_proof(key));
    let details = details.map(|(key, value)| format!("{key} {value}"));
    let said: Vec<String> = reason.iter().cloned().chain(details).collect();
    AuditView {
        sequence: row.sequence,
        at: row.at,
        by: by.clone(),
        action: word(kind),
        subject: subject.as_ref().map(ToString::to_string),
        request: request.map(|id| id.to_string()),
        reason: (!said.is_empty()).then(|| said.join(", ")),
        hash: row.hash.to_string(),
    }
}
