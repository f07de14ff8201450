//! VEX documents that somebody names, on the command line.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::shown::{ScanView, table};
use super::vex::Files;
use super::{ImageView, sarif};
use crate::gate::ImageScan;
use crate::mirror::Inspected;
use crate::oci::Digest;
use crate::scan::{
    DatabaseId, Distribution, Finding, Fix, Inventory, Package, PackageKind, Report, Severity,
};

const NOW: &str = "2026-11-20T10:00:00Z";

fn finding(id: &str, malware: bool) -> Finding {
    Finding {
        id: id.to_owned(),
        aliases: [].into(),
        advisories: Vec::new(),
        package: Package::new(PackageKind::Deb, "openssl", "3.0.11-1", "var/lib/dpkg/status")
            .into(),
        severity: Some(Severity::High),
        score: None,
        fix: Fix::None,
        published: None,
        exploited: false,
        likelihood: None,
        malware,
        kernel_headers: false,
    }
}

/// An image with these findings.
fn view(findings: Vec<Finding>) -> ScanView {
    let digest = Digest::sha256(b"image");
    let distribution = Distribution { id: "debian".to_owned(), ..Distribution::default() };
    let packages = findings.iter().map(|it| Package::clone(&it.package)).collect();
    let inventory = Inventory { distribution: Some(distribution), packages, gaps: Vec::new() };
    let database = DatabaseId { digest, as_of: NOW.parse().unwrap() };
    let report = Report {
        database,
        findings,
        exploited_as_of: None,
        likelihood_as_of: None,
        unmatched: Vec::new(),
        gaps: Vec::new(),
    };
    let scan = ImageScan {
        inventory: Arc::new(inventory),
        report: Arc::new(report),
        attested: Arc::default(),
    };
    let image = Inspected { digest, platform: None, scan: Some(scan), unread: Vec::new() };
    let images = vec![ImageView::from(image)];
    ScanView { target: "app".to_owned(), digest, images, vex_unused: Vec::new(), stale: None }
}

fn statement(id: &str, with: &Value) -> Value {
    let mut statement = json!({
        "vulnerability": {"name": id}, "products": ["pkg:deb/debian/openssl"],
        "status": "not_affected", "justification": "component_not_present",
    });
    for (key, value) in with.as_object().unwrap() {
        statement[key] = value.clone();
    }
    statement
}

/// What is left of `view` by a document with these statements.
fn heard(mut view: ScanView, statements: &[Value]) -> (ScanView, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.vex.json");
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2026-01-01T00:00:00Z",
        "statements": statements,
    });
    std::fs::write(&path, document.to_string()).unwrap();
    view.hear(&Files::read(&[path], NOW.parse().unwrap()).unwrap());
    (view, folder)
}

#[test]
fn what_a_named_document_takes_away_is_shown_and_does_not_count() {
    let findings = vec![finding("CVE-1", false), finding("CVE-2", false)];
    let (view, _folder) = heard(view(findings), &[statement("CVE-1", &json!({}))]);
    let left: Vec<&str> = view.findings().map(|it| it.id.as_str()).collect();
    assert_eq!(left, ["CVE-2"]);
    let text = table(&view);
    let line = "SUPPRESSED CVE-1 in openssl 3.0.11-1, not affected: component_not_present (";
    assert!(text.contains(line) && text.contains("app.vex.json)"), "{text}");
    let shown = serde_json::to_value(&view).unwrap();
    let suppressed = &shown["images"][0]["suppressed"][0];
    assert_eq!(
        (&suppressed["id"], &suppressed["vex"]["status"]),
        (&json!("CVE-1"), &json!("not_affected"))
    );
    assert_eq!(shown["images"][0]["findings"].as_array().unwrap().len(), 1);
    let results = &sarif::log(&view)["runs"][0]["results"];
    assert!(results[0].get("suppressions").is_none(), "{results}");
    let suppression = &results[1]["suppressions"][0];
    assert_eq!(
        (&suppression["kind"], &suppression["status"]),
        (&json!("external"), &json!("accepted"))
    );
    let why = suppression["justification"].as_str().unwrap();
    assert!(why.starts_with("not affected: component_not_present"), "{why}");
}

#[test]
fn what_does_not_hold_counts_and_is_told() {
    let malware = vec![finding("MAL-1", true)];
    let (view_of_malware, _folder) = heard(view(malware), &[statement("MAL-1", &json!({}))]);
    assert_eq!(view_of_malware.findings().count(), 1);
    for (with, why) in [
        (json!({"justification": null}), "CVE-1 not affected says not why"),
        (json!({"timestamp": "2030-01-01T00:00:00Z"}), "which is not yet"),
        (json!({"status": "fine"}), "no known status: fine"),
        (json!({"products": ["pkg:oci/app"]}), "names an image without its digest"),
    ] {
        let found = view(vec![finding("CVE-1", false)]);
        let (view, _folder) = heard(found, &[statement("CVE-1", &with)]);
        assert_eq!(view.findings().count(), 1, "{with}");
        let text = table(&view);
        assert!(text.contains("NOT USED   VEX ") && text.contains(why), "{with}: {text}");
    }
}

#[test]
fn a_file_that_is_no_document_is_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.json");
    std::fs::write(&path, "{\"ID\": \"x\"}").unwrap();
    let now = NOW.parse().unwrap();
    for (path, why) in [
        (path, "it is neither OpenVEX nor CycloneDX"),
        (PathBuf::from("/nowhere/at/all"), "No such file"),
    ] {
        let error = Files::read(&[path], now).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
