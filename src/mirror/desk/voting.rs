//! Voting: where a rule asks several people, each says yes for themselves, and the last of them decides.
//!
//! A yes counts while all of it is so that its voter was shown: policy, people who are asked, evidence, and
//! what was decided before. What does not count any more is kept, and told with why.

use std::collections::BTreeSet;

use super::decide::Wish;
use super::target::Target;
use super::view::{DecidedView, VoteView, VotesView};
use super::{Desk, Error, Shown};
use crate::gate::{Standing, Subject, distinct};
use crate::ledger::{
    Ballot, Caller, CastVote, Decision, Permission, PersonId, Record, RequestRow, Vote,
};
use crate::oci::ImageReference;
use crate::policy::{ApprovalPolicy, Principal};
use crate::time::Timestamp;

/// An approval that ends within this many days may be given anew.
const RENEWED_DAYS: i64 = 14;
/// Milliseconds in a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whom a rule asks about a subject, and what is so now.
#[derive(Debug)]
pub(super) struct Poll {
    approval: std::sync::Arc<ApprovalPolicy>,
    ballot: Ballot,
    requesters: Vec<PersonId>,
    now: Timestamp,
}

/// A vote that counts, with whom it stands for now.
struct Counted<'a> {
    vote: &'a Vote,
    stands_for: BTreeSet<String>,
}

/// How the votes about a subject stand.
struct Tally<'a> {
    counted: Vec<Counted<'a>>,
    void: Vec<(&'a CastVote, String)>,
}

impl Poll {
    /// The approvers that `caller` stands for.
    fn stands_for(&self, caller: &Caller) -> BTreeSet<String> {
        // A token may be one of several that one person has: it stands for itself, where the policy names it.
        let is_token = matches!(caller.id, PersonId::Token { .. });
        let counts = |it: &&Principal| !(is_token && matches!(it, Principal::Group(_)));
        let named = self.approval.approvers().iter().filter(counts);
        let named = named.filter(|it| names(it, caller));
        named.map(ToString::to_string).collect()
    }

    /// How many of the quorum those have who stand for `stand_for`.
    fn count(&self, stand_for: &[BTreeSet<String>]) -> usize {
        let all =
            if self.approval.distinct_groups() { distinct(stand_for) } else { stand_for.len() };
        all.min(self.approval.quorum())
    }

    /// Why `cast` does not count any more, by itself; who stands behind it is not looked at.
    fn changed(&self, cast: &CastVote) -> Option<String> {
        let (before, now) = (&cast.vote.ballot, &self.ballot);
        let timeout = self.approval.pending_timeout();
        let is_old = timeout.is_some_and(|timeout| {
            let age = self.now.milliseconds().saturating_sub(cast.vote.at.milliseconds());
            u128::try_from(age).unwrap_or(0) >= timeout.as_millis()
        });
        let why = if !cast.is_signed {
            "its signature does not fit: somebody wrote it into the database"
        } else if before.decisions != now.decisions {
            "people decided about the image since"
        } else if before.policy != now.policy {
            "another policy is in force"
        } else if asks(before) != asks(now) {
            "other people are asked now, or another number of them"
        } else if before.findings != now.findings {
            "the findings are others"
        } else if before.signed != now.signed {
            "what was found of signatures is another"
        } else if before.reasons != now.reasons {
            "something else speaks against it"
        } else if is_old {
            "it was given too long ago"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    /// Counts `cast`, the later vote of one person instead of an earlier one; `person` says who somebody
    /// is as of now.
    fn tally<'a>(
        &self,
        cast: &'a [CastVote],
        person: impl Fn(&PersonId) -> Option<Caller>,
    ) -> Tally<'a> {
        let mut tally = Tally { counted: Vec::new(), void: Vec::new() };
        for one in cast.iter().rev() {
            let vote = &one.vote;
            let again = tally.counted.iter().any(|counted| counted.vote.voter == vote.voter);
            match self.changed(one).map_or_else(|| self.by_now(vote, &person), Err) {
                Ok(_) if again => {}
                Ok(stands_for) => tally.counted.push(Counted { vote, stands_for }),
                Err(why) => tally.void.push((one, why)),
            }
        }
        tally.counted.reverse();
        tally.void.reverse();
        tally
    }

    /// For whom the voter of `vote` stood then and stands now.
    fn by_now(
        &self,
        vote: &Vote,
        person: &impl Fn(&PersonId) -> Option<Caller>,
    ) -> Result<BTreeSet<String>, String> {
        let caller = person(&vote.voter).filter(|it| it.since == vote.since);
        let Some(caller) = caller.filter(|it| it.may(Permission::Decide)) else {
            return Err(format!("{} may not decide any more", vote.display));
        };
        if !self.approval.self_approval() && self.requesters.contains(&vote.voter) {
            return Err(format!("{} asked for the image", vote.display));
        }
        let now = self.stands_for(&caller);
        let both: BTreeSet<String> =
            vote.stands_for.iter().filter(|it| now.contains(*it)).cloned().collect();
        if both.is_empty() {
            return Err(format!("{} is none of the approvers any more", vote.display));
        }
        Ok(both)
    }

