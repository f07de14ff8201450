//! Starting a program by way of this one.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::confine::{COMMAND, NOT_STARTED};
use super::running::{Running, Trouble};
use super::{Output, Program, ProgramError, ProgramLimits};

/// This program, whatever has become of its file since it was started.
const OWN: &str = "/proc/self/exe";
/// How long this program may take to say what it cannot confine, and how much.
const PROBE_TIME: Duration = Duration::from_secs(10);
const PROBE_BYTES: usize = 16 * 1024;

/// Runs programs, by starting this one with its hidden command. Clones share what was said once.
#[derive(Debug, Clone)]
pub struct Launcher {
    own: PathBuf,
    was_told: Arc<OnceCell<()>>,
}

impl Launcher {
    /// By this very program.
    pub fn own() -> Self {
        Self::by(Path::new(OWN))
    }

    /// By the `pratique` at `path`: for programs that are built on the library.
    pub fn by(path: &Path) -> Self {
        Self { own: path.to_owned(), was_told: Arc::default() }
    }

    /// Runs `program` to its end.
    ///
    /// # Errors
    /// When it cannot be started, ends with anything but 0, or passes a bound.
    ///
    /// # Cancel safety
    /// When the future is dropped, the program and all that it has started are ended.
    pub async fn run(&self, program: &Program) -> Result<Output, ProgramError> {
        self.was_told.get_or_init(|| self.tell()).await;
        let name = program.path.as_path();
        // What cannot be run is told by its own name, not by what starts it.
        let found = tokio::fs::metadata(name).await;
        let why = match found {
            Ok(found) if found.is_file() => None,
            Ok(_) => Some(("it is no file", None)),
            Err(error) => Some(("", Some(error))),
        };
        if let Some((said, source)) = why {
            let (program, said) = (name.to_owned(), said.to_owned());
            return Err(ProgramError::NotStarted { program, said, source });
        }
        let mut command = self.command();
        command.args(arguments(program)).envs(program.environment.iter().cloned());
        command.current_dir(&program.folder);
        watch(name, command, program.limits.time, program.limits.output).await
    }

    /// What cannot be confined on this machine, in words; empty where everything can.
    ///
    /// # Errors
    /// When this program cannot start itself.
    pub async fn weaknesses(&self) -> Result<Vec<String>, ProgramError> {
        let mut command = self.command();
        command.arg("--probe").current_dir("/");
        let output = watch(&self.own, command, PROBE_TIME, PROBE_BYTES).await?;
        Ok(String::from_utf8_lossy(&output.bytes).lines().map(str::to_owned).collect())
    }

    async fn tell(&self) {
        match self.weaknesses().await {
            Ok(weaknesses) => {
                for weakness in weaknesses {
                    tracing::warn!("programs that are run beside this one: {weakness}");
                }
            }
            // The program that is run next fails for the same reason, and says so.
            Err(error) => tracing::debug!(%error, "what cannot be confined is not known"),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.own);
        command.arg(COMMAND).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// What the hidden command is called with.
fn arguments(program: &Program) -> Vec<OsString> {
    let ProgramLimits { processor, memory, file, descriptors, .. } = program.limits;
    let seconds = processor.as_secs() + u64::from(processor.subsec_nanos() > 0);
    let numbers = [
        ("--memory", memory),
        ("--processor", seconds.max(1)),
        ("--file", file),
        ("--descriptors", descriptors),
    ];
    let mut all: Vec<OsString> = Vec::new();
    for (name, number) in numbers {
        all.extend([name.into(), number.to_string().into()]);
    }
    for path in &program.readable {
        all.extend(["--read".into(), path.into()]);
    }
    for path in program.writable.iter().chain([&program.folder]) {
        all.extend(["--write".into(), path.into()]);
    }
    for port in &program.connect {
        all.extend(["--connect".into(), port.to_string().into()]);
    }
    all.extend(["--".into(), program.path.clone().into()]);
    all.extend(program.arguments.iter().cloned());
    all
}

/// Starts `command` and waits for the end of all that it starts.
pub(super) async fn watch(
    name: &Path,
    mut command: Command,
    limit: Duration,
    most: usize,
) -> Result<Output, ProgramError> {
    let program = || name.to_owned();
    let mut running = Running::start(&mut command).map_err(|source| ProgramError::NotStarted {
        program: program(),
        said: String::new(),
        source: Some(source),
    })?;
    let read = timeout(limit, running.output(most)).await;
    let status = running.end().await;
    let said = running.said();
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(Trouble::Io(source))) => {
            return Err(ProgramError::Watch { program: program(), source });
        }
        Ok(Err(Trouble::LeftBehind)) => {
            return Err(ProgramError::LeftBehind { program: program() });
        }
        Ok(Err(Trouble::TooMuch)) => {
            return Err(ProgramError::TooMuchOutput { program: program(), limit: most, said });
        }
        Err(_) => return Err(ProgramError::TookTooLong { program: program(), limit, said }),
    };
    let status = status.map_err(|source| ProgramError::Watch { program: program(), source })?;
    judge(name, status, said).map(|said| Output { bytes, said })
}

/// # Errors
/// When the program did not end well.
fn judge(name: &Path, status: ExitStatus, said: String) -> Result<String, ProgramError> {
    let program = name.to_owned();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(said),
        (Some(NOT_STARTED), _) => Err(ProgramError::NotStarted { program, said, source: None }),
        (Some(code), _) => Err(ProgramError::Failed { program, code, said }),
        (None, signal) => {
            Err(ProgramError::Killed { program, signal: signal.unwrap_or_default(), said })
        }
    }
}
