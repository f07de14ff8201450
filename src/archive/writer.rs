//! Writing a layout: blobs first, each hashed and synced before it has its name; the list last.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;

use super::{
    BLOBS, Contents, Error, IMAGE_NAME, INDEX, MARKER, MARKER_TEXT, PLATFORMS, REF_NAME,
    UNFINISHED, stray, walk,
};
use crate::layout::{self, Layout};
use crate::oci::{Descriptor, Digest, Hasher, MediaType, Platform};

/// The mode of files: nobody has to write to them again.
const FILE_MODE: u32 = 0o444;
/// The mode of folders.
const FOLDER_MODE: u32 = 0o755;

/// A layout that is being written, by one run at a time.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Reads what is there already.
    begun: Layout,
    /// The folder, locked as long as this lives.
    _lock: File,
}

/// A blob that arrives; dropped without [`Arriving::commit`], nothing is left of it.
#[derive(Debug)]
pub struct Arriving {
    file: tokio::fs::File,
    place: TempPath,
    path: PathBuf,
    digest: Digest,
    size: u64,
    written: u64,
    hasher: Hasher,
}

impl Writer {
    /// Begins, or goes on with, the layout in the folder `path`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be written, another run is at it, or something else lies there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        make_folder(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Busy { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        if fs::symlink_metadata(path.join(MARKER)).is_err() {
            is_empty(path)?;
            place(path, MARKER, MARKER_TEXT.as_bytes())?;
        } else if fs::symlink_metadata(path.join(INDEX)).is_ok() {
            let there = Layout::open(path)?;
            if !there.annotations().contains_key(PLATFORMS) {
                let what = "a layout that another program wrote".to_owned();
                return Err(Error::NotOurs { path: path.to_owned(), what });
            }
        }
        no_links(path)?;
        let begun = Layout::begun(path, Vec::new())?;
        let writer = Self { path: path.to_owned(), begun, _lock: lock };
        sweep(&writer.path)?;
        for algorithm in ["sha256", "sha512"] {
            sweep(&writer.path.join(BLOBS).join(algorithm))?;
        }
        Ok(writer)
    }

    /// Whether the blob is there and hashes right. One that does not is removed.
    ///
    /// # Errors
    /// When it cannot be read or removed.
    pub fn has(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        match self.begun.check(digest, size) {
            Ok(is_there) => Ok(is_there),
            Err(layout::Error::Changed { path } | layout::Error::NotRegular { path }) => {
                fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A blob to be written.
    ///
    /// # Errors
    /// When there is no file for it.
    pub fn begin(&self, digest: &Digest, size: u64) -> Result<Arriving, Error> {
        let folder = self.path.join(BLOBS).join(digest.algorithm().as_str());
        let path = folder.join(digest.hex());
        let failed = |source| Error::Write { path: path.clone(), source };
        make_folder(&folder).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder);
        let (file, place) = file.map_err(failed)?.into_parts();
        let (file, hasher) = (tokio::fs::File::from_std(file), digest.algorithm().hasher());
        Ok(Arriving { file, place, path, digest: *digest, size, written: 0, hasher })
    }

    /// Writes a blob that is in memory, unless it is there.
    ///
    /// # Errors
    /// When it cannot be written, or is not what `digest` says.
    pub async fn put(&self, digest: &Digest, content: &[u8]) -> Result<(), Error> {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if self.has(digest, size)? {
            return Ok(());
        }
        let mut arriving = self.begin(digest, size)?;
        arriving.write(content).await?;
        arriving.commit().await
    }

    /// Lists `images`, each with a name, once everything below them for `platforms` is there and hashes
    /// right; then removes what is below none of them.
    ///
    /// # Errors
    /// When something is missing or wrong, and then nothing is listed that was not before.
    pub fn finish(
        self,
        images: &[(String, Descriptor)],
        platforms: &[Platform],
    ) -> Result<Contents, Error> {
        let listed: Vec<Descriptor> = images.iter().map(named).collect();
        let layout = Layout::begun(&self.path, listed.clone())?;
        let contents = walk::closure(&layout, platforms.to_vec());
        if !contents.problems.is_empty() {
            return Err(Error::Incomplete(contents.problems));
        }
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_INDEX,
            "manifests": listed,
            "annotations": { PLATFORMS: platforms.join(",") },
        });
        place(&self.path, INDEX, format!("{index}\n").as_bytes())?;
        self.clear(&contents)?;
        let known = known(&contents);
        let left = stray::find(&self.path, &known);
        if left.is_empty() { Ok(contents) } else { Err(Error::Incomplete(left)) }
    }

    /// Removes blobs that are not among `contents`.
    fn clear(&self, contents: &Contents) -> Result<(), Error> {
        let known = known(contents);
        for algorithm in ["sha256", "sha512"] {
            let folder = self.path.join(BLOBS).join(algorithm);
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let failed = |source| Error::Write { path: folder.clone(), source };
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let digest = format!("{algorithm}:{}", name.to_string_lossy()).parse::<Digest>();
                if digest.is_ok_and(|digest| !known.contains(&digest)) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

impl Arriving {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are more than the blob has, or cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.written > self.size {
            return Err(Error::Content { digest: Box::new(self.digest) });
        }
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .await
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Gives it its name, when it is whole and has its digest.
    ///
    /// # Errors
    /// When it is not, or cannot be synced.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.written != self.size || self.hasher.finish() != self.digest {
            return Err(Error::Content { digest: Box::new(self.digest) });
        }
        let failed = |source| Error::Write { path: self.path.clone(), source };
        self.file.flush().await.map_err(failed)?;
        self.file.set_permissions(fs::Permissions::from_mode(FILE_MODE)).await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        self.place.persist(&self.path).map_err(|error| failed(error.error))?;
        self.path.parent().map_or(Ok(()), sync).map_err(failed)
    }
}

/// Removes what runs that were ended left in `folder`.
fn sweep(folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// How an image is listed under its name.
fn named((name, descriptor): &(String, Descriptor)) -> Descriptor {
    let annotation = |key: &str| (key.to_owned(), name.clone());
    let annotations = BTreeMap::from([annotation(IMAGE_NAME), annotation(REF_NAME)]);
    Descriptor { annotations, ..descriptor.clone() }
}

fn known(contents: &Contents) -> HashSet<Digest> {
    contents.images.iter().flat_map(|image| &image.parts).map(|(digest, _)| *digest).collect()
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Refuses folders of blobs that are links: what is removed there would be removed elsewhere.
fn no_links(path: &Path) -> Result<(), Error> {
    for place in [BLOBS, "blobs/sha256", "blobs/sha512"] {
        let is_folder = fs::symlink_metadata(path.join(place)).is_ok_and(|it| it.is_dir());
        if !is_folder && fs::symlink_metadata(path.join(place)).is_ok() {
            let what = format!("{place}, which is a link or no folder");
            return Err(Error::NotOurs { path: path.to_owned(), what });
        }
    }
    Ok(())
}

fn is_empty(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        // What a run that was ended in its first moment left.
        if !name.starts_with(UNFINISHED) {
            return Err(Error::NotOurs { path: path.to_owned(), what: name });
        }
        fs::remove_file(path.join(name)).map_err(failed)?;
    }
    Ok(())
}

/// Puts `content` at `name` in `folder` in one step, durable when it returns.
fn place(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    let placed = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        sync(folder)
    };
    placed().map_err(|source| Error::Write { path: path.clone(), source })
}

/// Makes what happened to the names in `folder` durable.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
