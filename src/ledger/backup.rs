//! Backup while running, and restoring while not.
//!
//! A backup is one SQLite file: a consistent copy of the database, which the head of its audit chain
//! rides in. Restoring reads the whole of it first and refuses what is not whole; what was there
//! before is moved aside, never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use super::audit::{AuditEvent, AuditKind, Chain};
use super::checkpoints::keys;
use super::head;
use super::rows;
use super::sealer::{self, Damaged, Sealer};
use super::{Error, Ledger, checkpoints, database, open, schema, verify};
use crate::oci::{Algorithm, Digest, from_strict_slice};
use crate::time::Clock;
use crate::transparency::NoteSigner;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Records of the audit chain in the backup.
    pub audit_records: u64,
    /// Where the database is that was there before.
    pub replaced: Option<PathBuf>,
}

impl Ledger {
    /// Writes a consistent copy of the ledger to the new file `path`, which then restores to exactly
    /// what was acknowledged before this began. It holds hashes of tokens, and is readable by us alone.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is such a file; else when the database or the file system fails,
    /// and then nothing is left at `path`.
    pub async fn backup_to(&self, path: &Path) -> Result<(), Error> {
        let path = path.to_owned();
        self.read(move |connection| {
            if path.exists() {
                return Err(Error::Exists { path });
            }
            let mut temporary = path.clone().into_os_string();
            temporary.push(".partial");
            let temporary = PathBuf::from(temporary);
            let copied = database::copy_into(connection, &temporary)
                .and_then(|()| add_head(&temporary, connection.sealer))
                .and_then(|()| {
                    let linked = fs::hard_link(&temporary, &path);
                    linked.map_err(database::not_there("create", &path))
                });
            let mine = !matches!(&copied, Err(Error::Exists { path }) if *path == temporary);
            if mine && let Err(error) = fs::remove_file(&temporary) {
                tracing::warn!(%error, path = %temporary.display(), "partial backup stays behind");
            }
            copied?;
            match path.parent() {
                Some(parent) if parent != Path::new("") => database::sync_directory(parent),
                Some(_) | None => database::sync_directory(Path::new(".")),
            }
        })
        .await
    }
}

/// Makes a backup of the copy in `path` of a database whose rows `sealer` seals: its rows get seals that take
/// no key, so that they can be checked wherever they are restored, and it has the head of its own audit chain
/// and a hash of all that. What `sealer` did not seal stays as damaged as it is.
pub(super) fn add_head(path: &Path, sealer: &Sealer) -> Result<(), Error> {
    let mut connection = Connection::open(path)?;
    database::without_programs(&connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    let before = (Some(sealer.clone()), Damaged::Blank);
    sealer::seal_anew(&mut connection, before, &Sealer::plain())?;
    let head = serde_json::to_string(&Chain::load(&connection)?)?;
    let rows = hash_of_rows(&connection)?.to_string();
    connection.execute_batch("CREATE TABLE backup (head TEXT NOT NULL, rows TEXT) STRICT")?;
    connection.execute("INSERT INTO backup (head, rows) VALUES (?1, ?2)", [head, rows])?;
    connection.close().map_err(|(_, error)| error)?;
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(Error::file("sync", path))
}

/// Puts the backup `from` in the place of the ledger in `dir`, which no process may have open.
///
/// # Errors
/// [`Error::AlreadyOpen`]; [`Error::Exists`] when there is a ledger and `replace` is not set;
/// [`Error::Damaged`], [`Error::CorruptRow`], [`Error::NewerSchema`] when the backup is not whole.
/// In all of them, nothing was changed.
pub fn restore(
    from: &Path,
    dir: &Path,
    replace: bool,
    clock: &dyn Clock,
) -> Result<Restored, Error> {
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let _lock = open::lock(dir)?;
    let path = open::database_path(dir);
    if path.exists() && !replace {
        return Err(Error::Exists { path });
    }
    let event = AuditEvent::new(AuditKind::Restored, "restore");
    put_in_place(from, dir, clock, event, |connection, coming| {
        schema::migrate(connection, coming, schema::MIGRATIONS, |_backup_stays, _version| Ok(()))
    })
}

/// Puts a checked copy of the backup `from`, after `finish` was done to it and with `event` in its
/// chain, in the place of the ledger in `dir`, whose lock is held.
pub(super) fn put_in_place(
    from: &Path,
    dir: &Path,
    clock: &dyn Clock,
    event: AuditEvent,
    finish: impl FnOnce(&mut Connection, &Path) -> Result<(), Error>,
) -> Result<Restored, Error> {
    let path = open::database_path(dir);
    let coming = dir.join("ledger.db.restoring");
    match fs::remove_file(&coming) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &coming)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let prepared = prepare(from, &coming, clock, event, finish).and_then(|prepared| {
        // Before anything is replaced: a restored chain that is not signed looks like one that was cut.
        checkpoints::sign_restored(dir, &coming)?;
        let sealed_by = seal_restored(dir, &coming)?;
        Ok((prepared, sealed_by))
    });
    let ((audit_records, chain), sealed_by) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            drop(fs::remove_file(&coming));
            return Err(error);
        }
    };
    head::prepare(dir)?;
    let replaced = set_aside(&path, clock)?;
    fs::rename(&coming, &path).map_err(Error::file("rename", &coming))?;
    database::sync_directory(dir)?;
    // Ended before this, an older database is refused until it is put there once more.
    match sealed_by {
        Some(signer) => sealer::write_mark(dir, &signer)?,
        None => sealer::remove_mark(dir)?,
    }
    head::write(dir, chain)?;
    Ok(Restored { audit_records, replaced })
}

