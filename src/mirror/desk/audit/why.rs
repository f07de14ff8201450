//! Why an image ran at some time, as the audit knows it.
//!
//! Everything told here is from records of the chain, so that it is as trustworthy as they are. The one
//! exception is which index lists an image: that is looked up in the evidence of today, and said to be.

use super::audit_view;
use super::view::{WhyBreakGlass, WhyDecision, WhyPolicy, WhyTag, WhyVerdict, WhyView};
use crate::gate::Subject;
use crate::ledger::{self, AuditKind, AuditRow, Trail};
use crate::mirror::desk::show::word;
use crate::mirror::desk::target::{image, tag_of};
use crate::mirror::desk::{Desk, Error};
use crate::oci::{ImageReference, Tag};
use crate::time::Timestamp;

/// Most records that are told, before and since, each.
const TOLD_MAX: usize = 50;
/// What records about policies have in their text, and only these.
const POLICIES: &str = "\"kind\":\"policy-";
/// What records about a restored ledger have in their text, and only these.
const RESTORED: &str = "\"kind\":\"restored\"";

impl Desk {
    /// Why the image in `text` was served at the time `at`, or not; without a time, now. One at a time.
    ///
    /// # Errors
    /// When it is not an image, was not served under that tag, or the audit cannot be read.
    pub async fn why(&self, text: &str, at: Option<Timestamp>) -> Result<WhyView, Error> {
        let image = image(text)?;
        let at = at.unwrap_or_else(|| self.mirror.now());
        let _one_at_a_time = self.reading_audit.lock().await;
        let (subject, tag) = self.subject_then(&image, at).await?;
        let about = self.about(&subject).await?;
        let policies = self.mirror.ledger().trail(POLICIES, |_| true).await?;
        let restored = self.mirror.ledger().trail(RESTORED, |_| true).await?;
        let emergency = self.emergency_then(&about, at).await?;
        let (about, policies, restored) = (&about, &policies, &restored);
        let known = Known { at, about, policies, restored, emergency };
        let mut view = known.view(&image, &subject);
        view.tag = tag;
        if view.verdict.is_none() && view.decision.is_none() {
            self.by_index(&mut view, &subject, at).await?;
        }
        Ok(view)
    }

    /// What `image` meant at `at`: a tag is what it was last served as by then.
    async fn subject_then(
        &self,
        image: &ImageReference,
        at: Timestamp,
    ) -> Result<(Subject, Option<WhyTag>), Error> {
        if let Some(digest) = image.digest {
            return Ok((Subject { name: image.name.clone(), digest }, None));
        }
        let unserved = || Error::TagNotServed { image: image.to_string(), at };
        let tag: Tag = tag_of(image).ok_or_else(unserved)?;
        let (name, text) = (image.name.clone(), tag.to_string());
        let needle = format!("\"tag\":\"{tag}\"");
        let moves = self.mirror.ledger().trail(&needle, move |row| {
            row.event.kind == AuditKind::TagAdmitted
                && row.event.subject.as_ref().is_some_and(|subject| subject.name == name)
                && row.event.details.get("tag") == Some(&text)
        });
        let moves = moves.await?;
        let last = moves.rows.iter().rfind(|row| row.at <= at);
        if last.is_none()
            && let Some(unread) = moves.unread.into_iter().rfind(|unread| unread.first_at <= at)
        {
            return Err(ledger::Error::Archived(Box::new(unread)).into());
        }
        let last = last.ok_or_else(unserved)?;
        let subject = last.event.subject.clone().ok_or_else(unserved)?;
        let tag = WhyTag { tag: tag.to_string(), since: last.at, sequence: last.sequence };
        Ok((subject, Some(tag)))
    }

    /// The break-glass by which the last verdict of `about` by `at` says that it was served, unless that was
    /// over by then.
    async fn emergency_then(
        &self,
        about: &Trail,
        at: Timestamp,
    ) -> Result<Option<WhyBreakGlass>, Error> {
        let judged = about.rows.iter().filter(|row| row.at <= at);
        let judged = judged.rev().find(|row| row.event.kind == AuditKind::Judged);
        let detail = |row: &AuditRow, key: &str| row.event.details.get(key).cloned();
        let Some(id) = judged.and_then(|row| detail(row, "served_by")) else { return Ok(None) };
        let until = judged.and_then(|row| detail(row, "until")).and_then(|at| at.parse().ok());
        let Some(until) = until.filter(|until| at < *until) else { return Ok(None) };
        let (needle, wanted) = (format!("\"break_glass\":\"{id}\""), id.clone());
        let trail = self
            .mirror
            .ledger()
            .trail(&needle, move |row| row.event.details.get("break_glass") == Some(&wanted));
        let trail = trail.await?;
        let of = |kind| trail.rows.iter().find(move |row| row.event.kind == kind && row.at <= at);
        let used =
            of(AuditKind::BreakGlassUsed).filter(|_| of(AuditKind::BreakGlassEnded).is_none());
        Ok(used.map(|row| WhyBreakGlass {
            id,
            by: row.event.by.clone(),
            at: row.at,
            reason: row.event.reason.clone().unwrap_or_default(),
            until,
            sequence: row.sequence,
        }))
    }

