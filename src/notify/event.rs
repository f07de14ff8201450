//! Events: what of the audit chain is told, under which name, and with which facts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::gate::Subject;
use crate::ledger::{AuditKind, AuditRow, RequestId};
use crate::oci::Digest;
use crate::time::Timestamp;
use crate::transparency::Checkpoint;

/// What the audit says and what that is called here. Of other records nobody is told.
const TYPES: &[(AuditKind, &str)] = &[
    (AuditKind::ApprovalExpiring, "approval.expiring"),
    (AuditKind::ApprovalWithdrawn, "approval.withdrawn"),
    (AuditKind::AuditArchived, "audit.archived"),
    (AuditKind::AuditKeyReplaced, "audit.key-replaced"),
    (AuditKind::ChainCut, "audit.cut"),
    (AuditKind::BreakGlassEnded, "breakglass.ended"),
    (AuditKind::BreakGlassReviewed, "breakglass.reviewed"),
    (AuditKind::BreakGlassUnreviewed, "breakglass.unreviewed"),
    (AuditKind::BreakGlassUsed, "breakglass.used"),
    (AuditKind::BreakGlassVoted, "breakglass.vote"),
    (AuditKind::ExceptionAsked, "exception.asked"),
    (AuditKind::ExceptionEnded, "exception.ended"),
    (AuditKind::ExceptionExpiring, "exception.expiring"),
    (AuditKind::ExceptionGranted, "exception.granted"),
    (AuditKind::ExceptionRefused, "exception.refused"),
    (AuditKind::ExceptionVoted, "exception.vote"),
    (AuditKind::Judged, "image.blocked"),
    (AuditKind::FoundSinceApproval, "image.finding"),
    (AuditKind::VerdictStale, "image.stale"),
    (AuditKind::Reinstated, "image.reinstated"),
    (AuditKind::Revoked, "image.revoked"),
    (AuditKind::Restored, "ledger.restored"),
    (AuditKind::PersonChanged, "person.changed"),
    (AuditKind::PersonCreated, "person.created"),
    (AuditKind::PersonDisabled, "person.disabled"),
    (AuditKind::NodeClosed, "node.closed"),
    (AuditKind::NodeOpened, "node.opened"),
    (AuditKind::PersonEnabled, "person.enabled"),
    (AuditKind::PasswordChanged, "person.password-changed"),
    (AuditKind::PersonRemoved, "person.removed"),
    (AuditKind::PersonReset, "person.reset"),
    (AuditKind::PolicyLoaded, "policy.changed"),
    (AuditKind::PolicyRolledBack, "policy.changed"),
    (AuditKind::PolicyRollbackAllowed, "policy.rollback-allowed"),
    (AuditKind::QuestionAnswered, "request.answer"),
    (AuditKind::Approved, "request.approved"),
    (AuditKind::ReevaluationHeld, "reevaluation.held"),
    (AuditKind::RequestFiled, "request.created"),
    (AuditKind::QuestionAsked, "request.question"),
    (AuditKind::Rejected, "request.rejected"),
    (AuditKind::Voted, "request.vote"),
    (AuditKind::VoteWithdrawn, "request.vote-withdrawn"),
    (AuditKind::SignInFailed, "sign-in.failed"),
    (AuditKind::SigningKeyRotated, "signing-key.rotated"),
    (AuditKind::TokenCreated, "token.created"),
    (AuditKind::TokenRevoked, "token.revoked"),
    (AuditKind::TagMoved, "upstream.tag-moved"),
];
/// A checkpoint of the audit was signed. It is no record, and only its own name asks for it.
pub(super) const CHECKPOINT: &str = "audit.checkpoint";
/// The event of a test, which no pattern asks for.
pub(super) const TEST: &str = "webhook.test";
/// The details of records that are facts for others; what is not listed stays here.
const DETAILS: &[&str] = &[
    "approval",
    "approved_by",
    "before",
    "break_glass",
    "days",
    "done_at",
    "done_by",
    "ending",
    "enforced",
    "exception",
    "expires",
    "findings",
    "group",
    "groups",
    "how",
    "held",
    "image",
    "images",
    "justification",
    "name",
    "node",
    "package",
    "permit",
    "person",
    "quorum",
    "reasons",
    "repository",
    "review",
    "revision",
    "revision_before",
    "role",
    "role_before",
    "rule",
    "since",
    "stands_for",
    "state",
    "tag",
    "ticket",
    "times",
    "token",
    "until",
    "used_by",
    "verdict",
    "vote_on",
    "voter",
    "voters",
    "vulnerability",
];
/// Longest text of a fact, in characters: a body stays small whatever people wrote.
const TEXT_LENGTH_MAX: usize = 1_000;

