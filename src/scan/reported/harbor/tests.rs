use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scan::{Package, PackageKind};

fn digest() -> Digest {
    Digest::sha256(b"the manifest")
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn read_bytes(bytes: &[u8]) -> Result<Reported, HarborReportError> {
    let digest = digest();
    let asked =
        HarborAsked { digest: &digest, now: now(), database: None, scanner: Some("Fallback 1") };
    Reported::from_harbor(bytes, &asked)
}

fn read(report: &Value) -> Result<Reported, HarborReportError> {
    read_bytes(report.to_string().as_bytes())
}

fn report(vulnerabilities: &Value) -> Value {
    json!({
        "generated_at": "2026-11-20T09:00:00.123456789Z",
        "artifact": {
            "repository": "docker.io/library/mongo",
            "digest": digest().to_string(),
            "mime_type": "application/vnd.oci.image.manifest.v1+json",
        },
        "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
        "vulnerabilities": vulnerabilities,
    })
}

fn entry(change: &Value) -> Value {
    let mut entry = json!({
        "id": "CVE-2026-1",
        "package": "openssl",
        "version": "3.0.11-1",
        "fix_version": "3.0.13-1",
        "severity": "High",
        "description": "it overflows",
        "links": ["https://avd.aquasec.com/nvd/cve-2026-1"],
    });
    for (key, value) in change.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

fn one(change: &Value) -> (Option<Finding>, Vec<String>) {
    let mut reported = read(&report(&json!([entry(change)]))).unwrap();
    assert!(reported.findings.len() <= 1);
    (reported.findings.pop(), reported.gaps)
}

#[test]
fn a_report_is_read_with_all_that_it_says() {
    let change = json!({
        "preferred_cvss": {"score_v3": 7.5, "vector_v3": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"},
        "cwe_ids": ["CWE-476"],
        "layer": {"digest": "sha256:1", "diff_id": "sha256:2"},
        "vendor_attributes": {"CVSS": {"nvd": {"V3Score": 7.5}}, "package_type": "deb", "path": "/usr/lib/x"},
        "links": [
            "https://security-tracker.debian.org/tracker/CVE-2026-1",
            "https://security-tracker.debian.org/tracker/DSA-5532-1/?x",
            "https://access.redhat.com/errata/RHSA-2026:0001#top",
            "https://example.test/DSA-", "nonsense", "",
        ],
    });
    let reported = read(&report(&json!([entry(&change)]))).unwrap();
    assert_eq!(reported.scanner, "Trivy 0.76.0");
    assert_eq!(reported.at, "2026-11-20T09:00:00.123Z".parse().unwrap());
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty(), "{reported:?}");
    let finding = &reported.findings[0];
    let package = Package::new(PackageKind::Deb, "openssl", "3.0.11-1", "usr/lib/x");
    assert_eq!((finding.id.as_str(), finding.package.as_ref()), ("CVE-2026-1", &package));
    assert_eq!((finding.severity, finding.score), (Some(Severity::High), Some(75)));
    assert_eq!(finding.fix, Fix::In("3.0.13-1".to_owned()));
    assert_eq!(finding.advisories, ["DSA-5532-1", "RHSA-2026:0001"]);
    assert!(!finding.malware);
}

#[test]
fn a_report_about_another_image_or_none_is_refused() {
    let other = Digest::sha256(b"another").to_string();
    let short = digest().to_string()[..40].to_owned();
    let padded = format!(" {}", digest());
    for named in
        [json!(other), json!(short), json!(padded), json!(""), json!(null), json!("latest")]
    {
        let mut report = report(&json!([]));
        report["artifact"]["digest"] = named.clone();
        let error = read(&report).unwrap_err();
        assert!(matches!(error, HarborReportError::OtherImage { .. }), "{named}: {error}");
    }
    for missing in [json!({}), json!(null)] {
        let mut report = report(&json!([]));
        report["artifact"] = missing;
        assert!(matches!(read(&report), Err(HarborReportError::OtherImage { .. })));
    }
    let mut hostile = report(&json!([]));
    hostile["artifact"]["digest"] = json!(format!("a\r\nb\u{1b}[31m\u{e9}{}", "x".repeat(9_000)));
    let text = read(&hostile).unwrap_err().to_string();
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.len() < 500, "{text}");
}

#[test]
fn what_is_not_such_a_report_is_refused() {
    let good = report(&json!([entry(&json!({}))])).to_string();
    let twice = good.replacen('{', "{\"vulnerabilities\":[],", 1);
    let deep = good.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(99), "]".repeat(99)), 1);
    for text in ["", "null", "[]", "{", "\"x\"", &good[1..], &good[..good.len() - 1], &twice, &deep]
    {
        let error = read_bytes(text.as_bytes()).unwrap_err();
        assert!(matches!(error, HarborReportError::Malformed(_)), "{text}: {error}");
    }
    assert!(read_bytes(format!("{good} ").as_bytes()).is_ok());
    assert!(read_bytes(format!("{good}{good}").as_bytes()).is_err());
    for (key, value) in [
        ("vulnerabilities", json!({})),
        ("vulnerabilities", json!("none")),
        ("vulnerabilities", json!([null])),
        ("vulnerabilities", json!([["CVE-2026-1", "openssl"]])),
        ("vulnerabilities", json!([entry(&json!({"severity": 5}))])),
        ("vulnerabilities", json!([entry(&json!({"preferred_cvss": {"score_v3": "9.8"}}))])),
        ("severity", json!(7)),
        ("generated_at", json!(1)),
    ] {
        let mut report = report(&json!([]));
        report[key] = value.clone();
        assert!(read(&report).is_err(), "{key}: {value}");
    }
}

