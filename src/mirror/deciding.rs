//! Asking the gate: with everything beside the evidence that a decision depends on, away from the
//! runtime's workers, and in time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinError;

use super::predecessors::Predecessors;
use super::turns::Turns;
use super::{Abandoned, Error, Mirror};
use crate::gate::{
    ChildSignatures, Context, DeskException, Emergency, Evidence, Outcome, Predecessor,
    ReadyPolicy, Reason, ReasonCode, SeenFindings, Silenced, Subject, decide,
};
use crate::ledger::Record;
use crate::oci::{Digest, Tag};
use crate::policy::Demands;
use crate::tasks::Tasks;
use crate::time::Timestamp;

/// What the gate said.
pub(super) struct Said {
    pub(super) outcome: Outcome,
    /// How many tags of the subject it knew of.
    pub(super) tags: usize,
    /// Which change of the exceptions for its repository it knew of, see `Ledger::exceptions_of`.
    pub(super) exceptions: u64,
}

/// What is asked of the gate.
pub(super) type Gate = fn(&Subject, &Evidence, &Context<'_>) -> Outcome;

impl Mirror {
    /// Asks the gate, away from the runtime's workers: signatures cost milliseconds. One that takes longer
    /// than the settings allow has decided nothing.
    pub(super) async fn decide(
        &self,
        subject: &Subject,
        evidence: &Evidence,
        record: Option<&Record>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Said, Error> {
        self.ask_by((decide, true), (subject, evidence), record, policy).await
    }

    /// As [`Mirror::decide`], as if `tried` were granted, too.
    pub(super) async fn decide_with(
        &self,
        (subject, evidence): (&Subject, &Evidence),
        (record, policy): (Option<&Record>, &Arc<ReadyPolicy>),
        tried: DeskException,
    ) -> Result<Said, Error> {
        let asked = (subject, evidence);
        self.ask_trying((decide, true), asked, (record, policy), Some(tried)).await
    }

    /// As [`Mirror::decide`], asking `gate` what it is asked. Where what the tags stood for before cannot be
    /// told, nothing is decided if that `needs` it.
    pub(super) async fn ask_by(
        &self,
        gate: (Gate, bool),
        asked: (&Subject, &Evidence),
        record: Option<&Record>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Said, Error> {
        self.ask_trying(gate, asked, (record, policy), None).await
    }

    /// What is known against `subject` now that its approval would hold for; `None` where that cannot be said.
    pub(super) async fn findings_to_show(
        &self,
        subject: &Subject,
    ) -> Result<Option<SeenFindings>, Error> {
        let Some(record) = self.ledger().record(subject).await? else { return Ok(None) };
        let (seen, policy) = (Arc::new(OnceLock::new()), self.policy());
        let told = Arc::clone(&seen);
        let look = move |_: &Subject, evidence: &Evidence, context: &Context<'_>| {
            told.get_or_init(|| SeenFindings::of(evidence, context.scans));
            Outcome::Missing(Vec::new())
        };
        let asked = (subject, &record.evidence);
        self.ask_trying((look, false), asked, (Some(&record), &policy), None).await?;
        Ok(seen.get().cloned().flatten())
    }

    async fn ask_trying(
        &self,
        (gate, needs_before): (
            impl FnOnce(&Subject, &Evidence, &Context<'_>) -> Outcome + Send + 'static,
            bool,
        ),
        (subject, evidence): (&Subject, &Evidence),
        (record, policy): (Option<&Record>, &Arc<ReadyPolicy>),
        tried: Option<DeskException>,
    ) -> Result<Said, Error> {
        // Before everything else: what is granted or ended meanwhile makes another verdict of it.
        let (granted, exceptions) = self.ledger().exceptions_of(&subject.name);
        let granted: Vec<DeskException> = granted.iter().cloned().chain(tried).collect();
        let tags = self.ledger().tags_of(&subject.name, &subject.digest).await?;
        let count = tags.len();
        let before = match self.predecessors(subject, &tags, policy).await? {
            Predecessors::Known(before) => before,
            Predecessors::Unknown(_) if !needs_before => Vec::new(),
            Predecessors::Unknown(why) => {
                return Ok(Said { outcome: undecided(&why), tags: count, exceptions });
            }
        };
        let elsewhere = self.elsewhere(subject, policy).await?;
        let of_line = self.line_of(subject, &tags, policy).await?;
        let now = record.map_or(self.now(), |record| record.time_to_decide_by(self.now()));
        let contents = Arc::new(self.contents_of(subject, evidence, policy).await);
        let emergency = self.emergency_for(subject);
        let asked = Asked {
            subject,
            evidence,
            policy,
            tags: &tags,
            contents: &contents,
            now,
            before: &before,
            line: &of_line,
            emergency,
        };
        let scans = self.scans_of(&asked).await;
        let passed = record.and_then(|record| record.passed.clone());
        let first_seen = record.map(|record| record.first_seen);
        let waited = record.is_some_and(Record::has_waited);
        let (silenced, unseen) = record.map(found_before).unwrap_or_default();
        let (subject, evidence) = (subject.clone(), evidence.clone());
        let standing = record.and_then(|record| record.standing.clone());
        let policy = Arc::clone(policy);
        let address = self.client().address(subject.name.registry());
        self.metrics().judgements.increment();
        let key = subject.clone();
        let work = move || {
            let (standing, address) = (standing.as_ref(), address.as_ref());
            let before: Vec<_> = before.iter().map(|(tag, record)| line(tag, record)).collect();
            let of_line: Vec<_> = of_line.iter().map(|(tag, record)| line(tag, record)).collect();
            let (policy, tags, before, contents) = (&policy, &tags, &before, contents.as_ref());
            let scans = &scans;
            let context = Context {
                policy,
                tags,
                standing,
                elsewhere: &elsewhere,
                address,
                now,
                before,
                line: &of_line,
                contents,
                scans,
                passed: passed.as_deref(),
                silenced: &silenced,
                unseen: &unseen,
                granted: &granted,
                first_seen,
                waited,
                emergency,
            };
            gate(&subject, &evidence, &context)
        };
        let decided = in_turn(&self.inner.deciding, self.tasks(), key, work);
        let outcome = in_time(self.inner.settings.decide_timeout, decided).await?;
        Ok(Said { outcome, tags: count, exceptions })
    }

    /// Does `work` for a decision about `subject`, one at a time and in the time that a decision has; `None`
    /// where it takes longer, or breaks down.
    pub(super) async fn in_turn_and_time<T: Send + 'static>(
        &self,
        subject: &Subject,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let working = in_turn(&self.inner.deciding, self.tasks(), subject.clone(), work);
        let worked = tokio::time::timeout(self.inner.settings.decide_timeout, working).await;
        worked.ok()?.ok()
    }

    /// The contents of the attestations in `evidence`, as far as a rule may ask for them and the store
    /// has them.
    pub(super) async fn contents_of(
        &self,
        subject: &Subject,
        evidence: &Evidence,
        policy: &ReadyPolicy,
    ) -> BTreeMap<Digest, Bytes> {
        let mut contents = BTreeMap::new();
        let possible = policy.possible_demands(&subject.name);
        let hears = |demands: &Demands<'_>| {
            demands.gates().iter().any(|gate| gate.vex.is_some() || !gate.attested_by.is_empty())
        };
        let asks = |demands: &Demands<'_>| {
            let is_asked = demands.facts().attestations;
            is_asked || !demands.attestations().is_empty() || hears(demands) || takes_bills(demands)
        };
        let own = evidence.signatures.found().filter(|_| possible.iter().any(asks));
        let own = own.into_iter().flat_map(|search| &search.attestations);
        let below = evidence.child_signatures.found();
        let below = below.filter(|_| possible.iter().any(hears));
        let below = below.into_iter().flat_map(ChildSignatures::attestations);
        let own = own.map(|found| (found, evidence.attestations.found()));
        let below = below.map(|found| (found, evidence.child_attestations.found()));
        for (attestation, fetched) in own.chain(below) {
            // What was not fetched is asked for.
            let Some(fetched) = fetched else { continue };
            let (digest, size) = (&attestation.content, usize::try_from(attestation.size));
            if fetched.unavailable.contains_key(digest) || contents.contains_key(digest) {
                continue;
            }
            // One that cannot be read is gathered again.
            let Ok(size) = size else { continue };
            if let Ok(Some(bytes)) = self.store().read(digest, size).await {
                contents.insert(*digest, bytes);
            }
        }
        contents
    }
}

