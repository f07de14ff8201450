//! Exceptions granted at the desk: asking for one, seeing them, and ending one.
//!
//! Who may grant is the policy's to say; what an exception takes out, and whether it is in force, is the
//! gate's: here it is asked.

mod trying;
mod view;
mod voting;

use tracing::info;

pub use view::{
    AskerView, ClosedView, ExceptionAskedView, ExceptionBody, ExceptionDecidedView,
    ExceptionEndBody, ExceptionView, ExceptionVoteBody, GrantingView, NAME_BYTES_MAX,
    TICKET_LENGTH_MAX,
};
pub use voting::{ExceptionVerb, ExceptionWord};

use super::decide::check_reason;
use super::electorate::Electorate;
use super::target::image;
use super::{Desk, Error, PAGE_MAX};
use crate::ledger::{
    Caller, ExceptionEnd, ExceptionFilter, ExceptionId, ExceptionRow, ExceptionScope,
    ExceptionState, ExceptionWish, Permission,
};
use crate::oci::Name;
use crate::scan::vex::JUSTIFICATIONS;

/// What the names of malware begin with: that is excepted by the policy only.
const MALWARE: &str = "MAL-";

/// What somebody may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionOffer {
    /// What it would take out.
    pub finding: Vec<String>,
    /// What would refuse the image all the same.
    pub still_refused: Vec<String>,
    /// The rule that decides.
    pub rule: String,
    /// Who would have to grant it, in words.
    pub approval: String,
    /// For how long it could last.
    pub longest_days: u64,
    /// Whether whoever asks may say yes to it at once.
    pub may_grant: bool,
}

impl Desk {
    /// Files the exception that `by` asks for, or joins them to those who asked for the same.
    ///
    /// # Errors
    /// When a part of it is not well-formed, the policy lets nobody grant it, there is nothing that it would
    /// take out, or the ledger fails; nothing is filed then.
    pub async fn ask_exception(
        &self,
        body: &ExceptionBody,
        by: &Caller,
    ) -> Result<ExceptionAskedView, Error> {
        let scope = self.scope_of(body, by).await?;
        let tried = self.try_exception(&scope, body.expires).await?;
        let electorate = Electorate {
            approval: tried.granting.approval(),
            requesters: &[],
            what: "the exception",
        };
        if !electorate.may_ask(by) {
            return Err(Error::NotRequester { requester: by.display.clone(), rule: tried.rule });
        }
        let now = self.mirror.now();
        let longest = tried.granting.longest(self.mirror.policy().exception_time_max());
        if body.expires > now.after(longest) {
            let days = longest.as_secs() / (24 * 3600);
            return Err(Error::ExceptionTooLong { rule: tried.rule, days });
        }
        let wish = ExceptionWish {
            scope,
            expires: body.expires,
            justification: body.justification.clone(),
            by: by.clone(),
            reason: body.reason.trim().to_owned(),
            ticket: body.ticket.clone(),
        };
        let (id, changed) = self.mirror.ledger().ask_exception(wish).await?;
        info!(exception = %id, by = %by.name(), changed, "an exception is asked for");
        Ok(ExceptionAskedView { exception: self.exception(id).await?, already: !changed })
    }

    /// What an exception of `image` from one of its findings, by its vulnerability and package, would take out,
    /// who would have to grant it, and for how long it could last; nothing is filed.
    ///
    /// # Errors
    /// As [`Desk::ask_exception`].
    pub async fn offer_exception(
        &self,
        image: &str,
        (vulnerability, package): (&str, Option<&str>),
        by: &Caller,
    ) -> Result<ExceptionOffer, Error> {
        let now = self.mirror.now();
        let body = ExceptionBody {
            image: image.to_owned(),
            scope: "image".to_owned(),
            vulnerability: vulnerability.to_owned(),
            package: package.map(str::to_owned),
            reason: "asked what it would be".to_owned(),
            ticket: None,
            // No exception is for longer: what is in force stands in the way of none.
            expires: now.after(crate::policy::Exception::TIME_MAX),
            justification: None,
        };
        let scope = self.scope_of(&body, by).await?;
        let tried = self.try_exception(&scope, body.expires).await?;
        let approval = tried.granting.approval();
        let what = "the exception";
        let electorate = Electorate { approval, requesters: &[], what };
        let longest = tried.granting.longest(self.mirror.policy().exception_time_max());
        let decides = by.may(Permission::Decide) && approval.self_approval();
        Ok(ExceptionOffer {
            may_grant: decides && !electorate.stands_for(by).is_empty(),
            approval: approval.to_string(),
            longest_days: longest.as_secs() / (24 * 3600),
            rule: tried.rule,
            finding: tried.finding,
            still_refused: tried.still_refused,
        })
    }

