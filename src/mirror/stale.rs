//! Serving on what was admitted while nothing can be decided, where the policy says so.
//!
//! Never a first admission, never against anything that is known, never beyond what people granted, and no
//! longer than the policy allows since the verdict was last in force. What is denied is denied: this is only
//! asked where there is no verdict at all.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::deciding::Gate;
use super::judge::Judged;
use super::{Error, Mirror};
use crate::gate::{Gathered, Judgement, Outcome, Reason, ReasonCode, Subject, known_against};
use crate::ledger::{LastAdmission, NOTED_EVERY, NotConfirmed, Record, Unconfirmed};
use crate::policy::OnError;
use crate::time::Timestamp;

/// That something is served although nothing could be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Since when the verdict that admitted it is not in force.
    pub since: Timestamp,
    /// Until when it is served at most.
    pub until: Timestamp,
    /// Why nothing could be decided.
    pub why: String,
}

impl Stale {
    /// What whoever pulls is told.
    pub(super) fn warning(&self) -> String {
        let Self { since, until, why } = self;
        format!("served as admitted before, not confirmed since {since} ({why}); until {until}")
    }
}

impl Mirror {
    /// `judged`, and where nothing was decided, whether it is served on as it was admitted before.
    pub(super) async fn or_stale(&self, subject: &Subject, judged: Judged) -> Judged {
        let Outcome::Undecided(reasons) = &judged.outcome else { return judged };
        let why = reasons.first().map_or("nothing could be decided", |reason| &reason.text);
        let stale = self.stale(subject, why).await;
        Judged { stale, ..judged }
    }

    /// What is served on in the place of `error`, which says that nothing could be decided in time.
    ///
    /// # Errors
    /// `error`, where nothing is.
    pub(super) async fn stale_or(&self, subject: &Subject, error: Error) -> Result<Judged, Error> {
        let why = match &error {
            Error::Refused(refusal) if refusal.decision == super::Decision::Checking => {
                "still being checked".to_owned()
            }
            Error::Abandoned(_) | Error::Overloaded | Error::Upstream(_) => error.to_string(),
            Error::Absent(_)
            | Error::Ledger(_)
            | Error::Malformed(_)
            | Error::Refused(_)
            | Error::RegistryUnknown(_)
            | Error::Store(_)
            | Error::Undecided { .. }
            | Error::Ungranted => return Err(error),
        };
        let Some(stale) = self.stale(subject, &why).await else { return Err(error) };
        self.judged_stale(subject, stale).await
    }

    /// What is served on of `subject` without waiting for anybody, once it was found that nothing can be
    /// decided: that is tried again beside.
    pub(super) async fn stale_meanwhile(&self, subject: &Subject) -> Result<Option<Judged>, Error> {
        let record = self.ledger().record(subject).await?;
        let admission = record.as_ref().and_then(|record| record.last_admission());
        if admission.and_then(|admission| admission.unconfirmed).is_none() {
            return Ok(None);
        }
        let why = self.why_undecided(subject);
        let Some(stale) = self.stale(subject, &why).await else { return Ok(None) };
        self.judged_stale(subject, stale).await.map(Some)
    }

    async fn judged_stale(&self, subject: &Subject, stale: Stale) -> Result<Judged, Error> {
        let record = self.ledger().record(subject).await?;
        let reasons = vec![Reason {
            code: ReasonCode::EvidenceUnavailable,
            text: stale.why.clone(),
            remedy: "Nothing has to change: it is tried again by itself.".to_owned(),
        }];
        Ok(Judged { record, outcome: Outcome::Undecided(reasons), stale: Some(stale) })
    }

    /// Whether `subject` may be served on as it was admitted before, and until when. What cannot be read,
    /// or not be written down, is not.
    async fn stale(&self, subject: &Subject, why: &str) -> Option<Stale> {
        match self.try_stale(subject, why).await {
            Ok(stale) => stale,
            Err(error) => {
                warn!(%subject, %error, "not served on: what is known of it cannot be told");
                None
            }
        }
    }

