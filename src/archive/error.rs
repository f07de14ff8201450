//! Why a layout cannot be written, filled or sent.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use crate::layout;
use crate::oci::{Digest, ManifestError};
use crate::upstream;

/// Most problems that are told in one error.
const SHOWN_MAX: usize = 10;

/// One thing that is wrong with a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is, for programs: `missing`, `changed`, `link`, `extra`, `malformed`, `platform`, `name`,
    /// `unreadable`, `writable`.
    pub code: &'static str,
    /// The file, or the image.
    pub what: String,
    /// What is wrong with it.
    pub text: String,
}

impl Problem {
    /// A problem with `what`.
    pub fn new(code: &'static str, what: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { code, what: what.to_string(), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10} {}: {}", self.code, self.what, self.text)
    }
}

/// Why a layout cannot be written, filled or sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mirror says that there is no such image.
    #[error("{image}: the mirror says that upstream has no such image")]
    Absent {
        /// The image.
        image: String,
    },
    /// A blob or manifest that an image lists is not there.
    #[error("{image}: the mirror does not have {digest}, which the image lists")]
    AbsentPart {
        /// The image.
        image: String,
        /// What is missing.
        digest: Box<Digest>,
    },
    /// Another run writes there.
    #[error("another run writes to {path}; wait for it")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Bytes that are not those of the digest.
    #[error("other content than {digest} came")]
    Content {
        /// What was asked for.
        digest: Box<Digest>,
    },
    /// The mirror could not be asked, or gave no answer that means something.
    #[error("{image} could not be fetched")]
    Fetch {
        /// The image.
        image: String,
        /// Why not.
        #[source]
        source: upstream::Error,
    },
    /// What lies there is not whole.
    #[error("{}", told(.0))]
    Incomplete(Vec<Problem>),
    /// A layout that cannot be read.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// A manifest that cannot be used.
    #[error("{image}: manifest {digest} cannot be used")]
    Manifest {
        /// The image.
        image: String,
        /// The manifest.
        digest: Box<Digest>,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// There is something else in the folder.
    #[error(
        "{path} holds {what}, which would be in the way; name an empty folder, or one that this command wrote"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// The image is not for a platform that is wanted.
    #[error("{image} has nothing for {wanted}{}", of_platforms(.has))]
    Platform {
        /// The image.
        image: String,
        /// What was wanted.
        wanted: String,
        /// What it has.
        has: String,
    },
    /// The mirror said no.
    #[error("{image}: the mirror refuses it: {said}")]
    Refused {
        /// The image.
        image: String,
        /// What the mirror said.
        said: String,
    },
    /// What takes it does not any more.
    #[error("not all was taken")]
    Send(#[source] io::Error),
    /// More than a layout may hold.
    #[error("{what}: more than {limit} {of}")]
    TooMany {
        /// Where.
        what: String,
        /// The bound.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
    /// The disk fails, or may not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn of_platforms(has: &str) -> String {
    if has.is_empty() { String::new() } else { format!("; it is for {has}") }
}

fn told(problems: &[Problem]) -> String {
    let plural = if problems.len() == 1 { "" } else { "s" };
    let mut lines = vec![format!("{} problem{plural}", problems.len())];
    lines.extend(problems.iter().take(SHOWN_MAX).map(ToString::to_string));
    if problems.len() > SHOWN_MAX {
        lines.push("and more".to_owned());
    }
    lines.join("\n  ")
}