/// What VEX documents had taken away, and what was known that nobody was shown, when `record` was last judged.
fn found_before(record: &Record) -> (Vec<Silenced>, BTreeMap<String, Timestamp>) {
    let silenced = record.judgement.as_ref().map(|judgement| judgement.silenced.clone());
    (silenced.unwrap_or_default(), record.unseen.clone())
}

/// What is asked of the gate, as far as what the scanner says depends on it.
pub(super) struct Asked<'a> {
    pub(super) subject: &'a Subject,
    pub(super) evidence: &'a Evidence,
    pub(super) policy: &'a Arc<ReadyPolicy>,
    pub(super) tags: &'a [Tag],
    pub(super) contents: &'a Arc<BTreeMap<Digest, Bytes>>,
    pub(super) now: Timestamp,
    /// What its tags were last admitted as, where that is compared.
    pub(super) before: &'a [(Tag, Arc<Record>)],
    /// What is admitted of its lines.
    pub(super) line: &'a [(Tag, Arc<Record>)],
    /// The break-glass that is in force for it.
    pub(super) emergency: Option<Emergency>,
}

/// Whether a gate takes bills of materials.
pub(super) fn takes_bills(demands: &Demands<'_>) -> bool {
    demands.gates().iter().any(|gate| !gate.sbom_from.is_empty())
}

