//! Reads a layer: walks its entries, applies each, and has the catalogers read what they know.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Stop;
use super::archive::{Archive, Entry, EntryKind};
use super::budget::Budget;
use super::contents::Contents;
use super::facts::{Facts, LayerGap, Seen};
use super::inflated::Inflated;
use super::kind::Kind;
use super::tree::{EntryId, Node, NodeId, Tree};
use super::upper::{Item, Odd, Upper, cleaned};
use crate::oci::Digest;
use crate::scan::catalog::{FileFacts, HEAD_BYTES};
use crate::scan::{GapKind, Limits};

/// Gaps of a layer that are told one by one.
const GAPS_MAX: usize = 100;

/// A file of a layer that is to be read as a kind, because a path of that kind leads to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct WantedFile<K> {
    pub(in crate::scan) entry: EntryId,
    pub(in crate::scan) kind: K,
    pub(in crate::scan) path: String,
}

/// Reads a layer.
///
/// # Errors
/// Only the reader's own.
pub(in crate::scan) fn read<K: Kind>(
    blob: &Digest,
    reader: impl Read,
    limits: &Limits,
) -> io::Result<Facts<K>> {
    let mut reading = Reading::new(limits);
    let (mut diff_id, mut inflated_bytes) = (None, 0);
    if let Some(bytes) = reading.noted(Inflated::open(reader, limits))? {
        let mut archive = Archive::new(bytes, limits);
        let walked = reading.walk(&mut archive);
        let is_walked = reading.noted(walked)?.is_some();
        let mut bytes = archive.bytes;
        if !bytes.has_failed() {
            let drained = drain(&mut bytes);
            let has_more = reading.noted(drained)?;
            if has_more == Some(true) && is_walked {
                reading.gap(GapKind::Malformed, None, "bytes follow the end of its archive");
            }
        }
        inflated_bytes = bytes.bytes();
        diff_id = (!bytes.has_failed()).then(|| bytes.finish());
    }
    let upper = std::mem::replace(&mut reading.upper, Upper::new(limits));
    let packed = upper.pack();
    let tree = reading.noted(packed)?.unwrap_or_default();
    let files = reachable(&tree, reading.files);
    let gaps = reading.gaps;
    Ok(Facts { blob: *blob, diff_id, inflated_bytes, tree, files, gaps })
}

/// A layer that is being read.
pub(super) struct Reading<'a, K> {
    limits: &'a Limits,
    upper: Upper,
    pub(super) files: BTreeMap<EntryId, Vec<Seen<K>>>,
    pub(super) budget: Budget,
    by_link: Budget,
    pub(super) gaps: Vec<LayerGap>,
    entries: EntryId,
}

