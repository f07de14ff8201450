//! What seals rows: with a key that is not in the database, so that whoever can write the database and
//! cannot read the key makes no row that counts: no token, no vote, no approval, no verdict.
//!
//! The key is derived from the one that signs the audit, and no part of a backup. Programs before schema
//! 3 sealed without one, which shows damage and nobody's hand. A file beside the database says that its
//! rows have keyed seals and whose; without that file they are sealed at the next start, so it is written
//! after the rows are, and only the programs here remove it. What such a change finds damaged stays so.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::backup::{SEALED, each_row};
use super::checkpoints::keys;
use super::{Error, head, schema};
use crate::oci::Algorithm;
use crate::transparency::NoteSigner;

/// For what the key is derived.
const PURPOSE: &str = "pratique.dev/ledger/seals/1";
/// The schema from which on rows have keyed seals.
pub(super) const KEYED_SINCE: u32 = 3;
/// The file that says whose seals the rows have, in the directory of the audit.
const MARK: &str = "sealed";

/// Seals rows, and says whether one is whole.
#[derive(Clone)]
pub(super) struct Sealer {
    key: Option<hmac::Key>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.key.is_some() { "Sealer(keyed)" } else { "Sealer(plain)" })
    }
}

impl Sealer {
    /// Seals as programs before schema 3 did.
    pub(super) const fn plain() -> Self {
        Self { key: None }
    }

    /// Seals as the ledger does whose audit `signer` signs.
    pub(super) fn of(signer: &NoteSigner) -> Self {
        let secret = signer.derived_secret(PURPOSE);
        Self { key: Some(hmac::Key::new(hmac::HMAC_SHA256, &secret)) }
    }

    /// The seal of the row of `table` that is about `key` and says `body`.
    pub(super) fn seal(&self, table: &str, key: &[&str], body: &str) -> Vec<u8> {
        let parts = std::iter::once(table).chain(key.iter().copied()).chain(std::iter::once(body));
        let framed = parts.flat_map(|part| {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
            [length.to_vec(), part.as_bytes().to_vec()]
        });
        if let Some(key) = &self.key {
            let mut context = hmac::Context::with_key(key);
            framed.for_each(|piece| context.update(&piece));
            context.sign().as_ref().to_vec()
        } else {
            let mut hasher = Algorithm::Sha256.hasher();
            framed.for_each(|piece| hasher.update(&piece));
            hasher.finish().as_bytes().to_vec()
        }
    }

    /// Whether `seal` is that of the row.
    pub(super) fn is_whole(&self, table: &str, key: &[&str], body: &str, seal: &[u8]) -> bool {
        let own = self.seal(table, key, body);
        aws_lc_rs::constant_time::verify_slices_are_equal(&own, seal).is_ok()
    }
}

/// A database and what seals its rows.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) connection: &'a Connection,
    pub(super) sealer: &'a Sealer,
}

impl Deref for Tables<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Sees to it that the rows of the database behind `connection`, the ledger of `dir`, have the seals of
/// `signer`; gives what seals from now on, and the key that sealed before if that was another one. The mark
/// is not written yet: until it is, the next start does the same again.
///
/// `had` is the schema that the database had before this start.
///
/// # Errors
/// [`Error::Damaged`] when it was put there without the key that seals it. Else when the disk fails.
pub(super) fn take_over(
    connection: &mut Connection,
    dir: &Path,
    (signer, had): (&NoteSigner, u32),
) -> Result<(Sealer, Option<String>), Error> {
    let sealer = Sealer::of(signer);
    match mark(dir)? {
        Some(key) if key == signer.public().to_string() => Ok((sealer, None)),
        // Another key sealed them, which is not here: what is there is taken as it is, and the audit
        // says that the key was replaced.
        Some(key) => {
            seal_anew(connection, (None, Damaged::Keep), &sealer)?;
            Ok((sealer, Some(key)))
        }
        None => {
            seal_anew(connection, (Some(Sealer::plain()), Damaged::Keep), &sealer)?;
            if had >= KEYED_SINCE {
                check_own(connection, dir, &sealer)?;
            }
            Ok((sealer, None))
        }
    }
}

