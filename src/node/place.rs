//! Putting a file in its place in one step, so that nobody ever reads half of it.
//!
//! A runtime that cannot parse its file goes past the mirror, so a crash in the middle of writing
//! must leave either the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};

/// What the name of a file that is being written ends with.
pub const UNFINISHED: &str = ".pratique-new";
/// What the name of a folder that is being removed ends with.
const LEAVING: &str = ".pratique-old";
/// The mode of folders that are made.
const FOLDER_MODE: u32 = 0o755;
/// Largest file of a node that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Puts `content` at `path` with `mode`, making the folders above it; durable when it returns.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace_by_steps(path, content, mode, None, &|| Ok(()))
}

/// As [`replace`], for an `owner` if one is named, asking `step` before each touch of the disk: with
/// an error of it all ends at once and nothing is tidied up, as when the program is killed there.
///
/// A folder that is not there comes with its file in it: an empty one would mean something to
/// containerd.
pub(crate) fn replace_by_steps(
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
    step: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let whole = Whole { content, mode, owner, step };
    if folder.exists() {
        let beside = hidden(path, UNFINISHED)?;
        step()?;
        // What a killed run left there is ours by its name.
        remove(&beside)?;
        whole.write(&beside)?;
        step()?;
        fs::rename(&beside, path)?;
        step()?;
        return sync(folder);
    }
    let above = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = hidden(folder, UNFINISHED)?;
    step()?;
    // What is in it is read by programs of other users, whatever the umask says.
    let mut builder = fs::DirBuilder::new();
    builder.mode(FOLDER_MODE).recursive(true).create(above)?;
    step()?;
    remove_tree(&beside)?;
    step()?;
    builder.recursive(false).create(&beside)?;
    whole.write(&beside.join(name))?;
    sync(&beside)?;
    step()?;
    fs::rename(&beside, folder)?;
    step()?;
    sync(above)
}

/// Removes `path` and the folder that it lies in alone, in one step for whoever reads it; with others
/// in the folder only `path`.
pub(crate) fn remove_with_folder(path: &Path, step: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let aside = hidden(folder, LEAVING)?;
    step()?;
    remove_tree(&aside)?;
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let unfinished = hidden(path, UNFINISHED)?;
    let is_ours = |name: &std::ffi::OsString| {
        Some(name.as_os_str()) == path.file_name()
            || Some(name.as_os_str()) == unfinished.file_name()
    };
    step()?;
    if !names.iter().all(is_ours) {
        return remove(path);
    }
    fs::rename(folder, &aside)?;
    step()?;
    folder.parent().map_or(Ok(()), sync)?;
    step()?;
    remove_tree(&aside)
}

/// What a file is to be.
struct Whole<'a> {
    content: &'a [u8],
    mode: u32,
    owner: Option<(u32, u32)>,
    step: &'a dyn Fn() -> io::Result<()>,
}

impl Whole<'_> {
    /// Makes the new file `path`, durable.
    fn write(&self, path: &Path) -> io::Result<()> {
        let step = self.step;
        step()?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(self.mode).open(path)?;
        let (first, second) = self.content.split_at(self.content.len() / 2);
        step()?;
        file.write_all(first)?;
        step()?;
        file.write_all(second)?;
        // The mode at opening is cut by the umask.
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        if let Some((uid, gid)) = self.owner {
            give(path, uid, gid)?;
        }
        file.sync_all()
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives `path` to its owner, if it is not theirs already: only root may give.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if (metadata.uid(), metadata.gid()) == (uid, gid) {
        return Ok(());
    }
    chown(path, Some(uid), Some(gid))
}

/// Removes `path`, if it is there; durable when it returns.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync),
    }
}

/// The bytes of `path`; `None` when there is no such file.
///
/// # Errors
/// When it is there and cannot be read, or is larger than [`FILE_BYTES_MAX`].
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(Some(content))
}

/// The name beside `path` that nobody reads, and that ends with `end`.
fn hidden(path: &Path, end: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(end);
    Ok(path.with_file_name(hidden))
}

/// Makes what happened to the names in `folder` durable.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.io").join("hosts.toml");
        replace(&path, b"one", 0o644).unwrap();
        // As a run that was killed leaves it.
        fs::write(hidden(&path, UNFINISHED).unwrap(), "tw").unwrap();
        replace(&path, b"two", 0o640).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn a_file_beyond_the_bound_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let length = usize::try_from(FILE_BYTES_MAX).unwrap() + 1;
        fs::write(&path, vec![b'#'; length]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
