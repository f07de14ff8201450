//! The version of the logic by which verdicts are reached.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of everything that makes a verdict out of subject, evidence and policy.
///
/// A program that would say something else about the same evidence under the same policy carries a
/// higher one. What an earlier program decided then goes on holding until a person has seen what
/// would change, and confirmed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logic(u32);

impl Logic {
    /// The first one; verdicts that carry none are of it.
    pub const FIRST: Self = Self(1);
    /// That of this program. Raise it with every change of `gate` or `evidence` after which stored
    /// evidence could be decided in another way.
    pub const CURRENT: Self = Self(3);
}

impl Default for Logic {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
