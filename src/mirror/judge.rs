//! Judging a subject: from memory, from stored evidence, or by gathering evidence first.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::deciding::Said;
use super::stale::Stale;
use super::{Decision, Error, Mirror, Refusal};
use crate::evidence::Collected;
use crate::gate::{
    ConfigOf, EmergencyId, Evidence, EvidenceKind, Gathered, ImageConfigs, Judgement, Outcome,
    ReadyPolicy, Reason, Standing, Subject,
};
use crate::ledger::{New, NewGrants, Record};
use crate::oci::Reference;
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// Rounds of "decide, gather what is missing" before a subject is given up: one for each kind of
/// evidence, and one to decide on all of it.
const ROUNDS_MAX: usize = 9;
/// A denial that rests on something absent upstream is looked at again no sooner than this.
pub(super) const ABSENCE_RETRY: Duration = Duration::from_mins(1);
/// First and longest pause after evidence could not be gathered.
const FAILURE_RETRY_MIN: Duration = Duration::from_secs(5);
const FAILURE_RETRY_MAX: Duration = Duration::from_mins(5);
/// Within this time of a hold that ran out, the same client is answered at once.
const HOLD_AGAIN: Duration = Duration::from_secs(30);
/// Records that are decided again in one go after a policy change.
const REJUDGE_PAGE: u32 = 256;

/// Whether stored evidence will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Evidence is gathered again, whatever is known.
    Fresh,
    /// What is known will do, where it is enough.
    Stored,
}

/// What came of judging a subject.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What the ledger keeps about it, once anything is kept.
    pub record: Option<Arc<Record>>,
    /// The gate's answer.
    pub outcome: Outcome,
    /// Where it is neither yes nor no: that it is served on as it was admitted before.
    pub stale: Option<Stale>,
}

impl Judged {
    /// The judgement, when there is one.
    pub fn judgement(&self) -> Option<&Judgement> {
        match &self.outcome {
            Outcome::Decided(judgement) => Some(judgement),
            Outcome::Missing(_) | Outcome::Undecided(_) => None,
        }
    }
}

/// What is to be written down about a subject.
pub(super) struct Kept {
    pub(super) evidence: Evidence,
    pub(super) judgement: Judgement,
    /// How many tags of the subject the judgement knows of.
    pub(super) tags: usize,
    /// The last change of the exceptions for its repository that it knows of.
    pub(super) exceptions: u64,
    /// A moment before the judgement was made, but after what it rests on was read.
    pub(super) now: Timestamp,
    pub(super) grants: NewGrants,
}

/// Why evidence could not be gathered, and until when nobody tries again.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    reasons: Vec<Reason>,
    pause: Duration,
    until: Duration,
    /// The break-glass that was in force.
    emergency: Option<EmergencyId>,
}

impl Mirror {
    /// Judges `subject`, however long that takes.
    ///
    /// # Errors
    /// [`Error::Absent`] when upstream has no such manifest; ledger errors.
    pub async fn judge(&self, subject: &Subject, freshness: Freshness) -> Result<Judged, Error> {
        if freshness == Freshness::Stored
            && let Some(judged) = self.judged_from_stored(subject).await?
        {
            return Ok(judged);
        }
        if freshness == Freshness::Stored {
            self.not_absent(subject)?;
        }
        let landed = match self.join_judging(subject, freshness) {
            Ok(seat) => seat.landed().await.map_err(Error::from).and_then(|landed| landed),
            Err(error) => Err(error),
        };
        match landed {
            Ok(landed) => self.as_of_now(subject, landed).await,
            Err(error) => self.stale_or(subject, error).await,
        }
    }

