//! Writing results and messages: the one place of the command line that touches stdout and stderr.

use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use super::exit::CliError;

/// How long work may take before people are told that it goes on, and how often then.
const PROGRESS_AFTER: Duration = Duration::from_secs(5);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Writes `text` to standard output, ending it with a line break if it has none.
///
/// # Errors
/// When standard output cannot be written. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let line_break = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(line_break.as_bytes()))
        .and_then(|()| stdout.flush());
    told(written)
}

/// Writes `value` to standard output as indented JSON, piece by piece: some answers are large.
///
/// # Errors
/// As [`print`], or when it cannot be written as JSON.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), CliError> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    if let Err(error) = serde_json::to_writer_pretty(&mut stdout, value) {
        if error.is_io() {
            return told(Err(error.into()));
        }
        return Err(CliError::failed("could not write the answer as JSON").caused_by(error));
    }
    told(stdout.write_all(b"\n").and_then(|()| stdout.flush()))
}

/// What is to be said of how writing to standard output went.
fn told(written: io::Result<()>) -> Result<(), CliError> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::failed("could not write to standard output").caused_by(error)),
        Ok(()) => Ok(()),
    }
}

/// Writes a message for people to standard error. There is nobody left to tell if that fails.
pub(crate) fn message(text: &str) {
    let written = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
    drop(written);
}

/// Waits for `work`, telling people now and then how far it is, as `doing` says.
pub(crate) async fn while_told<T>(doing: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval_at(begun + PROGRESS_AFTER, PROGRESS_EVERY);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => message(&format!("{}, {} s", doing(), begun.elapsed().as_secs())),
        }
    }
}

/// Waits for `work` on `what`, telling people now and then that it goes on, and what it is `doing`.
pub(crate) async fn with_progress<T>(what: &str, doing: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval_at(begun + PROGRESS_AFTER, PROGRESS_EVERY);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {
                message(&format!("{what}: still {doing}, {} s", begun.elapsed().as_secs()));
            }
        }
    }
}
