//! Why a program gave no result.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a program gave no result. What it said is in printable ASCII, and may be empty.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It ended with a code other than 0.
    #[error("{} ended with {code}{}", .program.display(), told(.said))]
    Failed {
        /// The program.
        program: PathBuf,
        /// The code.
        code: i32,
        /// The end of what it said.
        said: String,
    },
    /// It was ended from outside: by a bound that the kernel holds, or by somebody else.
    #[error("{} was ended by signal {signal}{}{}", .program.display(), bound(*.signal), told(.said))]
    Killed {
        /// The program.
        program: PathBuf,
        /// The signal's number.
        signal: i32,
        /// The end of what it said.
        said: String,
    },
    /// Something that it started has left its process group, and holds its output open.
    #[error("{} left something running that does not end", .program.display())]
    LeftBehind {
        /// The program.
        program: PathBuf,
    },
    /// It cannot be started.
    #[error("{} cannot be started{}", .program.display(), told(.said))]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// What is wrong, where it is known.
        said: String,
        /// What the operating system says, where it says something.
        #[source]
        source: Option<io::Error>,
    },
    /// It took too long.
    #[error("{} took longer than {} s and was ended{}", .program.display(), .limit.as_secs(), told(.said))]
    TookTooLong {
        /// The program.
        program: PathBuf,
        /// The bound.
        limit: Duration,
        /// The end of what it said.
        said: String,
    },
    /// It wrote too much.
    #[error("{} wrote more than {limit} bytes and was ended{}", .program.display(), told(.said))]
    TooMuchOutput {
        /// The program.
        program: PathBuf,
        /// The bound.
        limit: usize,
        /// The end of what it said.
        said: String,
    },
    /// What it writes cannot be read, or its end cannot be waited for.
    #[error("{} cannot be watched", .program.display())]
    Watch {
        /// The program.
        program: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// Which bound the kernel holds by a signal.
fn bound(signal: i32) -> &'static str {
    match signal {
        9 => " (out of memory, or out of processor time)",
        24 => " (out of processor time)",
        25 => " (it wrote too large a file)",
        _ => "",
    }
}
