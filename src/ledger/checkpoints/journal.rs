//! The files with checkpoints: a journal of them, and the last one by itself.
//!
//! One note follows the other with an empty line between, as they would be printed, so that a person
//! and a few lines of script can read them. A write that was cut off leaves a torn end, which is left
//! out and overwritten by the next one. The last one stands in a file of its own, too: by that shows
//! that somebody shortened the journal, and it is the one to keep elsewhere.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::super::{Error, database, head};
use crate::transparency::{Checkpoint, CheckpointError};

/// Largest journal in bytes, some fifteen thousand checkpoints; there is one before it of that size.
const JOURNAL_BYTES_MAX: u64 = 4 << 20;
/// Largest file that is read as the last checkpoint, in bytes.
const LATEST_BYTES_MAX: u64 = 64 << 10;

/// A checkpoint of the journal, or what stands in its place.
pub(in crate::ledger) type Entry = Result<Checkpoint, CheckpointError>;

/// What the journal holds.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Journal {
    /// Oldest first.
    pub(in crate::ledger) entries: Vec<Entry>,
    /// Bytes of the current file up to the end of its last whole entry.
    pub(in crate::ledger) whole_bytes: u64,
    /// Whether something that was cut off stands behind that.
    pub(in crate::ledger) is_torn: bool,
}

fn current_path(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join("checkpoints")
}

fn old_path(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join("checkpoints.old")
}

pub(in crate::ledger) fn latest_path(dir: &Path) -> PathBuf {
    dir.join(head::AUDIT_DIR).join("checkpoint")
}

/// The journal of the ledger in `dir`; an empty one when there is none.
///
/// # Errors
/// When it cannot be read, or is larger than any.
pub(in crate::ledger) fn read(dir: &Path) -> Result<Journal, Error> {
    // In this order, one that becomes the old one meanwhile is read twice, and not missed.
    let current = entries(&contents(&current_path(dir))?);
    let old = entries(&contents(&old_path(dir))?);
    let mut all = old.entries;
    all.extend(current.entries);
    Ok(Journal { entries: all, ..current })
}

/// The last checkpoint of the ledger in `dir`, from its own file.
///
/// # Errors
/// When it cannot be read.
pub(in crate::ledger) fn latest(dir: &Path) -> Result<Option<Entry>, Error> {
    let path = latest_path(dir);
    let text = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => {
            let mut text = Vec::new();
            let file = opened.map_err(Error::file("open", &path))?;
            file.take(LATEST_BYTES_MAX)
                .read_to_end(&mut text)
                .map_err(Error::file("read", &path))?;
            text
        }
    };
    Ok(Some(Checkpoint::parse(&String::from_utf8_lossy(&text))))
}

fn contents(path: &Path) -> Result<String, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.map_err(Error::file("open", path))?,
    };
    let mut bytes = Vec::new();
    let limit = 2 * JOURNAL_BYTES_MAX;
    file.take(limit).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length == limit) {
        let problem = format!("it has {limit} bytes or more, and a journal never does");
        return Err(Error::Damaged { path: path.to_owned(), problem });
    }
    // What is no text is no checkpoint, and shows as that.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of `text`: each a text, an empty line, signatures, and an empty line.
fn entries(text: &str) -> Journal {
    let mut journal = Journal::default();
    let mut rest = text;
    while let Some((end, _)) = rest.match_indices("\n\n").nth(1) {
        let (note, after) = rest.split_at(end + 1);
        journal.entries.push(Checkpoint::parse(note));
        rest = after.strip_prefix('\n').unwrap_or(after);
    }
    journal.is_torn = !rest.is_empty();
    journal.whole_bytes = u64::try_from(text.len() - rest.len()).unwrap_or(u64::MAX);
    journal
}

