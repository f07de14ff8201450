//! The walk over the records, in order.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::super::audit::{Chain, Stored, link};
use super::report::{AuditFault, AuditNote, AuditProblem};
use crate::time::Timestamp;
use crate::transparency::{NodeHash, Tree};

/// The kind of a record that says that the chain is not the one that was known.
const CHAIN_CUT: &str = "chain-cut";
/// The kind of a record that says that the ledger was restored.
const RESTORED: &str = "restored";
/// The kind of a record that says that old records left the database.
const ARCHIVED: &str = "audit-archived";
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

/// What a record says of records that left the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archival {
    /// The record that says it.
    pub(super) sequence: u64,
    /// Everything that it says.
    pub(super) details: BTreeMap<String, String>,
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
    /// The records that say that others left the database.
    pub(super) archivals: Vec<Archival>,
    /// The records that are in the chain and were not read.
    pub(super) skipped: Vec<RangeInclusive<u64>>,
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
            archivals: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
        };
        if walk.chain.count > 0 {
            walk.skipped.push(1..=walk.chain.count);
        }
        walk.mark();
        walk
    }

    /// Goes on after `chain`, whose records are in `tree`, without having read what is before.
    pub(super) fn skip_to(&mut self, chain: Chain, tree: Tree) {
        let skipped = self.chain.count + 1..=chain.count;
        if *skipped.start() == self.first {
            self.first = chain.count + 1;
        }
        match self.skipped.last_mut() {
            Some(last) if last.end() + 1 == *skipped.start() => {
                *last = *last.start()..=chain.count;
            }
            _ => self.skipped.push(skipped),
        }
        (self.chain, self.tree) = (chain, tree);
        self.mark();
    }

    /// Whether the record `sequence` is in the chain and was not read.
    pub(super) fn has_skipped(&self, sequence: u64) -> bool {
        self.skipped.iter().any(|skipped| skipped.contains(&sequence))
    }

    /// Whether a record from `from` to `to` is in the chain and was not read.
    pub(super) fn has_skipped_between(&self, from: u64, to: u64) -> bool {
        self.skipped.iter().any(|skipped| *skipped.start() <= to && from <= *skipped.end())
    }

    /// How many records were read and found good.
    pub(super) fn read(&self) -> u64 {
        let lengths = self.skipped.iter().map(|it| it.end() + 1 - it.start());
        self.chain.count.saturating_sub(lengths.sum())
    }

    /// The root of the tree over the records so far.
    pub(super) fn root(&self) -> NodeHash {
        self.tree.root()
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
            ARCHIVED => self.archivals.push(Archival { sequence, details: seen.details }),
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
