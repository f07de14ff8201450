//! Layers: from the compressed bytes of one to what it puts where, and what its files say.
//!
//! Promises:
//! - A layer is read as nodes read it: compression by its first bytes, all members and frames of it, the
//!   archive as Go's `archive/tar`, paths and whiteouts as containerd over overlayfs.
//! - What nodes refuse, or read in different ways, is a gap.
//! - Memory is bounded by what is kept, never by what the layer inflates to.
//! - A failure of the reader is an error, and never a gap: the layer may be in order.

mod again;
mod archive;
mod budget;
mod contents;
mod extended;
mod facts;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod header;
mod inflated;
mod kind;
mod read;
mod source;
mod tree;
mod tree_bytes;
mod upper;

use std::io::{self, Read};

pub(super) use again::read_more;
pub(super) use facts::{Facts, LayerGap, Seen};
pub(super) use kind::Kind;
pub(super) use read::{WantedFile, read};
pub(super) use tree::{EntryId, Node, NodeId, Tree};
pub(super) use upper::cleaned;

use super::catalog::FileKind;
use super::merge::Wanted;
use super::{GapKind, Limits};
use crate::oci::Digest;

/// What was learnt of a layer: it is the same for all images that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFacts(Facts<FileKind>);

impl LayerFacts {
    /// Learns what there is to learn of a layer, from its compressed bytes. It blocks, and ends early
    /// where a bound is reached: what is left in `reader` then is of no interest.
    ///
    /// # Errors
    /// Only the reader's own. What is wrong with the layer is a gap of whichever image has it.
    pub fn read(blob: &Digest, reader: impl Read, limits: &Limits) -> io::Result<Self> {
        read(blob, reader, limits).map(Self)
    }

    /// Reads the layer once more for files that links were found to lead to, and adds what they say.
    ///
    /// # Errors
    /// Only the reader's own.
    pub fn read_more(
        &self,
        reader: impl Read,
        wanted: &Wanted,
        limits: &Limits,
    ) -> io::Result<Self> {
        read_more(&self.0, reader, wanted.files(), limits).map(Self)
    }

    /// The digest of the layer's blob.
    pub fn blob(&self) -> &Digest {
        &self.0.blob
    }

    /// Whether reading it was given up because it took too long: on another day it may not.
    pub fn ran_out_of_time(&self) -> bool {
        self.0.gaps.iter().any(|gap| gap.text.starts_with(source::TOO_SLOW))
    }

    /// The digest of its inflated bytes; `None` when not all of them could be inflated.
    pub fn diff_id(&self) -> Option<&Digest> {
        self.0.diff_id.as_ref()
    }

    /// How many bytes were inflated.
    pub fn inflated_bytes(&self) -> u64 {
        self.0.inflated_bytes
    }

    /// About how many bytes they take in memory.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    /// Nothing of the same layer but a gap that says in `text` why, so that the image that has it is
    /// incomplete.
    #[must_use]
    pub fn left_out(&self, text: &str) -> Self {
        Self(self.0.left_out(text))
    }

    /// Bytes to keep; none when they cannot be written.
    pub fn to_bytes(&self, limits: &Limits) -> Vec<u8> {
        self.0.to_bytes(limits)
    }

    /// What was kept of the layer with the digest `blob`. `None` when it has to be read anew: the bytes
    /// are damaged, of another format or another layer, or were made by other catalogers or under other
    /// bounds.
    pub fn from_bytes(bytes: &[u8], blob: &Digest, limits: &Limits) -> Option<Self> {
        Facts::from_bytes(bytes, blob, limits).map(Self)
    }

    pub(super) fn facts(&self) -> &Facts<FileKind> {
        &self.0
    }
}

/// Why a layer is not read on.
#[derive(Debug)]
enum Stop {
    /// Its fault.
    Gap(GapKind, String),
    /// The reader's.
    Source(io::Error),
}

impl Stop {
    fn limit(text: String) -> Self {
        Self::Gap(GapKind::Limit, text)
    }

    fn malformed(text: impl Into<String>) -> Self {
        Self::Gap(GapKind::Malformed, text.into())
    }
}