/// Seals the rows of `coming`, which is about to take the place of the ledger in `dir`: with its key, which
/// is given back, or as an earlier program does where the schema is one of those.
fn seal_restored(dir: &Path, coming: &Path) -> Result<Option<NoteSigner>, Error> {
    let mut connection = Connection::open(coming)?;
    database::without_programs(&connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    if schema::version(&connection)? < sealer::KEYED_SINCE {
        return Ok(None);
    }
    let signer = keys::read_or_create(dir)?;
    // What nobody sealed when the backup was made counts for nothing here either.
    let before = (Some(Sealer::plain()), Damaged::Blank);
    sealer::seal_anew(&mut connection, before, &Sealer::of(&signer))?;
    connection.close().map_err(|(_, error)| error)?;
    let synced = fs::File::open(coming).and_then(|file| file.sync_all());
    synced.map_err(Error::file("sync", coming))?;
    Ok(Some(signer))
}

/// Copies the backup to `coming`, checks every part of the copy, and puts the restoring on record.
fn prepare(
    from: &Path,
    coming: &Path,
    clock: &dyn Clock,
    event: AuditEvent,
    finish: impl FnOnce(&mut Connection, &Path) -> Result<(), Error>,
) -> Result<(u64, Chain), Error> {
    let mut source = fs::File::open(from).map_err(Error::file("open", from))?;
    let mut target =
        database::private().create_new(true).open(coming).map_err(Error::file("create", coming))?;
    std::io::copy(&mut source, &mut target).map_err(Error::file("copy", from))?;
    drop(target);
    let damaged = |problem: String| Error::Damaged { path: from.to_owned(), problem };
    database::check(coming).map_err(|error| error.in_file(from))?;
    let mut connection = Connection::open(coming)?;
    database::without_programs(&connection)?;
    let answer: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer != "ok" {
        return Err(damaged(answer));
    }
    let head = backup_head(&connection)?
        .ok_or_else(|| damaged("it is not a backup of a ledger".to_owned()))?;
    let report = verify::verify(&connection, Some(head))?;
    // A cut that the chain itself reports was found before the backup was made; it stays on record.
    if let Some(problem) = report.problem.filter(|_| report.records != head.count) {
        return Err(damaged(problem.to_string()));
    }
    let mut chain = Chain::load(&connection)?;
    if chain != head {
        return Err(damaged("its audit chain is not the one that it was made with".to_owned()));
    }
    check_rows(&connection, backup_rows(&connection)?, from)?;
    connection.execute_batch("DROP TABLE backup")?;
    finish(&mut connection, coming)?;
    let event = event.with("records", report.records);
    chain.append(&connection, clock.now(), &event)?;
    connection.close().map_err(|(_, error)| error)?;
    let synced = fs::File::open(coming).and_then(|file| file.sync_all());
    synced.map_err(Error::file("sync", coming))?;
    Ok((report.records, chain))
}

/// The chain that the backup behind `connection` was made with; `None`: it is not a backup.
pub(super) fn backup_head(connection: &Connection) -> Result<Option<Chain>, Error> {
    let table: Option<String> = connection
        .query_row("SELECT name FROM sqlite_schema WHERE name = 'backup'", [], |row| row.get(0))
        .optional()?;
    if table.is_none() {
        return Ok(None);
    }
    let head: Option<String> =
        connection.query_row("SELECT head FROM backup", [], |row| row.get(0)).optional()?;
    Ok(head.and_then(|head| from_strict_slice(head.as_bytes()).ok()))
}

/// The hash of the rows that the backup behind `connection` was made with; earlier programs left none.
fn backup_rows(connection: &Connection) -> Result<Option<Digest>, Error> {
    let has: i64 = connection.query_row(
        "SELECT count(*) FROM pragma_table_info('backup') WHERE name = 'rows'",
        [],
        |row| row.get(0),
    )?;
    if has == 0 {
        return Ok(None);
    }
    let rows: Option<String> =
        connection.query_row("SELECT rows FROM backup", [], |row| row.get(0))?;
    rows.map(|rows| rows.parse().map_err(|_| Error::corrupt("backup", "rows"))).transpose()
}

/// A table whose rows have seals.
pub(super) struct SealedTable {
    pub(super) table: &'static str,
    /// The schema version that it came with.
    pub(super) since: u32,
    /// What the seal of a row binds beside its body, as a JSON array.
    pub(super) key: &'static str,
}

const fn sealed(table: &'static str, since: u32, key: &'static str) -> SealedTable {
    SealedTable { table, since, key }
}

/// Every table whose rows have seals.
pub(super) const SEALED: &[SealedTable] = &[
    sealed(
        "records",
        1,
        "(SELECT json_array(n.name, records.digest) FROM repositories n
          WHERE n.id = records.repository)",
    ),
    sealed(
        "grants",
        1,
        "(SELECT json_array(n.name, grants.digest, r.digest) FROM repositories n, records r
          WHERE n.id = grants.repository AND r.id = grants.record)",
    ),
    sealed(
        "tags",
        1,
        "(SELECT json_array(n.name, tags.tag) FROM repositories n WHERE n.id = tags.repository)",
    ),
    sealed("requests", 1, "json_array('R-' || id, key)"),
    sealed(
        "decisions",
        1,
        "(SELECT json_array(n.name || '@' || r.digest) FROM records r, repositories n
          WHERE r.id = decisions.record AND n.id = r.repository)",
    ),
    sealed("tokens", 1, "json_array(name)"),
    sealed("policies", 1, "json_array()"),
    sealed("logics", 2, "json_array()"),
    sealed(
        "pins",
        2,
        "(SELECT json_array(n.name, pins.digest) FROM repositories n WHERE n.id = pins.repository)",
    ),
    sealed("people", 3, "json_array(key)"),
    sealed(
        "votes",
        3,
        "(SELECT json_array(n.name || '@' || r.digest) FROM records r, repositories n
          WHERE r.id = votes.record AND n.id = r.repository)",
    ),
    sealed("rings", 3, "json_array('' || decision)"),
    sealed("webhooks", 3, "json_array(name)"),
    sealed("emergencies", 4, "json_array('B-' || id)"),
    sealed("segments", 4, "json_array('' || last)"),
    sealed("exceptions", 4, "json_array('X-' || id, key)"),
    sealed("exception_votes", 4, "json_array('X-' || exception)"),
    sealed("openings", 5, "json_array(node)"),
];

