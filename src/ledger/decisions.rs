//! What people decide: approve, reject, revoke, reinstate.
//!
//! A decision, the standing it makes, the request it settles and its audit row are one transaction.
//! It takes the verdict off the record, because that was reached before: nothing is served until the
//! gate has spoken again.

use std::sync::Arc;

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::records::{self, Record};
use super::requests::{self, Closing, RequestId, RequestRow, RequestState};
use super::rows::{Sealed, unsigned};
use super::votes::VoteFile;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{SeenFindings, Standing, Subject};
use crate::oci::Digest;
use crate::policy::PolicyId;
use crate::time::Timestamp;

/// Most decisions that one read gives.
const DECISIONS_PAGE_MAX: u32 = 1000;

/// A decision to be put on record.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What it is about.
    pub subject: Subject,
    /// Who decides.
    pub by: String,
    /// Why.
    pub reason: String,
    /// For an approval: from when on it counts no more.
    pub expires: Option<Timestamp>,
    /// The request that it answers; it must be open (for a revocation: approved).
    pub request: Option<RequestId>,
    /// The policy in force.
    pub policy: PolicyId,
    /// For an approval: everybody whose yes it took, where it took more than one.
    pub voters: Vec<String>,
    /// For an approval: what they were shown of what is known against it; `None` where nothing is kept.
    pub seen: Option<Box<SeenFindings>>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// It may be served where a rule asks for an approval.
    Approve,
    /// A rejection or revocation counts no more.
    Reinstate,
    /// It must not be served.
    Reject,
    /// It must no more be served.
    Revoke,
    /// An approval counts no more: what it rested on was taken back.
    Withdraw,
}

/// On which files a decision rests.
#[derive(Debug, Clone, Default)]
pub(super) struct Basis {
    /// By the digests of their envelopes.
    pub(super) files: Vec<Digest>,
    /// The one that says the decision, where that is no vote.
    pub(super) said: Option<VoteFile>,
}

/// A decision on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What it is about.
    pub subject: Subject,
    /// What was decided.
    pub verb: Verb,
    /// Who decided.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// For an approval: from when on it counts no more.
    pub expires: Option<Timestamp>,
    /// The request that it answered.
    pub request: Option<RequestId>,
    /// The policy that was in force.
    pub policy: PolicyId,
    /// Everybody whose yes an approval took, where it took more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voters: Vec<String>,
    /// The approval files that it rested on, by the digests of their envelopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Digest>,
}

impl Verb {
    fn standing(self, decision: &Decision, files: &[Digest], at: Timestamp) -> Option<Standing> {
        let (by, reason) = (decision.by.clone(), decision.reason.clone());
        match self {
            Self::Approve => Some(Standing::Approved {
                by,
                at,
                expires: decision.expires,
                reason,
                voters: decision.voters.clone(),
                seen: decision.seen.clone(),
                files: files.to_vec(),
            }),
            Self::Reinstate | Self::Withdraw => None,
            Self::Reject => Some(Standing::Rejected { by, at, reason }),
            Self::Revoke => Some(Standing::Revoked { by, at, reason }),
        }
    }

    fn settles_as(self) -> RequestState {
        match self {
            Self::Approve => RequestState::Approved,
            Self::Reinstate | Self::Withdraw => RequestState::Lapsed,
            Self::Reject => RequestState::Rejected,
            Self::Revoke => RequestState::Revoked,
        }
    }

    /// Whether it can answer a request that stands as `state`: the first answer counts, and later
    /// ones are about the digest, so that of two people at once one learns of the other.
    fn answers(self, state: RequestState) -> bool {
        match self {
            Self::Approve | Self::Reject => state.is_open(),
            Self::Reinstate => matches!(state, RequestState::Rejected | RequestState::Revoked),
            Self::Revoke => state.is_open() || state == RequestState::Approved,
            Self::Withdraw => state == RequestState::Approved,
        }
    }

