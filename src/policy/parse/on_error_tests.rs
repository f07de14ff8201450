//! What becomes of what cannot be decided, as policies write it.

use std::path::Path;
use std::time::Duration;

use super::super::{Artifact, OnError, Policy};

const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";

fn parse(defaults: &str, rule: &str, overlays: &str) -> Result<Policy, String> {
    let no_files = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let rules = format!("rules: [{{id: a, match: [\"up.test/**\"], trust: allow{rule}}}]\n");
    let text = format!("{HEAD}{defaults}\n{rules}{overlays}");
    Policy::parse(&text, &no_files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn on_error(defaults: &str, rule: &str, overlays: &str) -> OnError {
    let policy = parse(defaults, rule, overlays).unwrap();
    policy.demands(&"up.test/x".parse().unwrap(), Artifact::Image, &[]).on_error()
}

fn hours(hours: u64) -> OnError {
    OnError::Stale(Duration::from_hours(hours))
}

#[test]
fn nothing_is_served_undecided_unless_it_is_written_and_for_no_longer() {
    for (defaults, rule, expected) in [
        ("", "", OnError::Deny),
        ("defaults: {onError: deny}", "", OnError::Deny),
        ("defaults: {onError: stale}", "", hours(24)),
        ("defaults: {onError: stale}", ", onError: deny", OnError::Deny),
        ("defaults: {onError: stale, staleVerdict: 7d}", "", hours(168)),
        ("defaults: {onError: stale(<=2h), staleVerdict: 7d}", "", hours(2)),
        ("defaults: {staleVerdict: 48h}", ", onError: stale", hours(48)),
        ("", ", onError: stale(<=24h)", hours(24)),
        ("defaults: {onError: stale(<=2h)}", ", onError: stale(<=12h)", hours(12)),
    ] {
        assert_eq!(on_error(defaults, rule, ""), expected, "{defaults} {rule}");
    }
}

#[test]
fn an_overlay_only_makes_it_stricter() {
    let closing = "overlays: [{id: o, match: [\"up.test/**\"], onError: deny}]\n";
    assert_eq!(on_error("defaults: {onError: stale}", "", closing), OnError::Deny);
    let elsewhere = "overlays: [{id: o, match: [\"other.test/**\"], onError: deny}]\n";
    assert_eq!(on_error("defaults: {onError: stale}", "", elsewhere), hours(24));
    let loosening = "overlays: [{id: o, match: [\"up.test/**\"], onError: stale}]\n";
    let refused = parse("", "", loosening).unwrap_err();
    assert!(refused.contains("overlays[0].onError  \"stale\" is not one of: deny"), "{refused}");
}

#[test]
fn times_that_are_none_or_bound_nothing_are_told() {
    for (defaults, rule, expected) in [
        ("defaults: {onError: serve}", "", "defaults.onError  \"serve\" is not deny, stale or"),
        ("defaults: {onError: stale(12h)}", "", "is not deny, stale or stale(<=12h)"),
        ("defaults: {onError: stale(<=0h)}", "", "is not deny, stale or stale(<=12h)"),
        ("defaults: {onError: stale(<=12h}", "", "is not deny, stale or stale(<=12h)"),
        ("defaults: {onError: stale(<=99999999d)}", "", "is not deny, stale or stale(<=12h)"),
        (
            "defaults: {onError: stale(<=25h)}",
            "",
            "longer than defaults.staleVerdict allows (24 h)",
        ),
        ("", ", onError: stale(<=25h)", "rules[0].onError  is longer than defaults.staleVerdict"),
        ("defaults: {onError: stale, staleVerdict: 31d}", "", "staleVerdict  is more than 30d"),
        ("defaults: {onError: stale, staleVerdict: 1}", "", "staleVerdict  must be a time like"),
        ("defaults: {staleVerdict: 12h}", "", "defaults.staleVerdict  has no effect"),
        ("defaults: {onError: deny, staleVerdict: 12h}", ", onError: deny", "has no effect"),
        ("onError: stale", "", "onError  unknown key"),
    ] {
        let refused = parse(defaults, rule, "").unwrap_err();
        assert!(refused.contains(expected), "{defaults} {rule}: {refused}");
    }
}
