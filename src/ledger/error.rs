//! What can go wrong with the ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::emergencies::EmergencyState;
use super::requests::{RequestId, RequestState};
use super::verify::AuditProblem;
use crate::gate::{EmergencyId, Subject};
use crate::transparency::KeyError;

/// Why an operation of the ledger failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody decided about the request before.
    #[error("{request} is already {state}; decide about the digest itself to change that")]
    AlreadyDecided {
        /// The request.
        request: RequestId,
        /// What it is now.
        state: RequestState,
    },
    /// Another process, or another ledger of this one, has the directory.
    #[error("ledger in {} is in use by another process", dir.display())]
    AlreadyOpen {
        /// The data directory.
        dir: PathBuf,
    },
    /// Records would have to be read that left the database, and the file with them is not there.
    #[error(
        "records {} to {}, written until {}, are in audit/segments/{} ({}), which is not there; put that file \
         back to have them read, or ask from record {} on",
        .0.from, .0.to, .0.last_at, .0.file, .0.digest, .0.to + 1
    )]
    Archived(Box<super::Segment>),
    /// Nothing can be archived now.
    #[error("nothing was archived: {0}")]
    ArchiveRefused(&'static str),
    /// The file does not hold the key that signs checkpoints and seals rows; it was not replaced, because others may
    /// rely on it.
    #[error(
        "{} is no key for checkpoints and seals ({source}); put back the right one, or move it away: then \
         a new one is made, what is in the ledger is taken as it is, and the audit says so",
        path.display()
    )]
    AuditKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// The audit chain is broken, so that it is not signed any further.
    #[error("the audit chain is broken: {0}; see pratique audit verify")]
    ChainBroken(AuditProblem),
    /// The ledger was closed.
    #[error("ledger is closed")]
    Closed,
    /// The transaction that this write was part of did not reach the disk.
    #[error("ledger could not commit to disk")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A row is not what was written.
    #[error("row {key} of {table} in the ledger is damaged; restore a backup")]
    CorruptRow {
        /// The table.
        table: &'static str,
        /// What the row is about.
        key: String,
    },
    /// The database failed.
    #[error("ledger's database failed")]
    Database(#[source] rusqlite::Error),
    /// A database file is not whole; it was not changed.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing found.
        problem: String,
    },
    /// The break-glass does not stand so that this could be done.
    #[error("{id} is {}; this cannot be done to it", state.as_str())]
    EmergencyState {
        /// Which.
        id: EmergencyId,
        /// How it stands.
        state: EmergencyState,
    },
    /// Something could not be written as JSON.
    #[error("ledger could not encode a row")]
    Encode(#[source] serde_json::Error),
    /// A file operation failed.
    #[error("could not {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is a ledger already, or a file of the backup's name.
    #[error("{} exists; it is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The database is gone although the head of its audit chain is there.
    #[error(
        "{} is missing, but audit/head says that it held {records} audit records; restore a backup, or remove the audit directory to begin anew",
        path.display()
    )]
    Missing {
        /// The database file.
        path: PathBuf,
        /// The count in the head.
        records: u64,
    },
    /// The file was written by a later version of the program.
    #[error(
        "{} has schema version {found}, this program knows up to {known}; start the program that wrote it, or go back to a snapshot from before with `pratique rollback`",
        path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
    /// There is no such break-glass.
    #[error("there is no break-glass {0}")]
    NoSuchEmergency(EmergencyId),
    /// There is no such request.
    #[error("there is no request {0}")]
    NoSuchRequest(RequestId),
    /// There is no such token.
    #[error("there is no token {0:?}")]
    NoSuchToken(String),
    /// A file that was given is no segment of this audit.
    #[error("{} is no segment of this audit", path.display())]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The file is no export of an audit chain.
    #[error("line {line} is not one of an export of the audit: {problem}")]
    NotAnExport {
        /// The line.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither rejected nor revoked.
    #[error("{0} is neither rejected nor revoked")]
    NothingToReinstate(Subject),
    /// The request is about something else.
    #[error("{request} is not about {subject}")]
    OtherSubject {
        /// The request.
        request: RequestId,
        /// The subject of the decision.
        subject: Subject,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot {name:?} in {}; `pratique rollback` lists them", dir.display())]
    NoSuchSnapshot {
        /// What was asked for.
        name: String,
        /// Where snapshots are.
        dir: PathBuf,
    },
    /// A write or read ended in a panic; its transaction was rolled back.
    #[error("an operation of the ledger panicked")]
    Panicked,
    /// The policy offered is older than the one in force.
    #[error(
        "{} revision {offered} is lower than {in_force}, which is in force; raise it, or have the older one \
         let in once: pratique policy allow-rollback",
        part.as_ref().map_or("policy".to_owned(), |part| format!("policy file {part}"))
    )]
    PolicyRollback {
        /// The name of the file that is older; `None` is the policy as a whole.
        part: Option<String>,
        /// The revision in force.
        in_force: u64,
        /// The revision offered.
        offered: u64,
    },
    /// The machine gave no random bytes.
    #[error("no random bytes to be had")]
    Random,
    /// What was to be checked cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// No snapshot could be taken, so the schema was not changed either.
    #[error("no snapshot of the ledger could be written to {}, so its schema was left as it is", dir.display())]
    Snapshot {
        /// Where snapshots are.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// There is a token of that name.
    #[error("there is a token {0:?} already")]
    TokenExists(String),
    /// A group's name is empty, too long or not plain, or there is one too many.
    #[error("group {0:?} is not 1 to 64 letters, digits, . _ - @, or is one too many")]
    GroupName(String),
    /// Nobody could administer this server any more.
    #[error("{0} is the last one who can administer; make another one first")]
    LastAdmin(String),
    /// There is nobody of that name.
    #[error("there is nobody called {0:?}")]
    NoSuchPerson(String),
    /// What somebody showed does not count, or not any more.
    #[error("what was shown does not count any more")]
    NotLetIn,
    /// What somebody may do is said elsewhere.
    #[error("what {0} may do is for their provider to say; they can be disabled and removed here")]
    PersonElsewhere(String),
    /// There is somebody of that name.
    #[error("there is somebody called {0:?} already")]
    PersonExists(String),
    /// A name that nobody can sign in with.
    #[error("user name {0:?} is not 1 to 64 lower-case letters, digits, . _ - @")]
    PersonName(String),
    /// A role that is not for people.
    #[error("role {0} is for tokens, not for people")]
    PersonRole(super::Role),
    /// There are as many people as there may be.
    #[error("there are {0} people already")]
    TooManyPeople(usize),
    /// A token is to end before it begins.
    #[error("the expiry is in the past")]
    TokenExpiry,
    /// A token's scope is not a list of patterns of repositories, or has too many.
    #[error("repository pattern {pattern:?} {problem}")]
    TokenScope {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token's name is empty, too long or not plain.
    #[error("token name {0:?} is not 1 to 64 letters, digits, . _ - @")]
    TokenName(String),
    /// People decided about the subject since the vote was made up.
    #[error("people decided about {0} meanwhile")]
    DecidedMeanwhile(Subject),
    /// There are more votes about a subject than are kept.
    #[error("there are too many votes about {0}; reject it to begin anew")]
    TooManyVotes(Subject),
    /// There is no question that waits for an answer.
    #[error("nothing was asked about {0} that is not answered")]
    NothingAsked(RequestId),
    /// There are as many questions and answers on a request as are kept.
    #[error(
        "{limit} questions and answers about {request} are on record already; decide about it now"
    )]
    TooManyRemarks {
        /// The request.
        request: RequestId,
        /// How many are kept.
        limit: usize,
    },
    /// More people asked for one image than are kept apart.
    #[error("{0} people asked for it already; one more request makes no difference")]
    TooManyRequesters(usize),
    /// Too many requests wait for people.
    #[error("too many open requests ({limit}) {}", client.as_deref().unwrap_or("in all"))]
    TooManyRequests {
        /// The client that reached its own cap; `None` is the cap for all.
        client: Option<String>,
        /// The cap.
        limit: u64,
    },
    /// There is no exception of that number, or none that was made here.
    #[error("there is no exception {0}")]
    NoSuchException(super::ExceptionId),
    /// An exception is not in a state in which that can be done.
    #[error("{exception} is {state} already")]
    ExceptionClosed {
        /// Which.
        exception: super::ExceptionId,
        /// Its state.
        state: super::ExceptionState,
    },
    /// There are as many exceptions as there may be.
    #[error("there are {limit} exceptions {of} already; refuse or end some")]
    TooManyExceptions {
        /// Of which kind.
        of: &'static str,
        /// The cap.
        limit: u64,
    },
    /// There are more votes about an exception than are kept.
    #[error("there are too many votes about {0}; refuse it to begin anew")]
    TooManyExceptionVotes(super::ExceptionId),
    /// There are as many pins as there may be.
    #[error("{limit} images are pinned already")]
    TooManyPins {
        /// How many there may be.
        limit: usize,
    },
    /// There are as many break-glasses as there may be that wait, are in force, or were not reviewed.
    #[error(
        "{open} break-glasses are open and {unreviewed} unreviewed: as many as there may be; end some, or have \
         them reviewed"
    )]
    TooManyEmergencies {
        /// How many wait or are in force.
        open: usize,
        /// How many nobody has reviewed.
        unreviewed: usize,
    },
    /// There are as many segments of the audit as there may be.
    #[error("there are {0} segments of the audit already")]
    TooManySegments(u64),
    /// There are as many tokens as there may be.
    #[error("there are {0} tokens already")]
    TooManyTokens(usize),
    /// What was to be exported cannot be written.
    #[error("it cannot be written")]
    Write(#[source] io::Error),
}

