//! What must be true after every fault, as far as it can be read from outside.
//!
//! No file under `blobs/` whose name is not its hash; no answer that ended cleanly with other bytes
//! than its digest stands for; not a byte of what is not admitted; no credentials but to the host
//! they are for; one fetch of a digest, and one more for each that was answered badly; no partial
//! file left; an audit chain that verifies; a process that answers and did not panic; and errors that
//! are short, in the specification's form, and say nothing of the inside or of what upstream wrote.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use bytes::Bytes;
use pratique::oci::Digest;

use super::ledger::Entry;
use super::rig::{CLOSED_CANARY, PASSWORD};
use super::{ERROR_CANARY, HostileUpstream};
use crate::support::mirror::Answer;

/// Longest body of an error, in bytes.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Statuses that a node may see; never 429 or 502, which make it ask in bursts.
const STATUSES: [u16; 10] = [200, 206, 304, 400, 403, 404, 405, 406, 416, 503];

/// An answer that a node heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) status: u16,
    is_head: bool,
    digest: Option<Digest>,
    claimed: Option<Digest>,
    has_retry_after: bool,
    media_type: String,
    body: Option<Bytes>,
}

impl Heard {
    pub(crate) fn new(path: &str, is_head: bool, answer: &Answer) -> Self {
        let last = path.split('?').next().and_then(|path| path.rsplit('/').next());
        Self {
            path: path.to_owned(),
            status: answer.status,
            is_head,
            digest: last.and_then(|last| last.parse().ok()),
            claimed: answer.header("docker-content-digest").parse().ok(),
            has_retry_after: !answer.header("retry-after").is_empty(),
            media_type: answer.header("content-type").to_owned(),
            body: answer.body.clone(),
        }
    }

    /// The promises that this answer breaks.
    pub(crate) fn broken(&self, folder: &Path) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                broken.push(format!("{what}: {} {}", self.status, self.path));
            }
        };
        must(STATUSES.contains(&self.status), "a status that no node should see");
        let is_content = self.status == 200 || self.status == 206;
        if is_content {
            must(!self.path.starts_with("/v2/closed/"), "content that is not admitted");
            let digest = self.digest.or(self.claimed);
            must(digest.is_some() && self.claimed == digest, "a digest that was not asked for");
            if let (Some(digest), Some(body), 200, false) =
                (digest, &self.body, self.status, self.is_head)
            {
                must(digest.matches(body), "a clean end of wrong bytes");
            }
        } else if let Some(body) = self.body.as_ref().filter(|_| !self.is_head) {
            let text = String::from_utf8_lossy(body);
            let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            must(body.len() <= ERROR_BYTES_MAX, "an error that is too long");
            must(parsed.pointer("/errors/0/code").is_some(), "an error in another form");
            must(self.media_type.starts_with("application/json"), "an error of another type");
            must(!text.contains(ERROR_CANARY), "the words of the upstream");
            must(!text.contains(PASSWORD), "a password");
            must(!text.contains(&*folder.to_string_lossy()), "a path of the inside");
            must(self.status != 503 || self.has_retry_after, "503 without Retry-After");
        }
        let body = self.body.as_deref().unwrap_or_default();
        let leaks = body.windows(CLOSED_CANARY.len()).any(|it| it == CLOSED_CANARY.as_bytes());
        must(!leaks, "bytes that are not admitted");
        broken
    }
}

/// Files under `blobs/` whose name is not their hash.
pub(crate) fn misnamed(folder: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    for algorithm in ["sha256", "sha512"] {
        let blobs = folder.join("data/blobs").join(algorithm);
        for path in files(&blobs) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest: Option<Digest> = format!("{algorithm}:{name}").parse().ok();
            // It may have been removed in between, which is no harm.
            let Ok(content) = std::fs::read(&path) else { continue };
            if !digest.is_some_and(|digest| digest.matches(&content)) {
                broken.push(format!("{} is not what its name says", path.display()));
            }
        }
    }
    broken
}

/// Partial files.
pub(crate) fn partials(folder: &Path) -> Vec<PathBuf> {
    files(&folder.join("data/ingest"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Fetches of one digest that no bad answer before them explains.
pub(crate) fn unexplained_fetches(entries: &[Entry]) -> Vec<String> {
    let mut fetches: HashMap<&str, Vec<&Entry>> = HashMap::new();
    let fetches_of = entries.iter().filter(|entry| entry.method == "GET" && entry.is_found);
    for entry in fetches_of {
        let is_content = entry.target.contains("/blobs/") || entry.target.contains("/manifests/");
        if is_content && entry.target.contains("sha256:") {
            fetches.entry(&entry.target).or_default().push(entry);
        }
    }
    let told = |(target, all): (&str, Vec<&Entry>)| {
        let bad = all.iter().filter(|entry| entry.is_faulted).count();
        let within = all.last()?.at.duration_since(all.first()?.at);
        let is_explained = all.len() <= bad + 1;
        (!is_explained).then(|| format!("{target}: {} GETs in {within:?}, {bad} bad", all.len()))
    };
    fetches.into_iter().filter_map(told).collect()
}

/// What arrived at a host that stands in no configuration.
pub(crate) fn strays(elsewhere: &HostileUpstream) -> Vec<String> {
    let entries = elsewhere.entries();
    let told = |entry: &Entry| {
        let with = if entry.carries_credentials() { "with" } else { "without" };
        format!("stray request {with} credentials: {}", entry.line())
    };
    let mut broken: Vec<_> = entries.iter().map(told).collect();
    if elsewhere.connections() > entries.len() {
        broken.push(format!("{} stray connections", elsewhere.connections()));
    }
    broken
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Begins to take down panics of the program (not of tests), of all threads.
pub(crate) fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            if place.starts_with("src/") {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(place);
            }
            before(panic);
        }));
    });
}

/// The panics so far.
pub(crate) fn panics() -> Vec<String> {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    panics.iter().map(|place| format!("panic at {place}")).collect()
}
