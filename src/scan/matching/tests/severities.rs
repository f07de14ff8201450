//! How bad, how likely, and by which name.

use serde_json::{Value, json};

use super::{ids, npm, only, report, report_of};
use crate::scan::database::Database;
use crate::scan::database::testing::{NOW, builder, finished, record};
use crate::scan::{Fix, Inventory, Package, PackageKind, Severity};

fn with(fields: &Value) -> Value {
    let mut record = record("A-1", "npm", "left", &json!([{ "introduced": "0" }]));
    for (key, value) in fields.as_object().unwrap() {
        match key.strip_prefix('/') {
            Some(key) => record["affected"][0][key] = value.clone(),
            None => record[key] = value.clone(),
        }
    }
    record
}

fn bad(fields: &Value) -> (Option<Severity>, Option<u8>) {
    let report = report(&[with(fields)], vec![npm("1")]);
    (only(&report).severity, only(&report).score)
}

fn vector(kind: &str, score: &str) -> Value {
    json!([{ "type": kind, "score": score }])
}

#[test]
fn words_count_before_vectors_and_neither_is_unknown() {
    assert_eq!(bad(&json!({})), (None, None));
    assert_eq!(
        bad(&json!({ "severity": vector("CVSS_V3", "score:98") })),
        (Some(Severity::Critical), Some(98))
    );
    let several = json!([
        { "type": "CVSS_V2", "score": "score:50" }, { "type": "CVSS_V4", "score": "score:71" },
        { "type": "CVSS_V3", "score": "not whole" }, { "type": "NEW", "score": "score:99" },
    ]);
    assert_eq!(bad(&json!({ "severity": several })), (Some(Severity::High), Some(71)));
    for odd in [json!(null), json!("x"), json!({ "type": {} }), json!([]), json!(7)] {
        let beside = json!([odd, { "type": "CVSS_V3", "score": "score:98" }, odd]);
        assert_eq!(bad(&json!({ "severity": beside })), (Some(Severity::Critical), Some(98)));
    }
    assert_eq!(bad(&json!({ "severity": vector("CVSS_V3", "CVSS:3.1/AV:N") })), (None, None));
    assert_eq!(
        bad(
            &json!({ "/severity": vector("CVSS_V3", "score:10"), "severity": vector("CVSS_V3", "score:98") })
        ),
        (Some(Severity::Low), Some(10))
    );
    for (word, severity) in [
        ("LOW", Severity::Low),
        ("MODERATE", Severity::Medium),
        ("HIGH", Severity::High),
        ("CRITICAL", Severity::Critical),
    ] {
        let fields = json!({ "database_specific": { "severity": word }, "severity": vector("CVSS_V3", "score:1") });
        assert_eq!(bad(&fields), (Some(severity), Some(1)));
    }
    assert_eq!(bad(&json!({ "database_specific": { "severity": "UGLY" } })), (None, None));
}

#[test]
fn the_distributions_own_word_counts_first() {
    let debian = |urgency: &str| {
        let mut record =
            record("DEBIAN-CVE-2026-1", "Debian:12", "expat", &json!([{ "introduced": "0" }]));
        record["upstream"] = json!(["CVE-2026-1"]);
        record["severity"] = vector("CVSS_V3", "score:98");
        record["affected"][0]["ecosystem_specific"] = json!({ "urgency": urgency });
        record
    };
    let seen = |urgency: &str| {
        let package = Package::new(PackageKind::Deb, "expat", "1", "status");
        let report = report_of(&[debian(urgency)], ("debian", "12"), vec![package]);
        let finding = only(&report);
        (finding.severity, finding.fix.clone())
    };
    assert_eq!(seen("unimportant"), (Some(Severity::Low), Fix::None));
    assert_eq!(seen("high"), (Some(Severity::High), Fix::None));
    assert_eq!(seen("not yet assigned"), (Some(Severity::Critical), Fix::None));
    assert_eq!(seen("end-of-life"), (Some(Severity::Critical), Fix::WillNot));
}

#[test]
fn advisories_of_rpm_distributions_say_it_in_their_summary_and_name_what_they_fix_as_related() {
    let mut alma = record("ALSA-2026:1", "AlmaLinux:9", "curl", &json!([{ "fixed": "2" }]));
    alma["summary"] = json!("Important: curl security update");
    alma["related"] = json!(["CVE-2026-1", "CVE-2026-2", "ALSA-2026:9"]);
    let package = Package::new(PackageKind::Rpm, "curl", "1", "rpmdb.sqlite");
    let report = report_of(&[alma], ("almalinux", "9"), vec![package]);
    assert_eq!(ids(&report), ["CVE-2026-1", "CVE-2026-2"]);
    for finding in &report.findings {
        assert_eq!(
            (finding.severity, &finding.advisories[..]),
            (Some(Severity::High), &["ALSA-2026:1".to_owned()][..])
        );
        assert_eq!(finding.fix, Fix::In("2".to_owned()));
    }
    // As do those of Wolfi.
    let mut wolfi = record("CGA-1", "Wolfi", "openssl", &json!([{ "fixed": "3.1-r0" }]));
    wolfi["related"] = json!(["CVE-2026-1", "GHSA-1"]);
    let package = Package::new(PackageKind::Apk, "openssl", "3.0-r0", "installed");
    assert_eq!(ids(&report_of(&[wolfi], ("wolfi", "20230201"), vec![package])), ["CVE-2026-1"]);
    // Elsewhere what is related is something else.
    let fields = json!({ "related": ["CVE-2026-1"], "summary": "Important: left" });
    let report = super::report(&[with(&fields)], vec![npm("1")]);
    assert_eq!((only(&report).id.as_str(), only(&report).severity), ("A-1", None));
}

