//! Looking again for what is attached to approved images upstream, where an approval policy says how old that may
//! get (`reEvaluate.every`).
//!
//! An admitted image keeps the evidence that it was admitted with. A signature or an attestation that is taken
//! back upstream is seen by nobody who pulls it; it is here. What cannot be looked for says nothing: only what
//! upstream says that it does not have is gone. And a registry that loses much at once takes nothing back by
//! itself: more than the brake allows within a day waits for a person.
//!
//! How old evidence is stands in the ledger, so that a restart loses nothing and brings nothing forward.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::judge::Kept;
use super::{Error, Mirror};
use crate::gate::{Evidence, EvidenceKind, Gathered, Outcome, ReadyPolicy, RuleId, Subject};
use crate::ledger::{AuditEvent, AuditKind, NewGrants, Record};
use crate::time::Timestamp;

/// How often it is looked what is old enough.
const LOOK_INTERVAL: Duration = Duration::from_mins(10);
/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(2);
/// Images that are looked at in one pass, the oldest first: 9,216 a day.
pub(super) const LOOKUPS_MAX: usize = 64;
/// Rounds of "decide, gather what is missing" for one of them.
const ROUNDS_MAX: usize = 9;
/// How long one that could not be looked at, or is held, is left alone.
const RETRY: Duration = Duration::from_hours(1);
/// Images that are left alone, or held, at one time; of more, the rest is looked at again sooner.
const REMEMBERED_MAX: usize = 10_000;
/// Evidence of one image is looked for earlier by up to this share of the time that the policy says, by its
/// digest, so that what was admitted together is not looked for together.
const SPREAD: u32 = 8;
/// Within what time the brake counts what was taken back.
const WINDOW: Duration = Duration::from_hours(24);
/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;
/// Images that a record of the audit names.
const NAMED_MAX: usize = 20;

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookedAgain {
    /// Images that were looked at.
    pub looked: u64,
    /// Those that were admitted and are not any more.
    pub revoked: u64,
    /// Those of which something could not be looked for, so that they are as they were.
    pub failed: u64,
    /// Images that would be taken back, and wait for a person.
    pub held: u64,
    /// Images whose evidence is twice as old as the policy lets it get.
    pub overdue: u64,
}

/// What is remembered from one pass to the next.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// What was looked at in vain, and when.
    tried: BTreeMap<Subject, Duration>,
    /// What would be taken back, and is held.
    held: BTreeSet<Subject>,
    /// Whether that is on record.
    is_told: bool,
}

/// One pass at a time; and what the last one came to, which is told while the next one waits for upstreams.
#[derive(Debug, Default)]
pub(super) struct LookingAgain {
    pass: tokio::sync::Mutex<Again>,
    last: Mutex<(Vec<Subject>, LookedAgain)>,
}

/// What is to be looked at, and how much was taken back lately.
struct Due {
    records: Vec<(Duration, Arc<Record>)>,
    lately: u64,
    overdue: u64,
}

/// What was found of an image, and what is decided by it.
struct Found {
    record: Arc<Record>,
    kept: Kept,
}

