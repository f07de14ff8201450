//! Voting: where a rule asks several people, each says yes for themselves, and the last of them decides.
//!
//! A yes counts while all of it is so that its voter was shown: policy, people who are asked, evidence, and
//! what was decided before. What does not count any more is kept, and told with why.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decide::Wish;
use super::electorate::{Electorate, Voter};
use super::target::{Target, mirror_error};
use super::view::{DecidedView, VoteView, VotesView};
use super::{Desk, Error, Shown};
use crate::gate::{ReadyPolicy, SeenFindings, Standing, Subject};
use crate::ledger::{
    Ballot, Caller, CastVote, Decision, PersonId, Record, RequestRow, Vote, VoteFile,
};
use crate::mirror::approval_file::Asked;
use crate::oci::{Digest, ImageReference};
use crate::policy::ApprovalPolicy;
use crate::time::Timestamp;

/// An approval that ends within this many days may be given anew.
const RENEWED_DAYS: i64 = 14;
/// Milliseconds in a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whom a rule asks about a subject, and what is so now.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) subject: Subject,
    pub(super) policy: Arc<ReadyPolicy>,
    pub(super) approval: Arc<ApprovalPolicy>,
    pub(super) ballot: Ballot,
    /// The same for files.
    pub(super) asked: Asked,
    requesters: Vec<PersonId>,
    /// What is known against the subject; looked at before all that a vote is bound to, so that nothing counts
    /// as shown that was not there yet.
    seen: Option<SeenFindings>,
    pub(super) now: Timestamp,
}