    /// What `body` is about, checked.
    async fn scope_of(&self, body: &ExceptionBody, by: &Caller) -> Result<ExceptionScope, Error> {
        check_reason(&body.reason)?;
        let invalid = |what: &'static str| Err(Error::ExceptionForm { what });
        let is_word = |text: &str| {
            !text.is_empty()
                && text.len() <= NAME_BYTES_MAX
                && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if !is_word(&body.vulnerability) {
            return invalid(
                "vulnerability is one word of at most 200 bytes, such as CVE-2026-1234",
            );
        }
        if body.package.as_ref().is_some_and(|package| !is_word(package)) {
            return invalid("package is one word of at most 200 bytes");
        }
        let is_ticket = |text: &String| {
            let count = text.chars().count();
            (1..=TICKET_LENGTH_MAX).contains(&count) && !text.chars().any(char::is_control)
        };
        if body.ticket.as_ref().is_some_and(|ticket| !is_ticket(ticket)) {
            return invalid("ticket is one line of at most 200 characters");
        }
        let known = |word: &String| JUSTIFICATIONS.contains(&word.as_str());
        if body.justification.as_ref().is_some_and(|word| !known(word)) {
            return invalid("justification is none of the words of OpenVEX");
        }
        if body.expires <= self.mirror.now() {
            return Err(Error::ExpiryPast);
        }
        if body.vulnerability.starts_with(MALWARE) {
            return invalid("malware is excepted by the policy only (exceptions), not at the desk");
        }
        let image = image(&body.image)?;
        self.check_scope(by, std::slice::from_ref(&body.image))?;
        let digest = match body.scope.as_str() {
            "image" => Some(self.subject_of(&image).await?.digest),
            "repository" => None,
            _ => return invalid("scope is image or repository"),
        };
        let (vulnerability, package) = (body.vulnerability.clone(), body.package.clone());
        Ok(ExceptionScope { name: image.name, digest, vulnerability, package })
    }

    /// Exceptions after `after`: those in `state`, those that wait or are in force, or with `all` every one;
    /// of one repository, where that is named.
    ///
    /// # Errors
    /// When the state is none, or the ledger cannot be read.
    pub async fn exceptions(
        &self,
        state: Option<&str>,
        name: Option<Name>,
        (limit, after): (Option<u32>, Option<ExceptionId>),
    ) -> Result<Vec<ExceptionView>, Error> {
        let filter = ExceptionFilter {
            states: states_of(state)?,
            name,
            after,
            newest_first: false,
            limit: limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
        };
        let rows = self.mirror.ledger().exceptions(filter).await?;
        Ok(rows.iter().map(ExceptionView::from).collect())
    }

    /// A page of exceptions, newest first, before `before`, and before which the next page begins.
    ///
    /// # Errors
    /// When the state is none, or the ledger cannot be read.
    pub async fn exceptions_page(
        &self,
        state: Option<&str>,
        before: Option<ExceptionId>,
        limit: u32,
    ) -> Result<(Vec<ExceptionView>, Option<ExceptionId>), Error> {
        let states = states_of(state)?;
        let limit = limit.clamp(1, PAGE_MAX);
        let filter =
            ExceptionFilter { states, name: None, after: before, newest_first: true, limit };
        let rows = self.mirror.ledger().exceptions(filter).await?;
        let is_full = u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
        let next = rows.last().filter(|_| is_full).map(|row| row.id);
        Ok((rows.iter().map(ExceptionView::from).collect(), next))
    }

    /// The exception `id` with everything about it: while it waits, what it would take out and how the votes
    /// stand.
    ///
    /// # Errors
    /// [`Error::ExceptionUnknown`]; when the ledger cannot be read.
    pub async fn exception(&self, id: ExceptionId) -> Result<ExceptionView, Error> {
        let row = self.exception_row(id).await?;
        let mut view = ExceptionView::from(&row);
        if row.state != ExceptionState::Asked {
            return Ok(view);
        }
        match Box::pin(self.exception_poll(&row)).await {
            Ok(poll) => {
                view.finding = poll.finding().to_vec();
                view.still_refused = poll.still_refused().to_vec();
                view.votes = Some(self.exception_votes_view(&poll, &row).await?);
            }
            Err(Error::Ledger(error)) => return Err(Error::Ledger(error)),
            Err(error) => view.not_votable = Some(error.to_string()),
        }
        Ok(view)
    }

    pub(super) async fn exception_row(&self, id: ExceptionId) -> Result<ExceptionRow, Error> {
        let row = self.mirror.ledger().exception(id).await?;
        row.ok_or(Error::ExceptionUnknown { exception: id })
    }

    /// Ends the exception `id` for `by`: what was granted is not in force for the next pull any more. Who may
    /// decide may end any; who asked, alone, may take back what waits.
    ///
    /// # Errors
    /// [`Error::ExceptionUnknown`], [`Error::NotYourException`], [`Error::ReasonForm`]; when it is closed, or
    /// the ledger fails.
    pub async fn end_exception(
        &self,
        id: ExceptionId,
        by: &Caller,
        reason: &str,
    ) -> Result<ExceptionDecidedView, Error> {
        check_reason(reason)?;
        let _one_at_a_time = self.deciding.lock().await;
        let row = self.exception_row(id).await?;
        let is_own =
            row.state == ExceptionState::Asked && row.askers.iter().all(|asker| asker.by == by.id);
        if !by.may(Permission::Decide) && !is_own {
            return Err(Error::NotYourException { who: by.display.clone(), exception: id });
        }
        let (name, reason) = (by.name(), reason.trim().to_owned());
        let end = ExceptionEnd { id, by: name, reason, refuses: false };
        let row = self.mirror.ledger().end_exception(end).await?;
        info!(exception = %id, by = %by.name(), "an exception is ended");
        self.mirror.judge_repository_again(&row.scope.name);
        let exception = ExceptionView::from(&row);
        Ok(ExceptionDecidedView { decision: "ended".to_owned(), exception })
    }
}

/// The states that `word` stands for; none is those that wait or are in force.
fn states_of(word: Option<&str>) -> Result<Vec<ExceptionState>, Error> {
    let all = ExceptionState::ALL;
    match word {
        None | Some("open") => Ok(all.into_iter().filter(|state| !state.is_closed()).collect()),
        Some("all") => Ok(Vec::new()),
        Some(word) => {
            let state = all.into_iter().find(|state| state.as_str() == word);
            let words: Vec<&str> = all.iter().map(|state| state.as_str()).collect();
            let known = words.join(", ");
            state
                .map(|state| vec![state])
                .ok_or_else(|| Error::ExceptionState { text: word.to_owned(), known })
        }
    }
}
