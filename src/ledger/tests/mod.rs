//! What the ledger promises, tried.

mod archiving;
mod archiving_ended;
mod auditing;
mod breaking;
mod checkpointing;
mod crashing;
mod deciding;
mod excepting;
mod failing;
mod keeping;
mod measuring;
mod recording;
mod remembering;
mod requesting;
mod restoring;
mod sealing;
mod tampering;
mod telling;
mod upgrading;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Decision, Filing, Ledger, New, NewGrants, RequestState, Settings};
use crate::gate::{
    Evidence, EvidenceKind, Gathered, Grant, GrantKind, Judgement, ManifestFacts, Reason,
    ReasonCode, RuleId, Standing, Subject, Verdict,
};
use crate::metrics::Metrics;
use crate::oci::{Digest, MediaType, Name, Reference, Tag};
use crate::policy::PolicyId;
use crate::tasks::Tasks;
use crate::time::{ManualClock, Timestamp};

/// A ledger in a directory of its own, with a clock that stands still.
struct Bench {
    dir: TempDir,
    clock: ManualClock,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    ledger: Ledger,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-20T10:00:00Z".parse().unwrap());
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
        let ledger = open(dir.path(), settings, &clock, &tasks, &metrics).await.unwrap();
        Self { dir, clock, tasks, metrics, ledger }
    }

    /// Closes the ledger and opens it again, as after a restart. A process that another test starts
    /// holds the lock for a moment longer.
    async fn reopen(&mut self) {
        self.ledger.close().await;
        for _ in 0..100 {
            match self.open().await {
                Err(super::Error::AlreadyOpen { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => {
                    self.ledger = opened.unwrap();
                    return;
                }
            }
        }
        panic!("the lock was never given up");
    }

    async fn open(&self) -> Result<Ledger, super::Error> {
        open(self.dir.path(), Settings::default(), &self.clock, &self.tasks, &self.metrics).await
    }

    /// Closes the ledger, has `sql` done to its database behind its back, and opens it again.
    async fn tamper(&mut self, sql: &str) {
        self.ledger.close().await;
        self.sql(sql);
        self.ledger = self.open().await.unwrap();
    }

    fn sql(&self, sql: &str) {
        Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }

    fn database(&self) -> std::path::PathBuf {
        super::open::database_path(self.dir.path())
    }

    fn audit_file(&self) -> std::path::PathBuf {
        super::head::path(self.dir.path())
    }
}

async fn open(
    dir: &Path,
    settings: Settings,
    clock: &ManualClock,
    tasks: &Tasks,
    metrics: &Arc<Metrics>,
) -> Result<Ledger, super::Error> {
    let (clock, metrics) = (Arc::new(clock.clone()), Arc::clone(metrics));
    Ledger::open_with(dir, settings, clock, tasks.clone(), metrics).await
}

fn name() -> Name {
    "up.test/lib/alpine".parse().unwrap()
}

fn digest(number: u64) -> Digest {
    Digest::sha256(&number.to_be_bytes())
}

fn subject(number: u64) -> Subject {
    Subject { name: name(), digest: digest(number) }
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn policy() -> PolicyId {
    Digest::sha256(b"policy").to_string().parse().unwrap()
}

fn rule() -> RuleId {
    serde_json::from_str("\"signed\"").unwrap()
}

fn reason(code: ReasonCode) -> Reason {
    Reason { code, text: format!("{code:?}"), remedy: "ask".to_owned() }
}

fn layer(number: u64) -> Grant {
    Grant {
        digest: digest(number),
        size: 7,
        media_type: MediaType::new("application/vnd.oci.image.layer.v1.tar"),
        kind: GrantKind::Layer,
        platform: Some("linux/amd64".parse().unwrap()),
    }
}

/// All that a manifest was found to list.
fn granting(given: Vec<Grant>) -> NewGrants {
    NewGrants { given, gathered: vec![EvidenceKind::Manifest] }
}

fn new(number: u64, verdict: Verdict) -> New {
    let facts = ManifestFacts {
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
        size: 500,
        artifact_type: None,
        is_index: false,
        platforms: Vec::new(),
        children: Vec::new(),
        images: None,
        layers: 1,
        image_bytes: 7,
        foreign_layer: None,
        malformed: None,
    };
    New {
        subject: subject(number),
        evidence: Evidence { manifest: Gathered::Found(facts), ..Evidence::default() },
        judgement: Judgement {
            verdict,
            rule: Some(rule()),
            owner: None,
            enforced: true,
            warns: false,
            watched: Vec::new(),
            checks: Vec::new(),
            good_until: None,
            rests_until: None,
            carried: None,
            passed: None,
            database: None,
            silenced: Vec::new(),
            excepted: Vec::new(),
            unseen: std::collections::BTreeMap::new(),
            awaits_vex: false,
            awaits_signature: std::collections::BTreeSet::new(),
            by_emergency: None,
        },
        policy: policy(),
        standing: None,
        tags: 0,
        exceptions: 0,
        now: at("2026-11-20T10:00:00Z"),
        grants: granting(vec![layer(1000 + number)]),
    }
}

fn pending() -> Verdict {
    Verdict::Pending(vec![reason(ReasonCode::ApprovalNeeded)])
}

fn denied() -> Verdict {
    Verdict::Deny(vec![reason(ReasonCode::Unsigned)])
}

fn decision(number: u64, by: &str) -> Decision {
    Decision {
        seen: None,
        subject: subject(number),
        by: by.to_owned(),
        reason: format!("because {by} says so"),
        expires: None,
        request: None,
        policy: policy(),
        voters: Vec::new(),
    }
}

fn filing(number: u64, client: &str) -> Filing {
    Filing {
        name: name(),
        reference: Reference::Digest(digest(number)),
        digest: Some(digest(number)),
        tag: None,
        state: RequestState::Pending,
        rule: Some("asked".to_owned()),
        reasons: vec![reason(ReasonCode::ApprovalNeeded)],
        client: client.to_owned(),
        note: None,
        requester: None,
        group: None,
        ticket: None,
    }
}

fn approved_by(standing: Option<&Standing>) -> Option<&str> {
    match standing {
        Some(Standing::Approved { by, .. }) => Some(by),
        _ => None,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const MINUTE: Duration = Duration::from_mins(1);