impl Mirror {
    /// Looks for it until shutdown.
    pub(super) fn follow_attached(&self) {
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            let mut looked = mirror.clock().monotonic();
            loop {
                tokio::select! {
                    () = tasks.stopping() => return,
                    () = tokio::time::sleep(TICK) => {}
                }
                let now = mirror.clock().monotonic();
                if now.saturating_sub(looked) < LOOK_INTERVAL {
                    continue;
                }
                looked = now;
                match Box::pin(mirror.look_again(false)).await {
                    Ok(done) if done.looked > 0 => {
                        info!(?done, "looked again for what is attached");
                    }
                    Ok(_) => {}
                    Err(error) => warn!(%error, "what is attached was not all looked for again"),
                }
            }
        }));
    }

    /// What is held, and what the last pass came to.
    pub(super) fn looked_again(&self) -> (Vec<Subject>, LookedAgain) {
        self.inner.again.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again for what is attached to the images whose time has come, one after the other, and decides by
    /// it. What would take back more than the brake allows is held, unless it is `released`: then what is held
    /// is looked for first, and taken back if it is still gone.
    ///
    /// # Errors
    /// When the ledger cannot be read or written; what was decided so far is decided.
    pub async fn look_again(&self, released: bool) -> Result<LookedAgain, Error> {
        let mut again = self.inner.again.pass.lock().await;
        let now = self.clock().monotonic();
        again.tried.retain(|_, at| now.saturating_sub(*at) < RETRY);
        if released {
            again.tried.clear();
        }
        let policy = self.policy();
        let Due { mut records, lately, overdue } = self.due(&policy, &again).await?;
        let is_held = |record: &Record| again.held.contains(&record.subject);
        records.sort_by_key(|(age, record)| (!is_held(record), std::cmp::Reverse(*age)));
        let most = if released { LOOKUPS_MAX.max(again.held.len()) } else { LOOKUPS_MAX };
        records.truncate(most);
        let mut done = LookedAgain { overdue, ..LookedAgain::default() };
        let mut lost = Vec::new();
        for (_, record) in records {
            if self.tasks().is_stopping() {
                return Ok(done);
            }
            done.looked += 1;
            match Box::pin(self.attached_anew(&record, &policy)).await {
                Ok(found) if found.kept.judgement.admits() => {
                    again.held.remove(&record.subject);
                    self.metrics().looked_again.increment();
                    self.keep(&record.subject, found.kept, Some(&found.record), &policy).await?;
                }
                Ok(found) => lost.push(found),
                Err(why) => {
                    warn!(subject = %record.subject, why, "what is attached could not be looked for");
                    self.metrics().looked_again_failed.increment();
                    done.failed += 1;
                    leave_alone(&mut again, &record.subject, now);
                }
            }
        }
        self.take_back((lost, lately), &policy, (released, &mut again), &mut done).await?;
        done.held = u64::try_from(again.held.len()).unwrap_or(u64::MAX);
        self.metrics().looked_again_held.set(i64::try_from(done.held).unwrap_or(i64::MAX));
        self.metrics().looked_again_overdue.set(i64::try_from(overdue).unwrap_or(i64::MAX));
        let held = again.held.iter().cloned().collect();
        *self.inner.again.last.lock().unwrap_or_else(PoisonError::into_inner) = (held, done);
        Ok(done)
    }

    /// Takes back what is `lost`, as far as the brake allows: together with what is held and what was taken
    /// back `lately`.
    async fn take_back(
        &self,
        (lost, lately): (Vec<Found>, u64),
        policy: &Arc<ReadyPolicy>,
        (released, again): (bool, &mut Again),
        done: &mut LookedAgain,
    ) -> Result<(), Error> {
        // What was decided by something else meanwhile is held no more.
        let mut gone = BTreeSet::new();
        for subject in &again.held {
            let record = self.ledger().record(subject).await?;
            if record.is_none_or(|record| self.admitted_by(&record, policy).is_none()) {
                gone.insert(subject.clone());
            }
        }
        again.held.retain(|subject| !gone.contains(subject));
        let now = self.clock().monotonic();
        for found in &lost {
            if again.held.len() < REMEMBERED_MAX {
                again.held.insert(found.record.subject.clone());
            }
        }
        let used = self.ledger().subjects_pulled_since(self.in_use_since()).await?;
        let held = u64::try_from(again.held.len()).unwrap_or(u64::MAX);
        let is_much = held.saturating_add(lately) > self.scanner().brake().allowed(used);
        if is_much && !released {
            for found in &lost {
                leave_alone(again, &found.record.subject, now);
            }
            return self.tell_held(again, lately, used).await;
        }
        for Found { record, kept } in lost {
            let subject = &record.subject;
            self.keep(subject, kept, Some(&record), policy).await?;
            again.held.remove(subject);
            self.metrics().looked_again_lost.increment();
            done.revoked += 1;
            warn!(%subject, "taken back: what it was admitted by is gone upstream");
        }
        if again.held.is_empty() {
            again.is_told = false;
        }
        Ok(())
    }

    async fn tell_held(&self, again: &mut Again, lately: u64, used: u64) -> Result<(), Error> {
        let held = again.held.len();
        error!(
            held,
            lately,
            used,
            "upstream lost what more images rest on than the brake allows; they are served on until \
             pratique reevaluate --apply, or until it is there again"
        );
        if again.is_told {
            return Ok(());
        }
        let named: Vec<String> =
            again.held.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let event = AuditEvent::new(AuditKind::ReevaluationHeld, "gate")
            .with("held", held)
            .with("images", named.join(", "));
        self.ledger().append_audit(event).await?;
        again.is_told = true;
        Ok(())
    }

    /// What is old enough to be looked for again.
    async fn due(&self, policy: &Arc<ReadyPolicy>, again: &Again) -> Result<Due, Error> {
        let every = |rule: &crate::policy::Rule| {
            let every = rule.approval()?.looks_again_after()?;
            Some((rule.id().clone(), every))
        };
        let rules: BTreeMap<RuleId, Duration> = policy.rules().iter().filter_map(every).collect();
        let mut due = Due { records: Vec::new(), lately: 0, overdue: 0 };
        let mut after = None;
        while !rules.is_empty() && !self.tasks().is_stopping() {
            let page = self.ledger().subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.clone());
            for record in page {
                let rule = record.judgement.as_ref().and_then(|judgement| judgement.rule.as_ref());
                let Some(every) = rule.and_then(|rule| rules.get(rule)) else { continue };
                due.lately += u64::from(was_taken_back(&record, self.now()));
                if kinds_of(&record.evidence).is_empty()
                    || self.admitted_by(&record, policy).is_none()
                {
                    continue;
                }
                let age = age_of(&record, self.now());
                due.overdue += u64::from(age >= *every * 2);
                if age >= spread(*every, &record) && !again.tried.contains_key(&record.subject) {
                    due.records.push((age, record));
                }
            }
            // Memory is bounded whatever the ledger holds: the oldest are kept.
            due.records.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
            due.records.truncate(REMEMBERED_MAX);
        }
        Ok(due)
    }

    /// The verdict in force about `record`, if it admits.
    fn admitted_by<'a>(
        &self,
        record: &'a Record,
        policy: &ReadyPolicy,
    ) -> Option<&'a crate::gate::Judgement> {
        self.in_force(record, policy.id(), self.now()).filter(|judgement| judgement.admits())
    }

    /// Looks for what is attached to the subject of `record`, and decides by that; nothing is kept.
    ///
    /// # Errors
    /// What could not be looked for, or decided.
    async fn attached_anew(
        &self,
        record: &Arc<Record>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Found, String> {
        let subject = &record.subject;
        let mut kinds = kinds_of(&record.evidence);
        let mut evidence = without_attached(&record.evidence);
        let mut grants = NewGrants::default();
        for _ in 0..ROUNDS_MAX {
            let collected = self.collect(subject, &kinds, evidence).await;
            let collected = collected.map_err(|error| error.to_string())?;
            evidence = collected.evidence;
            grants.given.extend(collected.grants);
            grants.gathered.extend(collected.gathered);
            if let Some(why) = not_looked_for(&evidence) {
                return Err(why);
            }
            let now = self.now();
            let said = self.decide(subject, &evidence, Some(record), policy).await;
            let said = said.map_err(|error| error.to_string())?;
            let (tags, exceptions) = (said.tags, said.exceptions);
            match said.outcome {
                Outcome::Decided(judgement) => {
                    let kept = Kept { evidence, judgement, tags, exceptions, now, grants };
                    return Ok(Found { record: Arc::clone(record), kept });
                }
                Outcome::Missing(more) => kinds = more,
                Outcome::Undecided(reasons) => {
                    let first = reasons.into_iter().next().map(|reason| reason.text);
                    return Err(first.unwrap_or_default());
                }
            }
        }
        Err("more was needed again and again".to_owned())
    }
}

