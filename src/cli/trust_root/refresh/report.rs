//! What a refresh did, for people and for programs.

use std::path::Path;

use serde::Serialize;
use sigstore_tuf::TrustedMetadataSet;
use sigstore_tuf::metadata::Role;

use super::TARGET;
use super::memory::Versions;
use super::start::Start;
use crate::cli::trust_root::place::Placed;
use crate::cli::trust_root::{indented, moment};
use crate::oci::Digest;
use crate::time::Timestamp;

/// One kind of metadata, as it is now and was before.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    role: &'static str,
    version: u64,
    before: Option<u64>,
    expires: Timestamp,
}

/// What came of it, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Refreshed<'a> {
    pub(super) repository: &'a str,
    pub(super) state: &'a Path,
    pub(super) metadata: &'a [Seen],
    #[serde(flatten)]
    pub(super) placed: &'a Placed<'a>,
}

/// The roles of `trusted`, with their versions `before`.
pub(super) fn seen(trusted: &TrustedMetadataSet, before: &Versions) -> Vec<Seen> {
    fn of<R: Role>(role: &'static str, it: &R, before: Option<u64>) -> Seen {
        let expires = Timestamp::from_milliseconds(it.expires().as_millisecond());
        Seen { role, version: it.version(), before, expires }
    }
    let root = Some(of("root", trusted.root(), before.root));
    let timestamp = trusted.timestamp().map(|it| of("timestamp", it, before.timestamp));
    let snapshot = trusted.snapshot().map(|it| of("snapshot", it, before.snapshot));
    let targets = trusted.targets_role("targets").map(|it| of("targets", it, before.targets));
    [root, timestamp, snapshot, targets].into_iter().flatten().collect()
}

/// The same for people.
pub(super) fn told(
    Start { name, url, .. }: &Start,
    seen: &[Seen],
    text: &str,
    utc: bool,
) -> String {
    let lines = seen.iter().map(|Seen { role, version, before, expires }| {
        let was = match before {
            Some(before) if before == version => ", as before".to_owned(),
            Some(before) => format!(", was {before}"),
            None => String::new(),
        };
        format!("{role:<10} {version}{was}, until {}", moment(*expires, utc))
    });
    let lines: Vec<String> = lines.collect();
    let digest = Digest::sha256(text.as_bytes()).short();
    format!("{name}  {url}{}\n  {TARGET} {digest}, {} bytes\n", indented(&lines), text.len())
}
