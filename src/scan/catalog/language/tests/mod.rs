//! What hostile and ordinary files of languages say.

mod archives;
mod made;
mod node;
mod others;
mod paths;
mod programs;
mod properties;

use super::super::{FileFacts, HEAD_BYTES};
use super::File;
use crate::scan::{GapKind, Limits};

/// What a file says, found by its path and its first bytes, as in a layer.
fn read_within(path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let file = File::of(path, head).unwrap_or_else(|| panic!("{path} is of no interest"));
    let size = u64::try_from(bytes.len()).unwrap();
    file.read(path, size, &mut &bytes[..], limits).unwrap()
}

fn read(path: &str, bytes: impl AsRef<[u8]>) -> FileFacts {
    read_within(path, bytes.as_ref(), &Limits::default())
}

/// Its packages as `name version`, where it is read without a gap.
fn packages(path: &str, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let facts = read(path, bytes);
    assert_eq!(facts.gaps, [], "{path}");
    listed(&facts)
}

fn listed(facts: &FileFacts) -> Vec<String> {
    facts.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

/// Why a file was not read in whole.
fn gaps(path: &str, bytes: impl AsRef<[u8]>) -> Vec<GapKind> {
    read(path, bytes).gaps.into_iter().map(|(kind, _)| kind).collect()
}