    fn missing(&self, have: usize) -> String {
        let more = self.approval.quorum().saturating_sub(have);
        if more == 0 {
            return String::new();
        }
        let approvers: Vec<String> =
            self.approval.approvers().iter().map(ToString::to_string).collect();
        let of = approvers.join(", ");
        let each = if self.approval.distinct_groups() && self.approval.quorum() > 1 {
            ", each from another of them"
        } else {
            ""
        };
        format!("{more} more of {of}{each}")
    }
}

/// What of a ballot says whom it asks.
fn asks(ballot: &Ballot) -> (&str, &str, u64, bool, &[String]) {
    let Ballot { rule, approval, quorum, distinct_groups, approvers, .. } = ballot;
    (rule, approval, *quorum, *distinct_groups, approvers)
}

/// Whether `principal` names `caller`, or a group that they are in.
pub(super) fn names(principal: &Principal, caller: &Caller) -> bool {
    match (principal, &caller.id) {
        (Principal::Group(group), _) => caller.groups.contains(group),
        (Principal::Token(name), PersonId::Token { name: own })
        | (Principal::User(name), PersonId::Local { name: own }) => name == own,
        (Principal::Oidc { issuer, subject }, PersonId::Oidc { issuer: by, subject: own }) => {
            issuer == by && subject == own
        }
        (Principal::Token(_) | Principal::User(_) | Principal::Oidc { .. }, _) => false,
    }
}

/// For whom the voter of `wish` stands.
fn check_voter(poll: &Poll, wish: &Wish) -> Result<BTreeSet<String>, Error> {
    let (rule, voter) = (poll.ballot.rule.clone(), wish.by.display.clone());
    if !poll.approval.self_approval() && poll.requesters.contains(&wish.by.id) {
        return Err(Error::OwnRequest { voter, rule });
    }
    let stands_for = poll.stands_for(&wish.by);
    if stands_for.is_empty() {
        return Err(Error::NotApprover { voter, rule, approval: poll.approval.to_string() });
    }
    Ok(stands_for)
}

impl Desk {
    /// Whom the rule `rule` asks about `subject`, and what is so now; `None` where it names nobody, so that
    /// one yes of anybody is enough who may decide.
    pub(super) async fn poll(
        &self,
        subject: &Subject,
        rule: &str,
        request: Option<&RequestRow>,
    ) -> Result<Option<Poll>, Error> {
        let policy = self.mirror.policy();
        let of_rule = policy.rules().iter().find(|it| it.id().as_str() == rule);
        let Some(of_rule) = of_rule else {
            // The rule that asked a moment ago is gone.
            let changes = vec!["another policy is in force".to_owned()];
            return Err(Error::Stale { image: subject.to_string(), changes });
        };
        let Some(approval) = of_rule.approval().cloned() else { return Ok(None) };
        let tag = request.and_then(|row| row.tag.clone());
        let digest = tag.is_none().then_some(subject.digest);
        let image = ImageReference { name: subject.name.clone(), tag, digest };
        let explained = Box::pin(self.explain_subject(&image, subject)).await?;
        let facts = self.facts_of(subject).await?;
        let evidence = facts.map(|facts| Shown::evidence(&explained, &facts));
        let [findings, signed, reasons] = evidence.unwrap_or_default();
        let decisions = self.mirror.ledger().votes(subject).await?.decisions;
        let ballot = Ballot {
            policy: *policy.id(),
            rule: rule.to_owned(),
            approval: approval.name().to_owned(),
            quorum: u64::try_from(approval.quorum()).unwrap_or(u64::MAX),
            distinct_groups: approval.distinct_groups(),
            approvers: approval.approvers().iter().map(ToString::to_string).collect(),
            findings,
            signed,
            reasons,
            decisions,
        };
        let requesters = request.map(|row| row.requesters.clone()).unwrap_or_default();
        Ok(Some(Poll { approval, ballot, requesters, now: self.mirror.clock().now() }))
    }

