//! Putting a database in its place, in one step: never one that knows less for one that knows more.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::CliError;
use crate::mirror::load_database;
use crate::scan::Database;

/// Who may read the database: it is no secret.
const MODE: u32 = 0o644;

/// A database in the making, beside the place where it goes.
#[derive(Debug)]
pub(super) struct Candidate {
    to: PathBuf,
    folder: PathBuf,
    partial: NamedTempFile,
}

impl Candidate {
    /// An empty one, for the place `to`, whose folder is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub(super) fn for_place(to: &Path) -> Result<Self, CliError> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
        let failed = |error| not_written(to, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let partial = tempfile::Builder::new().prefix(".pratique-db-").tempfile_in(&folder);
        Ok(Self { to: to.to_owned(), folder, partial: partial.map_err(failed)? })
    }

    /// What is written into it.
    pub(super) fn file(&mut self) -> &mut File {
        self.partial.as_file_mut()
    }

    /// Where it is until it is put in its place.
    pub(super) fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Puts it in its place, once it was read as a mirror reads it. With `force` even where what is there
    /// knows more.
    ///
    /// # Errors
    /// When it is no database, or not to replace what is there, or cannot be written.
    pub(super) fn put(self, force: bool) -> Result<Database, CliError> {
        let Self { to, folder, partial } = self;
        let failed = |error| not_written(&to, error);
        let database = load_database(partial.path()).map_err(|trouble| {
            CliError::failed("what was made cannot be read").caused_by(trouble)
        })?;
        replaceable(&to, &database, force)?;
        partial.as_file().set_permissions(fs::Permissions::from_mode(MODE)).map_err(failed)?;
        partial.as_file().sync_all().map_err(failed)?;
        partial.persist(&to).map_err(|error| failed(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(database)
    }
}

/// That the database at `to` was not written.
pub(super) fn not_written(to: &Path, error: io::Error) -> CliError {
    CliError::failed(format!("{} was not written", to.display())).caused_by(error)
}

/// Whether what is at `to` may be replaced: by something that knows less only when that is forced.
fn replaceable(to: &Path, made: &Database, force: bool) -> Result<(), CliError> {
    if force || !to.exists() {
        return Ok(());
    }
    // What cannot be read is of no use to anybody.
    let Ok(there) = load_database(to) else { return Ok(()) };
    let mut worse = Vec::new();
    if there.id().digest == made.id().digest {
        return Ok(());
    }
    let (before, now) = (there.status(), made.status());
    if now.as_of < before.as_of {
        worse.push(format!("it is as of {}, the one there of {}", now.as_of, before.as_of));
    }
    let lost = before.ecosystems.keys().filter(|name| !now.ecosystems.contains_key(*name));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    if !lost.is_empty() {
        let (few, more) = (lost.iter().take(5).copied().collect::<Vec<_>>(), lost.len());
        worse.push(format!("{more} ecosystems would be lost, such as {}", few.join(", ")));
    }
    if worse.is_empty() {
        return Ok(());
    }
    let text = worse.join("\n  ");
    let to = to.display();
    Err(CliError::refused(format!(
        "{to} was not replaced: the new database knows less\n  {text}\nIf that is meant, say --force."
    )))
}
