//! Why a layout cannot be read.

use std::io;
use std::path::PathBuf;

/// Why a layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A blob is not what its name says.
    #[error("other content than its name says: {path}")]
    Changed {
        /// The blob.
        path: PathBuf,
    },
    /// The list of manifests is not well formed.
    #[error("{path} cannot be used: {why}")]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is no such image in it.
    #[error("{path} lists no {which}")]
    NoSuch {
        /// The layout.
        path: PathBuf,
        /// What was looked for.
        which: String,
    },
    /// The folder is not a layout.
    #[error("{path} is not an OCI image layout: {why}")]
    NotALayout {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Something else stands where a file should.
    #[error("a link or no regular file: {path}")]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The disk fails, or the file may not be read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Several fit.
    #[error("{path} lists more than one {which}{}", listed(known))]
    Several {
        /// The layout.
        path: PathBuf,
        /// What was looked for.
        which: String,
        /// What is there.
        known: Vec<String>,
    },
    /// More than is read.
    #[error("more manifests than are read in search of signatures: {path}")]
    TooMuch {
        /// The list.
        path: PathBuf,
    },
}

fn listed(known: &[String]) -> String {
    /// Most that are named.
    const SHOWN_MAX: usize = 8;
    if known.is_empty() {
        return String::new();
    }
    let shown = known.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if known.len() > SHOWN_MAX { ", and more" } else { "" };
    format!(": {shown}{more}; say which with :TAG or @DIGEST behind the folder")
}
