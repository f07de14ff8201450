//! Sealed rows: a body in JSON and the hash that shows when it is not what was written.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sealer::Sealer;
use super::{Error, canonical};
use crate::oci::{Digest, Name};

/// The body of a row and its seal, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) body: String,
    pub(super) seal: Vec<u8>,
}

impl Sealed {
    /// Seals `value` as a row of `table`, bound to `key`, the columns that say what it is about.
    pub(super) fn new<T: Serialize>(
        sealer: &Sealer,
        table: &'static str,
        key: &[&str],
        value: &T,
    ) -> Result<Self, Error> {
        let body = canonical::to_canonical(value)?;
        let seal = sealer.seal(table, key, &body);
        Ok(Self { body, seal })
    }

    /// The two columns of `row`, from column `first` on.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { body: row.get(first)?, seal: row.get(first + 1)? })
    }

    /// What was sealed as the row of `table` that is about `key`.
    ///
    /// # Errors
    /// [`Error::CorruptRow`] when body, key or seal is not what was written.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        sealer: &Sealer,
        table: &'static str,
        key: &[&str],
    ) -> Result<T, Error> {
        let corrupt = || Error::corrupt(table, key.join("@"));
        if !sealer.is_whole(table, key, &self.body, &self.seal) {
            return Err(corrupt());
        }
        serde_json::from_str(&self.body).map_err(|_| corrupt())
    }

    /// Size of the stored form in bytes.
    pub(super) fn weight(&self) -> u64 {
        u64::try_from(self.body.len()).unwrap_or(u64::MAX)
    }
}

/// The number of the repository `name`, if it was ever written.
pub(super) fn repository(connection: &Connection, name: &Name) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM repositories WHERE name = ?1")?;
    Ok(statement.query_row([name.to_string()], |row| row.get(0)).optional()?)
}

/// The number of the repository `name`, given to it now if it has none.
pub(super) fn repository_for(connection: &Connection, name: &Name) -> Result<i64, Error> {
    if let Some(id) = repository(connection, name)? {
        return Ok(id);
    }
    let mut statement = connection.prepare_cached("INSERT INTO repositories (name) VALUES (?1)")?;
    Ok(statement.insert(params![name.to_string()])?)
}

/// `text`, a column that holds a value of ours.
pub(super) fn parsed<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::corrupt(table, text))
}

/// A hash column as the digest it is.
pub(super) fn hash_of(bytes: &[u8]) -> Option<Digest> {
    format!("sha256:{}", hex::encode(bytes)).parse().ok()
}

/// `value` as SQLite keeps integers.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An integer column that is never negative.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
