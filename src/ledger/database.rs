//! Connections to the database file: how they are opened, checked and copied.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::structure::{self, Structure};
use super::{Error, schema};

/// First bytes of every database file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Longest wait for a lock that another connection of this process holds.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// Size to which the write-ahead log is cut back after a checkpoint, in bytes.
const JOURNAL_SIZE_MAX: i64 = 64 << 20;
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

/// Opens the one connection that writes: durable at every commit.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    if !path.exists() {
        private().create_new(true).open(path).map_err(Error::file("create", path))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    in_memory(&connection)?;
    without_programs(&connection)?;
    connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_SIZE_MAX, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Keeps what a statement sorts in memory. The folders for such files are not there in an empty root, and
/// not open to a program that has confined itself.
fn in_memory(connection: &Connection) -> Result<(), Error> {
    Ok(connection.pragma_update(None, "temp_store", "memory")?)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    in_memory(&connection)?;
    without_programs(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Has `connection` run no trigger and no view: the schema has none, and whoever writes the database could
/// have one undo what is written after them.
pub(super) fn without_programs(connection: &Connection) -> Result<(), Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(())
}

/// Opens a connection that can only read the database in `path`, of which it is not known whether a
/// program has it open. Where even reading takes a file that cannot be made, as on a disk that is mounted
/// read-only, it is read as one that nobody writes.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(super) fn open_still(path: &Path) -> Result<Connection, Error> {
    File::open(path).map_err(Error::file("open", path))?;
    let readable = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))
    };
    let opened = open_reader(path);
    if let Ok(connection) = &opened
        && readable(connection).is_ok()
    {
        return opened;
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).metadata().is_ok_and(|log| log.len() > 0) {
        return opened;
    }
    let encoded = percent_encoding::percent_encode(
        path.as_os_str().as_encoded_bytes(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let still = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags)?;
    if readable(&still).is_ok() { Ok(still) } else { opened }
}

/// Options for a file that only we may read: hashes of tokens are in it.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Takes back what a process that was ended left half written outside the log: the very first pages of
/// a database are, before it has one.
///
/// # Errors
/// When that fails.
pub(super) fn recover(path: &Path) -> Result<(), Error> {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    if Path::new(&journal).metadata().is_ok_and(|journal| journal.len() > 0) {
        tracing::warn!(path = %path.display(), "a write that was cut off is taken back");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "synchronous", "full")?;
        // Any read does it.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))?;
    }
    Ok(())
}

/// Checks the database in `path` without changing a byte of it or of its log; gives whether there was
/// time to see all of it.
///
/// # Errors
/// [`Error::Damaged`] when it is not a whole database of ours, [`Error::NewerSchema`] when a later
/// program wrote it.
pub(super) fn check(path: &Path) -> Result<bool, Error> {
    let damaged = |problem: String| Error::Damaged { path: path.to_owned(), problem };
    let mut start = Vec::new();
    let file = File::open(path).map_err(Error::file("open", path))?;
    let length = u64::try_from(MAGIC.len()).unwrap_or(u64::MAX);
    file.take(length).read_to_end(&mut start).map_err(Error::file("read", path))?;
    if start != MAGIC {
        return Err(damaged("it is not a SQLite database".to_owned()));
    }
    let unreadable = |error: &rusqlite::Error| {
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    };
    let outcome = open_reader(path).and_then(|connection| {
        let (found, known) = (schema::version(&connection)?, schema::latest(schema::MIGRATIONS));
        if found > known {
            return Err(Error::NewerSchema { path: path.to_owned(), found, known });
        }
        let ours: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if found > 0 && ours != schema::APPLICATION_ID {
            return Err(damaged("it is not a ledger".to_owned()));
        }
        structure::check_for(&connection, structure::AT_START_TIME_MAX)
    });
    match outcome {
        Ok(Structure::Whole) => Ok(true),
        Ok(Structure::Unfinished) => Ok(false),
        Ok(Structure::Damaged(problem)) => Err(damaged(problem)),
        Err(Error::Database(error)) if unreadable(&error) => Err(damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Writes a consistent copy of the database to the new file `to`, readable by us alone.
pub(super) fn copy_into(connection: &Connection, to: &Path) -> Result<(), Error> {
    let file = private().create_new(true).open(to).map_err(not_there("create", to))?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    file.sync_all().map_err(Error::file("sync", to))
}

/// Makes renames in the directory of `path` durable.
pub(super) fn sync_directory(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::file("sync", dir))
}

/// What a failure to make the new file `path` means.
pub(super) fn not_there(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::Exists { path: path.to_owned() };
        }
        Error::file(action, path)(source)
    }
}
