//! Judging again what was scanned, when the database changes: from kept facts, without a look at a layer.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::gate::{EvidenceKind, Gathered, Judgement, Outcome, ReasonCode, ScannedImages, Subject};
use crate::ledger::Record;
use crate::mirror::{Error, Mirror};
use crate::time::Timestamp;

/// Records that are read from the ledger in one go.
pub(super) const RECORDS_PAGE: u32 = 256;
/// How long ago a pull may be to count as use, in days: 30.
const USE: Duration = Duration::from_hours(30 * 24);

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
    pub(in crate::mirror) fn allowed(self, used: u64) -> u64 {
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
    /// Those about which nothing could be decided: their verdict is the old one, and they are looked at
    /// again in a while.
    pub left: u64,
    /// Whether so many would be taken back that a person has to see it first: they are served on, malware
    /// excepted.
    pub held: bool,
}

/// A verdict that would be another.
pub(super) struct Change {
    subject: Subject,
    /// What was read of its images just now, where what was known was lost or is of an older program.
    scanned: Option<ScannedImages>,
    /// Whether it is taken back.
    revokes: bool,
    /// Whether that is because of malware, for which nobody waits.
    is_malware: bool,
}

impl Mirror {
    /// As [`Mirror::rejudge_scanned`] with the brake, told in the log. Gives whether all was judged.
    pub(super) async fn judge_scanned_again(&self) -> bool {
        let done = match self.rejudge_scanned(false).await {
            Ok(done) => done,
            Err(error) => {
                warn!(%error, "scanned images not all judged again");
                return false;
            }
        };
        if done.held {
            error!(
                revoked = done.revoked,
                examined = done.examined,
                left = done.left,
                "the vulnerability database would take back more than the brake allows; what was \
                 admitted is served on until `pratique db apply`"
            );
        } else if done.left > 0 {
            warn!(?done, "scanned images not all judged again");
        } else {
            info!(?done, "scanned images judged again");
        }
        done.left == 0
    }

