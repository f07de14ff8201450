//! How every webhook is, for Prometheus.
//!
//! One label, the name: the list of series is that of the settings.

use std::fmt::Write as _;

use super::state::{State, age};
use crate::time::Timestamp;

type Value = fn(&State, Timestamp) -> u64;

/// Name, kind, help and value of each series.
const SERIES: [(&str, &str, &str, Value); 6] = [
    ("pratique_webhook_deliveries_total", "counter", "Events that a receiver took.", |state, _| {
        state.deliveries
    }),
    ("pratique_webhook_failures_total", "counter", "Deliveries that failed.", |state, _| {
        state.failures
    }),
    (
        "pratique_webhook_given_up_total",
        "counter",
        "Events that a receiver refused until they were given up.",
        |state, _| state.given_up,
    ),
    (
        "pratique_webhook_oldest_undelivered_seconds",
        "gauge",
        "Age of the oldest event that was not delivered; 0 without one.",
        |state, now| age(state.waiting_since(), now),
    ),
    ("pratique_webhook_paused", "gauge", "1 while a receiver said that it is gone.", |state, _| {
        u64::from(state.cursor.paused.is_some())
    }),
    (
        "pratique_webhook_sequence",
        "gauge",
        "The last record of the audit that was dealt with.",
        |state, _| state.cursor.sequence,
    ),
];

/// The text form of webhooks at `now`, to follow that of the counters.
pub(super) fn render(hooks: &[(&str, &State)], now: Timestamp) -> String {
    let mut text = String::new();
    if hooks.is_empty() {
        return text;
    }
    for (name, kind, help, value) in SERIES {
        line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (webhook, state) in hooks {
            let value = value(state, now);
            line(&mut text, format_args!("{name}{{webhook=\"{webhook}\"}} {value}\n"));
        }
    }
    text
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}
