//! What can go wrong while a database is made or read.

use std::io;

/// Why a database could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The feed could not be read, or the database not written.
    #[error("cannot read or write `{label}`")]
    Io {
        /// The feed, or the database.
        label: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The feed is not what it should be.
    #[error("`{label}` is not a feed of this kind: {reason}")]
    Malformed {
        /// The feed.
        label: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The feed has no record: nothing could be told from it, and nothing would be found.
    #[error("`{label}` has no record that can be read")]
    Empty {
        /// The feed.
        label: String,
    },
    /// Too much of the feed cannot be read.
    #[error(
        "of {records} records of `{label}`, {unreadable} or more cannot be read, such as {examples}; no more \
         than 1 % and {bound} of them are tolerated"
    )]
    Unreadable {
        /// The feed.
        label: String,
        /// How many were looked at.
        records: u64,
        /// How many of those cannot be read.
        unreadable: usize,
        /// How many are tolerated at the most.
        bound: usize,
        /// Some of them, and why.
        examples: String,
    },
    /// No record is about what should be covered, or no image is read for it.
    #[error("no feed has records of `{ecosystem}`, or no image is read for it")]
    NotCovered {
        /// What should be covered.
        ecosystem: String,
    },
    /// A bound was reached.
    #[error("`{label}` is too much: {bound}")]
    TooLarge {
        /// The feed, or the database.
        label: String,
        /// The bound, by its name.
        bound: &'static str,
    },
}

/// Why a database could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// It does not begin as a database does.
    #[error("this is not a vulnerability database")]
    NotADatabase,
    /// It was made by another version of the program.
    #[error(
        "the database has format {found}, and this program reads format {known}: import it again"
    )]
    Format {
        /// What it says.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// It ends before it should, or goes on after it.
    #[error("the database has {found} bytes and should have {expected}")]
    Length {
        /// What it should have.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// Its bytes are not those that were written.
    #[error("the database is damaged: its checksum does not fit")]
    Checksum,
    /// Something in it leads nowhere.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
}