    /// Judges `subject` for `client`, who waits no longer than the hold allows.
    ///
    /// A closed hosts.toml sends every refused request twice, so whoever waited in vain is answered
    /// at once for a while.
    pub(super) async fn judge_held(
        &self,
        subject: &Subject,
        asked: &Reference,
        client: &Arc<str>,
    ) -> Result<Judged, Error> {
        if let Some(judged) = self.judged_from_stored(subject).await? {
            return Ok(judged);
        }
        self.not_absent(subject)?;
        let seat = match self.join_judging(subject, Freshness::Stored) {
            Ok(seat) => seat,
            Err(error) => return self.stale_or(subject, error).await,
        };
        // Nobody waits for what could not be decided before: it goes on beside.
        if let Some(judged) = self.stale_meanwhile(subject).await? {
            return Ok(judged);
        }
        let key = (subject.clone(), Arc::clone(client));
        let now = self.clock().monotonic();
        let waited = self.inner.held.get(&key);
        let again = waited.is_some_and(|at| now.saturating_sub(at) < HOLD_AGAIN);
        let budget = if again { Duration::ZERO } else { self.inner.settings.hold_timeout };
        if let Ok(landed) = tokio::time::timeout(budget, seat.landed()).await {
            return match landed.map_err(Error::from).and_then(|landed| landed) {
                Ok(landed) => self.as_of_now(subject, landed).await,
                Err(error) => self.stale_or(subject, error).await,
            };
        }
        self.inner.held.set(key, self.clock().monotonic());
        self.stale_or(subject, still_checking(subject, asked)).await
    }

    /// What landed, as it is now: a policy or a decision of people that came into force while the
    /// flight landed counts for whoever asked after it.
    async fn as_of_now(&self, subject: &Subject, landed: Judged) -> Result<Judged, Error> {
        match self.judged_from_stored(subject).await? {
            Some(judged) => Ok(judged),
            None => Ok(self.or_stale(subject, landed).await),
        }
    }

    fn join_judging(
        &self,
        subject: &Subject,
        freshness: Freshness,
    ) -> Result<super::flight::Seat<Result<Judged, Error>>, Error> {
        let mirror = self.clone();
        let flown = subject.clone();
        self.inner.judging.join(subject.clone(), || async move {
            let outcome = mirror.gather_and_decide(&flown, freshness).await;
            mirror.note_absence(&flown, outcome)
        })
    }

    /// The judgement in memory or, when the policy or a person's decision has changed since, a new
    /// one over the stored evidence. `None`: evidence must be gathered.
    pub(super) async fn judged_from_stored(
        &self,
        subject: &Subject,
    ) -> Result<Option<Judged>, Error> {
        let Some(record) = self.ledger().record(subject).await? else {
            return Ok(self.paused_failure(subject, None));
        };
        match self.judged_from_record(&record).await? {
            Some(judged) => Ok(Some(self.or_stale(subject, judged).await)),
            None => Ok(None),
        }
    }

    async fn judged_from_record(&self, record: &Arc<Record>) -> Result<Option<Judged>, Error> {
        let subject = &record.subject;
        let policy = self.policy();
        let now = self.now();
        if let Some(judgement) = self.in_force(record, policy.id(), now)
            && self.knows_emergency(subject, judgement)
            && self.stands_elsewhere(subject, judgement, &policy).await?
        {
            // A later decision over the same evidence did not look again.
            let looked = record.evidence.gathered_at.unwrap_or(record.decided_at);
            let lately = is_lately(looked.min(record.decided_at), now);
            let is_settled = !judgement.rests_on_absence() || judgement.served_by().is_some();
            if is_settled || lately {
                let outcome = Outcome::Decided(judgement.clone());
                let record = Some(Arc::clone(record));
                return Ok(Some(Judged { record, outcome, stale: None }));
            }
            return Ok(self.paused_failure(subject, Some(Arc::clone(record))));
        }
        match self.decide_again(record, &policy).await? {
            Some(judged) => Ok(Some(judged)),
            None => Ok(self.paused_failure(subject, Some(Arc::clone(record)))),
        }
    }

