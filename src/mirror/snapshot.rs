//! A folder as it is at one moment: everything that is read of it is of one generation.
//!
//! What is mounted from a `ConfigMap` is swapped whole (`..data` is turned to another folder), and so is what a
//! checkout puts in place by renaming. So the folder is opened once and everything is read below that handle,
//! whatever the path leads to meanwhile; and whoever has read asks at the end whether it is still what lies
//! there.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::oci::Digest;

/// What a `ConfigMap` that is mounted turns to the next generation of its files.
const DATA: &str = "..data";
/// What volumes have of their own.
const LOST_AND_FOUND: &str = "lost+found";

/// How much is read of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most files in it, whatever they are.
    pub(super) files: usize,
    /// Most folders in each other.
    pub(super) depth: usize,
    /// Largest file in bytes.
    pub(super) file_bytes: u64,
    /// Whether links to files are followed; where not, they are listed and cannot be read.
    pub(super) follows_links: bool,
}

/// Why a folder is not read.
#[derive(Debug)]
pub(super) enum SnapshotError {
    /// The operating system does not let it be read, or not now.
    Read(io::Error),
    /// There is something in it that is not taken.
    Refused {
        /// What, from the folder on.
        file: String,
        /// Why not.
        text: String,
    },
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<rustix::io::Errno> for SnapshotError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Read(error.into())
    }
}

/// A folder, or one file in it, at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    folder: OwnedFd,
    /// How the folder was come by, and as which it is called.
    opened: PathBuf,
    called: PathBuf,
    id: (u64, u64),
    /// The one file that is meant, where it is no folder.
    alone: Option<String>,
    /// Whether that is no file on a disk but something that can be read once.
    is_stream: bool,
    listing: Vec<Listed>,
    limits: Limits,
}

/// A file that was there, and what changes with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    path: String,
    print: String,
}

impl Snapshot {
    /// What lies at `path` now: the files of a folder, or one file.
    pub(super) fn of(path: &Path, limits: Limits) -> Result<Self, SnapshotError> {
        let metadata = std::fs::metadata(path)?;
        let is_stream = !metadata.is_dir() && !metadata.is_file();
        let (called, alone) = if metadata.is_dir() {
            (path.to_owned(), None)
        } else {
            let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
            let name = path.file_name().and_then(OsStr::to_str).map(str::to_owned);
            let name = name.ok_or_else(|| io::Error::other("the file has no name in UTF-8"))?;
            (parent.unwrap_or_else(|| Path::new(".")).to_owned(), Some(name))
        };
        let is_swapped =
            has_data(&called) && alone.as_ref().is_none_or(|it| is_of_data(&called.join(it)));
        if is_swapped && alone.is_none() {
            refuse_strays(&called)?;
        }
        let opened = if is_swapped { called.join(DATA) } else { called.clone() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&opened, flags, Mode::empty())?;
        let id = id_of(&rustix::fs::fstat(&folder)?);
        let listing = Vec::new();
        let mut snapshot = Self { folder, opened, called, id, alone, is_stream, listing, limits };
        snapshot.listing = snapshot.list()?;
        Ok(snapshot)
    }

    /// Whether it is a folder, and not one file.
    pub(super) fn is_folder(&self) -> bool {
        self.alone.is_none()
    }

