//! Scanning: layers are read in the stream in which they arrive, facts are kept, and reports are made of
//! them whenever the gate asks.
//!
//! Promises:
//! - What counts was read from bytes that have their digest: facts of a stream that did not end cleanly
//!   are dropped.
//! - A layer is fetched once, for the scanner and for the nodes that come after it, and read once for all
//!   images that have it.
//! - Scans wait for each other, never for a thread of the runtime, and never hold what pulls need.
//! - A database that cannot be used changes nothing: the one in force stays.

mod database;
mod exported;
mod images;
mod inspect;
mod layers;
mod layout;
mod others;
mod reading;
mod rejudge;
mod renewal;
mod reports;
mod room;
mod vex;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::recent::Recent;
use super::shares::{Budget, Shares};
use super::turns::Turns;
use crate::adapter::Adapter;
use crate::gate::{OtherScan, ScannedByOther};
use crate::oci::Digest;
use crate::scan::{Database, Inventory, Limits, Report};
use crate::store::Facts;

pub use database::{DATABASE_BYTES_MAX, DatabaseTrouble, load_database};
pub use inspect::{InspectError, Inspected, ReadImage};
use others::Other;
pub use rejudge::{Brake, RejudgedScans};

/// Inventories and reports that are kept in memory, each.
const REMEMBERED_MAX: usize = 512;
/// How much they take there, each kind together, in bytes.
const REMEMBERED_BYTES_MAX: u64 = 32 << 20;
/// Subjects whose images are read at once: of each registry, and of all beyond that. A registry that
/// answers slowly holds up its own only.
const SCANS: Budget = Budget { own: 2, common: 2, wait_max: Duration::from_mins(10) };

/// What is said while there is no database.
const NO_DATABASE: &str = "there is no vulnerability database; run pratique db import";

/// How images are scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanSettings {
    /// The vulnerability database; `None` is none, and rules that ask for scans decide nothing.
    pub database: Option<PathBuf>,
    /// How much of an image is read.
    pub limits: Limits,
    /// The folder in which images are put for other scanners, one by one; it is made when one is.
    pub work: PathBuf,
    /// Bytes of all facts that are kept.
    pub facts_bytes: u64,
    /// How long all layers of one subject may take, their fetching included.
    pub time: Duration,
    /// The change of a database that is held until a person has seen it.
    pub brake: Brake,
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self {
            database: None,
            limits: Limits::default(),
            work: std::env::temp_dir().join("pratique-scans"),
            facts_bytes: 2 << 30,
            time: Duration::from_mins(10),
            brake: Brake::default(),
        }
    }
}

/// What scans images; one for a mirror.
pub struct Scanner {
    settings: ScanSettings,
    facts: Facts,
    database: RwLock<Known>,
    /// Chunks of layers that are worked on at once: inflating and hashing fill a core. Nobody waits for
    /// the network with one of these.
    working: Arc<Semaphore>,
    /// Subjects whose images are being read.
    scans: Shares,
    /// Layers that are being read: two images that share one read it once.
    layers: Turns<Digest>,
    /// Inventories that are being compared.
    matching: Turns<Digest>,
    /// Scanners beside the one inside, by their names.
    others: BTreeMap<String, Other>,
    /// Images about which one of them is being asked.
    asking: Turns<(String, Digest)>,
    /// What they said last.
    lately: Recent<(String, Digest), ScannedByOther>,
    other_scans: Recent<Digest, Arc<OtherScan>>,
    inventories: Recent<Digest, Arc<Inventory>>,
    reports: Recent<(Digest, Digest), Arc<Report>>,
}

/// The database in force, or why there is none.
#[derive(Clone)]
enum Known {
    Database(Arc<Database>),
    None(String),
}

impl Scanner {
    /// A scanner without a database; what it learns is kept in `facts`.
    ///
    /// `others` are the scanners beside the one inside, by the names by which policies call them.
    pub fn new(
        settings: ScanSettings,
        facts: Facts,
        others: BTreeMap<String, Arc<dyn Adapter>>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let why = if settings.database.is_some() {
            "vulnerability database is not read yet"
        } else {
            NO_DATABASE
        };
        let other = |adapter| Other { adapter, slots: Semaphore::new(others::AT_ONCE) };
        let others = others.into_iter().map(|(name, adapter)| (name, other(adapter)));
        Self {
            others: others.collect(),
            asking: Turns::default(),
            lately: Recent::new(others::LATELY_MAX),
            other_scans: Recent::weighing(REMEMBERED_MAX, REMEMBERED_BYTES_MAX),
            settings,
            facts,
            database: RwLock::new(Known::None(why.to_owned())),
            working: Arc::new(Semaphore::new(cores)),
            scans: Shares::new(SCANS),
            layers: Turns::default(),
            matching: Turns::default(),
            inventories: Recent::weighing(REMEMBERED_MAX, REMEMBERED_BYTES_MAX),
            reports: Recent::weighing(REMEMBERED_MAX, REMEMBERED_BYTES_MAX),
        }
    }

    /// The database in force.
    ///
    /// # Errors
    /// Why there is none, in words fit for clients.
    pub fn database(&self) -> Result<Arc<Database>, String> {
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Known::Database(database) => Ok(Arc::clone(database)),
            Known::None(why) => Err(why.clone()),
        }
    }

    /// What holds a change that takes much back.
    pub(in crate::mirror) fn brake(&self) -> Brake {
        self.settings.brake
    }

    /// Puts `database` in force: what is judged from now on is compared with it.
    pub fn put_in_force(&self, database: Database) {
        let known = Known::Database(Arc::new(database));
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Says why there is no database, unless there is one.
    fn lacks(&self, why: String) {
        let mut known = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*known, Known::None(_)) {
            *known = Known::None(why);
        }
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner").field("settings", &self.settings).finish_non_exhaustive()
    }
}
