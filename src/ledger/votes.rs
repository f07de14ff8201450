//! Votes: what people said yes to before it was enough.
//!
//! A vote is signed, with the key that signs the audit, over the voter and all that they were shown: the
//! digest, the policy and whom it asks, the evidence. So nobody can make one, move one to another image, or
//! lower what it was to be counted against, by writing the database, and anybody who has the public key can
//! check that later. Whether it still counts is for the desk to say; here it is only kept.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::caller::PersonId;
use super::checkpoints::keys;
use super::decisions::{Basis, Decision, Verb};
use super::requests::RequestId;
use super::rows::Sealed;
use super::signed::{Payload, Signed};
use super::writer::Writing;
use super::{Error, Ledger, records};
use crate::gate::Subject;
use crate::oci::Digest;
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// Most votes about one subject: of as many people.
const VOTES_MAX: usize = 500;

/// What whoever votes was shown: a vote counts only where all of it is still so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
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
    /// A hash of the findings.
    pub findings: String,
    /// A hash of what was found of signatures.
    pub signed: String,
    /// A hash of what spoke against it, and of what VEX documents took away.
    pub reasons: String,
    /// How many decisions about the subject there were before.
    pub decisions: u64,
}

/// The file in which somebody gave their vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteFile {
    /// The digest of the envelope.
    pub digest: Digest,
    /// The envelope, signed by the voter.
    pub envelope: String,
    /// The public key that verifies it, as the body of its PEM text: its hash is the one in the voter's identity.
    pub public_key: String,
}

/// A yes of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// What it is about.
    pub subject: Subject,
    /// The request that it answers.
    pub request: Option<RequestId>,
    /// Who says it.
    pub voter: PersonId,
    /// Since when that identity is theirs: whoever has it after them did not vote.
    pub since: Timestamp,
    /// What they are called.
    pub display: String,
    /// For which of the approvers they stand.
    pub stands_for: Vec<String>,
    /// When; as long as it was not written, whatever one likes.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when the approval is to hold, as far as they are concerned.
    pub expires: Option<Timestamp>,
    /// What they were shown.
    pub ballot: Ballot,
    /// The file that says it, where it was not said at the desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<VoteFile>,
}

/// A vote as it was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastVote {
    /// The vote.
    pub vote: Vote,
    /// Whether the signature is that of a key of this ledger over exactly this vote.
    pub is_signed: bool,
}

/// The votes about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Votes {
    /// Oldest first; those that do not count any more too.
    pub cast: Vec<CastVote>,
    /// How many decisions about the subject there are.
    pub decisions: u64,
    /// How many rows are not what was written; they count for nothing.
    pub damaged: u64,
}

/// A vote as it is kept.
pub(super) type Kept = Signed<Vote>;

impl Payload for Vote {
    const TYPE: &'static str = "application/vnd.pratique.vote+json";
}

impl Writing<'_> {
    fn cast_vote(
        &mut self,
        mut vote: Vote,
        then: Option<(&Decision, &Basis)>,
    ) -> Result<(), Error> {
        let subject = vote.subject.clone();
        let record = std::sync::Arc::new(self.record_or_blank(&subject)?);
        let id = match records::id(self.connection, &subject.name, &subject.digest)? {
            Some(id) => id,
            None => self.save_record(&record)?,
        };
        if record.decisions != vote.ballot.decisions {
            return Err(Error::DecidedMeanwhile(subject));
        }
        self.make_way(id, &vote)?;
        vote.at = self.now;
        let kept = Kept::new(vote, self.signer)?;
        let sealed = Sealed::new(self.connection.sealer, "votes", &[&subject.to_string()], &kept)?;
        self.connection
            .prepare_cached("INSERT INTO votes (record, body, seal) VALUES (?1, ?2, ?3)")?
            .execute(params![id, sealed.body, sealed.seal])?;
        self.audit(&event_of(&kept)?)?;
        if let Some(request) = kept.vote.request {
            self.asks_no_more(request)?;
        }
        match then {
            Some((decision, basis)) => self.decide(Verb::Approve, decision, basis).map(drop),
            None => Ok(()),
        }
    }
}

