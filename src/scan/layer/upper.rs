//! What a layer's entries make, applied one after the other as containerd does over overlayfs.
//!
//! There a layer is unpacked into a directory of its own, which sees nothing of the layers below: links
//! that its paths go through are its own, and whiteouts only hide what is below. So what a layer makes
//! depends on it alone, and can be shared by all images that have it. Where the layer is not what a node
//! takes, or nodes are known to differ, it is [`Odd`], and a gap.

use std::collections::HashMap;
use std::sync::Arc;

use super::Stop;
use super::tree::{EntryId, Node, NodeId, Packing, Tree};
use crate::scan::{GapKind, Limits};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bytes of all names and link targets of a layer, and of all different names once more: what keeps its
/// tree small. A million files with names of common length have a quarter of it.
const TEXT_BYTES_MAX: usize = 96 * 1024 * 1024;

type Name = Arc<[u8]>;

/// What an entry is to become.
#[derive(Debug, Clone)]
pub(super) enum Item<'a> {
    Directory,
    File(EntryId),
    HardLink(&'a [u8]),
    /// Nothing; what is in its place goes all the same.
    Nothing,
    Special,
    Symlink(&'a [u8]),
}

/// Why an entry is not what nodes take, or not what all nodes read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odd(pub(super) GapKind, pub(super) &'static str);

const fn malformed(text: &'static str) -> Odd {
    Odd(GapKind::Malformed, text)
}

const BELOW_FILE: Odd = malformed("something above it is no directory");
const LINK_TO_DIRECTORY: Odd = malformed("it is a hard link to a directory");
const ROOT_OPAQUE: Odd = malformed("the root is marked as opaque, which nodes read differently");
const TOO_DEEP: Odd = Odd(GapKind::Limit, "its path has more segments than path_depth");
const TOO_MANY_LINKS: Odd = Odd(GapKind::Limit, "its path goes through more links than links");
const WHITEOUT_AFTER: Odd =
    malformed("it is hidden by a whiteout of its own layer, which nodes read differently");
const WHITEOUT_NAME: Odd = malformed("it is a whiteout of nothing that could have a name");

#[derive(Debug)]
enum Made {
    Directory { opaque: bool },
    File { entry: EntryId, is_link: bool },
    LinkBelow(Name),
    Special,
    Symlink(Name),
    Whiteout,
}

#[derive(Debug)]
struct Slot {
    parent: NodeId,
    name: u32,
    depth: usize,
    made: Made,
}

/// A layer's own directory, while entries arrive.
#[derive(Debug)]
pub(super) struct Upper {
    slots: Vec<Slot>,
    children: HashMap<(NodeId, u32), NodeId>,
    names: Vec<Name>,
    name_ids: HashMap<Name, u32>,
    text_bytes: usize,
    nodes_max: u64,
    depth_max: usize,
    links_max: usize,
}

/// Where a path leads: the directory that exists, and the names below it that do not.
struct Way {
    directory: NodeId,
    missing: Vec<Name>,
}

impl Upper {
    pub(super) fn new(limits: &Limits) -> Self {
        let root = Slot { parent: 0, name: 0, depth: 0, made: Made::Directory { opaque: false } };
        Self {
            slots: vec![root],
            children: HashMap::new(),
            names: vec![Arc::from(&b""[..])],
            name_ids: HashMap::new(),
            text_bytes: 0,
            nodes_max: limits.entries,
            depth_max: limits.path_depth,
            links_max: limits.links,
        }
    }

    /// Applies an entry, and says which node it became: none for whiteouts and the root.
    ///
    /// # Errors
    /// When the layer has more than can be kept of it. That an entry is odd is told beside.
    pub(super) fn apply(
        &mut self,
        name: &[u8],
        item: &Item<'_>,
    ) -> Result<Result<Option<NodeId>, Odd>, Stop> {
        let path = cleaned(name);
        let Some((base, parents)) = path.split_last() else { return Ok(Ok(None)) };
        let way = match self.walk(parents) {
            Ok(way) => way,
            Err(odd) => return Ok(Err(odd)),
        };
        if way.missing.len() + self.depth(way.directory) >= self.depth_max {
            return Ok(Err(TOO_DEEP));
        }
        let parent = self.make_missing(&way)?;
        if *base == OPAQUE {
            return Ok(self.mark_opaque(parent).map(|()| None));
        }
        match base.strip_prefix(WHITEOUT) {
            Some(b"" | b"." | b"..") => Ok(Err(WHITEOUT_NAME)),
            Some(hidden) => Ok(self.whiteout(parent, hidden)?.map(|()| None)),
            None => self.put(parent, base, item),
        }
    }

    /// The path of a node, without a leading slash.
    pub(super) fn path(&self, mut node: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        while let Some(slot) = self.slot(node).filter(|_| node != Tree::ROOT) {
            names.push(self.name(slot.name));
            node = slot.parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The tree as it is now.
    ///
    /// # Errors
    /// When it is too large to be numbered.
    pub(super) fn pack(&self) -> Result<Tree, Stop> {
        let mut by_parent = self.living();
        by_parent.sort_unstable_by(|one, other| {
            let key =
                |node: &NodeId| self.slot(*node).map(|slot| (slot.parent, self.name(slot.name)));
            key(one).cmp(&key(other))
        });
        let mut queue = std::collections::VecDeque::from([Tree::ROOT]);
        let mut packing = Packing::default();
        while let Some(node) = queue.pop_front() {
            let parent_of = |child: &NodeId| self.slot(*child).map(|slot| slot.parent);
            let first = by_parent.partition_point(|child| parent_of(child) < Some(node));
            let children = by_parent.get(first..).unwrap_or_default();
            let count = children.partition_point(|child| parent_of(child) == Some(node));
            queue.extend(children.iter().take(count));
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let slot = self.slot(node).ok_or_else(too_large)?;
            packing.add(self.name(slot.name), &slot.made.as_node(), count).ok_or_else(too_large)?;
        }
        packing.finish().ok_or_else(too_large)
    }

    /// All nodes but the root that were not removed, neither alone nor with a directory above them.
    fn living(&self) -> Vec<NodeId> {
        let mut is_alive = vec![true; self.slots.len().min(1)];
        let mut living = Vec::new();
        for (index, slot) in self.slots.iter().enumerate().skip(1) {
            let parent = usize::try_from(slot.parent).unwrap_or(usize::MAX);
            let node = NodeId::try_from(index).unwrap_or(NodeId::MAX);
            // A parent is always made before its children.
            let alive = is_alive.get(parent) == Some(&true)
                && self.children.get(&(slot.parent, slot.name)) == Some(&node);
            is_alive.push(alive);
            if alive {
                living.push(node);
            }
        }
        living
    }

    fn put(
        &mut self,
        parent: NodeId,
        base: &[u8],
        item: &Item<'_>,
    ) -> Result<Result<Option<NodeId>, Odd>, Stop> {
        let name = self.intern(base)?;
        let there = self.child(parent, name);
        if let (Item::Directory, Some(there)) = (item, there)
            && self.is_directory(there)
        {
            return Ok(Ok(Some(there)));
        }
        // Before anything is made, as on a node: what a link leads to may be what it replaces.
        self.children.remove(&(parent, name));
        let made = match item {
            Item::Directory => Made::Directory { opaque: false },
            Item::File(entry) => Made::File { entry: *entry, is_link: false },
            Item::HardLink(target) => match self.link(target) {
                Ok(made) => made,
                Err(odd) => return Ok(Err(odd)),
            },
            Item::Nothing => return Ok(Ok(None)),
            Item::Special => Made::Special,
            Item::Symlink(target) => Made::Symlink(Arc::from(*target)),
        };
        self.make(parent, name, made).map(|node| Ok(Some(node)))
    }

    /// What a hard link becomes: another name of what its target is.
    fn link(&self, target: &[u8]) -> Result<Made, Odd> {
        let path = cleaned(target);
        let (base, parents) = path.split_last().ok_or(LINK_TO_DIRECTORY)?;
        let below = || Made::LinkBelow(Arc::from(target));
        let way = self.walk(parents)?;
        let node = if way.missing.is_empty() { self.find(way.directory, base) } else { None };
        let Some(slot) = node.and_then(|node| self.slot(node)) else { return Ok(below()) };
        Ok(match &slot.made {
            Made::Directory { .. } => return Err(LINK_TO_DIRECTORY),
            Made::File { entry, .. } => Made::File { entry: *entry, is_link: true },
            Made::LinkBelow(target) => Made::LinkBelow(Arc::clone(target)),
            Made::Special | Made::Whiteout => Made::Special,
            Made::Symlink(target) => Made::Symlink(Arc::clone(target)),
        })
    }

    fn mark_opaque(&mut self, directory: NodeId) -> Result<(), Odd> {
        if directory == Tree::ROOT {
            return Err(ROOT_OPAQUE);
        }
        if let Some(Slot { made: Made::Directory { opaque }, .. }) = self.slot_mut(directory) {
            *opaque = true;
        }
        Ok(())
    }

    fn whiteout(&mut self, parent: NodeId, hidden: &[u8]) -> Result<Result<(), Odd>, Stop> {
        let name = self.intern(hidden)?;
        match self.child(parent, name).and_then(|there| self.slot(there)).map(|slot| &slot.made) {
            None => self.make(parent, name, Made::Whiteout).map(|_| Ok(())),
            Some(Made::Whiteout) => Ok(Ok(())),
            Some(_) => Ok(Err(WHITEOUT_AFTER)),
        }
    }

    fn make_missing(&mut self, way: &Way) -> Result<NodeId, Stop> {
        let mut directory = way.directory;
        for name in &way.missing {
            let name = self.intern(name)?;
            directory = self.make(directory, name, Made::Directory { opaque: false })?;
        }
        Ok(directory)
    }

    fn make(&mut self, parent: NodeId, name: u32, made: Made) -> Result<NodeId, Stop> {
        let node = NodeId::try_from(self.slots.len()).map_err(|_| too_large())?;
        if u64::from(node) > self.nodes_max {
            return Err(Stop::limit(format!("it has more than entries = {}", self.nodes_max)));
        }
        self.count_text(self.name(name).len() + made.text().len())?;
        let depth = self.depth(parent) + 1;
        self.slots.push(Slot { parent, name, depth, made });
        self.children.insert((parent, name), node);
        Ok(node)
    }

    /// Follows a path of directories, through links of the layer's own.
    fn walk(&self, path: &[&[u8]]) -> Result<Way, Odd> {
        let mut way = Way { directory: Tree::ROOT, missing: Vec::new() };
        let mut links = 0;
        let mut pending: Vec<&[u8]> = path.iter().rev().copied().collect();
        while let Some(name) = pending.pop() {
            match name {
                b"" | b"." => continue,
                b".." => {
                    way.up(self);
                    continue;
                }
                _ => {}
            }
            let there = if way.missing.is_empty() { self.find(way.directory, name) } else { None };
            let Some(there) = there else {
                way.missing.push(Arc::from(name));
                if way.missing.len() > self.depth_max {
                    return Err(TOO_DEEP);
                }
                continue;
            };
            match self.slot(there).map(|slot| &slot.made) {
                Some(Made::Directory { .. }) => way.directory = there,
                Some(Made::Symlink(target)) => {
                    links += 1;
                    if links > self.links_max {
                        return Err(TOO_MANY_LINKS);
                    }
                    if target.starts_with(b"/") {
                        way.directory = Tree::ROOT;
                    }
                    pending.extend(target.split(|byte| *byte == b'/').rev());
                }
                _ => return Err(BELOW_FILE),
            }
        }
        Ok(way)
    }

    fn find(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.child(parent, *self.name_ids.get(name)?)
    }

    fn child(&self, parent: NodeId, name: u32) -> Option<NodeId> {
        self.children.get(&(parent, name)).copied()
    }

    fn is_directory(&self, node: NodeId) -> bool {
        self.slot(node).is_some_and(|slot| matches!(slot.made, Made::Directory { .. }))
    }

    fn depth(&self, node: NodeId) -> usize {
        self.slot(node).map_or(0, |slot| slot.depth)
    }

    fn slot(&self, node: NodeId) -> Option<&Slot> {
        self.slots.get(usize::try_from(node).ok()?)
    }

    fn slot_mut(&mut self, node: NodeId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(node).ok()?)
    }

    fn name(&self, name: u32) -> &[u8] {
        let name = usize::try_from(name).ok().and_then(|name| self.names.get(name));
        name.map_or(&[], AsRef::as_ref)
    }

    fn intern(&mut self, name: &[u8]) -> Result<u32, Stop> {
        if let Some(id) = self.name_ids.get(name) {
            return Ok(*id);
        }
        self.count_text(name.len())?;
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Name = Arc::from(name);
        self.names.push(Arc::clone(&name));
        self.name_ids.insert(name, id);
        Ok(id)
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), Stop> {
        self.text_bytes += bytes;
        if self.text_bytes <= TEXT_BYTES_MAX {
            return Ok(());
        }
        Err(Stop::limit(format!("its names and links have more than {TEXT_BYTES_MAX} bytes")))
    }
}

impl Way {
    fn up(&mut self, upper: &Upper) {
        if self.missing.pop().is_none() {
            self.directory = upper.slot(self.directory).map_or(Tree::ROOT, |slot| slot.parent);
        }
    }
}

impl Made {
    fn as_node(&self) -> Node<'_> {
        match self {
            Self::Directory { opaque } => Node::Directory { opaque: *opaque },
            Self::File { entry, is_link } => Node::File { entry: *entry, is_link: *is_link },
            Self::LinkBelow(target) => Node::LinkBelow(target),
            Self::Special => Node::Special,
            Self::Symlink(target) => Node::Symlink(target),
            Self::Whiteout => Node::Whiteout,
        }
    }

    fn text(&self) -> &[u8] {
        match self {
            Self::LinkBelow(text) | Self::Symlink(text) => text,
            Self::Directory { .. } | Self::File { .. } | Self::Special | Self::Whiteout => &[],
        }
    }
}

/// The segments of a path, with `..` taken as text and held at the root.
pub(in crate::scan) fn cleaned(path: &[u8]) -> Vec<&[u8]> {
    let mut segments = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    segments
}

fn too_large() -> Stop {
    Stop::limit("it has more files than can be numbered".to_owned())
}