    /// The judgement on `record`, if it holds by `policy` at `now`: nothing was granted or ended at the desk
    /// since that it does not know of.
    pub(super) fn in_force<'a>(
        &self,
        record: &'a Record,
        policy: &PolicyId,
        now: Timestamp,
    ) -> Option<&'a Judgement> {
        let (_, exceptions) = self.ledger().exceptions_of(&record.subject.name);
        record.judgement_in_force(policy, exceptions, now)
    }

    /// Decides about stored evidence, and keeps the judgement; `None`: it is not enough.
    pub(super) async fn decide_again(
        &self,
        record: &Record,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Option<Judged>, Error> {
        let now = self.now();
        let Said { outcome, tags, exceptions } =
            self.decide(&record.subject, &record.evidence, Some(record), policy).await?;
        let Outcome::Decided(judgement) = outcome else { return Ok(None) };
        let (evidence, grants) = (record.evidence.clone(), NewGrants::default());
        let kept = Kept { evidence, judgement: judgement.clone(), tags, exceptions, now, grants };
        match self.keep(&record.subject, kept, Some(record), policy).await {
            // What was known goes on being served when the disk does not take the new verdict: it
            // is the same decision, made again at the next pull.
            Err(Error::Ledger(error)) if error.is_failure() => {
                let now = self.ledger().record(&record.subject).await?;
                if now.is_none_or(|now| now.standing != record.standing) {
                    return Ok(None);
                }
                warn!(subject = %record.subject, %error, "verdict not written; it holds all the same");
                let record = Some(Arc::new(record.clone()));
                let outcome = Outcome::Decided(judgement);
                Ok(Some(Judged { record, outcome, stale: None }))
            }
            kept => kept.map(Some),
        }
    }

    /// What the gate says now about stored evidence; nothing is kept.
    pub(super) async fn ask_gate(&self, record: &Record) -> Result<Outcome, Error> {
        self.ask_gate_by(record, &self.policy()).await
    }

    /// What the gate says about the subject of `record` by `policy`, over what was gathered.
    pub(super) async fn ask_gate_by(
        &self,
        record: &Record,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Outcome, Error> {
        let said = self.decide(&record.subject, &record.evidence, Some(record), policy).await?;
        Ok(said.outcome)
    }

    /// A tag was seen to stand for this subject for the first time: rules that speak of tags may
    /// now say something else.
    pub(super) async fn judge_by_new_tag(&self, subject: &Subject) -> Result<(), Error> {
        if let Some(record) = self.ledger().record(subject).await? {
            self.decide_again(&record, &self.policy()).await?;
        }
        Ok(())
    }

    /// Whether evidence was looked for so lately that it is not looked for again.
    pub(super) fn was_gathered_lately(&self, evidence: &Evidence) -> bool {
        evidence.gathered_at.is_some_and(|at| is_lately(at, self.now()))
    }

    fn paused_failure(&self, subject: &Subject, record: Option<Arc<Record>>) -> Option<Judged> {
        let failure = self.inner.failures.get(subject)?;
        let is_same = failure.emergency == self.emergency_for(subject).map(|it| it.id);
        let paused = is_same && self.clock().monotonic() < failure.until;
        let outcome = Outcome::Undecided(failure.reasons);
        paused.then_some(Judged { record, outcome, stale: None })
    }

    /// Why nothing could be decided about `subject` the last time that it was tried.
    pub(super) fn why_undecided(&self, subject: &Subject) -> String {
        let failure = self.inner.failures.get(subject);
        let reason = failure.and_then(|failure| failure.reasons.into_iter().next());
        reason.map_or_else(|| "being decided again".to_owned(), |reason| reason.text)
    }

    async fn gather_and_decide(
        &self,
        subject: &Subject,
        freshness: Freshness,
    ) -> Result<Judged, Error> {
        let record = self.ledger().record(subject).await?;
        let mut evidence = match (&record, freshness) {
            (Some(record), Freshness::Stored) => without_absence(record.evidence.clone()),
            _ => Evidence::default(),
        };
        let mut grants = NewGrants::default();
        for _ in 0..ROUNDS_MAX {
            let (policy, now) = (self.policy(), self.now());
            let Said { outcome, tags, exceptions } =
                self.decide(subject, &evidence, record.as_deref(), &policy).await?;
            match outcome {
                Outcome::Decided(judgement) => {
                    self.inner.failures.forget(subject);
                    let kept = Kept { evidence, judgement, tags, exceptions, now, grants };
                    return self.keep(subject, kept, record.as_deref(), &policy).await;
                }
                Outcome::Missing(kinds) => {
                    let collected = self.collect(subject, &kinds, evidence).await?;
                    evidence = collected.evidence;
                    grants.given.extend(collected.grants);
                    grants.gathered.extend(collected.gathered);
                    if matches!(evidence.manifest, Gathered::Absent) {
                        return Err(Error::Absent(subject.to_string().into()));
                    }
                }
                Outcome::Undecided(reasons) => {
                    self.remember_failure(subject, &reasons);
                    let outcome = Outcome::Undecided(reasons);
                    return Ok(Judged { record, outcome, stale: None });
                }
            }
        }
        Err(Error::Abandoned(super::Abandoned))
    }

    /// Gathers evidence, and reads images where that is asked for.
    pub(super) async fn collect(
        &self,
        subject: &Subject,
        kinds: &[EvidenceKind],
        evidence: Evidence,
    ) -> Result<Collected, Error> {
        let is_scan = |kind: &EvidenceKind| *kind == EvidenceKind::Scan;
        let others: Vec<_> = kinds.iter().copied().filter(|kind| !is_scan(kind)).collect();
        let (grants, gathered) = (Vec::new(), Vec::new());
        let mut collected = Collected { evidence, grants, gathered };
        if !others.is_empty() {
            collected = self.collect_beside(subject, &others, collected.evidence).await?;
        }
        if kinds.iter().any(is_scan) {
            collected.evidence.scan = self.scan_images(subject, &collected.evidence).await;
        }
        Ok(collected)
    }

    /// Gathers evidence when there is room for it among what is gathered already.
    async fn collect_beside(
        &self,
        subject: &Subject,
        kinds: &[EvidenceKind],
        evidence: Evidence,
    ) -> Result<Collected, Error> {
        let _permit = self.inner.gatherings.acquire(subject.name.registry()).await?;
        let collector = self.inner.parts.collector.for_platforms(self.policy().platforms());
        Ok(collector.collect(subject, kinds, evidence).await)
    }

    fn remember_failure(&self, subject: &Subject, reasons: &[Reason]) {
        let before = self.inner.failures.get(subject);
        let pause = before.map_or(FAILURE_RETRY_MIN, |failure| failure.pause * 2);
        let pause = pause.min(FAILURE_RETRY_MAX);
        let until = self.clock().monotonic() + pause;
        warn!(%subject, reasons = ?reasons, pause_s = pause.as_secs(), "could not decide");
        let emergency = self.emergency_for(subject).map(|it| it.id);
        let failure = Failure { reasons: reasons.to_vec(), pause, until, emergency };
        self.inner.failures.set(subject.clone(), failure);
    }

    /// Writes a judgement down; when people decided since it was made, or another tag was seen, decides
    /// once more.
    pub(super) async fn keep(
        &self,
        subject: &Subject,
        kept: Kept,
        decided_on: Option<&Record>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Judged, Error> {
        let Kept { evidence, judgement, tags, exceptions, now, grants } = kept;
        info!(%subject, admitted = judgement.admits(), rule = ?judgement.rule, reasons = ?judgement.reasons(), "judged");
        let new = New {
            subject: subject.clone(),
            evidence,
            judgement,
            policy: *policy.id(),
            standing: decided_on.and_then(|record| record.standing.clone()),
            tags,
            exceptions,
            now,
            grants,
        };
        let record = self.ledger().record_judgement(new).await?;
        self.catch_up_with_database(&record);
        let outcome = match &record.judgement {
            Some(judgement) => Outcome::Decided(judgement.clone()),
            None => self.decide(subject, &record.evidence, Some(&record), policy).await?.outcome,
        };
        Ok(Judged { record: Some(record), outcome, stale: None })
    }

    /// Gathers `kinds` of evidence about a subject that has a record, beyond what its rule asked
    /// for, and keeps it with the judgement it has; once for everybody who asks for it meanwhile.
    pub(super) async fn gather_more(
        &self,
        record: &Record,
        kinds: &[EvidenceKind],
    ) -> Result<Evidence, Error> {
        let key = (record.subject.clone(), kinds.to_vec());
        let (mirror, record, kinds) = (self.clone(), record.clone(), kinds.to_vec());
        let gathering = self
            .inner
            .gathering
            .join(key, || async move { Box::pin(mirror.gather_into(&record, &kinds)).await })?;
        gathering.landed().await?
    }

    async fn gather_into(
        &self,
        record: &Record,
        kinds: &[EvidenceKind],
    ) -> Result<Evidence, Error> {
        let subject = &record.subject;
        let policy = self.policy();
        let (mut evidence, mut kinds) = (record.evidence.clone(), kinds.to_vec());
        let mut grants = NewGrants::default();
        for _ in 0..ROUNDS_MAX {
            let collected = self.collect(subject, &kinds, evidence).await?;
            evidence = collected.evidence;
            grants.given.extend(collected.grants);
            grants.gathered.extend(collected.gathered);
            if matches!(evidence.signatures, Gathered::Failed(_))
                && matches!(record.evidence.signatures, Gathered::Found(_))
            {
                // What was known goes on being served; it is looked for again in a while.
                evidence.signatures.clone_from(&record.evidence.signatures);
                evidence.attestations.clone_from(&record.evidence.attestations);
            }
            if matches!(evidence.child_signatures, Gathered::Failed(_))
                && matches!(record.evidence.child_signatures, Gathered::Found(_))
            {
                evidence.child_signatures.clone_from(&record.evidence.child_signatures);
                evidence.child_attestations.clone_from(&record.evidence.child_attestations);
            }
            let now = self.now();
            let Said { outcome, tags, exceptions } =
                self.decide(subject, &evidence, Some(record), &policy).await?;
            match outcome {
                Outcome::Decided(judgement) => {
                    let kept = Kept {
                        evidence: evidence.clone(),
                        judgement,
                        tags,
                        exceptions,
                        now,
                        grants,
                    };
                    self.keep(subject, kept, Some(record), &policy).await?;
                    break;
                }
                // What was gathered makes something else needed.
                Outcome::Missing(more) => kinds = more,
                Outcome::Undecided(_) => break,
            }
        }
        Ok(evidence)
    }

    /// Decides again about every recorded subject, from stored evidence and without the network.
    /// Gives how many verdicts were looked at.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn judge_all_again(&self) -> Result<u64, Error> {
        let mut after = None;
        let mut count = 0;
        loop {
            let page = self.ledger().subjects(after.as_ref(), REJUDGE_PAGE).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = Some(last.subject.clone());
            for record in &page {
                if let Err(error) = self.judged_from_stored(&record.subject).await {
                    // It is judged when somebody asks for it; the others need not wait for that.
                    warn!(subject = %record.subject, %error, "not judged again");
                }
                count += 1;
            }
            if self.tasks().is_stopping() {
                return Ok(count);
            }
        }
    }
}

/// Whether absence that was found at `at` need not be looked at again. What lies in the future was
/// written by another clock, and says nothing.
fn is_lately(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < ABSENCE_RETRY
}

/// The answer to whoever waited as long as the hold allows.
pub(super) fn still_checking(subject: &Subject, asked: &Reference) -> Error {
    Error::Refused(Box::new(Refusal {
        decision: Decision::Checking,
        name: subject.name.clone(),
        reference: asked.clone(),
        digest: Some(subject.digest),
        judgement: None,
        request: None,
    }))
}

/// Whether a verdict lets the subject be served by itself: it admits, or it is only written down.
pub(super) fn may_be_served(judgement: &Judgement) -> bool {
    judgement.admits() || !judgement.enforced
}

/// Whether people have said no to what the record is about.
pub(super) fn is_refused_by_people(record: &Record) -> bool {
    matches!(record.standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. }))
}

/// Evidence with everything that may have changed upstream marked as not gathered.
fn without_absence(mut evidence: Evidence) -> Evidence {
    evidence.signatures = Gathered::NotGathered;
    evidence.child_signatures = Gathered::NotGathered;
    evidence.attestations = Gathered::NotGathered;
    evidence.child_attestations = Gathered::NotGathered;
    // What is in an image never changes; only that it could not be read may.
    if !matches!(evidence.scan, Gathered::Found(_)) {
        evidence.scan = Gathered::NotGathered;
    }
    // So it is with configurations, but for those that were not there.
    let is_whole = |configs: &ImageConfigs| {
        configs.images.values().all(|config| !matches!(config, ConfigOf::Absent))
    };
    if !evidence.configs.found().is_some_and(is_whole) {
        evidence.configs = Gathered::NotGathered;
    }
    if !matches!(evidence.manifest, Gathered::Found(_)) {
        evidence.manifest = Gathered::NotGathered;
    }
    evidence
}
