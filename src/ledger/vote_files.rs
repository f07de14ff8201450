//! What rests on approval files: votes that are not enough yet, and approvals that stand.
//!
//! Where to look is found by two indexes over what the rows say; what counts is the sealed rows. So a look costs
//! what it finds, however much is on record.

use std::collections::BTreeSet;

use rusqlite::params;

use super::audit::{AuditEvent, AuditKind};
use super::decisions::{Basis, Decision, Verb};
use super::records::{self, Record};
use super::rows::Sealed;
use super::votes::Kept;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{Standing, Subject};
use crate::oci::Digest;
use crate::policy::PolicyId;

/// The expression of the index `votes_by_file`.
const VOTE_FILE: &str =
    "CASE WHEN json_valid(v.body) THEN json_extract(v.body, '$.vote.file.digest') END";
/// The expression of the index `records_by_files`.
const STANDING_FILES: &str =
    "CASE WHEN json_valid(r.body) THEN json_extract(r.body, '$.standing.files') END";

/// A subject and the files of which something said about it rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestsOnFiles {
    /// What was said yes to.
    pub subject: Subject,
    /// The files, by the digests of their envelopes.
    pub files: Vec<Digest>,
}

/// Files that are not there any more.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// What they said yes to.
    pub subject: Subject,
    /// Them, by the digests of their envelopes.
    pub files: BTreeSet<Digest>,
    /// Who says that they are gone.
    pub by: String,
    /// In which words.
    pub reason: String,
    /// The policy in force.
    pub policy: PolicyId,
}

