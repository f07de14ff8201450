//! How everything is: upstreams, cache, disk, vulnerability database.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, short, state as state_mark, until};
use crate::http::admin::AdminState;
use crate::mirror::desk::cache::CacheView;
use crate::mirror::desk::view::{StatusView, UpstreamView};
use crate::scan::DatabaseId;
use crate::text::{bytes, count};
use crate::time::Timestamp;

/// `GET /health`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let (status, cache) = (state.desk.status().await?, state.desk.cache().await);
    let mirror = state.desk.mirror();
    let now = mirror.clock().now();
    let database = mirror.scanner().database().map(|database| database.id().clone());
    let main = html! {
        div.head {
            h1 { "Health" }
            p.quiet { "Version " (status.version) ", running since " (ago(status.started_at, now)) }
        }
        @if status.rejudgement_waits {
            p.alert role="alert" { "This version judges in another way than the one before. Stored verdicts \
                hold until " code { "pratique rejudge --confirm" } "; " code { "pratique rejudge --dry-run" }
                " shows what changes." }
        }
        (upstreams(&status, now))
        (kept(&cache, now))
        (known(database.as_ref(), now))
    };
    Ok(Page::new("Health", Place::Health, &visitor, main).into_response())
}

fn upstreams(status: &StatusView, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="upstreams" {
            h2 #upstreams { "Registries" }
            table {
                caption.unseen { "Registries and how they answer" }
                thead { tr {
                    th scope="col" { "Registry" } th scope="col" { "State" }
                    th scope="col" { "Pulls left" } th scope="col" { "Last answers" }
                } }
                tbody { @for upstream in &status.upstreams { (upstream_row(upstream, now)) } }
            }
        }
    }
}

fn upstream_row(upstream: &UpstreamView, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (upstream.registry) } }
            td {
                (state_mark(&upstream.state))
                @if upstream.credentials_refused > 0 {
                    span.quiet { (count(upstream.credentials_refused, "credential")) " refused" }
                }
            }
            td data-label="Pulls left" {
                @match (upstream.rate_remaining, upstream.rate_limit) {
                    (Some(left), Some(limit)) => { (left) " of " (limit) }
                    _ => { span.quiet { "not said" } }
                }
                @if let Some(at) = upstream.rate_exhausted_at { span.quiet { "none left by " (until(at, now)) } }
            }
            td data-label="Answers" {
                @match upstream.last_success {
                    Some(at) => { "well " (ago(at, now)) }
                    None => { span.quiet { "none yet" } }
                }
                @if let Some(at) = upstream.last_failure { span.quiet { "failed " (ago(at, now)) } }
            }
        }
    }
}

fn kept(cache: &CacheView, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="cache" {
            h2 #cache { "Cache and disk" }
            dl.facts {
                div { dt { "Holds" } dd {
                    (count(cache.blobs, "blob")) ", " (bytes(cache.bytes))
                    @if !cache.counted { span.quiet { "still being counted" } }
                } }
                div { dt { "May hold" } dd {
                    @match cache.quota_bytes {
                        Some(quota) => { (bytes(quota))
                            meter min="0" max=(quota) value=(cache.bytes) aria-label="How full it is" { } }
                        None => "as much as the disk has",
                    }
                } }
                div { dt { "Disk" } dd {
                    @match cache.disk_available_bytes {
                        Some(left) => { (bytes(left)) " left, " (bytes(cache.min_free_bytes)) " are kept free" }
                        None => { span.unknown { "not known" } }
                    }
                } }
                div { dt { "Since the start" } dd {
                    (count(cache.evicted.blobs, "blob")) " evicted, " (cache.damaged) " damaged, "
                    (cache.healed) " fetched again, " (cache.passed_through) " past the cache"
                } }
                div { dt { "Index" } dd { @if cache.index_available { "works" } @else { "is not available: \
                    everything works, slower" } } }
                div { dt { "Hashed again" } dd {
                    @match cache.scrub_ended { Some(at) => (ago(at, now)), None => { span.quiet { "not yet" } } }
                } }
            }
        }
    }
}

fn known(database: Result<&DatabaseId, &String>, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="database" {
            h2 #database { "Vulnerability database" }
            @match database {
                Ok(id) => { p { (short(&id.digest)) ", as of " (ago(id.as_of, now)) "." } }
                Err(why) => { p.unknown { "None: " bdi { (why) } "." } }
            }
        }
    }
}
