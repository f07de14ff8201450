//! What no scanner writes, and somebody may attest.

use proptest::prelude::*;
use serde_json::json;

use super::{image, read};
use crate::scan::reported::{REPORT_BYTES_MAX, ReportError};
use crate::scan::{Reported, package_url};

const READERS: [super::Reader; 3] =
    [Reported::from_trivy, Reported::from_grype, |json, asked, _| {
        Reported::from_attested(json, asked)
    }];

#[test]
fn what_is_no_strict_json_object_is_refused() {
    let (image, deep) = (image(), [vec![b'['; 5_000], vec![b']'; 5_000]].concat());
    let twice = br#"{"SchemaVersion":2,"SchemaVersion":2,"ArtifactType":"container_image"}"#;
    for reader in READERS {
        for bad in
            [&b""[..], b"null", b"[]", b"{", b"{} {}", b"\xff\xfe", b"FATAL no db", &deep, twice]
        {
            let error = reader(bad, &image.asked(), None).unwrap_err();
            assert!(matches!(error, ReportError::Malformed { .. }), "{error}");
            assert!(error.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        let large = vec![b' '; REPORT_BYTES_MAX + 1];
        let error = reader(&large, &image.asked(), None).unwrap_err();
        assert!(matches!(error, ReportError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn an_object_of_the_wrong_shape_is_an_error_and_no_report_without_findings() {
    for (pointer, value) in [
        ("/Results", json!({})),
        ("/Results/0", json!("x")),
        ("/Results/0/Vulnerabilities", json!({"a": 1})),
        ("/Results/0/Vulnerabilities/0", json!(7)),
        ("/Results/0/Vulnerabilities/0/CVSS", json!("high")),
        ("/Metadata", json!("debian")),
    ] {
        let mut report = super::trivy::report();
        *report.pointer_mut(pointer).unwrap() = value;
        let error = read(Reported::from_trivy, &report).unwrap_err();
        assert!(matches!(error, ReportError::Malformed { .. }), "{pointer}: {error}");
    }
    for (pointer, value) in [("/matches", json!(null)), ("/matches/0/vulnerability", json!(1))] {
        let mut report = super::grype::report();
        *report.pointer_mut(pointer).unwrap() = value;
        assert!(read(Reported::from_grype, &report).is_err(), "{pointer}");
    }
}

#[test]
fn names_that_are_too_long_or_steer_terminals_are_cut_and_told() {
    let mut report = super::trivy::report();
    report["Results"][0]["Vulnerabilities"][0]["PkgName"] =
        json!("p\u{1b}[2J".to_owned() + &"\u{e9}".repeat(1_000));
    report["Results"][0]["Vulnerabilities"][0]["PkgIdentifier"] = json!({});
    report["Metadata"]["OS"] =
        json!({"Family": "x\n\u{1b}[31m", "Name": "y".repeat(5_000), "EOSL": true});
    let reported = read(Reported::from_trivy, &report).unwrap();
    let name = &reported.findings[0].package.name;
    assert!(name.len() <= 500 && !name.contains(char::is_control), "{name}");
    assert_eq!(reported.gaps.len(), 1);
    assert!(package_url(&reported.findings[0].package, None).is_some());
    let texts = reported.gaps.iter().chain(&reported.unknown);
    for text in texts {
        assert!(
            text.len() <= 200 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text}"
        );
    }
}

#[test]
fn a_finding_without_a_name_is_a_gap() {
    for key in ["VulnerabilityID", "PkgName"] {
        let mut report = super::trivy::report();
        let detected = &mut report["Results"][0]["Vulnerabilities"][0];
        detected[key] = json!("");
        detected["VendorIDs"] = json!([]);
        detected["PkgIdentifier"] = json!({});
        let reported = read(Reported::from_trivy, &report).unwrap();
        assert!(reported.findings.is_empty());
        assert_eq!(reported.gaps, ["a finding without a vulnerability or without a package"]);
    }
}

#[test]
fn a_flood_is_cut_and_told() {
    let mut report = super::trivy::report();
    report["Results"][0]["Vulnerabilities"][0]["VendorIDs"] =
        (0..500).map(|it| json!(format!("DSA-{it}"))).collect();
    let reported = read(Reported::from_trivy, &report).unwrap();
    assert_eq!(reported.findings[0].advisories.len(), 100);
    assert_eq!(reported.gaps, ["more than 100 names of CVE-2026-1"]);

    let mut report = super::grype::report();
    let one = |it: usize| json!({"vulnerability": {"id": format!("CVE-1-{it}")}, "artifact": {"name": "x"}});
    report["matches"] = (0..100_003).map(one).collect();
    let reported = read(Reported::from_grype, &report).unwrap();
    assert_eq!(reported.findings.len(), 100_000);
    assert_eq!(reported.gaps, ["3 findings beyond 100000"]);

    let alert = |it: usize| json!({"alerts": [{"type": "x", "message": it.to_string()}]});
    report["matches"] = json!([]);
    report["alertsByPackage"] = (0..80).map(alert).collect();
    let gaps = read(Reported::from_grype, &report).unwrap().gaps;
    assert_eq!((gaps.len(), gaps[50].as_str()), (51, "30 more like these"));
}

#[test]
fn packages_that_are_malicious_themselves_are_told() {
    let mut report = super::trivy::report();
    report["Results"][0]["Vulnerabilities"][0]["VulnerabilityID"] = json!("MAL-2026-1");
    report["Results"][0]["Vulnerabilities"][0]["VendorIDs"] = json!([]);
    assert!(read(Reported::from_trivy, &report).unwrap().findings[0].malware);
}

proptest! {
    #[test]
    fn reading_never_panics(cut in 0..2_000_usize, flip in 0..2_000_usize, byte in any::<u8>()) {
        let image = image();
        for report in [super::trivy::report(), super::grype::report()] {
            let mut bytes = report.to_string().into_bytes();
            let at = flip % bytes.len();
            bytes[at] = byte;
            for reader in READERS {
                drop(reader(&bytes, &image.asked(), None));
                drop(reader(&bytes[..cut.min(bytes.len())], &image.asked(), None));
            }
        }
    }
}
