//! What people say yes to when they grant an exception, signed over all that they were shown.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{ExceptionId, ExceptionRow, ExceptionScope};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::caller::PersonId;
use crate::ledger::checkpoints::keys;
use crate::ledger::rows::{Sealed, integer};
use crate::ledger::signed::{Payload, Signed};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// Most votes about one exception: of as many people.
const VOTES_MAX: usize = 100;

/// What whoever votes was shown: a vote counts only where all of it is still so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionBallot {
    /// The policy in force.
    pub policy: PolicyId,
    /// The rule that asks.
    pub rule: String,
    /// The approval policy that says whom.
    pub approval: String,
    /// How many people it asks.
    pub quorum: u64,
    /// Whether each of them has to stand for another of the approvers.
    pub distinct_groups: bool,
    /// Whose yes counts.
    pub approvers: Vec<String>,
    /// What the finding is: package, severity and fix, each in words.
    pub finding: Vec<String>,
    /// Until when it is asked for.
    pub expires: Timestamp,
}

/// A yes of one person to an exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionVote {
    /// The exception.
    pub exception: ExceptionId,
    /// What it is about.
    pub scope: ExceptionScope,
    /// Who says it.
    pub voter: PersonId,
    /// Since when that identity is theirs.
    pub since: Timestamp,
    /// What they are called.
    pub display: String,
    /// For which of the approvers they stand.
    pub stands_for: Vec<String>,
    /// When; as long as it was not written, whatever one likes.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when at most, as far as they are concerned.
    pub expires: Option<Timestamp>,
    /// What they were shown.
    pub ballot: ExceptionBallot,
}

/// A vote as it was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastExceptionVote {
    /// The vote.
    pub vote: ExceptionVote,
    /// Whether the signature is that of a key of this ledger over exactly this vote.
    pub is_signed: bool,
}

/// A vote as it is kept.
type Kept = Signed<ExceptionVote>;

impl Payload for ExceptionVote {
    const TYPE: &'static str = "application/vnd.pratique.exception-vote+json";
}

impl Writing<'_> {
    /// Puts `vote` on `row` on record, signed, in the place of what its voter said before.
    pub(super) fn keep_exception_vote(
        &mut self,
        row: &ExceptionRow,
        mut vote: ExceptionVote,
    ) -> Result<(), Error> {
        let key = row.id.to_string();
        self.make_way_for_exception_vote(row.id, &vote)?;
        vote.at = self.now;
        let kept = Kept::new(vote, self.signer)?;
        let sealed = Sealed::new(self.connection.sealer, "exception_votes", &[&key], &kept)?;
        self.connection
            .prepare_cached(
                "INSERT INTO exception_votes (exception, body, seal) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![integer(row.id.0), sealed.body, sealed.seal])?;
        let ExceptionVote { voter, reason, ballot, stands_for, .. } = &kept.vote;
        let mut event = AuditEvent::new(AuditKind::ExceptionVoted, voter.to_string())
            .with("vote_on", row.id)
            .with("rule", &ballot.rule)
            .with("approval", format_args!("{} (quorum {})", ballot.approval, ballot.quorum))
            .with("stands_for", stands_for.join(", "));
        event = row.scope.told(kept.told(event)?);
        event.reason = Some(reason.clone());
        self.audit(&event)
    }

    /// Takes away what the voter of `vote` said before: the audit has it for good, and nobody has two votes.
    fn make_way_for_exception_vote(
        &mut self,
        id: ExceptionId,
        vote: &ExceptionVote,
    ) -> Result<(), Error> {
        let (mut count, mut earlier) = (0, Vec::new());
        {
            let sql = "SELECT id, body, seal FROM exception_votes WHERE exception = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([integer(id.0)], |row| {
                Ok((row.get::<_, i64>(0)?, Sealed::from_row(row, 1)?))
            })?;
            for row in rows {
                let (place, sealed) = row?;
                count += 1;
                let key = id.to_string();
                match sealed.open::<Kept>(self.connection.sealer, "exception_votes", &[&key]) {
                    Ok(kept) if kept.vote.voter == vote.voter => earlier.push(place),
                    Ok(_) | Err(Error::CorruptRow { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if count >= VOTES_MAX && earlier.is_empty() {
            return Err(Error::TooManyExceptionVotes(id));
        }
        let sql = "DELETE FROM exception_votes WHERE id = ?1";
        let mut delete = self.connection.prepare_cached(sql)?;
        for place in earlier {
            delete.execute([place])?;
        }
        Ok(())
    }
}

impl Ledger {
    /// The votes about the exception `id`, oldest first, at most 100; those that do not count any more too.
    /// Rows that are not what was written are left out, and logged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exception_votes(&self, id: ExceptionId) -> Result<Vec<CastExceptionVote>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            let sql = "SELECT body, seal FROM exception_votes WHERE exception = ?1 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([integer(id.0)], |row| Sealed::from_row(row, 0))?;
            let rows = rows.collect::<rusqlite::Result<Vec<Sealed>>>()?;
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let (keys, key) = (keys::public(&dir)?, id.to_string());
            let mut cast = Vec::new();
            for sealed in rows {
                let kept: Kept = match sealed.open(connection.sealer, "exception_votes", &[&key]) {
                    Err(error @ Error::CorruptRow { .. }) => {
                        tracing::error!(%error, "a vote that nobody cast here counts for nothing");
                        continue;
                    }
                    opened => opened?,
                };
                let is_signed = kept.vote.exception == id && kept.is_signed(&keys)?;
                cast.push(CastExceptionVote { vote: kept.vote, is_signed });
            }
            Ok(cast)
        })
        .await
    }
}
