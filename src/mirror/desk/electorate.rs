//! Whose yes counts: those whom an approval policy names, as many as it asks for, and not who asked.

use std::collections::BTreeSet;

use crate::gate::distinct;
use crate::ledger::{Caller, Permission, PersonId};
use crate::policy::{ApprovalPolicy, Principal};
use crate::time::Timestamp;

/// Those who may say yes to something that some people asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Electorate<'a> {
    pub(super) approval: &'a ApprovalPolicy,
    /// Who asked.
    pub(super) requesters: &'a [PersonId],
    /// What they asked for: `the image`.
    pub(super) what: &'static str,
}

/// A voter, as they were when they voted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voter<'a> {
    pub(super) id: &'a PersonId,
    pub(super) since: Timestamp,
    pub(super) display: &'a str,
    pub(super) stands_for: &'a [String],
}

impl Electorate<'_> {
    /// The approvers that `caller` stands for.
    pub(super) fn stands_for(&self, caller: &Caller) -> BTreeSet<String> {
        // A token may be one of several that one person has: it stands for itself, where the policy names it.
        let is_token = matches!(caller.id, PersonId::Token { .. });
        let counts = |it: &&Principal| !(is_token && matches!(it, Principal::Group(_)));
        let named = self.approval.approvers().iter().filter(counts);
        let named = named.filter(|it| names(it, caller));
        named.map(ToString::to_string).collect()
    }

    /// Whether `id` asked, and may not say yes for that.
    pub(super) fn is_own(&self, id: &PersonId) -> bool {
        !self.approval.self_approval() && self.requesters.iter().any(|it| it.is_same_person(id))
    }

    /// How many of the quorum those have who stand for `stand_for`.
    pub(super) fn count(&self, stand_for: &[BTreeSet<String>]) -> usize {
        let all =
            if self.approval.distinct_groups() { distinct(stand_for) } else { stand_for.len() };
        all.min(self.approval.quorum())
    }

    /// Whether a vote of `at` was given too long ago at `now`.
    pub(super) fn is_old(&self, at: Timestamp, now: Timestamp) -> bool {
        self.approval.pending_timeout().is_some_and(|timeout| {
            let age = now.milliseconds().saturating_sub(at.milliseconds());
            u128::try_from(age).unwrap_or(0) >= timeout.as_millis()
        })
    }

    /// For whom `voter` stood then and stands now, `caller` being who that is now.
    ///
    /// # Errors
    /// Why their vote does not count any more, in words.
    pub(super) fn by_now(
        &self,
        voter: Voter<'_>,
        caller: Option<Caller>,
    ) -> Result<BTreeSet<String>, String> {
        let caller = caller.filter(|it| it.since == voter.since);
        let Some(caller) = caller.filter(|it| it.may(Permission::Decide)) else {
            return Err(format!("{} may not decide any more", voter.display));
        };
        if self.is_own(voter.id) {
            return Err(format!("{} asked for {}", voter.display, self.what));
        }
        let now = self.stands_for(&caller);
        let both: BTreeSet<String> =
            voter.stands_for.iter().filter(|it| now.contains(*it)).cloned().collect();
        if both.is_empty() {
            return Err(format!("{} is none of the approvers any more", voter.display));
        }
        Ok(both)
    }

    /// Who is still missing where `have` of the quorum said yes; nothing where nobody is.
    pub(super) fn missing(&self, have: usize) -> String {
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

    /// Whether `caller` may ask for what these decide about.
    pub(super) fn may_ask(&self, caller: &Caller) -> bool {
        let listed = self.approval.requesters();
        listed.is_empty()
            || caller.may(Permission::Decide)
            || listed.iter().any(|it| names(it, caller))
    }
}

/// Whether `principal` names `caller`, or a group that they are in.
pub(super) fn names(principal: &Principal, caller: &Caller) -> bool {
    match (principal, &caller.id) {
        (Principal::Group(group), _) => caller.groups.contains(group),
        (Principal::Signer(name), PersonId::Signer { name: own, .. })
        | (Principal::Token(name), PersonId::Token { name: own })
        | (Principal::User(name), PersonId::Local { name: own }) => name == own,
        (Principal::Oidc { issuer, subject }, PersonId::Oidc { issuer: by, subject: own }) => {
            issuer == by && subject == own
        }
        (
            Principal::Oidc { .. }
            | Principal::Signer(_)
            | Principal::Token(_)
            | Principal::User(_),
            _,
        ) => false,
    }
}
