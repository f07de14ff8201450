//! What was there before a node was configured, written down beside copies of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hands::Hands;
use super::{InstallError, STATE};

/// The file.
const FILE: &str = "journal.json";
/// The folder with copies.
const BACKUP: &str = "backup";
/// Copies hold what the files held, keys among it.
const MODE: u32 = 0o600;
/// The version of the file.
const VERSION: u32 = 1;
/// Most files of one node.
const FILES_MAX: usize = 10_000;

/// Everything that was written, and what was there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    version: u32,
    pub(super) files: Vec<Kept>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    /// The hashes of what may lie there and is ours.
    pub(super) ours: Vec<String>,
    /// What was there; `None` when nothing was.
    pub(super) original: Option<Original>,
    /// Whether the folder was not there either.
    pub(super) made_folder: bool,
}

/// What was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Original {
    /// The name of the copy.
    pub(super) backup: String,
    pub(super) sha256: String,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Default for Journal {
    fn default() -> Self {
        Self { version: VERSION, files: Vec::new() }
    }
}

impl Journal {
    pub(super) fn path() -> PathBuf {
        Path::new(STATE).join(FILE)
    }

    pub(super) fn backup_folder() -> PathBuf {
        Path::new(STATE).join(BACKUP)
    }

    pub(super) fn backup_path(name: &str) -> PathBuf {
        Self::backup_folder().join(name)
    }

    /// What is written down; `None` when nothing is.
    pub(super) fn read(hands: &Hands) -> Result<Option<Self>, InstallError> {
        let path = Self::path();
        let Some(content) = hands.read(&path)? else { return Ok(None) };
        let wrong = |why: String| InstallError::Journal { path: path.clone(), why };
        let journal: Self =
            serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))?;
        if journal.version != VERSION || journal.files.len() > FILES_MAX {
            return Err(wrong("is of another version of this program".to_owned()));
        }
        Ok(Some(journal))
    }

    pub(super) fn write(&self, hands: &Hands) -> Result<(), InstallError> {
        let path = Self::path();
        let content = serde_json::to_vec_pretty(self).map_err(|error| InstallError::Journal {
            path: path.clone(),
            why: error.to_string(),
        })?;
        hands.replace(&path, &content, MODE)
    }

    /// A name for a copy that is not taken.
    pub(super) fn free_backup(&self) -> String {
        let taken = |name: &String| {
            self.files
                .iter()
                .any(|kept| kept.original.as_ref().is_some_and(|was| was.backup == *name))
        };
        let mut names = (0..).map(|number: u32| format!("{number:04}"));
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    /// Keeps `content`, which lies at `path`.
    pub(super) fn back_up(
        &self,
        hands: &Hands,
        path: &Path,
        content: &[u8],
    ) -> Result<Original, InstallError> {
        let backup = self.free_backup();
        let (uid, gid) = hands.owner(path)?;
        let mode = hands.mode(path)?.unwrap_or(0o644);
        hands.replace(&Self::backup_path(&backup), content, MODE)?;
        Ok(Original { backup, sha256: hash(content), mode, uid, gid })
    }

    /// Removes the copy of what was at the place of `kept`.
    pub(super) fn forget(hands: &Hands, kept: &Kept) -> Result<(), InstallError> {
        let Some(original) = &kept.original else { return Ok(()) };
        hands.remove(&Self::backup_path(&original.backup))
    }
}

/// The SHA-256 of `content`, in hexadecimal.
pub(super) fn hash(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}