    async fn about(&self, subject: &Subject) -> Result<Trail, Error> {
        let wanted = subject.clone();
        let keep = move |row: &AuditRow| row.event.subject.as_ref() == Some(&wanted);
        Ok(self.mirror.ledger().trail(&subject.digest.to_string(), keep).await?)
    }

    /// Answers by the index that lists `subject`, if one was judged by `at`.
    async fn by_index(
        &self,
        view: &mut WhyView,
        subject: &Subject,
        at: Timestamp,
    ) -> Result<(), Error> {
        let listing = self.mirror.ledger().listing(&subject.name, &subject.digest).await?;
        for digest in listing {
            let index = Subject { name: subject.name.clone(), digest };
            let about = self.about(&index).await?;
            let none = Trail::default();
            let emergency = self.emergency_then(&about, at).await?;
            let known = Known { at, about: &about, policies: &none, restored: &none, emergency };
            let Some(verdict) = known.last_judged().map(verdict) else { continue };
            let (state, because) = known.answer();
            state.clone_into(&mut view.state);
            view.because = format!("an index that lists it was judged: {because}");
            view.verdict = Some(verdict);
            view.decision = known.last_decision().map(decision);
            view.before = known.before();
            view.break_glass.clone_from(&known.emergency);
            view.unknown.push(
                "the audit does not say which index lists an image; that is known from the evidence \
                 that is kept today"
                    .to_owned(),
            );
            view.index = Some(index.to_string());
            return Ok(());
        }
        Ok(())
    }
}

/// What the audit says that matters.
struct Known<'a> {
    at: Timestamp,
    about: &'a Trail,
    policies: &'a Trail,
    restored: &'a Trail,
    emergency: Option<WhyBreakGlass>,
}

