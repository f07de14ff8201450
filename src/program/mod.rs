//! Foreign programs, run so that they can do little harm: each isolated, and within bounds.
//!
//! Promises:
//! - What is started is gone, with everything that it started itself, when [`Launcher::run`] returns or
//!   its future is dropped: when it has ended, took too long, said too much, or is wanted no more.
//! - It has the environment, the folders and the ports that are named here, and no others. It cannot
//!   write anywhere else, read this program's data, or connect to anything, as far as the kernel can be
//!   asked to see to that; what it cannot is logged once.
//! - What it writes to its standard output is read whole or not at all; of what it says on its standard
//!   error the end is kept, for messages only.
//! - How much memory, processor time, disk and how many descriptors it has is bounded by the kernel; the
//!   memory is bounded for each of its processes.
//!
//! Without `unsafe` nothing can be done between fork and exec. So this program starts itself
//! ([`Launcher`]), by a hidden command that confines itself ([`confine`]) and then becomes the other one.
//!
//! The tools of the node itself, which cannot work so, are run by [`Unconfined`] with bounds of time and
//! output alone.
//!
//! It must not know what programs it runs, or read what they say.

pub mod confine;
mod error;
mod launcher;
mod running;
mod tail;
mod unconfined;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use error::ProgramError;
pub use launcher::Launcher;
pub use unconfined::Unconfined;

/// A program to run, and what it may have.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file, by an absolute path.
    pub path: PathBuf,
    /// What it is called with.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working directory, in which it may write and remove whatever it likes.
    pub folder: PathBuf,
    /// Files and folders that it may read, beside those that programs commonly need
    /// ([`confine::COMMON`]).
    pub readable: Vec<PathBuf>,
    /// Folders that it may write to, beside [`folder`](Self::folder).
    pub writable: Vec<PathBuf>,
    /// The ports that it may connect to by TCP. Empty: it has no network at all.
    pub connect: Vec<u16>,
    /// How much of everything it may have.
    pub limits: ProgramLimits,
}

/// How much a program may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramLimits {
    /// How long it may run.
    pub time: Duration,
    /// Processor time of each of its processes, rounded up to seconds.
    pub processor: Duration,
    /// Memory that each of its processes may write to, in bytes.
    pub memory: u64,
    /// Size of a file that it writes, in bytes.
    pub file: u64,
    /// Descriptors that it may have open.
    pub descriptors: u64,
    /// What it may write to its standard output, in bytes.
    pub output: usize,
}

impl Default for ProgramLimits {
    /// Five minutes, 2 GiB of memory, files of 4 GiB, and 64 MiB of output.
    fn default() -> Self {
        Self {
            time: Duration::from_mins(5),
            processor: Duration::from_mins(10),
            memory: 2 << 30,
            file: 4 << 30,
            descriptors: 1024,
            output: 64 << 20,
        }
    }
}

/// What a program that ended well wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// All of its standard output.
    pub bytes: Vec<u8>,
    /// The end of its standard error, in printable ASCII.
    pub said: String,
}
