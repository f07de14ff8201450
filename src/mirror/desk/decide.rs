//! Deciding: approve, reject, revoke, reinstate.

use tracing::{info, warn};

use super::show::{standing_view, verdict_word};
use super::target::{Target, image, mirror_error, request_id};
use super::view::DecidedView;
use super::voting::{Beside, Poll};
use super::{Desk, Error, REASON_LENGTH_MAX, Shown};
use crate::gate::{self, Outcome, Reason, Standing, Subject, Verdict};
use crate::ledger::{Caller, Decision, Record, RequestRow};
use crate::mirror::{Freshness, Judged};
use crate::time::Timestamp;

/// Rounds of gathering what the gate misses: one per kind of evidence, and one to spare.
const ROUNDS_MAX: usize = 3;

/// What a person wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Say yes where the rule asks for it.
    Approve,
    /// Undo a refusal where the rule asks for no approval.
    Reinstate,
    /// Say no to something that waits.
    Reject,
    /// Say no to something that was admitted.
    Revoke,
}

impl Verb {
    /// What was done when it is done.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reinstate => "reinstated",
            Self::Reject => "rejected",
            Self::Revoke => "revoked",
        }
    }
}

/// A decision that someone wants to take.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What.
    pub verb: Verb,
    /// On what: `R-42`, `IMAGE@DIGEST` or `IMAGE:TAG`.
    pub target: String,
    /// Who decides.
    pub by: Caller,
    /// Why.
    pub reason: String,
    /// Until when, for an approval.
    pub expires: Option<Timestamp>,
    /// The version of the request that was looked at; a decision in between is then not overruled.
    pub seen: Option<String>,
    /// What whoever decides was shown; a decision on what is not so any more is refused.
    pub shown: Option<Shown>,
}

/// What the gate would say if nobody had decided yet.
enum Without {
    Admits { rule: String },
    Denies(Vec<Reason>),
    Waits { rule: String },
}

impl Desk {
    /// Decides as `wish` says, and gives what came of it. The decision is durable and in force when
    /// this returns; the same decision a second time changes nothing and says so.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed then.
    pub async fn decide(&self, wish: &Wish) -> Result<DecidedView, Error> {
        self.check_form(wish)?;
        self.check_name(wish)?;
        let target = self.target(&wish.target).await?;
        let rule = match wish.verb {
            Verb::Approve => Some(Box::pin(self.check_approvable(&target.subject)).await?),
            Verb::Reinstate => {
                Box::pin(self.check_reinstatable(&target.subject)).await?;
                None
            }
            // Refusing must work whatever is broken: no evidence, no upstream, no rule is asked.
            Verb::Reject | Verb::Revoke => None,
        };
        let poll = match &rule {
            Some(rule) => {
                Box::pin(self.poll(&target.subject, rule, target.request.as_ref())).await?
            }
            None => None,
        };
        if let Some(shown) = &wish.shown {
            let standing = self.standing(&target.subject).await?;
            // Who sends the same form twice is told that it is done.
            let is_done =
                poll.is_none() && standing.is_some_and(|standing| is_same(&standing, wish));
            if !is_done {
                Box::pin(self.check_unchanged(shown, &target, wish.verb)).await?;
            }
        }
        let mut view = self.commit(wish, &target, poll.as_ref()).await?;
        view.verdict = self.verdict_now(&target.subject).await;
        info!(image = %view.image, by = %view.by, decision = view.decision, "decided by a person");
        Ok(view)
    }

    fn check_form(&self, wish: &Wish) -> Result<(), Error> {
        check_reason(&wish.reason)?;
        match (wish.verb, wish.expires) {
            (_, None) => Ok(()),
            (Verb::Approve, Some(expires)) if expires > self.mirror.now() => Ok(()),
            (Verb::Approve, Some(_)) => Err(Error::ExpiryPast),
            (Verb::Reinstate | Verb::Reject | Verb::Revoke, Some(_)) => Err(Error::ExpiryUnwanted),
        }
    }

    /// Refuses, without a request upstream, a yes to what the policy denies by its name alone.
    fn check_name(&self, wish: &Wish) -> Result<(), Error> {
        if matches!(wish.verb, Verb::Reject | Verb::Revoke) || request_id(&wish.target).is_some() {
            return Ok(());
        }
        let image = image(&wish.target)?;
        match gate::refuse_by_name(&self.mirror.policy(), &image.name, None, self.mirror.now()) {
            Some(judgement) => {
                let reasons = judgement.reasons().to_vec();
                Err(Error::NotAllowed { image: image.to_string(), wish: wish.verb.done(), reasons })
            }
            None => Ok(()),
        }
    }

