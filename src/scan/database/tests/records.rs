//! Records: those that count, those that do not, and those that cannot be read.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::scan::database::testing::{NOW, builder, database, file, finished, record};
use crate::scan::database::{Feed, ImportError};
use crate::scan::{Inventory, Package, PackageKind};

/// What becomes of records among a hundred good ones each, which are not counted.
fn added(records: &[&[u8]]) -> Result<Feed, ImportError> {
    let good = goods(100 * records.len()).into_iter().map(|record| record.to_string().into_bytes());
    let records = records.iter().map(|bytes| bytes.to_vec());
    let named = records.chain(good).map(|bytes| Ok(("x.json".to_owned(), bytes)));
    let mut feed = builder().add_osv_records(named, "test", None).cloned()?;
    feed.records -= u64::try_from(100 * feed_size(&feed)).unwrap();
    Ok(feed)
}

/// How many records a feed was made of by [`added`], beside the good ones.
fn feed_size(feed: &Feed) -> usize {
    let all = usize::try_from(feed.records).unwrap() + feed.unreadable.len();
    all / 101
}

fn goods(count: usize) -> Vec<Value> {
    let events = json!([{ "introduced": "0" }]);
    (0..count).map(|n| record(&format!("G-{n}"), "npm", "other", &events)).collect()
}

fn good() -> Value {
    record("A-1", "npm", "left", &json!([{ "introduced": "0" }]))
}

#[test]
fn what_is_new_or_strange_and_decides_nothing_is_let_through() {
    let strange = json!({
        "schema_version": "99", "id": "A-2", "modified": 7, "published": {}, "withdrawn": null,
        "aliases": null, "related": [], "severity": "bad", "database_specific": [1],
        "credits": [{ "type": "NEW" }], "summary": ["x"], "new": { "a": [null] },
        "affected": [
            { "package": { "ecosystem": "New:1", "name": "x", "purl": 1 }, "severity": [{ "type": "CVSS_V9", "score": 9 }],
              "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0", "new": 1 }], "database_specific": 1 }] },
            { "ranges": [{ "type": "GIT", "repo": "x", "events": [{ "introduced": "0" }] }] },
        ],
    });
    let named = [Ok(("x.json".to_owned(), strange.to_string().into_bytes()))];
    let feed = builder().add_osv_records(named, "test", None).cloned().unwrap();
    assert_eq!((feed.records, feed.unreadable.len(), feed.modified), (1, 0, None));
}

#[test]
fn what_decides_and_cannot_be_read_is_counted_and_named() {
    let with = |pointer: &str, value: Value| {
        let mut record = good();
        *record.pointer_mut(pointer).unwrap() = value;
        record.to_string().into_bytes()
    };
    let long = "x".repeat(1_025);
    let bad: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\xff{}".to_vec(),
        b"[]".to_vec(),
        b"{\"id\":\"A-1\"".to_vec(),
        b"{\"id\":\"A-1\",\"id\":\"A-2\"}".to_vec(),
        b"{\"id\":\"\\ud800\"}".to_vec(),
        "[".repeat(100_000).into_bytes(),
        format!("{{\"id\":\"A-1\",\"affected\":{}", "[".repeat(100_000)).into_bytes(),
        with("/id", json!("")),
        with("/id", json!("A 1")),
        with("/id", json!("A\u{202e}1")),
        with("/id", json!("x".repeat(257))),
        with("/affected", json!("x")),
        with("/affected/0/package", json!({ "name": "x" })),
        with("/affected/0/package/name", json!("")),
        with("/affected/0/package/name", json!(long)),
        with("/affected/0/ranges/0", json!({ "events": [] })),
        with("/affected/0/ranges/0/events", json!({})),
        with("/affected/0/ranges/0/events/0/introduced", json!(0)),
    ];
    for one in bad {
        let feed = added(&[&one, good().to_string().as_bytes()]).unwrap();
        let shown = String::from_utf8_lossy(&one).chars().take(80).collect::<String>();
        assert_eq!((feed.records, feed.unreadable.len()), (1, 1), "{shown}");
        assert!(!feed.unreadable[0].reason.is_empty());
    }
}

