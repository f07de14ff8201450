//! Trees as bytes: per node its kind, its name, and what the kind needs.

use super::tree::{Node, Packing, Tree};

const DIRECTORY: u8 = 0;
const DIRECTORY_OPAQUE: u8 = 1;
const FILE: u8 = 2;
const FILE_LINK: u8 = 3;
const LINK_BELOW: u8 = 4;
const SPECIAL: u8 = 5;
const SYMLINK: u8 = 6;
const WHITEOUT: u8 = 7;

pub(super) fn write(tree: &Tree, bytes: &mut Vec<u8>) {
    let count = u32::try_from(tree.len()).unwrap_or(u32::MAX);
    write_number(count, bytes);
    for id in 0..count {
        let node = tree.node(id);
        bytes.push(match node {
            Node::Directory { opaque: false } => DIRECTORY,
            Node::Directory { opaque: true } => DIRECTORY_OPAQUE,
            Node::File { is_link: false, .. } => FILE,
            Node::File { is_link: true, .. } => FILE_LINK,
            Node::LinkBelow(_) => LINK_BELOW,
            Node::Special => SPECIAL,
            Node::Symlink(_) => SYMLINK,
            Node::Whiteout => WHITEOUT,
        });
        write_text(tree.name(id), bytes);
        match node {
            Node::Directory { .. } => {
                let children = tree.children(id);
                write_number(children.end - children.start, bytes);
            }
            Node::File { entry, .. } => write_number(entry, bytes),
            Node::LinkBelow(target) | Node::Symlink(target) => write_text(target, bytes),
            Node::Special | Node::Whiteout => {}
        }
    }
}

/// `None` when it is no tree, or something is behind it.
pub(super) fn read(bytes: &[u8]) -> Option<Tree> {
    let mut rest = bytes;
    let mut packing = Packing::default();
    for _ in 0..read_number(&mut rest)? {
        let kind = *rest.split_off_first()?;
        let name = read_text(&mut rest)?;
        let (node, count) = match kind {
            DIRECTORY => (Node::Directory { opaque: false }, read_number(&mut rest)?),
            DIRECTORY_OPAQUE => (Node::Directory { opaque: true }, read_number(&mut rest)?),
            FILE => (Node::File { entry: read_number(&mut rest)?, is_link: false }, 0),
            FILE_LINK => (Node::File { entry: read_number(&mut rest)?, is_link: true }, 0),
            LINK_BELOW => (Node::LinkBelow(read_text(&mut rest)?), 0),
            SPECIAL => (Node::Special, 0),
            SYMLINK => (Node::Symlink(read_text(&mut rest)?), 0),
            WHITEOUT => (Node::Whiteout, 0),
            _ => return None,
        };
        packing.add(name, &node, count)?;
    }
    if rest.is_empty() { packing.finish() } else { None }
}

/// In groups of seven bits, the lowest first.
fn write_number(mut value: u32, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

fn read_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

fn write_text(text: &[u8], bytes: &mut Vec<u8>) {
    write_number(u32::try_from(text.len()).unwrap_or(0), bytes);
    bytes.extend_from_slice(text);
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(read_number(bytes)?).ok()?;
    bytes.split_off(..length)
}
