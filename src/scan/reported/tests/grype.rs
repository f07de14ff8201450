//! Reports of Grype.

use serde_json::{Value, json};

use super::{ids, image, only, read, time};
use crate::oci::Digest;
use crate::scan::{Fix, PackageKind, ReportError, Reported, Severity, SourcePackage};

pub(super) fn report() -> Value {
    json!({
        "matches": [found()],
        "source": {"type": "image", "target": {
            "userInput": "oci-dir:/tmp/layout",
            "imageID": image().config.to_string(),
            "manifestDigest": image().manifest.to_string(),
            "repoDigests": [], "tags": []
        }},
        "distro": {"name": "debian", "version": "12", "idLike": []},
        "descriptor": {
            "name": "grype", "version": "0.100.0", "timestamp": "2026-11-20T10:00:00Z",
            "db": {"status": {"schemaVersion": "v6.1.0", "built": "2026-11-19T06:00:00Z", "valid": true},
                "providers": {}}
        }
    })
}

pub(super) fn found() -> Value {
    json!({
        "vulnerability": {
            "id": "CVE-2026-1", "namespace": "debian:distro:debian:12", "severity": "Negligible",
            "urls": [], "cvss": [], "fix": {"versions": [], "state": "wont-fix"},
            "advisories": [{"id": "DSA-1-1", "link": ""}], "risk": 1.5,
            "epss": [{"cve": "CVE-2026-1", "epss": 0.0312, "percentile": 0.4, "date": "2026-11-18"}]
        },
        "relatedVulnerabilities": [{
            "id": "CVE-2026-1", "namespace": "nvd:cpe", "severity": "High",
            "cvss": [{"version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                "metrics": {"baseScore": 9.8}}],
            "knownExploited": [{"cve": "CVE-2026-1"}]
        }],
        "matchDetails": [{"type": "exact-indirect-match", "matcher": "dpkg-matcher"}],
        "artifact": {
            "id": "x", "name": "libssl3", "version": "3.0.11-1", "type": "deb",
            "locations": [{"path": "/var/lib/dpkg/status", "layerID": "sha256:1"}],
            "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl",
            "upstreams": [{"name": "openssl"}], "licenses": [], "cpes": [], "language": ""
        }
    })
}

fn grype(report: &Value) -> Result<Reported, ReportError> {
    read(Reported::from_grype, report)
}

fn with(pointer: &str, value: Value) -> Value {
    let mut report = report();
    *report.pointer_mut(pointer).unwrap() = value;
    report
}

#[test]
fn a_finding_has_all_that_the_report_knows_of_it() {
    let reported = grype(&report()).unwrap();
    assert_eq!(reported.scanner, "Grype 0.100.0");
    assert_eq!(reported.database, Some(time("2026-11-19T06:00:00Z")));
    assert_eq!(reported.at, time("2026-11-20T10:00:00Z"));
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty(), "{reported:?}");
    let finding = only(&reported);
    assert_eq!(
        (finding.id.as_str(), finding.advisories.as_slice()),
        ("CVE-2026-1", &["DSA-1-1".to_owned()][..])
    );
    assert!(finding.aliases.is_empty());
    assert_eq!(finding.severity, Some(Severity::Low), "the distribution's own word counts first");
    assert_eq!(finding.score, Some(98), "of the record behind it");
    assert!(finding.exploited);
    assert_eq!(finding.likelihood, Some(312));
    assert_eq!((&finding.fix, finding.published), (&Fix::WillNot, None));
    let package = &finding.package;
    assert_eq!((package.kind, package.name.as_str()), (PackageKind::Deb, "libssl3"));
    assert_eq!(package.found_in, "var/lib/dpkg/status");
    let source = SourcePackage { name: "openssl".to_owned(), version: "3.0.11-1".to_owned() };
    assert_eq!(package.source, Some(source));
}

#[test]
fn older_databases_tell_their_age_elsewhere_or_not_at_all() {
    let built = json!({"built": "2024-03-01T00:00:00Z", "schemaVersion": 5, "error": null});
    let reported = grype(&with("/descriptor/db", built)).unwrap();
    assert_eq!(reported.database, Some(time("2024-03-01T00:00:00Z")));
    for db in [Value::Null, json!({}), json!({"status": null}), json!({"built": "soon"}), json!(7)]
    {
        assert_eq!(grype(&with("/descriptor/db", db)).unwrap().database, None);
    }
    let bad =
        json!({"status": {"built": "2026-11-19T06:00:00Z", "valid": false, "error": "checksum"}});
    let reported = grype(&with("/descriptor/db", bad)).unwrap();
    assert_eq!(reported.gaps, ["the database of Grype is not valid: checksum"]);
}

#[test]
fn fixes_are_what_versions_and_state_say() {
    let fix = |versions: Value, state: &str| {
        let report =
            with("/matches/0/vulnerability/fix", json!({"versions": versions, "state": state}));
        only(&grype(&report).unwrap()).fix.clone()
    };
    assert_eq!(fix(json!([]), "not-fixed"), Fix::None);
    assert_eq!(fix(Value::Null, "unknown"), Fix::None);
    assert_eq!(fix(json!([]), ""), Fix::None);
    assert_eq!(fix(json!([]), "wont-fix"), Fix::WillNot);
    assert_eq!(fix(json!(["3.0.9-1", "3.0.12-1"]), "fixed"), Fix::In("3.0.12-1".to_owned()));
}

#[test]
fn an_advisory_of_a_language_is_known_by_its_cve() {
    let mut report = report();
    report["matches"][0]["vulnerability"]["id"] = json!("GHSA-1");
    report["matches"][0]["vulnerability"]["advisories"] = json!([]);
    report["matches"][0]["artifact"] = json!({"name": "core", "version": "1.0", "type": "java-archive",
        "purl": "pkg:maven/org.x/core@1.0", "locations": null});
    let reported = grype(&report).unwrap();
    let finding = only(&reported);
    assert_eq!(
        (finding.id.as_str(), finding.aliases.to_vec()),
        ("CVE-2026-1", vec!["GHSA-1".to_owned()])
    );
    assert_eq!(
        (finding.package.kind, finding.package.name.as_str()),
        (PackageKind::Maven, "org.x:core")
    );
}

#[test]
fn packages_without_a_url_are_told_by_their_type() {
    for (kind, expected) in [
        ("apk", PackageKind::Apk),
        ("go-module", PackageKind::Go),
        ("rust-crate", PackageKind::Cargo),
        ("binary", PackageKind::Other),
        ("", PackageKind::Other),
    ] {
        let artifact = json!({"name": "x", "version": "1", "type": kind, "purl": ""});
        let reported = grype(&with("/matches/0/artifact", artifact)).unwrap();
        assert_eq!(only(&reported).package.kind, expected, "{kind}");
    }
}

#[test]
fn what_was_ignored_is_a_finding_all_the_same() {
    let mut report = report();
    let mut hidden = found();
    hidden["vulnerability"]["id"] = json!("CVE-2026-9");
    hidden["relatedVulnerabilities"] = json!([]);
    hidden["appliedIgnoreRules"] = json!([{"vulnerability": "CVE-2026-9", "namespace": ""}]);
    report["ignoredMatches"] = json!([hidden]);
    assert_eq!(ids(&grype(&report).unwrap()), ["CVE-2026-1", "CVE-2026-9"]);
}

#[test]
fn two_records_about_one_vulnerability_are_one_finding_and_the_worse_of_each() {
    let mut report = report();
    let mut second = found();
    second["vulnerability"]["severity"] = json!("Critical");
    second["vulnerability"]["fix"] = json!({"versions": ["3.0.12-1"], "state": "fixed"});
    second["vulnerability"]["advisories"] = json!([{"id": "DSA-2-1"}]);
    report["matches"] = json!([found(), second]);
    let reported = grype(&report).unwrap();
    let finding = only(&reported);
    assert_eq!(finding.severity, Some(Severity::Critical));
    assert_eq!(finding.fix, Fix::In("3.0.12-1".to_owned()));
    assert_eq!(finding.advisories, ["DSA-1-1", "DSA-2-1"]);
}

#[test]
fn without_a_distribution_or_fixes_the_outcome_is_unknown() {
    for distro in [json!({"name": "", "version": ""}), Value::Null, json!({})] {
        let mut report = with("/distro", distro);
        report["matches"] = json!([]);
        assert_eq!(
            grype(&report).unwrap().unknown,
            ["Grype does not know the distribution of the image"]
        );
    }
    let mut report = report();
    report["alertsByPackage"] = json!([
        {"package": {"name": "x"}, "alerts": [{"type": "distro-eol", "message": "Package is from end-of-life distro: debian 9"}]},
        {"package": {"name": "y"}, "alerts": [{"type": "of-tomorrow", "message": "hm"}]},
    ]);
    let reported = grype(&report).unwrap();
    assert_eq!(reported.unknown, ["Package is from end-of-life distro: debian 9"]);
    assert_eq!(reported.gaps, ["of-tomorrow: hm"]);
}

#[test]
fn only_reports_of_grype_over_this_image_are_read() {
    let other = Digest::sha256(b"other").to_string();
    let error = grype(&with("/descriptor/name", json!("syft"))).unwrap_err();
    assert_eq!(error, ReportError::UnknownScanner { scanner: "syft".to_owned() });
    for kind in ["directory", "file", "purl", "snap"] {
        let error = grype(&with("/source", json!({"type": kind, "target": "/x"}))).unwrap_err();
        assert_eq!(error, ReportError::NotAnImage { kind: kind.to_owned() });
    }
    assert!(grype(&with("/source", Value::Null)).is_err());
    assert!(grype(&with("/source", json!({"type": "sbom-file", "target": "/x"}))).is_ok());
    let of_other = json!({"type": "image", "target": {"imageID": other, "manifestDigest": other}});
    let error = grype(&with("/source", of_other)).unwrap_err();
    assert!(matches!(error, ReportError::OtherImage { .. }), "{error}");
    // What Docker makes up as a manifest is no matter where the config is ours.
    let made_up = json!({"type": "image", "target": {
        "imageID": image().config.to_string(), "manifestDigest": other}});
    assert!(grype(&with("/source", made_up)).is_ok());
    for missing in ["matches", "descriptor"] {
        let mut report = report();
        report.as_object_mut().unwrap().remove(missing);
        let error = grype(&report).unwrap_err();
        assert!(matches!(error, ReportError::Malformed { .. }), "{error}");
    }
}
