//! Records: what is known and decided about each subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::grants::NewGrants;
use super::memory::Key;
use super::requests::{self, RequestId, RequestState};
use super::rows::{self, Sealed};
use super::sealer::Tables;
use super::tags::load_tags_of;
use super::unconfirmed::LastAdmission;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{
    ByEmergency, Check, CheckState, EmergencyId, Evidence, Judgement, Logic, Passed, Reason,
    ReasonCode, Standing, Subject, Verdict,
};
use crate::oci::{Digest, MediaType, Name};
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// Most records that one read gives.
const RECORDS_PAGE_MAX: u32 = 1000;

/// Longest text of one check that is put into the audit, in characters.
const CHECK_LENGTH_MAX: usize = 300;

/// Everything on record about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub subject: Subject,
    /// What was gathered.
    pub evidence: Evidence,
    /// The last verdict; `None` when there is none yet, or people decided since.
    pub judgement: Option<Judgement>,
    /// What gates let pass when it was last admitted, if it was and nothing has denied it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Box<Passed>>,
    /// Since when something is known against it that nobody was shown who approved it, where its rule asks for
    /// that: by finding and package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<String, Timestamp>,
    /// The policy of that verdict.
    pub policy: Option<PolicyId>,
    /// The last change of the exceptions for its repository that the verdict knows of, see
    /// [`Ledger::exceptions_of`].
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub exceptions: u64,
    /// By which logic that verdict was reached; verdicts that do not say are of the first.
    #[serde(default)]
    pub logic: Logic,
    /// When that verdict was reached; without one, when the record last changed.
    pub decided_at: Timestamp,
    /// When the subject was first heard of.
    pub first_seen: Timestamp,
    /// What people decided.
    pub standing: Option<Standing>,
    /// The latest request about it.
    pub request: Option<RequestId>,
    /// The type under which it is served, once its manifest was read.
    pub media_type: Option<MediaType>,
    /// The size of its manifest in bytes, once it was read.
    pub size: Option<u64>,
    /// Whether it was admitted before: it has been known for long enough then, or somebody signed for that,
    /// and no wait holds it any more.
    #[serde(default)]
    pub waited: bool,
    /// That it was admitted, where the verdict does not say so any more and nothing has denied it since, or
    /// it could not be confirmed; see [`Record::last_admission`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) admitted: Option<LastAdmission>,
    /// How many decisions of people there were.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub(super) decisions: u64,
    /// Whether the approval in `standing` was found to have run out. That stays so whatever a clock
    /// says later: only people can approve again.
    #[serde(default)]
    pub(super) ran_out: bool,
    /// The verdict that the audit chain knows of.
    pub(super) announced: Option<Announced>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// A verdict as far as a change of it is worth an audit row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announced {
    verdict: String,
    rule: Option<String>,
    enforced: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emergency: Option<EmergencyId>,
}

impl Record {
    pub(super) fn blank(subject: &Subject, now: Timestamp) -> Self {
        Self {
            subject: subject.clone(),
            evidence: Evidence::default(),
            judgement: None,
            passed: None,
            unseen: BTreeMap::new(),
            policy: None,
            exceptions: 0,
            logic: Logic::CURRENT,
            decided_at: now,
            first_seen: now,
            standing: None,
            request: None,
            media_type: None,
            size: None,
            waited: false,
            admitted: None,
            decisions: 0,
            ran_out: false,
            announced: None,
        }
    }

    /// The verdict, if it still holds: it was reached under `policy`, people have not decided since, it knows
    /// of the last change of the `exceptions` for its repository (see [`Ledger::exceptions_of`]), and nothing
    /// that it may rest on ran out before `now`.
    pub fn judgement_in_force(
        &self,
        policy: &PolicyId,
        exceptions: u64,
        now: Timestamp,
    ) -> Option<&Judgement> {
        // A verdict that was reached after that knows of it.
        let expired = !self.ran_out && self.expires().is_some_and(|expires| expires <= now);
        let same = self.policy.as_ref() == Some(policy) && self.exceptions == exceptions;
        let ended = |judgement: &Judgement| judgement.good_until.is_some_and(|end| end <= now);
        self.judgement.as_ref().filter(|judgement| same && !expired && !ended(judgement))
    }

