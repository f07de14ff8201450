//! The files that a policy refers to, and what tells policies apart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::super::document::PolicyId;
use super::super::files::PolicySource;
use crate::oci::{Algorithm, Digest, Hasher};

/// The files that one source of a policy refers to, hashed as they are read.
pub(super) struct Files<'a> {
    read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Where the source lies.
    folder: PathBuf,
    /// Whether it may name files anywhere, or only beside and below itself.
    anywhere: bool,
    hasher: Hasher,
    read: BTreeMap<String, Vec<u8>>,
}

impl<'a> Files<'a> {
    pub(super) fn of(
        source: &PolicySource<'_>,
        anywhere: bool,
        read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Self {
        let folder = Path::new(source.path).parent().map(Path::to_owned).unwrap_or_default();
        let (hasher, read) = (Algorithm::Sha256.hasher(), BTreeMap::new());
        let mut files = Self { read_file, folder, anywhere, hasher, read };
        files.add(source.text.as_bytes());
        files
    }

    /// Adds `content` to the identity, set apart from what comes before and after.
    fn add(&mut self, content: &[u8]) {
        self.hasher.update(&content.len().to_be_bytes());
        self.hasher.update(content);
    }

    /// The content of the file that the source names as `path`.
    pub(super) fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let is_below = Path::new(path).components().all(|it| matches!(it, Component::Normal(_)));
        if !self.anywhere && !is_below {
            let text = "a file with a scope names files beside and below itself only";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let place = self.folder.join(path);
        let content = (self.read_file)(&place)?;
        self.add(path.as_bytes());
        self.add(&content);
        if let Some(place) = place.to_str() {
            self.read.insert(place.to_owned(), content.clone());
        }
        Ok(content)
    }

    /// The hash of the source and of all that was read for it; that goes to `all`, by where it lies.
    pub(super) fn done(self, all: &mut BTreeMap<String, Vec<u8>>) -> Digest {
        all.extend(self.read);
        self.hasher.finish()
    }
}

/// The identity of a policy of files with these hashes: the same whatever the files are called and however
/// they are ordered.
pub(super) fn identity(mut digests: Vec<Digest>) -> PolicyId {
    digests.sort_unstable();
    match digests.as_slice() {
        [only] => PolicyId(*only),
        all => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            PolicyId(Digest::sha256(format!("policy of files\n{}", all.join("\n")).as_bytes()))
        }
    }
}