fn leave_alone(again: &mut Again, subject: &Subject, now: Duration) {
    if again.tried.len() < REMEMBERED_MAX {
        again.tried.insert(subject.clone(), now);
    }
}

/// What was looked for that is attached.
fn kinds_of(evidence: &Evidence) -> Vec<EvidenceKind> {
    let mut kinds = Vec::new();
    if !evidence.signatures.is_not_gathered() {
        kinds.push(EvidenceKind::Signatures);
    }
    if !evidence.child_signatures.is_not_gathered() {
        kinds.push(EvidenceKind::ChildSignatures);
    }
    kinds
}

fn without_attached(evidence: &Evidence) -> Evidence {
    Evidence {
        signatures: Gathered::NotGathered,
        child_signatures: Gathered::NotGathered,
        attestations: Gathered::NotGathered,
        child_attestations: Gathered::NotGathered,
        ..evidence.clone()
    }
}

/// Why `evidence` does not say what is attached: something could not be had, which is not that it is gone.
fn not_looked_for(evidence: &Evidence) -> Option<String> {
    let incomplete = match &evidence.signatures {
        Gathered::Failed(why) => Some(why),
        Gathered::Found(search) => search.incomplete.as_ref(),
        Gathered::Absent | Gathered::NotGathered => None,
    };
    let below = match &evidence.child_signatures {
        Gathered::Failed(why) => Some(why),
        Gathered::Found(all) => all.searches.values().find_map(|it| it.incomplete.as_ref()),
        Gathered::Absent | Gathered::NotGathered => None,
    };
    let contents = [&evidence.attestations, &evidence.child_attestations];
    let contents = contents.into_iter().find_map(|contents| match contents {
        Gathered::Failed(why) => Some(why),
        Gathered::Absent | Gathered::Found(_) | Gathered::NotGathered => None,
    });
    incomplete.or(below).or(contents).cloned()
}

