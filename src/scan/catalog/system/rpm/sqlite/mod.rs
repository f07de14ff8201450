//! SQLite's format, as rpm has it since 4.16: a B-tree of rows for each table.
//!
//! Only what is needed to read one table from its first row to its last is here; the library that
//! could do all of it is C, and the file is from a stranger.
//!
//! Spec: <https://www.sqlite.org/fileformat2.html>

mod record;
mod tree;

use self::record::{Value, values};
use self::tree::Database;
use super::{Fault, Headers};

/// The table of rpm's that has the headers.
const TABLE: &[u8] = b"Packages";
/// The page where the table of all tables begins.
const SCHEMA_ROOT: usize = 1;

/// Hands over the headers of a database.
pub(super) fn read(bytes: &[u8], headers: &mut Headers<'_, '_>) -> Result<(), Fault> {
    let mut database = Database::open(bytes)?;
    for fault in database.faults(bytes) {
        headers.fault(fault);
    }
    let mut roots = Vec::new();
    database.walk(SCHEMA_ROOT, headers, &mut |row, _| {
        roots.extend(root_of_table(row)?);
        Ok(true)
    });
    let [root] = roots.as_slice() else {
        return Err(Fault::malformed(format!(
            "a database with {} tables of packages",
            roots.len()
        )));
    };
    database.walk(*root, headers, &mut |row, headers| match values(row).as_deref() {
        Some([Value::Null, Value::Blob(blob)]) => Ok(headers.take(blob)),
        _ => Err(Fault::malformed("a row that is no package")),
    });
    Ok(())
}

/// The first page of the table of packages, if that is what this row of the table of tables is about.
fn root_of_table(row: &[u8]) -> Result<Option<usize>, Fault> {
    let broken = || Fault::malformed("a database whose tables cannot be read");
    let values = values(row).ok_or_else(broken)?;
    let [Value::Text(kind), Value::Text(name), _, root, _] = values.as_slice() else {
        return Err(broken());
    };
    if *kind != b"table" || !name.eq_ignore_ascii_case(TABLE) {
        return Ok(None);
    }
    match root {
        Value::Integer(root) => usize::try_from(*root).map(Some).map_err(|_| broken()),
        Value::Blob(_) | Value::Null | Value::Real | Value::Text(_) => Err(broken()),
    }
}
