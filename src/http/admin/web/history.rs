//! What became of the image and its tag: the timeline, who pulled it, what is on record.

use maud::{Markup, html};

use super::audit;
use super::dossier::Shown;
use super::words::{ago, linked, short, state as state_mark};
use crate::mirror::desk::PAGE_MAX;
use crate::mirror::desk::dossier::{TagEvent, TagEventKind};
use crate::oci::Name;

/// Clients that are shown.
const PULLED_SHOWN: usize = 50;

/// Timeline, pulls, audit.
pub(super) fn section(shown: &Shown<'_>) -> Markup {
    let dossier = shown.dossier;
    html! {
        @if let (Some(tag), Some(subject)) = (&dossier.tag, &dossier.subject) {
            section aria-labelledby="history" {
                h2 #history { "History of " bdi { (tag) } }
                @if dossier.events.is_empty() { p.quiet { "Nothing was seen of it yet." } }
                ol.timeline {
                    @for event in &dossier.events { (timed(shown, &subject.name, event)) }
                }
            }
        }
        @if dossier.subject.is_some() {
            section aria-labelledby="pulls" {
                h2 #pulls { "Who pulled it" }
                @if dossier.pulls.is_empty() {
                    p.quiet { "Nobody, as far as is counted. Counts are written once a minute." }
                } @else {
                    table {
                        caption.unseen { "Pulls by client" }
                        thead { tr {
                            th scope="col" { "Client" } th scope="col" { "Came to" }
                            th.number scope="col" { "Pulls" } th scope="col" { "Last" }
                        } }
                        tbody {
                            @for pulled in dossier.pulls.iter().take(PULLED_SHOWN) {
                                tr {
                                    th scope="row" { bdi { (pulled.client) } }
                                    td { (state_mark(pulled.outcome)) }
                                    td.number data-label="Pulls" { (pulled.count) }
                                    td data-label="Last" { (ago(pulled.last, shown.now)) }
                                }
                            }
                        }
                    }
                }
            }
            section aria-labelledby="record" {
                h2 #record { "On record about it" }
                @if dossier.audit.is_empty() {
                    p.quiet { "Nothing among the last " (PAGE_MAX) " records." }
                } @else {
                    (audit::table(&dossier.audit, shown.now))
                    p.quiet { "Of the last " (PAGE_MAX) " records. " a href="/audit" { "All of them" } }
                }
            }
        }
    }
}

fn timed(shown: &Shown<'_>, name: &Name, event: &TagEvent) -> Markup {
    let own = shown.dossier.subject.as_ref().map(|subject| subject.digest);
    html! {
        li {
            (ago(event.at, shown.now)) " "
            @match &event.what {
                TagEventKind::Moved { is_admitted } => {
                    "stood for " (digest(name, event, own)) " upstream"
                    @if *is_admitted { ", which it was admitted as last" }
                }
                TagEventKind::Decided { decision, by, reason } => {
                    (digest(name, event, own)) " was " (state_mark(decision)) " by " bdi { (by) } ": "
                    q { bdi { (reason) } }
                }
            }
        }
    }
}

fn digest(name: &Name, event: &TagEvent, own: Option<crate::oci::Digest>) -> Markup {
    html! {
        @if own == Some(event.digest) { (short(&event.digest)) " (this one)" }
        @else { (linked(name, &event.digest)) }
    }
}
