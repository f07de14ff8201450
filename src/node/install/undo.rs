//! Putting back what was there.

use std::path::{Path, PathBuf};

use super::hands::Hands;
use super::journal::{Journal, Kept, hash};
use super::{InstallError, STATE, lock};
use crate::node::render::HOSTS_TOML;

/// What was put back.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Undone {
    /// Files that are as they were.
    pub restored: Vec<PathBuf>,
    /// Files that are gone, as they were not there.
    pub removed: Vec<PathBuf>,
    /// Files that others changed since, which were left, and where what was there before us is kept.
    pub left: Vec<(PathBuf, Option<PathBuf>)>,
}

/// Puts back what was there before `install`; `None` when nothing was installed below `root`.
///
/// # Errors
/// See [`InstallError`]; the same run again goes on where this one ended.
pub fn uninstall(root: &Path) -> Result<Option<Undone>, InstallError> {
    let hands = Hands::at(root);
    if !super::is_installed(root) {
        return Ok(None);
    }
    let _lock = lock(&hands)?;
    let undone = carry_out(&hands)?;
    Ok(Some(undone))
}

pub(super) fn carry_out(hands: &Hands) -> Result<Undone, InstallError> {
    let mut undone = Undone::default();
    let Some(mut journal) = Journal::read(hands)? else { return Ok(undone) };
    // The last one first: what has the files read goes before the files.
    let mut left = Vec::new();
    for kept in journal.files.iter().rev() {
        let now = hands.read(&kept.path)?.as_deref().map(hash);
        let is_ours = now.as_ref().is_some_and(|now| kept.ours.contains(now));
        let is_back = now.as_ref() == kept.original.as_ref().map(|was| &was.sha256);
        match &kept.original {
            _ if !is_ours && !is_back => {
                let backup = kept.original.as_ref().map(|was| Journal::backup_path(&was.backup));
                undone.left.push((kept.path.clone(), backup));
                left.push(kept.clone());
                continue;
            }
            Some(_) => undone.restored.push(kept.path.clone()),
            None => undone.removed.push(kept.path.clone()),
        }
        put_back(hands, kept)?;
    }
    left.reverse();
    let done: Vec<_> = journal.files.iter().filter(|kept| !left.contains(kept)).cloned().collect();
    journal.files = left;
    if journal.files.is_empty() {
        hands.remove(&Journal::path())?;
    } else {
        journal.write(hands)?;
    }
    for kept in &done {
        Journal::forget(hands, kept)?;
    }
    hands.remove_empty(&Journal::backup_folder())?;
    if journal.files.is_empty() {
        hands.remove(&Path::new(STATE).join(super::LOCK))?;
        hands.remove_empty(Path::new(STATE))?;
        hands.remove_empty(Path::new("/etc/pratique"))?;
    }
    Ok(undone)
}

/// Puts back what was at the place of `kept`, with its mode and its owner.
pub(super) fn put_back(hands: &Hands, kept: &Kept) -> Result<(), InstallError> {
    let Some(original) = &kept.original else {
        // An empty folder in certs.d would hide _default.
        let with_folder = kept.made_folder && kept.path.ends_with(HOSTS_TOML);
        return if with_folder {
            hands.remove_with_folder(&kept.path)
        } else {
            hands.remove(&kept.path)
        };
    };
    let now = hands.read(&kept.path)?.as_deref().map(hash);
    if now.as_ref() == Some(&original.sha256) && hands.mode(&kept.path)? == Some(original.mode) {
        return Ok(());
    }
    let backup = Journal::backup_path(&original.backup);
    let content = hands.read(&backup)?.filter(|content| hash(content) == original.sha256);
    let Some(content) = content else {
        let why = format!("the copy of {} is gone or was changed", kept.path.display());
        return Err(InstallError::Journal { path: backup, why });
    };
    hands.replace_for(&kept.path, &content, original.mode, (original.uid, original.gid))
}
