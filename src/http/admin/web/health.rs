//! How everything is: upstreams, cache, disk, vulnerability database.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::chart::{Chart, Series};
use super::page::{Page, Place};
use super::session::Visitor;
use super::trouble::Trouble;
use super::words::{ago, short, state as state_mark, until};
use crate::http::admin::AdminState;
use crate::mirror::desk::cache::CacheView;
use crate::mirror::desk::nodes::NodesView;
use crate::mirror::desk::trends::{Hour, Seen, Trends};
use crate::mirror::desk::view::{StatusView, UpstreamView};
use crate::scan::DatabaseId;
use crate::text::{bytes, count};
use crate::time::Timestamp;

/// Most nodes that are shown, the worst first.
const NODES_SHOWN_MAX: usize = 20;
/// How long a bar is.
const HOUR: Duration = Duration::from_hours(1);
/// Looks at what is in memory within an hour: tables have one of them.
const LOOKS_IN_AN_HOUR: usize = 12;

/// `GET /health`
pub(super) async fn show(
    State(state): State<AdminState>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let (status, cache) = (state.desk.status().await?, state.desk.cache().await);
    let trends = state.desk.trends().await?;
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
        (last_day(&trends, now))
        (upstreams(&status, now))
        (nodes(&state.desk.nodes(), now))
        (kept(&cache, now))
        (known(database.as_ref(), now))
    };
    Ok(Page::new("Health", Place::Health, &visitor, main).live().into_response())
}

/// The last day as curves; those of which something is known.
fn last_day(trends: &Trends, now: Timestamp) -> Markup {
    let hour = |name: &str, of: fn(&Hour) -> u64| Series {
        name: name.to_owned(),
        points: trends.hours.iter().map(|hour| (hour.from, Some(of(hour)))).collect(),
    };
    let seen = |name: &str, of: &dyn Fn(&Seen) -> Option<u64>| Series {
        name: name.to_owned(),
        points: trends.seen.iter().map(|seen| (seen.at, of(seen))).collect(),
    };
    let registries: BTreeSet<&String> = trends.seen.iter().flat_map(|it| it.left.keys()).collect();
    let budgets: Vec<Series> =
        registries.into_iter().map(|name| seen(name, &|it| it.left.get(name).copied())).collect();
    let hits = seen("from the cache", &|it| it.hits);
    let ages = seen("age", &|it| it.database_hours);
    let chart = |id, title, unit, most| Chart { id, title, unit, most, until: now };
    // The hour of now is not over: its bar ends with it.
    let hour_end = trends.hours.last().map_or(now, |hour| hour.from.after(HOUR));
    let is_known = |series: &Series| series.points.iter().any(|point| point.1.is_some());
    html! {
        section aria-labelledby="last-day" {
            h2 #last-day { "The last day" }
            p.quiet { "Times are UTC. Pulls are counted in the ledger; the rest is looked at every five minutes \
                and begins anew with the server." }
            div.charts {
                (Chart { until: hour_end, ..chart("pulls", "Pulls", "manifests in an hour", None) }
                    .bars(&[hour("served", |it| it.served), hour("refused or waiting", |it| it.refused)]))
                @if is_known(&hits) {
                    (chart("hits", "Cache hits", "percent of blobs", Some(100)).lines(&[hits], LOOKS_IN_AN_HOUR))
                }
                @if !budgets.is_empty() {
                    (chart("budget", "Pulls left upstream", "percent of the rate limit", Some(100))
                        .lines(&budgets, LOOKS_IN_AN_HOUR))
                }
                @if is_known(&ages) {
                    (chart("database", "Age of the vulnerability database", "hours", None)
                        .lines(&[ages], LOOKS_IN_AN_HOUR))
                }
            }
        }
    }
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

/// What nodes say of themselves, the worst first; nothing where none does.
fn nodes(view: &NodesView, now: Timestamp) -> Markup {
    if view.nodes.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="nodes" {
            h2 #nodes { "Nodes" }
            p.quiet { "What the doctor of each node found of the ways around the mirror. A node says it of itself." }
            table {
                caption.unseen { "Nodes and the ways around the mirror" }
                thead { tr { th scope="col" { "Node" } th scope="col" { "State" } th scope="col" { "Reported" } } }
                tbody { @for node in view.nodes.iter().take(NODES_SHOWN_MAX) {
                    tr {
                        th scope="row" { bdi { (node.report.node) } }
                        td {
                            (state_mark(node.report.state().as_str()))
                            @if node.is_silent { span.quiet { "silent since" } }
                        }
                        td data-label="Reported" { (ago(node.received_at, now)) }
                    }
                } }
            }
            @if view.nodes.len() > NODES_SHOWN_MAX {
                p.quiet { (count(u64::try_from(view.nodes.len()).unwrap_or(u64::MAX), "node"))
                    " in all; " code { "pratique doctor --cluster" } " lists them." }
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
