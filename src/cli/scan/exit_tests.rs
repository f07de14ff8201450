//! What ends with which code.

use clap::Parser;

use std::sync::Arc;

use super::*;
use crate::gate::ImageScan;
use crate::mirror::Inspected;
use crate::oci::Digest;
use crate::scan::{DatabaseId, Gap, GapKind, Inventory, Package, PackageKind, Report};

const NOW: &str = "2026-11-20T09:00:00Z";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: ScanArguments,
}

fn report(as_of: &str) -> Report {
    let database = DatabaseId { digest: Digest::sha256(b"db"), as_of: as_of.parse().unwrap() };
    let (findings, unmatched, gaps) = (Vec::new(), Vec::new(), Vec::new());
    let (exploited_as_of, likelihood_as_of) = (None, None);
    Report { database, exploited_as_of, likelihood_as_of, findings, unmatched, gaps }
}

fn finding(severity: Severity, malware: bool) -> Finding {
    Finding {
        id: "MAL-2026-1".to_owned(),
        aliases: Arc::default(),
        advisories: Vec::new(),
        package: Package::new(PackageKind::Npm, "left", "1.0.0", "package.json").into(),
        severity: Some(severity),
        score: None,
        fix: Fix::None,
        published: None,
        exploited: false,
        likelihood: None,
        malware,
        kernel_headers: false,
    }
}

/// The code, and the text, of a scan with this report.
fn ended(report: Report, flags: &[&str]) -> (Exit, String) {
    let line = ["scan"].iter().chain(flags).chain(&["image"]);
    let arguments = Line::parse_from(line).arguments;
    let digest = Digest::sha256(b"image");
    let scan = ImageScan {
        inventory: Arc::new(Inventory::default()),
        report: Arc::new(report),
        attested: Arc::default(),
    };
    let image = Inspected { digest, platform: None, scan: Some(scan), unread: Vec::new() };
    let images = vec![ImageView::from(image)];
    let mut view = ScanView {
        target: "image".to_owned(),
        digest,
        images,
        vex_unused: Vec::new(),
        stale: None,
    };
    narrow(&mut view, &arguments, NOW.parse().unwrap());
    (exit(&view, &arguments), shown::table(&view))
}

#[test]
fn malware_counts_although_no_version_is_without_it() {
    for malware in [true, false] {
        let found = Report { findings: vec![finding(Severity::High, malware)], ..report(NOW) };
        let (code, text) = ended(found, &["--only-fixed", "--fail-on", "low"]);
        assert_eq!(code == Exit::Refused, malware, "{text}");
        assert_eq!(text.contains("MALWARE"), malware, "{text}");
    }
}

#[test]
fn a_database_that_is_too_old_or_not_yet_made_says_nothing() {
    for (as_of, is_stale) in [
        (NOW, false),
        ("2026-11-15T10:00:00Z", false),
        ("2026-11-15T08:00:00Z", true),
        ("2020-01-01T00:00:00Z", true),
        ("2026-11-20T09:30:00Z", false),
        ("2099-01-01T00:00:00Z", true),
    ] {
        let (code, text) = ended(report(as_of), &[]);
        assert_eq!(code == Exit::Refused, is_stale, "{as_of}: {text}");
        assert_eq!(text.contains("TOO OLD"), is_stale, "{text}");
        assert!(ended(report(as_of), &["--allow-old-database"]).0 == Exit::Done, "{as_of}");
    }
}

#[test]
fn a_report_that_was_cut_off_is_incomplete() {
    let text = "what is known is more than FINDINGS_MAX".to_owned();
    let gap = Gap { kind: GapKind::Limit, path: None, layer: None, text };
    let cut = || Report { gaps: vec![gap.clone()], ..report(NOW) };
    let (code, text) = ended(cut(), &[]);
    assert!(code == Exit::Refused && text.contains("NOT READ"), "{text}");
    assert!(ended(cut(), &["--allow-incomplete"]).0 == Exit::Done);
}