/// Something that happened and that others are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The same for the same record, however often it is sent: its number and the beginning of its hash.
    pub(super) id: String,
    /// What happened, such as `request.created`.
    pub(super) kind: &'static str,
    /// When.
    pub(super) at: Timestamp,
    /// The number of the record; 0 of a test.
    pub(super) sequence: u64,
    /// Who did it.
    pub(super) by: String,
    /// What it is about.
    pub(super) subject: Option<Subject>,
    pub(super) request: Option<RequestId>,
    /// Why, in the words of who did it.
    pub(super) reason: Option<String>,
    /// What else there is to say.
    pub(super) details: BTreeMap<String, String>,
}

impl Event {
    /// The event that `row` is; `None` when nobody is told of such.
    pub(super) fn of(row: &AuditRow) -> Option<Self> {
        let kind = kind_of(row)?;
        let told = row.event.details.iter().filter(|(key, _)| DETAILS.contains(&key.as_str()));
        let id = format!("{}-{}", row.sequence, row.hash.short());
        Some(Self {
            id,
            kind,
            at: row.at,
            sequence: row.sequence,
            by: bounded(&row.event.by),
            subject: row.event.subject.clone(),
            request: row.event.request,
            reason: row.event.reason.as_deref().map(bounded),
            details: told.map(|(key, value)| (key.clone(), bounded(value))).collect(),
        })
    }

    /// What is sent to see whether it arrives.
    pub(super) fn test(now: Timestamp, by: &str) -> Self {
        Self {
            id: format!("test-{}", now.milliseconds()),
            kind: TEST,
            at: now,
            sequence: 0,
            by: bounded(by),
            subject: None,
            request: None,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    /// That `checkpoint` was signed, as it was found at `now`: it is told as it is, to be kept by others.
    pub(super) fn checkpoint(checkpoint: &Checkpoint, now: Timestamp) -> Self {
        let details = [
            ("checkpoint", checkpoint.as_str().to_owned()),
            ("records", checkpoint.size().to_string()),
            ("root", checkpoint.root().to_string()),
        ];
        Self {
            id: checkpoint_id(checkpoint),
            kind: CHECKPOINT,
            at: now,
            sequence: checkpoint.size(),
            by: "server".to_owned(),
            subject: None,
            request: None,
            reason: None,
            details: details.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    }

    /// A detail by its name.
    pub(super) fn detail(&self, key: &str) -> Option<&str> {
        self.details.get(key).map(String::as_str)
    }

    /// The exception that it is about, by its number.
    pub(super) fn exception(&self) -> Option<&str> {
        let keys = ["exception", "ending", "vote_on"];
        keys.into_iter().find_map(|key| self.detail(key))
    }

    /// The image as people write it, with a tag where one is known; without a digest otherwise.
    pub(super) fn image(&self) -> Option<String> {
        let tagged = self.detail("image").and_then(|image| {
            let (name, reference) = image.split_once(' ')?;
            (!reference.contains(':')).then(|| format!("{name}:{reference}"))
        });
        let repository = || self.detail("repository").map(str::to_owned);
        tagged.or_else(repository).or_else(|| {
            let name = &self.subject.as_ref()?.name;
            Some(self.detail("tag").map_or_else(|| name.to_string(), |tag| format!("{name}:{tag}")))
        })
    }
}

fn kind_of(row: &AuditRow) -> Option<&'static str> {
    if row.event.kind == AuditKind::Judged {
        let says =
            |key: &str, value: &str| row.event.details.get(key).is_some_and(|it| it == value);
        if !says("verdict", "deny") || !says("enforced", "true") {
            return None;
        }
    }
    TYPES.iter().find(|(kind, _)| *kind == row.event.kind).map(|(_, name)| *name)
}

/// The identity of the event that `checkpoint` is.
pub(super) fn checkpoint_id(checkpoint: &Checkpoint) -> String {
    let digest = Digest::sha256(checkpoint.as_str().as_bytes());
    format!("checkpoint-{}-{}", checkpoint.size(), digest.short())
}

fn bounded(text: &str) -> String {
    let mut bounded: String = text.chars().take(TEXT_LENGTH_MAX).collect();
    if bounded.len() < text.len() {
        bounded.push('…');
    }
    bounded
}

/// Which events: `*`, `request.*`, or one by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

impl EventPattern {
    /// Every event.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// Whether it asks for signed checkpoints: only by their own name, because there may be one a minute.
    pub(super) fn asks_for_checkpoints(&self) -> bool {
        self.0 == CHECKPOINT
    }

    /// Whether it asks for events called `kind`.
    pub(super) fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => kind == self.0,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text asks for no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no event; write one of {known}, all of a kind such as \"request.*\", or \"*\""
)]
pub struct NoEvent {
    text: String,
    known: String,
}

impl FromStr for EventPattern {
    type Err = NoEvent;

