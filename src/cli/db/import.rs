//! `pratique db import`: feeds in, one file out, put in its place in one step.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::place::{Candidate, not_written};
use crate::cli::{CliError, output};
use crate::scan::Database;
use crate::scan::database::{Builder, ImportError};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Most feeds of one database.
const FEEDS_MAX: usize = 1_000;
/// Most files of one folder of records.
const RECORDS_MAX: usize = 5_000_000;
/// Largest record in a file of its own, in bytes.
const RECORD_BYTES_MAX: u64 = 16 << 20;
/// How much of a JSON file tells a catalogue from a record, in bytes.
const HEAD_BYTES: usize = 4096;

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
        let label = path.display().to_string();
        let feed = add(&mut builder, path, &label, *as_of).map_err(|error| {
            CliError::unreachable(format!("{label} was not imported")).caused_by(error)
        })?;
        if !json {
            output::message(&feed);
        }
    }
    let database = made_of(builder, to, *force)?;
    super::show(to, &database, json)
}

/// Makes the database, and puts it in its place at `to`.
///
/// # Errors
/// As [`run`].
pub(super) fn made_of(builder: Builder, to: &Path, force: bool) -> Result<Database, CliError> {
    let mut candidate = Candidate::for_place(to)?;
    let mut writer = io::BufWriter::new(candidate.file());
    builder.finish(&mut writer).map_err(|error| {
        CliError::failed(format!("{} was not written", to.display())).caused_by(error)
    })?;
    writer.flush().map_err(|error| not_written(to, error))?;
    drop(writer);
    candidate.put(force)
}

/// Adds what is in `path`, which people know as `label`, by what it is, and tells what that was.
///
/// # Errors
/// When it cannot be read, or is no feed.
pub(super) fn add(
    builder: &mut Builder,
    path: &Path,
    label: &str,
    as_of: Option<Timestamp>,
) -> Result<String, ImportError> {
    let failed = |source| ImportError::Io { label: label.to_owned(), source };
    if path.is_dir() {
        let records = records_in(path).map_err(failed)?;
        return Ok(told(builder.add_osv_records(records, label, as_of)?));
    }
    let file = || File::open(path).map(BufReader::new).map_err(failed);
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let inner = name.strip_suffix(".gz").unwrap_or(&name);
    let feed = match Path::new(inner).extension().and_then(OsStr::to_str) {
        Some("csv") => builder.add_epss(file()?, label, as_of)?,
        Some("json") => {
            let mut head = vec![0; HEAD_BYTES];
            let length = file()?.read(&mut head).map_err(failed)?;
            let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
            if head.contains("\"catalogVersion\"") {
                builder.add_kev(file()?, label, as_of)?
            } else {
                builder.add_osv_records([read_record(path.to_owned())], label, as_of)?
            }
        }
        _ => builder.add_osv_zip(file()?, label, as_of)?,
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