    /// The rule that asks people about `subject`.
    pub(super) async fn check_approvable(&self, subject: &Subject) -> Result<String, Error> {
        match Box::pin(self.without_people(subject)).await? {
            Without::Waits { rule } => Ok(rule),
            Without::Denies(reasons) => {
                Err(Error::NotAllowed { image: subject.to_string(), wish: "approved", reasons })
            }
            Without::Admits { rule } => {
                let refused = self.standing(subject).await?.is_some_and(|s| is_refusal(&s));
                Err(Error::NotAskedFor { subject: Box::new(subject.clone()), rule, refused })
            }
        }
    }

    async fn check_reinstatable(&self, subject: &Subject) -> Result<(), Error> {
        if !self.standing(subject).await?.is_some_and(|standing| is_refusal(&standing)) {
            return Err(Error::NothingToUndo { subject: Box::new(subject.clone()) });
        }
        match Box::pin(self.without_people(subject)).await? {
            Without::Admits { .. } => Ok(()),
            Without::Denies(reasons) => {
                Err(Error::NotAllowed { image: subject.to_string(), wish: "reinstated", reasons })
            }
            Without::Waits { rule } => {
                Err(Error::ApproveInstead { subject: Box::new(subject.clone()), rule })
            }
        }
    }

    /// What the gate would say of `subject` if no person had decided about it.
    ///
    /// Asked outside the lock of [`Desk::commit`]: it may gather evidence, and whether the policy
    /// lets people decide does not hang on what other people decide meanwhile.
    async fn without_people(&self, subject: &Subject) -> Result<Without, Error> {
        let policy = self.mirror.policy();
        let by_name = gate::refuse_by_name(&policy, &subject.name, None, self.mirror.now());
        if let Some(judgement) = by_name {
            return Ok(Without::Denies(judgement.reasons().to_vec()));
        }
        let judged = self.judge(subject).await?;
        let Some(record) = judged.record else { return Err(undecided(subject, &judged.outcome)) };
        // What is approved again because something was found goes on from what its gates let pass.
        let passed = record.passed.clone().filter(|_| !record.unseen.is_empty());
        let mut record = record.without_people();
        record.passed = passed;
        let mut outcome = self.ask_gate(&record).await?;
        for _ in 0..ROUNDS_MAX {
            // A subject that a person refused may be recorded without the evidence that its rule
            // asks for: the refusal was reason enough.
            let Outcome::Missing(kinds) = &outcome else { break };
            let gathered = Box::pin(self.mirror.gather_more(&record, kinds)).await;
            record.evidence = gathered.map_err(|error| mirror_error(subject.to_string(), error))?;
            outcome = self.ask_gate(&record).await?;
        }
        let Outcome::Decided(judgement) = outcome else { return Err(undecided(subject, &outcome)) };
        let rule = judgement.rule.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok(match judgement.verdict {
            Verdict::Admit => Without::Admits { rule },
            Verdict::Deny(reasons) => Without::Denies(reasons),
            Verdict::Pending(_) => Without::Waits { rule },
        })
    }

    /// Asks the gate about a subject about which no person decided.
    async fn ask_gate(&self, record: &Record) -> Result<Outcome, Error> {
        let (policy, subject) = (self.mirror.policy(), &record.subject);
        let said = self.mirror.decide(subject, &record.evidence, Some(record), &policy).await;
        said.map(|said| said.outcome).map_err(|error| mirror_error(subject.to_string(), error))
    }

    pub(super) async fn judge(&self, subject: &Subject) -> Result<Judged, Error> {
        let judged = self.mirror.judge(subject, Freshness::Stored).await;
        judged.map_err(|error| mirror_error(subject.to_string(), error))
    }

    async fn standing(&self, subject: &Subject) -> Result<Option<Standing>, Error> {
        let record = self.mirror.ledger().record(subject).await?;
        Ok(record.and_then(|record| record.standing.clone()))
    }

    /// Writes the decision, unless it stands already or the request changed since it was looked at.
    ///
    /// One decision at a time: looking at what stands and writing are one step, so that of two
    /// people who decide at once, one wins and the other is told.
    async fn commit(
        &self,
        wish: &Wish,
        target: &Target,
        poll: Option<&Poll>,
    ) -> Result<DecidedView, Error> {
        let _one_at_a_time = self.deciding.lock().await;
        let ledger = self.mirror.ledger();
        let subject = &target.subject;
        let request = match &target.request {
            Some(row) => ledger.request(row.id).await?,
            None => None,
        };
        if let (Some(seen), Some(row)) = (&wish.seen, &request) {
            let votes = ledger.votes(subject).await?.cast.len();
            let version = version(row, self.standing(subject).await?.as_ref(), votes);
            if !is_as_seen(seen, &version, poll) {
                let state = row.state.as_str().to_owned();
                return Err(Error::Changed { request: row.id, state });
            }
        }
        let record = ledger.record(subject).await?;
        let before = record.as_deref().and_then(|record| record.standing.clone());
        if let Some(poll) = poll {
            let beside =
                Beside { request: request.as_ref(), record: record.as_deref(), file: None };
            return self.vote(poll, wish, target, beside).await;
        }
        let already = before.as_ref().is_some_and(|standing| is_same(standing, wish));
        if !already {
            let asked = request.as_ref().filter(|_| target.by_request);
            let decision = self.decision(wish, subject, asked);
            match wish.verb {
                Verb::Approve => ledger.approve(decision).await?,
                Verb::Reinstate => ledger.reinstate(decision).await?,
                Verb::Reject => ledger.reject(decision).await?,
                Verb::Revoke => ledger.revoke(decision).await?,
            };
        }
        Ok(self.decided_view(wish, subject, request.as_ref(), before.as_ref(), already))
    }

