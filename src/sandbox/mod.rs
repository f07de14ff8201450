//! This program, confined by itself when it starts to serve: what it does not need, it cannot do.
//!
//! Promises:
//! - Where the kernel can be asked to see to it, the program reads only what the settings name and what
//!   looking up a name takes, writes only below the data directory, listens only where it was told to,
//!   starts no program unless the settings name one, and makes none of the system calls that only somebody
//!   else would make here ([`calls`]).
//! - Nothing of that can be taken back, by this program or by what it starts; programs that it runs are
//!   confined once more, by [`crate::program`].
//! - What the kernel cannot do is said, in one line, and with [`Mode::Require`] nothing is started then.
//!
//! Landlock holds threads and those that they start. So [`enter`] is called while there is one.
//!
//! It must not know what the paths are for.

mod attempts;
mod calls;
mod error;
mod files;
mod plan;

pub use attempts::{Attempt, Targets, attempts};
pub use error::SandboxError;
pub use plan::Plan;

use std::fmt;
use std::path::PathBuf;

use crate::program::confine::{filter_of, install};

/// Whether the program confines itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Not at all.
    Off,
    /// As far as the kernel can.
    #[default]
    On,
    /// Or it does not start.
    Require,
}

impl Mode {
    /// The word for it in the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Require => "require",
        }
    }
}

/// What the settings say of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether.
    pub mode: Mode,
    /// What else may be read.
    pub read: Vec<PathBuf>,
    /// What else may be written.
    pub write: Vec<PathBuf>,
}

/// What is in force, for one line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The version of Landlock that holds files, or why none does.
    files: Result<String, &'static str>,
    /// Whether ports are held, too.
    ports: bool,
    /// How many system calls are refused; `None`: the kernel or the machine has no filters.
    calls: Option<usize>,
    /// Whether programs may be started.
    programs: bool,
}

impl InForce {
    /// Whether files are held and system calls refused.
    pub fn is_whole(&self) -> bool {
        self.files.is_ok() && self.calls.is_some()
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            Ok(version) => write!(f, "files are held by Landlock {version}")?,
            Err(why) => write!(f, "files are not held: {why}")?,
        }
        match (self.files.is_ok(), self.ports) {
            (true, true) => f.write_str(", listening is, too")?,
            (true, false) => f.write_str(", listening is not: the kernel is older than 6.7")?,
            (false, _) => {}
        }
        match self.calls {
            Some(count) => write!(f, "; {count} system calls are refused")?,
            None => f.write_str("; system calls are not filtered")?,
        }
        f.write_str(if self.programs { "" } else { "; no program can be started" })
    }
}

/// Confines this thread, and all that it starts from now on.
///
/// # Errors
/// When the kernel refuses what it says it can do; or cannot do it, and the plan requires it.
pub fn enter(plan: &Plan) -> Result<InForce, SandboxError> {
    let (files, ports) = files::restrict(plan)?;
    let calls = refuse_calls(plan)?;
    let programs = plan.may_start_programs() || calls.is_none();
    let in_force = InForce { files, ports, calls, programs };
    if plan.mode == Mode::Require && !in_force.is_whole() {
        return Err(SandboxError::NotWhole(in_force));
    }
    Ok(in_force)
}

/// How many are refused; `None` where there are no filters.
fn refuse_calls(plan: &Plan) -> Result<Option<usize>, SandboxError> {
    let denied = calls::denied(plan.may_start_programs())?;
    let count = denied.len();
    for (calls, error) in [(denied, libc::EPERM), (calls::absent(), libc::ENOSYS)] {
        let Some(filter) = filter_of(calls, error)? else { return Ok(None) };
        if !install(&filter)? {
            return Ok(None);
        }
    }
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_in_force_and_what_is_not() {
        let mut in_force =
            InForce { files: Ok("7".to_owned()), ports: true, calls: Some(50), programs: false };
        assert!(in_force.is_whole());
        assert_eq!(
            in_force.to_string(),
            "files are held by Landlock 7, listening is, too; 50 system calls are refused; \
             no program can be started"
        );
        in_force.ports = false;
        in_force.programs = true;
        assert!(in_force.to_string().contains("listening is not: the kernel is older than 6.7"));
        in_force.files = Err("the kernel has no Landlock");
        in_force.calls = None;
        assert!(!in_force.is_whole());
        assert_eq!(
            in_force.to_string(),
            "files are not held: the kernel has no Landlock; system calls are not filtered"
        );
    }
}