/// Does `work` in a thread, once no other is under way about the same subject: one that took too long
/// runs on there.
async fn in_turn<T: Send + 'static>(
    turns: &Turns<Subject>,
    tasks: &Tasks,
    subject: Subject,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let turn = turns.take(subject).await;
    let work = move || {
        let outcome = work();
        drop(turn);
        outcome
    };
    tasks.spawn_blocking(work).await
}

/// What `deciding` comes to. One that takes longer than `limit` has decided nothing, and a panic has
/// decided nothing either.
///
/// # Errors
/// [`Error::Abandoned`] after a panic.
async fn in_time(
    limit: Duration,
    deciding: impl Future<Output = Result<Outcome, JoinError>>,
) -> Result<Outcome, Error> {
    match tokio::time::timeout(limit, deciding).await {
        Ok(decided) => decided.map_err(|_panicked| Error::Abandoned(Abandoned)),
        Err(_elapsed) => Ok(undecided("verifying took too long")),
    }
}

fn undecided(why: &str) -> Outcome {
    Outcome::Undecided(vec![Reason {
        code: ReasonCode::EvidenceUnavailable,
        text: why.to_owned(),
        remedy: "Nothing has to change: it is tried again by itself.".to_owned(),
    }])
}

fn line<'a>(tag: &'a Tag, record: &'a Record) -> Predecessor<'a> {
    let (digest, evidence) = (record.subject.digest, &record.evidence);
    Predecessor { tag, digest, evidence, at: [record.first_seen, record.decided_at] }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_subject_that_takes_too_long_holds_one_thread_however_often_it_is_asked_for() {
        let (turns, tasks) = (Turns::default(), Tasks::new());
        let subject = |digest: &[u8]| Subject {
            name: "up.test/a".parse().unwrap(),
            digest: Digest::sha256(digest),
        };
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(9);
        let wait = Arc::new(Mutex::new(wait));
        let ask = |digest: &[u8], limit: Duration| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let wait = Arc::clone(&wait);
            let is_slow = digest == b"slow";
            let work = move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                if is_slow {
                    wait.lock().unwrap().recv().unwrap();
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Outcome::Missing(Vec::new())
            };
            in_time(limit, in_turn(&turns, &tasks, subject(digest), work))
        };
        let short = Duration::from_millis(20);
        for _ in 0..5 {
            let outcome = ask(b"slow", short).await.unwrap();
            assert!(matches!(outcome, Outcome::Undecided(_)), "{outcome:?}");
        }
        assert_eq!((running.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (1, 1));
        assert_eq!(ask(b"quick", LIMIT).await.unwrap(), Outcome::Missing(Vec::new()));
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(ask(b"slow", LIMIT).await.unwrap(), Outcome::Missing(Vec::new()));
        let broken = in_turn(&turns, &tasks, subject(b"slow"), || panic!("a verifier"));
        assert!(matches!(in_time(LIMIT, broken).await, Err(Error::Abandoned(_))));
        go.send(()).unwrap();
        assert_eq!(ask(b"slow", LIMIT).await.unwrap(), Outcome::Missing(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_or_breaks_down_has_decided_nothing() {
        let outcome = in_time(LIMIT, std::future::pending()).await.unwrap();
        let Outcome::Undecided(reasons) = outcome else { panic!("{outcome:?}") };
        assert_eq!(reasons[0].text, "verifying took too long");
        let slow = async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            Ok(Outcome::Missing(Vec::new()))
        };
        assert_eq!(in_time(LIMIT, slow).await.unwrap(), Outcome::Missing(Vec::new()));
        let tasks = Tasks::new();
        let broken = tasks.spawn_blocking(|| -> Outcome { panic!("a verifier") });
        assert!(matches!(in_time(LIMIT, broken).await, Err(Error::Abandoned(_))));
    }
}
