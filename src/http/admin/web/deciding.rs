//! A decision that a form sends.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::dossier;
use super::form::Form;
use super::people::{self, Refused, TERMS};
use super::session::Visitor;
use super::trouble::{Trouble, see_other};
use super::words::{image_path, request_path};
use crate::http::admin::AdminState;
use crate::http::admin::problem::Problem;
use crate::mirror::desk::{Verb, Wish};
use crate::time::Timestamp;

/// Milliseconds in a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    form_token: String,
    verb: String,
    target: String,
    reason: String,
    #[serde(default)]
    term: String,
    #[serde(default)]
    shown: String,
}

/// `POST /decisions`
pub(super) async fn decide(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Sent>,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    let verb = people::verb(&sent.verb).ok_or_else(|| Problem::invalid("that is no decision"))?;
    let expires = expires(&sent.term, state.desk.mirror().clock().now())?;
    let shown = match sent.shown.as_str() {
        // What could not be judged was shown without evidence: then only a no is taken.
        "" if matches!(verb, Verb::Reject | Verb::Revoke) => None,
        text => {
            let shown = people::unpacked(text);
            Some(shown.ok_or_else(|| Problem::invalid("the form does not say what was shown"))?)
        }
    };
    // A browser sends line breaks of a text as two characters, and a reason is one line.
    let reason = sent.reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let wish = Wish {
        verb,
        target: sent.target.clone(),
        by: visitor.caller.clone(),
        reason,
        expires,
        seen: None,
        shown,
    };
    let (desk, tasks) = (state.desk.clone(), state.desk.mirror().tasks().clone());
    // A task of its own: someone who hangs up after deciding has decided.
    let deciding = tasks.spawn(async move { Box::pin(desk.decide(&wish)).await });
    let Ok(decided) = deciding.await else {
        let text = "the decision was cut short; look whether it was taken";
        return Err(Problem::internal(text).into());
    };
    match decided {
        Ok(view) => {
            let done = if view.already { "already" } else { view.decision.as_str() };
            let path =
                view.request.as_deref().map_or_else(|| image_path(&view.image), request_path);
            Ok(see_other(&format!("{path}?done={done}")))
        }
        Err(error) => {
            let changes = error.changes().to_vec();
            let (reason, term) = (sent.reason, sent.term);
            let refused = Refused { verb, reason, term, problem: error.into(), changes };
            Box::pin(dossier::refused(&state, &visitor, &sent.target, refused)).await
        }
    }
}

/// When an approval for `term` ends that is given at `now`: with the day, so that the same form sent twice
/// says the same. No end is until it is undone.
pub(super) fn expires(term: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let term = TERMS.iter().find(|(days, _)| *days == term);
    let (days, _) = term.ok_or_else(|| Problem::invalid("that is no time for an approval"))?;
    let Ok(days) = days.parse::<i64>() else { return Ok(None) };
    let today = now.milliseconds().div_euclid(DAY_MS);
    let end = today.saturating_add(days).saturating_add(1).saturating_mul(DAY_MS);
    Ok(Some(Timestamp::from_milliseconds(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_ends_with_its_last_day() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        assert_eq!(expires("", now).unwrap(), None);
        let week = expires("7", now).unwrap().unwrap();
        assert_eq!(week.to_string(), "2026-11-28T00:00:00Z");
        for term in ["-1", "8", "x", "7 "] {
            assert!(expires(term, now).is_err(), "{term}");
        }
    }
}
