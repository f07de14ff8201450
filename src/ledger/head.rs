//! The head of the audit chain, kept beside the database: what shows that the chain was cut.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::audit::Chain;
use super::{Error, database};
use crate::oci::from_strict_slice;

/// Directory of the head within the data directory.
pub(super) const AUDIT_DIR: &str = "audit";

/// Where the head of the ledger in `dir` is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(AUDIT_DIR).join("head")
}

/// The head of the ledger in `dir`; `None` when there is no such file.
///
/// # Errors
/// [`Error::Damaged`] when the file does not hold a head.
pub(super) fn read(dir: &Path) -> Result<Option<Chain>, Error> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", &path)(error)),
    };
    match from_strict_slice(&bytes) {
        Ok(chain) => Ok(Some(chain)),
        Err(error) => Err(Error::Damaged { path, problem: error.to_string() }),
    }
}

/// Puts `chain` in the place of the head of the ledger in `dir`, whole or not at all.
pub(super) fn write(dir: &Path, chain: Chain) -> Result<(), Error> {
    let path = path(dir);
    let temporary = path.with_extension("new");
    let mut text = serde_json::to_string(&chain)?;
    text.push('\n');
    let mut file = fs::File::create(&temporary).map_err(Error::file("create", &temporary))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(Error::file("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::file("rename", &temporary))
}

/// Makes the directory of the head.
pub(super) fn prepare(dir: &Path) -> Result<(), Error> {
    let audit = dir.join(AUDIT_DIR);
    fs::create_dir_all(&audit).map_err(Error::file("create", &audit))?;
    database::sync_directory(dir)
}
