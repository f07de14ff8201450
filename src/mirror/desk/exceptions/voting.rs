//! Voting on an exception: as on an image, each yes counts while all of it is so that its voter was shown.

use std::collections::BTreeSet;

use tracing::info;

use super::super::decide::check_reason;
use super::super::electorate::{Electorate, Voter};
use super::super::view::{VoteView, VotesView};
use super::super::{Desk, Error};
use super::trying::Tried;
use super::view::{ExceptionDecidedView, ExceptionView};
use crate::ledger::{
    Caller, CastExceptionVote, ExceptionBallot, ExceptionEnd, ExceptionGrant, ExceptionId,
    ExceptionRow, ExceptionState, ExceptionVote, PersonId,
};
use crate::oci::Digest;
use crate::policy::ApprovalPolicy;
use crate::time::Timestamp;

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionVerb {
    /// It is to be in force.
    Grant,
    /// It is not.
    Refuse,
}

/// What somebody says to an exception that waits.
#[derive(Debug, Clone)]
pub struct ExceptionWord {
    /// To which.
    pub exception: ExceptionId,
    /// What.
    pub verb: ExceptionVerb,
    /// Who.
    pub by: Caller,
    /// Why.
    pub reason: String,
    /// Until when at most, where that is sooner than it was asked for.
    pub expires: Option<Timestamp>,
    /// The version of the exception that was looked at; what changed in between is not decided about.
    pub seen: Option<String>,
}

/// Whom an exception waits for, and what is so now.
#[derive(Debug)]
pub(super) struct ExceptionPoll {
    tried: Tried,
    ballot: ExceptionBallot,
    askers: Vec<PersonId>,
    now: Timestamp,
}

/// How the votes on an exception stand.
struct Tally<'a> {
    counted: Vec<(&'a ExceptionVote, BTreeSet<String>)>,
    void: Vec<(&'a CastExceptionVote, String)>,
}

impl ExceptionPoll {
    pub(super) fn finding(&self) -> &[String] {
        &self.ballot.finding
    }

    pub(super) fn still_refused(&self) -> &[String] {
        &self.tried.still_refused
    }

    fn approval(&self) -> &ApprovalPolicy {
        self.tried.granting.approval()
    }

    fn electorate(&self) -> Electorate<'_> {
        Electorate { approval: self.approval(), requesters: &self.askers, what: "the exception" }
    }

    /// Why `cast` does not count any more, by itself; who stands behind it is not looked at.
    fn changed(&self, row: &ExceptionRow, cast: &CastExceptionVote) -> Option<String> {
        let (before, now) = (&cast.vote.ballot, &self.ballot);
        let why = if !cast.is_signed {
            "its signature does not fit: somebody wrote it into the database".to_owned()
        } else if cast.vote.exception != row.id || cast.vote.scope != row.scope {
            "it is about another exception".to_owned()
        } else if before.policy != now.policy {
            "another policy is in force".to_owned()
        } else if asks(before) != asks(now) {
            "other people are asked now, or another number of them".to_owned()
        } else if before.finding != now.finding {
            let (before, now) = (before.finding.join("; "), now.finding.join("; "));
            format!("the finding is another: it was {before}, and is {now}")
        } else if before.expires != now.expires {
            format!("it was asked for until {}, and is until {}", before.expires, now.expires)
        } else if self.electorate().is_old(cast.vote.at, self.now) {
            "it was given too long ago".to_owned()
        } else {
            return None;
        };
        Some(why)
    }

    /// Counts `cast`, the later vote of one person instead of an earlier one; `person` says who somebody
    /// is as of now.
    fn tally<'a>(
        &self,
        row: &ExceptionRow,
        cast: &'a [CastExceptionVote],
        person: impl Fn(&PersonId) -> Option<Caller>,
    ) -> Tally<'a> {
        let mut tally = Tally { counted: Vec::new(), void: Vec::new() };
        for one in cast.iter().rev() {
            let ExceptionVote { voter, since, display, stands_for, .. } = &one.vote;
            let again = tally.counted.iter().any(|(counted, _)| counted.voter == *voter);
            let by_now = || {
                let voter = Voter { id: voter, since: *since, display, stands_for };
                self.electorate().by_now(voter, person(voter.id))
            };
            match self.changed(row, one).map_or_else(by_now, Err) {
                Ok(_) if again => {}
                Ok(stands_for) => tally.counted.push((&one.vote, stands_for)),
                Err(why) => tally.void.push((one, why)),
            }
        }
        tally.counted.reverse();
        tally.void.reverse();
        tally
    }

    /// Until when it holds that these granted: the earliest of all, and no longer than the policy lets it.
    fn expires(
        &self,
        all: impl Iterator<Item = Option<Timestamp>>,
        most: std::time::Duration,
    ) -> Timestamp {
        let longest = self.now.after(self.tried.granting.longest(most));
        all.flatten().chain([longest]).fold(self.ballot.expires, Timestamp::min)
    }
}

