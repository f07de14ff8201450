//! What scanners find in a case: one report, by whichever scanner is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::before;
use super::manifest::images;
use crate::gate::{
    Bills, Gathered, ImageScan, ManifestFacts, OtherScan, ReadyPolicy, ScannedByOther,
    ScannedImage, ScannedImages, Scans, Subject,
};
use crate::oci::Digest;
use crate::policy::{Case, FindingFact, Rating, ScanFact};
use crate::scan::{
    DatabaseId, Finding, Fix, Gap, GapKind, Inventory, Package, PackageKind, Report, Severity,
    Unmatched, UnmatchedKind,
};
use crate::time::Timestamp;

/// What names of malware begin with.
const MALWARE: &str = "MAL-";
/// Where packages of a case are found.
const PLACE: &str = "the test";

/// What was scanned of `case`, and what is known about it at `now`; not gathered where it says nothing of
/// findings.
pub(super) fn of(
    case: &Case,
    subject: &Subject,
    facts: &ManifestFacts,
    policy: &ReadyPolicy,
    now: Timestamp,
) -> (Gathered<ScannedImages>, Scans) {
    let Some(findings) = &case.facts.findings else {
        return (Gathered::NotGathered, Scans::default());
    };
    let key = Digest::sha256(format!("what is in {subject}").as_bytes());
    let findings: Vec<Finding> = findings.iter().map(|fact| finding(fact, now)).collect();
    let inventory = inventory(&findings, case.facts.scan);
    let report = Arc::new(report(findings, case.facts.scan, now));
    let names: Vec<String> = policy.other_scanners(&subject.name).into_keys().collect();
    let read_by = Digest::sha256(b"the test");
    let others: BTreeMap<String, ScannedByOther> = names
        .iter()
        .map(|name| (name.clone(), ScannedByOther::Reported { report: report_of(name), at: now }))
        .collect();
    let image = ScannedImage {
        inventory: Some(key),
        unread: Vec::new(),
        is_complete: inventory.is_complete(),
        read_by,
        others,
    };
    let scanned =
        images(subject, facts).into_iter().map(|digest| (digest, image.clone())).collect();
    let gaps: Vec<String> = inventory.gaps.iter().map(ToString::to_string).collect();
    let unknown: Vec<String> = report.unmatched.iter().map(|it| it.text.clone()).collect();
    let others = names.iter().map(|name| {
        let (gaps, unknown) = (gaps.clone(), unknown.clone());
        let report = Arc::clone(&report);
        let scan = OtherScan { scanner: name.clone(), database: Some(now), report, gaps, unknown };
        (report_of(name), Arc::new(scan))
    });
    let others = others.collect();
    let scan = ImageScan { inventory: Arc::new(inventory), report, attested: Arc::default() };
    let scans = Scans {
        reading: Some(read_by),
        known: BTreeMap::from([(key, scan)]),
        others,
        bills: Some(Arc::new(Bills::default())),
        ..Scans::default()
    };
    (Gathered::Found(ScannedImages { images: scanned }), scans)
}

/// By what the report of the scanner `name` is known.
fn report_of(name: &str) -> Digest {
    Digest::sha256(format!("report of {name}").as_bytes())
}

fn inventory(findings: &[Finding], fact: ScanFact) -> Inventory {
    let mut packages: Vec<Package> =
        findings.iter().map(|it| it.package.as_ref().clone()).collect();
    packages.sort();
    packages.dedup();
    let gaps = match fact {
        ScanFact::Incomplete => {
            let text = "not all of it could be read".to_owned();
            vec![Gap { kind: GapKind::Unsupported, path: None, layer: None, text }]
        }
        ScanFact::Complete | ScanFact::Unknown => Vec::new(),
    };
    Inventory { distribution: None, packages, gaps }
}

fn report(findings: Vec<Finding>, fact: ScanFact, now: Timestamp) -> Report {
    let unmatched = match fact {
        ScanFact::Unknown => {
            let text = "nothing is known about some packages".to_owned();
            vec![Unmatched { kind: UnmatchedKind::NoFeed, package: None, text }]
        }
        ScanFact::Complete | ScanFact::Incomplete => Vec::new(),
    };
    Report {
        database: DatabaseId { digest: Digest::sha256(b"database of the test"), as_of: now },
        exploited_as_of: Some(now),
        likelihood_as_of: Some(now),
        findings,
        unmatched,
        gaps: Vec::new(),
    }
}

fn finding(fact: &FindingFact, now: Timestamp) -> Finding {
    let package = Package::new(PackageKind::Deb, &fact.package, &fact.version, PLACE);
    let published = fact.age.map(|age| before(now, age));
    Finding {
        id: fact.id.clone(),
        aliases: Arc::default(),
        advisories: Vec::new(),
        package: Arc::new(package),
        severity: fact.severity.map(severity),
        score: None,
        fix: fact.fixed.clone().map_or(Fix::None, Fix::In),
        published,
        exploited: fact.exploited,
        likelihood: fact.likelihood,
        malware: fact.id.starts_with(MALWARE),
        kernel_headers: false,
    }
}

const fn severity(rating: Rating) -> Severity {
    match rating {
        Rating::None => Severity::None,
        Rating::Low => Severity::Low,
        Rating::Medium => Severity::Medium,
        Rating::High => Severity::High,
        Rating::Critical => Severity::Critical,
    }
}
