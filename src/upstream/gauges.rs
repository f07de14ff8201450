//! How every upstream is, for Prometheus.
//!
//! One label, the registry: the list of series is that of the configuration, and nothing from outside
//! can make it grow.

use std::fmt::Write as _;

use super::breaker::Breaker;
use super::registry::UpstreamStatus;
use crate::time::Timestamp;

/// The text form of `upstreams` at `now`, to follow that of the counters.
///
/// Spec: <https://prometheus.io/docs/instrumenting/exposition_formats/>
pub fn render_gauges(upstreams: &[UpstreamStatus], now: Timestamp) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&UpstreamStatus) -> Option<u64>| {
        let mut samples = String::new();
        for upstream in upstreams {
            if let Some(value) = value(upstream) {
                let registry = &upstream.registry;
                line(&mut samples, format_args!("{name}{{registry=\"{registry}\"}} {value}\n"));
            }
        }
        if !samples.is_empty() {
            line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{samples}"));
        }
    };
    gauge("pratique_upstream_resting", "1 while an upstream is not asked.", &|upstream| {
        Some(u64::from(upstream.breaker == Breaker::Open))
    });
    gauge(
        "pratique_upstream_credentials_refused",
        "Credentials of an upstream that were refused and are left alone.",
        &|upstream| u64::try_from(upstream.credentials_refused).ok(),
    );
    gauge("pratique_upstream_rate_limit", "Requests that an upstream allows.", &|upstream| {
        upstream.rate_limit.map(|limit| limit.limit)
    });
    gauge("pratique_upstream_rate_remaining", "Requests that are left of them.", &|upstream| {
        upstream.rate_limit.map(|limit| limit.remaining)
    });
    gauge(
        "pratique_upstream_rate_window_seconds",
        "Window in which an upstream counts requests.",
        &|upstream| upstream.rate_limit?.window.map(|window| window.as_secs()),
    );
    gauge(
        "pratique_upstream_rate_exhausted_in_seconds",
        "Time until no request is left at the present rate; absent while that is not to be expected.",
        &|upstream| upstream.rate_exhausted_at.map(|at| at.since(now).as_secs()),
    );
    text
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::RateLimit;

    #[test]
    fn every_registry_has_its_own_series_and_what_is_unknown_has_none() {
        let now = Timestamp::from_milliseconds(0);
        let status = |registry: &str, remaining: Option<u64>| UpstreamStatus {
            registry: registry.parse().unwrap(),
            breaker: Breaker::Closed,
            rate_limit: remaining.map(|remaining| RateLimit {
                limit: 100,
                remaining,
                window: None,
            }),
            rate_exhausted_at: remaining.map(|_| now.after(Duration::from_mins(2))),
            credentials_refused: 0,
            last_success: None,
            last_failure: None,
        };
        let text = render_gauges(&[status("docker.io", Some(7)), status("ghcr.io", None)], now);
        assert!(text.contains("pratique_upstream_rate_remaining{registry=\"docker.io\"} 7\n"));
        assert!(text.contains("_exhausted_in_seconds{registry=\"docker.io\"} 120\n"), "{text}");
        assert!(!text.contains("rate_limit{registry=\"ghcr.io\"}"), "{text}");
        assert!(!text.contains("window_seconds"), "{text}");
        assert_eq!(text.matches("# TYPE pratique_upstream_resting gauge").count(), 1);
        assert_eq!(text.matches("pratique_upstream_resting{").count(), 2);
    }
}
