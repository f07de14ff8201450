//! What a layer's entries make, applied one after the other as containerd does over overlayfs.
//!
//! There a layer is unpacked into a directory of its own, which sees nothing of the layers below: links
//! that its paths go through are its own, and whiteouts only hide what is below. So what a layer makes
//! depends on it alone, and can be shared by all images that have it. Where the layer is not what a node
//! takes, or nodes are known to differ, it is [`Odd`], and a gap.

mod slots;
mod way;

use std::sync::Arc;

use self::slots::{Made, Slot, Slots};
use self::way::{Bounds, Way};
use super::Stop;
use super::tree::{EntryId, NodeId, Tree};
use crate::scan::{GapKind, Limits};

pub(in crate::scan) use self::way::cleaned;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bytes of a name, as file systems of nodes take it.
const NAME_BYTES_MAX: usize = 255;
/// A plain name may lead through one link with `..` in it; what a hard link leads to through none.
const LINKS_BEFORE_DOTS: usize = 1;

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
const DOTS_BEHIND_LINK: Odd =
    malformed("its path goes up behind a link, which nodes read differently");
const LINK_TO_DIRECTORY: Odd = malformed("it is a hard link to a directory");
const NAME_TOO_LONG: Odd = malformed("a name in its path has more bytes than nodes take");
const OPAQUE_AFTER: Odd =
    malformed("it comes after what is in its directory, which nodes read differently");
const ROOT_OPAQUE: Odd = malformed("the root is marked as opaque, which nodes read differently");
const TOO_DEEP: Odd = Odd(GapKind::Limit, "its path has more segments than path_depth");
const TOO_LONG: Odd = Odd(GapKind::Limit, "where it lies has more bytes than path_bytes");
const TOO_MANY_LINKS: Odd = Odd(GapKind::Limit, "its path goes through more links than links");
const WHITEOUT_AFTER: Odd =
    malformed("it is hidden by a whiteout of its own layer, which nodes read differently");
const WHITEOUT_NAME: Odd = malformed("it is a whiteout of nothing that could have a name");

/// A layer's own directory, while entries arrive.
#[derive(Debug)]
pub(super) struct Upper {
    slots: Slots,
    path_bytes_max: usize,
    bounds: Bounds,
}

impl Upper {
    pub(super) fn new(limits: &Limits) -> Self {
        let bounds = Bounds { depth_max: limits.path_depth, links_max: limits.links };
        Self { slots: Slots::new(limits.entries), path_bytes_max: limits.path_bytes, bounds }
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
        let way = match Way::follow(&self.slots, parents, LINKS_BEFORE_DOTS, self.bounds) {
            Ok(way) => way,
            Err(odd) => return Ok(Err(odd)),
        };
        let made = match base.strip_prefix(WHITEOUT) {
            Some(hidden) if *base != OPAQUE => hidden,
            Some(_) | None => base,
        };
        if let Err(odd) = self.check_room(&way, made) {
            return Ok(Err(odd));
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
    pub(super) fn path(&self, node: NodeId) -> Vec<u8> {
        self.slots.path(node)
    }

    /// The tree as it is now.
    ///
    /// # Errors
    /// When it is too large to be numbered.
    pub(super) fn pack(self) -> Result<Tree, Stop> {
        self.slots.pack()
    }

    /// Whether what is missing on the way, and a name at its end, are no longer and no deeper than may be.
    fn check_room(&self, way: &Way, base: &[u8]) -> Result<(), Odd> {
        let (depth, path_bytes) =
            self.slots.get(way.directory).map_or((0, 0), |slot| (slot.depth, slot.path_bytes));
        if way.missing.len() + depth >= self.bounds.depth_max {
            return Err(TOO_DEEP);
        }
        let mut bytes = path_bytes;
        for name in way.missing.iter().map(AsRef::as_ref).chain([base]) {
            if name.len() > NAME_BYTES_MAX {
                return Err(NAME_TOO_LONG);
            }
            bytes += name.len() + 1;
        }
        if bytes > self.path_bytes_max { Err(TOO_LONG) } else { Ok(()) }
    }

    fn put(
        &mut self,
        parent: NodeId,
        base: &[u8],
        item: &Item<'_>,
    ) -> Result<Result<Option<NodeId>, Odd>, Stop> {
        let name = self.slots.intern(base)?;
        let there = self.slots.child(parent, name);
        if let (Item::Directory, Some(there)) = (item, there)
            && self.slots.is_directory(there)
        {
            return Ok(Ok(Some(there)));
        }
        // Before anything is made, as on a node: what a link leads to may be what it replaces.
        self.slots.remove(parent, name);
        let made = match item {
            Item::Directory => Made::Directory { opaque: false, has_unnamed: false },
            Item::File(entry) => Made::File { entry: *entry, is_link: false },
            Item::HardLink(target) => match self.link(target) {
                Ok(made) => made,
                Err(odd) => return Ok(Err(odd)),
            },
            Item::Nothing => return Ok(Ok(None)),
            Item::Special => Made::Special,
            Item::Symlink(target) => Made::Symlink(Arc::from(*target)),
        };
        self.slots.make(parent, name, made).map(|node| Ok(Some(node)))
    }

    /// What a hard link becomes: another name of what its target is. Its path is not taken as text.
    fn link(&self, target: &[u8]) -> Result<Made, Odd> {
        let names = target.split(|byte| *byte == b'/');
        let path: Vec<&[u8]> = names.filter(|name| !matches!(*name, b"" | b".")).collect();
        let (base, parents) = path.split_last().ok_or(LINK_TO_DIRECTORY)?;
        if *base == b".." {
            return Err(LINK_TO_DIRECTORY);
        }
        let below = || Made::LinkBelow(Arc::from(target));
        let way = Way::follow(&self.slots, parents, 0, self.bounds)?;
        let node = if way.missing.is_empty() { self.slots.find(way.directory, base) } else { None };
        let Some(slot) = node.and_then(|node| self.slots.get(node)) else { return Ok(below()) };
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
        if let Some(Slot { made: Made::Directory { opaque, has_unnamed }, .. }) =
            self.slots.get_mut(directory)
        {
            // Where there is nothing below it, containerd removes what it does not remember having made.
            if *has_unnamed {
                return Err(OPAQUE_AFTER);
            }
            *opaque = true;
        }
        Ok(())
    }

    fn whiteout(&mut self, parent: NodeId, hidden: &[u8]) -> Result<Result<(), Odd>, Stop> {
        let name = self.slots.intern(hidden)?;
        let there = self.slots.child(parent, name).and_then(|there| self.slots.get(there));
        match there.map(|slot| &slot.made) {
            None => self.slots.make(parent, name, Made::Whiteout).map(|_| Ok(())),
            Some(Made::Whiteout) => Ok(Ok(())),
            Some(_) => Ok(Err(WHITEOUT_AFTER)),
        }
    }

    fn make_missing(&mut self, way: &Way) -> Result<NodeId, Stop> {
        let mut directory = way.directory;
        for name in &way.missing {
            directory = self.slots.make_unnamed(directory, name)?;
        }
        Ok(directory)
    }
}
