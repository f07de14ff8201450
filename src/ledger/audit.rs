//! The audit chain: rows that each carry the hash of the one before.
//!
//! A row is canonical JSON; its hash covers those bytes and the hash before it, so that no row can be
//! changed, removed or moved without every later hash being wrong. Rows are appended inside the
//! transaction of what they record. Someone who rewrites the whole chain and its head is caught by the
//! signed checkpoints ([`super::checkpoints`]).

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::archive::{Place, Records};
use super::requests::RequestId;
use super::rows::{hash_of, integer, unsigned};
use super::writer::Writing;
use super::{Error, Ledger, canonical};
use crate::gate::Subject;
use crate::oci::{Algorithm, Digest};
use crate::time::Timestamp;

/// What the first row has in the place of the hash before it.
const GENESIS: &[u8] = b"pratique audit chain 1";
/// Most audit rows that one read gives.
pub(super) const AUDIT_PAGE_MAX: u32 = 10_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditKind {
    /// An approval ends soon, and its image is still pulled.
    ApprovalExpiring,
    /// An approval counts no more: a file that it rested on was taken away.
    ApprovalWithdrawn,
    /// A subject was approved by a person.
    Approved,
    /// Old records left the database for a file.
    AuditArchived,
    /// Another key signs checkpoints of this chain from now on.
    AuditKeyReplaced,
    /// A backup was made.
    BackupMade,
    /// A break-glass is over.
    BreakGlassEnded,
    /// Somebody else looked at a break-glass afterwards.
    BreakGlassReviewed,
    /// Nobody looked at a break-glass in time.
    BreakGlassUnreviewed,
    /// Somebody used a break-glass: something is served that nothing admitted.
    BreakGlassUsed,
    /// Somebody said yes to a break-glass that takes more than one.
    BreakGlassVoted,
    /// At start, the chain was not the one that its head or its last checkpoint knew.
    ChainCut,
    /// Somebody asked for an exception.
    ExceptionAsked,
    /// An exception has expired, or was withdrawn.
    ExceptionEnded,
    /// An exception ends soon.
    ExceptionExpiring,
    /// An exception was granted: enough people said yes.
    ExceptionGranted,
    /// An exception was refused by a person.
    ExceptionRefused,
    /// A person said yes to an exception, which alone may not be enough.
    ExceptionVoted,
    /// Something was found against an approved subject that nobody was shown who approved it.
    FoundSinceApproval,
    /// A verdict was reached that differs from the one before.
    Judged,
    /// All stored verdicts were brought to the logic of this program.
    LogicConfirmed,
    /// A node says that it was closed again, which people had opened.
    NodeClosed,
    /// A node says that people opened it for a while: it pulls past the mirror.
    NodeOpened,
    /// Somebody chose another password.
    PasswordChanged,
    /// Somebody's role or groups changed.
    PersonChanged,
    /// Somebody may sign in from now on.
    PersonCreated,
    /// Somebody is kept out.
    PersonDisabled,
    /// Somebody who was kept out is let in again.
    PersonEnabled,
    /// Somebody chose a password and has an authenticator.
    PersonEnrolled,
    /// Somebody may not sign in any more.
    PersonRemoved,
    /// Somebody's password and authenticator were forgotten.
    PersonReset,
    /// An image was pinned in the cache.
    Pinned,
    /// A policy came into force.
    PolicyLoaded,
    /// A person allowed the next policy to be older.
    PolicyRollbackAllowed,
    /// A policy came into force that is older than the one before.
    PolicyRolledBack,
    /// A question about a request was answered.
    QuestionAnswered,
    /// Somebody who decides asked what a request is for.
    QuestionAsked,
    /// A rejection or revocation was taken back.
    Reinstated,
    /// A person had stored verdicts decided again by the logic of a new program.
    RejudgeConfirmed,
    /// Upstream lost what more images rest on than is taken back without a person.
    ReevaluationHeld,
    /// A person had taken back what rests on what upstream lost.
    ReevaluationReleased,
    /// A subject was rejected by a person.
    Rejected,
    /// A blocked pull, or a person, asked for a decision.
    RequestFiled,
    /// The ledger was restored from a backup.
    Restored,
    /// A subject was revoked by a person.
    Revoked,
    /// A person had scanned images judged by a database that takes much back.
    ScansReleased,
    /// Sign-ins failed; one record for all of some minutes.
    SignInFailed,
    /// Somebody signed in.
    SignedIn,
    /// A new key signs summaries from now on.
    SigningKeyRotated,
    /// The program started.
    Started,
    /// A tag's last admitted digest changed.
    TagAdmitted,
    /// Upstream, a tag was moved away from what it was last admitted as.
    TagMoved,
    /// A token was made.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// A pin was taken back.
    Unpinned,
    /// A subject that was admitted cannot be decided again, and is served on for a while.
    VerdictStale,
    /// The file in which a person said yes was taken away before it was enough.
    VoteWithdrawn,
    /// A person said yes, which alone may not be enough.
    Voted,
}

