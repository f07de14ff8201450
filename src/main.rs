//! The `pratique` program: a thin shell around the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pratique::cli::run(std::env::args_os())
}
