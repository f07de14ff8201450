//! Which versions are affected by what a record says.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ids, kinds, npm, only, report};
use crate::scan::database::testing::record;
use crate::scan::{Fix, Package, PackageKind, UnmatchedKind};

/// Which of these versions are affected: `?` where it cannot be told.
fn affected(affected: &Value, versions: &[&str]) -> Vec<String> {
    let mut record = record("A-1", "npm", "left", &json!([{ "introduced": "0" }]));
    record["affected"] = json!([affected]);
    record["affected"][0]["package"] = json!({ "ecosystem": "npm", "name": "left" });
    let outcome = |version: &&str| {
        let report = report(&[record.clone()], vec![npm(version)]);
        match (report.findings.len(), report.unmatched.len()) {
            (1, 0) => Some((*version).to_owned()),
            (0, 1) => Some(format!("{version}?")),
            (0, 0) => None,
            _ => panic!("{report:?}"),
        }
    };
    versions.iter().filter_map(outcome).collect()
}

fn within(events: &Value, versions: &[&str]) -> Vec<String> {
    affected(&json!({ "ranges": [{ "type": "SEMVER", "events": events }] }), versions)
}

const VERSIONS: [&str; 7] = ["0.1", "1.0", "1.5", "2.0", "2.1", "3.0", "9"];

#[test]
fn events_count_in_the_order_of_their_versions() {
    let two = json!([{ "introduced": "1.0" }, { "fixed": "1.5" }, { "introduced": "2.1" }, { "fixed": "3.0" }]);
    assert_eq!(within(&two, &VERSIONS), ["1.0", "2.1"]);
    let reversed: Value = two.as_array().unwrap().iter().rev().cloned().collect();
    assert_eq!(within(&reversed, &VERSIONS), ["1.0", "2.1"]);
    let at_once = json!([{ "introduced": "1.0", "fixed": "2.0" }]);
    assert_eq!(within(&at_once, &VERSIONS), ["1.0", "1.5"]);
}

#[test]
fn zero_is_before_every_version_and_a_missing_end_is_none() {
    assert_eq!(within(&json!([{ "introduced": "0" }]), &VERSIONS), VERSIONS);
    assert_eq!(within(&json!([{ "introduced": "" }, { "fixed": "1.0" }]), &VERSIONS), ["0.1"]);
    assert_eq!(
        within(&json!([{ "introduced": "2.1" }, { "fixed": "" }]), &VERSIONS),
        ["2.1", "3.0", "9"]
    );
    assert_eq!(within(&json!([{ "fixed": "1.5" }]), &VERSIONS), ["0.1", "1.0"]);
    let never: [&str; 0] = [];
    assert_eq!(within(&json!([{ "introduced": "0" }, { "fixed": "0" }]), &VERSIONS), never);
}

#[test]
fn what_is_affected_last_is_affected() {
    let events = json!([{ "introduced": "1.0" }, { "last_affected": "2.0" }]);
    assert_eq!(within(&events, &VERSIONS), ["1.0", "1.5", "2.0"]);
    let one = json!([{ "introduced": "1.5" }, { "last_affected": "1.5" }]);
    assert_eq!(within(&one, &VERSIONS), ["1.5"]);
}

#[test]
fn a_fix_at_which_it_is_introduced_again_is_none() {
    let events = json!([{ "introduced": "0" }, { "fixed": "1.5" }, { "introduced": "1.5" }, { "fixed": "2.0" }]);
    assert_eq!(within(&events, &VERSIONS), ["0.1", "1.0", "1.5"]);
}

#[test]
fn a_limit_is_where_a_range_says_nothing_more() {
    assert_eq!(
        within(&json!([{ "introduced": "1.0" }, { "limit": "2.0" }]), &VERSIONS),
        ["1.0", "1.5"]
    );
    let endless = json!([{ "introduced": "2.1" }, { "limit": "2.2" }, { "limit": "*" }]);
    assert_eq!(within(&endless, &VERSIONS), ["2.1", "3.0", "9"]);
}

#[test]
fn what_is_listed_is_affected_whatever_the_ranges_say() {
    let both = json!({
        "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "1.0" }] }],
        "versions": ["2.1", "x.y"],
    });
    assert_eq!(
        affected(&both, &["0.1", "1.0", "2.1", "2.1.0", "x.y", "x.z"]),
        ["0.1", "2.1", "x.y", "x.z?"]
    );
    // Without ranges the list is all there is, and other words for its versions count.
    let list = json!({ "versions": ["2.1", "x.y"] });
    assert_eq!(
        affected(&list, &["0.1", "2.1", "2.1.0", "x.y", "x.z"]),
        ["2.1", "2.1.0", "x.y", "x.z?"]
    );
}