/// What of a ballot says whom it asks.
fn asks(ballot: &ExceptionBallot) -> (&str, &str, u64, bool, &[String]) {
    let ExceptionBallot { rule, approval, quorum, distinct_groups, approvers, .. } = ballot;
    (rule, approval, *quorum, *distinct_groups, approvers)
}

impl Desk {
    /// Whom the exception of `row` waits for, and what it would take out now.
    ///
    /// # Errors
    /// As [`Desk::try_exception`].
    pub(super) async fn exception_poll(&self, row: &ExceptionRow) -> Result<ExceptionPoll, Error> {
        let now = self.mirror.now();
        let policy = *self.mirror.policy().id();
        let tried = self.try_exception(&row.scope, row.expires).await?;
        let approval = tried.granting.approval();
        let ballot = ExceptionBallot {
            policy,
            rule: tried.rule.clone(),
            approval: approval.name().to_owned(),
            quorum: u64::try_from(approval.quorum()).unwrap_or(u64::MAX),
            distinct_groups: approval.distinct_groups(),
            approvers: approval.approvers().iter().map(ToString::to_string).collect(),
            finding: tried.finding.clone(),
            expires: row.expires,
        };
        let askers = row.askers.iter().map(|asker| asker.by.clone()).collect();
        Ok(ExceptionPoll { tried, ballot, askers, now })
    }

    /// Takes the yes or no of `word`; the yes that was missing grants the exception, and that is in force
    /// when this returns.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed then.
    pub async fn decide_exception(
        &self,
        word: &ExceptionWord,
    ) -> Result<ExceptionDecidedView, Error> {
        check_reason(&word.reason)?;
        let row = self.exception_row(word.exception).await?;
        if let Some(seen) = &word.seen
            && *seen != self.exception_version(&row).await?
        {
            return Err(Error::ExceptionChanged { exception: row.id, state: row.state });
        }
        match word.verb {
            ExceptionVerb::Refuse => self.refuse_exception(word).await,
            ExceptionVerb::Grant => Box::pin(self.grant_exception(word, row)).await,
        }
    }

    async fn refuse_exception(&self, word: &ExceptionWord) -> Result<ExceptionDecidedView, Error> {
        if word.expires.is_some() {
            return Err(Error::ExpiryUnwanted);
        }
        let end = ExceptionEnd {
            id: word.exception,
            by: word.by.name(),
            reason: word.reason.trim().to_owned(),
            refuses: true,
        };
        let row = self.mirror.ledger().end_exception(end).await?;
        info!(exception = %row.id, by = %word.by.name(), "an exception is refused");
        let exception = ExceptionView::from(&row);
        Ok(ExceptionDecidedView { decision: "refused".to_owned(), exception })
    }

    async fn grant_exception(
        &self,
        word: &ExceptionWord,
        row: ExceptionRow,
    ) -> Result<ExceptionDecidedView, Error> {
        if row.state != ExceptionState::Asked {
            let (exception, state) = (row.id, row.state);
            return Err(crate::ledger::Error::ExceptionClosed { exception, state }.into());
        }
        if word.expires.is_some_and(|expires| expires <= self.mirror.now()) {
            return Err(Error::ExpiryPast);
        }
        let poll = Box::pin(self.exception_poll(&row)).await?;
        let stands_for = check_voter(&poll, word)?;
        // What is so now was asked before: it may take a while, and nobody waits for that.
        let _one_at_a_time = self.deciding.lock().await;
        let ledger = self.mirror.ledger();
        let cast = ledger.exception_votes(row.id).await?;
        let tally = poll.tally(&row, &cast, |id| ledger.caller(id));
        let others = || tally.counted.iter().filter(|(vote, _)| vote.voter != word.by.id);
        let mut all: Vec<BTreeSet<String>> = others().map(|(_, it)| it.clone()).collect();
        all.push(stands_for.clone());
        let have = poll.electorate().count(&all);
        let is_enough = have >= poll.approval().quorum();
        let most = self.mirror.policy().exception_time_max();
        let then = is_enough.then(|| ExceptionGrant {
            by: others().map(|(vote, _)| vote.voter.to_string()).chain([word.by.name()]).collect(),
            counted: u64::try_from(have).unwrap_or(u64::MAX),
            expires: poll.expires(others().map(|(it, _)| it.expires).chain([word.expires]), most),
        });
        let vote = ExceptionVote {
            exception: row.id,
            scope: row.scope.clone(),
            voter: word.by.id.clone(),
            since: word.by.since,
            display: word.by.display.clone(),
            stands_for: stands_for.into_iter().collect(),
            at: poll.now,
            reason: word.reason.trim().to_owned(),
            expires: word.expires,
            ballot: poll.ballot.clone(),
        };
        let row = ledger.vote_on_exception(vote, then).await?;
        info!(exception = %row.id, by = %word.by.name(), granted = is_enough, "a yes to an exception");
        let mut exception = ExceptionView::from(&row);
        if is_enough {
            self.mirror.judge_repository_again(&row.scope.name);
        } else {
            exception.finding = poll.finding().to_vec();
            exception.votes = Some(self.exception_votes_view(&poll, &row).await?);
        }
        let decision = if is_enough { "granted" } else { "voted" }.to_owned();
        Ok(ExceptionDecidedView { decision, exception })
    }

