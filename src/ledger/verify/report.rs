//! What a check of the audit chain came to, in words.

use std::fmt;

use serde::Serialize;

use crate::oci::Digest;
use crate::time::Timestamp;

/// What a check of the audit chain came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The number of the first record that was read: 1, unless part of a chain was checked.
    pub first: u64,
    /// How many records were read and found good.
    pub read: u64,
    /// The number of the last record that was read and found good.
    pub records: u64,
    /// The hash of that one.
    pub head: String,
    /// The first bad one; `None` when the chain is whole.
    pub problem: Option<AuditProblem>,
    /// What signed checkpoints cover.
    pub coverage: Coverage,
    /// What is on record, is no fault, and should be known.
    pub notes: Vec<AuditNote>,
}

impl AuditReport {
    /// Whether nothing was found.
    pub fn is_whole(&self) -> bool {
        self.problem.is_none()
    }
}

/// What signed checkpoints cover.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// How many checkpoints were verified and fit the records.
    pub checkpoints: u64,
    /// The number of the last record that one of them covers; 0 when there is none.
    pub records: u64,
    /// The public key of the latest of them.
    pub key: Option<String>,
    /// When the first record was written that none of them covers.
    pub uncovered_since: Option<Timestamp>,
    /// The sizes of the checkpoints that were given and could not be held against the records, because those
    /// were not read.
    pub unchecked: Vec<u64>,
}

/// The first bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuditProblem {
    /// Its place in the chain.
    pub sequence: u64,
    /// What is wrong with it.
    pub fault: AuditFault,
}

/// What is wrong with a record, or with what vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditFault {
    /// What is kept of the records up to it, which left the database, is not what was written.
    ArchiveChanged,
    /// It says that records left the database, and nothing is kept of such.
    ArchiveUnknown,
    /// It is not what was written.
    Changed,
    /// The checkpoint up to it is of another ledger.
    CheckpointForeign,
    /// The checkpoint up to it has a signature that its key did not make.
    CheckpointForged,
    /// What stands in the place of a checkpoint behind it cannot be read as one.
    CheckpointUnreadable,
    /// The checkpoint up to it, the last one, is not in the journal: that was shortened.
    CheckpointsCut,
    /// It is a decision, a verdict, or a word about a token or a person that the ledger does not go by; or,
    /// with the last record, the ledger goes by one that is not in the chain.
    Contradicted,
    /// It and all after it are gone, although the head, a checkpoint, or a later finding at start, knows
    /// of them.
    Cut,
    /// The head is missing or unreadable, so that a cut would not show.
    HeadMissing,
    /// The checkpoint up to it is by another key than the one before, and no record says why.
    KeyReplaced,
    /// What stands in its place was written as another record.
    Moved,
    /// It and others left the database, and no record says so.
    NotArchived,
    /// No checkpoint is signed by the keys that are trusted.
    NoCheckpoint,
    /// It, or one after it up to `until`, is not what was signed.
    NotAsSigned {
        /// How many records the checkpoint covers that does not fit.
        until: u64,
    },
    /// It is missing from the middle.
    Removed,
    /// The file that it is in is not the one that was archived.
    SegmentChanged,
    /// The file that it is in ends before it, or cannot be read there.
    SegmentUnreadable,
    /// The checkpoint up to it is not by a key that is trusted.
    Untrusted,
    /// What was exported ends before its end.
    Unfinished,
}

