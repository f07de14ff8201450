//! The way that a path takes through a layer's own directory, and through links of its own.
//!
//! Programs on nodes agree on it only where no `..` is met once a link was followed: some take it as the
//! kernel does, some as text, some one link deep. There it is odd.

use std::sync::Arc;

use super::super::tree::{NodeId, Tree};
use super::slots::{Made, Name, Slots};
use super::{BELOW_FILE, DOTS_BEHIND_LINK, Odd, TOO_DEEP, TOO_MANY_LINKS};

/// Where a path leads: the directory that exists, and the names below it that do not.
pub(super) struct Way {
    pub(super) directory: NodeId,
    pub(super) missing: Vec<Name>,
}

/// What is allowed on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) depth_max: usize,
    pub(super) links_max: usize,
}

impl Way {
    /// Follows a path of directories. Once more than `links_before_dots` links were followed, there must
    /// be no `..`: the first link of a path that is plain itself is alike for all.
    pub(super) fn follow(
        slots: &Slots,
        path: &[&[u8]],
        links_before_dots: usize,
        bounds: Bounds,
    ) -> Result<Self, Odd> {
        let mut way = Self { directory: Tree::ROOT, missing: Vec::new() };
        let mut links = 0;
        let mut pending: Vec<&[u8]> = path.iter().rev().copied().collect();
        while let Some(name) = pending.pop() {
            match name {
                b"" | b"." => continue,
                b".." if links > links_before_dots => return Err(DOTS_BEHIND_LINK),
                b".." => {
                    way.up(slots);
                    continue;
                }
                _ => {}
            }
            let there = if way.missing.is_empty() { slots.find(way.directory, name) } else { None };
            let Some(there) = there else {
                way.missing.push(Arc::from(name));
                if way.missing.len() > bounds.depth_max {
                    return Err(TOO_DEEP);
                }
                continue;
            };
            match slots.get(there).map(|slot| &slot.made) {
                Some(Made::Directory { .. }) => way.directory = there,
                Some(Made::Symlink(target)) => {
                    links += 1;
                    if links > bounds.links_max {
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

    fn up(&mut self, slots: &Slots) {
        if self.missing.pop().is_none() {
            self.directory = slots.get(self.directory).map_or(Tree::ROOT, |slot| slot.parent);
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
