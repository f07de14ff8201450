//! The merged view of an image's layers, as overlayfs shows it, without building it: a directory is the
//! directories of its layers, and what is in it is looked up from the top.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use super::super::layer::{EntryId, Facts, Kind, Node, NodeId, Tree, cleaned};

/// Look-ups in layers for one image: what keeps links that lead on and on from taking all day. Tests
/// reach it sooner.
const STEPS_MAX: u64 = if cfg!(test) { 500_000 } else { 50_000_000 };
/// Layers from which on what is in a directory is merged once and kept, and not looked up in each.
const KEPT_FROM: usize = 3;

/// A directory of the view.
#[derive(Debug, Clone)]
pub(super) struct Directory<'a>(Rc<Stack<'a>>);

#[derive(Debug)]
struct Stack<'a> {
    /// What layers have there, the uppermost first.
    nodes: Vec<(usize, NodeId)>,
    /// All that is in it, once it was merged.
    merged: OnceCell<Vec<Child<'a>>>,
    /// Whether that is kept: it is where many paths go through it.
    is_kept: bool,
}

type Child<'a> = (&'a [u8], Item<'a>);

impl Directory<'_> {
    fn new(nodes: Vec<(usize, NodeId)>, is_kept: bool) -> Self {
        let is_kept = is_kept && nodes.len() >= KEPT_FROM;
        Self(Rc::new(Stack { nodes, merged: OnceCell::new(), is_kept }))
    }

    /// The root of all layers below one.
    fn roots(layer: usize, is_kept: bool) -> Self {
        Self::new((0..layer).rev().map(|layer| (layer, Tree::ROOT)).collect(), is_kept)
    }
}

/// A file of the view: the layer that has its contents, and the entry there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct File {
    pub(super) layer: usize,
    pub(super) entry: EntryId,
}

#[derive(Debug, Clone)]
pub(super) enum Item<'a> {
    Directory(Directory<'a>),
    /// A file; `is_link` when it has other names.
    File {
        file: File,
        is_link: bool,
    },
    /// A hard link to a path of the layers below this one.
    LinkBelow {
        layer: usize,
        target: &'a [u8],
    },
    Special,
    Symlink(&'a [u8]),
}

/// Why a path leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// A link leads to what is not there.
    Dangling,
    /// There is no such thing.
    Nothing,
    /// It goes through more links than are followed.
    TooManyLinks,
}

/// What a path leads to, and where that really is.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) path: Vec<u8>,
    pub(super) item: Item<'a>,
}

pub(super) struct View<'a, K> {
    layers: Vec<&'a Facts<K>>,
    root: Directory<'a>,
    links_max: usize,
    steps: Cell<u64>,
}

impl<'a, K: Kind> View<'a, K> {
    /// Of layers with the lowest first.
    pub(super) fn new(layers: Vec<&'a Facts<K>>, links_max: usize) -> Self {
        let root = Directory::roots(layers.len(), true);
        Self { layers, root, links_max, steps: Cell::new(0) }
    }