    /// How the votes on the exception of `row` stand.
    pub(super) async fn exception_votes_view(
        &self,
        poll: &ExceptionPoll,
        row: &ExceptionRow,
    ) -> Result<VotesView, Error> {
        let ledger = self.mirror.ledger();
        let cast = ledger.exception_votes(row.id).await?;
        let tally = poll.tally(row, &cast, |id| ledger.caller(id));
        let all: Vec<_> = tally.counted.iter().map(|(_, stands_for)| stands_for.clone()).collect();
        let have = poll.electorate().count(&all);
        let counted = tally.counted.iter().map(|(vote, stands_for)| VoteView {
            stands_for: stands_for.iter().cloned().collect(),
            ..vote_view(vote, None)
        });
        let void = tally.void.into_iter().map(|(cast, why)| vote_view(&cast.vote, Some(why)));
        Ok(VotesView {
            rule: poll.ballot.rule.clone(),
            approval: poll.ballot.approval.clone(),
            needed: poll.ballot.quorum,
            have: u64::try_from(have).unwrap_or(u64::MAX),
            missing: poll.electorate().missing(have),
            votes: counted.chain(void).collect(),
            damaged: 0,
        })
    }

    /// The version of the exception of `row`, for conditional decisions: it changes with its state, with who
    /// asked and voted, with what it would take out, and with the policy.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn exception_version(&self, row: &ExceptionRow) -> Result<String, Error> {
        let votes = self.mirror.ledger().exception_votes(row.id).await?.len();
        let ballot = match row.state {
            ExceptionState::Asked => match Box::pin(self.exception_poll(row)).await {
                Ok(poll) => serde_json::to_string(&poll.ballot).unwrap_or_default(),
                Err(Error::Ledger(error)) => return Err(Error::Ledger(error)),
                Err(error) => error.to_string(),
            },
            ExceptionState::Ended | ExceptionState::Granted | ExceptionState::Refused => {
                String::new()
            }
        };
        let text = format!("{} {} {votes} {ballot}", row.state, row.askers.len());
        Ok(Digest::sha256(text.as_bytes()).short())
    }

    /// As [`Desk::exception`], with its version.
    ///
    /// # Errors
    /// As [`Desk::exception`].
    pub async fn exception_with_version(
        &self,
        id: ExceptionId,
    ) -> Result<(ExceptionView, String), Error> {
        let view = Box::pin(self.exception(id)).await?;
        let row = self.exception_row(id).await?;
        Ok((view, Box::pin(self.exception_version(&row)).await?))
    }
}

/// For whom the voter of `word` stands.
fn check_voter(poll: &ExceptionPoll, word: &ExceptionWord) -> Result<BTreeSet<String>, Error> {
    let (rule, voter) = (poll.tried.rule.clone(), word.by.display.clone());
    if poll.electorate().is_own(&word.by.id) {
        return Err(Error::OwnException { voter, rule });
    }
    let stands_for = poll.electorate().stands_for(&word.by);
    if stands_for.is_empty() {
        return Err(Error::NotApprover { voter, rule, approval: poll.approval().to_string() });
    }
    Ok(stands_for)
}

fn vote_view(vote: &ExceptionVote, void: Option<String>) -> VoteView {
    VoteView {
        by: vote.voter.to_string(),
        display: vote.display.clone(),
        at: vote.at,
        reason: vote.reason.clone(),
        expires: vote.expires,
        stands_for: vote.stands_for.clone(),
        void,
    }
}
