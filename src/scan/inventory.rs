//! What an image has, as far as it could be read.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Distribution, Package};
use crate::oci::Digest;

/// What is in an image: the merged view of its layers. Sorted and without duplicates, so that equal
/// images give equal inventories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What the image says it is, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Its packages.
    pub packages: Vec<Package>,
    /// What could not be read. Not empty: the image is incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

impl Inventory {
    /// Whether all of the image could be read.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }
}

/// Something of an image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// Why not.
    pub kind: GapKind,
    /// Where: a path in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The layer it is in, by the digest of its blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// In words, printable ASCII, bounded: what was wrong, and the bound by its name if one was reached.
    pub text: String,
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// A bound was reached.
    Limit,
    /// It is not what its place or name says, or it is damaged.
    Malformed,
    /// It is of a kind that the scanner does not read.
    Unsupported,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
