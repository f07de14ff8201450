//! The Merkle tree of RFC 6962: grown leaf by leaf in a few hashes of memory, and proofs of inclusion.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// What is hashed before a leaf, so that no leaf is taken for a node.
const LEAF: [u8; 1] = [0];
/// What is hashed before the two halves of a node.
const NODE: [u8; 1] = [1];

/// The hash of a node of the tree; in text, base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeHash([u8; 32]);

impl NodeHash {
    /// The raw hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash in `text`; `None` unless that is the base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for NodeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a base64 SHA-256"))
    }
}

/// The hash of a leaf that holds `content`.
pub fn leaf_hash(content: &[u8]) -> NodeHash {
    NodeHash(Sha256::new().chain_update(LEAF).chain_update(content).finalize().into())
}

fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let hasher = Sha256::new().chain_update(NODE).chain_update(left.0).chain_update(right.0);
    NodeHash(hasher.finalize().into())
}

/// A tree as far as it is needed to go on and to know its root: the roots of its complete subtrees,
/// at most 64 of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    /// Largest first: one for every bit that is set in `size`.
    subtrees: Vec<NodeHash>,
}

impl Tree {
    /// The tree of `size` leaves with those complete `subtrees`, largest first; `None` when there are
    /// not as many of them as such a tree has.
    pub fn resume(size: u64, subtrees: Vec<NodeHash>) -> Option<Self> {
        let fits = usize::try_from(size.count_ones()).is_ok_and(|count| count == subtrees.len());
        fits.then_some(Self { size, subtrees })
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first: all that [`resume`](Self::resume) takes.
    pub fn subtrees(&self) -> &[NodeHash] {
        &self.subtrees
    }

    /// The tree of those of its leaves; `None` when they are not some of its complete subtrees.
    fn part(&self, leaves: Range<u64>) -> Option<Self> {
        let mut begin = 0;
        let bits = (0..u64::BITS).rev().map(|bit| 1_u64 << bit).filter(|bit| self.size & bit != 0);
        let mut subtrees = Vec::new();
        for (length, subtree) in bits.zip(&self.subtrees) {
            if leaves.start <= begin && begin + length <= leaves.end {
                subtrees.push(*subtree);
            }
            begin += length;
        }
        Self::resume(leaves.end.checked_sub(leaves.start)?, subtrees)
    }

    /// Adds a leaf that holds `content`: one hash, and on average one more.
    pub fn push(&mut self, content: &[u8]) {
        let (mut node, mut size) = (leaf_hash(content), self.size);
        while size % 2 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            node = node_hash(&left, &node);
            size /= 2;
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> NodeHash {
        let mut from_the_right = self.subtrees.iter().rev();
        let Some(last) = from_the_right.next() else {
            return NodeHash(Sha256::digest(b"").into());
        };
        from_the_right.fold(*last, |root, left| node_hash(left, &root))
    }
}

/// A proof of inclusion in the making: that the leaf `index` is in the tree of the first `size` leaves.
/// All of these have to be shown to it, in order.
#[derive(Debug, Clone)]
pub struct Inclusion {
    size: u64,
    next: u64,
    /// The siblings on the way from the root down: which leaves each is the root of.
    siblings: Vec<(Range<u64>, Tree)>,
}

impl Inclusion {
    /// Begins one; `None` when there is no such leaf in such a tree.
    pub fn begin(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut part, mut siblings) = (0..size, Vec::new());
        while part.end - part.start > 1 {
            let middle = part.start + largest_power_below(part.end - part.start);
            let (left, right) = (part.start..middle, middle..part.end);
            let sibling;
            (part, sibling) = if index < middle { (left, right) } else { (right, left) };
            siblings.push((sibling, Tree::default()));
        }
        Some(Self { size, next: 0, siblings })
    }

    /// As [`begin`](Self::begin), with the leaves of `shown` shown to it already: their subtrees are enough.
    /// `None`, too, when the leaf is one of them, or there are more of them than `size`.
    pub fn begin_after(index: u64, size: u64, shown: &Tree) -> Option<Self> {
        let mut inclusion = Self::begin(index, size).filter(|_| shown.size() <= index)?;
        for (leaves, tree) in &mut inclusion.siblings {
            if leaves.start < shown.size() {
                *tree = shown.part(leaves.start..leaves.end.min(shown.size()))?;
            }
        }
        inclusion.next = shown.size();
        Some(inclusion)
    }

    /// Shows it the next leaf.
    pub fn push(&mut self, content: &[u8]) {
        let index = self.next;
        self.next += 1;
        let mut siblings = self.siblings.iter_mut();
        if let Some((_, tree)) = siblings.find(|(leaves, _)| leaves.contains(&index)) {
            tree.push(content);
        }
    }

    /// The proof, from the sibling of the leaf upwards; `None` when it was not shown every leaf.
    pub fn finish(self) -> Option<Vec<NodeHash>> {
        let siblings = self.siblings.iter().rev().map(|(_, tree)| tree.root()).collect();
        (self.next == self.size).then_some(siblings)
    }
}

/// The largest power of two that is less than `count`, which is at least 2.
fn largest_power_below(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Whether `proof` shows that the tree of `size` leaves with that `root` has a leaf that holds
/// `content` at `index`.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc9162#section-2.1.3.2>
pub fn verify_inclusion(
    content: &[u8],
    index: u64,
    size: u64,
    proof: &[NodeHash],
    root: &NodeHash,
) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut node) = (index, size - 1, leaf_hash(content));
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            node = node_hash(sibling, &node);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            node = node_hash(&node, sibling);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && node == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(hex: &str) -> NodeHash {
        NodeHash(hex::decode(hex).unwrap().try_into().unwrap())
    }

