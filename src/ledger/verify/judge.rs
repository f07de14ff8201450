//! What checkpoints say of the records that were walked over.
//!
//! A checkpoint that does not fit is no fault if a later one, signed with the same key, says by its
//! origin that the ledger was restored with a record before it, and that record is there: only who has
//! the key can say so. Everything else that does not fit is one.

use super::super::checkpoints::journal::Entry;
use super::super::checkpoints::{Origin, read_origin};
use super::Trust;
use super::report::{AuditFault, AuditNote, AuditProblem, AuditReport, Coverage};
use super::walk::{Mark, Walk};
use crate::transparency::{Checkpoint, Signed, VerifierKey};

/// What the ledger says of itself.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The keys that sign its checkpoints, the one in use last.
    pub(super) keys: Vec<VerifierKey>,
    /// Its checkpoints, oldest first.
    pub(super) journal: Vec<Entry>,
    /// The last of them, from its own file.
    pub(super) latest: Option<Entry>,
}

impl Claims {
    /// Every checkpoint once.
    fn all(&self) -> impl Iterator<Item = &Entry> {
        let elsewhere = self.latest.iter().filter(|latest| !self.journal.contains(latest));
        self.journal.iter().chain(elsewhere)
    }
}

/// The sizes of all trees that something is said of.
pub(super) fn sizes(claims: &Claims, trust: &Trust) -> Vec<u64> {
    let claimed = claims.all().flatten();
    claimed.chain(&trust.checkpoints).map(Checkpoint::size).collect()
}

/// How a checkpoint fits the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It is of these records.
    Fits,
    /// It is of others.
    Differs,
    /// It covers more records than there are.
    Beyond,
    /// The walk began after it, or ended before it.
    Unknown,
}

/// A checkpoint whose signature is by a key that counts.
struct Vouched<'a> {
    checkpoint: &'a Checkpoint,
    key: &'a VerifierKey,
    fit: Fit,
    /// The record with which it says that the ledger was restored.
    restored: Option<u64>,
}

/// What `walk` over the records, and what is said about them, come to.
pub(super) fn judge(walk: Walk, claims: &Claims, trust: &Trust) -> AuditReport {
    let mut judging = Judging { walk, problems: Vec::new(), notes: Vec::new() };
    let vouched = judging.vouched(claims, trust);
    judging.fits(&vouched);
    judging.keys_in_use(&vouched, trust);
    judging.latest_is_in_the_journal(claims);
    judging.trusted(trust);
    let coverage = judging.coverage(&vouched, trust);
    judging.report(coverage)
}

struct Judging {
    walk: Walk,
    problems: Vec<AuditProblem>,
    notes: Vec<AuditNote>,
}

impl Judging {
    fn fault(&mut self, sequence: u64, fault: AuditFault) {
        self.problems.push(AuditProblem { sequence, fault });
    }

    fn is_clean(&self) -> bool {
        self.walk.problem.is_none() && self.walk.cut.is_none() && self.problems.is_empty()
    }

    fn mark(&self, size: u64) -> Mark {
        self.walk.marks.get(&size).copied().unwrap_or_default()
    }

    fn fit(&self, checkpoint: &Checkpoint) -> Fit {
        match self.mark(checkpoint.size()).root {
            Some(root) if root == *checkpoint.root() => Fit::Fits,
            Some(_) => Fit::Differs,
            None if self.walk.has_skipped(checkpoint.size()) || self.walk.problem.is_some() => {
                Fit::Unknown
            }
            // A tree of nothing has a mark wherever a walk begins with the first record.
            None if checkpoint.size() < self.walk.first => Fit::Unknown,
            None => Fit::Beyond,
        }
    }