    async fn try_stale(&self, subject: &Subject, why: &str) -> Result<Option<Stale>, Error> {
        let Some(record) = self.ledger().record(subject).await? else { return Ok(None) };
        let Some(admission) = record.last_admission() else { return Ok(None) };
        let now = self.now();
        let ends = [admission.rests_until, rests_until(&record)].into_iter().flatten().min();
        let Some(most) = self.stale_allowed(&record).await? else { return Ok(None) };
        if !self.are_granted(&record, &admission, now) {
            return Ok(None);
        }
        if ends.is_some_and(|end| end <= now) || !self.nothing_is_known_against(&record).await? {
            return Ok(None);
        }
        let Some(unconfirmed) = self.noted(&record, (now, most), why).await? else {
            return Ok(None);
        };
        if unconfirmed.lasted(now) > most {
            return Ok(None);
        }
        let since = unconfirmed.at(now).since;
        let until = [Some(since.after(most)), ends].into_iter().flatten().min();
        let until = until.unwrap_or(now);
        info!(%subject, %since, %until, why, "served as admitted before; nothing can be decided");
        Ok(Some(Stale { since, until, why: why.to_owned() }))
    }

    /// Whether the exceptions are in force on which `admission` rests: whatever can be asked now, what people
    /// took back is not served on.
    fn are_granted(&self, record: &Record, admission: &LastAdmission, now: Timestamp) -> bool {
        let (granted, _) = self.ledger().exceptions_of(&record.subject.name);
        let is_granted = |id: &String| granted.iter().any(|it| it.id == *id && now < it.expires);
        admission.exceptions.iter().all(is_granted)
    }

    /// For how long the policy lets what is on `record` be served on.
    async fn stale_allowed(&self, record: &Record) -> Result<Option<Duration>, Error> {
        let Gathered::Found(facts) = &record.evidence.manifest else { return Ok(None) };
        let subject = &record.subject;
        let policy = self.policy();
        let names = policy.possible_demands(&subject.name);
        if names.iter().all(|demands| demands.on_error() == OnError::Deny) {
            return Ok(None);
        }
        let tags = self.ledger().tags_of(&subject.name, &subject.digest).await?;
        match policy.demands(&subject.name, facts.artifact(), &tags).on_error() {
            OnError::Deny => Ok(None),
            OnError::Stale(most) => Ok(Some(most)),
        }
    }

    async fn nothing_is_known_against(&self, record: &Record) -> Result<bool, Error> {
        let (subject, evidence, policy) = (&record.subject, &record.evidence, self.policy());
        let gate: Gate = known_against;
        let said = self.ask_by((gate, false), (subject, evidence), Some(record), &policy).await?;
        Ok(matches!(said.outcome, Outcome::Decided(judgement) if judgement.admits()))
    }

    /// Since when `record` could not be confirmed, noted where that is new or was noted a while ago. `None`:
    /// it may not be told.
    async fn noted(
        &self,
        record: &Arc<Record>,
        (now, most): (Timestamp, Duration),
        why: &str,
    ) -> Result<Option<Unconfirmed>, Error> {
        let unconfirmed_of = |record: &Record| record.last_admission()?.unconfirmed;
        let known = unconfirmed_of(record);
        if let Some(known) = known
            && known.seen <= now
            && now.since(known.seen) < NOTED_EVERY
        {
            return Ok(Some(known));
        }
        let new = NotConfirmed {
            subject: record.subject.clone(),
            now,
            most,
            policy: *self.policy().id(),
            why: why.to_owned(),
        };
        match self.ledger().note_unconfirmed(new).await {
            Ok(record) => Ok(record.as_deref().and_then(unconfirmed_of)),
            // Since when is on record; the rest is only for clocks that are set back.
            Err(error) if error.is_failure() && known.is_some() => {
                warn!(subject = %record.subject, %error, "time without a verdict not written");
                Ok(known)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The end of the approval that stands, which may be another than that of the last admission.
fn rests_until(record: &Record) -> Option<Timestamp> {
    let judged = record.judgement.as_ref().filter(|judgement: &&Judgement| judgement.admits());
    let people = match &record.standing {
        Some(crate::gate::Standing::Approved { expires, .. }) => *expires,
        Some(_) | None => None,
    };
    judged.and_then(|judgement| judgement.rests_until).into_iter().chain(people).min()
}