#[test]
fn too_many_bytes_are_not_read() {
    let bytes = vec![b' '; HARBOR_REPORT_BYTES_MAX + 1];
    assert!(matches!(read_bytes(&bytes), Err(HarborReportError::TooLarge)));
}

#[test]
fn severities_are_harbors_words() {
    for (word, expected) in [
        ("Unknown", None),
        ("", None),
        ("Negligible", Some(Severity::Low)),
        ("Low", Some(Severity::Low)),
        ("Medium", Some(Severity::Medium)),
        ("High", Some(Severity::High)),
        ("CRITICAL", Some(Severity::Critical)),
    ] {
        let (finding, gaps) = one(&json!({"severity": word}));
        assert_eq!(finding.unwrap().severity, expected, "{word}");
        assert!(gaps.is_empty(), "{word}: {gaps:?}");
    }
    let (finding, gaps) = one(&json!({"severity": "Se\u{7}vere"}));
    assert_eq!(finding.unwrap().severity, None);
    assert_eq!(gaps, ["severity \"Se?vere\" of CVE-2026-1 is none that is known"]);
    assert_eq!(one(&json!({"severity": null})).0.unwrap().severity, None);
}

#[test]
fn the_worst_score_that_is_told_counts() {
    let high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
    for (told, expected) in [
        (json!({"score_v3": 9.8}), Some(98)),
        (json!({"score_v3": 9.800_000_190_734_863}), Some(98)),
        (json!({"score_v3": 6.94}), Some(70)),
        (json!({"score_v3": 2.0, "vector_v3": high}), Some(75)),
        (json!({"vector_v3": high}), Some(75)),
        (json!({"vector_v3": "", "vector_v2": "AV:N/AC:L/Au:N/C:N/I:N/A:C"}), Some(78)),
        (json!({"score_v3": 3.0, "score_v2": 9.0}), Some(30)),
        (json!({"score_v2": 10, "vector_v2": null}), Some(100)),
        (json!({"vector_v3": "CVSS:3.1/AV:N"}), None),
        (json!({}), None),
        (json!(null), None),
    ] {
        let (finding, gaps) = one(&json!({"severity": "Unknown", "preferred_cvss": told}));
        let finding = finding.unwrap();
        assert_eq!(finding.score, expected, "{told}");
        assert_eq!(finding.severity, expected.map(Severity::from_score), "{told}");
        assert!(gaps.is_empty(), "{gaps:?}");
    }
    for wrong in [json!({"score_v3": -1}), json!({"score_v3": 10.1}), json!({"score_v2": 1e300})] {
        let (finding, gaps) = one(&json!({"preferred_cvss": wrong}));
        assert_eq!(finding.unwrap().score, None);
        assert_eq!(gaps.len(), 1, "{wrong}");
    }
}

