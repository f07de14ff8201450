//! The policy in force, in words.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::draft;
use super::page::{Page, Place};
use super::session::Visitor;
use crate::http::admin::AdminState;
use crate::mirror::desk::policy_words::{self, GateWords, PolicyWords, RuleWords, SignerWords};
use crate::mirror::desk::simulate::SimulateBody;

/// `GET /policy`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let words = policy_words::of(&state.desk.mirror().policy());
    let main = html! { (main(&words)) (draft::form(&visitor, "", SimulateBody::DAYS)) };
    Page::new("Policy", Place::Policy, &visitor, main).into_response()
}

fn main(policy: &PolicyWords) -> Markup {
    html! {
        div.head {
            h1 { "Policy " bdi { (policy.name) } }
            p.quiet { "Revision " (policy.revision) ", " code { (policy.short_id) } }
        }
        @if let Some(note) = &policy.mode { p.note { (note) } }
        section aria-labelledby="floor" {
            h2 #floor { "For everything" }
            ul { @for line in &policy.floor { li { bdi { (line) } } } }
        }
        @if !policy.files.is_empty() {
            section aria-labelledby="files" {
                h2 #files { "Files" }
                p.quiet { "What is somebody's own. Everything else stands in the base file." }
                @for file in &policy.files { (gate_card(file)) }
            }
        }
        section aria-labelledby="rules" {
            h2 #rules { "Rules" }
            p.quiet { "The one most specific rule that matches decides. No rule means no." }
            @for rule in &policy.rules { (rule_card(rule)) }
        }
        @if !policy.overlays.is_empty() {
            section aria-labelledby="overlays" {
                h2 #overlays { "Overlays" }
                p.quiet { "Every one that matches is asked on top of the rule." }
                @for overlay in &policy.overlays { (rule_card(overlay)) }
            }
        }
        @if !policy.expressions.is_empty() {
            section aria-labelledby="expressions" {
                h2 #expressions { "Expressions" }
                p.quiet { "Asked last, of everything that a rule would admit." }
                @for expression in &policy.expressions { (gate_card(expression)) }
            }
        }
        section aria-labelledby="gates" {
            h2 #gates { "Gates" }
            @if policy.gates.is_empty() { p.quiet { "No rule names one: nothing is scanned." } }
            @for gate in &policy.gates { (gate_card(gate)) }
        }
        section aria-labelledby="signers" {
            h2 #signers { "Signers" }
            @if policy.signers.is_empty() { p.quiet { "None are named." } }
            @else { dl.facts { @for signer in &policy.signers { (signer_entry(signer)) } } }
        }
    }
}

fn rule_card(rule: &RuleWords) -> Markup {
    html! {
        article.card {
            h3 { bdi { (rule.id) } }
            @if let Some(from) = &rule.from { p.quiet { "In " bdi { (from) } } }
            ul.inline { @for pattern in &rule.patterns { li { code { bdi { (pattern) } } } } }
            ul { @for line in &rule.says { li { bdi { (line) } } } }
        }
    }
}

fn gate_card(gate: &GateWords) -> Markup {
    html! {
        article.card {
            h3 { bdi { (gate.name) } }
            ul { @for line in &gate.says { li { bdi { (line) } } } }
        }
    }
}

fn signer_entry(signer: &SignerWords) -> Markup {
    html! { div { dt { bdi { (signer.name) } } dd { bdi { (signer.who) } } } }
}
