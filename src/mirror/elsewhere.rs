//! Approvals that were given elsewhere and may count here: found when something is decided, and asked about
//! again whenever a verdict that rests on one is used, so that it ends with it.

use std::sync::Arc;

use tracing::warn;

use super::{Error, Mirror};
use crate::gate::{
    Carried, Elsewhere, Judgement, ReadyPolicy, Standing, Subject, Verdict, counting,
};
use crate::ledger::Record;
use crate::policy::{Demands, Rule};
use crate::time::Timestamp;

impl Mirror {
    /// The approvals that may count for `subject`, where a rule hears such.
    pub(super) async fn elsewhere(
        &self,
        subject: &Subject,
        policy: &ReadyPolicy,
    ) -> Result<Vec<Elsewhere>, Error> {
        let possible = policy.possible_demands(&subject.name);
        let rules: Vec<&Rule> = possible.iter().filter_map(Demands::rule).collect();
        if !rules.iter().any(|rule| rule.hears_elsewhere()) {
            return Ok(Vec::new());
        }
        let ledger = self.ledger();
        let mut approved = Vec::new();
        if rules.iter().any(|rule| rule.carries().is_some()) {
            let covers = |record: &Arc<Record>| {
                let name = &record.subject.name;
                rules.iter().any(|rule| rule.carries().is_some_and(|it| it.covers(name)))
            };
            let named = ledger.approved_elsewhere(&subject.name, &subject.digest).await?;
            approved.extend(named.into_iter().filter(covers));
        }
        if rules.iter().any(|rule| rule.approval().is_some_and(|it| it.covers_children())) {
            for index in ledger.listing(&subject.name, &subject.digest).await? {
                approved.extend(ledger.record(&Self::subject(&subject.name, &index)).await?);
            }
        }
        let mut elsewhere = Vec::new();
        for record in approved {
            elsewhere.extend(self.approval_of(&record).await?);
        }
        Ok(elsewhere)
    }

    /// The approval that stands in `record`, if it has not run out; that it has is noted.
    async fn approval_of(&self, record: &Record) -> Result<Option<Elsewhere>, Error> {
        let Some(standing @ Standing::Approved { expires, .. }) = &record.standing else {
            return Ok(None);
        };
        let (subject, now) = (&record.subject, self.now());
        if record.has_run_out() {
            return Ok(None);
        }
        if expires.is_some_and(|expires| expires <= now) {
            if let Err(error) = self.ledger().note_run_out(subject, now).await {
                warn!(%subject, %error, "that an approval has run out is not written");
            }
            return Ok(None);
        }
        // What is not known to be an image or something else falls under no rule.
        let Some(facts) = record.evidence.manifest.found() else { return Ok(None) };
        Ok(Some(Elsewhere {
            subject: subject.clone(),
            standing: standing.clone(),
            tags: self.ledger().tags_of(&subject.name, &subject.digest).await?,
            artifact_type: facts.artifact_type.clone(),
            children: facts.children.clone(),
        }))
    }

    /// Whether `judgement` about `subject` is as it was, as far as it hangs on people who decided about
    /// something else: what it rests on still stands, and where it waits for people, nobody said yes there.
    pub(super) async fn stands_elsewhere(
        &self,
        subject: &Subject,
        judgement: &Judgement,
        policy: &ReadyPolicy,
    ) -> Result<bool, Error> {
        if let Some(carried) = &judgement.carried {
            return self.still_approved(carried).await;
        }
        if !matches!(judgement.verdict, Verdict::Pending(_)) {
            return Ok(true);
        }
        let id = judgement.rule.as_ref();
        let rule = id.and_then(|id| policy.rules().iter().find(|rule| rule.id() == id));
        let Some(rule) = rule.filter(|rule| rule.hears_elsewhere()) else { return Ok(true) };
        let elsewhere = self.elsewhere(subject, policy).await?;
        Ok(counting(subject, rule, policy, &elsewhere, self.now()).is_none())
    }

    async fn still_approved(&self, carried: &Carried) -> Result<bool, Error> {
        let Some(record) = self.ledger().record(&carried.from).await? else { return Ok(false) };
        Ok(stands(&record, carried, self.now()))
    }

    /// Whether the approval that `carried` names stands, as far as memory knows.
    pub(super) fn is_known_to_stand(&self, carried: &Carried, now: Timestamp) -> bool {
        let record = self.ledger().record_in_memory(&carried.from);
        record.is_some_and(|record| stands(&record, carried, now))
    }
}

/// Whether the approval that `carried` names is the one in `record`, and has not run out.
fn stands(record: &Record, carried: &Carried, now: Timestamp) -> bool {
    let is_that = |at: &Timestamp, expires: &Option<Timestamp>| {
        *at == carried.at && expires.is_none_or(|expires| expires > now)
    };
    let standing = record.standing.as_ref().filter(|_| !record.has_run_out());
    matches!(standing, Some(Standing::Approved { at, expires, .. }) if is_that(at, expires))
}