    fn from_str(text: &str) -> Result<Self, NoEvent> {
        let pattern = Self(text.to_owned());
        let is_whole = text == "*" || text.ends_with(".*") || !text.contains('*');
        let is_known = TYPES.iter().any(|(_, kind)| pattern.matches(kind));
        if is_whole && (is_known || pattern.asks_for_checkpoints()) {
            return Ok(pattern);
        }
        let mut known: Vec<&str> = TYPES.iter().map(|(_, kind)| *kind).collect();
        known.push(CHECKPOINT);
        known.sort_unstable();
        known.dedup();
        Err(NoEvent { text: text.to_owned(), known: known.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AuditEvent;

    fn row(event: AuditEvent) -> AuditRow {
        let at = Timestamp::from_milliseconds(1_000);
        let (previous, hash) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        AuditRow { sequence: 7, at, event, previous, hash }
    }

    #[test]
    fn a_pattern_is_one_event_all_of_a_kind_or_all() {
        let matches =
            |pattern: &str, kind: &str| pattern.parse::<EventPattern>().unwrap().matches(kind);
        assert!(matches("*", "request.created") && matches("request.*", "request.vote"));
        assert!(matches("request.vote", "request.vote"));
        assert!(!matches("request.*", "image.blocked"));
        let asks = |it: &str| it.parse::<EventPattern>().unwrap().asks_for_checkpoints();
        assert!(asks(CHECKPOINT) && !asks("*") && !asks("audit.*") && !asks("audit.cut"));
        for bad in ["", "request", "requests.*", "request*", "*.created", "request.creatd", "**"] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_an_enforced_denial_is_a_blocked_image() {
        let judged = |verdict: &str, enforced: bool| {
            let event = AuditEvent::new(AuditKind::Judged, "gate").with("verdict", verdict);
            Event::of(&row(event.with("enforced", enforced))).map(|event| event.kind)
        };
        assert_eq!(judged("deny", true), Some("image.blocked"));
        assert_eq!(judged("deny", false), None);
        assert_eq!(judged("admit", true), None);
        assert_eq!(judged("pending", true), None);
    }

    #[test]
    fn only_facts_that_are_listed_are_told_and_none_at_any_length() {
        let event = AuditEvent::new(AuditKind::Voted, "alice")
            .with("rule", "r".repeat(2 * TEXT_LENGTH_MAX))
            .with("signed", "{}")
            .with("signature", "s3cr3t");
        let event = Event::of(&row(event)).unwrap();
        assert_eq!(event.details.keys().collect::<Vec<_>>(), ["rule"]);
        assert_eq!(event.details["rule"].chars().count(), TEXT_LENGTH_MAX + 1);
        assert!(event.id.starts_with("7-") && !event.id.contains('.'), "{}", event.id);
        assert_eq!(Event::of(&row(AuditEvent::new(AuditKind::Started, "server"))), None);
    }
}