    /// The paths of all files, from the folder on, ordered.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.listing.iter().map(|listed| listed.path.as_str())
    }

    /// What is in the file `path`, which begins in the folder unless it is absolute.
    ///
    /// # Errors
    /// When it is larger than the bound, no file, or cannot be read.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let may_stream = self.is_stream && self.alone.as_deref().map(Path::new) == Some(path);
        let waits = if may_stream { OFlags::empty() } else { OFlags::NONBLOCK };
        let links = if self.limits.follows_links { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | waits | links;
        let leads_out = path.components().any(|it| !matches!(it, Component::Normal(_)));
        let opened = if leads_out {
            rustix::fs::open(self.called.join(path), flags, Mode::empty())?
        } else {
            rustix::fs::openat(&self.folder, path, flags, Mode::empty())?
        };
        let file = std::fs::File::from(opened);
        if !may_stream && !file.metadata()?.is_file() {
            return Err(io::Error::other("is no file"));
        }
        let mut content = Vec::new();
        file.take(self.limits.file_bytes.saturating_add(1)).read_to_end(&mut content)?;
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > self.limits.file_bytes {
            let text = format!("is larger than {} bytes", self.limits.file_bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(content)
    }

    /// Whether what was read is still what lies there.
    pub(super) fn is_current(&self) -> bool {
        let now = rustix::fs::stat(&self.opened).map(|stat| id_of(&stat));
        let became_swapped =
            !self.opened.ends_with(DATA) && has_data(&self.called) && self.is_folder();
        self.is_stream
            || now == Ok(self.id)
                && !became_swapped
                && self.list().is_ok_and(|listing| listing == self.listing)
    }

    /// A hash that is another one when a file, or the folder, is another.
    pub(super) fn stamp(&self) -> Digest {
        let files: Vec<String> =
            self.listing.iter().map(|it| format!("{}\0{}", it.path, it.print)).collect();
        Digest::sha256(format!("{:?}\0{}", self.id, files.join("\0")).as_bytes())
    }

    fn list(&self) -> Result<Vec<Listed>, SnapshotError> {
        let mut listing = Vec::new();
        match &self.alone {
            Some(name) => {
                let stat = rustix::fs::statat(&self.folder, name.as_str(), AtFlags::empty())?;
                listing.push(Listed { path: name.clone(), print: print_of(&stat) });
            }
            None => self.list_below(&self.folder, "", 0, &mut listing)?,
        }
        listing.sort();
        Ok(listing)
    }

    fn list_below(
        &self,
        folder: &OwnedFd,
        prefix: &str,
        depth: usize,
        listing: &mut Vec<Listed>,
    ) -> Result<(), SnapshotError> {
        let refused =
            |file: &str, text: String| Err(SnapshotError::Refused { file: file.to_owned(), text });
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Ok(text) = name.to_str() else {
                return refused(
                    &format!("{prefix}{}", name.to_string_lossy()),
                    "has a name that is not UTF-8".to_owned(),
                );
            };
            if text.starts_with('.') || text == LOST_AND_FOUND {
                continue;
            }
            let path = format!("{prefix}{text}");
            let flags = if self.limits.follows_links {
                AtFlags::empty()
            } else {
                AtFlags::SYMLINK_NOFOLLOW
            };
            let stat = rustix::fs::statat(folder, name, flags)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                if listing.len() >= self.limits.files {
                    return refused(
                        &path,
                        format!("is one of more than {} files", self.limits.files),
                    );
                }
                listing.push(Listed { path, print: print_of(&stat) });
                continue;
            }
            if depth >= self.limits.depth {
                return refused(&path, format!("is in more than {} folders", self.limits.depth));
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match rustix::fs::openat(folder, name, flags, Mode::empty()) {
                Ok(below) => self.list_below(&below, &format!("{path}/"), depth + 1, listing)?,
                Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                    return refused(
                        &path,
                        "is a link to a folder; put the folder itself there".to_owned(),
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn id_of(stat: &rustix::fs::Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn print_of(stat: &rustix::fs::Stat) -> String {
    format!(
        "{} {} {} {}.{} {}.{}",
        stat.st_dev,
        stat.st_ino,
        stat.st_size,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec
    )
}

/// Whether `folder` is swapped as a mounted `ConfigMap` is.
fn has_data(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder.join(DATA)).is_ok_and(|it| it.is_symlink())
}

/// Whether `path` is a link into what is swapped, by the same name.
fn is_of_data(path: &Path) -> bool {
    let target = std::fs::read_link(path);
    target.is_ok_and(|it| path.file_name().is_some_and(|name| leads_into_data(&it, name)))
}

fn leads_into_data(target: &Path, name: &OsStr) -> bool {
    target.parent() == Some(Path::new(DATA)) && target.file_name() == Some(name)
}

/// Refuses what lies in the mounted folder `called` and is not of it.
fn refuse_strays(called: &Path) -> Result<(), SnapshotError> {
    for entry in std::fs::read_dir(called)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") || name == LOST_AND_FOUND {
            continue;
        }
        // Asked once: what is taken away between two questions would be neither a link nor gone.
        let is_stray = match std::fs::read_link(entry.path()) {
            Ok(target) => !leads_into_data(&target, &name),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_stray {
            let text =
                "lies beside ..data and does not belong to it; nothing would read it".to_owned();
            return Err(SnapshotError::Refused { file: name.to_string_lossy().into_owned(), text });
        }
    }
    Ok(())
}
