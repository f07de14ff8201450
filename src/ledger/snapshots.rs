//! Snapshots: what the ledger was before a newer program changed its schema.
//!
//! A snapshot is a backup like any other, in `snapshots/ledger-<schema version>-<time>.db`: written
//! and synced under another name first, so that what has the name is whole. A few are kept of every
//! schema version, so that a start that fails again and again never pushes out those of before.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::audit::Chain;
use super::sealer::Sealer;
use super::{Error, backup, database};
use crate::time::Timestamp;

/// Directory of the snapshots within the data directory.
const DIR: &str = "snapshots";
/// Snapshots kept of one schema version.
const KEPT_OF_VERSION: usize = 2;
/// Schema versions of which snapshots are kept.
const KEPT_VERSIONS: usize = 4;
/// What stands behind the name of a snapshot that is being written.
const PARTIAL: &str = ".partial";

/// A snapshot of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The name of its file.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The schema version that it has.
    pub schema: u32,
    /// When it was taken.
    pub taken_at: Timestamp,
}

impl Snapshot {
    fn of(dir: &Path, name: &str) -> Option<Self> {
        let stem = name.strip_prefix("ledger-")?.strip_suffix(".db")?;
        let (schema, time) = stem.split_once('-')?;
        let (schema, taken_at) = (schema.parse().ok()?, time.parse().ok()?);
        Some(Self { name: name.to_owned(), path: dir.join(name), schema, taken_at })
    }

    /// The audit chain as it was then.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file is not a snapshot.
    pub(super) fn chain(&self) -> Result<Chain, Error> {
        let connection = database::open_reader(&self.path)?;
        let damaged = || Error::Damaged {
            path: self.path.clone(),
            problem: "it is not a snapshot of a ledger".to_owned(),
        };
        backup::backup_head(&connection)?.ok_or_else(damaged)
    }
}

fn directory(dir: &Path) -> PathBuf {
    dir.join(DIR)
}

/// The snapshots of the ledger in `dir`, newest first.
///
/// # Errors
/// When their directory cannot be read; that there is none means that there are none.
pub fn snapshots(dir: &Path) -> Result<Vec<Snapshot>, Error> {
    let dir = directory(dir);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.map_err(Error::file("read", &dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file("read", &dir))?;
        found.extend(entry.file_name().to_str().and_then(|name| Snapshot::of(&dir, name)));
    }
    found.sort_by(|one, other| (other.taken_at, &other.name).cmp(&(one.taken_at, &one.name)));
    Ok(found)
}

/// The snapshot of the ledger in `dir` with that `name`.
///
/// # Errors
/// [`Error::NoSuchSnapshot`]; else as [`snapshots`].
pub fn snapshot(dir: &Path, name: &str) -> Result<Snapshot, Error> {
    let found = snapshots(dir)?.into_iter().find(|snapshot| snapshot.name == name);
    found.ok_or_else(|| Error::NoSuchSnapshot { name: name.to_owned(), dir: directory(dir) })
}

/// Takes a snapshot of `connection`'s database, which is the ledger of `dir`, has the schema `version`, and
/// whose rows `sealer` seals.
///
/// # Errors
/// [`Error::Snapshot`]; nothing new is left then.
pub(super) fn take(
    connection: &Connection,
    dir: &Path,
    (version, sealer): (u32, &Sealer),
    now: Timestamp,
) -> Result<(), Error> {
    let snapshots = directory(dir);
    write(connection, dir, &snapshots, (version, sealer), now)
        .map_err(|source| Error::Snapshot { dir: snapshots, source: Box::new(source) })?;
    if let Err(error) = prune(dir) {
        tracing::warn!(%error, "old snapshots stay");
    }
    Ok(())
}

fn write(
    connection: &Connection,
    dir: &Path,
    snapshots: &Path,
    (version, sealer): (u32, &Sealer),
    now: Timestamp,
) -> Result<(), Error> {
    fs::create_dir_all(snapshots).map_err(Error::file("create", snapshots))?;
    database::sync_directory(dir)?;
    sweep(snapshots)?;
    let time: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let path = snapshots.join(format!("ledger-{version}-{time}.db"));
    let partial = snapshots.join(format!("ledger-{version}-{time}.db{PARTIAL}"));
    let written = database::copy_into(connection, &partial)
        .and_then(|()| backup::add_head(&partial, sealer))
        .and_then(|()| fs::rename(&partial, &path).map_err(Error::file("rename", &partial)));
    if let Err(error) = written {
        drop(fs::remove_file(&partial));
        return Err(error);
    }
    tracing::info!(snapshot = %path.display(), "snapshot of the ledger taken");
    database::sync_directory(snapshots)
}

/// Removes what a start that was ended left half written.
fn sweep(snapshots: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(snapshots).map_err(Error::file("read", snapshots))? {
        let entry = entry.map_err(Error::file("read", snapshots))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.contains(PARTIAL)) {
            fs::remove_file(entry.path()).map_err(Error::file("remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn prune(dir: &Path) -> Result<(), Error> {
    let all = snapshots(dir)?;
    let mut versions: Vec<u32> = all.iter().map(|snapshot| snapshot.schema).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.dedup();
    for (place, version) in versions.into_iter().enumerate() {
        let kept = if place < KEPT_VERSIONS { KEPT_OF_VERSION } else { 0 };
        let of_version = all.iter().filter(|snapshot| snapshot.schema == version);
        for snapshot in of_version.skip(kept) {
            let path = &snapshot.path;
            fs::remove_file(path).map_err(Error::file("remove", path))?;
            tracing::info!(snapshot = %path.display(), "old snapshot removed");
        }
    }
    Ok(())
}