#[test]
fn what_is_done_about_it_is_the_fix_or_the_word_of_the_keepers() {
    for (change, expected) in [
        (json!({}), Fix::In("3.0.13-1".to_owned())),
        (json!({"fix_version": ""}), Fix::None),
        (json!({"fix_version": null, "status": "affected"}), Fix::None),
        (json!({"fix_version": " ", "status": "will_not_fix"}), Fix::WillNot),
        (json!({"fix_version": "", "status": "end_of_life"}), Fix::WillNot),
        (json!({"fix_version": "", "status": {"will_not_fix": 1}}), Fix::None),
        (json!({"fix_version": "1.2, 2.3", "status": "will_not_fix"}), Fix::In("1.2, 2.3".into())),
    ] {
        assert_eq!(one(&change).0.unwrap().fix, expected, "{change}");
    }
}

#[test]
fn what_cannot_be_a_finding_is_a_gap() {
    for change in [
        json!({"id": ""}),
        json!({"id": null}),
        json!({"id": "CVE 2026"}),
        json!({"id": "x".repeat(129)}),
        json!({"package": ""}),
        json!({"package": null}),
    ] {
        let (finding, gaps) = one(&change);
        assert_eq!((finding, gaps.len()), (None, 1), "{change}");
    }
    let spaced = one(&json!({"id": " CVE-2026-1\n"})).0.unwrap();
    assert_eq!(spaced.id, "CVE-2026-1");
    let nameless = vec![entry(&json!({"package": ""})); 1_000];
    let reported = read(&report(&json!(nameless))).unwrap();
    assert_eq!(reported.gaps.len(), GAPS_MAX + 1);
    assert_eq!(reported.gaps.last().unwrap(), "980 more of the kind");
}