/// Puts `checkpoint` behind the first `whole_bytes` bytes of the journal in `dir`, and into the place of
/// the last one; both are on the disk then. Gives the new `whole_bytes`.
///
/// # Errors
/// When the disk does not take it. What was cut off is overwritten by the next.
pub(in crate::ledger) fn append(
    dir: &Path,
    checkpoint: &Checkpoint,
    whole_bytes: u64,
) -> Result<u64, Error> {
    head::prepare(dir)?;
    let path = current_path(dir);
    let entry = format!("{}\n", checkpoint.as_str());
    let length = u64::try_from(entry.len()).unwrap_or(u64::MAX);
    let mut begin = whole_bytes;
    if begin > 0 && begin.saturating_add(length) > JOURNAL_BYTES_MAX {
        fs::rename(&path, old_path(dir)).map_err(Error::file("rename", &path))?;
        begin = 0;
    }
    let is_new = begin == 0;
    let mut file = database::private()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::file("open", &path))?;
    file.set_len(begin)
        .and_then(|()| file.seek(SeekFrom::Start(begin)))
        .and_then(|_| file.write_all(entry.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(Error::file("write", &path))?;
    if is_new {
        database::sync_directory(&dir.join(head::AUDIT_DIR))?;
    }
    put_latest(dir, checkpoint)?;
    Ok(begin.saturating_add(length))
}

fn put_latest(dir: &Path, checkpoint: &Checkpoint) -> Result<(), Error> {
    let path = latest_path(dir);
    let temporary = path.with_extension("new");
    let mut file = database::private()
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(Error::file("create", &temporary))?;
    file.write_all(checkpoint.as_str().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Error::file("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::file("rename", &temporary))?;
    database::sync_directory(&dir.join(head::AUDIT_DIR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transparency::{NoteSigner, Tree, Unsigned};

    fn checkpoints(count: u8) -> Vec<Checkpoint> {
        let signer = NoteSigner::generate("log.test/a").unwrap();
        let mut tree = Tree::default();
        let mut all = Vec::new();
        for leaf in 0..count {
            tree.push(&[leaf]);
            all.push(Unsigned { origin: "log.test/a", tree: &tree }.sign(&signer).unwrap());
        }
        all
    }

    fn good(journal: &Journal) -> Vec<Checkpoint> {
        journal.entries.iter().flatten().cloned().collect()
    }

    #[test]
    fn what_was_cut_off_at_any_byte_is_left_out_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let signed = checkpoints(3);
        let mut at = 0;
        for checkpoint in &signed {
            at = append(dir.path(), checkpoint, at).unwrap();
        }
        let whole = fs::read(current_path(dir.path())).unwrap();
        let two = whole.len() / 3 * 2;
        for length in two..whole.len() {
            fs::write(current_path(dir.path()), &whole[..length]).unwrap();
            let journal = read(dir.path()).unwrap();
            assert_eq!(good(&journal), signed[..2], "of {length} bytes");
            assert_eq!(journal.entries.len(), 2);
            assert_eq!(journal.is_torn, length > two);
            append(dir.path(), &signed[2], journal.whole_bytes).unwrap();
            let journal = read(dir.path()).unwrap();
            assert_eq!((good(&journal), journal.is_torn), (signed.clone(), false));
        }
        assert_eq!(latest(dir.path()).unwrap(), Some(Ok(signed[2].clone())));
    }

    #[test]
    fn the_journal_is_bounded_and_the_one_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let signed = checkpoints(2);
        let at = append(dir.path(), &signed[0], 0).unwrap();
        let file = fs::OpenOptions::new().write(true).open(current_path(dir.path())).unwrap();
        assert_eq!(file.metadata().unwrap().len(), at);
        let at = append(dir.path(), &signed[1], JOURNAL_BYTES_MAX - at / 2).unwrap();
        assert_eq!(fs::metadata(current_path(dir.path())).unwrap().len(), at);
        assert!(at < 1000, "a new file was begun");
        assert_eq!(good(&read(dir.path()).unwrap()), signed);
        fs::write(current_path(dir.path()), vec![b'x'; 9 << 20]).unwrap();
        assert!(matches!(read(dir.path()).unwrap_err(), Error::Damaged { .. }));
    }

    #[test]
    fn what_is_no_checkpoint_in_the_middle_is_an_entry_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let signed = checkpoints(3);
        let mut at = 0;
        for checkpoint in &signed {
            at = append(dir.path(), checkpoint, at).unwrap();
        }
        let text = fs::read_to_string(current_path(dir.path())).unwrap();
        let (before, after) = text.split_once("\n2\n").unwrap();
        let bytes = [before.as_bytes(), b"\n\xff\n", after.as_bytes()].concat();
        fs::write(current_path(dir.path()), bytes).unwrap();
        let journal = read(dir.path()).unwrap();
        assert_eq!((journal.entries.len(), good(&journal).len(), journal.is_torn), (3, 2, false));
    }
}