#[test]
fn what_is_not_understood_is_unknown_and_not_harmless() {
    let kinds = json!({ "ranges": [{ "type": "NEW", "events": [{ "introduced": "0" }] }] });
    assert_eq!(affected(&kinds, &["1.0"]), ["1.0?"]);
    assert_eq!(within(&json!([{ "introduced": "0" }, { "ended": "0.1" }]), &["1.0"]), ["1.0?"]);
    assert_eq!(within(&json!([]), &["1.0"]), ["1.0?"]);
    assert_eq!(affected(&json!({}), &["1.0"]), ["1.0?"]);
    let commits = json!({ "ranges": [{ "type": "GIT", "events": [{ "introduced": "0" }] }] });
    assert_eq!(affected(&commits, &["1.0"]), ["1.0?"]);
    // But what is understood beside it counts.
    let beside = json!({ "ranges": [
        { "type": "NEW", "events": [{ "introduced": "0" }] },
        { "type": "SEMVER", "events": [{ "introduced": "1.0" }] },
    ] });
    assert_eq!(affected(&beside, &["0.1", "1.0"]), ["0.1?", "1.0"]);
}

#[test]
fn versions_that_cannot_be_compared_are_unknown_unless_every_version_is_affected() {
    for version in ["", "latest", "${ver}", "1:", "1.x", &"9".repeat(300)] {
        let bounded = json!([{ "introduced": "0" }, { "fixed": "1.0" }]);
        assert_eq!(within(&bounded, &[version]), [format!("{version}?")]);
        assert_eq!(within(&json!([{ "introduced": "0" }]), &[version]), [version]);
    }
    assert_eq!(within(&json!([{ "introduced": "0" }, { "fixed": "next" }]), &["1.0"]), ["1.0?"]);
    assert_eq!(within(&json!([{ "introduced": "first" }]), &["1.0"]), ["1.0?"]);
}

#[test]
fn an_unknown_version_is_one_gap_and_names_records() {
    let records: Vec<Value> = (0..5)
        .map(|n| {
            record(
                &format!("A-{n}"),
                "npm",
                "left",
                &json!([{ "introduced": "0" }, { "fixed": "1" }]),
            )
        })
        .collect();
    let report = report(&records, vec![npm("x\u{1b}y")]);
    assert_eq!(kinds(&report), [UnmatchedKind::Version]);
    let text = &report.unmatched[0].text;
    assert_eq!(text, "its version x?y cannot be compared with A-0, A-1, A-2 and 2 more");
    assert!(report.unmatched[0].package.is_some());
    // A package that no record is about has nothing to compare with.
    let other = Package::new(PackageKind::Npm, "right", "x", "package.json");
    assert_eq!(kinds(&super::report(&records, vec![other])), []);
}

#[test]
fn the_fix_is_the_lowest_one_above() {
    let events = json!([{ "introduced": "2.0" }, { "fixed": "2.5" }, { "fixed": "1.5" }, { "introduced": "0" }, { "introduced": "3.0" }]);
    let records = [record("A-1", "npm", "left", &events)];
    let fix = |version| only(&report(&records, vec![npm(version)])).fix.clone();
    assert_eq!(fix("1.0"), Fix::In("1.5".to_owned()));
    assert_eq!(fix("2.1"), Fix::In("2.5".to_owned()));
    assert_eq!(fix("3.1"), Fix::None);
}

#[test]
fn the_fix_of_several_records_is_fixed_by_all_that_have_one() {
    let one = |id: &str, events: Value| {
        let mut record = record(id, "npm", "left", &events);
        record["aliases"] = json!(["CVE-2026-1"]);
        record
    };
    let records = [
        one("A-1", json!([{ "fixed": "1.5" }])),
        one("A-2", json!([{ "fixed": "1.7" }])),
        one("A-3", json!([{ "introduced": "0" }])),
    ];
    let report = report(&records, vec![npm("1.0")]);
    let finding = only(&report);
    assert_eq!((finding.id.as_str(), &finding.fix), ("CVE-2026-1", &Fix::In("1.7".to_owned())));
    assert_eq!(finding.aliases, ["A-1", "A-2", "A-3"]);
}

proptest! {
    /// Held against the algorithm as OSV's specification writes it down.
    #[test]
    fn ranges_are_what_the_specification_says(
        events in prop::collection::btree_map(0_u64..12, 0_u8..3, 1..6), version in 0_u64..14,
    ) {
        let key = |kind| ["introduced", "fixed", "last_affected"][usize::from(kind)];
        let listed: Vec<Value> = events.iter().map(|(at, kind)| json!({ key(*kind): (at + 1).to_string() })).collect();
        let (mut vulnerable, version) = (!events.values().any(|kind| *kind == 0), version + 1);
        for (at, kind) in &events {
            match (kind, version.cmp(&(at + 1))) {
                (0, std::cmp::Ordering::Greater | std::cmp::Ordering::Equal) => vulnerable = true,
                (1, std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
                | (2, std::cmp::Ordering::Greater) => vulnerable = false,
                _ => {}
            }
        }
        let record = record("A-1", "npm", "left", &Value::from(listed));
        let report = report(&[record], vec![npm(&version.to_string())]);
        prop_assert_eq!(ids(&report).len(), usize::from(vulnerable));
    }
}
