//! `audit export`: from a running server, or from the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::connect;
use super::super::text::{bytes, count};
use super::{data_dir, unreadable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::ledger;

/// How often people are told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// What the last line of an export begins with.
const END: &[u8] = b"{\"end\":";
/// Longest last line, in bytes.
const END_BYTES_MAX: usize = 40;

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArguments {
    /// The file to write, which must not exist; - writes to standard output
    file: PathBuf,
    /// Begin with this record
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Read the data directory, whether a server runs or not
    #[arg(long)]
    offline: bool,
}

/// Where an export goes, and how far it is.
struct Target {
    to: Box<dyn Write>,
    bytes: u64,
    lines: u64,
    tail: Vec<u8>,
    told: Instant,
}

impl Target {
    fn new(to: Box<dyn Write>) -> Self {
        Self { to, bytes: 0, lines: 0, tail: Vec::new(), told: Instant::now() }
    }

    fn is_whole(&self) -> bool {
        let line = self.tail.strip_suffix(b"\n").unwrap_or_default();
        line.rsplit(|byte| *byte == b'\n').next().is_some_and(|line| line.starts_with(END))
    }

    fn tell(&mut self) {
        if self.told.elapsed() >= PROGRESS_EVERY {
            output::message(&format!(
                "export: {} so far, {}",
                count(self.lines, "line"),
                bytes(self.bytes)
            ));
            self.told = Instant::now();
        }
    }
}

impl Write for Target {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.to.write_all(piece)?;
        self.bytes += u64::try_from(piece.len()).unwrap_or(0);
        let lines = memchr::memchr_iter(b'\n', piece).count();
        self.lines += u64::try_from(lines).unwrap_or(0);
        let last = piece.get(piece.len().saturating_sub(END_BYTES_MAX)..).unwrap_or_default();
        self.tail.extend_from_slice(last);
        let surplus = self.tail.len().saturating_sub(END_BYTES_MAX);
        self.tail.drain(..surplus);
        self.tell();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the export. A file is made, never overwritten, and readable by its owner alone.
///
/// # Errors
/// When it cannot be written, or the audit cannot be read.
pub(super) async fn run(
    connection: &Connection,
    arguments: &ExportArguments,
) -> Result<ExitCode, CliError> {
    let path = &arguments.file;
    if path == Path::new("-") {
        let mut target = Target::new(Box::new(io::stdout()));
        write(connection, arguments, &mut target).await?;
        return Ok(Exit::Done.into());
    }
    let failed = |error: io::Error| {
        CliError::failed(format!("could not write {}", path.display())).caused_by(error)
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(failed)?;
    let written = async {
        let mut target = Target::new(Box::new(file.try_clone().map_err(failed)?));
        write(connection, arguments, &mut target).await?;
        file.sync_all().map_err(failed)?;
        sync_folder_of(path).map_err(failed)?;
        Ok(target.bytes)
    };
    let size = written.await.inspect_err(|_| {
        // Half an export is none; it was made by us a moment ago.
        drop(std::fs::remove_file(path));
    })?;
    if connection.json {
        output::print_json(&json!({"file": path, "bytes": size}))?;
    } else {
        output::print(&format!("audit exported to {}, {}", path.display(), bytes(size)))?;
    }
    Ok(Exit::Done.into())
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

async fn write(
    connection: &Connection,
    arguments: &ExportArguments,
    target: &mut Target,
) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::failed("could not write the export").caused_by(error);
    if arguments.offline {
        let dir = data_dir(connection)?;
        ledger::export_audit(&dir, arguments.from, target).map_err(unreadable)?;
    } else {
        let client = connect::client(connection)?;
        let path = format!("/audit/export?from={}", arguments.from);
        let (answer, client) = client.get_open(&path).await?;
        let mut body = answer.into_body();
        while let Some(piece) = client.next_piece(&mut body).await? {
            target.write_all(&piece).map_err(failed)?;
        }
    }
    target.flush().map_err(failed)?;
    if target.is_whole() {
        return Ok(());
    }
    Err(CliError::unreachable("the export broke off before its end"))
}
