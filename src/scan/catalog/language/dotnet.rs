//! .NET packages: what a program needs at run time, as its build wrote it.

use serde::Deserialize;

use super::super::FileFacts;
use super::json::{self, Entries, Text};
use super::listing::Listing;
use crate::scan::{Limits, PackageKind};

/// What the names of runtime packs begin with, and their packages' do not.
const RUNTIME_PACK: &str = "runtimepack.";

#[derive(Deserialize)]
struct DependenciesFile {
    #[serde(default)]
    libraries: Entries<Library>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default, rename = "type")]
    kind: Text,
}

/// The packages and runtime packs, without projects and plain references.
pub(super) fn dependencies(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Nuget, path, limits);
    match json::read::<DependenciesFile>(bytes, limits) {
        Err(trouble) => listing.gap(trouble),
        Ok(file) => {
            for (id, library) in &file.libraries.0 {
                let is_package = library.kind.as_str().is_some_and(|kind| {
                    kind.eq_ignore_ascii_case("package") || kind.eq_ignore_ascii_case("runtimepack")
                });
                if is_package {
                    let (name, version) = id.split_once('/').unwrap_or((id, ""));
                    listing.add(name.strip_prefix(RUNTIME_PACK).unwrap_or(name), version);
                }
            }
        }
    }
    listing.done()
}