impl<'a, K: Kind> Reading<'a, K> {
    /// One that has read nothing yet.
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            upper: Upper::new(limits),
            files: BTreeMap::new(),
            budget: Budget::new(limits),
            by_link: Budget::by_link(),
            gaps: Vec::new(),
            entries: 0,
        }
    }

    fn walk<R: Read>(&mut self, archive: &mut Archive<R>) -> Result<(), Stop> {
        while let Some(entry) = archive.next()? {
            let id = self.number()?;
            self.entry(archive, id, &entry)?;
        }
        Ok(())
    }

    /// The number of the next entry.
    pub(super) fn number(&mut self) -> Result<EntryId, Stop> {
        let id = self.entries;
        if let Some(next) = id.checked_add(1)
            && u64::from(next) <= self.limits.entries
        {
            self.entries = next;
            return Ok(id);
        }
        Err(Stop::limit(format!("it has more than entries = {}", self.limits.entries)))
    }

    fn entry<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        id: EntryId,
        entry: &Entry,
    ) -> Result<(), Stop> {
        let bytes_max = self.limits.path_bytes;
        if entry.name.len() > bytes_max || entry.link.len() > bytes_max {
            let text = format!("its path or link has more than path_bytes = {bytes_max}");
            self.gap(GapKind::Limit, Some(&entry.name), &text);
            return Ok(());
        }
        if entry.has_overlay_attribute {
            let text = "it has an attribute that overlayfs takes as an order";
            self.gap(GapKind::Unsupported, Some(&entry.name), text);
        }
        let item = match entry.kind {
            EntryKind::Directory => Item::Directory,
            EntryKind::File => Item::File(id),
            EntryKind::Global => Item::Nothing,
            EntryKind::HardLink => Item::HardLink(&entry.link),
            EntryKind::Special => Item::Special,
            EntryKind::Sparse(_) => {
                self.gap(GapKind::Unsupported, Some(&entry.name), "it is stored as a sparse file");
                Item::File(id)
            }
            EntryKind::Symlink => Item::Symlink(&entry.link),
            EntryKind::Unknown(flag) => {
                let text =
                    format!("it is of the kind '{}', which nodes refuse", flag.escape_ascii());
                self.gap(GapKind::Unsupported, Some(&entry.name), &text);
                return Ok(());
            }
        };
        match self.upper.apply(&entry.name, &item)? {
            Ok(Some(node)) if entry.kind == EntryKind::File => self.file(archive, id, node, entry),
            Ok(_) => Ok(()),
            Err(Odd(kind, text)) => {
                self.gap(kind, Some(&entry.name), text);
                Ok(())
            }
        }
    }

    /// Has a file read, if it is of a kind: by where it lies, or by where its entry says that it lies,
    /// which is another path when that goes through links.
    fn file<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        id: EntryId,
        node: NodeId,
        entry: &Entry,
    ) -> Result<(), Stop> {
        let head = archive.peek(HEAD_BYTES)?;
        let lies = text_of(&self.upper.path(node));
        let kind = K::of(&lies, head).map(|kind| (kind, lies.clone())).or_else(|| {
            let said = text_of(&cleaned(&entry.name).join(&b'/'));
            (said != lies).then(|| K::of(&said, head).map(|kind| (kind, said)))?
        });
        let Some((kind, path)) = kind else {
            return match K::by_link(&lies) {
                Some(kind) => self.read_by_link(archive, id, (kind, &lies), entry.size),
                None => Ok(()),
            };
        };
        let facts = self.facts(archive, kind, &path, entry.size)?;
        self.add(&WantedFile { entry: id, kind, path }, facts);
        Ok(())
    }

    /// Reads a file that counts only if a link leads to it. What is odd about it is found out, by the path of
    /// the link, when one does.
    fn read_by_link<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        id: EntryId,
        (kind, lies): (K, &str),
        size: u64,
    ) -> Result<(), Stop> {
        let facts = self.facts(archive, kind, lies, size)?;
        let seen = Seen { kind, path: String::new(), facts };
        if seen.facts.gaps.is_empty() && self.by_link.take(&seen) {
            self.files.entry(id).or_default().push(seen);
        }
        Ok(())
    }

    /// What a file says. A cataloger that fails in a way that it should not fails its file only.
    pub(super) fn facts<R: Read>(
        &self,
        archive: &mut Archive<R>,
        kind: K,
        path: &str,
        size: u64,
    ) -> Result<FileFacts, Stop> {
        let mut contents = Contents::of(archive);
        let read = || kind.read(path, size, &mut contents, self.limits);
        let read = catch_unwind(AssertUnwindSafe(read));
        if let Some(stop) = contents.into_stop() {
            return Err(stop);
        }
        Ok(match read {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => FileFacts::gap(GapKind::Malformed, error.to_string()),
            Err(_panic) => FileFacts::gap(GapKind::Malformed, "the scanner failed on it"),
        })
    }

    /// Takes what a file says, if there is room.
    pub(super) fn add(&mut self, file: &WantedFile<K>, facts: FileFacts) {
        let seen = Seen { kind: file.kind, path: file.path.clone(), facts };
        if self.budget.take(&seen) {
            self.files.entry(file.entry).or_default().push(seen);
        } else {
            let packages = self.limits.packages;
            let text = format!("its files say more than packages = {packages}, or than is kept");
            self.gap(GapKind::Limit, None, &text);
        }
    }

    /// What was got; a gap is noted, and leaves nothing.
    fn noted<T>(&mut self, result: Result<T, Stop>) -> io::Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Gap(kind, text)) => {
                self.gap(kind, None, &text);
                Ok(None)
            }
            Err(Stop::Source(error)) => Err(error),
        }
    }

    fn gap(&mut self, kind: GapKind, path: Option<&[u8]>, text: &str) {
        let gap = LayerGap {
            kind,
            path: path.map(|path| text_of(&cleaned(path).join(&b'/'))),
            text: text.to_owned(),
        };
        if self.gaps.len() < GAPS_MAX && !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        } else if self.gaps.len() == GAPS_MAX {
            let text = "it has more gaps than these".to_owned();
            self.gaps.push(LayerGap { kind: GapKind::Limit, path: None, text });
        }
    }
}

/// Reads to the end, and says whether there was anything but zeros.
fn drain<R: Read>(bytes: &mut Inflated<R>) -> Result<bool, Stop> {
    let mut has_more = false;
    loop {
        let there = bytes.some()?;
        if there.is_empty() {
            return Ok(has_more);
        }
        has_more = has_more || there.iter().any(|byte| *byte != 0);
        let count = there.len();
        bytes.consume(count);
    }
}

/// Of what files say, what is still in the tree: others were replaced by later entries.
fn reachable<K>(
    tree: &Tree,
    mut files: BTreeMap<EntryId, Vec<Seen<K>>>,
) -> BTreeMap<EntryId, Vec<Seen<K>>> {
    let mut kept = BTreeMap::new();
    for node in 0..NodeId::try_from(tree.len()).unwrap_or(NodeId::MAX) {
        if let Node::File { entry, .. } = tree.node(node)
            && let Some(seen) = files.remove(&entry)
        {
            kept.insert(entry, seen);
        }
    }
    kept
}

fn text_of(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
