//! What the doctors of nodes report: kept in memory, the last of each node.
//!
//! A report is what a node says of itself. Whoever is root on it can say anything: a node that says that
//! it is open is to be believed, one that says that it is closed is worth what its keeper is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Desk;
use crate::doctor::{NodeName, Report, State};
use crate::time::Timestamp;

/// Most nodes that are kept: the largest clusters have as many. Who is silent for longest makes room.
const NODES_MAX: usize = 5_000;
/// After how many intervals without a word a node counts as silent.
const INTERVALS_TILL_SILENT: u32 = 3;
/// After what time a node counts as silent that does not say how often it looks.
const SILENT_AFTER: Duration = Duration::from_hours(24);

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
pub(super) struct Nodes(Mutex<HashMap<NodeName, Kept>>);

impl Nodes {
    fn kept(&self) -> MutexGuard<'_, HashMap<NodeName, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Keeps what `reporter` says of a node; `None` when it has more findings, or other texts, than any
    /// doctor writes.
    pub fn report_node(&self, report: Report, reporter: &str) -> Option<NodeView> {
        if !report.is_within_bounds() {
            return None;
        }
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
        Some(view)
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
