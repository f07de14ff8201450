//! The audit trail, newest first.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::Asked;
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, image_path, request_path};
use crate::http::admin::AdminState;
use crate::ledger;
use crate::mirror::desk;
use crate::mirror::desk::view::{AuditReportView, AuditView};
use crate::text::count;
use crate::time::Timestamp;

/// Digits of a digest that people are shown.
const SHORT_DIGITS: usize = 12;
/// Digits of a whole SHA-256.
const WHOLE_DIGITS: usize = 64;
/// Records on one page.
const RECORDS_SHOWN: u32 = 100;

/// Which records, and whether the chain is to be checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    before: Option<u64>,
    check: Option<String>,
}

/// `GET /audit?before=&check=`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Trouble> {
    let (desk, now) = (&state.desk, state.desk.mirror().clock().now());
    let before = wanted.before.map(|before| before.max(1));
    let from = before.map(|before| before.saturating_sub(u64::from(RECORDS_SHOWN)).max(1));
    let (mut records, archived) = match desk.audit(from, Some(RECORDS_SHOWN)).await {
        Ok(page) => (page.records, None),
        Err(desk::Error::Ledger(error)) if matches!(*error, ledger::Error::Archived(_)) => {
            // What is left of this page is in the database, or nothing.
            let begins = desk.audit_segments().await?.begins;
            let page = desk.audit(Some(begins), Some(RECORDS_SHOWN)).await?;
            (page.records, Some(error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    records.retain(|record| before.is_none_or(|before| record.sequence < before));
    let report = match wanted.check {
        Some(_) => Some(desk.verify_audit().await?),
        None => None,
    };
    records.reverse();
    let older = records.last().map(|record| record.sequence).filter(|first| *first > 1);
    let older = older.filter(|_| archived.is_none());
    let main = html! {
        div.head {
            h1 { "Audit" }
            p.quiet { "Every decision and change, each record bound to the one before." }
        }
        @match &report {
            Some(report) => (checked(report)),
            None => { p { a href="/audit?check=now" { "Check the whole chain now" } } }
        }
        @if records.is_empty() && archived.is_none() { p { "There is no such record." } }
        @else if !records.is_empty() { (table(&records, now)) }
        @if let Some(archived) = &archived { p role="status" { "Older ones: " (archived) "." } }
        nav.pages aria-label="Pages" {
            @if before.is_some() { a href="/audit" { "Newest" } }
            @if let Some(older) = older { a rel="next" href=(format!("/audit?before={older}")) { "Older" } }
        }
    };
    let page = Page::new("Audit", Place::Audit, &visitor, main);
    let is_newest = before.is_none() && report.is_none();
    Ok(if is_newest { page.live() } else { page }.into_response())
}

fn checked(report: &AuditReportView) -> Markup {
    html! {
        @if report.intact {
            p.done role="status" { (count(report.records, "record")) ": each is as it was written, none is \
                                    missing." }
            @for note in &report.notes { p.quiet { bdi { (note) } } }
        } @else {
            div.alert role="alert" {
                p { strong { "The chain is damaged." } }
                ul { @for problem in &report.problems { li { bdi { (problem) } } } }
            }
        }
    }
}

/// Records as a table, in the order in which they are given.
pub(super) fn table(records: &[AuditView], now: Timestamp) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Records" {
            table.audit {
                caption.unseen { "Records, newest first" }
                thead { tr {
                    th scope="col" { "No." } th scope="col" { "When" } th scope="col" { "Who" }
                    th scope="col" { "What" } th scope="col" { "About" }
                } }
                tbody {
                    @for record in records {
                        tr {
                            td.number title=(record.hash) data-label="No." { (record.sequence) }
                            td { (ago(record.at, now)) }
                            td { bdi { (record.by) } }
                            td { (record.action) }
                            td { (about(record)) }
                        }
                    }
                }
            }
        }
    }
}

fn about(record: &AuditView) -> Markup {
    html! {
        @if let Some(request) = &record.request { a href=(request_path(request)) { (request) } " " }
        @if let Some(subject) = &record.subject {
            a href=(image_path(subject)) { bdi.image { (shortened(subject)) } }
        }
        @if let Some(reason) = &record.reason { span.said { bdi { (legible(reason)) } } }
    }
}

/// `text` with the first digits of each digest in it; programs get them whole from the API.
fn legible(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut legible = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, rest) = part.split_at_checked(digits).unwrap_or((part, ""));
        let kept = if digits == WHOLE_DIGITS { SHORT_DIGITS } else { digits };
        legible.push_str(if digits == WHOLE_DIGITS { "" } else { "sha256:" });
        legible.push_str(digest.get(..kept).unwrap_or(digest));
        legible.push_str(rest);
    }
    legible
}

/// A subject with the first digits of its digest.
fn shortened(subject: &str) -> String {
    match subject.split_once('@') {
        Some((name, digest)) => {
            let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
            let first: String = digits.chars().take(SHORT_DIGITS).collect();
            format!("{name}@{first}")
        }
        None => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened_and_nothing_else_is() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(legible(&format!("policy {digest}, rule a")), "policy 0123456789ab, rule a");
        assert_eq!(legible(&digest), "0123456789ab");
        for text in ["", "because", "sha256:", "sha256:12 sha256:zz", "a sha256:ä"] {
            assert_eq!(legible(text), text);
        }
    }
}
