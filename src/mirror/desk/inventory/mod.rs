//! What runs in clusters: the latest report of each, kept in memory and in files, replaced whole.
//!
//! A report is a claim. Whoever holds a token of role node can lie about what runs, and so hide an image or make
//! one up; nothing is admitted or refused for it. So that one cannot speak for a cluster that another reports,
//! a cluster is its first reporter's until that falls silent or its token ends.

mod disk;
mod family;
mod running;
mod view;
mod wanted;
mod whereabouts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::Desk;
use crate::cluster::{ClusterName, InventoryReport};
use crate::time::Timestamp;

pub use running::{RunningImageView, RunningImagesView};
pub use view::{
    CachedView, ClusterView, ClustersView, Match, RunsBrief, RunsView, SoughtAs, WhereView,
    kind_of_what,
};

/// Most clusters that are kept, at up to 8 MiB each.
pub const CLUSTERS_MAX: usize = 16;
/// After how many intervals without a word an inventory counts as stale.
const INTERVALS_TILL_STALE: u32 = 3;
/// After what time an inventory counts as stale whose reporter does not say how often it looks.
const STALE_AFTER: Duration = Duration::from_hours(24);
/// After what time without a word a cluster is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24 * 30);

/// Why a report is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// It has more entries, or other texts, than any reporter of ours writes.
    #[error("the report has more entries, or other texts, than `pratique inventory report` writes")]
    Bounds,
    /// There is no room for another cluster.
    #[error(
        "{CLUSTERS_MAX} clusters are kept, which is as many as there can be; one that is silent for 30 days \
         makes room"
    )]
    Full,
    /// Another token speaks for the cluster.
    #[error(
        "cluster {cluster} is reported by the token {reporter}; end that (`pratique token revoke {reporter}`), \
         or wait until it is silent"
    )]
    Others {
        /// Which cluster.
        cluster: ClusterName,
        /// Whose it is.
        reporter: String,
    },
}

/// A report as it came.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Kept {
    report: InventoryReport,
    reporter: String,
    received_at: Timestamp,
}

impl Kept {
    fn is_stale(&self, now: Timestamp) -> bool {
        let every = self.report.every_seconds;
        let patience = every.map_or(STALE_AFTER, |every| every.duration() * INTERVALS_TILL_STALE);
        now.since(self.received_at) > patience
    }
}

/// The latest inventory of each cluster.
#[derive(Debug, Default)]
pub(super) struct Inventories {
    dir: OnceLock<PathBuf>,
    loaded: OnceCell<()>,
    kept: Mutex<BTreeMap<ClusterName, Arc<Kept>>>,
    /// Held while one is taken in, so that file and memory are of the same report.
    taking: tokio::sync::Mutex<()>,
    /// Held while all of them are looked through, which may read much of the ledger.
    seeking: tokio::sync::Mutex<()>,
}

impl Inventories {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Has inventories kept in files below `data_dir`, too, and those that are there counted.
    pub fn keep_inventories_in(&self, data_dir: &std::path::Path) {
        // A second place would be none that anybody asked for.
        _ = self.inventories.dir.set(data_dir.join(disk::FOLDER));
    }

    /// The latest inventory of each cluster, once the files of the last start are read.
    async fn inventories(&self) -> Vec<Arc<Kept>> {
        let (inventories, tasks) = (&self.inventories, self.mirror.tasks());
        let loading = async {
            let Some(dir) = inventories.dir.get().cloned() else { return };
            let read = tasks.spawn_blocking(move || disk::read_all(&dir, CLUSTERS_MAX)).await;
            let mut kept = inventories.kept();
            for one in read.unwrap_or_default() {
                kept.entry(one.report.cluster.clone()).or_insert_with(|| Arc::new(one));
            }
        };
        inventories.loaded.get_or_init(|| loading).await;
        let now = self.mirror.now();
        let mut kept = inventories.kept();
        kept.retain(|_, it| now.since(it.received_at) <= FORGOTTEN_AFTER);
        kept.values().cloned().collect()
    }

    /// Keeps what `reporter` says of a cluster, in the place of what was said before.
    ///
    /// # Errors
    /// [`NotKept`]. A file that cannot be written is logged: the report counts until the program ends.
    pub async fn report_inventory(
        &self,
        report: InventoryReport,
        reporter: &str,
    ) -> Result<ClusterView, NotKept> {
        if !report.is_within_bounds() {
            return Err(NotKept::Bounds);
        }
        let _one_at_a_time = self.inventories.taking.lock().await;
        let kept = self.inventories().await;
        let now = self.mirror.now();
        let before = kept.iter().find(|it| it.report.cluster == report.cluster);
        match before {
            Some(before) if self.is_others(before, reporter, now) => {
                let (cluster, reporter) = (report.cluster, before.reporter.clone());
                return Err(NotKept::Others { cluster, reporter });
            }
            None if kept.len() >= CLUSTERS_MAX => return Err(NotKept::Full),
            Some(_) | None => {}
        }
        let kept = Arc::new(Kept { report, reporter: reporter.to_owned(), received_at: now });
        if let Some(dir) = self.inventories.dir.get().cloned() {
            let written = Arc::clone(&kept);
            let writing = self.mirror.tasks().spawn_blocking(move || disk::write(&dir, &written));
            match writing.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "an inventory is kept in memory alone"),
                Err(error) => tracing::warn!(%error, "an inventory is kept in memory alone"),
            }
        }
        let view = ClusterView::of(&kept, now);
        self.inventories.kept().insert(kept.report.cluster.clone(), kept);
        Ok(view)
    }

    /// Whether somebody else than `reporter` speaks for the cluster of `before` and can go on doing so.
    fn is_others(&self, before: &Kept, reporter: &str, now: Timestamp) -> bool {
        if before.reporter == reporter || before.is_stale(now) {
            return false;
        }
        let tokens = self.mirror.ledger().tokens();
        tokens.iter().any(|it| it.name == before.reporter && !it.is_expired(now))
    }

    /// Every cluster that is known.
    pub async fn clusters(&self) -> ClustersView {
        let now = self.mirror.now();
        let kept = self.inventories().await;
        ClustersView { clusters: kept.iter().map(|it| ClusterView::of(it, now)).collect() }
    }
}