impl Writing<'_> {
    /// Forgets the votes by files about the subject with the record `id`.
    pub(super) fn forget_file_votes(&mut self, id: i64) -> Result<(), Error> {
        let sql = format!("DELETE FROM votes AS v WHERE record = ?1 AND {VOTE_FILE} IS NOT NULL");
        self.connection.prepare_cached(&sql)?.execute([id])?;
        Ok(())
    }

    /// Takes back the votes of the files of `gone`, and the approval that rests on one of them; gives whether
    /// there was one.
    fn withdraw_files(&mut self, gone: &Withdrawal) -> Result<bool, Error> {
        let subject = &gone.subject;
        let Some(id) = records::id(self.connection, &subject.name, &subject.digest)? else {
            return Ok(false);
        };
        for vote in self.take_votes(id, gone)? {
            let mut event = AuditEvent::new(AuditKind::VoteWithdrawn, gone.by.clone())
                .about(subject)
                .with("voter", &vote.0)
                .with("file", vote.1);
            event.reason = Some(gone.reason.clone());
            self.audit(&event)?;
        }
        let record: Record = self.record_or_blank(subject)?;
        let rests = match &record.standing {
            Some(Standing::Approved { files, .. }) => {
                files.iter().any(|file| gone.files.contains(file))
            }
            Some(Standing::Rejected { .. } | Standing::Revoked { .. }) | None => false,
        };
        if !rests {
            return Ok(false);
        }
        let decision = Decision {
            subject: subject.clone(),
            by: gone.by.clone(),
            reason: gone.reason.clone(),
            expires: None,
            request: None,
            policy: gone.policy,
            voters: Vec::new(),
            seen: None,
        };
        let basis = Basis { files: gone.files.iter().copied().collect(), said: None };
        self.decide(Verb::Withdraw, &decision, &basis)?;
        Ok(true)
    }

    /// Deletes the votes of the files of `gone` about the subject with the record `id`; gives whose they were.
    fn take_votes(&mut self, id: i64, gone: &Withdrawal) -> Result<Vec<(String, Digest)>, Error> {
        let key = gone.subject.to_string();
        let mut taken = Vec::new();
        {
            let sql = format!(
                "SELECT v.id, v.body, v.seal FROM votes v
                 WHERE v.record = ?1 AND {VOTE_FILE} IS NOT NULL ORDER BY v.id"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let rows = statement
                .query_map([id], |row| Ok((row.get::<_, i64>(0)?, Sealed::from_row(row, 1)?)))?;
            for row in rows {
                let (place, sealed) = row?;
                let kept = match sealed.open::<Kept>(self.connection.sealer, "votes", &[&key]) {
                    Ok(kept) => kept,
                    // It counts for nothing as it is.
                    Err(Error::CorruptRow { .. }) => continue,
                    Err(error) => return Err(error),
                };
                if let Some(file) = kept.vote.file.filter(|it| gone.files.contains(&it.digest)) {
                    taken.push((place, kept.vote.voter.to_string(), file.digest));
                }
            }
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM votes WHERE id = ?1")?;
        let mut told = Vec::new();
        for (place, voter, file) in taken {
            delete.execute(params![place])?;
            told.push((voter, file));
        }
        Ok(told)
    }
}

impl Ledger {
    /// Puts on record that files were taken away: votes that they gave are taken back, and so is an approval that
    /// rests on one of them, all in one transaction. Gives whether there was such an approval; nothing happens
    /// where nothing rests on them.
    ///
    /// # Errors
    /// When it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, it may be done even if the future is dropped.
    pub async fn withdraw_files(&self, gone: Withdrawal) -> Result<bool, Error> {
        let withdrawn = self.write(move |writing| writing.withdraw_files(&gone)).await;
        self.show_open_requests();
        withdrawn
    }

    /// Rejects the subject as the file `said` does.
    ///
    /// # Errors
    /// As [`reject`](Self::reject).
    pub async fn reject_by_file(
        &self,
        decision: Decision,
        said: super::VoteFile,
    ) -> Result<(), Error> {
        let basis = Basis { files: vec![said.digest], said: Some(said) };
        let write = self.write(move |writing| writing.decide(Verb::Reject, &decision, &basis));
        let rejected = write.await;
        self.show_open_requests();
        rejected.map(drop)
    }

    /// Everything that rests on files: votes by one, and approvals. A row that is not what was written is left
    /// out: it counts for nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rests_on_files(&self) -> Result<Vec<RestsOnFiles>, Error> {
        self.read(|connection| {
            let mut found = Vec::new();
            let sql = format!(
                "SELECT n.name, r.digest, v.body, v.seal FROM votes v
                 JOIN records r ON r.id = v.record JOIN repositories n ON n.id = r.repository
                 WHERE {VOTE_FILE} IS NOT NULL"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([], |row| {
                let key = format!("{}@{}", row.get::<_, String>(0)?, row.get::<_, String>(1)?);
                Ok((key, Sealed::from_row(row, 2)?))
            })?;
            for row in rows {
                let (key, sealed) = row?;
                match sealed.open::<Kept>(connection.sealer, "votes", &[&key]) {
                    Ok(kept) => {
                        let files = kept.vote.file.iter().map(|file| file.digest).collect();
                        found.push(RestsOnFiles { subject: kept.vote.subject, files });
                    }
                    Err(error) => {
                        tracing::error!(%error, "a vote that nobody cast here is left out");
                    }
                }
            }
            let sql = format!(
                "SELECT n.name, r.digest, r.body, r.seal FROM records r
                 JOIN repositories n ON n.id = r.repository WHERE {STANDING_FILES} IS NOT NULL"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([], |row| {
                let key = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
                Ok((key, Sealed::from_row(row, 2)?))
            })?;
            for row in rows {
                let ((name, digest), sealed) = row?;
                let record: Record =
                    match sealed.open(connection.sealer, "records", &[&name, &digest]) {
                        Ok(record) => record,
                        Err(error) => {
                            tracing::error!(%error, "left out: it is served to nobody");
                            continue;
                        }
                    };
                if let Some(Standing::Approved { files, .. }) = record.standing {
                    found.push(RestsOnFiles { subject: record.subject, files });
                }
            }
            Ok(found)
        })
        .await
    }
}
