//! PHP packages: what Composer installed, or would.

use serde::Deserialize;

use super::super::FileFacts;
use super::json::{self, Text};
use super::listing::Listing;
use crate::scan::{Limits, PackageKind};

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
}

/// `installed.json`: an array until Composer 1, an object since.
#[derive(Deserialize)]
#[serde(untagged)]
enum InstalledFile {
    One(Vec<Record>),
    Two { packages: Vec<Record> },
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    packages: Vec<Record>,
}

/// What is installed, development packages too.
pub(super) fn installed(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    list(
        path,
        limits,
        json::read(bytes, limits).map(|file| match file {
            InstalledFile::One(packages) | InstalledFile::Two { packages } => packages,
        }),
    )
}

/// What would be installed for use.
pub(super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    list(path, limits, json::read(bytes, limits).map(|file: LockFile| file.packages))
}

fn list(path: &str, limits: &Limits, records: Result<Vec<Record>, super::Trouble>) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Composer, path, limits);
    match records {
        Err(trouble) => listing.gap(trouble),
        Ok(records) => {
            for record in &records {
                let name = record.name.as_str().unwrap_or_default().to_ascii_lowercase();
                listing.add(&name, record.version.as_str().unwrap_or_default());
            }
        }
    }
    listing.done()
}