/// Refuses a database of which no row is sealed by `sealer`, though there are some: it was put there
/// without the key that seals it.
fn check_own(connection: &Connection, dir: &Path, sealer: &Sealer) -> Result<(), Error> {
    let (mut whole, mut foreign) = (false, false);
    each_row(connection, &mut |row| {
        let is_own = row.is_whole(sealer);
        (whole, foreign) = (whole || is_own, foreign || !is_own);
        Ok(())
    })?;
    if whole || !foreign {
        return Ok(());
    }
    let problem = "none of its rows is sealed by audit-key; put the key back that was beside it, or restore \
                   a backup of it";
    Err(Error::Damaged { path: super::open::database_path(dir), problem: problem.to_owned() })
}

/// Refuses the database of schema `found` where the ledger of `dir` has had keyed seals.
///
/// # Errors
/// [`Error::Damaged`].
pub(super) fn check_schema(dir: &Path, path: &Path, found: u32) -> Result<(), Error> {
    if found >= KEYED_SINCE || mark(dir)?.is_none() {
        return Ok(());
    }
    let problem = format!(
        "it is of schema {found}, and this ledger had a later one: somebody put an older database in its \
         place; pratique restore and pratique rollback do that on record"
    );
    Err(Error::Damaged { path: path.to_owned(), problem })
}

/// What becomes of rows that are not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damaged {
    /// They get no seal at all, so that none that they have fits somewhere else.
    Blank,
    /// They stay as they are: they may have the new seals already.
    Keep,
}

/// Gives every row a seal of `to`. With `before`, only rows that are whole by that get one, and the others are
/// as damaged afterwards as they were.
///
/// # Errors
/// When the database fails; nothing is changed then.
pub(super) fn seal_anew(
    connection: &mut Connection,
    (before, damaged): (Option<Sealer>, Damaged),
    to: &Sealer,
) -> Result<(), Error> {
    let version = schema::version(connection)?;
    let to = to.clone();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("sealed_anew", 4, flags, move |context| {
        let table: String = context.get(0)?;
        let seal: Vec<u8> = context.get::<Option<Vec<u8>>>(3).ok().flatten().unwrap_or_default();
        let left = || if damaged == Damaged::Keep { seal.clone() } else { Vec::new() };
        // What it is about may be gone, or it may be no text.
        let key = context.get::<Option<String>>(1).ok().flatten();
        let key: Option<Vec<String>> = key.and_then(|key| serde_json::from_str(&key).ok());
        let (Some(key), Ok(body)) = (key, context.get::<String>(2)) else { return Ok(left()) };
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        let whole = before.as_ref().is_none_or(|it| it.is_whole(&table, &key, &body, &seal));
        Ok(if whole { to.seal(&table, &key, &body) } else { left() })
    })?;
    let transaction = connection.transaction()?;
    for sealed in SEALED.iter().filter(|sealed| sealed.since <= version) {
        let (table, key) = (sealed.table, sealed.key);
        let sql = format!("UPDATE {table} SET seal = sealed_anew('{table}', {key}, body, seal)");
        transaction.execute(&sql, [])?;
    }
    transaction.commit()?;
    connection.remove_function("sealed_anew", 4)?;
    Ok(())
}

fn mark_path(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join(MARK)
}

fn mark(dir: &Path) -> Result<Option<String>, Error> {
    let text = keys::text(&mark_path(dir))?;
    Ok(text.map(|text| text.trim_end().to_owned()))
}

/// What seals the rows of the ledger in `dir`, as far as its key is there and can be read.
pub(super) fn known(dir: &Path) -> Option<Sealer> {
    let signer = keys::read(dir).ok().flatten()?;
    let is_own = mark(dir).ok().flatten()? == signer.public().to_string();
    is_own.then(|| Sealer::of(&signer))
}

/// What sealed the rows of a database of schema `found` that belongs to `signer`.
pub(super) fn of_schema(found: u32, signer: &NoteSigner) -> Sealer {
    if found >= KEYED_SINCE { Sealer::of(signer) } else { Sealer::plain() }
}

/// Notes that the rows of the ledger in `dir` have the seals of `signer`.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_mark(dir: &Path, signer: &NoteSigner) -> Result<(), Error> {
    if mark(dir)?.is_some_and(|key| key == signer.public().to_string()) {
        return Ok(());
    }
    head::prepare(dir)?;
    keys::write_private(&mark_path(dir), &format!("{}\n", signer.public()))
}

/// Notes that the rows of the ledger in `dir` have plain seals: it is one of an earlier program again.
///
/// # Errors
/// When the file cannot be removed.
pub(super) fn remove_mark(dir: &Path) -> Result<(), Error> {
    let path = mark_path(dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", &path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
