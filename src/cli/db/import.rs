//! `pratique db import`: feeds in, one file out, put in its place in one step.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::{CliError, output};
use crate::mirror::load_database;
use crate::oci::Digest;
use crate::scan::Database;
use crate::scan::database::{Builder, ImportError, Summary};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Most feeds of one database.
const FEEDS_MAX: usize = 1_000;
/// Most files of one folder of records.
const RECORDS_MAX: usize = 5_000_000;
/// Largest record in a file of its own, in bytes.
const RECORD_BYTES_MAX: u64 = 16 << 20;
/// How much of a JSON file tells a catalogue from a record, in bytes.
const HEAD_BYTES: usize = 4096;
/// Who may read the database: it is no secret.
const MODE: u32 = 0o644;

/// What the database is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArguments {
    /// OSV archives (all.zip), records (.json) or folders of them, KEV (.json), EPSS (.csv, .csv.gz).
    /// The database is made of exactly these
    #[arg(required = true, value_name = "FILE")]
    feeds: Vec<PathBuf>,
    /// Where to put it [default: where the settings say; a running mirror takes it from there]
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// As of when the feeds are, instead of the latest change that their records tell of
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Replace a database that is newer, or knows of more ecosystems
    #[arg(long)]
    force: bool,
}

/// Runs the command; the database goes to `to`.
///
/// # Errors
/// When a feed cannot be read, the database is not taken, or it cannot be written.
pub(super) fn run(arguments: &ImportArguments, to: &Path, json: bool) -> Result<(), CliError> {
    let ImportArguments { feeds, as_of, force, .. } = arguments;
    if feeds.len() > FEEDS_MAX {
        return Err(CliError::misused(format!("name 1 to {FEEDS_MAX} feeds")));
    }
    let mut builder = Builder::at(SystemClock.now());
    for path in feeds {
        let feed = add(&mut builder, path, *as_of).map_err(|error| {
            CliError::unreachable(format!("{} was not imported", path.display())).caused_by(error)
        })?;
        if !json {
            output::message(&feed);
        }
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let failed = |error: io::Error| {
        CliError::failed(format!("{} was not written", to.display())).caused_by(error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut partial =
        tempfile::Builder::new().prefix(".pratique-db-").tempfile_in(folder).map_err(failed)?;
    let mut writer = io::BufWriter::new(partial.as_file_mut());
    let summary = builder.finish(&mut writer).map_err(|error| {
        CliError::failed(format!("{} was not written", to.display())).caused_by(error)
    })?;
    writer.flush().map_err(failed)?;
    drop(writer);
    // What was written is read as a mirror would before it takes the place of anything.
    let database = load_database(partial.path())
        .map_err(|trouble| CliError::failed("what was made cannot be read").caused_by(trouble))?;
    replaceable(to, &summary, &database, *force)?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(MODE);
    partial.as_file().set_permissions(permissions).map_err(failed)?;
    partial.as_file().sync_all().map_err(failed)?;
    partial.persist(to).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    super::show(to, &database, json)
}

/// Adds what is in `path`, by what it is, and tells what that was.
fn add(
    builder: &mut Builder,
    path: &Path,
    as_of: Option<Timestamp>,
) -> Result<String, ImportError> {
    let label = path.display().to_string();
    let failed = |source| ImportError::Io { label: path.display().to_string(), source };
    if path.is_dir() {
        let records = records_in(path).map_err(failed)?;
        return Ok(told(builder.add_osv_records(records, &label, as_of)?));
    }
    let file = || File::open(path).map(BufReader::new).map_err(failed);
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let inner = name.strip_suffix(".gz").unwrap_or(&name);
    let feed = match Path::new(inner).extension().and_then(OsStr::to_str) {
        Some("csv") => builder.add_epss(file()?, &label, as_of)?,
        Some("json") => {
            let mut head = vec![0; HEAD_BYTES];
            let length = file()?.read(&mut head).map_err(failed)?;
            let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
            if head.contains("\"catalogVersion\"") {
                builder.add_kev(file()?, &label, as_of)?
            } else {
                builder.add_osv_records([read_record(path.to_owned())], &label, as_of)?
            }
        }
        _ => builder.add_osv_zip(file()?, &label, as_of)?,
    };
    Ok(told(feed))
}

fn told(feed: &crate::scan::database::Feed) -> String {
    let unreadable = match feed.unreadable.len() {
        0 => String::new(),
        count => format!(", {count} not readable"),
    };
    format!("{}: {} records, {} withdrawn{unreadable}", feed.label, feed.records, feed.withdrawn)
}

/// The records in a folder, in the order of their names.
fn records_in(
    folder: &Path,
) -> io::Result<impl Iterator<Item = io::Result<(String, Vec<u8>)>> + use<>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
        if paths.len() > RECORDS_MAX {
            return Err(io::Error::other(format!("it has more than {RECORDS_MAX} records")));
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(read_record))
}

fn read_record(path: PathBuf) -> io::Result<(String, Vec<u8>)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = Vec::new();
    File::open(path)?.take(RECORD_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((name, bytes))
}

/// Whether what is at `to` may be replaced: by something that knows less only when that is forced.
fn replaceable(to: &Path, summary: &Summary, made: &Database, force: bool) -> Result<(), CliError> {
    if force || !to.exists() {
        return Ok(());
    }
    // What cannot be read is of no use to anybody.
    let Ok(there) = load_database(to) else { return Ok(()) };
    let mut worse = Vec::new();
    let (old, new): (Digest, Digest) = (there.id().digest, summary.digest);
    if old == new {
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
