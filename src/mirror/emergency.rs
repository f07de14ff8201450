//! Break-glass: what is served by an emergency grant, and for how long.
//!
//! A verdict that was reached under one is kept as the refusal that it is, with a note by which of them it
//! is served. Whether that one is in force is asked again for everything that is handed out, of memory: it
//! ends at its moment, whatever was kept.

use std::time::Duration;

use tracing::{info, warn};

use super::resolve::Answer;
use super::{Error, Judged, Mirror, Pull, attachments};
use crate::gate::{Emergency, Judgement, ReasonCode, Subject};
use crate::ledger::{self, EmergencyChange, EmergencyRow, EmergencyState};
use crate::oci::{Name, Reference};

/// How often it is seen whether something has to be put on record about one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Mirror {
    /// Those that are in force for `subject` now; the one that ends last comes first.
    pub(super) fn emergencies_for(&self, subject: &Subject) -> Vec<Emergency> {
        self.emergencies_at(&subject.name, |row| row.scope.covers(subject))
    }

    /// The one by which `subject` is judged now.
    pub(super) fn emergency_for(&self, subject: &Subject) -> Option<Emergency> {
        self.emergencies_for(subject).first().copied()
    }

    /// Whether one is in force for something of `name`.
    pub(super) fn is_emergency_at(&self, name: &Name) -> bool {
        !self.emergencies_at(name, |row| row.scope.name() == name).is_empty()
    }

    /// Those that are in force for something of `name`.
    pub(super) fn emergencies_of(&self, name: &Name) -> Vec<Emergency> {
        self.emergencies_at(name, |row| row.scope.name() == name)
    }

    fn emergencies_at(&self, name: &Name, meant: impl Fn(&EmergencyRow) -> bool) -> Vec<Emergency> {
        let policy = self.policy();
        if !policy.break_glass().is_some_and(|allowed| allowed.covers(name)) {
            return Vec::new();
        }
        let counts = |row: &EmergencyRow| meant(row) && self.is_user_known(row);
        self.ledger().emergencies_in_force(self.now(), counts)
    }

    /// Whether whoever used it may still come in. What they may do, and in which groups they are, is asked
    /// when it is used: nodes pull while people change.
    fn is_user_known(&self, row: &EmergencyRow) -> bool {
        self.ledger().caller(&row.by).is_some_and(|caller| caller.since == row.since)
    }

    /// Whether `judgement` was reached under what is in force for `subject` now, or that is all the same.
    pub(super) fn knows_emergency(&self, subject: &Subject, judgement: &Judgement) -> bool {
        if judgement.admits() || !judgement.enforced {
            return true;
        }
        let now = self.emergency_for(subject).map(|it| it.id);
        judgement.by_emergency.as_ref().map(|it| it.id) == now
    }

    /// Whether `judgement` lets `subject` be served now: it admits, is only written down, or is overridden
    /// by a break-glass that is in force.
    pub(super) fn may_serve(&self, subject: &Subject, judgement: &Judgement) -> bool {
        super::judge::may_be_served(judgement) || self.served_by(subject, judgement).is_some()
    }

    /// The break-glass that is in force now and by which alone `judgement` lets `subject` be served.
    pub(super) fn served_by(&self, subject: &Subject, judgement: &Judgement) -> Option<Emergency> {
        let by = judgement.served_by()?;
        self.emergencies_for(subject).into_iter().find(|it| it.id == by.id)
    }

    /// Whether `subject` may be served as it was `judged`: by its verdict, by a break-glass, or served on while
    /// nothing can be decided.
    pub(super) fn serves(&self, subject: &Subject, judged: &Judged) -> bool {
        let by_verdict = judged.judgement().is_some_and(|it| self.may_serve(subject, it));
        by_verdict || judged.stale.is_some()
    }

    /// Whether what `pull` asks for is looked at although `judgement` refuses it by its name: a break-glass
    /// is in force for it, or for what lists it.
    pub(super) async fn is_opened(
        &self,
        pull: &Pull,
        judgement: &Judgement,
    ) -> Result<bool, Error> {
        let by_rule = |code| matches!(code, ReasonCode::NoRule | ReasonCode::DeniedByRule);
        let name = &pull.name;
        if !judgement.reasons().iter().all(|it| by_rule(it.code)) || !self.is_emergency_at(name) {
            return Ok(false);
        }
        let digest = match &pull.reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match attachments::subject_of_tag(tag) {
                Some(subject) => subject,
                None => match self.resolve_tag(name, tag).await? {
                    Answer::Stale(digest) | Answer::Upstream(digest) => digest,
                    Answer::Gone => return Ok(false),
                },
            },
        };
        if self.emergency_for(&Self::subject(name, &digest)).is_some() {
            return Ok(true);
        }
        Ok(self.inherited(name, &digest).await?.is_some())
    }

    /// Begins to see to it that what is over is put on record; to be called once, on a runtime.
    pub fn watch_emergencies(&self) {
        drop(self.tasks().spawn(self.clone().follow_emergencies()));
    }

    async fn follow_emergencies(self) {
        let mut stopping = std::pin::pin!(self.tasks().stopping());
        loop {
            if let Err(error) = self.settle_emergencies().await {
                warn!(%error, "a break-glass is over, and that is not on record yet");
            }
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Puts on record which are over, and which nobody reviewed in time.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn settle_emergencies(&self) -> Result<(), ledger::Error> {
        let now = self.now();
        let mut failed = None;
        for row in self.ledger().emergencies_held() {
            let change = match (row.state, self.why_over(&row)) {
                (EmergencyState::Open | EmergencyState::Waiting, Some(why)) => {
                    let (by, why) = ("server".to_owned(), why.to_owned());
                    EmergencyChange::End { by, why, now }
                }
                _ if row.is_overdue(now) && !row.overdue_told => EmergencyChange::Overdue,
                _ => continue,
            };
            info!(id = %row.id, scope = %row.scope, ?change, "break-glass");
            // One that cannot be written does not keep the others from it.
            failed = self.ledger().change_emergency(row.id, change).await.err().or(failed);
        }
        self.show_emergencies();
        failed.map_or(Ok(()), Err)
    }

    /// Why `row` is over, if it is.
    fn why_over(&self, row: &EmergencyRow) -> Option<&'static str> {
        let policy = self.policy();
        let allowed = policy.break_glass().is_some_and(|it| it.covers(row.scope.name()));
        if self.ledger().is_emergency_over(row, self.now()) {
            let waited = row.state == EmergencyState::Waiting;
            return Some(if waited {
                "not enough people said yes in time"
            } else {
                "its time is over"
            });
        }
        if !allowed {
            return Some("the policy does not allow it any more");
        }
        (!self.is_user_known(row)).then_some("whoever used it may not come in any more")
    }

    /// Tells the counters how many there are.
    pub(super) fn show_emergencies(&self) {
        let held = self.ledger().emergencies_held();
        let count = |meant: fn(&EmergencyRow) -> bool| {
            i64::try_from(held.iter().filter(|row| meant(row)).count()).unwrap_or(i64::MAX)
        };
        let metrics = self.metrics();
        metrics.emergencies_open.set(count(|row| row.state == EmergencyState::Open));
        metrics.emergencies_unreviewed.set(count(EmergencyRow::is_unreviewed));
    }
}

/// What whoever pulls is told of what is served by `emergency`.
pub(super) fn warning(emergency: &Emergency) -> String {
    format!("admitted by break-glass {} until {}", emergency.id, emergency.until)
}
