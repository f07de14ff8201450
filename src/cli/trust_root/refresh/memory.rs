//! What was seen of a repository before, in one small file.
//!
//! The lower roles change together or not at all: a timestamp that is kept without the snapshot it
//! stands for would take the floor away from under the targets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sigstore_tuf::metadata::Role;
use sigstore_tuf::{Metadata, MetadataStore, Root, Snapshot, Targets, TrustedMetadataSet};

use super::scrutiny::look_over;
use super::trouble::Trouble;
use crate::cli::CliError;
use crate::cli::trust_root::place::write_whole;
use crate::oci::from_strict_slice;

/// Longest file, in bytes: thousands of roots of the size that they have.
const BYTES_MAX: usize = 16 << 20;
/// How it is written.
const FORMAT: u32 = 1;
/// Where the store keeps roots.
const ROOTS: &str = "root_history/";
/// What the store calls the lower roles.
const LOWER: [&str; 3] = ["timestamp.json", "snapshot.json", "targets.json"];

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    /// What the file is for, to whoever looks into it.
    about: String,
    /// The texts of metadata as they came.
    files: BTreeMap<String, String>,
}

/// Versions of what was seen.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Versions {
    pub(super) root: Option<u64>,
    pub(super) timestamp: Option<u64>,
    pub(super) snapshot: Option<u64>,
    pub(super) targets: Option<u64>,
}

/// What was seen; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    files: Arc<Mutex<BTreeMap<String, String>>>,
    /// As it was on the disk.
    before: Arc<BTreeMap<String, String>>,
    versions: Versions,
}

impl Memory {
    /// What is in the file `path`; nothing, if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub(super) fn load(path: &Path) -> Result<Self, CliError> {
        let files = match read(path) {
            Ok(None) => return Ok(Self::default()),
            Ok(Some(document)) => document.files,
            Err(error) => return Err(unreadable(path).caused_by(error)),
        };
        let versions = versions(&files).map_err(|trouble| {
            CliError::unreachable(format!("{}: {}", unreadable(path), trouble.text()))
        })?;
        let before = Arc::new(files.clone());
        Ok(Self { files: Arc::new(Mutex::new(files)), before, versions })
    }

    /// The versions that were on the disk.
    pub(super) fn versions(&self) -> Versions {
        self.versions
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `trusted`, which begins at `source` and has gone on to what is kept here, has got to
    /// the newest root that was seen: otherwise these are roots of different chains.
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn check_reached(
        &self,
        trusted: &TrustedMetadataSet,
        path: &Path,
        source: &str,
    ) -> Result<(), CliError> {
        let reached = trusted.root().version;
        let newest = self.versions.root.unwrap_or(0);
        let same = self.before.get(&root_name(reached));
        // Who signed it may differ from copy to copy, and what is signed may not.
        let same = same.is_none_or(|it| content(it.as_bytes()) == content(trusted.root_bytes()));
        if newest <= reached && same {
            return Ok(());
        }
        Err(CliError::refused(format!(
            "{} has seen root {newest}, which {source} does not lead to; if it is of another \
             repository, give another --state",
            path.display()
        )))
    }

    /// Writes the roots to `path`, and the lower roles if they are `complete`.
    ///
    /// # Errors
    /// When they cannot be written, or are more than fits.
    pub(super) fn save(&self, path: &Path, complete: bool) -> io::Result<()> {
        let mut files = self.files().clone();
        if !complete {
            for name in LOWER {
                files.remove(name);
                if let Some(before) = self.before.get(name) {
                    files.insert(name.to_owned(), before.clone());
                }
            }
        }
        if files == *self.before {
            return Ok(());
        }
        let about = "What `pratique trust-root refresh` has seen of a TUF repository".to_owned();
        let document = Document { format: FORMAT, about, files };
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        if text.len() > BYTES_MAX {
            return Err(io::Error::other("too many roots; begin with a newer one (--root)"));
        }
        write_whole(path, &text)
    }
}

impl MetadataStore for Memory {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        Ok(self.files().get(name).map(|text| text.clone().into_bytes()))
    }

    /// Keeps roots and the lower roles. Everything else is asked for anew.
    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        if (name.starts_with(ROOTS) || LOWER.contains(&name))
            && let Ok(text) = str::from_utf8(bytes)
        {
            self.files().insert(name.to_owned(), text.to_owned());
        }
        Ok(())
    }
}

/// What is signed in a root; `None`: it is none.
fn content(root: &[u8]) -> Option<Vec<u8>> {
    let root = Metadata::<Root>::from_slice(root).ok()?;
    Some(root.signed_canonical().to_vec())
}

fn root_name(version: u64) -> String {
    format!("{ROOTS}{version}.root.json")
}

fn unreadable(path: &Path) -> CliError {
    CliError::unreachable(format!(
        "cannot read what was seen before in {}; without it an older state of the repository would \
         not be noticed, so move it away only if you know why",
        path.display()
    ))
}

fn read(path: &Path) -> io::Result<Option<Document>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut content)?;
    if content.len() > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let document: Document = from_strict_slice(&content).map_err(io::Error::other)?;
    if document.format != FORMAT {
        return Err(io::Error::other(format!("format {} is not known", document.format)));
    }
    Ok(Some(document))
}

/// The versions of `files`, each of which has to be what its name says.
fn versions(files: &BTreeMap<String, String>) -> Result<Versions, Trouble> {
    fn version<R: Role>(name: &str, text: &str) -> Result<Option<u64>, Trouble> {
        let faulty = |fault| Trouble::Faulty { name: name.to_owned(), fault };
        look_over(text.as_bytes()).map_err(faulty)?;
        let read = Metadata::<R>::from_slice(text.as_bytes());
        read.map(|it| Some(it.signed().version())).map_err(|error| faulty(error.into()))
    }
    let mut found = Versions::default();
    for (name, text) in files {
        match name.as_str() {
            "timestamp.json" => found.timestamp = version::<sigstore_tuf::Timestamp>(name, text)?,
            "snapshot.json" => found.snapshot = version::<Snapshot>(name, text)?,
            "targets.json" => found.targets = version::<Targets>(name, text)?,
            _ => {
                let root = version::<Root>(name, text)?;
                if root.is_none_or(|version| root_name(version) != *name) {
                    return Err(Trouble::OddName(name.clone()));
                }
                found.root = found.root.max(root);
            }
        }
    }
    Ok(found)
}