    pub(super) fn decision(
        &self,
        wish: &Wish,
        subject: &Subject,
        request: Option<&RequestRow>,
    ) -> Decision {
        Decision {
            subject: subject.clone(),
            by: wish.by.name(),
            reason: wish.reason.trim().to_owned(),
            expires: wish.expires,
            request: request.map(|row| row.id),
            policy: *self.mirror.policy().id(),
            voters: Vec::new(),
            seen: None,
        }
    }

    pub(super) fn decided_view(
        &self,
        wish: &Wish,
        subject: &Subject,
        request: Option<&RequestRow>,
        before: Option<&Standing>,
        already: bool,
    ) -> DecidedView {
        let before = before.map(standing_view);
        let standing = before.clone().filter(|_| already);
        DecidedView {
            decision: wish.verb.done().to_owned(),
            image: subject.to_string(),
            name: subject.name.clone(),
            digest: subject.digest,
            request: request.map(|row| row.id.to_string()),
            by: standing.as_ref().map_or_else(|| wish.by.name(), |standing| standing.by.clone()),
            at: standing.as_ref().map_or_else(|| self.mirror.clock().now(), |standing| standing.at),
            expires: standing.map_or(wish.expires, |standing| standing.expires),
            already,
            replaced: before.filter(|_| !already),
            clients: request.map_or(0, super::requests::client_count),
            votes: None,
            verdict: None,
        }
    }

    /// The verdict with the decision in it. Only for show: pulls ask for themselves. It takes no
    /// network: an approval has just been judged, and a refusal of people needs no evidence.
    async fn verdict_now(&self, subject: &Subject) -> Option<String> {
        match self.judge(subject).await {
            Ok(judged) => Some(verdict_word(&judged.outcome).to_owned()),
            Err(error) => {
                warn!(%subject, %error, "decided, and not judged again yet");
                None
            }
        }
    }
}

/// Checks the form of a person's reason.
pub(super) fn check_reason(reason: &str) -> Result<(), Error> {
    let length = reason.chars().count();
    let reason = reason.trim();
    if reason.is_empty() || length > REASON_LENGTH_MAX || reason.chars().any(char::is_control) {
        return Err(Error::ReasonForm);
    }
    Ok(())
}

/// Whether somebody who saw a request as `seen` decides about what is there now. A yes that is a vote is
/// bound to all that its voter was shown; a no only to what people did.
fn is_as_seen(seen: &str, version: &str, poll: Option<&Poll>) -> bool {
    match poll {
        Some(poll) => seen == full_version(version, Some(poll)),
        None => {
            seen.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        }
    }
}

/// `version`, and what a vote would be bound to where the rule asks for votes.
pub(super) fn full_version(version: &str, poll: Option<&Poll>) -> String {
    poll.map_or_else(|| version.to_owned(), |poll| format!("{version}-{}", poll.mark()))
}

/// The version of a request, for conditional decisions: it changes whenever someone decides or votes.
pub(super) fn version(row: &RequestRow, standing: Option<&Standing>, votes: usize) -> String {
    let decided = standing.map_or(0, |standing| standing_view(standing).at.milliseconds());
    format!("{}-{decided}-{votes}", row.state.as_str())
}

fn is_refusal(standing: &Standing) -> bool {
    matches!(standing, Standing::Rejected { .. } | Standing::Revoked { .. })
}

/// Whether `standing` is already what `wish` asks for.
fn is_same(standing: &Standing, wish: &Wish) -> bool {
    match (standing, wish.verb) {
        (Standing::Approved { expires, .. }, Verb::Approve) => *expires == wish.expires,
        (Standing::Rejected { .. }, Verb::Reject) | (Standing::Revoked { .. }, Verb::Revoke) => {
            true
        }
        (
            Standing::Approved { .. } | Standing::Rejected { .. } | Standing::Revoked { .. },
            Verb::Approve | Verb::Reinstate | Verb::Reject | Verb::Revoke,
        ) => false,
    }
}

fn undecided(subject: &Subject, outcome: &Outcome) -> Error {
    let reasons = match outcome {
        Outcome::Undecided(reasons) => reasons.clone(),
        Outcome::Decided(_) | Outcome::Missing(_) => Vec::new(),
    };
    Error::Undecided { subject: Box::new(subject.clone()), reasons }
}
