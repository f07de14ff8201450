//! Every touch of a disk, one by one, so that a test can end a run before each of them.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::InstallError;
use crate::node::place;

/// The disk below a root.
#[derive(Debug)]
pub(super) struct Hands {
    root: PathBuf,
    /// How many touches are left before the run ends as if it were killed.
    left: Option<Cell<u32>>,
}

impl Hands {
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), left: None }
    }

    /// Hands that stop before the touch number `touches`, leaving everything as it is then.
    #[cfg(test)]
    pub(super) fn until(root: &Path, touches: u32) -> Self {
        Self { root: root.to_owned(), left: Some(Cell::new(touches)) }
    }

    /// Where `path` of the node lies here.
    pub(super) fn here(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn step(&self) -> io::Result<()> {
        match &self.left {
            None => Ok(()),
            Some(left) if left.get() == 0 => Err(io::ErrorKind::Interrupted.into()),
            Some(left) => {
                left.set(left.get() - 1);
                Ok(())
            }
        }
    }

    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
        place::read(&self.here(path)).map_err(|source| failed(path, source))
    }

    /// The permissions of what is at `path`.
    pub(super) fn mode(&self, path: &Path) -> Result<Option<u32>, InstallError> {
        match fs::metadata(self.here(path)) {
            Ok(metadata) => Ok(Some(metadata.permissions().mode() & 0o7777)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, error)),
        }
    }

    /// Who owns what is at `path`.
    pub(super) fn owner(&self, path: &Path) -> Result<(u32, u32), InstallError> {
        let metadata = fs::metadata(self.here(path)).map_err(|source| failed(path, source))?;
        Ok((metadata.uid(), metadata.gid()))
    }

    pub(super) fn replace(
        &self,
        path: &Path,
        content: &[u8],
        mode: u32,
    ) -> Result<(), InstallError> {
        place::replace_by_steps(&self.here(path), content, mode, None, &|| self.step())
            .map_err(|source| failed(path, source))
    }

    /// As `replace`, for an owner.
    pub(super) fn replace_for(
        &self,
        path: &Path,
        content: &[u8],
        mode: u32,
        owner: (u32, u32),
    ) -> Result<(), InstallError> {
        place::replace_by_steps(&self.here(path), content, mode, Some(owner), &|| self.step())
            .map_err(|source| failed(path, source))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<(), InstallError> {
        self.step()
            .and_then(|()| place::remove(&self.here(path)))
            .map_err(|source| failed(path, source))
    }

    /// Removes `path` and the folder that it lies in alone.
    pub(super) fn remove_with_folder(&self, path: &Path) -> Result<(), InstallError> {
        place::remove_with_folder(&self.here(path), &|| self.step())
            .map_err(|source| failed(path, source))
    }

    /// Removes the folder at `path` if nothing is in it. One that is mounted there stays; an empty
    /// folder that stays does no harm where this is used.
    pub(super) fn remove_empty(&self, path: &Path) -> Result<(), InstallError> {
        self.step().map_err(|source| failed(path, source))?;
        fs::remove_dir(self.here(path)).unwrap_or_default();
        Ok(())
    }
}

fn failed(path: &Path, source: io::Error) -> InstallError {
    InstallError::Io { path: path.to_owned(), source }
}