/// What belongs to a vote beside who says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside<'a> {
    pub(super) request: Option<&'a RequestRow>,
    pub(super) record: Option<&'a Record>,
    /// The file that it is said in.
    pub(super) file: Option<VoteFile>,
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
    pub(super) fn electorate(&self) -> Electorate<'_> {
        Electorate { approval: &self.approval, requesters: &self.requesters, what: "the image" }
    }

    /// Stands for all that a vote would be bound to.
    pub(super) fn mark(&self) -> String {
        // What cannot be written is the same as nothing that was seen.
        let ballot = serde_json::to_vec(&self.ballot).unwrap_or_default();
        Digest::sha256(&ballot).hex()
    }

    /// Why `cast` does not count any more, by itself; who stands behind it is not looked at.
    fn changed(&self, cast: &CastVote) -> Option<String> {
        let (before, now) = (&cast.vote.ballot, &self.ballot);
        let is_old = self.electorate().is_old(cast.vote.at, self.now);
        let why = if !cast.is_signed {
            "its signature does not fit: somebody wrote it into the database"
        } else if let Some(file) = &cast.vote.file {
            return self.changed_file(&cast.vote, file);
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
            let again =
                tally.counted.iter().any(|counted| counted.vote.voter.is_same_person(&vote.voter));
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

    /// Whether `cast` still counts by itself.
    pub(super) fn counts(&self, cast: &CastVote) -> bool {
        self.changed(cast).is_none()
    }

    /// For whom the voter of `vote` stood then and stands now.
    fn by_now(
        &self,
        vote: &Vote,
        person: &impl Fn(&PersonId) -> Option<Caller>,
    ) -> Result<BTreeSet<String>, String> {
        let Vote { voter, since, display, stands_for, .. } = vote;
        let voter = Voter { id: voter, since: *since, display, stands_for };
        self.electorate().by_now(voter, person(voter.id))
    }
}

/// Whether `vote` was said in `file`.
fn is_of(vote: &Vote, file: &VoteFile) -> bool {
    vote.file.as_ref().is_some_and(|it| it.digest == file.digest)
}

/// What of a ballot says whom it asks.
fn asks(ballot: &Ballot) -> (&str, &str, u64, bool, &[String]) {
    let Ballot { rule, approval, quorum, distinct_groups, approvers, .. } = ballot;
    (rule, approval, *quorum, *distinct_groups, approvers)
}

/// For whom the voter of `wish` stands.
pub(super) fn check_voter(poll: &Poll, wish: &Wish) -> Result<BTreeSet<String>, Error> {
    let (rule, voter) = (poll.ballot.rule.clone(), wish.by.display.clone());
    if poll.electorate().is_own(&wish.by.id) {
        return Err(Error::OwnRequest { voter, rule });
    }
    let stands_for = poll.electorate().stands_for(&wish.by);
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
        let seen = self.mirror.findings_to_show(subject).await;
        let seen = seen.map_err(|error| mirror_error(subject.to_string(), error))?;
        let tag = request.and_then(|row| row.tag.clone());
        let digest = tag.is_none().then_some(subject.digest);
        let image = ImageReference { name: subject.name.clone(), tag, digest };
        let explained = Box::pin(self.explain_subject(&image, subject)).await?;
        let facts = self.facts_of(subject).await?;
        let evidence = facts.map(|facts| Shown::evidence(&explained, &facts));
        let [findings, signed, reasons] = evidence.unwrap_or_default();
        let decisions = self.mirror.ledger().votes(subject).await?.decisions;
        let evidence = [findings, signed, reasons];
        let asked = Asked::of(policy.name(), rule, &approval).about(evidence.clone(), decisions);
        let [findings, signed, reasons] = evidence;
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
        let (subject, now) = (subject.clone(), self.mirror.clock().now());
        Ok(Some(Poll { subject, policy, approval, ballot, asked, requesters, seen, now }))
    }

    /// Takes the yes of `wish`, and decides if it was the one that was missing. Called under the lock of
    /// decisions.
    pub(super) async fn vote(
        &self,
        poll: &Poll,
        wish: &Wish,
        target: &Target,
        Beside { request, record, file }: Beside<'_>,
    ) -> Result<DecidedView, Error> {
        let subject = &target.subject;
        let stands_for = check_voter(poll, wish)?;
        if let Some(standing) = record.and_then(|record| poll.is_settled_by(record)) {
            return Ok(self.decided_view(wish, subject, request, Some(standing), true));
        }
        let ledger = self.mirror.ledger();
        let votes = ledger.votes(subject).await?;
        let tally = poll.tally(&votes.cast, |id| self.voter_now(id));
        let is_voter = |counted: &Counted<'_>| counted.vote.voter.is_same_person(&wish.by.id);
        let is_again = match &file {
            // The same file again is the same vote, whatever else its voter said since.
            Some(file) => votes.cast.iter().any(|it| it.is_signed && is_of(&it.vote, file)),
            None => tally
                .counted
                .iter()
                .any(|it| it.vote.voter == wish.by.id && it.vote.expires == wish.expires),
        };
        let others = || tally.counted.iter().filter(|it| !is_voter(it));
        let mut all: Vec<BTreeSet<String>> = others().map(|it| it.stands_for.clone()).collect();
        all.push(stands_for.clone());
        let have = poll.electorate().count(&all);
        let is_enough = have >= poll.approval.quorum();
        if !is_again || is_enough {
            let asked = request.filter(|_| target.by_request);
            let then = is_enough.then(|| {
                let names = others().map(|it| it.vote.voter.to_string()).chain([wish.by.name()]);
                let names = names.collect::<Vec<_>>();
                let expires = poll.expires(others().map(|it| it.vote.expires), wish.expires);
                Decision {
                    expires,
                    voters: if names.len() > 1 { names } else { Vec::new() },
                    seen: poll.seen.clone().map(Box::new),
                    ..self.decision(wish, subject, asked)
                }
            });
            let own = file.as_ref().map(|file| file.digest);
            let files = others().filter_map(|it| Some(it.vote.file.as_ref()?.digest));
            let files: Vec<Digest> = files.chain(own).collect();
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
                file,
            };
            ledger.cast_vote(vote, then, files).await?;
        }
        let mut view = self.decided_view(wish, subject, request, None, is_again);
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
        let tally = poll.tally(&votes.cast, |id| self.voter_now(id));
        let all: Vec<_> = tally.counted.iter().map(|it| it.stands_for.clone()).collect();
        let have = poll.electorate().count(&all);
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
            missing: poll.electorate().missing(have),
            votes: counted.chain(void).collect(),
            damaged: votes.damaged,
        })
    }

    /// Whether `caller` may ask for an image that the rule `rule` decides about.
    pub(super) fn check_requester(&self, rule: &str, caller: &Caller) -> Result<(), Error> {
        let policy = self.mirror.policy();
        let of_rule = policy.rules().iter().find(|it| it.id().as_str() == rule);
        let Some(approval) = of_rule.and_then(|it| it.approval()) else { return Ok(()) };
        let electorate = Electorate { approval, requesters: &[], what: "the image" };
        if electorate.may_ask(caller) {
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
        let is_whole = !record.has_run_out() && record.unseen.is_empty();
        let standing = record.standing.as_ref().filter(|_| is_whole)?;
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
