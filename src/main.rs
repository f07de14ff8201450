//! The `pratique` program: a thin shell around the library.

use std::process::ExitCode;

/// The system's allocator keeps what each of its many arenas once needed, so that a mirror that is
/// busy for hours grows for hours; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pratique::cli::run(std::env::args_os())
}
