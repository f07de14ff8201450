//! Break-glass: using one, saying yes to one, ending one, and looking at one afterwards.
//!
//! What one lets be served is the gate's to say; here is who may, for how long, and what they have to write.

mod error;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::decide::check_reason;
use super::electorate::names;
use super::target::image as image_in;
use super::{Desk, Error};
use crate::gate::{EmergencyId, Judgement, ReasonCode, Standing, Subject, refuse_by_name};
use crate::ledger::{
    Caller, EmergencyChange, EmergencyProof, EmergencyReview, EmergencyRow, EmergencyScope,
    EmergencyState, EmergencyVote, NewEmergency, Permission, PersonId,
};
use crate::mirror::Freshness;
use crate::oci::Name;
use crate::policy::{BreakGlass, Principal, time_in};
pub use error::EmergencyError;
use view::{BreakGlassBody, BreakGlassReviewBody, BreakGlassView};

/// Longest ticket, in characters.
const TICKET_LENGTH_MAX: usize = 200;
/// Shortest time for which one holds.
const TTL_MIN: Duration = Duration::from_mins(1);
/// For how long one holds where nobody says how long.
const TTL_USUAL: Duration = Duration::from_hours(1);
/// How many people the next one takes of whoever left one unreviewed for too long.
const QUORUM_OVERDUE: u64 = 2;

impl Desk {
    /// Uses one as `body` says, for `caller`, who showed `proof` once more. It is in force when this returns,
    /// unless it takes more people.
    ///
    /// # Errors
    /// See [`EmergencyError`]; nothing was changed then.
    pub async fn break_glass(
        &self,
        caller: &Caller,
        body: &BreakGlassBody,
        proof: Option<EmergencyProof>,
    ) -> Result<BreakGlassView, Error> {
        let allowed = self.allowed(caller)?;
        check_reason(&body.reason)?;
        let ticket = ticket(body.ticket.as_deref(), allowed.needs_ticket())?;
        let ttl = ttl(body.ttl.as_deref(), allowed.ttl_max())?;
        let scope = self.emergency_scope(body).await?;
        self.check_emergency(&allowed, &scope).await?;
        let _one_at_a_time = self.deciding.lock().await;
        // Somebody may have changed it while a tag was resolved.
        let (allowed, now) = (self.allowed(caller)?, self.mirror.now());
        let ledger = self.mirror.ledger();
        let own = u64::try_from(allowed.quorum()).unwrap_or(u64::MAX);
        let is_overdue = ledger.has_overdue_emergency(&caller.id, now);
        let quorum = if is_overdue { own.max(QUORUM_OVERDUE) } else { own };
        let new = NewEmergency {
            scope,
            by: caller.clone(),
            reason: body.reason.trim().to_owned(),
            ticket,
            ttl: ttl.min(allowed.ttl_max()),
            quorum,
            review_within: allowed.review_within(),
            policy: *self.mirror.policy().id(),
            now,
            proof,
        };
        let row = ledger.begin_emergency(new).await?;
        warn!(id = %row.id, by = %row.by, scope = %row.scope, state = row.state.as_str(), "break-glass used");
        Ok(self.told(&row))
    }

    /// Says yes to the one called `text`, as `caller`, who showed `proof` once more.
    ///
    /// # Errors
    /// See [`EmergencyError`]; when it does not wait, or the ledger fails.
    pub async fn vote_break_glass(
        &self,
        caller: &Caller,
        text: &str,
        comment: &str,
        proof: Option<EmergencyProof>,
    ) -> Result<BreakGlassView, Error> {
        check_reason(comment)?;
        let _one_at_a_time = self.deciding.lock().await;
        let (id, allowed) = (emergency_id(text)?, self.allowed(caller)?);
        let row = self.emergency_row(id).await?;
        let who = caller.display.clone();
        if row.is_of(&caller.id) {
            return Err(EmergencyError::Own { who, id }.into());
        }
        self.check_emergency(&allowed, &row.scope).await?;
        // Those count who are still named.
        let ledger = self.mirror.ledger();
        let voters = row.votes.iter().map(|vote| (&vote.by, vote.since));
        let counts = voters.chain([(&row.by, row.since)]).filter(|(by, since)| {
            let known = ledger.caller(by).filter(|known| known.since == *since);
            known.is_some_and(|known| is_named(&allowed, &known))
        });
        let have = u64::try_from(counts.count()).unwrap_or(0).saturating_add(1);
        let vote = EmergencyVote {
            by: caller.id.clone(),
            since: caller.since,
            display: who,
            at: self.mirror.now(),
            comment: comment.trim().to_owned(),
        };
        let opens = (have >= row.quorum).then(|| allowed.review_within());
        let change = EmergencyChange::Vote { vote, opens, have, proof };
        let row = ledger.change_emergency(id, change).await?;
        Ok(self.told(&row))
    }