    /// The tree by its definition: the root of each half, hashed.
    fn defined(leaves: &[Vec<u8>]) -> NodeHash {
        match leaves {
            [] => NodeHash(Sha256::digest(b"").into()),
            [leaf] => leaf_hash(leaf),
            _ => {
                let count = u64::try_from(leaves.len()).unwrap();
                let middle = usize::try_from(largest_power_below(count)).unwrap();
                node_hash(&defined(&leaves[..middle]), &defined(&leaves[middle..]))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|number| number.to_be_bytes().to_vec()).collect()
    }

    #[test]
    fn a_proof_can_begin_after_any_leaves_of_which_only_the_subtrees_are_known() {
        for size in 1..40_u64 {
            let leaves = leaves(size);
            for index in 0..size {
                let place = usize::try_from(index).unwrap();
                let mut whole = Inclusion::begin(index, size).unwrap();
                for leaf in &leaves {
                    whole.push(leaf);
                }
                let whole = whole.finish().unwrap();
                let mut shown = Tree::default();
                for known in 0..=index {
                    let mut proof = Inclusion::begin_after(index, size, &shown).unwrap();
                    for leaf in leaves.iter().skip(usize::try_from(known).unwrap()) {
                        proof.push(leaf);
                    }
                    assert_eq!(proof.finish().unwrap(), whole, "{index} of {size} after {known}");
                    shown.push(&leaves[usize::try_from(known).unwrap()]);
                }
                assert!(Inclusion::begin_after(index, size, &shown).is_none());
                assert!(verify_inclusion(&leaves[place], index, size, &whole, &defined(&leaves)));
            }
        }
    }

    /// The vectors that the logs of Certificate Transparency are tested with.
    #[test]
    fn roots_are_those_of_the_known_vectors() {
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let mut tree = Tree::default();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tree.root(), hash(empty));
        for (input, root) in inputs.iter().zip([
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]) {
            tree.push(&hex::decode(input).unwrap());
            assert_eq!(tree.root(), hash(root), "of {} leaves", tree.size());
        }
    }

    #[test]
    fn growing_gives_the_tree_of_the_definition_and_goes_on_from_anywhere() {
        let mut tree = Tree::default();
        for count in 0..130_u64 {
            assert_eq!(tree.root(), defined(&leaves(count)), "of {count} leaves");
            let again = Tree::resume(count, tree.subtrees().to_vec()).unwrap();
            assert_eq!(again, tree);
            assert_eq!(Tree::resume(count + 1, tree.subtrees().to_vec()).is_some(), {
                count.count_ones() == (count + 1).count_ones()
            });
            tree.push(&count.to_be_bytes());
        }
    }

    #[test]
    fn every_leaf_of_every_tree_is_proved_and_nothing_else() {
        for size in 1..40_u64 {
            let root = defined(&leaves(size));
            for index in 0..size {
                let mut proving = Inclusion::begin(index, size).unwrap();
                for leaf in &leaves(size) {
                    proving.push(leaf);
                }
                let proof = proving.finish().unwrap();
                let content = index.to_be_bytes();
                assert!(verify_inclusion(&content, index, size, &proof, &root), "{index}/{size}");
                assert!(!verify_inclusion(b"x", index, size, &proof, &root));
                assert!(!verify_inclusion(&content, index + 1, size, &proof, &root));
                assert!(!verify_inclusion(&content, index, size, &proof, &leaf_hash(b"x")));
                let longer: Vec<NodeHash> = proof.iter().copied().chain([root]).collect();
                assert!(!verify_inclusion(&content, index, size, &longer, &root));
                if let Some((_, shorter)) = proof.split_first() {
                    assert!(!verify_inclusion(&content, index, size, shorter, &root));
                }
            }
        }
        assert!(Inclusion::begin(3, 3).is_none() && Inclusion::begin(0, 0).is_none());
        assert!(Inclusion::begin(0, 2).unwrap().finish().is_none(), "not shown every leaf");
    }
}
