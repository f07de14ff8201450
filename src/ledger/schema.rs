//! The tables, and how an older database becomes a current one.
//!
//! A database carries its schema version (`user_version`). Every program reads those of all programs
//! before it, and refuses those of later ones. All steps are one transaction, taken after a snapshot
//! of what was: ended at any moment, the database is of the old version or of the new one.

use std::path::Path;

use rusqlite::Connection;

use super::Error;

/// Marks the file as ours (`application_id`): "PRTQ".
pub(super) const APPLICATION_ID: i32 = 0x5052_5451;

/// The steps from an empty database to the current schema; step `n` leads to version `n + 1`.
/// A step that was released is never changed.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

const VERSION_1: &str = "
    CREATE TABLE repositories (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        UNIQUE (repository, digest)
    ) STRICT;
    CREATE TABLE grants (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        record INTEGER NOT NULL REFERENCES records (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (repository, digest, record)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grants_by_record ON grants (record);
    CREATE TABLE tags (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        tag TEXT NOT NULL,
        admitted INTEGER NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (repository, tag)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tag_digests (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (repository, digest, tag)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        filed_by TEXT NOT NULL,
        last_asked INTEGER NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX requests_by_key ON requests (key, id);
    CREATE INDEX requests_by_state ON requests (state, filed_by);
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        record INTEGER NOT NULL REFERENCES records (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_record ON decisions (record, id);
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE policies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE pulls (
        id INTEGER PRIMARY KEY,
        minute INTEGER NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        client TEXT NOT NULL,
        outcome TEXT NOT NULL,
        count INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX pulls_by_subject ON pulls (name, digest, id);
    CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY,
        body TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
";

/// By which logic verdicts are reached, and who confirmed that (no row means the first); what is
/// pinned in the cache.
const VERSION_2: &str = "
    CREATE TABLE logics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE pins (
        repository INTEGER NOT NULL REFERENCES repositories (id),
        digest TEXT NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (repository, digest)
    ) STRICT, WITHOUT ROWID;
";

/// Who may sign in beside the holders of tokens; what people said of a request before it was decided;
/// when approvals end, and of which end people were told; what webhooks have delivered.
const VERSION_3: &str = "
    CREATE TABLE people (
        key TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE votes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        record INTEGER NOT NULL REFERENCES records (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX votes_by_record ON votes (record, id);
    CREATE INDEX decisions_by_end
        ON decisions (CASE WHEN json_valid(body) THEN json_extract(body, '$.expires') END)
        WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.expires') END IS NOT NULL;
    CREATE TABLE rings (
        decision INTEGER PRIMARY KEY REFERENCES decisions (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE webhooks (
        name TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Where content is known under other names; which votes and approvals rest on files; what people grant
/// exceptions from and what they said of it, and which records of the audit are about one; what was served in an
/// emergency, by whom, and who looked at it afterwards; what is kept of audit records that left the database, by
/// the number of the last of them.
const VERSION_4: &str = "
    CREATE INDEX records_by_digest ON records (digest);
    CREATE INDEX votes_by_file
        ON votes (CASE WHEN json_valid(body) THEN json_extract(body, '$.vote.file.digest') END)
        WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.vote.file.digest') END
              IS NOT NULL;
    CREATE INDEX records_by_files
        ON records (CASE WHEN json_valid(body) THEN json_extract(body, '$.standing.files') END)
        WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.standing.files') END
              IS NOT NULL;
    CREATE TABLE segments (
        last INTEGER PRIMARY KEY,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE emergencies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE exceptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        filed_by TEXT NOT NULL,
        ends TEXT NOT NULL,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX exceptions_by_key ON exceptions (key, id);
    CREATE INDEX exceptions_by_name ON exceptions (name, state, id);
    CREATE INDEX exceptions_by_end ON exceptions (state, ends);
    CREATE TABLE exception_votes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        exception INTEGER NOT NULL REFERENCES exceptions (id),
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
    CREATE INDEX exception_votes_by_exception ON exception_votes (exception, id);
    CREATE INDEX audit_by_exception
        ON audit (CASE WHEN json_valid(body) THEN json_extract(body, '$.details.exception') END,
                  sequence)
        WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.details.exception') END
              IS NOT NULL;
";

/// Which openings of nodes the audit knows of.
const VERSION_5: &str = "
    CREATE TABLE openings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        seal BLOB NOT NULL
    ) STRICT;
";

/// The version that `connection`'s database has; 0 is an empty one.
pub(super) fn version(connection: &Connection) -> Result<u32, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// The version that `migrations` lead to.
pub(super) fn latest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// Takes the database in `path` to the latest schema, all steps in one transaction. `snapshot` is
/// called first, with the version found, when that database has content.
///
/// # Errors
/// [`Error::NewerSchema`] when it was written by a later program; it is left alone then. What
/// `snapshot` gives; nothing is changed then either.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
    snapshot: impl FnOnce(&Connection, u32) -> Result<(), Error>,
) -> Result<(), Error> {
    let (found, known) = (version(connection)?, latest(migrations));
    if found > known {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        snapshot(connection, found)?;
        tracing::info!(from = found, to = known, "ledger migrates");
    }
    let transaction = connection.transaction()?;
    for step in migrations.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}