    /// Ends the one called `text`, for `caller`: nothing is served by it any more when this returns.
    ///
    /// # Errors
    /// See [`EmergencyError`]; when it is over already, or the ledger fails.
    pub async fn end_break_glass(
        &self,
        caller: &Caller,
        text: &str,
        why: Option<&str>,
    ) -> Result<BreakGlassView, Error> {
        let why = why.map(str::trim).filter(|why| !why.is_empty()).unwrap_or("ended early");
        check_reason(why)?;
        let _one_at_a_time = self.deciding.lock().await;
        let id = emergency_id(text)?;
        let row = self.emergency_row(id).await?;
        if row.by != caller.id && !caller.may(Permission::Decide) {
            return Err(EmergencyError::NotOwn { id }.into());
        }
        let (by, why, now) = (caller.name(), why.to_owned(), self.mirror.now());
        let change = EmergencyChange::End { by, why, now };
        let row = self.mirror.ledger().change_emergency(id, change).await?;
        Ok(self.told(&row))
    }

    /// Puts on record what `caller` makes of the one called `text`.
    ///
    /// # Errors
    /// See [`EmergencyError`]; when the ledger fails.
    pub async fn review_break_glass(
        &self,
        caller: &Caller,
        text: &str,
        body: &BreakGlassReviewBody,
    ) -> Result<BreakGlassView, Error> {
        check_reason(&body.comment)?;
        let is_justified = match body.verdict.as_str() {
            "justified" => true,
            "not-justified" => false,
            _ => return Err(EmergencyError::Review.into()),
        };
        let _one_at_a_time = self.deciding.lock().await;
        let id = emergency_id(text)?;
        let row = self.emergency_row(id).await?;
        let why = match row.state {
            EmergencyState::Open | EmergencyState::Waiting => Some("it is not over"),
            EmergencyState::Ended if row.in_force_at.is_none() => Some("it was never in force"),
            EmergencyState::Ended if row.review.is_some() => Some("somebody reviewed it before"),
            EmergencyState::Ended => None,
        };
        if let Some(why) = why {
            return Err(EmergencyError::NotReviewable { id, why }.into());
        }
        let display = caller.display.clone();
        if row.is_of(&caller.id) {
            return Err(EmergencyError::Own { who: display, id }.into());
        }
        let review = EmergencyReview {
            by: caller.id.clone(),
            display,
            at: self.mirror.now(),
            is_justified,
            comment: body.comment.trim().to_owned(),
        };
        let change = EmergencyChange::Review(review);
        let row = self.mirror.ledger().change_emergency(id, change).await?;
        Ok(self.told(&row))
    }

