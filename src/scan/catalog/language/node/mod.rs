//! Packages of npm: the installed ones, and what lock files of npm, yarn and pnpm would install.

mod npm;
mod pnpm;
mod yarn;

use serde::Deserialize;

use super::super::FileFacts;
use super::json::{self, Text};
use super::listing::Listing;
use crate::scan::{Limits, PackageKind};

pub(super) use npm::lock as npm_lock;
pub(super) use pnpm::lock as pnpm_lock;
pub(super) use yarn::lock as yarn_lock;

/// What packages are installed in.
const INSTALLED_IN: &str = "node_modules";

/// What packages keep their tests in.
const TESTS: [&str; 10] = [
    "__fixtures__",
    "__tests__",
    "example",
    "examples",
    "fixture",
    "fixtures",
    "mocks",
    "spec",
    "test",
    "tests",
];

/// Whether a directory is where a package is installed: `node_modules/NAME`, `node_modules/@SCOPE/NAME`.
pub(super) fn is_package(directory: &str) -> bool {
    let mut segments = directory.rsplit('/');
    let is_name = |name: &str| !name.is_empty() && !name.starts_with(['.', '@']);
    if !segments.next().is_some_and(is_name) {
        return false;
    }
    match segments.next() {
        Some(INSTALLED_IN) => true,
        Some(scope) if scope.starts_with('@') => segments.next() == Some(INSTALLED_IN),
        Some(_) | None => false,
    }
}

/// Whether a package was installed, or is one that Node would load from where it is. One within the tests
/// of a package was brought along, and is broken as often as not.
fn is_installed(directory: &str) -> bool {
    directory.split('/').skip_while(|name| *name != INSTALLED_IN).all(|name| !TESTS.contains(&name))
}

#[derive(Deserialize)]
struct PackageFile {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    version: Text,
}

/// What the `package.json` of an installed package says.
pub(super) fn package(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let mut listing = Listing::new(PackageKind::Npm, path, limits);
    match json::read::<PackageFile>(bytes, limits) {
        Ok(file) => {
            if let (Some(name), Some(version)) = (said(&file.name), said(&file.version)) {
                listing.add(name, version);
            }
        }
        Err(trouble) => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            if is_installed(directory) {
                listing.gap(trouble);
            }
        }
    }
    listing.done()
}

fn said(text: &Text) -> Option<&str> {
    text.as_str().filter(|text| !text.is_empty())
}

/// A name and what follows it: `NAME@REST`, `@SCOPE/NAME@REST`.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let start = usize::from(text.starts_with('@'));
    let at = text.get(start..)?.find('@')? + start;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
