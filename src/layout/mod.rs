//! An OCI image layout on disk: a folder with `oci-layout`, `index.json` and blobs by their digests.
//!
//! Promises: what is read is a regular file at the path of its digest, reached through no symbolic
//! link; it has that digest, or reading fails; nothing is read beyond a bound; nothing is written. It
//! must not judge: names and annotations in a layout are claims of whoever wrote it.
//!
//! Everything here blocks.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

mod error;
mod select;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Deserialize;

pub use error::Error;
pub use select::Which;

use crate::oci::{
    Algorithm, Descriptor, Digest, MANIFEST_BYTES_MAX, Manifest, MediaType, Tag, from_strict_slice,
};

/// The file that makes a folder a layout.
const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
/// Largest marker file, in bytes.
const MARKER_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of manifests that are read in search of referrers.
const REFERRERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most blobs of one algorithm among which referrers are looked for.
const BLOBS_MAX: usize = 10_000;
/// Read and hashed at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// A layout that was opened: its list of manifests has been read, its blobs have not.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    folder: OwnedFd,
    listed: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Whether the folder `path` says that it is a layout.
    pub fn is_at(path: &Path) -> bool {
        path.join(MARKER).is_file()
    }

    /// Opens the layout in the folder `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is no layout of version 1.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut layout = Self::begun(path, Vec::new())?;
        let index = layout.file_here(INDEX, MANIFEST_BYTES_MAX)?;
        let index =
            index.ok_or_else(|| layout.not_a_layout("there is no file index.json in it"))?;
        match Manifest::parse(&index, Some(&MediaType::new(MediaType::OCI_INDEX))) {
            Ok(Manifest::Index(index)) => {
                (layout.listed, layout.annotations) = (index.manifests, index.annotations);
            }
            Ok(Manifest::Image(_)) => return Err(layout.bad_index("it is no index")),
            Err(error) => return Err(layout.bad_index(&error.to_string())),
        }
        Ok(layout)
    }

    /// The layout that the folder `path` will be when its `index.json`, which is not read, lists `listed`.
    ///
    /// # Errors
    /// When it cannot be read, or is no layout of version 1.
    pub fn begun(path: &Path, listed: Vec<Descriptor>) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|source| Error::Read { path: path.to_owned(), source: source.into() })?;
        let annotations = BTreeMap::new();
        let layout = Self { path: path.to_owned(), folder, listed, annotations };
        let marker = layout.file_here(MARKER, MARKER_BYTES_MAX)?;
        let marker =
            marker.ok_or_else(|| layout.not_a_layout("there is no file oci-layout in it"))?;
        let marker: Marker = from_strict_slice(&marker)
            .map_err(|_| layout.not_a_layout("its file oci-layout is not well formed"))?;
        if !marker.image_layout_version.starts_with("1.") {
            return Err(layout.not_a_layout("its version is not 1"));
        }
        Ok(layout)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifests that `index.json` lists.
    pub fn listed(&self) -> &[Descriptor] {
        &self.listed
    }

    /// What `index.json` says of the layout as a whole.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The blob `digest`; `None` when it is not there, and only the first `limit_bytes` and one more,
    /// unverified, of one that is larger.
    ///
    /// # Errors
    /// When it cannot be read, is no regular file, or has other content than its name says.
    pub fn read(&self, digest: &Digest, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        let Some(file) = self.blob(digest)? else { return Ok(None) };
        let content = read_up_to(file, limit_bytes).map_err(self.failed(digest))?;
        if content.len() <= limit_bytes && !digest.matches(&content) {
            return Err(self.changed(digest));
        }
        Ok(Some(content.into()))
    }

    /// The file of the blob `digest`; `None` when it is not there. Whoever reads it checks it.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, Error> {
        self.blob(digest)
    }

    /// Whether the blob `digest` is there, whole and as it should be.
    ///
    /// # Errors
    /// When it cannot be read, is no regular file, or has another size or other content.
    pub fn check(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        let Some(file) = self.blob(digest)? else { return Ok(false) };
        let mut file = file.take(size.saturating_add(1));
        let (mut hasher, mut length) = (digest.algorithm().hasher(), 0_u64);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk).map_err(self.failed(digest))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
            length += u64::try_from(read).unwrap_or(u64::MAX);
        }
        if length == size && hasher.finish() == *digest {
            Ok(true)
        } else {
            Err(self.changed(digest))
        }
    }

    /// The manifest that stands under `tag`, which attaches something to an image.
    ///
    /// # Errors
    /// When several do.
    pub fn tagged(&self, tag: &Tag) -> Result<Option<&Descriptor>, Error> {
        select::tagged(&self.listed, tag).map_err(|()| self.several(tag.as_str()))
    }

    /// Those manifests that say that they are about `subject`, and those that are there and cannot be
    /// read, because they may be. Listed ones come first; `cosign save` of version 3 lists none.
    ///
    /// # Errors
    /// When there is more to look through than is read.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for candidate in self.listed.iter().cloned().chain(self.unlisted()?) {
            if candidate.digest == *subject {
                continue;
            }
            match self.read(&candidate.digest, MANIFEST_BYTES_MAX) {
                Ok(None) => {}
                Ok(Some(content)) => {
                    bytes += content.len();
                    if bytes > REFERRERS_BYTES_MAX {
                        return Err(Error::TooMuch { path: self.path.clone() });
                    }
                    if subject_of(&content) == Some(*subject) {
                        found.push(candidate);
                    }
                }
                Err(_) => {
                    // It was read to be found wrong, if it was read at all.
                    bytes += MANIFEST_BYTES_MAX;
                    if bytes > REFERRERS_BYTES_MAX {
                        return Err(Error::TooMuch { path: self.path.clone() });
                    }
                    found.push(candidate);
                }
            }
        }
        Ok(found)
    }

    /// Blobs that are not listed and could be manifests.
    fn unlisted(&self) -> Result<Vec<Descriptor>, Error> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = self.path.join(BLOBS).join(algorithm.as_str());
            let failed = |errno: Errno| Error::Read { path: path.clone(), source: errno.into() };
            let opened = folder(self.folder.as_fd(), BLOBS)
                .and_then(|blobs| folder(blobs.as_fd(), algorithm.as_str()));
            let directory = match opened {
                Ok(directory) => directory,
                // Whoever reads a blob there is told.
                Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            let entries = rustix::fs::Dir::read_from(&directory).map_err(failed)?;
            for (number, entry) in entries.enumerate() {
                if number > BLOBS_MAX {
                    return Err(Error::TooMuch { path: path.clone() });
                }
                let entry = entry.map_err(failed)?;
                let hex = entry.file_name().to_str().unwrap_or_default();
                let digest = format!("{}:{hex}", algorithm.as_str()).parse::<Digest>();
                let Ok(digest) = digest else { continue };
                if self.listed.iter().any(|listed| listed.digest == digest) {
                    continue;
                }
                found.extend(self.as_manifest(&digest));
            }
        }
        // In an order that does not hang on the file system.
        found.sort_by_key(|candidate| {
            *candidate.digest.as_bytes().first_chunk().unwrap_or(&[0; 32])
        });
        Ok(found)
    }

    /// How `digest` would be listed, if it has the size of a manifest and begins as one.
    fn as_manifest(&self, digest: &Digest) -> Option<Descriptor> {
        let mut file = self.blob(digest).ok().flatten()?;
        let size = file.metadata().ok()?.len();
        let mut first = [0];
        if size > u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX)
            || file.read(&mut first).ok()? == 0
            || first != *b"{"
        {
            return None;
        }
        Some(Descriptor {
            media_type: MediaType::new(MediaType::OCI_MANIFEST),
            digest: *digest,
            size,
            urls: Vec::new(),
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        })
    }

    /// The one image that `which` means.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn select(&self, which: &Which) -> Result<Digest, Error> {
        let wanted = match which {
            Which::Digest(digest) => return Ok(*digest),
            Which::Named(name) => select::named(&self.listed, name),
            Which::Only => select::only(&self.listed, |digest| {
                let content = self.read(digest, MANIFEST_BYTES_MAX).ok().flatten();
                content.and_then(|content| subject_of(&content)).is_some()
            }),
        };
        match wanted.as_slice() {
            [only] => Ok(only.digest),
            [] => Err(Error::NoSuch { path: self.path.clone(), which: which.to_string() }),
            several => {
                let known = several.iter().map(|found| select::shown(found)).collect();
                Err(Error::Several { path: self.path.clone(), which: which.to_string(), known })
            }
        }
    }

    fn several(&self, which: &str) -> Error {
        let which = which.to_owned();
        Error::Several { path: self.path.clone(), which, known: Vec::new() }
    }

    fn not_a_layout(&self, why: &str) -> Error {
        Error::NotALayout { path: self.path.clone(), why: why.to_owned() }
    }

    fn bad_index(&self, why: &str) -> Error {
        Error::Index { path: self.path.join(INDEX), why: why.to_owned() }
    }

    fn changed(&self, digest: &Digest) -> Error {
        Error::Changed { path: self.path_of(digest) }
    }

    fn failed(&self, digest: &Digest) -> impl Fn(io::Error) -> Error {
        let path = self.path_of(digest);
        move |source| Error::Read { path: path.clone(), source }
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        self.path.join(BLOBS).join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// A file beside the blobs; `None` when there is none.
    fn file_here(&self, name: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path.join(name);
        let Some(file) = opened(regular(self.folder.as_fd(), name), &path)? else {
            return Ok(None);
        };
        let content = read_up_to(file, limit_bytes)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        if content.len() > limit_bytes {
            return Err(Error::Index { path, why: format!("larger than {limit_bytes} bytes") });
        }
        Ok(Some(content))
    }

    /// Opens a blob folder by folder, so that no link in between leads elsewhere.
    fn blob(&self, digest: &Digest) -> Result<Option<File>, Error> {
        let path = self.path_of(digest);
        let open = || {
            let blobs = folder(self.folder.as_fd(), BLOBS)?;
            let algorithm = folder(blobs.as_fd(), digest.algorithm().as_str())?;
            regular(algorithm.as_fd(), &digest.hex())
        };
        opened(open(), &path)
    }
}

/// What came of opening `path`; `None` when it is not there.
fn opened(opened: Result<File, Errno>, path: &Path) -> Result<Option<File>, Error> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        // What O_NOFOLLOW and the look at the type say.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR) => {
            Err(Error::NotRegular { path: path.to_owned() })
        }
        Err(errno) => Err(Error::Read { path: path.to_owned(), source: errno.into() }),
    }
}

fn folder(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn regular(parent: impl AsFd, name: &str) -> Result<File, Errno> {
    // Without NONBLOCK, a pipe in the place of a file would be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let status = rustix::fs::fstat(&opened)?;
    if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
        return Err(Errno::ISDIR);
    }
    Ok(opened.into())
}

fn read_up_to(file: File, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// What the manifest in `content` says that it is about.
fn subject_of(content: &[u8]) -> Option<Digest> {
    match Manifest::parse(content, None) {
        Ok(Manifest::Image(image)) => image.subject.map(|subject| subject.digest),
        Ok(Manifest::Index(_)) | Err(_) => None,
    }
}