impl Known<'_> {
    fn until<'a>(&self, trail: &'a Trail) -> impl DoubleEndedIterator<Item = &'a AuditRow> {
        let at = self.at;
        trail.rows.iter().filter(move |row| row.at <= at)
    }

    fn last_judged(&self) -> Option<&AuditRow> {
        self.until(self.about).rfind(|row| row.event.kind == AuditKind::Judged)
    }

    fn last_decision(&self) -> Option<&AuditRow> {
        self.until(self.about).rfind(|row| is_decision(row.event.kind))
    }

    fn before(&self) -> Vec<crate::mirror::desk::view::AuditView> {
        let mut views: Vec<_> =
            self.until(self.about).rev().take(TOLD_MAX).map(audit_view).collect();
        views.reverse();
        views
    }

    fn view(&self, image: &ImageReference, subject: &Subject) -> WhyView {
        let (state, because) = self.answer();
        let mut since: Vec<&AuditRow> = self.about.rows.iter().collect();
        since.extend(&self.policies.rows);
        since.retain(|row| row.at > self.at);
        since.sort_by_key(|row| row.sequence);
        WhyView {
            image: image.to_string(),
            at: self.at,
            name: subject.name.clone(),
            digest: subject.digest,
            state: state.to_owned(),
            because,
            tag: None,
            index: None,
            verdict: self.last_judged().map(verdict),
            decision: self.last_decision().map(decision),
            break_glass: self.emergency.clone(),
            policy: self.until(self.policies).next_back().map(policy),
            before: self.before(),
            since: since.into_iter().take(TOLD_MAX).map(audit_view).collect(),
            unknown: self.unknown(),
        }
    }

    /// The state at the time, and why it was so.
    fn answer(&self) -> (&'static str, String) {
        let (judged, decided) = (self.last_judged(), self.last_decision());
        match (judged, decided) {
            (Some(judged), Some(decided)) if decided.sequence < judged.sequence => {
                self.judged(judged, Some(decided))
            }
            (_, Some(decided)) => self.decided(decided),
            (Some(judged), None) => self.judged(judged, None),
            (None, None) if self.about.unread.iter().any(|unread| unread.first_at <= self.at) => {
                let text = "no verdict about it is in the records that are here";
                ("unknown", text.to_owned())
            }
            (None, None) => ("unknown", "no verdict about it is on record by then".to_owned()),
        }
    }

    /// The state where people decided and nothing was judged since.
    fn decided(&self, decided: &AuditRow) -> (&'static str, String) {
        let (kind, said) = (decided.event.kind, said(decided));
        if matches!(kind, AuditKind::Rejected | AuditKind::Revoked) {
            ("refused", said)
        } else if kind == AuditKind::Approved && self.has_run_out(decided) {
            ("pending", format!("{said}, which had run out by then"))
        } else {
            ("undecided", format!("{said}, and no verdict is on record between that and then"))
        }
    }

    fn judged(&self, judged: &AuditRow, decided: Option<&AuditRow>) -> (&'static str, String) {
        let detail = |key: &str| judged.event.details.get(key).map(String::as_str);
        let rule = detail("rule").map(|rule| format!("rule {rule}"));
        let rule = rule.unwrap_or_else(|| "no rule".to_owned());
        let reasons = detail("reasons").map(|reasons| format!(": {reasons}")).unwrap_or_default();
        let is_enforced = detail("enforced") != Some("false");
        let said = decided.map(said);
        let by = |kinds: &[AuditKind]| {
            decided
                .is_some_and(|row| kinds.contains(&row.event.kind))
                .then(|| said.clone())
                .flatten()
        };
        let approval =
            by(&[AuditKind::Approved]).map(|said| format!(", {said}")).unwrap_or_default();
        let refusal = by(&[AuditKind::Rejected, AuditKind::Revoked]);
        let refusal = refusal.map(|said| format!(", {said}")).unwrap_or_default();
        if let Some(by) = self.emergency.as_ref().filter(|_| is_enforced) {
            let text = format!(
                "break-glass {} by {} ({:?}) let it be served until {}, although {rule} did not admit \
                 it{refusal}{reasons}",
                by.id, by.by, by.reason, by.until
            );
            return ("break-glass", text);
        }
        match detail("verdict") {
            Some("admit") if decided.is_some_and(|row| self.has_run_out(row)) => {
                ("pending", format!("{rule} admitted it{approval}, which had run out by then"))
            }
            Some("admit") => ("admitted", format!("{rule} admitted it{approval}")),
            Some(_) if !is_enforced => (
                "observed",
                format!("{rule} only watched; enforced, it would have refused{refusal}{reasons}"),
            ),
            Some("pending") => ("pending", format!("{rule} asked for a decision{reasons}")),
            Some(_) => ("refused", format!("{rule} denied it{refusal}{reasons}")),
            None => ("unknown", "its verdict is not in the record".to_owned()),
        }
    }

    fn has_run_out(&self, approval: &AuditRow) -> bool {
        expires(approval).is_some_and(|expires| expires <= self.at)
    }

    fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        if let Some(judged) = self.last_judged() {
            if !judged.event.details.contains_key("checks") {
                unknown.push(format!(
                    "record {} was written by a version that did not put down what each gate said",
                    judged.sequence
                ));
            }
            unknown.push(format!(
                "a verdict that comes out the same again is not recorded again: when it was last \
                 reached before {} is not known",
                self.at
            ));
        }
        if self.about.left_out > 0 {
            let count = self.about.left_out;
            unknown.push(format!("{count} older records about it were not looked at"));
        }
        for unread in &self.about.unread {
            unknown.push(format!(
                "records {} to {}, written from {} to {}, are in audit/segments/{} ({}), which is not \
                 there: what they say is not known",
                unread.from, unread.to, unread.first_at, unread.last_at, unread.file, unread.digest
            ));
        }
        for row in self.until(self.restored) {
            unknown.push(format!(
                "record {} says that the ledger was restored at {}: what was on record between the \
                 backup and then is lost",
                row.sequence, row.at
            ));
        }
        unknown
    }
}

fn is_decision(kind: AuditKind) -> bool {
    matches!(
        kind,
        AuditKind::Approved
            | AuditKind::ApprovalWithdrawn
            | AuditKind::Reinstated
            | AuditKind::Rejected
            | AuditKind::Revoked
    )
}

fn expires(row: &AuditRow) -> Option<Timestamp> {
    row.event.details.get("expires")?.parse().ok()
}

/// `approved by alice ("reviewed")`
fn said(row: &AuditRow) -> String {
    let reason = row.event.reason.as_deref().unwrap_or_default();
    format!("{} by {} ({reason:?})", word(&row.event.kind), row.event.by)
}

fn verdict(row: &AuditRow) -> WhyVerdict {
    let detail = |key: &str| row.event.details.get(key).filter(|text| !text.is_empty()).cloned();
    WhyVerdict {
        verdict: detail("verdict").unwrap_or_default(),
        at: row.at,
        rule: detail("rule"),
        enforced: detail("enforced").as_deref() != Some("false"),
        policy: detail("policy"),
        reasons: detail("reasons"),
        checks: detail("checks"),
        database: detail("database"),
        sequence: row.sequence,
    }
}

fn decision(row: &AuditRow) -> WhyDecision {
    WhyDecision {
        decision: word(&row.event.kind),
        by: row.event.by.clone(),
        at: row.at,
        reason: row.event.reason.clone().unwrap_or_default(),
        expires: expires(row),
        request: row.event.request.map(|id| id.to_string()),
        sequence: row.sequence,
    }
}

fn policy(row: &AuditRow) -> WhyPolicy {
    let detail = |key: &str| row.event.details.get(key).cloned().unwrap_or_default();
    WhyPolicy {
        id: detail("id"),
        name: detail("name"),
        revision: detail("revision"),
        since: row.at,
        sequence: row.sequence,
    }
}