    /// Decides again about every subject that was scanned, by the database in force. Where that would take
    /// back more than the brake allows, nothing is taken back but malware, unless it is `released`.
    ///
    /// # Errors
    /// When the ledger cannot be read; what was decided so far is decided.
    pub async fn rejudge_scanned(&self, released: bool) -> Result<RejudgedScans, Error> {
        let mut done = RejudgedScans::default();
        if self.scanner().database().is_err() {
            return Ok(done);
        }
        let (mut changes, mut unread) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = self.ledger().subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.clone());
            for record in &page {
                let Some(before) = self.scanned_before(record) else { continue };
                done.examined += 1;
                match self.ask_gate(record).await {
                    Ok(Outcome::Decided(now)) => {
                        changes.extend(change(record, &before, &now, None));
                    }
                    Ok(Outcome::Missing(_)) => unread.push(record.subject.clone()),
                    Ok(Outcome::Undecided(_)) => done.left += 1,
                    Err(error) => {
                        warn!(subject = %record.subject, %error, "not judged again");
                        done.left += 1;
                    }
                }
            }
            if self.tasks().is_stopping() {
                return Ok(done);
            }
        }
        // What only waits for its facts must not hold up what is known.
        self.apply(changes, released, &mut done).await?;
        let mut changes = Vec::new();
        for subject in unread {
            match self.scanned_anew(&subject).await {
                Ok(change) => changes.extend(change),
                Err(why) => {
                    warn!(%subject, why, "not judged again");
                    done.left += 1;
                }
            }
            if self.tasks().is_stopping() {
                return Ok(done);
            }
        }
        self.apply(changes, released, &mut done).await?;
        self.metrics().scans_held.set(i64::from(done.held));
        Ok(done)
    }

    /// What was pulled since is in use.
    pub(in crate::mirror) fn in_use_since(&self) -> Timestamp {
        let time = i64::try_from(USE.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_milliseconds(self.now().milliseconds().saturating_sub(time))
    }

    /// Reads the images of a subject again whose facts were lost.
    ///
    /// # Errors
    /// Why that cannot be done now.
    pub(super) async fn scanned_anew(&self, subject: &Subject) -> Result<Option<Change>, String> {
        let failed = |error: Error| error.to_string();
        let record = self.ledger().record(subject).await.map_err(|error| error.to_string())?;
        let Some(record) = record else { return Ok(None) };
        let Some(before) = self.scanned_before(&record) else { return Ok(None) };
        let scanned = match self.scan_images(subject, &record.evidence).await {
            Gathered::Found(scanned) => scanned,
            Gathered::Failed(why) => return Err(why),
            Gathered::Absent | Gathered::NotGathered => return Err("it lists no image".to_owned()),
        };
        let record = with_scan(&record, &scanned);
        match self.ask_again(&record).await.map_err(failed)? {
            Outcome::Decided(now) => Ok(change(&record, &before, &now, Some(scanned))),
            Outcome::Missing(_) => Err("its facts are lost again".to_owned()),
            Outcome::Undecided(reasons) => {
                Err(reasons.first().map_or_else(String::new, |reason| reason.text.clone()))
            }
        }
    }

    /// Has `changes` written down, as far as the brake allows.
    pub(super) async fn apply(
        &self,
        changes: Vec<Change>,
        released: bool,
        done: &mut RejudgedScans,
    ) -> Result<(), Error> {
        let revoking = changes.iter().filter(|change| change.revokes);
        done.revoked += u64::try_from(revoking.count()).unwrap_or(u64::MAX);
        let used = self.ledger().subjects_pulled_since(self.in_use_since()).await?;
        done.held = !released && done.revoked > self.scanner().settings.brake.allowed(used);
        for change in changes {
            if done.held && change.revokes && !change.is_malware {
                continue;
            }
            let subject = &change.subject;
            match self.decide_anew(&change).await {
                Ok(true) => done.changed += 1,
                Ok(false) => done.left += 1,
                Err(error) => {
                    warn!(%subject, %error, "not judged again");
                    done.left += 1;
                }
            }
        }
        Ok(())
    }

    /// Decides about the subject of `change` and keeps it; `false`: it is as it was. It may have been
    /// judged by somebody else meanwhile, which is as good.
    async fn decide_anew(&self, change: &Change) -> Result<bool, Error> {
        let Some(record) = self.ledger().record(&change.subject).await? else { return Ok(true) };
        let record = match &change.scanned {
            Some(scanned) => Arc::new(with_scan(&record, scanned)),
            None => record,
        };
        let Some(judged) = self.decide_again(&record, &self.policy()).await? else {
            return Ok(false);
        };
        // One that the disk did not take is decided, and not written.
        let written = self.ledger().record(&change.subject).await?;
        let written = written.and_then(|record| record.judgement.as_ref().map(Judgement::admits));
        Ok(written == judged.judgement().map(Judgement::admits))
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
    pub(super) fn scanned_before(&self, record: &Arc<Record>) -> Option<Judgement> {
        record.evidence.scan.found()?;
        self.in_force(record, self.policy().id(), self.now()).cloned()
    }

    /// Decides once more about the subject of `record`, by itself and in a while, if the database that
    /// it was compared with is not the one in force any more: whoever judged again all that was known
    /// may have come by before this was written.
    pub(in crate::mirror) fn catch_up_with_database(&self, record: &Arc<Record>) {
        let judgement = record.judgement.as_ref();
        let Some(compared) = judgement.and_then(|judgement| judgement.database.as_ref()) else {
            return;
        };
        let Ok(database) = self.scanner().database() else { return };
        if database.id().digest == compared.digest {
            return;
        }
        let (mirror, record) = (self.clone(), Arc::clone(record));
        drop(self.tasks().spawn(async move {
            let subject = &record.subject;
            let again = async {
                let Some(record) = mirror.ledger().record(subject).await? else { return Ok(()) };
                mirror.decide_again(&record, &mirror.policy()).await.map(drop)
            };
            let again: Result<(), Error> = Box::pin(again).await;
            if let Err(error) = again {
                warn!(%subject, %error, "not judged again");
            }
        }));
    }
}

fn with_scan(record: &Record, scanned: &ScannedImages) -> Record {
    let mut record = record.clone();
    record.evidence.scan = Gathered::Found(scanned.clone());
    record
}

/// What changes from `before` to `now`, if anything does.
fn change(
    record: &Record,
    before: &Judgement,
    now: &Judgement,
    scanned: Option<ScannedImages>,
) -> Option<Change> {
    if is_same(record, before, now) && scanned.is_none() {
        return None;
    }
    let subject = record.subject.clone();
    let revokes = before.admits() && !now.admits();
    let is_malware = now.reasons().iter().any(|reason| reason.code == ReasonCode::Malware);
    Some(Change { subject, scanned, revokes, is_malware })
}

/// Whether the two say the same, by whichever database.
fn is_same(record: &Record, before: &Judgement, now: &Judgement) -> bool {
    before.verdict == now.verdict
        && (record.passed == now.passed || !now.admits())
        && before.good_until == now.good_until
        && before.checks == now.checks
        && before.silenced == now.silenced
        && before.by_emergency == now.by_emergency
        && record.unseen == now.unseen
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
