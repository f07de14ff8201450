//! The vulnerability database: read at start, and again whenever its file changes.
//!
//! It is read into memory, and not mapped: a page of a map that cannot be read would end the process, and
//! everything is compared with it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, info, warn};

use crate::mirror::Mirror;
use crate::scan::{Database, DatabaseError};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// After how long what could not be judged again, or waits for a person, is looked at once more.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// Largest database that is read, in bytes.
pub const DATABASE_BYTES_MAX: u64 = 1 << 30;

/// Why a database is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseTrouble {
    /// The file cannot be read.
    #[error("vulnerability database {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is in the file cannot be used.
    #[error("vulnerability database {path} cannot be used: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<DatabaseError>,
    },
}

/// Which file it is, and as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Mirror {
    /// Reads the vulnerability database, if there is one in the settings, and follows its file until
    /// shutdown: whenever it changes it is read and put in force, and what was scanned is judged again.
    pub async fn follow_database(&self) {
        self.follow_others();
        self.follow_attached();
        let Some(path) = self.scanner().settings.database.clone() else { return };
        let mut seen = self.look_at_database(&path, None).await;
        self.follow_vex();
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            let mut is_done = mirror.judge_scanned_again().await;
            let mut judged_at = mirror.clock().monotonic();
            loop {
                tokio::select! {
                    () = tasks.stopping() => return,
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
                let stamp = mirror.look_at_database(&path, seen).await;
                let is_new = std::mem::replace(&mut seen, stamp) != stamp;
                let waited = mirror.clock().monotonic().saturating_sub(judged_at);
                if is_new || (!is_done && waited >= AGAIN_AFTER) {
                    is_done = mirror.judge_scanned_again().await;
                    judged_at = mirror.clock().monotonic();
                }
            }
        }));
    }

    /// Puts the database in `path` in force if it is another than `seen`. Gives what was seen: a file
    /// that cannot be used is not tried again before it changes.
    async fn look_at_database(&self, path: &Path, seen: Option<Stamp>) -> Option<Stamp> {
        let owned = path.to_owned();
        let read = self.tasks().spawn_blocking(move || {
            let stamp = stamp(&owned);
            let is_new = stamp.is_none() || stamp != seen;
            (stamp, is_new.then(|| load_database(&owned)))
        });
        let Ok((stamp, Some(loaded))) = read.await else { return seen };
        match loaded {
            Ok(database) => {
                let id = database.id().clone();
                self.scanner().put_in_force(database);
                self.metrics().database_as_of.set(id.as_of.milliseconds() / 1000);
                info!(digest = %id.digest, as_of = %id.as_of, "vulnerability database in force");
            }
            Err(trouble) => {
                self.scanner().lacks(match trouble {
                    DatabaseTrouble::Read { .. } => super::NO_DATABASE.to_owned(),
                    DatabaseTrouble::Unusable { .. } => {
                        "the vulnerability database cannot be used".to_owned()
                    }
                });
                let cause = std::error::Error::source(&trouble).map(ToString::to_string);
                if stamp.is_some() {
                    self.metrics().database_rejected.increment();
                    error!(%trouble, cause, "the one in force stays, if there is one");
                } else if seen.is_some() {
                    warn!(%trouble, cause, "the one in force stays");
                }
            }
        }
        stamp
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { inode: metadata.ino(), size: metadata.size(), modified })
}

/// Reads the database in `path`. Blocks.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn load_database(path: &Path) -> Result<Database, DatabaseTrouble> {
    let read = |source| DatabaseTrouble::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    if size > DATABASE_BYTES_MAX {
        let text = format!("it has {size} bytes, more than {DATABASE_BYTES_MAX}");
        return Err(read(io::Error::other(text)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(DATABASE_BYTES_MAX).read_to_end(&mut bytes).map_err(read)?;
    Database::open(Bytes::from(bytes)).map_err(|source| DatabaseTrouble::Unusable {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
