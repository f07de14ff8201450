//! `/etc/pratique/node/open.json`: that the node is open for a while, until when and why.
//!
//! It is written before anything is opened and removed after all is closed, so that whatever moment
//! ends a run, an open node is one that says so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::install::STATE;
use super::place;
use crate::oci::from_strict_slice;
use crate::time::Timestamp;

const FILE: &str = "open.json";
const MODE: u32 = 0o644;

/// An opening that has not been closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// When it ends.
    pub until: Timestamp,
    /// The id of the permit.
    pub permit: String,
    /// Why, as whoever opened it said.
    pub reason: String,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, permit, reason } = self;
        write!(f, "the node was opened until {until} by permit {permit} ({reason})")
    }
}

impl Opened {
    fn path(root: &Path) -> PathBuf {
        root.join(STATE.trim_start_matches('/')).join(FILE)
    }

    /// What the node below `root` says of it; `None` when it is not open.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn read(root: &Path) -> io::Result<Option<Self>> {
        let Some(content) = place::read(&Self::path(root))? else { return Ok(None) };
        from_strict_slice(&content)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.without_content()))
    }

    /// Says it on the node below `root`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        place::replace(&Self::path(root), format!("{text}\n").as_bytes(), MODE)
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(root: &Path) -> io::Result<()> {
        place::remove(&Self::path(root))
    }
}