#[test]
fn what_is_exploited_or_likely_is_found_by_any_name() {
    let mut record = with(&json!({ "id": "GHSA-1", "aliases": ["CVE-2021-44228"] }));
    record["published"] = json!("2021-12-10T00:00:00Z");
    let mut builder = builder();
    let kev = br#"{"vulnerabilities":[{"cveID":"CVE-2021-44228"}]}"#;
    builder.add_kev(&kev[..], "kev", None).unwrap();
    builder.add_epss(&b"CVE-2021-44228,0.97563,1\n"[..], "epss", None).unwrap();
    builder
        .add_osv_records([Ok(("x".to_owned(), record.to_string().into_bytes()))], "osv", None)
        .unwrap();
    let database = Database::open(finished(builder).unwrap().0.into()).unwrap();
    let inventory = Inventory { packages: vec![npm("1")], ..Inventory::default() };
    let report = database.report(&inventory, NOW).unwrap();
    let finding = only(&report);
    assert_eq!((finding.exploited, finding.likelihood), (true, Some(9_756)));
    assert_eq!(finding.published, "2021-12-10T00:00:00Z".parse().ok());
}

#[test]
fn what_was_published_in_the_future_was_published_at_no_time() {
    let published = |published: &str, modified: &str| {
        let fields = json!({ "published": published, "modified": modified });
        only(&report(&[with(&fields)], vec![npm("1")])).published
    };
    let (early, late) = ("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z");
    assert_eq!(published(early, late), early.parse().ok());
    assert_eq!(published(late, late), late.parse().ok());
    assert_eq!(published(late, "?"), late.parse().ok());
    assert_eq!(published(late, early), None, "after it was changed");
    assert_eq!(published("2076-01-01T00:00:00Z", "2099-01-01T00:00:00Z"), None, "after now");
    // And what a mirror with another clock is asked.
    let database = crate::scan::database::testing::database(&[with(&json!({ "published": late }))]);
    let inventory = Inventory { packages: vec![npm("1")], ..Inventory::default() };
    let report = database.report(&inventory, early.parse().unwrap()).unwrap();
    assert_eq!(only(&report).published, None);
}

#[test]
fn a_report_says_as_of_when_it_knows_what_is_exploited_and_likely() {
    let record = with(&json!({}));
    let made = |lists: &[(&str, Option<&str>)]| {
        let mut builder = builder();
        for (date, as_of) in lists {
            let as_of = as_of.map(|as_of| as_of.parse().unwrap());
            let kev = format!(
                r#"{{"dateReleased":"{date}","vulnerabilities":[{{"cveID":"CVE-2021-1"}}]}}"#
            );
            builder.add_kev(kev.as_bytes(), "kev", as_of).unwrap();
            let epss = format!("#score_date:{date}\nCVE-2021-1,0.9,1\n");
            builder.add_epss(epss.as_bytes(), "epss", as_of).unwrap();
        }
        let named = [Ok(("x".to_owned(), record.to_string().into_bytes()))];
        builder.add_osv_records(named, "osv", None).unwrap();
        let database = Database::open(finished(builder).unwrap().0.into()).unwrap();
        let report = database.report(&Inventory::default(), NOW).unwrap();
        assert_eq!(report.database.as_of, "2026-11-20T00:00:00Z".parse().unwrap());
        (report.exploited_as_of, report.likelihood_as_of)
    };
    let both = |time: &str| (time.parse().ok(), time.parse().ok());
    assert_eq!(made(&[]), (None, None));
    let (old, new) = ("2020-01-01T00:00:00Z", "2026-11-22T00:00:00Z");
    assert_eq!(made(&[(old, None)]), both(old));
    assert_eq!(made(&[(new, None), (old, None)]), both(old), "the oldest counts");
    assert_eq!(made(&[(old, Some(new))]), both(new));
    assert_eq!(made(&[("?", None)]), both("1970-01-01T00:00:00Z"));
}

#[test]
fn malware_is_told_by_any_of_its_records_and_comes_first() {
    let worse = with(&json!({ "id": "GHSA-2", "database_specific": { "severity": "CRITICAL" } }));
    let records = [
        with(&json!({ "id": "MAL-2026-1", "aliases": ["GHSA-1"] })),
        with(&json!({ "id": "GHSA-1" })),
        worse,
    ];
    let report = report(&records, vec![npm("1")]);
    assert_eq!(ids(&report), ["GHSA-1", "GHSA-2"]);
    let malware: Vec<bool> = report.findings.iter().map(|finding| finding.malware).collect();
    assert_eq!(malware, [true, false]);
}

#[test]
fn the_worst_comes_first_and_the_unrated_last() {
    let rated = |id: &str, word: &str| {
        with(&json!({ "id": id, "database_specific": { "severity": word } }))
    };
    let records = [
        rated("A", "?"),
        rated("B", "low"),
        rated("C", "critical"),
        rated("D", "high"),
        rated("E", "none"),
    ];
    assert_eq!(ids(&report(&records, vec![npm("1")])), ["C", "D", "B", "E", "A"]);
}
