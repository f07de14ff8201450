//! Deciding again, by the logic of a newer program, what an earlier one decided.
//!
//! Until a person confirms, stored verdicts hold as they are; what would change can be looked at
//! first. Both work from stored evidence; the network is asked only on confirming, and only for what
//! the newer logic wants to know beyond it. What cannot be decided anew holds as it is.

use std::sync::Arc;

use tracing::info;

use super::show::{judgement_word, reason_views, verdict_word};
use super::view::{RejudgedView, RejudgementView};
use super::{Desk, Error, PAGE_MAX};
use crate::gate::{Judgement, Logic, Outcome};
use crate::ledger::{AuditEvent, AuditKind, Record};

/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;
/// Rounds of gathering what the gate misses.
const ROUNDS_MAX: usize = 3;

impl Desk {
    /// What deciding again by the logic of this program would change; nothing is changed.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn rejudge_dry(&self) -> Result<RejudgementView, Error> {
        self.rejudge_each(false).await
    }

    /// Has every stored verdict of another logic decided again by that of this program, for `by`.
    /// That `by` confirmed it, and how much it would change, is on record before anything changes.
    ///
    /// # Errors
    /// [`Error::ReasonForm`]; else when the ledger fails, and then what was decided so far is decided.
    pub async fn rejudge(&self, by: &str, reason: &str) -> Result<RejudgementView, Error> {
        super::decide::check_reason(reason)?;
        let _one_at_a_time = self.deciding.lock().await;
        let dry = self.rejudge_each(false).await?;
        let ledger = self.mirror.ledger();
        let mut event = AuditEvent::new(AuditKind::RejudgeConfirmed, by)
            .with("logic", Logic::CURRENT)
            .with("examined", dry.examined)
            .with("would_change", dry.changed);
        event.reason = Some(reason.trim().to_owned());
        ledger.append_audit(event).await?;
        let mut done = self.rejudge_each(true).await?;
        done.confirmed = true;
        if done.left == 0 {
            ledger.confirm_logic(by).await?;
            done.waits = false;
        }
        info!(by, examined = done.examined, changed = done.changed, left = done.left, "rejudged");
        Ok(done)
    }

    async fn rejudge_each(&self, confirmed: bool) -> Result<RejudgementView, Error> {
        let ledger = self.mirror.ledger();
        let mut view = RejudgementView {
            logic: Logic::CURRENT.to_string(),
            logic_confirmed: ledger.confirmed_logic().await?.to_string(),
            waits: ledger.confirmed_logic().await? != Logic::CURRENT,
            confirmed: false,
            examined: 0,
            changed: 0,
            left: 0,
            changes: Vec::new(),
        };
        let most = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        let mut after = None;
        loop {
            let records = ledger.subjects(after.as_ref(), RECORDS_PAGE).await?;
            let Some(last) = records.last() else { return Ok(view) };
            after = Some(last.subject.clone());
            for record in &records {
                let Some(before) = self.decided_by_other_logic(record) else { continue };
                view.examined += 1;
                let outcome = if confirmed {
                    self.decide_anew(record).await?
                } else {
                    self.mirror.ask_gate(record).await.map_err(|error| of(record, error))?
                };
                if !matches!(outcome, Outcome::Decided(_)) {
                    view.left += 1;
                }
                if is_same(before, &outcome) {
                    continue;
                }
                view.changed += 1;
                if view.changes.len() < most {
                    view.changes.push(change(record, before, &outcome));
                }
            }
        }
    }

    /// The verdict in force on `record`, if it was reached by another logic than this program's.
    /// One that is not in force is decided again anyway, when it is asked for.
    fn decided_by_other_logic<'a>(&self, record: &'a Record) -> Option<&'a Judgement> {
        let (policy, now) = (self.mirror.policy(), self.mirror.now());
        self.mirror.in_force(record, policy.id(), now).filter(|_| record.logic != Logic::CURRENT)
    }

    /// Decides about `record` again and writes that down, gathering what is missing. What cannot be
    /// decided now is left as it is.
    async fn decide_anew(&self, record: &Arc<Record>) -> Result<Outcome, Error> {
        let subject = &record.subject;
        for _ in 0..ROUNDS_MAX {
            let outcome = self.mirror.ask_gate(record).await.map_err(|error| of(record, error))?;
            let kinds = match outcome {
                Outcome::Decided(_) => {
                    let kept = self.mirror.decide_again(record, &self.mirror.policy()).await;
                    let kept = kept.map_err(|error| of(record, error))?;
                    return Ok(kept.map_or(Outcome::Missing(Vec::new()), |kept| kept.outcome));
                }
                Outcome::Missing(kinds) => kinds,
                Outcome::Undecided(_) => return Ok(outcome),
            };
            let gathered = Box::pin(self.mirror.gather_more(record, &kinds)).await;
            gathered.map_err(|error| of(record, error))?;
            let Some(now) = self.mirror.ledger().record(subject).await? else { break };
            if let Some(judgement) = now.judgement.as_ref().filter(|_| now.logic == Logic::CURRENT)
            {
                return Ok(Outcome::Decided(judgement.clone()));
            }
        }
        Ok(Outcome::Missing(Vec::new()))
    }
}

fn of(record: &Record, error: crate::mirror::Error) -> Error {
    super::target::mirror_error(record.subject.to_string(), error)
}

/// Whether the two say the same to nodes and people: the same verdict for the same reasons by the
/// same rule.
fn is_same(before: &Judgement, after: &Outcome) -> bool {
    match after {
        Outcome::Decided(after) => {
            let codes = |judgement: &Judgement| -> Vec<_> {
                judgement.reasons().iter().map(|reason| reason.code).collect()
            };
            judgement_word(before) == judgement_word(after)
                && before.enforced == after.enforced
                && before.warns == after.warns
                && before.rule == after.rule
                && codes(before) == codes(after)
        }
        Outcome::Missing(_) | Outcome::Undecided(_) => false,
    }
}

fn change(record: &Record, before: &Judgement, after: &Outcome) -> RejudgedView {
    let reasons = match after {
        Outcome::Decided(judgement) => reason_views(judgement.reasons()),
        Outcome::Undecided(reasons) => reason_views(reasons),
        Outcome::Missing(_) => Vec::new(),
    };
    RejudgedView {
        image: record.subject.to_string(),
        logic: record.logic.to_string(),
        before: judgement_word(before).to_owned(),
        after: verdict_word(after).to_owned(),
        reasons,
    }
}
