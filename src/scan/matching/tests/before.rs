//! What was found of a package before is what would be found of it now.

use serde_json::{Value, json};

use super::npm;
use crate::scan::database::testing::{NOW, database, record};
use crate::scan::{Database, Inventory, Package, Report};
use crate::time::Timestamp;

fn report_at(database: &Database, packages: Vec<Package>, now: Timestamp) -> Report {
    let inventory = Inventory { packages, ..Inventory::default() };
    database.report(&inventory, now).unwrap()
}

fn one(fields: &Value) -> Value {
    let mut record =
        record("A-1", "npm", "left", &json!([{ "introduced": "0" }, { "fixed": "2" }]));
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

#[test]
fn it_is_the_same_in_another_image_but_for_where_it_was_found() {
    let database = database(&[one(&json!({ "aliases": ["CVE-2026-1"] }))]);
    let first = report_at(&database, vec![npm("1")], NOW);
    for _ in 0..3 {
        assert_eq!(report_at(&database, vec![npm("1")], NOW), first);
    }
    let mut elsewhere = npm("1");
    elsewhere.found_in = "app/package.json".to_owned();
    let second = report_at(&database, vec![elsewhere.clone()], NOW);
    assert_eq!(*second.findings[0].package, elsewhere);
    let mut same = second.findings[0].clone();
    same.package = first.findings[0].package.clone();
    assert_eq!(same, first.findings[0]);
    assert!(report_at(&database, vec![npm("2")], NOW).findings.is_empty());
}

#[test]
fn what_cannot_be_compared_is_said_of_each() {
    let database = database(&[one(&json!({}))]);
    for found_in in ["a/package.json", "b/package.json", "c/package.json"] {
        let mut package = npm("not a version");
        package.found_in = found_in.to_owned();
        let report = report_at(&database, vec![package.clone()], NOW);
        assert_eq!(report.unmatched.len(), 1);
        assert_eq!(report.unmatched[0].package, Some(package));
    }
}

/// A report of today must not say for ever that nobody knows when it was published.
#[test]
fn what_is_published_tomorrow_is_looked_up_again() {
    let day = "2026-11-23T00:00:00Z";
    let record = one(&json!({ "published": day, "modified": day }));
    let (database, day) = (database(&[record]), day.parse().unwrap());
    let published = |now| report_at(&database, vec![npm("1")], now).findings[0].published;
    let day_before = Timestamp::from_milliseconds(NOW.milliseconds() - 100_000_000);
    for _ in 0..3 {
        assert_eq!(published(day_before), None);
    }
    for _ in 0..3 {
        assert_eq!(published(day), Some(day));
    }
    assert_eq!(published(day_before), None, "by a clock that goes back");
}
