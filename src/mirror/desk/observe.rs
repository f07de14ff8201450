//! Looking: what audit mode would have refused, the policy, how everything is.

use std::fs::File;
use std::path::Path;

use super::show::{judgement_word, policy_name, reason_views};
use super::view::{
    ObservedPage, ObservedView, PolicyView, RuleView, StatusView, StoreView, UpstreamView,
};
use super::{Desk, Error, PAGE_MAX};
use crate::gate::{Judgement, Logic};
use crate::ledger::{
    AuditEvent, AuditKind, EmergencyRow, EmergencyState, Record, RequestFilter, RequestState,
};
use crate::policy::{Policy, Rule, Trust};
use crate::upstream::{Breaker, UpstreamStatus};

/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;
/// Approvals that end soon and are told with how everything is.
const STATUS_ENDINGS: u32 = 20;
/// Name of a backup while it is sent.
const BACKUP_FILE: &str = "backup.partial";

impl Desk {
    /// What would have been refused if every rule were enforced, at most `limit` entries.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn observed(&self, limit: Option<u32>) -> Result<ObservedPage, Error> {
        let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut page = ObservedPage { examined: 0, refused: Vec::new(), truncated: false };
        let mut after = None;
        loop {
            let records = self.mirror.ledger().subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = records.last() else { return Ok(page) };
            after = Some(last.subject.clone());
            for record in &records {
                page.examined += 1;
                let Some(judgement) = would_refuse(record) else { continue };
                if page.refused.len() == limit {
                    page.truncated = true;
                    return Ok(page);
                }
                let subject = &record.subject;
                let tags = self.mirror.ledger().tags_of(&subject.name, &subject.digest).await?;
                page.refused.push(observed_view(record, judgement, tags));
            }
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> PolicyView {
        let policy = self.mirror.policy();
        PolicyView {
            policy: policy_name(&policy),
            rules: policy.rules().iter().map(|rule| rule_view(rule, &policy)).collect(),
        }
    }

    /// How everything is.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn status(&self) -> Result<StatusView, Error> {
        let store = self.mirror.store().status().await;
        let pending = RequestFilter {
            sieve: None,
            states: vec![RequestState::Pending],
            name: None,
            limit: PAGE_MAX,
            after: None,
        };
        let ledger = self.mirror.ledger();
        let pending = ledger.requests(pending).await?.len();
        let (exceptions, emergencies) = (ledger.exception_counts(), ledger.emergencies_held());
        let broken = |is_meant: fn(&EmergencyRow) -> bool| {
            let count = emergencies.iter().filter(|row| is_meant(row)).count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            policy: policy_name(&self.mirror.policy()),
            pending_requests: u64::try_from(pending).unwrap_or(u64::MAX),
            asked_exceptions: exceptions.asked,
            granted_exceptions: exceptions.granted,
            waiting_break_glass: broken(|row| row.state == EmergencyState::Waiting),
            open_break_glass: broken(|row| row.state == EmergencyState::Open),
            unreviewed_break_glass: broken(EmergencyRow::is_unreviewed),
            rejudgement_waits: self.mirror.ledger().confirmed_logic().await? != Logic::CURRENT,
            endings: self.endings(STATUS_ENDINGS).await?,
            store: StoreView {
                blobs: store.blobs,
                bytes: store.bytes,
                index_available: store.index_available,
            },
            upstreams: self.mirror.client().status().iter().map(upstream_view).collect(),
        })
    }

    /// A backup of the ledger for `by`, as a file that vanishes when it is closed, and its size
    /// in bytes. One at a time.
    ///
    /// # Errors
    /// When it cannot be written under `data_dir`.
    pub async fn backup(&self, data_dir: &Path, by: &str) -> Result<(File, u64), Error> {
        let _one_at_a_time = self.backing_up.lock().await;
        let path = data_dir.join(BACKUP_FILE);
        let failed = |source| Error::Backup { path: path.clone(), source };
        remove_if_there(&path).map_err(failed)?;
        self.mirror.ledger().backup_to(&path).await?;
        let file = File::open(&path).map_err(failed)?;
        remove_if_there(&path).map_err(failed)?;
        self.mirror.ledger().append_audit(AuditEvent::new(AuditKind::BackupMade, by)).await?;
        let size = file.metadata().map_err(failed)?.len();
        Ok((file, size))
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn would_refuse(record: &Record) -> Option<&Judgement> {
    let judgement = record.judgement.as_ref()?;
    let refuses = !judgement.admits() && !judgement.enforced;
    (refuses || !judgement.watched.is_empty()).then_some(judgement)
}

fn observed_view(
    record: &Record,
    judgement: &Judgement,
    tags: Vec<crate::oci::Tag>,
) -> ObservedView {
    ObservedView {
        name: record.subject.name.clone(),
        digest: record.subject.digest,
        tags,
        verdict: judgement_word(judgement).to_owned(),
        rule: judgement.rule.as_ref().map(ToString::to_string),
        reasons: reason_views(judgement.would_refuse_for()),
        first_seen: record.first_seen,
    }
}

fn rule_view(rule: &Rule, policy: &Policy) -> RuleView {
    let trust = match rule.trust() {
        Trust::Allow => "allow",
        Trust::Approve => "approve",
        Trust::Deny => "deny",
    };
    RuleView {
        id: rule.id().to_string(),
        patterns: rule.patterns().map(ToString::to_string).collect(),
        trust: trust.to_owned(),
        file: policy.told_file(rule.file()).map(|file| file.path().to_owned()),
        owner: policy.owner_of(rule).map(ToString::to_string),
    }
}

fn upstream_view(status: &UpstreamStatus) -> UpstreamView {
    UpstreamView {
        registry: status.registry.to_string(),
        state: match (status.breaker, status.last_success, status.last_failure) {
            (Breaker::Open, _, _) => "resting".to_owned(),
            (Breaker::Closed, None, None) => "unused".to_owned(),
            (Breaker::Closed, _, _) => "ok".to_owned(),
        },
        rate_remaining: status.rate_limit.map(|limit| limit.remaining),
        rate_limit: status.rate_limit.map(|limit| limit.limit),
        rate_window_seconds: status
            .rate_limit
            .and_then(|limit| limit.window)
            .map(|window| window.as_secs()),
        rate_exhausted_at: status.rate_exhausted_at,
        credentials_refused: u64::try_from(status.credentials_refused).unwrap_or(u64::MAX),
        last_success: status.last_success,
        last_failure: status.last_failure,
    }
}