/// How long ago it was looked for what is attached; what was looked for in the future, by another clock, is as
/// old as can be.
fn age_of(record: &Record, now: Timestamp) -> Duration {
    match record.evidence.gathered_at {
        Some(at) if at <= now => now.since(at),
        Some(_) | None => Duration::MAX,
    }
}

/// How old the evidence of `record` may get: `every`, less a part of it that is its own.
fn spread(every: Duration, record: &Record) -> Duration {
    let share = u32::from(record.subject.digest.as_bytes().first().copied().unwrap_or_default());
    every.saturating_sub(every / SPREAD * share / 256)
}

/// Whether it was admitted once and was refused within the time that the brake counts, for nothing but what is
/// not there.
fn was_taken_back(record: &Record, now: Timestamp) -> bool {
    let is_gone = record.judgement.as_ref().is_some_and(crate::gate::Judgement::rests_on_absence);
    is_gone && record.has_waited() && record.decided_at >= millis_before(now, WINDOW)
}

fn millis_before(now: Timestamp, time: Duration) -> Timestamp {
    let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_milliseconds(now.milliseconds().saturating_sub(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{ChildSignatures, SignatureSearch};
    use crate::oci::Digest;

    #[test]
    fn what_could_not_be_looked_for_is_never_taken_for_gone() {
        let away = || "away".to_owned();
        let open = SignatureSearch { incomplete: Some(away()), ..SignatureSearch::default() };
        let below = ChildSignatures {
            searches: [(Digest::sha256(b"a"), open.clone())].into(),
            ..ChildSignatures::default()
        };
        let none = Evidence::default();
        for evidence in [
            Evidence { signatures: Gathered::Failed(away()), ..none.clone() },
            Evidence { signatures: Gathered::Found(open), ..none.clone() },
            Evidence { child_signatures: Gathered::Failed(away()), ..none.clone() },
            Evidence { child_signatures: Gathered::Found(below), ..none.clone() },
            Evidence { attestations: Gathered::Failed(away()), ..none.clone() },
            Evidence { child_attestations: Gathered::Failed(away()), ..none.clone() },
        ] {
            assert_eq!(not_looked_for(&evidence), Some(away()), "{evidence:?}");
        }
        let absent = Evidence { signatures: Gathered::Absent, ..none };
        assert_eq!(not_looked_for(&absent), None);
    }
}
