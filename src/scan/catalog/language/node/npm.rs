//! `package-lock.json` in its three versions, `npm-shrinkwrap.json`, and what npm leaves in
//! `node_modules`, which has the form of the third.

use serde::Deserialize;

use super::super::super::FileFacts;
use super::super::json::{self, Entries, Text};
use super::super::listing::Listing;
use crate::scan::{Limits, PackageKind};

#[derive(Deserialize)]
struct LockFile {
    /// Since version 2: what is installed, by where.
    #[serde(default)]
    packages: Option<Entries<Place>>,
    /// Until version 2: what is installed, by its name.
    #[serde(default)]
    dependencies: Option<Entries<Dependency>>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    link: bool,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    dependencies: Entries<Dependency>,
}

/// What would be installed for use: not what is for development only, and no links to what is elsewhere.
pub(in super::super) fn lock(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Npm, path, limits);
    match json::read::<LockFile>(bytes, limits) {
        Err(trouble) => listing.gap(trouble),
        Ok(LockFile { packages: Some(places), .. }) => by_place(&places, &mut listing),
        Ok(LockFile { packages: None, dependencies }) => {
            by_name(&dependencies.unwrap_or_default(), &mut listing);
        }
    }
    listing.done()
}

fn by_place(places: &Entries<Place>, listing: &mut Listing<'_>) {
    for (place, package) in &places.0 {
        // Without `node_modules` it is the application or a part of it.
        let Some(named) = place.rsplit_once("node_modules/").map(|(_, name)| name) else {
            continue;
        };
        if package.dev || package.link {
            continue;
        }
        // The name is said only where it is not the directory's.
        let name = package.name.as_str().unwrap_or(named);
        listing.add(name, package.version.as_str().unwrap_or_default());
    }
}

/// Nesting is bounded by that of the document.
fn by_name(dependencies: &Entries<Dependency>, listing: &mut Listing<'_>) {
    for (name, dependency) in &dependencies.0 {
        let version = dependency.version.as_str().unwrap_or_default();
        if !dependency.dev {
            match version.strip_prefix("npm:").and_then(super::split_name) {
                Some((name, version)) => listing.add(name, version),
                // A directory is a part of the application.
                None if version.starts_with("file:") => {}
                None => listing.add(name, version),
            }
        }
        by_name(&dependency.dependencies, listing);
    }
}
