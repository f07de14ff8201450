//! The nodes of a layer's own directory, while entries arrive.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::Stop;
use super::super::tree::{EntryId, Node, NodeId, Packing, Tree};

/// Bytes of all names and link targets of a layer, and of all different names once more: what keeps its
/// tree small: what is made of it takes about four times as much. A million files with names of common
/// length have half of it.
const TEXT_BYTES_MAX: usize = 48 * 1024 * 1024;

pub(super) type Name = Arc<[u8]>;

#[derive(Debug)]
pub(super) enum Made {
    Directory {
        opaque: bool,
        /// Whether a directory was made somewhere below it that no entry had named until then.
        has_unnamed: bool,
    },
    File {
        entry: EntryId,
        is_link: bool,
    },
    LinkBelow(Name),
    Special,
    Symlink(Name),
    Whiteout,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) parent: NodeId,
    name: u32,
    /// Segments of its path.
    pub(super) depth: usize,
    /// Bytes of its path.
    pub(super) path_bytes: usize,
    pub(super) made: Made,
}

/// All of them, with those that were removed since.
#[derive(Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    children: HashMap<(NodeId, u32), NodeId>,
    names: Vec<Name>,
    name_ids: HashMap<Name, u32>,
    text_bytes: usize,
    nodes_max: u64,
}

impl Slots {
    pub(super) fn new(nodes_max: u64) -> Self {
        let made = Made::Directory { opaque: false, has_unnamed: false };
        Self {
            all: vec![Slot { parent: 0, name: 0, depth: 0, path_bytes: 0, made }],
            children: HashMap::new(),
            names: vec![Arc::from(&b""[..])],
            name_ids: HashMap::new(),
            text_bytes: 0,
            nodes_max,
        }
    }

    /// The path of a node, without a leading slash.
    pub(super) fn path(&self, mut node: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        while let Some(slot) = self.get(node).filter(|_| node != Tree::ROOT) {
            names.push(self.name(slot.name));
            node = slot.parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The tree as it is now; nothing is left here.
    ///
    /// # Errors
    /// When it is too large to be numbered.
    pub(super) fn pack(mut self) -> Result<Tree, Stop> {
        let mut by_parent = self.living();
        // Nobody looks anything up any more, and the tree takes its own room.
        (self.children, self.name_ids) = (HashMap::new(), HashMap::new());
        by_parent.sort_unstable_by(|one, other| {
            let key =
                |node: &NodeId| self.get(*node).map(|slot| (slot.parent, self.name(slot.name)));
            key(one).cmp(&key(other))
        });
        let mut queue = VecDeque::from([Tree::ROOT]);
        let mut packing = Packing::default();
        while let Some(node) = queue.pop_front() {
            let parent_of = |child: &NodeId| self.get(*child).map(|slot| slot.parent);
            let first = by_parent.partition_point(|child| parent_of(child) < Some(node));
            let children = by_parent.get(first..).unwrap_or_default();
            let count = children.partition_point(|child| parent_of(child) == Some(node));
            queue.extend(children.iter().take(count));
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let slot = self.get(node).ok_or_else(too_large)?;
            packing.add(self.name(slot.name), &slot.made.as_node(), count).ok_or_else(too_large)?;
        }
        packing.finish().ok_or_else(too_large)
    }

    /// All nodes but the root that were not removed, neither alone nor with a directory above them.
    fn living(&self) -> Vec<NodeId> {
        let mut is_alive = vec![true; self.all.len().min(1)];
        let mut living = Vec::new();
        for (index, slot) in self.all.iter().enumerate().skip(1) {
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

    pub(super) fn make(&mut self, parent: NodeId, name: u32, made: Made) -> Result<NodeId, Stop> {
        let node = NodeId::try_from(self.all.len()).map_err(|_| too_large())?;
        if u64::from(node) > self.nodes_max {
            return Err(Stop::limit(format!("it has more than entries = {}", self.nodes_max)));
        }
        let name_bytes = self.name(name).len();
        self.count_text(name_bytes + made.text().len())?;
        let (depth, above) = self.get(parent).map_or((0, 0), |slot| (slot.depth, slot.path_bytes));
        let path_bytes = above + name_bytes + 1;
        self.all.push(Slot { parent, name, depth: depth + 1, path_bytes, made });
        self.children.insert((parent, name), node);
        Ok(node)
    }

    /// Makes a directory that no entry named: containerd remembers only those that one did.
    pub(super) fn make_unnamed(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId, Stop> {
        let name = self.intern(name)?;
        let made = Made::Directory { opaque: false, has_unnamed: false };
        let node = self.make(parent, name, made)?;
        let mut above = parent;
        while let Some(Slot { parent, made: Made::Directory { has_unnamed, .. }, .. }) =
            self.get_mut(above)
        {
            // All above it are marked, too.
            if std::mem::replace(has_unnamed, true) || above == Tree::ROOT {
                break;
            }
            above = *parent;
        }
        Ok(node)
    }

    pub(super) fn remove(&mut self, parent: NodeId, name: u32) {
        self.children.remove(&(parent, name));
    }

    pub(super) fn find(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.child(parent, *self.name_ids.get(name)?)
    }

    pub(super) fn child(&self, parent: NodeId, name: u32) -> Option<NodeId> {
        self.children.get(&(parent, name)).copied()
    }

    pub(super) fn is_directory(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|slot| matches!(slot.made, Made::Directory { .. }))
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Slot> {
        self.all.get(usize::try_from(node).ok()?)
    }

    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut Slot> {
        self.all.get_mut(usize::try_from(node).ok()?)
    }

    fn name(&self, name: u32) -> &[u8] {
        let name = usize::try_from(name).ok().and_then(|name| self.names.get(name));
        name.map_or(&[], AsRef::as_ref)
    }

    /// The number of a name.
    ///
    /// # Errors
    /// When there are more than can be kept.
    pub(super) fn intern(&mut self, name: &[u8]) -> Result<u32, Stop> {
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

impl Made {
    fn as_node(&self) -> Node<'_> {
        match self {
            Self::Directory { opaque, .. } => Node::Directory { opaque: *opaque },
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

fn too_large() -> Stop {
    Stop::limit("it has more files than can be numbered".to_owned())
}
