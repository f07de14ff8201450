//! The last admission of a subject, and for how long it could not be confirmed since.
//!
//! Both are part of the sealed record, so that a restart changes nothing and editing the database makes
//! nothing true. A clock that is set back does not lengthen the time: what had passed stays passed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::policy::InForce;
use super::records::{self, Loaded, Record};
use super::rows::Sealed;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{Judgement, Standing, Subject};
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// After how long it is noted again that time has passed: a clock that is set back at a restart wins no more.
pub const NOTED_EVERY: Duration = Duration::from_mins(5);
/// Policies, latest first, among which the one is looked for that ended a verdict.
const POLICIES_MAX: u32 = 1_000;
/// Longest text of why, in characters.
const WHY_LENGTH_MAX: usize = 300;

/// That a subject was admitted, and that nothing denied it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAdmission {
    /// When the first of what people granted ends that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
    /// The exceptions of the desk that it rests on, by their numbers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exceptions: BTreeSet<String>,
    /// Since when it is not in force any more and could not be reached again, once that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<Unconfirmed>,
}

/// For how long a verdict could not be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unconfirmed {
    /// Since when, by the clock as it is now.
    pub since: Timestamp,
    /// When that was last looked at.
    pub seen: Timestamp,
}

impl Unconfirmed {
    /// The same, looked at `now`. Where the clock was set back, the beginning goes back with it.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        if now >= self.seen {
            return Self { seen: now, ..self };
        }
        Self { since: now.before(self.seen.since(self.since)), seen: now }
    }

    /// How long it is at `now`.
    pub fn lasted(self, now: Timestamp) -> Duration {
        let at = self.at(now);
        now.since(at.since)
    }
}

/// What is to be noted of a subject about which nothing can be decided.
#[derive(Debug, Clone)]
pub struct NotConfirmed {
    /// What it is about.
    pub subject: Subject,
    /// The time by which that is so.
    pub now: Timestamp,
    /// For how long it is served all the same.
    pub most: Duration,
    /// The policy that says so.
    pub policy: PolicyId,
    /// Why nothing can be decided.
    pub why: String,
}

impl Record {
    /// That it was admitted and nothing denied it since, as far as is known.
    pub fn last_admission(&self) -> Option<LastAdmission> {
        if matches!(self.standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. })) {
            return None;
        }
        let judgement = self.judgement.as_ref().filter(|judgement| judgement.admits());
        // What an older program wrote does not say when an exception ends, but that something was excepted.
        let was_excepted = self.passed.as_ref().is_some_and(|passed| !passed.known.is_empty());
        let by_judgement = || {
            let judgement = judgement?;
            let ends = judgement.good_until.filter(|_| was_excepted);
            let rests_until = judgement.rests_until.or(ends);
            let exceptions = exceptions_of(judgement);
            Some(LastAdmission { rests_until, exceptions, unconfirmed: None })
        };
        self.admitted.clone().or_else(by_judgement)
    }
}

/// The exceptions of the desk that `judgement` rests on.
fn exceptions_of(judgement: &Judgement) -> BTreeSet<String> {
    let of_desk = judgement.excepted.iter().filter(|one| !one.by.is_empty());
    of_desk.map(|one| one.exception.clone()).collect()
}

impl Writing<'_> {
    /// When the verdict of `record` was last in force: it ended by itself, or a policy came; no later than
    /// `now`. `None`: that lies ahead, so that a clock is wrong and nothing can be told.
    fn last_in_force(
        &self,
        record: &Record,
        policy: &PolicyId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let Some(judgement) = &record.judgement else {
            // It was taken back when something came up, which is not on record here.
            return Ok((record.decided_at <= now).then_some(record.decided_at));
        };
        let ended = judgement.good_until.filter(|end| *end <= now);
        let replaced = match &record.policy {
            Some(of) if of == policy => None,
            Some(of) => Some(self.policy_after(of)?.unwrap_or(record.decided_at)),
            None => Some(record.decided_at),
        };
        let last = ended.into_iter().chain(replaced).min().unwrap_or(now);
        Ok((last <= now).then_some(last))
    }

    /// When the policy came into force that followed the last time of `of`.
    fn policy_after(&self, of: &PolicyId) -> Result<Option<Timestamp>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body, seal FROM policies ORDER BY id DESC LIMIT ?1")?;
        let rows = statement.query_map(params![POLICIES_MAX], |row| Sealed::from_row(row, 0))?;
        let mut after = None;
        for row in rows {
            let policy: InForce = row?.open(self.connection.sealer, "policies", &[])?;
            if policy.id == *of {
                break;
            }
            after = Some(policy.since);
        }
        Ok(after)
    }

    fn note_unconfirmed(&mut self, new: &NotConfirmed) -> Result<Option<Arc<Record>>, Error> {
        let Some(Loaded { mut record, .. }) = records::load(self.connection, &new.subject)? else {
            return Ok(None);
        };
        let Some(admission) = record.last_admission() else { return Ok(Some(Arc::new(record))) };
        let unconfirmed = if let Some(before) = admission.unconfirmed {
            before.at(new.now)
        } else {
            let Some(since) = self.last_in_force(&record, &new.policy, new.now)? else {
                return Ok(Some(Arc::new(record)));
            };
            let why: String = new.why.chars().take(WHY_LENGTH_MAX).collect();
            let event = AuditEvent::new(AuditKind::VerdictStale, "gate")
                .about(&new.subject)
                .with("since", since)
                .with("until", since.after(new.most))
                .with("policy", new.policy)
                .with("reasons", why);
            self.audit(&event)?;
            Unconfirmed { since, seen: new.now }
        };
        record.admitted = Some(LastAdmission { unconfirmed: Some(unconfirmed), ..admission });
        let record = Arc::new(record);
        self.save_record(&record)?;
        Ok(Some(record))
    }
}

impl Ledger {
    /// Notes that a subject which was admitted cannot be decided again, and since when: the first time with
    /// an audit row. Gives its record as it is then; one that was never admitted, or about which something
    /// was decided meanwhile, is not changed.
    ///
    /// # Errors
    /// When it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, it may be noted even if the future is dropped.
    pub async fn note_unconfirmed(&self, new: NotConfirmed) -> Result<Option<Arc<Record>>, Error> {
        self.write(move |writing| writing.note_unconfirmed(&new)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn what_has_passed_stays_passed_when_the_clock_is_set_back() {
        let begun = Unconfirmed { since: at("10:00"), seen: at("10:00") };
        let later = begun.at(at("15:00"));
        assert_eq!((later.since, later.lasted(at("15:00")).as_secs()), (at("10:00"), 5 * 3600));
        let back = later.at(at("11:00"));
        assert_eq!(back, Unconfirmed { since: at("06:00"), seen: at("11:00") });
        assert_eq!(back.lasted(at("12:00")).as_secs(), 6 * 3600);
        assert_eq!(later.lasted(at("09:00")).as_secs(), 5 * 3600, "before anything was noted, too");
        assert_eq!(back.at(at("11:00")), back);
    }
}
