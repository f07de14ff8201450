//! The trust state: verdicts and their evidence, grants, tag history, requests, decisions of people,
//! people, tokens, and the audit chain that ties them down.
//!
//! Promises:
//! - A write is acknowledged only after its transaction is on the disk; a decision and its audit row
//!   are one transaction, so neither exists without the other.
//! - What was acknowledged is what the next read sees, on every clone of the [`Ledger`].
//! - A row that is not, byte for byte, what was written is an error that names it; it is never served.
//! - What is in memory goes on being answered while the disk fails; writes fail, and say so.
//! - Memory is bounded: records, grants and tags by caches, open requests by their caps.
//!
//! It must not decide anything: what a verdict is, is the gate's to say.
//!
//! One thread writes ([`writer`]), a few connections read on the blocking pool ([`readers`]), and
//! [`memory`] stands in front of both. The boundary is made of domain operations, so that another
//! database can come to stand behind it.

mod archive;
mod audit;
mod backup;
mod caller;
mod canonical;
mod checkpoints;
mod database;
mod decisions;
mod elsewhere;
mod emergencies;
mod endings;
mod error;
mod exceptions;
mod export;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod grants;
mod head;
mod lines;
mod logic;
mod memory;
mod open;
mod openings;
mod people;
mod pins;
mod policy;
mod proof;
mod pulls;
mod readers;
mod records;
mod requests;
mod roles;
mod rollback;
mod rows;
mod schema;
mod sealer;
mod signed;
mod snapshots;
mod structure;
mod tags;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod unconfirmed;
mod verify;
mod vote_files;
mod votes;
mod webhooks;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

pub use archive::{Archived, Archiving, Held, Plan, Segment};
pub use audit::{AuditEvent, AuditKind, AuditRow};
pub use backup::{Restored, restore};
pub use caller::{Caller, PersonId};
pub(crate) use canonical::to_canonical;
pub use checkpoints::{audit_keys, last_checkpoint};
pub use decisions::{Decided, Decision, Verb};
pub use emergencies::{
    EMERGENCIES_OPEN_MAX, EMERGENCIES_UNREVIEWED_MAX, EMERGENCY_WAIT_MAX, EmergencyChange,
    EmergencyEnd, EmergencyProof, EmergencyReview, EmergencyRow, EmergencyScope, EmergencyState,
    EmergencyVote, NewEmergency,
};
pub use endings::{ENDING_STEPS_DAYS, Ending};
pub use error::Error;
pub use exceptions::{
    Asker, CastExceptionVote, Closed, ExceptionBallot, ExceptionCounts, ExceptionEnd,
    ExceptionFilter, ExceptionGrant, ExceptionId, ExceptionIdError, ExceptionRow, ExceptionScope,
    ExceptionState, ExceptionVote, ExceptionWish, Granting,
};
pub use export::{Export, export_audit};
pub use grants::{Granted, NewGrants};
pub use people::{
    Enrolment, Entrance, Knowledge, NewPerson, ONE_TIME_SECRET_LIFE, Person, PersonChange, Vouched,
};
pub use pins::Pin;
pub use policy::{InForce, Offered, PolicyChange, Rollback};
pub use proof::AuditProof;
pub use pulls::{InUse, PullCount, PullOutcome};
pub use records::{New, Record};
pub use requests::{
    ClientCount, Filing, REMARKS_MAX, Remark, RemarkKind, RequestFilter, RequestId, RequestIdError,
    RequestRow, RequestState,
};
pub use roles::{Permission, Role};
pub use rollback::{Loss, LostDecision, LostRows, loss, roll_back};
pub use snapshots::{Snapshot, snapshot, snapshots};
pub use tags::TagMove;
pub use tokens::{NewToken, Scope, TokenRow};
pub use trail::Trail;
pub use unconfirmed::{LastAdmission, NOTED_EVERY, NotConfirmed, Unconfirmed};
pub use verify::{
    AuditFault, AuditNote, AuditProblem, AuditReport, Coverage, Trust, verify_audit, verify_export,
};
pub use vote_files::{RestsOnFiles, Withdrawal};
pub use votes::{Ballot, CastVote, Vote, VoteFile, Votes};
pub use webhooks::{WebhookCursor, WebhookDelivery, WebhookPause};

use crate::metrics::Metrics;
use crate::time::Clock;
use checkpoints::Checkpoints;
use memory::Memory;
use readers::Readers;
use writer::Writer;

/// Bounds of a ledger that an operator may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most records in memory, in bytes.
    pub record_memory_bytes: u64,
    /// Most grants in memory, in bytes.
    pub grant_memory_bytes: u64,
    /// Most requests that wait for people, in all.
    pub open_requests_max: u64,
    /// Most requests that wait for people and were first asked for by one client.
    pub open_requests_per_client_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            record_memory_bytes: 8 << 20,
            grant_memory_bytes: 4 << 20,
            open_requests_max: 10_000,
            open_requests_per_client_max: 500,
        }
    }
}

/// The ledger of one data directory; clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    memory: Arc<Memory>,
    checkpoints: Checkpoints,
    archiving: tokio::sync::Mutex<()>,
    writer: Writer,
    readers: Readers,
}
