//! The check of the database's structure: a look at the start that is bounded in time, and the rest of
//! it behind what is being served.
//!
//! A ledger of common size is checked whole before anything is written to it. What a large one holds
//! has seals of its own, row by row, so that a start need not wait for gigabytes to be read.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle};

use super::{Error, Ledger, database, open};
use crate::tasks::Tasks;

/// Longest check at the start: enough for some 50 MB, and within what a start may take.
pub(super) const AT_START_TIME_MAX: Duration = Duration::from_millis(150);
/// How often a check that has to stop is told so: one that has not begun does not hear it.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(10);

/// What a look at the structure of a database came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Structure {
    /// Every page is in its place.
    Whole,
    /// The first that is not, in SQLite's words.
    Damaged(String),
    /// The look was ended before it was through, and had found nothing.
    Unfinished,
}

/// Looks at the structure of `connection`'s database for up to `limit`.
///
/// # Errors
/// When the database fails.
pub(super) fn check_for(connection: &Connection, limit: Duration) -> Result<Structure, Error> {
    let interrupt = connection.get_interrupt_handle();
    let (finished, watched) = sync_channel::<()>(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let outcome = check(connection);
        drop(finished);
        outcome
    })
}

fn check(connection: &Connection) -> Result<Structure, Error> {
    let outcome: rusqlite::Result<String> =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match outcome {
        Ok(answer) if answer == "ok" => Ok(Structure::Whole),
        Ok(problem) => Ok(Structure::Damaged(problem)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Ok(Structure::Unfinished),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(Structure::Damaged(error.to_string()))
            }
            _ => Err(error.into()),
        },
    }
}

/// Opens the database in `path` and looks at all of it; `begin` is given what ends the look.
fn check_whole(path: &Path, begin: impl FnOnce(InterruptHandle)) -> Result<Structure, Error> {
    let connection = database::open_reader(path)?;
    begin(connection.get_interrupt_handle());
    check(&connection)
}

impl Ledger {
    /// Looks at all of the database, beside what is being served, until the program stops. Damage goes
    /// to the log and to the count of failures; what is known is served on, and rows that are read are
    /// held against their seals.
    pub(super) async fn check_structure(&self, tasks: &Tasks) {
        let path = open::database_path(&self.inner.dir);
        let (handle, begun) = tokio::sync::oneshot::channel();
        let mut look = {
            let path = path.clone();
            tasks.spawn_blocking(move || {
                check_whole(&path, |interrupt| drop(handle.send(interrupt)))
            })
        };
        let outcome = tokio::select! {
            outcome = &mut look => outcome,
            () = tasks.stopping() => {
                let interrupt = begun.await.ok();
                loop {
                    if let Some(interrupt) = &interrupt {
                        interrupt.interrupt();
                    }
                    if let Ok(outcome) = tokio::time::timeout(INTERRUPT_INTERVAL, &mut look).await {
                        break outcome;
                    }
                }
            }
        };
        let error = match outcome {
            Ok(Ok(Structure::Whole)) => {
                tracing::info!("ledger was checked whole after the start");
                return;
            }
            Ok(Ok(Structure::Unfinished)) => return,
            Ok(Ok(Structure::Damaged(problem))) => Error::Damaged { path, problem }.with_way_out(),
            Ok(Err(error)) => error,
            Err(_) => Error::Panicked,
        };
        self.inner.metrics.ledger_failures.increment();
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the check of the whole ledger after the start failed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn database(dir: &Path, rows: u32) -> std::path::PathBuf {
        let path = dir.join("ledger.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE it(number INTEGER PRIMARY KEY, body BLOB)").unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                    INSERT INTO it SELECT i, zeroblob(500) FROM n";
        connection.execute(fill, [rows]).unwrap();
        path
    }

    #[test]
    fn a_look_ends_in_time_and_a_whole_one_finds_what_it_had_not_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path(), 40_000);
        let connection = Connection::open(&path).unwrap();
        assert!(sooner_or_later(|| check_for(&connection, Duration::from_millis(2)).unwrap()));
        assert_eq!(check_whole(&path, drop).unwrap(), Structure::Whole);
        drop(connection);

        let length = path.metadata().unwrap().len();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let page = length / 4096 / 2 * 4096;
        std::os::unix::fs::FileExt::write_all_at(&file, &[0x5a; 4096], page).unwrap();
        assert!(matches!(check_whole(&path, drop).unwrap(), Structure::Damaged(_)));
    }

    #[test]
    fn a_look_that_is_interrupted_has_found_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = database(dir.path(), 40_000);
        assert!(sooner_or_later(|| {
            let ended = Arc::new(AtomicBool::new(false));
            let outcome = check_whole(&path, |interrupt| {
                let ended = Arc::clone(&ended);
                std::thread::spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        interrupt.interrupt();
                        std::thread::yield_now();
                    }
                });
            });
            ended.store(true, Ordering::Relaxed);
            outcome.unwrap()
        }));
    }

    /// Whether a look does not get to its end: on a busy machine, what should stop it may come too late
    /// for some.
    fn sooner_or_later(look: impl Fn() -> Structure) -> bool {
        (0..100).any(|_| look() == Structure::Unfinished)
    }
}