impl Writing<'_> {
    /// Takes away what the voter of `vote` said before about the subject with the record `id`: the audit has
    /// it for good, and nobody has two votes.
    fn make_way(&mut self, id: i64, vote: &Vote) -> Result<(), Error> {
        let key = vote.subject.to_string();
        let (mut count, mut earlier) = (0, Vec::new());
        {
            let sql = "SELECT id, body, seal FROM votes WHERE record = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement
                .query_map([id], |row| Ok((row.get::<_, i64>(0)?, Sealed::from_row(row, 1)?)))?;
            for row in rows {
                let (place, sealed) = row?;
                count += 1;
                match sealed.open::<Kept>(self.connection.sealer, "votes", &[&key]) {
                    Ok(kept) if kept.vote.voter == vote.voter => earlier.push(place),
                    Ok(_) | Err(Error::CorruptRow { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if count >= VOTES_MAX && earlier.is_empty() {
            return Err(Error::TooManyVotes(vote.subject.clone()));
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM votes WHERE id = ?1")?;
        for place in earlier {
            delete.execute([place])?;
        }
        Ok(())
    }
}

/// What the audit has of a vote: all of it, so that it can be checked when the ledger is gone.
fn event_of(kept: &Kept) -> Result<AuditEvent, Error> {
    let Vote { subject, request, voter, reason, ballot, stands_for, file, .. } = &kept.vote;
    let mut event = AuditEvent::new(AuditKind::Voted, voter.to_string())
        .about(subject)
        .with("rule", &ballot.rule)
        .with("approval", format_args!("{} (quorum {})", ballot.approval, ballot.quorum))
        .with("stands_for", stands_for.join(", "));
    event = kept.told(event)?;
    if let Some(file) = file {
        event = event.with("file", file.digest);
    }
    event.request = *request;
    event.reason = Some(reason.clone());
    Ok(event)
}

impl Ledger {
    /// Puts `vote` on record, signed, and, where it is the one that was missing, `then` takes the decision
    /// in the same transaction, which rests on `files`.
    ///
    /// # Errors
    /// [`Error::DecidedMeanwhile`] when there were other decisions than the voter was shown,
    /// [`Error::TooManyVotes`]; as [`approve`](Self::approve); else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the vote may be cast even if the future is dropped.
    pub async fn cast_vote(
        &self,
        vote: Vote,
        then: Option<Decision>,
        files: Vec<Digest>,
    ) -> Result<(), Error> {
        let basis = Basis { files, said: None };
        let cast = self.write(move |writing| {
            writing.cast_vote(vote, then.as_ref().map(|decision| (decision, &basis)))
        });
        let cast = cast.await;
        self.show_open_requests();
        cast
    }

    /// Who voted on each of `subjects`, whether it still counts or not: nothing where nobody did. Votes that
    /// are not what was written are of nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn voters(
        &self,
        subjects: Vec<Option<Subject>>,
    ) -> Result<Vec<Option<Vec<PersonId>>>, Error> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT body, seal FROM votes WHERE record = ?1")?;
            let mut all = Vec::with_capacity(subjects.len());
            for subject in subjects {
                let Some(subject) = subject else {
                    all.push(None);
                    continue;
                };
                let id = records::id(connection, &subject.name, &subject.digest)?;
                let rows = statement.query_map([id], |row| Sealed::from_row(row, 0))?;
                let (key, mut voters) = (subject.to_string(), None);
                for row in rows {
                    let voters = voters.get_or_insert_with(Vec::new);
                    match row?.open::<Kept>(connection.sealer, "votes", &[&key]) {
                        Ok(kept) => voters.push(kept.vote.voter),
                        Err(Error::CorruptRow { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                all.push(voters);
            }
            Ok(all)
        })
        .await
    }

    /// The votes about `subject`, at most 500.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn votes(&self, subject: &Subject) -> Result<Votes, Error> {
        let (subject, dir) = (subject.clone(), self.inner.dir.clone());
        self.read(move |connection| {
            let Some(loaded) = records::load(connection, &subject)? else {
                return Ok(Votes::default());
            };
            let mut statement = connection
                .prepare_cached("SELECT body, seal FROM votes WHERE record = ?1 ORDER BY id")?;
            let rows = statement.query_map([loaded.id], |row| Sealed::from_row(row, 0))?;
            let key = subject.to_string();
            let mut votes = Votes { decisions: loaded.record.decisions, ..Votes::default() };
            let mut keys = None;
            for row in rows {
                let kept: Kept = match row?.open(connection.sealer, "votes", &[&key]) {
                    Err(error @ Error::CorruptRow { .. }) => {
                        tracing::error!(%error, "a vote that nobody cast here counts for nothing");
                        votes.damaged += 1;
                        continue;
                    }
                    opened => opened?,
                };
                let keys = match &keys {
                    Some(keys) => keys,
                    None => keys.insert(keys::public(&dir)?),
                };
                let is_signed = kept.vote.subject == subject && kept.is_signed(keys)?;
                votes.cast.push(CastVote { vote: kept.vote, is_signed });
            }
            Ok(votes)
        })
        .await
    }
}