/// A row that has a seal, as far as it can be read.
pub(super) struct AnyRow {
    pub(super) table: &'static str,
    /// What its seal binds; `None` where what it is about is gone, or is no text.
    pub(super) key: Option<Vec<String>>,
    pub(super) body: Vec<u8>,
    pub(super) seal: Vec<u8>,
}

impl AnyRow {
    /// Whether it is what `sealer` sealed.
    pub(super) fn is_whole(&self, sealer: &Sealer) -> bool {
        let (Some(key), Ok(body)) = (&self.key, std::str::from_utf8(&self.body)) else {
            return false;
        };
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        sealer.is_whole(self.table, &key, body, &self.seal)
    }
}

/// Calls `each` with every row that has a seal, in an order that is the same for the same rows.
pub(super) fn each_row(
    connection: &Connection,
    each: &mut dyn FnMut(&AnyRow) -> Result<(), Error>,
) -> Result<(), Error> {
    let version = schema::version(connection)?;
    for SealedTable { table, key, .. } in SEALED.iter().filter(|sealed| sealed.since <= version) {
        let sql = format!(
            "SELECT CAST({key} AS BLOB) AS sealed_key, CAST(body AS BLOB) AS bytes,
                    CAST(seal AS BLOB) AS sealed
             FROM {table} ORDER BY sealed_key, bytes, sealed"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            let key: Option<Vec<u8>> = row.get(0)?;
            let key = key.and_then(|key| serde_json::from_slice(&key).ok());
            let (body, seal): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
            let (body, seal) = (body.unwrap_or_default(), seal.unwrap_or_default());
            Ok(AnyRow { table, key, body, seal })
        })?;
        for row in rows {
            each(&row?)?;
        }
    }
    Ok(())
}