#[test]
fn texts_are_printable_and_bounded() {
    let long = "\u{202e}p".repeat(10_000);
    let (finding, gaps) = one(&json!({
        "package": long, "version": long, "fix_version": long,
        "vendor_attributes": {"path": long},
    }));
    let finding = finding.unwrap();
    let Fix::In(fix) = finding.fix else { panic!("no fix") };
    for text in [&finding.package.name, &finding.package.version, &finding.package.found_in, &fix] {
        assert!(text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
    }
    assert!(gaps.is_empty());
    let mut named = report(&json!([]));
    named["scanner"] = json!({"name": format!("x\n{long}"), "version": "1"});
    let scanner = read(&named).unwrap().scanner;
    assert!(scanner.starts_with("x??p") && scanner.len() == SCANNER_BYTES_MAX, "{scanner}");
}

#[test]
fn one_vulnerability_is_one_finding_per_package_and_the_worst_of_what_is_said() {
    let entries = json!([
        entry(&json!({"severity": "Low", "fix_version": "", "status": "will_not_fix"})),
        entry(
            &json!({"severity": "Critical", "fix_version": "", "links": ["https://x.test/DSA-1"]})
        ),
        entry(&json!({"severity": "Unknown", "preferred_cvss": {"score_v3": 5.0}})),
        entry(&json!({"version": "3.0.12-1", "severity": "Medium"})),
        entry(&json!({"id": "MAL-2026-1", "severity": "Unknown"})),
    ]);
    let reported = read(&report(&entries)).unwrap();
    let told: Vec<_> = reported
        .findings
        .iter()
        .map(|it| (it.id.as_str(), it.package.version.as_str(), it.severity, it.score))
        .collect();
    assert_eq!(
        told,
        [
            ("MAL-2026-1", "3.0.11-1", None, None),
            ("CVE-2026-1", "3.0.11-1", Some(Severity::Critical), Some(50)),
            ("CVE-2026-1", "3.0.12-1", Some(Severity::Medium), None),
        ]
    );
    assert!(reported.findings[0].malware);
    assert_eq!(reported.findings[1].fix, Fix::In("3.0.13-1".to_owned()));
    assert_eq!(reported.findings[1].advisories, ["DSA-1"]);
}

#[test]
fn a_list_that_is_missing_is_empty_and_a_whole_that_is_worse_than_its_parts_is_a_gap() {
    for (list, whole, gaps) in [
        (json!(null), json!(null), 0),
        (json!([]), json!("Unknown"), 0),
        (json!([]), json!(""), 0),
        (json!(null), json!("Critical"), 1),
        (json!([]), json!("Negligible"), 1),
        (json!([entry(&json!({}))]), json!("High"), 0),
        (json!([entry(&json!({}))]), json!("Medium"), 0),
        (json!([entry(&json!({}))]), json!("Critical"), 1),
        (json!([]), json!("Grave"), 1),
    ] {
        let mut document = report(&list);
        document["severity"] = whole.clone();
        let reported = read(&document).unwrap();
        assert_eq!(reported.gaps.len(), gaps, "{list} {whole}: {:?}", reported.gaps);
    }
    let mut other = report(&json!(null));
    other["Vulnerabilities"] = json!([entry(&json!({}))]);
    let gaps = read(&other).unwrap().gaps;
    let text = "it has no list of vulnerabilities, and something unknown: \"Vulnerabilities\"";
    assert_eq!(gaps, [text]);
    let mut bare = report(&json!([]));
    for key in ["vulnerabilities", "scanner", "generated_at"] {
        bare.as_object_mut().unwrap().remove(key);
    }
    let reported = read(&bare).unwrap();
    assert!(reported.findings.is_empty() && reported.gaps.is_empty());
    assert_eq!((reported.scanner.as_str(), reported.at), ("Fallback 1", now()));
}

#[test]
fn nothing_was_looked_at_later_than_now() {
    for (written, expected, gaps) in [
        ("2099-01-01T00:00:00Z", "2026-11-20T10:00:00Z", 0),
        ("2026-11-19T12:00:00+02:00", "2026-11-19T10:00:00Z", 0),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", 0),
        ("yesterday", "2026-11-20T10:00:00Z", 1),
    ] {
        let mut document = report(&json!([]));
        document["generated_at"] = json!(written);
        let reported = read(&document).unwrap();
        assert_eq!(reported.at, expected.parse().unwrap(), "{written}");
        assert_eq!(reported.gaps.len(), gaps, "{written}");
    }
}

#[test]
fn types_of_packages_are_those_that_scanners_tell() {
    for (attributes, expected) in [
        (json!(null), PackageKind::Other),
        (json!([]), PackageKind::Other),
        (json!({"type": {"of": "deb"}}), PackageKind::Other),
        (json!({"type": "something"}), PackageKind::Other),
        (json!({"type": "Debian"}), PackageKind::Deb),
        (json!({"packageType": "node-pkg"}), PackageKind::Npm),
        (json!({"pkg_type": "gobinary", "more": [1, 2]}), PackageKind::Go),
    ] {
        let (finding, gaps) = one(&json!({"vendor_attributes": attributes}));
        assert_eq!(finding.unwrap().package.kind, expected, "{attributes}");
        assert!(gaps.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_are_a_report_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_bytes(&bytes).is_err(), "no digest in it");
    }

    #[test]
    fn a_damaged_report_is_an_error_or_keeps_the_bounds(at in 0_usize..900, byte in any::<u8>()) {
        let mut bytes = report(&json!([entry(&json!({})), entry(&json!({"id": "CVE-2026-2"}))]))
            .to_string()
            .into_bytes();
        let length = bytes.len();
        bytes[at % length] = byte;
        if let Ok(reported) = read_bytes(&bytes) {
            prop_assert!(reported.findings.len() + reported.gaps.len() >= 1);
            prop_assert!(reported.gaps.iter().all(|gap| gap.is_ascii()));
        }
    }
}
