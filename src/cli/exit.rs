//! How a command ends: its exit code, and the error that people read.
//!
//! Scripts branch on the code, so every error names its own; nothing ends with a code by accident.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How a command ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// 0: done as asked.
    Done = 0,
    /// 1: tried, and it failed.
    Failed = 1,
    /// 2: the server, a file or an answer could not be reached or read.
    Unreachable = 2,
    /// 3: asked and answered, and the answer is no.
    Refused = 3,
    /// 64: wrong use: arguments or configuration.
    Misused = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Unreachable => 2,
            Exit::Refused => 3,
            Exit::Misused => 64,
        })
    }
}

/// Why a command did not do what was asked: one text for people, one code for scripts, and the
/// cause beneath when there is one.
#[derive(Debug)]
pub(crate) struct CliError {
    exit: Exit,
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl CliError {
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), source: None }
    }

    /// Tried, and it failed (exit 1).
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, text)
    }

    /// Could not reach or read what it takes (exit 2).
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, text)
    }

    /// The answer is no (exit 3).
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(Exit::Refused, text)
    }

    /// Wrong arguments or wrong configuration (exit 64).
    pub(crate) fn misused(text: impl Into<String>) -> Self {
        Self::new(Exit::Misused, text)
    }

    /// The same error with the cause beneath it, which is printed after a colon.
    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The code the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The text and every cause beneath it, joined by colons: what is printed.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.text.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn Error + 'static) { source.as_ref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_error_names_every_cause_once() {
        let io = std::io::Error::other("connection refused");
        let error = CliError::unreachable("could not reach http://127.0.0.1:5001").caused_by(io);
        assert_eq!(error.exit(), Exit::Unreachable);
        assert_eq!(error.chain(), "could not reach http://127.0.0.1:5001: connection refused");
        assert_eq!(CliError::misused("no such rule").chain(), "no such rule");
    }
}