    /// Whether it is or was admitted, see [`Record::waited`].
    pub fn has_waited(&self) -> bool {
        self.waited || self.judgement.as_ref().is_some_and(Judgement::admits)
    }

    /// The same as if no person had decided about it, and nothing had been judged.
    #[must_use]
    pub fn without_people(&self) -> Self {
        let waited = self.has_waited();
        Self {
            standing: None,
            judgement: None,
            passed: None,
            unseen: BTreeMap::new(),
            waited,
            admitted: None,
            ..self.clone()
        }
    }

    /// How many decisions of people there were about the subject.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// Whether the approval that stands was found to have run out.
    pub fn has_run_out(&self) -> bool {
        self.ran_out
    }

    /// The time by which to decide about the subject at `now`: not before the end of an approval that
    /// was found to have run out.
    pub fn time_to_decide_by(&self, now: Timestamp) -> Timestamp {
        let ended = self.expires().filter(|_| self.ran_out);
        ended.map_or(now, |ended| ended.max(now))
    }

    fn expires(&self) -> Option<Timestamp> {
        match &self.standing {
            Some(Standing::Approved { expires, .. }) => *expires,
            Some(_) | None => None,
        }
    }
}

/// A verdict to be put on record.
#[derive(Debug, Clone)]
pub struct New {
    /// What it is about.
    pub subject: Subject,
    /// What it rests on.
    pub evidence: Evidence,
    /// The verdict.
    pub judgement: Judgement,
    /// The policy it was reached under.
    pub policy: PolicyId,
    /// The decision of people it was reached under, as the record had it then. If there is another
    /// by now, the verdict is not taken: the record comes back without one.
    pub standing: Option<Standing>,
    /// How many tags of the subject it was reached on, see [`Ledger::tags_of`]; if there are others by
    /// now, it is not taken either.
    pub tags: usize,
    /// The last change of the exceptions for its repository that it knew of. A later one makes it no verdict
    /// in force.
    pub exceptions: u64,
    /// The time by which it was reached, or an earlier one: an approval that ends after it is not
    /// noted as run out.
    pub now: Timestamp,
    /// What the subject entitles its repository to, as far as that is new.
    pub grants: NewGrants,
}

/// A record as it came from the database.
pub(super) struct Loaded {
    pub(super) id: i64,
    pub(super) record: Record,
    pub(super) bytes: u64,
}

/// Records of a repository, newest first, in which a listed manifest is looked for.
const LISTING_RECORDS_MAX: u32 = 256;

/// The key of `digest` in `name`, for records and grants.
pub(super) fn key(name: &Name, digest: &Digest) -> Key {
    Key::new(name, digest.as_bytes())
}

/// Whether `judgement` is only that nothing could be decided, and that a break-glass has it served.
fn is_only_undecided(judgement: &Judgement) -> bool {
    let is_open = |reason: &Reason| reason.code == ReasonCode::EvidenceUnavailable;
    judgement.served_by().is_some() && judgement.reasons().iter().all(is_open)
}

/// What every gate that was asked said: what answers later why something ran.
fn checks_in_short(judgement: &Judgement) -> String {
    let asked =
        |check: &&Check| !matches!(check.state, CheckState::NotAsked | CheckState::NotLooked);
    let short = |check: &Check| {
        let state = match check.state {
            CheckState::Fail => "fail",
            CheckState::Failed => "failed",
            CheckState::NotAsked | CheckState::NotLooked => "not asked",
            CheckState::Pass => "pass",
            CheckState::Waiting => "waiting",
        };
        let text: String = check.text.chars().take(CHECK_LENGTH_MAX).collect();
        format!("{} {state}: {text}", check.name)
    };
    judgement.checks.iter().filter(asked).map(short).collect::<Vec<_>>().join("; ")
}

/// Findings that one record of the audit names.
const UNSEEN_TOLD_MAX: usize = 20;

/// Reads the record of `subject`.
pub(super) fn load(connection: &Tables<'_>, subject: &Subject) -> Result<Option<Loaded>, Error> {
    let (name, digest) = (subject.name.to_string(), subject.digest.to_string());
    let row = connection
        .prepare_cached(
            "SELECT r.id, r.body, r.seal FROM records r JOIN repositories n ON n.id = r.repository
             WHERE n.name = ?1 AND r.digest = ?2",
        )?
        .query_row([&name, &digest], |row| Ok((row.get(0)?, Sealed::from_row(row, 1)?)))
        .optional()?;
    let Some((id, sealed)) = row else { return Ok(None) };
    let record = sealed.open(connection.sealer, "records", &[&name, &digest])?;
    Ok(Some(Loaded { id, record, bytes: sealed.weight() }))
}

