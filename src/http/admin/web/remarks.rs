//! Questions about a request and answers: what was said, and the forms to say more.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::dossier::Shown;
use super::form::Form;
use super::session::Visitor;
use super::trouble::{Trouble, see_other};
use super::words::{ago, request_path};
use crate::http::admin::AdminState;
use crate::ledger::{Permission, RemarkKind};
use crate::mirror::desk::REASON_LENGTH_MAX;
use crate::mirror::desk::view::{RemarkView, RequestView};

/// The form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    form_token: String,
    target: String,
    text: String,
}

/// `POST /questions`
pub(super) async fn ask(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Sent>,
) -> Result<Response, Trouble> {
    remark(&state, &visitor, sent, RemarkKind::Question).await
}

/// `POST /answers`
pub(super) async fn answer(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Form(sent): Form<Sent>,
) -> Result<Response, Trouble> {
    remark(&state, &visitor, sent, RemarkKind::Answer).await
}

async fn remark(
    state: &AdminState,
    visitor: &Visitor,
    sent: Sent,
    kind: RemarkKind,
) -> Result<Response, Trouble> {
    if !visitor.sent(&sent.form_token) {
        return Err(Trouble::foreign_form());
    }
    // A browser sends line breaks of a text as two characters, and a remark is one line.
    let text = sent.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let request = state.desk.remark(&sent.target, kind, &visitor.caller, &text).await?;
    Ok(see_other(&format!("{}?done={}", request_path(&request.id), kind.as_str())))
}

/// What was asked about `request` and answered, with the form that fits whoever looks.
pub(super) fn section(shown: &Shown<'_>, request: &RequestView) -> Markup {
    let is_open = matches!(request.state.as_str(), "pending" | "denied");
    let may = |permission| is_open && shown.visitor.caller.may(permission);
    let (asks, answers) = (may(Permission::Decide), may(Permission::Ask) && request.needs_info);
    html! {
        @if !request.remarks.is_empty() || asks {
            section aria-labelledby="questions" {
                h2 #questions { "Questions" }
                @if request.remarks.is_empty() { p.quiet { "Nothing was asked yet." } }
                @else {
                    ol.remarks { @for remark in &request.remarks { (said(shown, remark)) } }
                }
                @if request.needs_info { p.note { "The last question waits for an answer. It holds nothing up: \
                    whoever knows enough decides." } }
                div.choices {
                    @if answers { (form(shown, request, RemarkKind::Answer)) }
                    @if asks { (form(shown, request, RemarkKind::Question)) }
                }
            }
        }
    }
}

fn said(shown: &Shown<'_>, remark: &RemarkView) -> Markup {
    html! {
        li.(remark.kind) {
            span.quiet { bdi { (remark.display) } " " @if remark.kind == "question" { "asked" } @else { "answered" }
                " " (ago(remark.at, shown.now)) }
            p { bdi { (remark.text) } }
        }
    }
}

fn form(shown: &Shown<'_>, request: &RequestView, kind: RemarkKind) -> Markup {
    let (word, action, label, button) = match kind {
        RemarkKind::Answer => ("answer", "/answers", "Your answer", "Answer"),
        RemarkKind::Question => ("question", "/questions", "What you have to know", "Ask"),
    };
    let field = format!("{word}-text");
    html! {
        details.choice.talk {
            summary { (button) "…" }
            form action=(action) method="post" {
                input type="hidden" name="form_token" value=(shown.visitor.form_token());
                input type="hidden" name="target" value=(request.id);
                label for=(field) { (label) }
                textarea id=(field) name="text" rows="2" required maxlength=(REASON_LENGTH_MAX) {}
                p.quiet { "Whoever asked for the image sees it, and it stays on record under your name." }
                button type="submit" { (button) }
            }
        }
    }
}
