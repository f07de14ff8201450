//! What was learnt of a layer, and how it is kept.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::budget;
use super::kind::Kind;
use super::tree::{EntryId, Tree};
use super::tree_bytes;
use crate::oci::Digest;
use crate::scan::catalog::FileFacts;
use crate::scan::{GapKind, Limits};

/// Of the bytes below, to be raised when they change.
const FORMAT: u8 = 2;
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
    /// Empty where it counts as that only if a link leads to it.
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

/// What is kept beside the tree, as it is read.
#[derive(Deserialize)]
#[serde(bound = "K: Kind")]
struct Kept<K> {
    blob: Digest,
    diff_id: Option<Digest>,
    inflated_bytes: u64,
    files: Vec<(EntryId, Vec<Seen<K>>)>,
    gaps: Vec<LayerGap>,
}

/// The same, as it is written: nothing is copied for it.
#[derive(Serialize)]
#[serde(bound = "K: Kind")]
struct Keeping<'a, K> {
    blob: &'a Digest,
    diff_id: &'a Option<Digest>,
    inflated_bytes: u64,
    #[serde(serialize_with = "as_pairs")]
    files: &'a BTreeMap<EntryId, Vec<Seen<K>>>,
    gaps: &'a [LayerGap],
}

fn as_pairs<K: Kind, S: Serializer>(
    files: &BTreeMap<EntryId, Vec<Seen<K>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut pairs = serializer.serialize_seq(Some(files.len()))?;
    for pair in files {
        pairs.serialize_element(&pair)?;
    }
    pairs.end()
}

impl<K: Kind> Facts<K> {
    /// What a file says as a kind, read by this path if it was, else by another with the same last name:
    /// some kinds are told by it whose they are.
    pub(in crate::scan) fn seen(&self, entry: EntryId, kind: K, path: &str) -> Option<&Seen<K>> {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let name = last(path);
        let of_kind = self.files.get(&entry)?.iter();
        let of_kind = of_kind.filter(|seen| seen.kind == kind && last(&seen.path) == name);
        of_kind.min_by_key(|seen| seen.path != path)
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.tree.weight() + self.files.values().flatten().map(budget::weight).sum::<usize>()
    }

    /// Of the same layer nothing but why it is left out.
    pub(super) fn left_out(&self, text: &str) -> Self {
        let gap = LayerGap { kind: GapKind::Limit, path: None, text: text.to_owned() };
        let (tree, files) = (Tree::default(), BTreeMap::new());
        let Self { blob, diff_id, inflated_bytes, .. } = *self;
        Self { blob, diff_id, inflated_bytes, tree, files, gaps: vec![gap] }
    }

    /// Bytes that [`Self::from_bytes`] reads. Should they not be written, there are none, and the layer is
    /// read anew.
    pub(in crate::scan) fn to_bytes(&self, limits: &Limits) -> Vec<u8> {
        let head = head(limits);
        let start = head.len() + HASH_BYTES;
        let mut bytes = head;
        bytes.resize(start, 0);
        let Ok(mut bytes) = self.pack(bytes) else { return Vec::new() };
        let hash = Digest::sha256(bytes.get(start..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(start - HASH_BYTES..start) {
            place.copy_from_slice(hash.as_bytes());
        }
        bytes
    }

    /// Writes what is kept behind `bytes`, compressed: the tree after its length, then the rest.
    fn pack(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut packing = zstd::Encoder::new(bytes, COMPRESSION_LEVEL)?;
        let mut tree = Vec::new();
        tree_bytes::write(&self.tree, &mut tree);
        packing.write_all(&u64::try_from(tree.len()).unwrap_or(0).to_le_bytes())?;
        packing.write_all(&tree)?;
        drop(tree);
        let keeping = Keeping {
            blob: &self.blob,
            diff_id: &self.diff_id,
            inflated_bytes: self.inflated_bytes,
            files: &self.files,
            gaps: &self.gaps,
        };
        serde_json::to_writer(&mut packing, &keeping)?;
        packing.finish()
    }

    /// `None` when the layer has to be read anew: the bytes are damaged, or of another format or another
    /// blob, or were made by other catalogers or under other bounds.
    pub(in crate::scan) fn from_bytes(
        bytes: &[u8],
        blob: &Digest,
        limits: &Limits,
    ) -> Option<Self> {
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
        let (tree, json) = rest.split_at_checked(length)?;
        let kept: Kept<K> = serde_json::from_slice(json).ok()?;
        (kept.blob == *blob).then_some(Self {
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
