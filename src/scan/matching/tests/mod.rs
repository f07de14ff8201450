//! What is found, what is not, and what cannot be told.

mod before;
mod outcomes;
mod ranges;
mod real;
mod severities;

use serde_json::Value;

use crate::scan::database::testing::{NOW, database};
use crate::scan::{Distribution, Finding, Inventory, Package, PackageKind, Report, UnmatchedKind};

/// The report on packages of an image without a distribution.
fn report(records: &[Value], packages: Vec<Package>) -> Report {
    let inventory = Inventory { packages, ..Inventory::default() };
    database(records).report(&inventory, NOW).unwrap()
}

/// The report on packages of a distribution's release.
fn report_of(records: &[Value], release: (&str, &str), packages: Vec<Package>) -> Report {
    let (id, version) = (release.0.to_owned(), Some(release.1.to_owned()));
    let distribution = Some(Distribution { id, version, ..Distribution::default() });
    let inventory = Inventory { distribution, packages, ..Inventory::default() };
    database(records).report(&inventory, NOW).unwrap()
}

fn npm(version: &str) -> Package {
    Package::new(PackageKind::Npm, "left", version, "package.json")
}

fn ids(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.id.as_str()).collect()
}

fn kinds(report: &Report) -> Vec<UnmatchedKind> {
    report.unmatched.iter().map(|unmatched| unmatched.kind).collect()
}

fn only(report: &Report) -> &Finding {
    assert_eq!((report.findings.len(), report.unmatched.len()), (1, 0), "{report:#?}");
    &report.findings[0]
}