    /// The latest, newest first, below `before` where that is given; at most `limit`.
    ///
    /// # Errors
    /// When `before` is no number of one, or the ledger fails.
    pub async fn break_glasses(
        &self,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<BreakGlassView>, Error> {
        let before = before.map(emergency_id).transpose()?;
        let rows = self.mirror.ledger().emergencies(before, limit).await?;
        let now = self.mirror.now();
        Ok(rows.iter().map(|row| BreakGlassView::of(row, now)).collect())
    }

    /// The one called `text`.
    ///
    /// # Errors
    /// When there is none, or the ledger fails.
    pub async fn break_glass_view(&self, text: &str) -> Result<BreakGlassView, Error> {
        let row = self.emergency_row(emergency_id(text)?).await?;
        Ok(BreakGlassView::of(&row, self.mirror.now()))
    }

    /// Those that wait, are in force, or were and nobody has reviewed; newest first. From memory.
    pub fn break_glasses_at_hand(&self) -> Vec<BreakGlassView> {
        let (held, now) = (self.mirror.ledger().emergencies_held(), self.mirror.now());
        held.iter().rev().map(|row| BreakGlassView::of(row, now)).collect()
    }

    /// Whether `caller` may use one by the policy in force.
    pub fn may_break_glass(&self, caller: &Caller) -> bool {
        self.allowed(caller).is_ok()
    }

    /// What the policy allows `caller`.
    fn allowed(&self, caller: &Caller) -> Result<Arc<BreakGlass>, EmergencyError> {
        let policy = self.mirror.policy();
        let allowed = policy.break_glass().ok_or(EmergencyError::NotInPolicy)?;
        if !is_named(allowed, caller) {
            let named: Vec<String> = allowed.who().iter().map(ToString::to_string).collect();
            let (who, named) = (caller.display.clone(), named.join(", "));
            return Err(EmergencyError::NotNamed { who, named });
        }
        Ok(Arc::clone(allowed))
    }

    async fn emergency_row(&self, id: EmergencyId) -> Result<EmergencyRow, Error> {
        let found = self.mirror.ledger().emergency(id).await?;
        found.ok_or_else(|| EmergencyError::Unknown { text: id.to_string() }.into())
    }

    /// What `body` asks for: a tag is what it stands for now.
    async fn emergency_scope(&self, body: &BreakGlassBody) -> Result<EmergencyScope, Error> {
        match (&body.image, &body.repository) {
            (Some(text), None) => {
                let image = image_in(text)?;
                self.check_registry(&image.name)?;
                let subject = self.subject_of(&image).await?;
                Ok(EmergencyScope::Image { subject })
            }
            (None, Some(text)) => {
                let wrong = || EmergencyError::Repository { text: text.trim().to_owned() };
                let name: Name = text.trim().parse().map_err(|_| wrong())?;
                self.check_registry(&name)?;
                Ok(EmergencyScope::Repository { name })
            }
            (Some(_), Some(_)) | (None, None) => Err(EmergencyError::Scope.into()),
        }
    }

    /// Refuses a registry that the floor does not list, without a request to it.
    fn check_registry(&self, name: &Name) -> Result<(), EmergencyError> {
        let refused = refuse_by_name(&self.mirror.policy(), name, None, self.mirror.now());
        let reasons = refused.iter().flat_map(Judgement::reasons);
        let mut listed = reasons.filter(|it| it.code == ReasonCode::RegistryNotAllowed);
        match listed.next() {
            Some(reason) => Err(EmergencyError::Holds { why: reason.text.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses what would hold all the same, as far as that is known.
    async fn check_emergency(
        &self,
        allowed: &BreakGlass,
        scope: &EmergencyScope,
    ) -> Result<(), Error> {
        let name = scope.name();
        if !allowed.covers(name) {
            return Err(EmergencyError::NotCovered { name: name.to_string() }.into());
        }
        self.check_registry(name)?;
        let Some(subject) = scope.subject() else { return Ok(()) };
        if let Some(why) = self.mirror.policy().denied_image(&subject.digest) {
            return Err(EmergencyError::Holds { why: format!("denied image: {why}") }.into());
        }
        let record = self.mirror.ledger().record(subject).await?;
        let standing = record.as_ref().and_then(|record| record.standing.as_ref());
        if let Some(Standing::Rejected { by, .. } | Standing::Revoked { by, .. }) = standing {
            let why = format!("{by} refused it; who decides may approve or reinstate it");
            return Err(EmergencyError::Holds { why }.into());
        }
        Ok(())
    }

    /// `row` as it is shown, after the counters know of it; what it opens is judged meanwhile.
    fn told(&self, row: &EmergencyRow) -> BreakGlassView {
        self.mirror.show_emergencies();
        if let (EmergencyState::Open, Some(subject)) = (row.state, row.scope.subject()) {
            self.judge_meanwhile(subject.clone());
        }
        BreakGlassView::of(row, self.mirror.now())
    }

    /// Gathers what is to be known of `subject`, so that the first pull need not wait for it.
    fn judge_meanwhile(&self, subject: Subject) {
        let mirror = self.mirror.clone();
        drop(self.mirror.tasks().spawn(async move {
            if let Err(error) = Box::pin(mirror.judge(&subject, Freshness::Stored)).await {
                warn!(%subject, %error, "not judged by its break-glass yet");
            }
        }));
    }
}

/// Whether the policy names `caller`: a token by its own name only, so that no robot is in a group.
fn is_named(allowed: &BreakGlass, caller: &Caller) -> bool {
    let is_token = matches!(caller.id, PersonId::Token { .. });
    let counts = |it: &&Principal| !(is_token && matches!(it, Principal::Group(_)));
    allowed.who().iter().filter(counts).any(|it| names(it, caller))
}

fn emergency_id(text: &str) -> Result<EmergencyId, EmergencyError> {
    text.trim().parse().map_err(|_| EmergencyError::Unknown { text: text.trim().to_owned() })
}

fn ticket(text: Option<&str>, is_needed: bool) -> Result<Option<String>, EmergencyError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let is_good = |text: &str| {
        text.chars().count() <= TICKET_LENGTH_MAX && !text.chars().any(char::is_control)
    };
    match text {
        Some(text) if is_good(text) => Ok(Some(text.to_owned())),
        None if !is_needed => Ok(None),
        Some(_) | None => Err(EmergencyError::Ticket { max: TICKET_LENGTH_MAX }),
    }
}

fn ttl(text: Option<&str>, max: Duration) -> Result<Duration, EmergencyError> {
    let Some(text) = text else { return Ok(TTL_USUAL.min(max)) };
    let ttl = time_in(text.trim()).filter(|ttl| (TTL_MIN..=max).contains(ttl));
    ttl.ok_or(EmergencyError::Ttl { max })
}
