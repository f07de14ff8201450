//! `isolated`: this process confines itself and becomes another program.
//!
//! Nobody needs it by hand: it is how scanners are run ([`crate::program`]).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, output};
use crate::program::confine::{self, Confinement, NOT_STARTED};

/// What the other program may have, and what it is.
#[derive(Debug, Args)]
pub(super) struct IsolatedArguments {
    /// Print what cannot be confined on this machine, a line each, and end
    #[arg(long)]
    probe: bool,
    /// A file or folder that it may read, beside those that every program needs
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// A folder that it may write to
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// A port that it may connect to; without any it has no network
    #[arg(long, value_name = "PORT")]
    connect: Vec<u16>,
    /// Memory that it may write to
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30)]
    memory: u64,
    /// Processor time that it may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    processor: u64,
    /// Size of a file that it writes
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    file: u64,
    /// Descriptors that it may have open
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    descriptors: u64,
    /// The program by an absolute path, and what it is called with
    #[arg(last = true, value_name = "PROGRAM", required_unless_present = "probe")]
    command: Vec<OsString>,
}

/// Becomes the program; what comes back went wrong.
pub(super) fn run(arguments: &IsolatedArguments) -> Result<ExitCode, CliError> {
    let IsolatedArguments { probe, command, .. } = arguments;
    if *probe {
        let weaknesses = confine::weaknesses().map_err(|error| {
            CliError::failed("this process cannot be confined").caused_by(error)
        })?;
        output::print(&weaknesses.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some((program, rest)) = command.split_first() else {
        return Err(CliError::misused("name the program after --"));
    };
    let confinement = Confinement {
        program: program.into(),
        read: arguments.read.clone(),
        write: arguments.write.clone(),
        connect: arguments.connect.clone(),
        memory: arguments.memory,
        processor: arguments.processor,
        file: arguments.file,
        descriptors: arguments.descriptors,
    };
    let Err(error) = confinement.become_program(rest);
    output::message(&CliError::failed("it cannot be run").caused_by(error).chain());
    Ok(ExitCode::from(u8::try_from(NOT_STARTED).unwrap_or(u8::MAX)))
}
