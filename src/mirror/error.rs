//! What can keep a pull from being answered with content.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::{Judgement, Reason};
use crate::ledger::{self, RequestId};
use crate::oci::{Digest, ManifestError, Name, Reference};
use crate::{store, upstream};

/// Why a pull is not answered with content.
///
/// "Decided no" ([`Error::Refused`], [`Error::Malformed`], [`Error::Ungranted`],
/// [`Error::RegistryUnknown`]) and "could not decide" (the others but [`Error::Absent`]) are different
/// answers; neither serves.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The work behind the answer ended without one.
    #[error("the work behind the answer was abandoned")]
    Abandoned(#[from] super::flight::Abandoned),
    /// Upstream confirmed that there is no such thing.
    #[error("{0} does not exist upstream")]
    Absent(Box<str>),
    /// The trust ledger could not be read or written.
    #[error("the trust ledger failed")]
    Ledger(#[source] Arc<ledger::Error>),
    /// What upstream has there, under its right digest, is no manifest that could be served.
    #[error("the manifest cannot be served")]
    Malformed(#[source] Arc<ManifestError>),
    /// Too much is being fetched or judged already.
    #[error("too much is under way already")]
    Overloaded,
    /// The gate said no, or not yet.
    #[error("refused")]
    Refused(Box<Refusal>),
    /// The registry is not configured.
    #[error("registry {0} is not configured")]
    RegistryUnknown(Box<str>),
    /// The blob store failed.
    #[error("the blob store failed")]
    Store(#[source] Arc<store::Error>),
    /// Evidence that the gate needs could not be had.
    #[error("could not decide")]
    Undecided {
        /// What could not be had.
        reasons: Vec<Reason>,
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// No admitted manifest of that repository lists the blob.
    #[error("blob is not granted")]
    Ungranted,
    /// Upstream failed and nothing else could answer.
    #[error("upstream failed")]
    Upstream(#[source] Arc<upstream::Error>),
}

/// A no, with everything that explains it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Which kind of no.
    pub decision: Decision,
    /// What was asked for.
    pub name: Name,
    /// How it was asked for.
    pub reference: Reference,
    /// What that resolved to, when it got so far.
    pub digest: Option<Digest>,
    /// The gate's judgement, when there is one.
    pub judgement: Option<Judgement>,
    /// The request that waits for people, or records the denial.
    pub request: Option<RequestId>,
}

/// Which kind of no a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The gate is still gathering evidence.
    Checking,
    /// The policy or a person says no.
    Denied,
    /// A person has to say yes.
    Pending,
}

impl Decision {
    /// The word for headers, logs and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Denied => "denied",
            Self::Pending => "pending",
        }
    }
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<upstream::Error> for Error {
    fn from(error: upstream::Error) -> Self {
        Self::Upstream(Arc::new(error))
    }
}