impl Error {
    /// Whether the cause is that no space is left.
    #[expect(clippy::wildcard_enum_match_arm, reason = "four variants carry a cause that tells")]
    pub fn is_disk_full(&self) -> bool {
        let full = |source: &rusqlite::Error| {
            source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
        };
        let source = match self {
            Self::File { source, .. } => return source.kind() == io::ErrorKind::StorageFull,
            Self::Commit(source) => Some(&**source),
            Self::Database(source) => Some(source),
            Self::Snapshot { source, .. } => return source.is_disk_full(),
            _ => None,
        };
        source.is_some_and(full)
    }

    /// The same finding, made in a copy of `path`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "two variants name the file they are about")]
    pub(super) fn in_file(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            Self::Damaged { problem, .. } => Self::Damaged { path, problem },
            Self::NewerSchema { found, known, .. } => Self::NewerSchema { path, found, known },
            other => other,
        }
    }

    /// The same finding about the ledger that was to be opened, with what to do about it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only damage has this way out")]
    pub(super) fn with_way_out(self) -> Self {
        match self {
            Self::Damaged { path, problem } => {
                let way_out = "put a backup in its place with `pratique restore FILE --replace`";
                Self::Damaged { path, problem: format!("{problem}; {way_out}") }
            }
            other => other,
        }
    }

    /// Whether the ledger itself failed, rather than refusing what was asked of it.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::AuditKey { .. }
                | Self::ChainBroken(_)
                | Self::Commit(_)
                | Self::CorruptRow { .. }
                | Self::Database(_)
                | Self::Damaged { .. }
                | Self::Encode(_)
                | Self::File { .. }
                | Self::Panicked
                | Self::Random
                | Self::Snapshot { .. }
        )
    }

    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    pub(super) fn corrupt(table: &'static str, key: impl std::fmt::Display) -> Self {
        Self::CorruptRow { table, key: key.to_string() }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::Database(source)
    }
}

impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        Self::Encode(source)
    }
}
