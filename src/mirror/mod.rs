//! The use cases: resolve a reference, admit a subject, pull a manifest, pull a blob.
//!
//! Invariants of this folder:
//! - nothing is handed out without a judgement that admits it, or a rule in observe mode; but to a
//!   scanner, by a pass, the one image that it is to judge (`passes`);
//! - work that others may wait for runs as a flight that belongs to the mirror, so a request that
//!   goes away spoils nothing;
//! - a person's decision is in force for the next request after it was acknowledged.

mod absence;
pub mod approval_file;
mod attachments;
mod blob;
mod board;
mod children;
mod deciding;
pub mod desk;
mod elsewhere;
mod emergency;
mod endings;
mod error;
mod exceptions;
mod file;
mod flight;
mod judge;
mod keeping;
mod known;
mod lifecycle;
mod line;
mod listed;
mod lists;
mod manifest;
mod manifest_bytes;
mod manifest_cache;
mod observed;
mod passes;
mod policy_disk;
mod policy_file;
mod predecessors;
mod prefetch;
mod recent;
mod reevaluate;
mod resolve;
mod sboms;
mod scanning;
mod seats;
mod shares;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
mod stale;
mod summaries;
mod sync;
mod turns;
mod warm;
mod warned;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use blob::{Arriving, ArrivingReader, BlobAnswer, BlobBody, BlobReader};
pub use board::PinCheck;
pub use error::{Decision, Error, Refusal};
pub use flight::Abandoned;
pub use judge::{Freshness, Judged};
pub use keeping::{Through, ThroughReader};
pub use known::{KnownImage, KnownStanding};
pub use lifecycle::{LINES_MAX, LineEnd, NoLine};
pub use lists::TagList;
pub use manifest::{ManifestAnswer, Pull};
pub use passes::{PASS_PREFIX, PASS_TIME_MAX, PASS_USER, Pass, PassError, ShownPass};
pub use policy_disk::{PolicyOnDisk, load_policy, of_one_moment, policy_references};
pub use policy_file::{PolicyError, record_policy};
pub use prefetch::Prefetched;
pub use reevaluate::LookedAgain;
pub use scanning::{
    Brake, DATABASE_BYTES_MAX, DatabaseTrouble, InspectError, Inspected, ReadImage, RejudgedScans,
    ScanSettings, Scanner, load_database,
};
pub use stale::Stale;

use bytes::Bytes;

use crate::evidence::Collector;
use crate::gate::{Evidence, EvidenceKind, ReadyPolicy, SignatureSearch, Subject};
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::oci::{Digest, Name, Registry, Tag};
use crate::scan::SbomFormat;
use crate::store::Store;
use crate::summary::Keyring;
use crate::tasks::Tasks;
use crate::time::{Clock, Timestamp};
use crate::upstream;

use flight::Flights;
use manifest_cache::ManifestCache;
use recent::Recent;
use shares::{Budget, Shares};

/// Subjects that are judged, and tags that are resolved, at one time; more are refused for now.
const FLIGHTS_MAX: usize = 1_024;
/// Gatherings of evidence that run at one time.
const GATHERINGS: Budget = Budget { own: 4, common: 32, wait_max: Duration::from_mins(1) };
/// Tags, subjects and refusals that are remembered in memory, each.
const REMEMBERED_MAX: usize = 65_536;
/// Children of indexes of which it is remembered what is attached to them.
const ATTACHED_MAX: usize = 256;
/// Summaries that are remembered, at about 3 kB each; others are made again.
const SUMMARIES_MAX: usize = 2_048;
/// Images whose bills of materials are remembered, at about 5 kB each; others are made again.
const BILLS_MAX: usize = 2_048;
/// Bills that are made at one time: each may take tens of megabytes of memory while it is.
const BILLS_AT_ONCE: usize = 2;

/// What the mirror needs to be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a pull waits for a verdict before it is told to come again.
    pub hold_timeout: Duration,
    /// How long the gate may take over one subject, signatures included; beyond it nothing is decided.
    pub decide_timeout: Duration,
    /// How long the answer of a registry about a tag is taken for fresh.
    pub tag_ttl: HashMap<Registry, Duration>,
    /// The same, for registries that are not in `tag_ttl`.
    pub tag_ttl_default: Duration,
    /// Until when lines of images are mended, as far as that is known.
    pub lifecycle: Vec<LineEnd>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hold_timeout: Duration::from_secs(10),
            decide_timeout: Duration::from_secs(30),
            tag_ttl: HashMap::new(),
            tag_ttl_default: Duration::from_mins(1),
            lifecycle: Vec::new(),
        }
    }
}

/// What the mirror works with.
#[derive(Clone)]
pub struct Parts {
    /// Where trust is kept.
    pub ledger: Ledger,
    /// Where content is kept.
    pub store: Store,
    /// Where content comes from.
    pub client: upstream::Client,
    /// What gathers evidence.
    pub collector: Collector,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who runs tasks.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// With what summaries are signed.
    pub keyring: Arc<Keyring>,
    /// What reads images, and what is known against what is in them.
    pub scanner: Arc<Scanner>,
    /// What stands for every registry, where none is asked for content.
    pub layout: Option<Arc<Layout>>,
}

