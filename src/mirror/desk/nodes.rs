//! What the doctors of nodes report: kept in memory, the last of each node.
//!
//! A report is what a node says of itself. Whoever is root on it can say anything: a node that says that
//! it is open is to be believed, one that says that it is closed is worth what its keeper is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desk, Error};
use crate::doctor::{NodeName, Report, State};
use crate::time::Timestamp;

/// Most nodes that are kept: the largest clusters have as many. Who is silent for longest makes room.
const NODES_MAX: usize = 5_000;
/// After how many intervals without a word a node counts as silent.
const INTERVALS_TILL_SILENT: u32 = 3;
/// After what time a node counts as silent that does not say how often it looks.
const SILENT_AFTER: Duration = Duration::from_hours(24);

/// After how many openings no more are put on record within [`OPENINGS_WITHIN`], so that whoever has a token of
/// a node cannot fill the audit.
const OPENINGS_MAX: usize = 1_000;
const OPENINGS_WITHIN: Duration = Duration::from_hours(1);

/// The last word of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NodeView {
    /// What it says of itself.
    pub report: Report,
    /// By which token.
    pub reporter: String,
    /// When, by the server's clock.
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// Whether it has been silent for longer than three of its intervals.
    pub is_silent: bool,
}

/// Every node that reported since the server started, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NodesView {
    /// The nodes.
    pub nodes: Vec<NodeView>,
}

/// A report as it came.
#[derive(Debug, Clone)]
struct Kept {
    report: Report,
    reporter: String,
    received_at: Timestamp,
    /// By a clock that nobody sets.
    received: Duration,
}

/// The last word of each node.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    kept: Mutex<HashMap<NodeName, Kept>>,
    recorded: Mutex<Recorded>,
}

/// How many openings were put on record within this hour.
#[derive(Debug, Default)]
struct Recorded {
    since: Duration,
    count: usize,
}

impl Nodes {
    fn kept(&self) -> MutexGuard<'_, HashMap<NodeName, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there may be more openings on record, at `now` of a clock that nobody sets.
    fn may_record(&self, now: Duration) -> bool {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(recorded.since) >= OPENINGS_WITHIN {
            *recorded = Recorded { since: now, count: 0 };
        }
        let may = recorded.count < OPENINGS_MAX;
        if !may {
            tracing::warn!("nodes report more openings than are put on record within an hour");
        }
        may
    }

    fn recorded(&self, count: usize) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.count = recorded.count.saturating_add(count);
    }
}

impl Kept {
    fn view(&self, now: Duration) -> NodeView {
        let every = self.report.every_seconds;
        let patience = every.map_or(SILENT_AFTER, |every| every.duration() * INTERVALS_TILL_SILENT);
        NodeView {
            report: self.report.clone(),
            reporter: self.reporter.clone(),
            received_at: self.received_at,
            is_silent: now.saturating_sub(self.received) > patience,
        }
    }
}

impl Desk {
    /// Keeps what `reporter` says of a node, and puts on record what was opened and closed there; `None` when it
    /// has more findings, or other texts, than any doctor writes.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn report_node(
        &self,
        report: Report,
        reporter: &str,
    ) -> Result<Option<NodeView>, Error> {
        if !report.is_within_bounds() {
            return Ok(None);
        }
        self.record_openings(&report, reporter).await?;
        let clock = self.mirror.clock();
        let now = clock.monotonic();
        let kept =
            Kept { reporter: reporter.to_owned(), received_at: clock.now(), received: now, report };
        let view = kept.view(now);
        let mut nodes = self.nodes.kept();
        if nodes.len() >= NODES_MAX && !nodes.contains_key(&kept.report.node) {
            let oldest =
                nodes.iter().min_by_key(|(_, it)| it.received).map(|(name, _)| name.clone());
            oldest.and_then(|name| nodes.remove(&name));
        }
        nodes.insert(kept.report.node.clone(), kept);
        Ok(Some(view))
    }

    /// Puts on record what the node says of its openings, as far as that is not too much at once: a node tells
    /// the same again, and what was left out is taken then.
    async fn record_openings(&self, report: &Report, reporter: &str) -> Result<(), Error> {
        if report.openings.is_empty() || !self.nodes.may_record(self.mirror.clock().monotonic()) {
            return Ok(());
        }
        let (node, lines) = (report.node.to_string(), report.openings.clone());
        let ledger = self.mirror.ledger();
        let count = ledger.record_openings(node.clone(), lines, reporter.to_owned()).await?;
        if count > 0 {
            self.nodes.recorded(count);
            tracing::warn!(%node, count, reporter, "a node says that it was opened or closed");
        }
        Ok(())
    }

    /// The last word of every node, those that are open first, then those that are silent.
    pub fn nodes(&self) -> NodesView {
        let now = self.mirror.clock().monotonic();
        let mut nodes: Vec<NodeView> = self.nodes.kept().values().map(|it| it.view(now)).collect();
        nodes.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.report.node.cmp(&b.report.node)));
        NodesView { nodes }
    }
}

/// In which order nodes are told of.
fn rank(node: &NodeView) -> u8 {
    match (node.report.state(), node.is_silent) {
        (State::Open, _) => 0,
        (_, true) => 1,
        (State::Untried, false) => 2,
        (State::Weak, false) => 3,
        (State::Declared, false) => 4,
        (State::Closed, false) => 5,
    }
}
