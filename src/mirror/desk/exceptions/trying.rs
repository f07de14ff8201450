//! What an exception would take out if it were granted: the gate is asked, and nothing is kept.

use std::collections::BTreeSet;

use super::super::target::mirror_error;
use super::super::{Desk, Error};
use crate::gate::{CheckState, DeskException, Excepted, Judgement, Outcome, Subject};
use crate::ledger::{ExceptionScope, Record};
use crate::policy::{ExceptionApproval, Rule};
use crate::time::Timestamp;

/// Images of a repository, the last that were heard of, on which an exception for all of them is tried.
const TRIED_MAX: u32 = 32;
/// What the exception is called while it is tried: no exception has this number.
const TRIED: &str = "X-0";
/// Reasons that are told of what still refuses an image.
const REASONS_TOLD_MAX: usize = 5;

/// What came of trying an exception.
#[derive(Debug)]
pub(super) struct Tried {
    /// The rule that decides.
    pub(super) rule: String,
    /// Who grants exceptions from it.
    pub(super) granting: ExceptionApproval,
    /// What it takes out: findings in words, without the version of the package.
    pub(super) finding: Vec<String>,
    /// What refuses images that have the finding all the same.
    pub(super) still_refused: Vec<String>,
}

impl Desk {
    /// What an exception from `scope` until `expires` would take out now.
    ///
    /// # Errors
    /// [`Error::NothingToExcept`], [`Error::NoExceptions`], [`Error::Undecided`]; else when the ledger fails.
    pub(super) async fn try_exception(
        &self,
        scope: &ExceptionScope,
        expires: Timestamp,
    ) -> Result<Tried, Error> {
        let mut nothing: Option<Error> = None;
        let mut tried: Option<Tried> = None;
        let (mut finding, mut still) = (BTreeSet::new(), BTreeSet::new());
        for subject in self.examples_of(scope).await? {
            match Box::pin(self.try_on(scope, expires, &subject)).await {
                Ok((one, took)) => {
                    finding.extend(took);
                    still.extend(one.still_refused.iter().cloned());
                    tried.get_or_insert(one);
                }
                Err(error @ Error::Ledger(_)) => return Err(error),
                Err(error) => nothing = nothing.or(Some(error)),
            }
        }
        let Some(tried) = tried else {
            return Err(nothing.unwrap_or_else(|| Error::NothingToExcept {
                vulnerability: scope.vulnerability.clone(),
                image: scope.image(),
                why: "nobody has asked for an image of it here yet".to_owned(),
            }));
        };
        let still = still.into_iter().take(REASONS_TOLD_MAX).collect();
        Ok(Tried { finding: finding.into_iter().collect(), still_refused: still, ..tried })
    }

    /// The images on which it is tried.
    async fn examples_of(&self, scope: &ExceptionScope) -> Result<Vec<Subject>, Error> {
        if let Some(subject) = scope.subject() {
            return Ok(vec![subject]);
        }
        let records = self.mirror.ledger().subjects_of(&scope.name, None, TRIED_MAX);
        Ok(records.await?.iter().map(|record| record.subject.clone()).collect())
    }

    async fn try_on(
        &self,
        scope: &ExceptionScope,
        expires: Timestamp,
        subject: &Subject,
    ) -> Result<(Tried, BTreeSet<String>), Error> {
        let judged = Box::pin(self.judge(subject)).await?;
        let (Outcome::Decided(before), Some(record)) = (&judged.outcome, &judged.record) else {
            return Err(undecided(subject, &judged.outcome));
        };
        let policy = self.mirror.policy();
        let rule = before.rule.as_ref().map(ToString::to_string).unwrap_or_default();
        let of_rule = policy.rules().iter().find(|it| it.id().as_str() == rule);
        let granting = of_rule.and_then(Rule::exception_approval).cloned();
        let Some(granting) = granting else { return Err(Error::NoExceptions { rule }) };
        let now = record.time_to_decide_by(self.mirror.now());
        let longest = granting.longest(policy.exception_time_max());
        let one = DeskException {
            id: TRIED.to_owned(),
            digest: scope.digest,
            vulnerability: scope.vulnerability.clone(),
            package: scope.package.clone(),
            // A date too far away is told as what it is, and not as an exception that takes nothing out.
            expires: expires.min(now.after(longest)),
            approval: granting.approval().name().to_owned(),
            by: Vec::new(),
            counted: usize::MAX,
        };
        let judgement = self.decide_with(record, one).await?;
        let took = judgement.excepted.iter().filter(|it| it.exception == TRIED);
        let took: BTreeSet<String> = took.map(Excepted::described).collect();
        if took.is_empty() {
            return Err(Error::NothingToExcept {
                vulnerability: scope.vulnerability.clone(),
                image: scope.image(),
                why: why_nothing(&judgement, scope),
            });
        }
        let still_refused = judgement.reasons().iter().map(|reason| reason.text.clone()).collect();
        Ok((Tried { rule, granting, finding: Vec::new(), still_refused }, took))
    }

    async fn decide_with(&self, record: &Record, one: DeskException) -> Result<Judgement, Error> {
        let (policy, subject) = (self.mirror.policy(), &record.subject);
        let (asked, by) = ((subject, &record.evidence), (Some(record), &policy));
        let said = self.mirror.decide_with(asked, by, one);
        let said = said.await.map_err(|error| mirror_error(subject.to_string(), error))?;
        match said.outcome {
            Outcome::Decided(judgement) => Ok(judgement),
            open @ (Outcome::Missing(_) | Outcome::Undecided(_)) => Err(undecided(subject, &open)),
        }
    }
}

/// Why nothing is taken out of what `judgement` says.
fn why_nothing(judgement: &Judgement, scope: &ExceptionScope) -> String {
    let is_it = |name: &str| name == scope.vulnerability;
    if let Some(by) = judgement.excepted.iter().find(|it| is_it(&it.vulnerability)) {
        return format!("{} takes it out until {}", by.exception, by.until);
    }
    let scan = judgement.checks.iter().find(|check| check.name == "scan");
    let first = judgement.reasons().first().map_or("", |reason| reason.text.as_str());
    match scan.map(|check| check.state) {
        Some(CheckState::NotLooked) => {
            format!("the image is refused before anybody looks at findings: {first}")
        }
        None if !first.is_empty() => {
            format!("no scan was asked for; the image is refused: {first}")
        }
        None => "its rule asks for no scan".to_owned(),
        Some(_) => {
            "no gate that lets itself be excepted refuses it there; nothing is excepted from the \
                    floor, and malware only in the policy"
                .to_owned()
        }
    }
}

fn undecided(subject: &Subject, outcome: &Outcome) -> Error {
    let reasons = match outcome {
        Outcome::Undecided(reasons) => reasons.clone(),
        Outcome::Decided(_) | Outcome::Missing(_) => Vec::new(),
    };
    Error::Undecided { subject: Box::new(subject.clone()), reasons }
}