    pub(super) fn layer(&self, layer: usize) -> Option<&'a Facts<K>> {
        self.layers.get(layer).copied()
    }

    pub(super) fn root(&self) -> Directory<'a> {
        self.root.clone()
    }

    /// Whether nothing more is looked up, because too much was.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() > STEPS_MAX
    }

    /// What a path leads to, links followed to the end.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Target<'a>, Missing> {
        self.walk(self.root(), path, true)
    }

    /// What an item is when hard links to layers below are followed: none to a directory, or to nothing.
    pub(super) fn settled(&self, item: Item<'a>) -> Option<Item<'a>> {
        let mut item = item;
        while let Item::LinkBelow { layer, target } = item {
            // Each step leads to a lower layer.
            item = self.walk(Directory::roots(layer, false), target, false).ok()?.item;
        }
        (!matches!(item, Item::Directory(_))).then_some(item)
    }

    /// All that is in a directory, in the order of names.
    pub(super) fn children(&self, Directory(stack): &Directory<'a>) -> Vec<Child<'a>> {
        if !stack.is_kept {
            return self.merge(stack);
        }
        let children = self.kept(stack);
        self.count(u64::try_from(children.len()).unwrap_or(u64::MAX));
        if self.is_exhausted() { Vec::new() } else { children.to_vec() }
    }

    fn child(&self, Directory(stack): &Directory<'a>, name: &[u8]) -> Option<Item<'a>> {
        self.count(1);
        if stack.is_kept {
            let children = self.kept(stack);
            let at = children.binary_search_by_key(&name, |(name, _)| name).ok()?;
            return children.get(at).map(|(_, item)| item.clone());
        }
        self.count(u64::try_from(stack.nodes.len()).unwrap_or(u64::MAX));
        if self.is_exhausted() {
            return None;
        }
        let found = stack.nodes.iter().filter_map(|(layer, node)| {
            Some((*layer, self.layer(*layer)?.tree.child(*node, name)?))
        });
        self.uppermost(found, stack.is_kept)
    }

    fn kept<'s>(&self, stack: &'s Stack<'a>) -> &'s [Child<'a>] {
        if self.is_exhausted() {
            return &[];
        }
        stack.merged.get_or_init(|| self.merge(stack))
    }

    fn merge(&self, stack: &Stack<'a>) -> Vec<Child<'a>> {
        let mut nodes = Vec::new();
        for (layer, node) in &stack.nodes {
            let Some(facts) = self.layer(*layer) else { continue };
            let children = facts.tree.children(*node);
            self.count(u64::from(children.end - children.start));
            if self.is_exhausted() {
                return Vec::new();
            }
            nodes.extend(children.map(|child| (facts.tree.name(child), *layer, child)));
        }
        // Stable: of one name, the uppermost layer stays first.
        nodes.sort_by_key(|(name, _, _)| *name);
        let groups = nodes.chunk_by(|one, other| one.0 == other.0);
        let merged = groups.filter_map(|group| {
            let name = group.first()?.0;
            let nodes = group.iter().map(|(_, layer, node)| (*layer, *node));
            Some((name, self.uppermost(nodes, stack.is_kept)?))
        });
        merged.collect()
    }

    /// What is seen of nodes of one name, the uppermost first.
    fn uppermost(
        &self,
        nodes: impl Iterator<Item = (usize, NodeId)>,
        is_kept: bool,
    ) -> Option<Item<'a>> {
        let mut directories = Vec::new();
        for (layer, id) in nodes {
            let found = match self.layer(layer)?.tree.node(id) {
                Node::Directory { opaque } => {
                    directories.push((layer, id));
                    if opaque {
                        break;
                    }
                    continue;
                }
                // A directory hides what is none in the layers below it, and all that is below that.
                _ if !directories.is_empty() => break,
                Node::Whiteout => return None,
                Node::File { entry, is_link } => {
                    Item::File { file: File { layer, entry }, is_link }
                }
                Node::LinkBelow(target) => Item::LinkBelow { layer, target },
                Node::Special => Item::Special,
                Node::Symlink(target) => Item::Symlink(target),
            };
            return Some(found);
        }
        if directories.is_empty() {
            return None;
        }
        Some(Item::Directory(Directory::new(directories, is_kept)))
    }

    fn walk(
        &self,
        root: Directory<'a>,
        path: &[u8],
        follows_last: bool,
    ) -> Result<Target<'a>, Missing> {
        let cleaned = cleaned(path);
        let mut pending: Vec<(&[u8], bool)> =
            cleaned.iter().rev().map(|name| (*name, false)).collect();
        let mut above: Vec<(Directory<'a>, Vec<u8>)> = vec![(root, Vec::new())];
        let mut links = 0;
        while let Some((name, by_link)) = pending.pop() {
            let Some((here, _)) = above.last() else { return Err(Missing::Nothing) };
            let none = if by_link { Missing::Dangling } else { Missing::Nothing };
            match name {
                b"" | b"." => continue,
                b".." => {
                    above.truncate(above.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let item = match self.child(here, name).ok_or(none)? {
                Item::Directory(directory) => {
                    above.push((directory, name.to_vec()));
                    continue;
                }
                // One to a link that leads to a directory is a gap where it is met itself.
                Item::LinkBelow { .. } if !pending.is_empty() => return Err(none),
                item @ Item::LinkBelow { .. } if follows_last => self.settled(item).ok_or(none)?,
                item @ (Item::File { .. }
                | Item::LinkBelow { .. }
                | Item::Special
                | Item::Symlink(_)) => item,
            };
            if let Item::Symlink(target) = item
                && (follows_last || !pending.is_empty())
            {
                links += 1;
                if links > self.links_max {
                    return Err(Missing::TooManyLinks);
                }
                if target.starts_with(b"/") {
                    above.truncate(1);
                }
                let names = target.split(|byte| *byte == b'/').rev();
                pending.extend(names.map(|name| (name, true)));
                continue;
            }
            // Slashes and dots at the end of a link's target lead nowhere further.
            if pending.iter().any(|(name, _)| !matches!(*name, b"" | b".")) {
                return Err(none);
            }
            return Ok(Target { path: joined(&above, Some(name)), item });
        }
        let path = joined(&above, None);
        let (here, _) = above.pop().ok_or(Missing::Nothing)?;
        Ok(Target { path, item: Item::Directory(here) })
    }

    fn count(&self, steps: u64) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }
}

fn joined(above: &[(Directory<'_>, Vec<u8>)], last: Option<&[u8]>) -> Vec<u8> {
    let names = above.iter().skip(1).map(|(_, name)| name.as_slice());
    names.chain(last).collect::<Vec<_>>().join(&b'/')
}
