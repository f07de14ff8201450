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
use crate::mirror::desk::view::{AuditReportView, AuditView};
use crate::text::count;
use crate::time::Timestamp;

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
    let mut records = desk.audit(from, Some(RECORDS_SHOWN)).await?.records;
    records.retain(|record| before.is_none_or(|before| record.sequence < before));
    let report = match wanted.check {
        Some(_) => Some(desk.verify_audit().await?),
        None => None,
    };
    records.reverse();
    let older = records.last().map(|record| record.sequence).filter(|first| *first > 1);
    let main = html! {
        div.head {
            h1 { "Audit" }
            p.quiet { "Every decision and change, each record bound to the one before." }
        }
        @match &report {
            Some(report) => (checked(report)),
            None => { p { a href="/audit?check=now" { "Check the whole chain now" } } }
        }
        @if records.is_empty() { p { "There is no such record." } }
        @else { (table(&records, now)) }
        nav.pages aria-label="Pages" {
            @if before.is_some() { a href="/audit" { "Newest" } }
            @if let Some(older) = older { a rel="next" href=(format!("/audit?before={older}")) { "Older" } }
        }
    };
    Ok(Page::new("Audit", Place::Audit, &visitor, main).into_response())
}

fn checked(report: &AuditReportView) -> Markup {
    html! {
        @if report.intact {
            p.done role="status" { (count(report.records, "record")) ": each is as it was written, none is \
                                    missing." }
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
                            td.number title=(record.hash) { (record.sequence) }
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
        @if let Some(reason) = &record.reason { span.said { bdi { (reason) } } }
    }
}

/// A subject with the first digits of its digest.
fn shortened(subject: &str) -> String {
    match subject.split_once('@') {
        Some((name, digest)) => {
            let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
            let first: String = digits.chars().take(12).collect();
            format!("{name}@{first}")
        }
        None => subject.to_owned(),
    }
}
