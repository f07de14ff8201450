//! Why nothing is taken from a repository, and which exit code that is.

use std::error::Error;

use http::StatusCode;

use super::scrutiny::Fault;
use crate::cli::CliError;
use crate::upstream;

/// Longest text that is shown of what went wrong, in characters: parts of it are the repository's.
const TEXT_LENGTH_MAX: usize = 500;

/// What goes wrong with a repository.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It has no such file.
    #[error("it has no {0}")]
    Absent(String),
    /// Something is wrong with what it has.
    #[error("{name} {fault}")]
    Faulty {
        /// The file.
        name: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The root that trust begins with is none.
    #[error("it {0}")]
    Unfit(Fault),
    /// There is no end of newer roots.
    #[error(
        "more than {0} newer roots in one go; those that were verified are kept, and the next run \
         goes on from there"
    )]
    NoEnd(u32),
    /// It asks for a file by a name that is none.
    #[error("it means a file by {0:?}, which is no plain name")]
    OddName(String),
    /// It answers otherwise than with the file.
    #[error("its answer to {name} is {status}{}", if status.is_redirection() {
        ", and redirects are not followed: give the address itself"
    } else {
        ""
    })]
    Status {
        /// The file.
        name: String,
        /// What it answers.
        status: StatusCode,
    },
    /// What it has does not hold.
    #[error(transparent)]
    Unproven(sigstore_tuf::Error),
    /// There is no answer.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Unfit(fault)
    }
}

impl From<sigstore_tuf::Error> for Trouble {
    /// What `remote` handed in comes back as it was.
    fn from(error: sigstore_tuf::Error) -> Self {
        let sigstore_tuf::Error::Transport { message, source: Some(source) } = error else {
            return Self::Unproven(error);
        };
        match source.downcast::<Self>() {
            Ok(trouble) => *trouble,
            Err(source) => {
                let source = Some(source);
                Self::Unproven(sigstore_tuf::Error::Transport { message, source })
            }
        }
    }
}

impl From<Trouble> for sigstore_tuf::Error {
    fn from(trouble: Trouble) -> Self {
        Self::transport_with_source("not fetched", trouble)
    }
}

impl Trouble {
    /// The text and what is beneath it, fit for a terminal.
    pub(super) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        let mut shown = String::new();
        for c in text.chars().take(TEXT_LENGTH_MAX) {
            if c == ' ' || c.is_ascii_graphic() {
                shown.push(c);
            } else {
                shown.extend(c.escape_debug());
            }
        }
        shown
    }

    /// The error of the command: what may be otherwise on the next try is "not reached", and what the
    /// repository says and cannot prove is "not taken".
    pub(super) fn to_error(&self, url: &str) -> CliError {
        let text = format!("nothing was taken from {url}: {}", self.text());
        match self {
            Self::NoEnd(_) => CliError::failed(text),
            Self::Upstream(upstream::Error::TooLarge { .. })
            | Self::Faulty { .. }
            | Self::OddName(_)
            | Self::Unfit(_)
            | Self::Unproven(_) => CliError::refused(text),
            Self::Absent(_) | Self::Status { .. } | Self::Upstream(_) => {
                CliError::unreachable(text)
            }
        }
    }
}
