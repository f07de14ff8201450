//! The folder with approval files, read as it is at one moment.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::mirror::approval_file::ApprovalFile;
use crate::mirror::snapshot::{Limits, Snapshot, SnapshotError};
use crate::oci::Digest;

/// Largest file in bytes: that of an envelope.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Most files of any kind, and folders in each other.
const LIMITS: Limits =
    Limits { files: 5_000, depth: 4, file_bytes: FILE_BYTES_MAX, follows_links: false };
/// Largest sum of all files in bytes.
const TOTAL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// In what the name of an approval file ends.
const ENDING: &str = ".json";

/// What was in the folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Another one when anything of it is.
    pub(super) stamp: Option<Digest>,
    /// Whether there is no file at all, of whatever kind.
    pub(super) is_empty: bool,
    /// The files that the system did not let be read: what is in them is not known.
    pub(super) unread: Vec<String>,
    /// Those that were read, by their paths.
    pub(super) files: Vec<Found>,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    /// The vote in it, or why there is none.
    pub(super) file: Result<ApprovalFile, String>,
}

impl Folder {
    /// The envelopes that are there, whoever signed them.
    pub(super) fn present(&self) -> BTreeSet<Digest> {
        self.files.iter().filter_map(|it| Some(*it.file.as_ref().ok()?.envelope.digest())).collect()
    }
}

/// What tells whether the folder at `path` is another than it was; nothing where that cannot be told.
pub(super) fn stamp(path: &Path) -> Option<Digest> {
    Snapshot::of(path, LIMITS).ok().map(|snapshot| snapshot.stamp())
}

/// Reads the folder at `path`.
///
/// # Errors
/// Why it could not be read whole, in words: then nothing is known of what is not in it.
pub(super) fn read(path: &Path) -> Result<Folder, String> {
    let snapshot = Snapshot::of(path, LIMITS).map_err(|error| match error {
        SnapshotError::Read(error) => format!("it cannot be read: {error}"),
        SnapshotError::Refused { file, text } => format!("{file} {text}"),
    })?;
    if !snapshot.is_folder() {
        return Err("it is no folder".to_owned());
    }
    let mut folder = Folder {
        stamp: Some(snapshot.stamp()),
        is_empty: snapshot.paths().next().is_none(),
        ..Folder::default()
    };
    let mut total = 0_usize;
    for name in snapshot.paths().filter(|name| name.ends_with(ENDING)) {
        let file = match snapshot.read(Path::new(name)) {
            Ok(content) => {
                total = total.saturating_add(content.len());
                if total > TOTAL_BYTES_MAX {
                    return Err(format!(
                        "its files are larger than {TOTAL_BYTES_MAX} bytes in all"
                    ));
                }
                ApprovalFile::parse(&content).map_err(|error| error.to_string())
            }
            Err(error) => Err(refused(&error).unwrap_or_else(|| {
                folder.unread.push(name.to_owned());
                format!("cannot be read: {error}")
            })),
        };
        folder.files.push(Found { path: name.to_owned(), file });
    }
    if snapshot.is_current() { Ok(folder) } else { Err("it changed while it was read".to_owned()) }
}

/// Why a file is none that is taken, where that is so whoever reads it.
fn refused(error: &io::Error) -> Option<String> {
    let is = |errno: rustix::io::Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if is(rustix::io::Errno::LOOP) {
        return Some("is a link, which is not followed; put the file itself there".to_owned());
    }
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Some(error.to_string());
    }
    // A socket cannot be opened, and whatever else is no file is told so by who reads.
    let is_no_file = is(rustix::io::Errno::NXIO) || error.kind() == io::ErrorKind::Other;
    is_no_file.then(|| "is no file".to_owned())
}
