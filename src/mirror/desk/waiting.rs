//! For whom requests wait: how the votes on them stand, and which of them wait for one person.
//!
//! A list must stay quick: what nobody voted on is told from the policy alone, and only what has votes is
//! looked at as closely as when somebody votes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::electorate::Electorate;
use super::requests::view_in_list;
use super::view::{RequestView, VotesView};
use super::{Desk, Error};
use crate::gate::Subject;
use crate::ledger::{Caller, Permission, PersonId, RequestRow, RequestState};
use crate::policy::{ApprovalPolicy, Policy};

/// What a request waits for whose rule names nobody.
const ANYBODY: &str = "anybody who may decide";

/// Whom each rule asks, by the rule; nobody in particular where it names no approval policy.
struct Asking(BTreeMap<String, Option<Arc<ApprovalPolicy>>>);

/// Whom the rule of a request asks about it.
#[derive(Clone, Copy)]
enum Whom<'a> {
    /// Nobody, as far as the request knows.
    Nobody,
    /// Any one person who may decide.
    Anybody,
    /// Those of an approval policy.
    Named(&'a ApprovalPolicy),
}

impl Asking {
    fn of(policy: &Policy) -> Self {
        let rules = policy.rules().iter();
        Self(rules.map(|rule| (rule.id().to_string(), rule.approval().cloned())).collect())
    }

    /// Whom the rule of `row` asks about it.
    fn about(&self, row: &RequestRow) -> Whom<'_> {
        let waits = row.state == RequestState::Pending && row.digest.is_some();
        let rule = row.rule.as_deref().filter(|_| waits);
        match rule.and_then(|rule| self.0.get(rule)) {
            Some(Some(approval)) => Whom::Named(approval),
            Some(None) => Whom::Anybody,
            None => Whom::Nobody,
        }
    }

    /// Whether a yes of `caller` to `row` would count, if they have given none.
    fn asks(&self, row: &RequestRow, caller: &Caller) -> bool {
        if !caller.may(Permission::Decide) {
            return false;
        }
        match self.about(row) {
            Whom::Nobody => false,
            Whom::Anybody => true,
            Whom::Named(approval) => {
                let requesters = &row.requesters;
                let electorate = Electorate { approval, requesters, what: "the image" };
                !electorate.is_own(&caller.id) && !electorate.stands_for(caller).is_empty()
            }
        }
    }
}

impl Desk {
    /// `rows` as lists have them: with how the votes stand, and for whom each waits.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) async fn listed(&self, rows: &[RequestRow]) -> Result<Vec<RequestView>, Error> {
        let asking = Asking::of(&self.mirror.policy());
        let voters = self.voters(rows).await?;
        let mut views = Vec::with_capacity(rows.len());
        for (row, voters) in rows.iter().zip(voters) {
            views.push(self.listed_one(row, asking.about(row), voters.is_some()).await?);
        }
        Ok(views)
    }

    async fn listed_one(
        &self,
        row: &RequestRow,
        whom: Whom<'_>,
        has_votes: bool,
    ) -> Result<RequestView, Error> {
        let mut view = view_in_list(row);
        if let (Whom::Named(approval), Some(subject), Some(rule)) =
            (whom, row.subject(), row.rule.as_deref())
        {
            view.votes = if has_votes {
                Box::pin(self.votes_on(row, &subject)).await?
            } else {
                Some(VotesView::none(rule, approval))
            };
        }
        view.waits_for = waits_for(whom, view.votes.as_ref());
        Ok(view)
    }

    /// Whose yes the request `row` waits for, in words, where its votes stand so.
    pub(super) fn waits_for(&self, row: &RequestRow, votes: Option<&VotesView>) -> Option<String> {
        let asking = Asking::of(&self.mirror.policy());
        waits_for(asking.about(row), votes)
    }

    /// Those of `rows` that wait for a yes of `caller`: their rule counts it, and there is none that counts.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) async fn waiting_for(
        &self,
        mut rows: Vec<RequestRow>,
        caller: &Caller,
    ) -> Result<Vec<RequestRow>, Error> {
        let asking = Asking::of(&self.mirror.policy());
        rows.retain(|row| asking.asks(row, caller));
        let voters = self.voters(&rows).await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for (row, voters) in rows.into_iter().zip(voters) {
            let has_voted = voters.is_some_and(|voters| voters.contains(&caller.id));
            if !has_voted || !self.counts(&row, caller).await? {
                waiting.push(row);
            }
        }
        Ok(waiting)
    }

    /// Whether a yes of `caller` to `row` counts now.
    async fn counts(&self, row: &RequestRow, caller: &Caller) -> Result<bool, Error> {
        let Some(subject) = row.subject() else { return Ok(false) };
        let votes = Box::pin(self.votes_on(row, &subject)).await?;
        let name = caller.name();
        let mut votes = votes.iter().flat_map(|votes| &votes.votes);
        Ok(votes.any(|vote| vote.by == name && vote.void.is_none()))
    }

    /// Who voted on each of `rows`; nothing where nobody did.
    async fn voters(&self, rows: &[RequestRow]) -> Result<Vec<Option<Vec<PersonId>>>, Error> {
        let subjects: Vec<Option<Subject>> = rows
            .iter()
            .map(|row| row.subject().filter(|_| row.state == RequestState::Pending))
            .collect();
        Ok(self.mirror.ledger().voters(subjects).await?)
    }
}

/// Whose yes is missing of `whom`, in words.
fn waits_for(whom: Whom<'_>, votes: Option<&VotesView>) -> Option<String> {
    match (whom, votes) {
        (Whom::Anybody, _) => Some(ANYBODY.to_owned()),
        (Whom::Named(_), Some(votes)) if !votes.missing.is_empty() => Some(votes.missing.clone()),
        (Whom::Named(_) | Whom::Nobody, _) => None,
    }
}

impl VotesView {
    /// How it stands where nobody has said anything yet.
    fn none(rule: &str, approval: &ApprovalPolicy) -> Self {
        Self {
            rule: rule.to_owned(),
            approval: approval.name().to_owned(),
            needed: u64::try_from(approval.quorum()).unwrap_or(u64::MAX),
            have: 0,
            missing: Electorate { approval, requesters: &[], what: "the image" }.missing(0),
            votes: Vec::new(),
            damaged: 0,
        }
    }
}
