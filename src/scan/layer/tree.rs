//! What a layer puts where: its files, links and whiteouts, packed. Children of a directory lie together
//! in the order of their names, so that one is found by halving.

use std::ops::Range;

/// A node by its place; the root is 0.
pub(in crate::scan) type NodeId = u32;

/// A file by the number of the entry that has its contents: hard links share it.
pub(in crate::scan) type EntryId = u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) enum Node<'a> {
    /// A directory; an opaque one hides what layers below have in it.
    Directory {
        opaque: bool,
    },
    /// A file; `is_link` when another entry than this one's has its contents.
    File {
        entry: EntryId,
        is_link: bool,
    },
    /// A hard link to a path that the layer itself does not have.
    LinkBelow(&'a [u8]),
    /// A device or a pipe.
    Special,
    Symlink(&'a [u8]),
    /// It hides what layers below have here.
    Whiteout,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::scan) struct Tree {
    texts: Vec<u8>,
    nodes: Vec<Packed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Packed {
    name: Span,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Directory { opaque: bool, first: u32, count: u32 },
    File { entry: u32, is_link: bool },
    LinkBelow(Span),
    Special,
    Symlink(Span),
    Whiteout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    length: u32,
}

impl Tree {
    pub(in crate::scan) const ROOT: NodeId = 0;

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.texts.len() + self.nodes.len() * size_of::<Packed>()
    }

    /// How many nodes it has, the root included.
    pub(in crate::scan) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(in crate::scan) fn name(&self, node: NodeId) -> &[u8] {
        self.packed(node).map_or(&[], |packed| self.text(packed.name))
    }

    pub(in crate::scan) fn node(&self, node: NodeId) -> Node<'_> {
        match self.packed(node).map(|packed| &packed.what) {
            Some(What::Directory { opaque, .. }) => Node::Directory { opaque: *opaque },
            Some(What::File { entry, is_link }) => Node::File { entry: *entry, is_link: *is_link },
            Some(What::LinkBelow(target)) => Node::LinkBelow(self.text(*target)),
            Some(What::Symlink(target)) => Node::Symlink(self.text(*target)),
            Some(What::Whiteout) => Node::Whiteout,
            Some(What::Special) | None => Node::Special,
        }
    }

    /// What is directly in a directory, in the order of names.
    pub(in crate::scan) fn children(&self, node: NodeId) -> Range<NodeId> {
        match self.packed(node).map(|packed| &packed.what) {
            Some(What::Directory { first, count, .. }) => *first..first.saturating_add(*count),
            _ => 0..0,
        }
    }

    pub(in crate::scan) fn child(&self, node: NodeId, name: &[u8]) -> Option<NodeId> {
        let Range { mut start, mut end } = self.children(node);
        while start < end {
            let middle = start + (end - start) / 2;
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        None
    }

    fn packed(&self, node: NodeId) -> Option<&Packed> {
        self.nodes.get(usize::try_from(node).ok()?)
    }

    fn text(&self, Span { start, length }: Span) -> &[u8] {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        self.texts.get(start..end).unwrap_or_default()
    }
}

/// Packs nodes that come directory by directory, from the root down: `children` of each directory in the
/// order in which the directories were added.
#[derive(Debug, Default)]
pub(in crate::scan) struct Packing {
    tree: Tree,
    /// The node that the next directory's children begin with.
    next: u32,
}

impl Packing {
    /// Adds a node; a directory comes with how many children it has. `None` when the tree would be too
    /// large to number, or is none.
    pub(in crate::scan) fn add(&mut self, name: &[u8], node: &Node<'_>, count: u32) -> Option<()> {
        if self.tree.nodes.is_empty() {
            self.next = 1;
        } else if u32::try_from(self.tree.nodes.len()).ok()? >= self.next {
            return None;
        }
        let what = match node {
            Node::Directory { opaque } => {
                let first = self.next;
                self.next = first.checked_add(count)?;
                What::Directory { opaque: *opaque, first, count }
            }
            Node::File { entry, is_link } => What::File { entry: *entry, is_link: *is_link },
            Node::LinkBelow(target) => What::LinkBelow(self.text(target)?),
            Node::Special => What::Special,
            Node::Symlink(target) => What::Symlink(self.text(target)?),
            Node::Whiteout => What::Whiteout,
        };
        let name = self.text(name)?;
        self.tree.nodes.push(Packed { name, what });
        Some(())
    }

    /// The tree, when all children were added that were announced.
    pub(in crate::scan) fn finish(mut self) -> Option<Tree> {
        self.tree.texts.shrink_to_fit();
        self.tree.nodes.shrink_to_fit();
        let is_whole = u32::try_from(self.tree.nodes.len()).ok()? == self.next;
        is_whole.then_some(self.tree)
    }

    fn text(&mut self, text: &[u8]) -> Option<Span> {
        let start = u32::try_from(self.tree.texts.len()).ok()?;
        let length = u32::try_from(text.len()).ok()?;
        self.tree.texts.extend_from_slice(text);
        Some(Span { start, length })
    }
}
