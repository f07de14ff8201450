//! Why a scanner gave no report.

use std::io;

use crate::program::ProgramError;
use crate::scan::ReportError;

/// Why a scanner gave no report: nothing is known of the image then.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// It was made for the other kind of input.
    #[error("{scanner} is set up to be given {wanted}, and was given something else")]
    Input {
        /// The scanner.
        scanner: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
    /// The program did not do what it should.
    #[error("{scanner} gave no report")]
    Program {
        /// The scanner.
        scanner: &'static str,
        /// Why not.
        #[source]
        source: ProgramError,
    },
    /// What it wrote is not used.
    #[error("what {scanner} wrote {source}")]
    Report {
        /// The scanner.
        scanner: &'static str,
        /// Why not.
        source: ReportError,
    },
    /// A setting makes no sense.
    #[error("{key}: {why}")]
    Setting {
        /// Which.
        key: &'static str,
        /// Why not, and what to write.
        why: &'static str,
    },
    /// It does not say in a known way which version it is.
    #[error("{scanner} does not say its version in a way that is known")]
    Version {
        /// The scanner.
        scanner: &'static str,
    },
    /// The folder that it works in cannot be made or written to.
    #[error("a folder for {scanner} to work in cannot be made")]
    Work {
        /// The scanner.
        scanner: &'static str,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}
