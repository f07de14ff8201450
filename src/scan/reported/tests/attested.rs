//! Scans that somebody attested.

use serde_json::{Value, json};

use super::{image, only, time};
use crate::scan::{ReportError, Reported};

fn predicate(result: &Value) -> Value {
    json!({
        "invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@0.76.0", "version": "0.76.0",
            "db": {"uri": "", "version": "", "lastUpdate": "2026-11-18T00:00:00Z"},
            "result": result
        },
        "metadata": {"scanStartedOn": "2026-11-20T08:00:00Z", "scanFinishedOn": "2026-11-20T08:01:00Z"}
    })
}

fn read(predicate: &Value) -> Result<Reported, ReportError> {
    Reported::from_attested(predicate.to_string().as_bytes(), &image().asked())
}

#[test]
fn the_report_in_it_is_read_whichever_of_the_two_it_is() {
    let trivy = read(&predicate(&super::trivy::report())).unwrap();
    assert_eq!((trivy.scanner.as_str(), only(&trivy).id.as_str()), ("Trivy 0.76.0", "CVE-2026-1"));
    assert_eq!(trivy.database, Some(time("2026-11-18T00:00:00Z")));
    let grype = read(&predicate(&super::grype::report())).unwrap();
    assert_eq!((grype.scanner.as_str(), only(&grype).id.as_str()), ("Grype 0.100.0", "CVE-2026-1"));
    assert_eq!(grype.database, Some(time("2026-11-18T00:00:00Z")), "the older of two");
}

#[test]
fn the_oldest_time_that_is_stated_counts() {
    // The report says nine o'clock; what is written around it makes it older, and never younger.
    assert_eq!(read(&predicate(&super::trivy::report())).unwrap().at, time("2026-11-20T08:00:00Z"));
    let mut late = predicate(&super::trivy::report());
    late["metadata"] = json!({"scanFinishedOn": "2036-01-01T00:00:00Z"});
    assert_eq!(read(&late).unwrap().at, time("2026-11-20T09:00:00.5Z"));
    late["metadata"] = Value::Null;
    assert_eq!(read(&late).unwrap().at, time("2026-11-20T09:00:00.5Z"));
    late["scanner"]["result"].as_object_mut().unwrap().remove("CreatedAt");
    assert_eq!(read(&late), Err(ReportError::NoTime));
    late["metadata"] =
        json!({"scanStartedOn": "0001-01-01T00:00:00Z", "scanFinishedOn": "2026-11-01T00:00:00Z"});
    assert_eq!(read(&late).unwrap().at, time("2026-11-01T00:00:00Z"));
}

#[test]
fn a_version_that_only_the_predicate_has_is_told() {
    let mut predicate = predicate(&super::trivy::report());
    predicate["scanner"]["result"]["Trivy"] = Value::Null;
    assert_eq!(read(&predicate).unwrap().scanner, "Trivy 0.76.0");
}

#[test]
fn other_scanners_and_other_images_are_refused_by_name() {
    let mut snyk = predicate(&json!({"vulnerabilities": []}));
    snyk["scanner"]["uri"] = json!("https://snyk.io/");
    snyk["scanner"]["version"] = json!("1.2");
    let scanner = "https://snyk.io/ 1.2".to_owned();
    assert_eq!(read(&snyk), Err(ReportError::UnknownScanner { scanner }));
    // What is both is neither.
    let both = json!({"SchemaVersion": 2, "matches": []});
    assert!(matches!(read(&predicate(&both)), Err(ReportError::UnknownScanner { .. })));
    for result in [Value::Null, json!([]), json!("x")] {
        let error = read(&predicate(&result)).unwrap_err();
        assert!(matches!(error, ReportError::Malformed { .. }), "{error}");
    }
    let mut other = super::trivy::report();
    other["Metadata"]["ImageID"] = json!(crate::oci::Digest::sha256(b"other").to_string());
    let error = read(&predicate(&other)).unwrap_err();
    assert!(matches!(error, ReportError::OtherImage { .. }), "{error}");
    assert!(read(&json!({})).is_err());
}
