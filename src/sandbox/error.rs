//! Why the program is not confined.

use landlock::RulesetError;

use super::InForce;
use crate::program::confine::ConfineError;

/// Why the program is not confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The system calls cannot be filtered, although the kernel can do that.
    #[error("system calls cannot be filtered")]
    Calls(#[from] ConfineError),
    /// Landlock does not take the rules.
    #[error("files and ports cannot be held by Landlock")]
    Files(#[from] RulesetError),
    /// The settings require what the kernel cannot do.
    #[error(
        "[sandbox] mode = \"require\", and not all of it can be had here: {0}; \
         a kernel from 6.2 on with Landlock enabled can, and \"on\" takes what there is"
    )]
    NotWhole(InForce),
}
