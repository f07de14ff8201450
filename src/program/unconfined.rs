//! Programs that have to have what this one has, because they are what a node runs anyway.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::confine::NOT_STARTED;
use super::launcher::watch;
use super::{Output, ProgramError};

/// A program to run as it is: nothing is taken from it, and it is bounded in time and in what it says.
///
/// For the node's own tools, which mount, write to their own folders and speak to their daemons. What
/// reads content that nobody judged is run by [`Launcher`](super::Launcher).
#[derive(Debug, Clone)]
pub struct Unconfined {
    /// Its file.
    pub path: PathBuf,
    /// What it is called with.
    pub arguments: Vec<OsString>,
    /// How long it may run.
    pub time: Duration,
    /// What it may write to its standard output, in bytes.
    pub output: usize,
}

impl Unconfined {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started, ends with anything but 0, or passes a bound.
    ///
    /// # Cancel safety
    /// When the future is dropped, the program and all that it has started are ended.
    pub async fn run(&self) -> Result<Output, ProgramError> {
        self.run_with(Stdio::null()).await
    }

    /// The same with `input` as its standard input.
    ///
    /// # Errors
    /// As [`Self::run`].
    ///
    /// # Cancel safety
    /// As [`Self::run`].
    pub async fn run_with(&self, input: impl Into<Stdio>) -> Result<Output, ProgramError> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = watch(&self.path, command, self.time, self.output).await;
        // By this code the launcher says that it failed; here it is the program's own, as podman's for any
        // error.
        if let Err(ProgramError::NotStarted { program, said, source: None }) = ended {
            return Err(ProgramError::Failed { program, code: NOT_STARTED, said });
        }
        ended
    }
}
