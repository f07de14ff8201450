//! The walk over the records, in order.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::audit::{Chain, Stored, link};
use super::report::{AuditFault, AuditNote, AuditProblem};
use crate::time::Timestamp;
use crate::transparency::{NodeHash, Tree};

/// The kind of a record that says that the chain is not the one that was known.
const CHAIN_CUT: &str = "chain-cut";
/// The kind of a record that says that the ledger was restored.
const RESTORED: &str = "restored";
/// The kind of a record that says that another key signs checkpoints.
const KEY_REPLACED: &str = "audit-key-replaced";

/// What of a record matters here; the rest may be of any program.
#[derive(Deserialize)]
struct Seen {
    sequence: u64,
    at: Timestamp,
    kind: String,
    #[serde(default)]
    details: BTreeMap<String, String>,
}

/// How things stood after so many records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// The root of the tree over them; `None` when the walk did not come so far.
    pub(super) root: Option<NodeHash>,
    /// When the next one was written.
    pub(super) next_at: Option<Timestamp>,
}

/// How far the walk has come, and what it met.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) first: u64,
    pub(super) chain: Chain,
    tree: Tree,
    /// How things stood at every size that somebody says something about.
    pub(super) marks: BTreeMap<u64, Mark>,
    /// Where the chain itself is wrong.
    pub(super) problem: Option<AuditProblem>,
    /// The first decision that the ledger does not go by.
    pub(super) contradicted: Option<AuditProblem>,
    /// The first cut that a record reports.
    pub(super) cut: Option<AuditProblem>,
    /// The records that say that the ledger was restored.
    pub(super) restored: Vec<u64>,
    /// The records that say that another key signs, and which.
    pub(super) replaced_keys: Vec<(u64, String)>,
    pub(super) notes: Vec<AuditNote>,
}

impl Walk {
    /// Begins after `chain`, whose records are in `tree`, and remembers how things stand at `sizes`.
    pub(super) fn begin(chain: Chain, tree: Tree, sizes: impl IntoIterator<Item = u64>) -> Self {
        let marks = sizes.into_iter().chain([chain.count]).map(|size| (size, Mark::default()));
        let mut walk = Self {
            first: chain.count + 1,
            chain,
            tree,
            marks: marks.collect(),
            problem: None,
            contradicted: None,
            cut: None,
            restored: Vec::new(),
            replaced_keys: Vec::new(),
            notes: Vec::new(),
        };
        walk.mark();
        walk
    }

    /// Goes on to the next record; gives whether it is good, and else there is nothing more to see.
    pub(super) fn row(&mut self, stored: &Stored) -> bool {
        match follow_to(&self.chain, stored) {
            Ok((chain, seen)) => {
                self.note(&chain, seen);
                self.tree.push(stored.body.as_bytes());
                self.chain = chain;
                self.mark();
                true
            }
            Err(problem) => {
                self.problem = Some(problem);
                false
            }
        }
    }

    fn mark(&mut self) {
        if let Some(mark) = self.marks.get_mut(&self.chain.count) {
            mark.root = Some(self.tree.root());
        }
    }

    fn note(&mut self, chain: &Chain, seen: Seen) {
        let sequence = chain.count;
        if let Some(mark) = self.marks.get_mut(&self.chain.count) {
            mark.next_at = Some(seen.at);
        }
        match seen.kind.as_str() {
            CHAIN_CUT => {
                let cut = AuditProblem { sequence, fault: AuditFault::Cut };
                self.cut = self.cut.or(Some(cut));
            }
            RESTORED => self.restored.push(sequence),
            KEY_REPLACED => {
                let mut details = seen.details;
                self.replaced_keys.extend(details.remove("key").map(|key| (sequence, key)));
            }
            _ => {}
        }
    }
}

/// The chain one row on.
pub(in crate::ledger) fn follow(chain: &Chain, stored: &Stored) -> Result<Chain, AuditProblem> {
    follow_to(chain, stored).map(|(chain, _)| chain)
}

fn follow_to(chain: &Chain, stored: &Stored) -> Result<(Chain, Seen), AuditProblem> {
    let expected = chain.count + 1;
    let fault = |fault| AuditProblem { sequence: expected, fault };
    if stored.sequence != expected {
        return Err(fault(AuditFault::Removed));
    }
    let hash = link(&stored.previous, &stored.body);
    if hash.as_bytes() != stored.hash {
        return Err(fault(AuditFault::Changed));
    }
    let seen: Seen = serde_json::from_str(&stored.body).map_err(|_| fault(AuditFault::Changed))?;
    if seen.sequence != expected {
        return Err(fault(AuditFault::Moved));
    }
    if stored.previous != chain.hash.as_bytes() {
        // This row is as it was written, so the one before is not, although its own hash fits.
        let sequence = chain.count.max(1);
        return Err(AuditProblem { sequence, fault: AuditFault::Changed });
    }
    Ok((Chain { count: expected, hash }, seen))
}