    fn audit_kind(self) -> AuditKind {
        match self {
            Self::Approve => AuditKind::Approved,
            Self::Reinstate => AuditKind::Reinstated,
            Self::Reject => AuditKind::Rejected,
            Self::Revoke => AuditKind::Revoked,
            Self::Withdraw => AuditKind::ApprovalWithdrawn,
        }
    }
}

impl Writing<'_> {
    pub(super) fn decide(
        &mut self,
        verb: Verb,
        decision: &Decision,
        basis: &Basis,
    ) -> Result<Arc<Record>, Error> {
        let subject = &decision.subject;
        let mut record = match self.record_or_blank(subject) {
            // The decision takes the place of whatever standing is lost; evidence is gathered anew.
            Err(Error::CorruptRow { .. }) if !matches!(verb, Verb::Reinstate | Verb::Withdraw) => {
                Record::blank(subject, self.now)
            }
            outcome => outcome?,
        };
        let refused =
            matches!(record.standing, Some(Standing::Rejected { .. } | Standing::Revoked { .. }));
        if verb == Verb::Reinstate && !refused {
            return Err(Error::NothingToReinstate(subject.clone()));
        }
        let request = self.request_answered(verb, decision)?;
        record.standing = verb.standing(decision, &basis.files, self.now);
        record.ran_out = false;
        record.unseen.clear();
        if matches!(verb, Verb::Reject | Verb::Revoke | Verb::Withdraw) {
            record.admitted = None;
        } else {
            // What it was admitted by is off the record from here on; that it was stays.
            record.admitted = record.last_admission();
        }
        record.decisions = self.decisions_before(&record)?.saturating_add(1);
        (record.judgement, record.policy, record.decided_at) = (None, None, self.now);
        let answered = request.as_ref().map(|request| request.id);
        record.request = answered.or(record.request);
        let record = Arc::new(record);
        let id = self.save_record(&record)?;
        if let Some(request) = request {
            let closing = Closing { by: decision.by.clone(), reason: decision.reason.clone() };
            self.settle_request(request, verb.settles_as(), Some(&closing))?;
        }
        // They were about what was before; the audit has them.
        self.forget_file_votes(id)?;
        self.keep_decision(id, (verb, basis), decision, answered)?;
        let mut event = AuditEvent::new(verb.audit_kind(), decision.by.clone())
            .about(subject)
            .with("policy", decision.policy);
        event.reason = Some(decision.reason.clone());
        event.request = answered;
        if let (Verb::Approve, Some(expires)) = (verb, decision.expires) {
            event = event.with("expires", expires);
        }
        if let (Verb::Approve, Some(seen)) = (verb, &decision.seen) {
            event = event.with("seen", seen.digest()).with("seen_findings", seen.count());
        }
        if !decision.voters.is_empty() {
            event = event.with("voters", decision.voters.join(", "));
        }
        if !basis.files.is_empty() {
            let files: Vec<String> = basis.files.iter().map(ToString::to_string).collect();
            event = event.with("files", files.join(", "));
        }
        if let Some(said) = &basis.said {
            event = event.with("envelope", &said.envelope).with("public_key", &said.public_key);
        }
        self.audit(&event)?;
        Ok(record)
    }

    /// How many decisions there were about the subject of `record`: as many as it says, and no fewer than
    /// there are rows, so that a record that was made anew, or is older than the counting, revives no vote.
    fn decisions_before(&self, record: &Record) -> Result<u64, Error> {
        let Subject { name, digest } = &record.subject;
        let Some(id) = records::id(self.connection, name, digest)? else { return Ok(0) };
        let mut statement =
            self.connection.prepare_cached("SELECT count(*) FROM decisions WHERE record = ?1")?;
        let rows = statement.query_row([id], |row| row.get(0))?;
        Ok(record.decisions.max(unsigned(rows)))
    }

    /// The request that `decision` names, which must fit; else the latest one it happens to answer.
    fn request_answered(
        &self,
        verb: Verb,
        decision: &Decision,
    ) -> Result<Option<RequestRow>, Error> {
        let subject = &decision.subject;
        let Some(id) = decision.request else {
            let latest =
                requests::latest_readable(self.connection, &requests::subject_key(subject))?;
            return Ok(latest.filter(|row| verb.answers(row.state)));
        };
        let row = requests::load(self.connection, id)?.ok_or(Error::NoSuchRequest(id))?;
        if row.subject().as_ref() != Some(subject) {
            return Err(Error::OtherSubject { request: id, subject: subject.clone() });
        }
        if !verb.answers(row.state) {
            return Err(Error::AlreadyDecided { request: id, state: row.state });
        }
        Ok(Some(row))
    }

    fn keep_decision(
        &mut self,
        record: i64,
        (verb, basis): (Verb, &Basis),
        decision: &Decision,
        request: Option<RequestId>,
    ) -> Result<(), Error> {
        let Decision { subject, by, reason, expires, policy, voters, .. } = decision.clone();
        let at = self.now;
        let files = basis.files.clone();
        let decided =
            Decided { subject, verb, by, at, reason, expires, request, policy, voters, files };
        let sealed = Sealed::new(
            self.connection.sealer,
            "decisions",
            &[&decided.subject.to_string()],
            &decided,
        )?;
        self.connection
            .prepare_cached("INSERT INTO decisions (record, body, seal) VALUES (?1, ?2, ?3)")?
            .execute(params![record, sealed.body, sealed.seal])?;
        Ok(())
    }
}