impl fmt::Display for AuditProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, fault } = self;
        let checkpoint = format_args!("the checkpoint of {sequence} records");
        match fault {
            AuditFault::ArchiveChanged => write!(
                f,
                "what the ledger keeps of the archived records up to {sequence} is not what was written"
            ),
            AuditFault::ArchiveUnknown => write!(
                f,
                "record {sequence} says that records were archived, and the ledger knows nothing of it"
            ),
            AuditFault::NotArchived => write!(
                f,
                "record {sequence} and others are kept as archived, and no record says that they were"
            ),
            AuditFault::SegmentChanged => {
                write!(f, "the segment with record {sequence} is not the one that was archived")
            }
            AuditFault::SegmentUnreadable => {
                write!(
                    f,
                    "the segment that should hold record {sequence} ends or cannot be read there"
                )
            }
            AuditFault::Changed => write!(f, "record {sequence} was changed"),
            AuditFault::CheckpointForeign => write!(f, "{checkpoint} is of another ledger"),
            AuditFault::CheckpointForged => write!(f, "{checkpoint} has a forged signature"),
            AuditFault::CheckpointUnreadable => {
                write!(f, "the checkpoint after the one of {sequence} records cannot be read")
            }
            AuditFault::CheckpointsCut => write!(
                f,
                "{checkpoint} is not in the journal: checkpoints were removed from its end"
            ),
            AuditFault::Contradicted => write!(
                f,
                "the ledger does not go by what is on record up to {sequence}: a row of it was put back, \
                 written or removed"
            ),
            AuditFault::Cut => write!(f, "the chain was cut before record {sequence}"),
            AuditFault::HeadMissing => {
                write!(f, "the head that should hold the chain at record {sequence} is gone")
            }
            AuditFault::KeyReplaced => {
                write!(f, "{checkpoint} is by a key that no record says is in use")
            }
            AuditFault::Moved => write!(f, "record {sequence} stands in another's place"),
            AuditFault::NoCheckpoint => {
                write!(f, "no checkpoint of these records is signed by a key that was given")
            }
            AuditFault::NotAsSigned { until } if until == sequence => {
                write!(f, "record {sequence} is not the one that was signed")
            }
            AuditFault::NotAsSigned { until } => {
                write!(f, "of records {sequence} to {until} one is not what was signed")
            }
            AuditFault::Removed => write!(f, "record {sequence} was removed"),
            AuditFault::Untrusted => write!(f, "{checkpoint} is not by a key that was given"),
            AuditFault::Unfinished => {
                write!(f, "the export breaks off before record {sequence}")
            }
        }
    }
}

/// Something on record that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditNote {
    /// Another key signs from some record on.
    KeyReplaced {
        /// The record that says so.
        sequence: u64,
        /// The public key that signs since.
        key: String,
    },
    /// A checkpoint that was given is of records that were not read.
    NotCheckable {
        /// How many records that checkpoint covers.
        size: u64,
    },
    /// Rows of the ledger go back to records that were not read.
    NotCompared {
        /// How many.
        rows: u64,
    },
    /// Records left the database, and their files were not read.
    NotRead {
        /// The first of these records.
        from: u64,
        /// The last.
        to: u64,
        /// The first of the files.
        file: String,
        /// The SHA-256 of that.
        digest: Digest,
        /// How many more files it takes.
        more: u64,
    },
    /// What is kept of archived records has a seal, and the key for it is not here.
    SealsUnknown,
    /// A file lies among the segments that is none of this ledger.
    Stray {
        /// Its name.
        file: String,
    },
    /// The ledger was restored from a backup or a snapshot, and checkpoints of what it replaced are left.
    Restored {
        /// The record that says so.
        sequence: u64,
        /// How many checkpoints are of records that were lost by it.
        checkpoints: u64,
        /// How many records the largest of them covers.
        until: u64,
    },
    /// The journal ends with a checkpoint that was not written to its end.
    TornJournal,
    /// A checkpoint that was given does not fit, and a record says that the ledger was restored before.
    TrustedBeforeRestore {
        /// How many records that checkpoint covers.
        size: u64,
        /// The record that says so.
        sequence: u64,
    },
}

impl fmt::Display for AuditNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyReplaced { sequence, key } => {
                write!(f, "record {sequence} says that checkpoints are signed by {key} since")
            }
            Self::NotCheckable { size } => write!(
                f,
                "the given checkpoint of {size} records could not be checked: the records up to there were \
                 not read; give their segments with --segment"
            ),
            Self::NotCompared { rows } => write!(
                f,
                "{rows} rows of the ledger go back to records that were not read; they were not compared \
                 with the chain"
            ),
            Self::NotRead { from, to, file, digest, more } => {
                write!(f, "records {from} to {to} are in {file} ({digest})")?;
                if *more > 0 {
                    write!(f, " and {more} more, see pratique audit archive --list")?;
                }
                let verb = if *more > 0 { "were" } else { "was" };
                write!(f, ", which {verb} not read")
            }
            Self::SealsUnknown => f.write_str(
                "the key that seals what is kept of archived records is not here; it was checked against \
                 the records that say so and against checkpoints",
            ),
            Self::Stray { file } => write!(
                f,
                "audit/segments/{file} is none of this ledger's segments: it was left half-way by an end \
                 without warning, or is of a ledger that was replaced"
            ),
            Self::Restored { sequence, checkpoints, until } => write!(
                f,
                "record {sequence} says that the ledger was restored: the records from there up to \
                 {until} that {checkpoints} earlier checkpoints cover are those of the ledger that was \
                 replaced"
            ),
            Self::TornJournal => f.write_str(
                "the journal of checkpoints ends in the middle of one, as after a crash; it is left out",
            ),
            Self::TrustedBeforeRestore { size, sequence } => write!(
                f,
                "record {sequence} says that the ledger was restored; if that is true, the given \
                 checkpoint of {size} records is of the ledger that was replaced"
            ),
        }
    }
}
