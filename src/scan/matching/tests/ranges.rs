//! Which versions are affected by what a record says.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ids, kinds, npm, only, report, report_of};
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
        ["0.1", "2.1", "2.1.0", "x.y", "x.z?"]
    );
    // Without ranges the list is all there is.
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
fn a_version_that_is_too_long_to_keep_leaves_the_package_unknown() {
    let long = "1".repeat(1_025);
    assert_eq!(affected(&json!({ "versions": [long] }), &["1.0"]), ["1.0?"]);
    assert_eq!(affected(&json!({ "versions": ["2.0", long] }), &["1.0", "2.0"]), ["1.0?", "2.0"]);
    assert_eq!(within(&json!([{ "introduced": "0" }, { "fixed": long }]), &["1.0"]), ["1.0?"]);
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
fn what_a_record_lists_in_other_words_is_affected_beside_ranges_too() {
    let beside = json!({
        "versions": ["1.0.0-rc.1", "2.1"],
        "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "5.0" }, { "fixed": "6.0" }] }],
    });
    let versions = ["v1.0.0-rc.1", "1.0.0", "2.1.0", "2.1", "5.5", "6.0", "x"];
    assert_eq!(affected(&beside, &versions), ["v1.0.0-rc.1", "2.1.0", "2.1", "5.5", "x?"]);
}

#[test]
fn a_fix_that_cannot_be_compared_is_one_where_there_is_no_other() {
    let fix = |affected: Value| {
        let mut record = record("A-1", "npm", "left", &json!([]));
        record["affected"][0]["versions"] = affected["versions"].clone();
        record["affected"][0]["ranges"] = affected["ranges"].clone();
        only(&report(&[record], vec![npm("2.0")])).fix.clone()
    };
    let range = |events: &Value| json!({ "type": "SEMVER", "events": events });
    let odd = range(&json!([{ "introduced": "0" }, { "fixed": "2004d-x" }]));
    let listed = json!({ "versions": ["2.0"], "ranges": [odd] });
    assert_eq!(fix(listed), Fix::In("2004d-x".to_owned()));
    let better = range(&json!([{ "introduced": "1.0" }, { "fixed": "3.0" }]));
    let both = json!({ "versions": ["2.0"], "ranges": [odd, better] });
    assert_eq!(fix(both), Fix::In("3.0".to_owned()));
    let open = range(&json!([{ "introduced": "1.0" }]));
    let elsewhere = range(&json!([{ "introduced": "5.0" }, { "fixed": "6.x" }]));
    let other = json!({ "versions": ["2.0"], "ranges": [open, elsewhere] });
    assert_eq!(
        fix(other),
        Fix::In("6.x".to_owned()),
        "it cannot be told whether it is of this one"
    );
}

#[test]
fn what_is_affected_last_without_a_release_is_so_in_all_its_releases() {
    for (kind, release, ecosystem) in [
        (PackageKind::Rpm, ("almalinux", "9"), "AlmaLinux:9"),
        (PackageKind::Deb, ("debian", "12"), "Debian:12"),
        (PackageKind::Apk, ("wolfi", ""), "Wolfi"),
    ] {
        let dash = if kind == PackageKind::Apk { "-r" } else { "-" };
        let found = |last: &str, version: &str| {
            let events = json!([{ "introduced": "0" }, { "last_affected": last }]);
            let package = Package::new(kind, "x", &version.replace('-', dash), "x");
            let records = [record("A-1", ecosystem, "x", &events)];
            let report = report_of(&records, release, vec![package]);
            assert!(report.unmatched.is_empty(), "{report:?}");
            !report.findings.is_empty()
        };
        assert!(found("1.2.3", "1.2.3-4"), "{kind:?}");
        assert!(found("1.2.3", "1.2.3"), "{kind:?}");
        assert!(!found("1.2.3", "1.2.4-1"), "{kind:?}");
        assert!(!found("1.2.3", "1.2.3.1-1"), "{kind:?}");
        assert!(!found(&format!("1.2.3{dash}4"), "1.2.3-5"), "{kind:?}");
        let fixed = json!([{ "introduced": "0" }, { "fixed": "1.2.3" }]);
        let package = Package::new(kind, "x", &"1.2.3-4".replace('-', dash), "x");
        let records = [record("A-1", ecosystem, "x", &fixed)];
        assert!(ids(&report_of(&records, release, vec![package])).is_empty(), "{kind:?}");
    }
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
    assert_eq!(finding.aliases[..], ["A-1", "A-2", "A-3"].map(str::to_owned));
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
