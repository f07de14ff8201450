//! What runs and could be newer.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, image_path, request_path, state as state_mark};
use crate::http::admin::AdminState;
use crate::mirror::desk::outdated::{
    EndingImage, FindingsView, NewerVersion, OutdatedImage, OutdatedView,
};
use crate::text::count;
use crate::time::Timestamp;

/// Most images on the page: whoever wants all of them has the command.
const IMAGES_MAX: usize = 200;

/// `GET /outdated`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let view = Box::pin(state.desk.outdated(None)).await?;
    let now = state.desk.mirror().clock().now();
    let main = main(&view, now);
    Ok(Page::new("Outdated", Place::Outdated, &visitor, main).into_response())
}

fn main(view: &OutdatedView, now: Timestamp) -> Markup {
    let outdated = u64::try_from(view.images.len()).unwrap_or(u64::MAX);
    html! {
        div.head {
            h1 { "Outdated" }
            p.quiet { (outdated) " of " (count(view.in_use, "image")) " served in " (view.days) " days" }
        }
        @if view.images.is_empty() {
            div.empty {
                p { strong { "Nothing that was served lately has a newer version." } }
                p { "Images are compared by their tags: 7.4.1 with 7.4.2, with as many numbers and the same \
                     ending." }
            }
        } @else {
            table.queue {
                caption.unseen { "Images that could be newer, the most pulled first" }
                thead { tr {
                    th scope="col" { "Runs" } th scope="col" { "Newer" } th scope="col" { "Ends" }
                    th scope="col" { "Brings" }
                } }
                tbody {
                    @for image in view.images.iter().take(IMAGES_MAX) {
                        @for (place, newer) in image.newer.iter().enumerate() {
                            (row(image, (place == 0).then_some(image.newer.len()), newer, now))
                        }
                    }
                }
            }
            @if view.images.len() > IMAGES_MAX {
                p.quiet { "The " (IMAGES_MAX) " most pulled ones; all of them: " code { "pratique outdated" } "." }
            }
        }
        @if !view.ending.is_empty() { (ending(&view.ending, now)) }
        @if view.without_version > 0 {
            p.quiet { (count(view.without_version, "image"))
                " without a version in their tag are compared with nothing." }
        }
        @for why in &view.not_listed { p.alert { "Not listed: " bdi { (why) } } }
    }
}

/// What runs of lines that end.
fn ending(images: &[EndingImage], now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="ending" {
            h2 #ending { "Lines at their end" }
            p.quiet { "Nothing is refused for it. New findings in them are not mended any more." }
            table {
                caption.unseen { "Images of lines that are mended no more, or not for long" }
                thead { tr {
                    th scope="col" { "Runs" } th scope="col" { "Line" } th scope="col" { "Mended until" }
                    th scope="col" { "Clients" }
                } }
                tbody {
                    @for image in images.iter().take(IMAGES_MAX) {
                        tr {
                            td {
                                a href=(image_path(&format!("{}@{}", image.name, image.digest))) {
                                    bdi.image { (image.name) ":" (image.tag) } }
                            }
                            td data-label="Line" { bdi { (image.line) } }
                            td data-label="Mended until" {
                                @if image.ended { span.state.denied { "ended" } " " }
                                @else { span.state.pending { "ends" } " " }
                                (day(image.ends))
                            }
                            td data-label="Clients" { (image.clients) ", last " (ago(image.last, now)) }
                        }
                    }
                }
            }
        }
    }
}

/// A day, as people write it.
fn day(at: Timestamp) -> Markup {
    let text = at.to_string();
    let day = text.split_once('T').map_or(text.as_str(), |(day, _)| day);
    html! { time datetime=(day) { (day) } }
}

/// A newer version; the first of an image's rows names the image, over all `rows` of them.
fn row(image: &OutdatedImage, rows: Option<usize>, newer: &NewerVersion, now: Timestamp) -> Markup {
    let running = format!("{}@{}", image.name, image.digest);
    let target = format!("{}:{}", image.name, newer.tag);
    html! {
        tr data-row[rows.is_some()] {
            @if let Some(rows) = rows {
                td rowspan=(rows) {
                    a data-open href=(image_path(&running)) { bdi.image { (image.name) ":" (image.tag) } }
                    span.quiet { (count(image.clients, "client")) ", last " (ago(image.last, now)) }
                }
            }
            td {
                a href=(image_path(&target)) { bdi { (newer.tag) } } " " span.quiet { (newer.step) }
                " " (state_mark(&newer.state))
                @if let Some(request) = newer.request.filter(|_| newer.state != "admitted") {
                    " " a href=(request_path(&request.to_string())) { (request) }
                }
            }
            td { (findings(newer.mends.as_ref())) }
            td { (findings(newer.brings.as_ref())) }
        }
    }
}

fn findings(view: Option<&FindingsView>) -> Markup {
    let Some(view) = view else { return html! { span.quiet { "not known" } } };
    let severities = ["critical", "high", "medium", "low", "unrated"];
    let counts = severities.iter().filter_map(|word| Some((*word, *view.by_severity.get(*word)?)));
    let counts: Vec<(&str, u64)> = counts.filter(|(_, count)| *count > 0).collect();
    html! {
        @if counts.is_empty() { span.quiet { "none" } }
        @for (word, count) in counts { span class=(format!("severity {word}")) { (count) " " (word) } " " }
        @if !view.worst.is_empty() { span.quiet { (view.worst.join(", ")) } }
    }
}
