//! What was learnt of a layer, and how it is kept.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::tree::{EntryId, Tree};
use super::tree_bytes;
use crate::oci::Digest;
use crate::scan::catalog::FileFacts;
use crate::scan::{GapKind, Limits};

/// Of the bytes below, to be raised when they change.
const FORMAT: u8 = 1;
/// Bytes of kept facts, inflated: many times what the bounds of reading let through.
const KEPT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const COMPRESSION_LEVEL: i32 = 3;
const HASH_BYTES: usize = 32;

/// What was learnt of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Facts<K> {
    pub(in crate::scan) blob: Digest,
    /// Of all inflated bytes; `None` when not all could be inflated.
    pub(in crate::scan) diff_id: Option<Digest>,
    pub(in crate::scan) inflated_bytes: u64,
    pub(in crate::scan) tree: Tree,
    /// What files say, by the entry that has their contents.
    pub(in crate::scan) files: BTreeMap<EntryId, Vec<Seen<K>>>,
    pub(in crate::scan) gaps: Vec<LayerGap>,
}

/// A file, read as what it is by one of its paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "K: Kind")]
pub(in crate::scan) struct Seen<K> {
    pub(in crate::scan) kind: K,
    pub(in crate::scan) path: String,
    pub(in crate::scan) facts: FileFacts,
}

/// Something of the layer itself that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct LayerGap {
    pub(in crate::scan) kind: GapKind,
    pub(in crate::scan) path: Option<String>,
    pub(in crate::scan) text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Kind")]
struct Kept<K> {
    blob: Digest,
    diff_id: Option<Digest>,
    inflated_bytes: u64,
    files: Vec<(EntryId, Vec<Seen<K>>)>,
    gaps: Vec<LayerGap>,
}

impl<K: Kind> Facts<K> {
    /// What a file says as a kind, read by this path if it was.
    pub(in crate::scan) fn seen(&self, entry: EntryId, kind: K, path: &str) -> Option<&Seen<K>> {
        let of_kind = self.files.get(&entry)?.iter().filter(|seen| seen.kind == kind);
        of_kind.min_by_key(|seen| seen.path != path)
    }

    /// Bytes that [`Self::from_bytes`] reads.
    pub(in crate::scan) fn to_bytes(&self, limits: &Limits) -> Vec<u8> {
        let files = self.files.iter().map(|(entry, seen)| (*entry, seen.clone())).collect();
        let kept = Kept {
            blob: self.blob,
            diff_id: self.diff_id,
            inflated_bytes: self.inflated_bytes,
            files,
            gaps: self.gaps.clone(),
        };
        // Neither fails: there are no maps with odd keys, and memory takes all writes.
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        let mut contents = u64::try_from(json.len()).unwrap_or(0).to_le_bytes().to_vec();
        contents.extend(json);
        tree_bytes::write(&self.tree, &mut contents);
        let packed = zstd::encode_all(contents.as_slice(), COMPRESSION_LEVEL).unwrap_or_default();
        let head = head(limits);
        [head.as_slice(), Digest::sha256(&packed).as_bytes(), &packed].concat()
    }

    /// `None` when the layer has to be read anew: the bytes are damaged, or of another format, or were
    /// made by other catalogers or under other bounds.
    pub(in crate::scan) fn from_bytes(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let rest = bytes.strip_prefix(head(limits).as_slice())?;
        let (hash, packed) = rest.split_at_checked(HASH_BYTES)?;
        if Digest::sha256(packed).as_bytes() != hash {
            return None;
        }
        let mut contents = Vec::new();
        let unpacking = zstd::Decoder::new(packed).ok()?;
        unpacking.take(KEPT_BYTES_MAX).read_to_end(&mut contents).ok()?;
        let (length, rest) = contents.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (json, tree) = rest.split_at_checked(length)?;
        let kept: Kept<K> = serde_json::from_slice(json).ok()?;
        Some(Self {
            blob: kept.blob,
            diff_id: kept.diff_id,
            inflated_bytes: kept.inflated_bytes,
            tree: tree_bytes::read(tree)?,
            files: kept.files.into_iter().collect(),
            gaps: kept.gaps,
        })
    }
}

/// The format, and what facts depend on beside the layer.
fn head(limits: &Limits) -> Vec<u8> {
    let mut head = vec![FORMAT];
    head.extend(limits.reading().as_bytes());
    head
}