/// The mirror; clones are the same mirror.
#[derive(Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    parts: Parts,
    policy: RwLock<Arc<ReadyPolicy>>,
    following: policy_file::Following,
    /// What both clocks showed at the start.
    started: (Timestamp, Duration),
    judging: Flights<Subject, Result<Judged, Error>>,
    deciding: turns::Turns<Subject>,
    again: reevaluate::LookingAgain,
    resolving: Flights<(Name, Tag), Result<resolve::Answer, Error>>,
    reading: Flights<Subject, Result<Bytes, Error>>,
    sizing: Flights<(Subject, bool), Result<blob::Sized, Error>>,
    gathering: Flights<(Subject, Vec<EvidenceKind>), Result<Evidence, Error>>,
    late: Flights<Subject, Result<bool, Error>>,
    attaching: Flights<Subject, Result<SignatureSearch, Error>>,
    gatherings: Shares,
    boards: board::Boards,
    throughs: keeping::Throughs,
    pins_changed: Arc<tokio::sync::Notify>,
    pinning: tokio::sync::Mutex<()>,
    manifests: ManifestCache,
    passes: passes::Passes,
    tags: Recent<(Name, Tag), resolve::Remembered>,
    absent: Recent<Subject, Duration>,
    sized: Recent<Subject, (u64, Duration)>,
    attached: Recent<Subject, (SignatureSearch, Duration)>,
    failures: Recent<Subject, judge::Failure>,
    summaries: Recent<Subject, summaries::Made>,
    said: Recent<(Name, Digest), (Digest, Bytes)>,
    bills: Recent<(Subject, SbomFormat), sboms::Made>,
    billed: Recent<(Name, Digest), sboms::Part>,
    billing: tokio::sync::Semaphore,
    held: Recent<(Subject, Arc<str>), Duration>,
    filed: Recent<file::FiledKey, file::Filed>,
    filed_now: tokio::sync::Notify,
}

impl Mirror {
    /// A mirror that decides by `policy`.
    pub fn new(settings: Settings, parts: Parts, policy: ReadyPolicy) -> Self {
        let tasks = parts.tasks.clone();
        let revision = i64::try_from(policy.revision()).unwrap_or(i64::MAX);
        parts.metrics.policy_revision.set(revision);
        let inner = Inner {
            settings,
            policy: RwLock::new(Arc::new(policy)),
            following: policy_file::Following::default(),
            started: (parts.clock.now(), parts.clock.monotonic()),
            judging: Flights::new(tasks.clone(), FLIGHTS_MAX),
            deciding: turns::Turns::default(),
            again: reevaluate::LookingAgain::default(),
            resolving: Flights::new(tasks.clone(), FLIGHTS_MAX),
            reading: Flights::new(tasks.clone(), FLIGHTS_MAX),
            sizing: Flights::new(tasks.clone(), FLIGHTS_MAX),
            gathering: Flights::new(tasks.clone(), FLIGHTS_MAX),
            late: Flights::new(tasks.clone(), FLIGHTS_MAX),
            attaching: Flights::new(tasks, FLIGHTS_MAX),
            gatherings: Shares::new(GATHERINGS),
            boards: board::Boards::new(parts.clone()),
            throughs: keeping::Throughs::default(),
            pins_changed: Arc::default(),
            pinning: tokio::sync::Mutex::default(),
            manifests: ManifestCache::default(),
            passes: passes::Passes::default(),
            tags: Recent::new(REMEMBERED_MAX),
            absent: Recent::new(REMEMBERED_MAX),
            sized: Recent::new(REMEMBERED_MAX),
            attached: Recent::new(ATTACHED_MAX),
            failures: Recent::new(REMEMBERED_MAX),
            summaries: Recent::new(SUMMARIES_MAX),
            // A manifest and two blobs for each.
            said: Recent::new(3 * SUMMARIES_MAX),
            bills: Recent::new(SbomFormat::ALL.len() * BILLS_MAX),
            // A manifest and the bill for each.
            billed: Recent::new(2 * SbomFormat::ALL.len() * BILLS_MAX),
            billing: tokio::sync::Semaphore::new(BILLS_AT_ONCE),
            held: Recent::new(REMEMBERED_MAX),
            filed: Recent::new(REMEMBERED_MAX),
            filed_now: tokio::sync::Notify::new(),
            parts,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<ReadyPolicy> {
        Arc::clone(&self.inner.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `policy` in force for every request from now on; verdicts made under another policy are
    /// decided again, from stored evidence, when they are next asked for or by
    /// [`Mirror::judge_all_again`].
    pub fn put_in_force(&self, policy: ReadyPolicy) {
        let revision = i64::try_from(policy.revision()).unwrap_or(i64::MAX);
        self.inner.parts.metrics.policy_revision.set(revision);
        *self.inner.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The trust state.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.parts.ledger
    }

    /// This machine's cache.
    pub fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    /// The registry client.
    pub fn client(&self) -> &upstream::Client {
        &self.inner.parts.client
    }

    /// The keys with which summaries are signed.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.parts.keyring
    }

    /// The scanner.
    pub fn scanner(&self) -> &Scanner {
        &self.inner.parts.scanner
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.parts.metrics
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    /// What time it is for verdicts: never earlier than the start and the time that passed since, so
    /// that a wall clock that is set back brings no approval back. A clock that was wrongly ahead for
    /// a while leaves no trace here.
    pub(crate) fn now(&self) -> Timestamp {
        let (wall, monotonic) = self.inner.started;
        let passed = self.clock().monotonic().saturating_sub(monotonic);
        self.clock().now().max(wall.after(passed))
    }

    /// The spawner.
    pub fn tasks(&self) -> &Tasks {
        &self.inner.parts.tasks
    }

    /// Has `pinned` asked whether a fetch that every client left is to be finished all the same; asked
    /// once for each such fetch, the first `pinned` stays.
    fn keep_whole_if(&self, pinned: PinCheck) {
        self.inner.boards.keep_whole_if(pinned);
    }

    fn known(&self, name: &Name) -> Result<(), Error> {
        if self.client().knows(name.registry()) {
            return Ok(());
        }
        Err(Error::RegistryUnknown(name.registry().as_str().into()))
    }

    fn subject(name: &Name, digest: &Digest) -> Subject {
        Subject { name: name.clone(), digest: *digest }
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
