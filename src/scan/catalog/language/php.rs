//! PHP packages: what Composer installed, or would.

use serde::Deserialize;

use super::super::FileFacts;
use super::Trouble;
use super::json::{self, Items, Text};
use super::listing::Listing;
use crate::scan::{Limits, PackageKind};

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
}

#[derive(Deserialize)]
struct File {
    packages: Items<Record>,
}

/// What is installed, development packages too.
pub(super) fn installed(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    // An array until Composer 1, an object since.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return list(path, limits, json::read(bytes, limits));
    }
    lock(path, bytes, limits)
}

/// What would be installed for use.
pub(super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    list(path, limits, json::read(bytes, limits).map(|file: File| file.packages))
}

fn list(path: &str, limits: &Limits, records: Result<Items<Record>, Trouble>) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Composer, path, limits);
    match records {
        Err(trouble) => listing.gap(trouble),
        Ok(records) => {
            for record in &records.0 {
                let name = record.name.as_str().unwrap_or_default().to_ascii_lowercase();
                listing.add(&name, record.version.as_str().unwrap_or_default());
            }
        }
    }
    listing.done()
}