/// Something to be put on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// What happened.
    pub kind: AuditKind,
    /// Who did it: a token's name, or the part of the program.
    pub by: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The request it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whatever else belongs to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl AuditEvent {
    /// The event `kind`, done by `by`, about nothing in particular.
    pub fn new(kind: AuditKind, by: impl Into<String>) -> Self {
        Self {
            kind,
            by: by.into(),
            subject: None,
            request: None,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    /// The same event, about `subject`.
    #[must_use]
    pub fn about(mut self, subject: &Subject) -> Self {
        self.subject = Some(subject.clone());
        self
    }

    /// The same event, with `value` as the detail `key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.details.insert(key.to_owned(), value.to_string());
        self
    }
}

/// A row of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its place in the chain, from 1 on.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
    /// The hash of the row before.
    pub previous: Digest,
    /// The hash of this row.
    pub hash: Digest,
}

/// The hashed part of a row.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) event: AuditEvent,
}

/// A chain up to some row: how many rows, and the hash of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chain {
    pub(super) count: u64,
    pub(super) hash: Digest,
}

impl Chain {
    /// The chain without rows.
    pub(super) fn empty() -> Self {
        Self { count: 0, hash: Digest::sha256(GENESIS) }
    }

    /// The chain as it stands in the database.
    pub(super) fn load(connection: &Connection) -> Result<Self, Error> {
        let last = connection
            .query_row(
                "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
            )
            .optional()?;
        let Some((sequence, hash)) = last else { return Ok(Self::empty()) };
        let hash = hash_of(&hash).ok_or_else(|| Error::corrupt("audit", sequence))?;
        Ok(Self { count: unsigned(sequence), hash })
    }

    /// Adds a row for `event` and moves on to it.
    pub(super) fn append(
        &mut self,
        connection: &Connection,
        at: Timestamp,
        event: &AuditEvent,
    ) -> Result<(), Error> {
        let sequence = self.count + 1;
        let body = canonical::to_canonical(&Body { sequence, at, event: event.clone() })?;
        let hash = link(self.hash.as_bytes(), &body);
        connection
            .prepare_cached(
                "INSERT INTO audit (sequence, body, previous, hash) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![integer(sequence), body, self.hash.as_bytes(), hash.as_bytes()])?;
        *self = Self { count: sequence, hash };
        Ok(())
    }
}

/// The hash of a row with `body` that follows a row with hash `previous`.
pub(super) fn link(previous: &[u8], body: &str) -> Digest {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(previous);
    hasher.update(body.as_bytes());
    hasher.finish()
}

/// A row as it is stored.
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) body: String,
    pub(super) previous: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl Stored {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: unsigned(row.get(0)?),
            body: row.get(1)?,
            previous: row.get(2)?,
            hash: row.get(3)?,
        })
    }

    pub(super) fn open(&self) -> Result<AuditRow, Error> {
        let corrupt = || Error::corrupt("audit", self.sequence);
        let previous = hash_of(&self.previous).ok_or_else(corrupt)?;
        let hash = link(&self.previous, &self.body);
        let body: Body = serde_json::from_str(&self.body).map_err(|_| corrupt())?;
        if hash.as_bytes() != self.hash || body.sequence != self.sequence {
            return Err(corrupt());
        }
        Ok(AuditRow { sequence: self.sequence, at: body.at, event: body.event, previous, hash })
    }
}

impl Writing<'_> {
    /// Puts `event` on record, in this transaction.
    pub(super) fn audit(&mut self, event: &AuditEvent) -> Result<(), Error> {
        self.chain.append(self.connection, self.now, event)
    }
}

impl Ledger {
    /// Puts `event` on record.
    ///
    /// # Errors
    /// When it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the event may be written even if the future is dropped.
    pub async fn append_audit(&self, event: AuditEvent) -> Result<(), Error> {
        self.write(move |writing| writing.audit(&event)).await
    }

    /// How many rows the chain has; it changes with each that is on the disk.
    pub fn grown(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.writer.grown()
    }

    /// How many rows the chain has.
    ///
    /// # Errors
    /// When the database fails, or the last row is not what was written.
    pub async fn audit_count(&self) -> Result<u64, Error> {
        self.read(|connection| Ok(Chain::load(connection)?.count)).await
    }

    /// Up to `limit` rows of the chain (at most 10,000), from row `from` on; those that left the database are
    /// read from their files.
    ///
    /// # Errors
    /// [`Error::Archived`] when they are in a file that is not there. Else when the database fails, or a row
    /// is not what was written.
    pub async fn audit(&self, from: u64, limit: u32) -> Result<Vec<AuditRow>, Error> {
        let dir = self.inner.dir.clone();
        self.read(move |connection| {
            let mut rows = Vec::new();
            let mut keep = |stored: &Stored| {
                rows.push(stored.open()?);
                Ok(())
            };
            let limit = u64::from(limit.min(AUDIT_PAGE_MAX));
            let place = Place::of(connection, &dir);
            Records::after(from.saturating_sub(1)).read(&place, limit, &mut keep)?;
            Ok(rows)
        })
        .await
    }
}