/// The hash of everything that has a seal, with the seals, whoever sealed it.
fn hash_of_rows(connection: &Connection) -> Result<Digest, Error> {
    let mut hasher = Algorithm::Sha256.hasher();
    each_row(connection, &mut |row| {
        let key = serde_json::to_vec(&row.key)?;
        for part in [row.table.as_bytes(), &key, &row.body, &row.seal] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// Checks that the rows of a backup are those that were written: by the `hash` that it was made with, or,
/// where an earlier program left none, by their own seals. What was damaged when it was made is no more than
/// that now.
fn check_rows(connection: &Connection, hash: Option<Digest>, from: &Path) -> Result<(), Error> {
    match hash {
        Some(hash) if hash_of_rows(connection)? == hash => {}
        Some(_) => {
            let problem = "its rows are not those that it was made with".to_owned();
            return Err(Error::Damaged { path: from.to_owned(), problem });
        }
        None => each_row(connection, &mut |row| {
            let key = || row.key.as_deref().unwrap_or_default().join("@");
            let whole = row.is_whole(&Sealer::plain());
            if whole { Ok(()) } else { Err(Error::corrupt(row.table, key())) }
        })?,
    }
    let orphans: i64 = connection.query_row(
        "SELECT (SELECT count(*) FROM pragma_foreign_key_check)",
        [],
        |row| row.get(0),
    )?;
    if rows::unsigned(orphans) > 0 {
        return Err(Error::corrupt("records", "foreign keys"));
    }
    Ok(())
}

/// Moves the database in `path` and its log aside; gives where it is now, if there was one.
///
/// What is in the log is brought into the database first, and the database goes before its log: ended
/// in between, there is no database, which a start refuses, and never one without what was
/// acknowledged, nor a new one beside another one's log.
fn set_aside(path: &Path, clock: &dyn Clock) -> Result<Option<PathBuf>, Error> {
    if path.exists() {
        // A database that is too damaged for this is moved as it is.
        drop(database::open_writer(path).and_then(|connection| {
            let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy)?)
        }));
    }
    let aside = path.with_extension(format!("db.replaced-{}", clock.now().milliseconds()));
    let mut moved = false;
    for suffix in ["", "-wal", "-shm"] {
        let with_suffix = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (from, to) = (with_suffix(path), with_suffix(&aside));
        if from.exists() {
            fs::rename(&from, &to).map_err(Error::file("rename", &from))?;
            moved |= suffix.is_empty();
        }
    }
    Ok(moved.then_some(aside))
}