impl Ledger {
    async fn decide(&self, verb: Verb, decision: Decision) -> Result<Arc<Record>, Error> {
        let none = Basis::default();
        let record = self.write(move |writing| writing.decide(verb, &decision, &none)).await;
        self.show_open_requests();
        record
    }

    /// Approves the subject: every [`record`](Self::record) from now on shows it.
    ///
    /// # Errors
    /// [`Error::AlreadyDecided`], [`Error::NoSuchRequest`], [`Error::OtherSubject`] when the request
    /// does not fit; else when it did not reach the disk.
    ///
    /// # Cancel safety
    /// Once polled, the decision may be made even if the future is dropped; so for the other three.
    pub async fn approve(&self, decision: Decision) -> Result<Arc<Record>, Error> {
        self.decide(Verb::Approve, decision).await
    }

    /// Rejects the subject: a standing denial.
    ///
    /// # Errors
    /// As [`approve`](Self::approve).
    pub async fn reject(&self, decision: Decision) -> Result<Arc<Record>, Error> {
        self.decide(Verb::Reject, decision).await
    }

    /// Revokes the subject: a standing denial, whatever was decided before.
    ///
    /// # Errors
    /// As [`approve`](Self::approve).
    pub async fn revoke(&self, decision: Decision) -> Result<Arc<Record>, Error> {
        self.decide(Verb::Revoke, decision).await
    }

    /// Takes back the rejection or revocation of the subject; it is not approved by that.
    ///
    /// # Errors
    /// [`Error::NothingToReinstate`]; else as [`approve`](Self::approve).
    pub async fn reinstate(&self, decision: Decision) -> Result<Arc<Record>, Error> {
        self.decide(Verb::Reinstate, decision).await
    }

    /// The latest decisions about `subject`, oldest first, at most 1,000.
    ///
    /// # Errors
    /// When the database fails, or a row is not what was written.
    pub async fn decisions(&self, subject: &Subject) -> Result<Vec<Decided>, Error> {
        let subject = subject.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.body, d.seal FROM decisions d
                 JOIN records r ON r.id = d.record
                 JOIN repositories n ON n.id = r.repository
                 WHERE n.name = ?1 AND r.digest = ?2 ORDER BY d.id DESC LIMIT ?3",
            )?;
            let (name, digest) = (subject.name.to_string(), subject.digest.to_string());
            let rows = statement.query_map(params![name, digest, DECISIONS_PAGE_MAX], |row| {
                Sealed::from_row(row, 0)
            })?;
            let key = subject.to_string();
            let mut decisions = rows
                .map(|row| row?.open(connection.sealer, "decisions", &[&key]))
                .collect::<Result<Vec<Decided>, Error>>()?;
            decisions.reverse();
            Ok(decisions)
        })
        .await
    }
}