    /// Takes the yes of `wish`, and decides if it was the one that was missing. Called under the lock of
    /// decisions.
    pub(super) async fn vote(
        &self,
        poll: &Poll,
        wish: &Wish,
        target: &Target,
        (request, record): (Option<&RequestRow>, Option<&Record>),
    ) -> Result<DecidedView, Error> {
        let subject = &target.subject;
        let stands_for = check_voter(poll, wish)?;
        if let Some(standing) = record.and_then(|record| poll.is_settled_by(record)) {
            return Ok(self.decided_view(wish, subject, request, Some(standing), true));
        }
        let ledger = self.mirror.ledger();
        let votes = ledger.votes(subject).await?;
        let tally = poll.tally(&votes.cast, |id| ledger.caller(id));
        let is_voter = |counted: &Counted<'_>| counted.vote.voter == wish.by.id;
        let is_again =
            tally.counted.iter().find(|it| is_voter(it) && it.vote.expires == wish.expires);
        let others = || tally.counted.iter().filter(|it| !is_voter(it));
        let mut all: Vec<BTreeSet<String>> = others().map(|it| it.stands_for.clone()).collect();
        all.push(stands_for.clone());
        let have = poll.count(&all);
        let is_enough = have >= poll.approval.quorum();
        if is_again.is_none() || is_enough {
            let asked = request.filter(|_| target.by_request);
            let then = is_enough.then(|| {
                let names = others().map(|it| it.vote.voter.to_string()).chain([wish.by.name()]);
                let names = names.collect::<Vec<_>>();
                let expires = poll.expires(others().map(|it| it.vote.expires), wish.expires);
                Decision {
                    expires,
                    voters: if names.len() > 1 { names } else { Vec::new() },
                    ..self.decision(wish, subject, asked)
                }
            });
            let vote = Vote {
                subject: subject.clone(),
                request: request.map(|row| row.id),
                voter: wish.by.id.clone(),
                since: wish.by.since,
                display: wish.by.display.clone(),
                stands_for: stands_for.into_iter().collect(),
                at: poll.now,
                reason: wish.reason.trim().to_owned(),
                expires: wish.expires,
                ballot: poll.ballot.clone(),
            };
            ledger.cast_vote(vote, then).await?;
        }
        let mut view = self.decided_view(wish, subject, request, None, is_again.is_some());
        if !is_enough {
            "voted".clone_into(&mut view.decision);
        }
        view.votes = Some(self.votes_view(poll, subject).await?);
        Ok(view)
    }

    /// How the votes about `subject` stand.
    pub(super) async fn votes_view(
        &self,
        poll: &Poll,
        subject: &Subject,
    ) -> Result<VotesView, Error> {
        let ledger = self.mirror.ledger();
        let votes = ledger.votes(subject).await?;
        let tally = poll.tally(&votes.cast, |id| ledger.caller(id));
        let all: Vec<_> = tally.counted.iter().map(|it| it.stands_for.clone()).collect();
        let have = poll.count(&all);
        let counted = tally.counted.iter().map(|it| {
            let stands_for = it.stands_for.iter().cloned().collect();
            VoteView { stands_for, ..vote_view(it.vote, None) }
        });
        let void = tally.void.into_iter().map(|(cast, why)| vote_view(&cast.vote, Some(why)));
        Ok(VotesView {
            rule: poll.ballot.rule.clone(),
            approval: poll.approval.name().to_owned(),
            needed: poll.ballot.quorum,
            have: u64::try_from(have).unwrap_or(u64::MAX),
            missing: poll.missing(have),
            votes: counted.chain(void).collect(),
            damaged: votes.damaged,
        })
    }

    /// Whether `caller` may ask for an image that the rule `rule` decides about.
    pub(super) fn check_requester(&self, rule: &str, caller: &Caller) -> Result<(), Error> {
        let policy = self.mirror.policy();
        let of_rule = policy.rules().iter().find(|it| it.id().as_str() == rule);
        let Some(approval) = of_rule.and_then(|it| it.approval()) else { return Ok(()) };
        let listed = approval.requesters();
        let may = listed.is_empty()
            || caller.may(Permission::Decide)
            || listed.iter().any(|it| names(it, caller));
        if may {
            return Ok(());
        }
        let (requester, rule) = (caller.display.clone(), rule.to_owned());
        Err(Error::NotRequester { requester, rule })
    }
}

impl Poll {
    /// The approval of `record`, if it is as good as one that would be given now: by enough people, and far
    /// from its end.
    fn is_settled_by<'a>(&self, record: &'a Record) -> Option<&'a Standing> {
        let standing = record.standing.as_ref().filter(|_| !record.has_run_out())?;
        let Standing::Approved { expires, voters, .. } = standing else { return None };
        let soon = self.now.milliseconds().saturating_add(RENEWED_DAYS * DAY_MS);
        let holds = expires.is_none_or(|expires| expires.milliseconds() > soon);
        (holds && voters.len().max(1) >= self.approval.quorum()).then_some(standing)
    }

    /// Until when an approval holds that these were asked for: the earliest of all, and no longer than the
    /// policy lets it.
    fn expires(
        &self,
        others: impl Iterator<Item = Option<Timestamp>>,
        own: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let longest = self.approval.expires_after().map(|time| {
            let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_milliseconds(self.now.milliseconds().saturating_add(time))
        });
        others.chain([own, longest]).flatten().min()
    }
}

fn vote_view(vote: &Vote, void: Option<String>) -> VoteView {
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