/// The number of the row with the record of `digest` in `name`, if there is one.
pub(super) fn id(
    connection: &Connection,
    name: &Name,
    digest: &Digest,
) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id FROM records r JOIN repositories n ON n.id = r.repository
         WHERE n.name = ?1 AND r.digest = ?2",
    )?;
    let row = statement.query_row([name.to_string(), digest.to_string()], |row| row.get(0));
    Ok(row.optional()?)
}

impl Writing<'_> {
    /// The record of `subject`, or the one it has before anything is known.
    pub(super) fn record_or_blank(&self, subject: &Subject) -> Result<Record, Error> {
        let loaded = load(self.connection, subject)?;
        Ok(loaded.map_or_else(|| Record::blank(subject, self.now), |loaded| loaded.record))
    }

    /// Writes `record` and has it shown in memory; gives the number of its row.
    pub(super) fn save_record(&mut self, record: &Arc<Record>) -> Result<i64, Error> {
        let subject = &record.subject;
        let (name, digest) = (subject.name.to_string(), subject.digest.to_string());
        let sealed = Sealed::new(self.connection.sealer, "records", &[&name, &digest], record)?;
        let repository = rows::repository_for(self.connection, &subject.name)?;
        let id = self
            .connection
            .prepare_cached(
                "INSERT INTO records (repository, digest, body, seal) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (repository, digest)
                 DO UPDATE SET body = excluded.body, seal = excluded.seal
                 RETURNING id",
            )?
            .query_row(params![repository, digest, sealed.body, sealed.seal], |row| row.get(0))?;
        let (key, bytes) = (key(&subject.name, &subject.digest), sealed.weight());
        let record = Arc::clone(record);
        self.after_commit(move |memory| memory.records.set(key, Some((record, bytes))));
        Ok(id)
    }

    /// Has the record of `digest` in `name`, or that there is none, shown in memory, so that it is
    /// known without the disk.
    pub(super) fn show_record(&mut self, name: &Name, digest: &Digest) -> Result<(), Error> {
        let (subject, key) = (Subject { name: name.clone(), digest: *digest }, key(name, digest));
        match load(self.connection, &subject) {
            Ok(loaded) => {
                let found = loaded.map(|loaded| (Arc::new(loaded.record), loaded.bytes));
                self.after_commit(move |memory| memory.records.set(key, found));
                Ok(())
            }
            // That one's failure, at its own next read.
            Err(Error::CorruptRow { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn announce(&mut self, record: &mut Record, judgement: &Judgement) -> Result<(), Error> {
        let verdict = match judgement.verdict {
            Verdict::Admit => "admit",
            Verdict::Deny(_) => "deny",
            Verdict::Pending(_) => "pending",
        };
        let announced = Announced {
            verdict: verdict.to_owned(),
            rule: judgement.rule.as_ref().map(ToString::to_string),
            enforced: judgement.enforced,
            emergency: judgement.served_by().map(|it| it.id),
        };
        if record.announced.as_ref() == Some(&announced) {
            return Ok(());
        }
        let mut event = AuditEvent::new(AuditKind::Judged, "gate")
            .about(&record.subject)
            .with("verdict", verdict)
            .with("enforced", judgement.enforced);
        if let Some(policy) = &record.policy {
            event = event.with("policy", policy);
        }
        if let Some(rule) = &announced.rule {
            event = event.with("rule", rule);
        }
        let reasons: Vec<&str> =
            judgement.reasons().iter().map(|reason| reason.text.as_str()).collect();
        if !reasons.is_empty() {
            event = event.with("reasons", reasons.join("; "));
        }
        if let Some(ByEmergency { id, until, .. }) = judgement.served_by() {
            event = event.with("served_by", id).with("until", until);
        }
        if let Some(database) = &judgement.database {
            event = event.with("database", database.digest).with("database_as_of", database.as_of);
        }
        if let Some(carried) = &judgement.carried {
            event = event.with("approved_as", &carried.from);
        }
        event = event.with("checks", checks_in_short(judgement)).with("logic", record.logic);
        self.audit(&event)?;
        record.announced = Some(announced);
        Ok(())
    }

    /// Puts on record what came up against an approved subject that nobody was shown who approved it, where
    /// that is new.
    fn tell_unseen(&mut self, record: &Record, judgement: &Judgement) -> Result<(), Error> {
        let new = |name: &&String| !record.unseen.contains_key(*name);
        let new: Vec<&str> =
            judgement.unseen.keys().filter(new).map(String::as_str).take(UNSEEN_TOLD_MAX).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut event = AuditEvent::new(AuditKind::FoundSinceApproval, "gate")
            .about(&record.subject)
            .with("findings", new.join(", "))
            .with("unseen", judgement.unseen.len());
        if let Some(until) = judgement.good_until.filter(|_| judgement.admits()) {
            event = event.with("judged_again_at", until);
        }
        self.audit(&event)
    }

    /// Takes the verdict of `subject` back, if it has one: something it did not know of came up.
    pub(super) fn withdraw_judgement(&mut self, subject: &Subject) -> Result<(), Error> {
        let Some(Loaded { mut record, .. }) = load(self.connection, subject)? else {
            return Ok(());
        };
        record.admitted = record.last_admission();
        (record.judgement, record.policy, record.decided_at) = (None, None, self.now);
        self.save_record(&Arc::new(record)).map(drop)
    }

    fn record_judgement(&mut self, new: New) -> Result<Arc<Record>, Error> {
        let mut record = self.record_or_blank(&new.subject)?;
        // The clock that decided may be ahead of this one, and a wait is counted by that.
        if record.announced.is_none() {
            record.first_seen = record.first_seen.max(new.now);
        }
        if let Some(facts) = new.evidence.manifest.found() {
            record.media_type = Some(facts.media_type.clone());
            record.size = Some(facts.size);
        }
        record.evidence = new.evidence;
        record.decided_at = self.now;
        let tags = load_tags_of(self.connection, &new.subject.name, &new.subject.digest)?.len();
        if record.standing == new.standing && tags == new.tags {
            record.policy = Some(new.policy);
            record.exceptions = new.exceptions;
            record.logic = Logic::CURRENT;
            self.announce(&mut record, &new.judgement)?;
            if new.judgement.admits() && new.judgement.enforced {
                let key = requests::subject_key(&new.subject);
                self.close_requests(&key, RequestState::Lapsed, None)?;
            }
            let mut judgement = new.judgement;
            let is_admitted = judgement.admits();
            record.waited |= is_admitted;
            // An admission is what the verdict says, for as long as it is on record; a denial ends it.
            // That it is served in an emergency because nothing could be decided is no denial.
            if !is_only_undecided(&judgement) {
                record.admitted = None;
                // Where only people are asked again, the gates let it pass as before.
                let asks_again = judgement.asks_again() && record.passed.is_some();
                record.passed = judgement.passed.take().filter(|_| is_admitted || asks_again);
                self.tell_unseen(&record, &judgement)?;
                record.unseen = std::mem::take(&mut judgement.unseen);
            } else if record.admitted.is_none() {
                record.admitted = record.last_admission();
            }
            record.judgement = Some(judgement);
            record.ran_out |= record.expires().is_some_and(|expires| expires <= new.now);
        } else {
            record.admitted = record.last_admission();
            (record.judgement, record.policy) = (None, None);
        }
        let record = Arc::new(record);
        let id = self.save_record(&record)?;
        self.take_grants(id, &new.subject, new.grants)?;
        Ok(record)
    }
}

impl Ledger {
    /// The record of `subject`: from memory, else from the database.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read, or is not what was written.
    pub async fn record(&self, subject: &Subject) -> Result<Option<Arc<Record>>, Error> {
        let key = key(&subject.name, &subject.digest);
        let records = &self.inner.memory.records;
        if let Some(known) = records.get(&key) {
            return Ok(known);
        }
        let moments = records.moment();
        let wanted = subject.clone();
        let loaded = self.read(move |connection| load(connection, &wanted)).await?;
        let found = loaded.map(|loaded| (Arc::new(loaded.record), loaded.bytes));
        records.offer(key, found.clone(), moments);
        Ok(found.map(|(record, _)| record))
    }

    /// The subjects of `name` whose manifest lists `digest` as a child, whether it was there or not
    /// when they were gathered; of the latest 256 that were heard of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listing(&self, name: &Name, digest: &Digest) -> Result<Vec<Digest>, Error> {
        let (name, digest) = (name.to_string(), *digest);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT digest, body, seal FROM (
                     SELECT digest, body, seal FROM records
                     WHERE repository = (SELECT id FROM repositories WHERE name = ?1)
                     ORDER BY id DESC LIMIT ?2
                 ) WHERE instr(body, ?3) > 0",
            )?;
            let rows = statement
                .query_map(params![name, LISTING_RECORDS_MAX, digest.to_string()], |row| {
                    Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?))
                })?;
            let mut listing = Vec::new();
            for row in rows {
                let (of, sealed) = row?;
                let record: Record = sealed.open(connection.sealer, "records", &[&name, &of])?;
                let facts = record.evidence.manifest.found();
                if facts.is_some_and(|facts| facts.children.contains(&digest)) {
                    listing.push(record.subject.digest);
                }
            }
            Ok(listing)
        })
        .await
    }

    /// Up to `limit` records (at most 1,000) of the repository `name`, the last that was heard of first, from
    /// the one after `before` on. A damaged one is left out, and logged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subjects_of(
        &self,
        name: &Name,
        before: Option<&Subject>,
        limit: u32,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let (name, before) = (name.to_string(), before.cloned());
        self.read(move |connection| {
            let before = match before {
                Some(subject) => load(connection, &subject)?.map_or(i64::MAX, |loaded| loaded.id),
                None => i64::MAX,
            };
            let mut statement = connection.prepare_cached(
                "SELECT digest, body, seal FROM records
                 WHERE repository = (SELECT id FROM repositories WHERE name = ?1) AND id < ?2
                 ORDER BY id DESC LIMIT ?3",
            )?;
            let limit = limit.min(RECORDS_PAGE_MAX);
            let rows = statement.query_map(params![name, before, limit], |row| {
                Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?))
            })?;
            let mut records = Vec::new();
            for row in rows {
                let (digest, sealed) = row?;
                match sealed.open(connection.sealer, "records", &[&name, &digest]) {
                    Ok(record) => records.push(Arc::new(record)),
                    Err(error) => tracing::error!(%error, "left out"),
                }
            }
            Ok(records)
        })
        .await
    }

    /// The record of `subject`, if it is in memory.
    pub fn record_in_memory(&self, subject: &Subject) -> Option<Arc<Record>> {
        self.inner.memory.records.get(&key(&subject.name, &subject.digest)).flatten()
    }

    /// Puts a verdict on record, with its evidence and grants, and an audit row if verdict or rule
    /// differ from before. What comes back is the record as it is now: without a verdict when people
    /// decided since the one offered was reached, or the subject has got another tag, and then the
    /// caller decides again.
    ///
    /// # Errors
    /// When it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the verdict may be written even if the future is dropped.
    pub async fn record_judgement(&self, new: New) -> Result<Arc<Record>, Error> {
        self.write(move |writing| writing.record_judgement(new)).await
    }

    /// Up to `limit` records (at most 1,000) in the order in which their subjects were first heard
    /// of, from the one after `after` on. A damaged one is left out, and logged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subjects(
        &self,
        after: Option<&Subject>,
        limit: u32,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let after = after.cloned();
        self.read(move |connection| {
            let after = match after {
                Some(subject) => load(connection, &subject)?.map_or(0, |loaded| loaded.id),
                None => 0,
            };
            let mut statement = connection.prepare_cached(
                "SELECT n.name, r.digest, r.body, r.seal
                 FROM records r JOIN repositories n ON n.id = r.repository
                 WHERE r.id > ?1 ORDER BY r.id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after, limit.min(RECORDS_PAGE_MAX)], |row| {
                let key: (String, String) = (row.get(0)?, row.get(1)?);
                Ok((key, Sealed::from_row(row, 2)?))
            })?;
            let mut records = Vec::new();
            for row in rows {
                let ((name, digest), sealed) = row?;
                match sealed.open(connection.sealer, "records", &[&name, &digest]) {
                    Ok(record) => records.push(Arc::new(record)),
                    Err(error) => tracing::error!(%error, "left out"),
                }
            }
            Ok(records)
        })
        .await
    }
}