    /// The checkpoints that count; what is wrong with the others is noted.
    fn vouched<'a>(&mut self, claims: &'a Claims, trust: &'a Trust) -> Vec<Vouched<'a>> {
        let keys = if trust.keys.is_empty() { &claims.keys } else { &trust.keys };
        let mut vouched: Vec<Vouched<'a>> = Vec::new();
        let mut last_size = 0;
        for entry in claims.all() {
            let Ok(checkpoint) = entry else {
                self.fault(last_size, AuditFault::CheckpointUnreadable);
                continue;
            };
            last_size = checkpoint.size();
            match vouch(checkpoint, keys, trust) {
                Ok((key, restored)) => {
                    let fit = self.fit(checkpoint);
                    vouched.push(Vouched { checkpoint, key, fit, restored });
                }
                Err(fault) => self.fault(last_size, fault),
            }
        }
        vouched
    }

    /// Names the first record of a checkpoint that does not fit and is not of before a restoring.
    fn fits(&mut self, vouched: &[Vouched<'_>]) {
        let mut lost = std::collections::BTreeMap::new();
        for (place, one) in vouched.iter().enumerate() {
            let size = one.checkpoint.size();
            if matches!(one.fit, Fit::Fits | Fit::Unknown) {
                continue;
            }
            let later = vouched.get(place..).unwrap_or_default();
            if let Some(sequence) = self.restored_since(size, later) {
                let (count, until) = lost.entry(sequence).or_insert((0_u64, 0_u64));
                (*count, *until) = (*count + 1, size.max(*until));
                continue;
            }
            self.does_not_fit(one.fit, size, vouched);
        }
        for (sequence, (checkpoints, until)) in lost {
            self.notes.push(AuditNote::Restored { sequence, checkpoints, until });
        }
    }

    /// The record by which the records up to `size` were replaced, if one of the `later` checkpoints says
    /// so and fits.
    fn restored_since(&self, size: u64, later: &[Vouched<'_>]) -> Option<u64> {
        later.iter().filter(|one| one.fit == Fit::Fits).filter_map(|one| one.restored).find(
            |sequence| {
                let is_on_record =
                    self.walk.restored.contains(sequence) || self.walk.has_skipped(*sequence);
                *sequence <= size && is_on_record
            },
        )
    }

    fn does_not_fit(&mut self, fit: Fit, size: u64, vouched: &[Vouched<'_>]) {
        if fit == Fit::Beyond {
            return self.fault(self.walk.chain.count + 1, AuditFault::Cut);
        }
        let good = vouched.iter().filter(|one| one.fit == Fit::Fits);
        let below = good.map(|one| one.checkpoint.size()).filter(|good| *good < size).max();
        let sequence = below.unwrap_or(self.walk.first - 1) + 1;
        self.fault(sequence, AuditFault::NotAsSigned { until: size });
    }

    /// That another key signs is on record, or somebody replaced it.
    fn keys_in_use(&mut self, vouched: &[Vouched<'_>], trust: &Trust) {
        if !trust.keys.is_empty() {
            return;
        }
        for pair in vouched.windows(2) {
            let [before, after] = pair else { continue };
            if before.key == after.key {
                continue;
            }
            let key = after.key.to_string();
            let record = self.walk.replaced_keys.iter().find(|(_, replaced)| *replaced == key);
            // What is before the first record that was read cannot be known.
            match record.map(|(sequence, _)| *sequence) {
                Some(sequence) => self.notes.push(AuditNote::KeyReplaced { sequence, key }),
                None if after.fit == Fit::Unknown => {}
                None if self
                    .walk
                    .has_skipped_between(before.checkpoint.size(), after.checkpoint.size()) => {}
                None => self.fault(after.checkpoint.size(), AuditFault::KeyReplaced),
            }
        }
    }

    fn latest_is_in_the_journal(&mut self, claims: &Claims) {
        let Some(Ok(latest)) = &claims.latest else { return };
        if !claims.journal.iter().flatten().any(|entry| entry == latest) {
            self.fault(latest.size(), AuditFault::CheckpointsCut);
        }
    }

    /// What was kept elsewhere has to fit, whatever the ledger says of itself.
    fn trusted(&mut self, trust: &Trust) {
        for checkpoint in &trust.checkpoints {
            let size = checkpoint.size();
            if !trust.keys.is_empty()
                && let Err(fault) = vouch(checkpoint, &trust.keys, trust)
            {
                self.fault(size, fault);
            }
            let fit = self.fit(checkpoint);
            if fit == Fit::Unknown && self.walk.has_skipped(size) {
                self.notes.push(AuditNote::NotCheckable { size });
            }
            if matches!(fit, Fit::Fits | Fit::Unknown) {
                continue;
            }
            let restored = self.walk.restored.iter().find(|sequence| **sequence <= size);
            if let Some(sequence) = restored.copied() {
                self.notes.push(AuditNote::TrustedBeforeRestore { size, sequence });
            }
            self.does_not_fit(fit, size, &[]);
        }
    }

    fn coverage(&mut self, vouched: &[Vouched<'_>], trust: &Trust) -> Coverage {
        let good = || vouched.iter().filter(|one| one.fit == Fit::Fits);
        let largest = good().max_by_key(|one| one.checkpoint.size());
        let trusted = trust.checkpoints.iter().filter(|one| self.fit(one) == Fit::Fits);
        let trusted = trusted.map(Checkpoint::size).max();
        let signed = largest.map(|one| one.checkpoint.size());
        let records = signed.max(trusted).unwrap_or(self.walk.first - 1);
        let is_bare = signed.is_none() && trusted.is_none() && self.is_clean();
        if is_bare && !trust.keys.is_empty() {
            self.fault(self.walk.first, AuditFault::NoCheckpoint);
        }
        Coverage {
            checkpoints: u64::try_from(good().count()).unwrap_or(u64::MAX),
            records,
            key: largest.map(|one| one.key.to_string()),
            uncovered_since: self.mark(records).next_at,
            unchecked: self.unchecked(trust),
        }
    }

    /// The sizes of what was kept elsewhere and is of records that were not read.
    fn unchecked(&self, trust: &Trust) -> Vec<u64> {
        let unknown = trust.checkpoints.iter().filter(|one| self.fit(one) == Fit::Unknown);
        unknown.map(Checkpoint::size).collect()
    }

    fn report(self, coverage: Coverage) -> AuditReport {
        let Self { walk, problems, mut notes } = self;
        let read = walk.read();
        // Of two at one place, the more telling one is about the chain itself.
        let found = walk.problem.into_iter().chain(walk.cut).chain(problems);
        let problem = found.min_by_key(|problem| problem.sequence).or(walk.contradicted);
        notes.extend(walk.notes);
        notes.dedup();
        AuditReport {
            first: walk.first,
            read,
            records: walk.chain.count,
            head: walk.chain.hash.to_string(),
            problem,
            coverage,
            notes,
        }
    }
}

/// Which of `keys` signed `checkpoint`, and with which record it says that the ledger was restored.
fn vouch<'a>(
    checkpoint: &Checkpoint,
    keys: &'a [VerifierKey],
    trust: &Trust,
) -> Result<(&'a VerifierKey, Option<u64>), AuditFault> {
    let nobody =
        if trust.keys.is_empty() { AuditFault::CheckpointForeign } else { AuditFault::Untrusted };
    let mut found = Err(nobody);
    for key in keys {
        match checkpoint.signed_by(key) {
            Signed::Forged => return Err(AuditFault::CheckpointForged),
            Signed::Yes => found = Ok(key),
            Signed::No => {}
        }
    }
    let key = found?;
    match read_origin(checkpoint.origin(), key.name()) {
        Origin::Foreign => Err(AuditFault::CheckpointForeign),
        Origin::Ours => Ok((key, None)),
        Origin::Restored(sequence) => Ok((key, Some(sequence))),
    }
}
