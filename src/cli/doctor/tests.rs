//! How a look is told.

use super::*;
use crate::doctor::Way;
use crate::time::Timestamp;

fn report(findings: Vec<Finding>) -> Report {
    let at = Timestamp::from_milliseconds(1_800_000_000_123);
    Report::new("worker-1".parse().unwrap(), at, None, findings)
}

fn finding(way: Way, about: &str, state: State) -> Finding {
    Finding::new(way, "cri", about, state, "saw it", Some("do something"))
}

#[test]
fn the_table_begins_with_what_is_open_and_ends_with_what_it_comes_to() {
    let text = shown::table(&report(vec![
        finding(Way::Mirror, "https://m", State::Closed),
        finding(Way::Unlisted, "127.0.0.1:4000", State::Open),
    ]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("STATE   WAY"), "{text}");
    assert!(lines[1].starts_with("open    unlisted  cri"), "{text}");
    assert!(lines[1].ends_with("saw it; do something"), "{text}");
    assert_eq!(lines[3], "worker-1: pods can be served past the mirror (1 open, 1 closed)");
    assert!(lines.iter().all(|line| line.len() <= 100), "{text}");
}

#[test]
fn an_exit_code_says_open_before_untried_before_closed() {
    let exit_of = |states: &[State]| {
        exit(&report(states.iter().map(|state| finding(Way::Fallback, "x", *state)).collect()))
    };
    assert_eq!(exit_of(&[State::Untried, State::Open]), Exit::Refused);
    assert_eq!(exit_of(&[State::Untried, State::Closed]), Exit::Unreachable);
    assert_eq!(exit_of(&[State::Weak, State::Declared, State::Closed]), Exit::Done);
    assert_eq!(exit_of(&[]), Exit::Unreachable);
}

#[test]
fn a_series_of_figures_has_the_same_name_each_time_and_nothing_breaks_out_of_its_label() {
    let one = metrics::text(&report(vec![
        finding(Way::Unlisted, "127.0.0.1:4000", State::Open),
        finding(Way::Fallback, "a\"} 1\\", State::Closed),
    ]));
    let wanted = "pratique_node_way_open{node=\"worker-1\",way=\"unlisted\",by=\"cri\",about=\"127.0.0.1\"} 2";
    assert!(one.lines().any(|line| line == wanted), "{one}");
    assert!(one.contains("about=\"a\\\"} 1\\\\\"} 0"), "{one}");
    assert!(one.ends_with("timestamp_seconds{node=\"worker-1\"} 1800000000\n"), "{one}");
    let other = metrics::text(&report(vec![
        finding(Way::Unlisted, "127.0.0.1:5000", State::Open),
        finding(Way::Fallback, "a\"} 1\\", State::Closed),
    ]));
    assert_eq!(one, other);
}

#[test]
fn figures_are_put_in_place_whole_and_readable() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.prom");
    metrics::write(&file, "one\n").unwrap();
    metrics::write(&file, "two\n").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}