#[test]
fn a_million_versions_are_too_many_and_a_great_many_are_not() {
    let versions = |count: usize| {
        let mut record = good();
        record["affected"][0]["versions"] = (0..count).map(|n| json!(n.to_string())).collect();
        record.to_string().into_bytes()
    };
    let feed = added(&[&versions(1_000_000), &versions(100_000)]).unwrap();
    assert_eq!((feed.records, feed.unreadable.len()), (1, 1));
    assert!(feed.unreadable[0].reason.contains("100000"), "{:?}", feed.unreadable);
    let oversized = format!("{{\"id\":\"A-9\",\"details\":\"{}\"}}", "x".repeat(16 * 1024 * 1024));
    let feed = added(&[oversized.as_bytes(), good().to_string().as_bytes()]).unwrap();
    assert_eq!((feed.records, feed.unreadable.len()), (1, 1));
}

#[test]
fn of_one_id_the_newest_counts_and_different_ones_of_one_time_both_do() {
    let at = |modified: &str, name: &str| {
        let mut record = record("A-1", "npm", name, &json!([{ "introduced": "0" }]));
        record["modified"] = json!(modified);
        record
    };
    let counted = |records: &[Value]| {
        let (_, summary) = file(records).unwrap();
        (summary.status.records, summary.status.superseded)
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    assert_eq!(counted(&[at(old, "a"), at(new, "b")]), (1, 1));
    assert_eq!(counted(&[at(new, "b"), at(old, "a")]), (1, 1));
    assert_eq!(counted(&[at(new, "b"), at(new, "b")]), (1, 1));
    assert_eq!(counted(&[at(new, "b"), at(new, "c")]), (2, 0));
    assert_eq!(counted(&[at(old, "a"), at(old, "b"), at(old, "b"), at(new, "c")]), (1, 3));
    let mut withdrawn = at(new, "b");
    withdrawn["withdrawn"] = json!(new);
    let other = record("A-2", "npm", "left", &json!([{ "introduced": "0" }]));
    assert_eq!(counted(&[at(old, "a"), withdrawn, other]), (1, 1));
    let many: Vec<Value> = (0..40).map(|n| at(new, &n.to_string())).collect();
    let many = [many, goods(2_400)].concat();
    assert_eq!(file(&many).unwrap().1.status.feeds[0].unreadable.len(), 24);
}

#[test]
fn one_in_a_hundred_records_may_be_unreadable_and_no_more() {
    let bad = || Ok(("bad.json".to_owned(), b"{}".to_vec()));
    let read = |good: usize, count: usize| {
        let good = goods(good).into_iter();
        let good = good.map(|it| Ok(("x.json".to_owned(), it.to_string().into_bytes())));
        let all = good.chain((0..count).map(|_| bad()));
        builder().add_osv_records(all, "test", None).map(|feed| feed.unreadable.len())
    };
    assert_eq!(read(99, 1).unwrap(), 1);
    for (good, count) in [(1, 1), (98, 1), (197, 2)] {
        let error = read(good, count).unwrap_err();
        let ImportError::Unreadable { records, unreadable, .. } = &error else { panic!("{error}") };
        assert_eq!((*records, *unreadable), (u64::try_from(good + count).unwrap(), count));
        assert!(error.to_string().contains("bad.json"), "{error}");
    }
}

#[test]
fn what_is_lost_is_told_before_a_database_is_replaced() {
    let events = json!([{ "introduced": "0" }]);
    let made = |records: &[Value], kev: Option<&str>| {
        let mut builder = builder();
        let named = records.iter().map(|it| Ok(("x".to_owned(), it.to_string().into_bytes())));
        builder.add_osv_records(named, "osv", None).unwrap();
        if let Some(date) = kev {
            let kev = format!(
                r#"{{"dateReleased":"{date}","vulnerabilities":[{{"cveID":"CVE-2020-1"}}]}}"#
            );
            builder.add_kev(kev.as_bytes(), "kev", None).unwrap();
        }
        finished(builder).unwrap().1.status
    };
    let npm = record("A-1", "npm", "left", &events);
    let mut both = record("A-2", "PyPI", "left", &events);
    let before = made(&[npm.clone(), both.clone()], Some("2026-11-01T00:00:00Z"));
    let lacks = |records: &[Value], kev| made(records, kev).lacks(&before);
    let all = [npm.clone(), both.clone()];
    assert_eq!(lacks(&all, Some("2026-11-02T00:00:00Z")), [""; 0]);
    let older = lacks(&all, Some("2020-01-01T00:00:00Z"));
    assert!(matches!(&older[..], [text] if text.contains("exploited")), "{older:?}");
    let none = lacks(&all, None);
    assert!(matches!(&none[..], [text] if text.contains("KEV")), "{none:?}");
    let fewer = lacks(&all[..1], Some("2026-11-02T00:00:00Z"));
    assert!(fewer[0].starts_with("1 ecosystems would be lost, such as PyPI"), "{fewer:?}");
    // Still named, but only beside npm: there is no feed of it any more.
    let beside = npm["affected"][0].clone();
    both["affected"].as_array_mut().unwrap().push(beside);
    let uncovered = lacks(&[npm, both], Some("2026-11-02T00:00:00Z"));
    assert!(
        matches!(&uncovered[..], [text] if text.contains("no feed of their own")),
        "{uncovered:?}"
    );
}

#[test]
fn a_withdrawn_record_says_nothing_and_lends_no_names() {
    let mut withdrawn = record("A-1", "npm", "left", &json!([{ "introduced": "0" }]));
    withdrawn["withdrawn"] = json!("2026-01-01T00:00:00Z");
    withdrawn["aliases"] = json!(["CVE-2026-1", "A-2"]);
    let mut other = record("A-2", "npm", "left", &json!([{ "introduced": "0" }]));
    other["aliases"] = json!(["GHSA-2"]);
    let (_, summary) = file(&[withdrawn.clone(), other]).unwrap();
    assert_eq!((summary.status.records, summary.status.vulnerabilities), (1, 1));
    assert_eq!(summary.status.feeds[0].withdrawn, 1);
    // A withdrawal that is yet to come is none.
    withdrawn["withdrawn"] = json!("2999-01-01T00:00:00Z");
    assert_eq!(file(&[withdrawn]).unwrap().1.status.records, 1);
}

#[test]
fn a_feed_is_as_old_as_its_newest_change_and_the_future_makes_none_fresh() {
    let mut future = good();
    future["modified"] = json!("2999-01-01T00:00:00Z");
    let mut builder = builder();
    let records =
        [good(), record("A-2", "npm", "x", &json!([{ "introduced": "0" }])), future.clone()];
    let named =
        records.iter().map(|record| Ok(("x.json".to_owned(), record.to_string().into_bytes())));
    let feed = builder.add_osv_records(named, "test", None).unwrap();
    assert_eq!(feed.modified, "2026-11-20T00:00:00Z".parse().ok());
    let old = "2026-01-01T00:00:00Z".parse().ok();
    let named = [Ok(("x.json".to_owned(), good().to_string().into_bytes()))];
    assert_eq!(builder.add_osv_records(named, "older", old).unwrap().as_of, old);
    let kev =
        br#"{"dateReleased":"2020-01-01T00:00:00Z","vulnerabilities":[{"cveID":"CVE-2020-1"}]}"#;
    builder.add_kev(&kev[..], "kev", None).unwrap();
    let (_, summary) = finished(builder).unwrap();
    assert_eq!(Some(summary.status.as_of), old);
    assert_eq!(file(&[future]).unwrap().1.status.as_of.milliseconds(), 0);
    assert!(summary.status.built == NOW);
}

#[test]
fn equal_feeds_make_equal_files() {
    let records: Vec<Value> = (0..500)
        .map(|n| {
            let name = format!("p{}", n % 37);
            let mut record = record(
                &format!("A-{n}"),
                ["npm", "PyPI"][n % 2],
                &name,
                &json!([{ "fixed": n.to_string() }]),
            );
            record["aliases"] = json!([format!("CVE-2026-{}", n / 3), format!("GHSA-{}", n / 2)]);
            record["affected"][0]["versions"] = json!(["1.0", n.to_string()]);
            record
        })
        .collect();
    let (first, second) = (file(&records).unwrap(), file(&records).unwrap());
    assert!(first.0 == second.0, "two files");
    assert_eq!(first.1.digest, crate::oci::Digest::sha256(&first.0));
    assert_eq!(first.1.bytes, u64::try_from(first.0.len()).unwrap());
    assert_eq!(database(&records).id().digest, first.1.digest);
    assert_eq!(database(&records).status(), &first.1.status);
}

#[test]
fn a_vulnerability_may_have_thousands_of_names_that_packages_share_and_not_endless_ones() {
    let called = |count: usize| {
        let records = (0..count).map(|n| {
            let mut record = record("A-1", "npm", "left", &json!([{ "introduced": "0" }]));
            (record["id"], record["aliases"]) = (json!(format!("CGA-{n}")), json!(["CVE-2026-1"]));
            record
        });
        records.collect::<Vec<Value>>()
    };
    let packages = ["a", "b"].map(|at| Package::new(PackageKind::Npm, "left", "1", at)).to_vec();
    let inventory = Inventory { packages, ..Inventory::default() };
    let report = database(&called(3_000)).report(&inventory, NOW).unwrap();
    let [first, second] = &report.findings[..] else { panic!("{}", report.findings.len()) };
    assert_eq!((first.id.as_str(), first.aliases.len()), ("CVE-2026-1", 3_000));
    assert!(std::sync::Arc::ptr_eq(&first.aliases, &second.aliases), "each has its own");
    let mut endless = good();
    let mut more = good();
    endless["aliases"] = (0..10_000).map(|n| json!(format!("X-{n}"))).collect();
    let chained: Vec<Value> = (0..11)
        .map(|n| {
            more["id"] = json!(format!("B-{n}"));
            let names = (0..9_999).map(|k| json!(format!("Y-{n}-{k}")));
            more["aliases"] = names.chain([json!("B-0")]).collect();
            more.clone()
        })
        .collect();
    assert!(file(&[endless]).is_ok());
    let error = file(&chained).unwrap_err();
    assert!(error.to_string().contains("NAMES_MAX"), "{error}");
}

#[test]
fn a_database_without_records_is_not_made() {
    assert!(matches!(finished(builder()), Err(ImportError::Empty { .. })));
    assert!(matches!(added(&[]), Err(ImportError::Empty { .. })));
    let unreadable = std::iter::once(Err(std::io::Error::other("gone")));
    let failed = builder().add_osv_records(unreadable, "test", None).is_err();
    assert!(failed, "a directory that cannot be read is not an empty one");
}

/// Anything that JSON can say, with the words of records.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[0-9.*a-z:~-]{0,6}".prop_map(Value::from),
        Just(json!("2026-11-20T00:00:00Z")),
        Just(json!("ECOSYSTEM")),
        Just(json!("npm")),
    ];
    let words = prop::sample::select(vec![
        "id",
        "affected",
        "package",
        "ecosystem",
        "name",
        "ranges",
        "type",
        "events",
        "introduced",
        "fixed",
        "last_affected",
        "limit",
        "versions",
        "aliases",
        "upstream",
        "related",
        "severity",
        "score",
        "database_specific",
        "ecosystem_specific",
        "withdrawn",
        "modified",
    ]);
    leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..8)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_record_makes_it_panic(value in anything(), fields in prop::collection::vec((0_usize..5, anything()), 0..3)) {
        let mut near = good();
        for (at, value) in fields {
            let pointer = ["/affected", "/affected/0/package/name", "/affected/0/ranges/0/events/0", "/modified", "/affected/0/ranges"][at];
            if let Some(place) = near.pointer_mut(pointer) {
                *place = value;
            }
        }
        for record in [value, near] {
            let bytes = record.to_string().into_bytes();
            let named = [Ok(("x.json".to_owned(), bytes)), Ok(("g.json".to_owned(), good().to_string().into_bytes()))];
            let mut builder = builder();
            // Half of the feed may be unreadable.
            if builder.add_osv_records(named, "test", None).is_err() {
                continue;
            }
            let (file, _) = finished(builder).unwrap();
            prop_assert!(crate::scan::database::Database::open(file.into()).is_ok());
        }
    }
}
