//! What is judged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Name};

/// What a verdict is about: content, in the place it was asked for.
///
/// One digest in two repositories is two subjects: an approval of one says nothing of the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The canonical repository.
    pub name: Name,
    /// The manifest.
    pub digest: Digest,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}
