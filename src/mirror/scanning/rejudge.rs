//! Judging again what was scanned, when the database changes: from kept facts, without a look at a layer.

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::gate::{EvidenceKind, Judgement, Outcome};
use crate::ledger::Record;
use crate::mirror::{Error, Mirror};
use crate::time::Timestamp;

/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;
/// How long ago a pull may be to count as use, in milliseconds: 30 days.
const USE_MS: i64 = 30 * 24 * 3600 * 1000;

/// How much of what is in use one change may take back before a person has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// In hundredths of a per cent of the subjects that were pulled within 30 days; one is always allowed.
    pub share: u16,
}

impl Default for Brake {
    fn default() -> Self {
        Self { share: 200 }
    }
}

impl Brake {
    /// How many of `used` may be taken back at once.
    fn allowed(self, used: u64) -> u64 {
        (used.saturating_mul(u64::from(self.share)) / 10_000).max(1)
    }
}

/// What judging again what was scanned came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejudgedScans {
    /// Subjects that were looked at.
    pub examined: u64,
    /// Those whose verdict is another now.
    pub changed: u64,
    /// Those that were admitted and are not any more, or would not be.
    pub revoked: u64,
    /// Whether that is so many that a person has to see it first: they are served on.
    pub held: bool,
}

impl Mirror {
    /// As [`Mirror::rejudge_scanned`] with the brake, told in the log.
    pub(super) async fn judge_scanned_again(&self) {
        match self.rejudge_scanned(false).await {
            Ok(done) if done.held => error!(
                revoked = done.revoked,
                examined = done.examined,
                "the vulnerability database would take back more than the brake allows; what was \
                 admitted is served on until `pratique db apply`"
            ),
            Ok(done) => info!(?done, "scanned images judged again"),
            Err(error) => warn!(%error, "scanned images not all judged again"),
        }
    }

    /// Decides again about every subject that was scanned, by the database in force. Where that would take
    /// back more than the brake allows, nothing is taken back, unless it is `released`.
    ///
    /// # Errors
    /// When the ledger fails; what was decided so far is decided.
    pub async fn rejudge_scanned(&self, released: bool) -> Result<RejudgedScans, Error> {
        let mut done = RejudgedScans::default();
        if self.scanner().database().is_err() {
            return Ok(done);
        }
        let (mut revoked, mut others) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = self.ledger().subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.clone());
            for record in &page {
                let Some(before) = self.scanned_before(record) else { continue };
                done.examined += 1;
                let Outcome::Decided(now) = self.ask_again(record).await? else { continue };
                if is_same(&before, &now) {
                    continue;
                }
                if before.admits() && !now.admits() {
                    revoked.push(record.subject.clone());
                } else {
                    others.push(record.subject.clone());
                }
            }
            if self.tasks().is_stopping() {
                return Ok(done);
            }
        }
        done.revoked = u64::try_from(revoked.len()).unwrap_or(u64::MAX);
        let since = self.now().milliseconds().saturating_sub(USE_MS);
        let used = self.ledger().subjects_pulled_since(Timestamp::from_milliseconds(since)).await?;
        done.held = !released && done.revoked > self.scanner().settings.brake.allowed(used);
        self.metrics().scans_held.set(i64::from(done.held));
        if !done.held {
            others.append(&mut revoked);
        }
        for subject in others {
            // It may have been judged by somebody else meanwhile; that is as good.
            let Some(record) = self.ledger().record(&subject).await? else { continue };
            if self.decide_again(&record, &self.policy()).await?.is_some() {
                done.changed += 1;
            }
        }
        Ok(done)
    }

    /// What the gate says now. What attestations say and has been evicted is fetched first.
    async fn ask_again(&self, record: &Record) -> Result<Outcome, Error> {
        let outcome = self.ask_gate(record).await?;
        let Outcome::Missing(kinds) = &outcome else { return Ok(outcome) };
        let contents = [EvidenceKind::Attestations, EvidenceKind::ChildAttestations];
        if !kinds.iter().all(|kind| contents.contains(kind)) {
            return Ok(outcome);
        }
        // They are in the store then, whatever becomes of the rest.
        self.collect(&record.subject, &contents, record.evidence.clone()).await?;
        self.ask_gate(record).await
    }

    /// The judgement in force about `record`, if a scan was part of it.
    fn scanned_before(&self, record: &Arc<Record>) -> Option<Judgement> {
        record.evidence.scan.found()?;
        record.judgement_in_force(self.policy().id(), self.now()).cloned()
    }
}

/// Whether the two say the same, by whichever database.
fn is_same(before: &Judgement, now: &Judgement) -> bool {
    before.verdict == now.verdict
        && before.good_until == now.good_until
        && before.checks == now.checks
        && before.silenced == now.silenced
        && before.found_since == now.found_since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brake_allows_one_and_a_share_of_what_is_used() {
        let brake = Brake::default();
        let cases = [(0, 1), (10, 1), (50, 1), (99, 1), (100, 2), (10_000, 200)];
        for (used, allowed) in cases {
            assert_eq!(brake.allowed(used), allowed, "{used}");
        }
        assert_eq!(Brake { share: 10_000 }.allowed(7), 7);
    }
}
