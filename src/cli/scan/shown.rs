//! What was found, for programs and for people.

use serde::Serialize;
use std::sync::Arc;

use super::vex::{Files, Suppressed};
use crate::cli::admin::table::{Column, Table};
use crate::mirror::Inspected;
use crate::oci::Digest;
use crate::scan::{DatabaseId, Distribution, Finding, Fix, Gap, Package, Severity, Unmatched};

/// What was found in all images of a target.
#[derive(Debug, Serialize)]
pub(super) struct ScanView {
    /// The target as it was written.
    pub(super) target: String,
    /// What that stands for.
    pub(super) digest: Digest,
    /// Its images: one, or those of an index.
    pub(super) images: Vec<ImageView>,
    /// What VEX documents say that was not used, with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) vex_unused: Vec<String>,
    /// Why the database says nothing of what is known today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stale: Option<String>,
}

/// What was found in one image.
#[derive(Debug, Serialize)]
pub(super) struct ImageView {
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<Distribution>,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) database: Option<DatabaseId>,
    findings: Vec<Finding>,
    /// What was found and does not count, because a VEX document says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressed: Vec<Suppressed>,
    /// What could not be read.
    gaps: Vec<Gap>,
    /// What nothing is known about.
    unmatched: Vec<Unmatched>,
    /// Why nothing of it could be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
}

impl ScanView {
    /// All findings.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.images.iter().flat_map(|image| &image.findings)
    }

    /// All findings that do not count.
    pub(super) fn suppressed(&self) -> impl Iterator<Item = &Suppressed> {
        self.images.iter().flat_map(|image| &image.suppressed)
    }

    /// Sets apart what VEX documents take away.
    pub(super) fn hear(&mut self, files: &Files) {
        let mut unused = files.problems();
        for image in &mut self.images {
            let digests = [image.digest, self.digest];
            let findings = std::mem::take(&mut image.findings);
            let distribution = image.distribution.as_ref();
            let parted = files.part(findings, &digests, &image.packages, distribution);
            image.findings = parted.counting;
            image.suppressed = parted.suppressed;
            unused.extend(parted.unused);
        }
        self.vex_unused = unused;
    }

    /// Drops the findings that are not wanted.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&Finding) -> bool) {
        for image in &mut self.images {
            image.findings.retain(&is_wanted);
        }
    }
}

impl ImageView {
    /// Whether everything of it was read, and something is known about all that it has.
    pub(super) fn is_complete(&self) -> bool {
        self.gaps.is_empty() && self.unmatched.is_empty() && self.unread.is_empty()
    }
}

impl From<Inspected> for ImageView {
    fn from(inspected: Inspected) -> Self {
        let Inspected { digest, platform, scan, unread } = inspected;
        let mut view = Self {
            digest,
            platform,
            distribution: None,
            packages: Vec::new(),
            database: None,
            findings: Vec::new(),
            suppressed: Vec::new(),
            gaps: Vec::new(),
            unmatched: Vec::new(),
            unread,
        };
        if let Some(scan) = scan {
            // A large inventory is not kept elsewhere, and not copied then.
            let inventory = Arc::unwrap_or_clone(scan.inventory);
            let report = Arc::unwrap_or_clone(scan.report);
            view.distribution = inventory.distribution;
            view.packages = inventory.packages;
            view.gaps = inventory.gaps.into_iter().chain(report.gaps).collect();
            view.database = Some(report.database);
            view.findings = report.findings;
            view.unmatched = report.unmatched;
        }
        view
    }
}

/// All of it as a table for each image.
pub(super) fn table(view: &ScanView) -> String {
    let images: Vec<String> = view.images.iter().map(image).collect();
    let unused: Vec<String> =
        view.vex_unused.iter().map(|why| format!("NOT USED   VEX {why}\n")).collect();
    let unused = unused.concat();
    let stale = view.stale.as_ref().map(|why| format!("TOO OLD    {why}\n"));
    let stale = stale.unwrap_or_default();
    format!("{}  ->  {}\n\n{}{unused}{stale}", view.target, view.digest, images.join("\n"))
}

fn image(image: &ImageView) -> String {
    let platform = image.platform.as_ref().map(|it| format!("{it}  ")).unwrap_or_default();
    let distribution = image
        .distribution
        .as_ref()
        .map_or("no known distribution", |it| it.pretty.as_deref().unwrap_or(it.id.as_str()));
    let database = image.database.as_ref().map_or_else(String::new, |database| {
        format!(", database {} of {}", database.digest.short(), database.as_of)
    });
    let mut text = format!(
        "{platform}{}  {distribution}, {} packages{database}\n",
        image.digest.short(),
        image.packages.len()
    );
    if image.findings.is_empty() {
        text.push_str("nothing found\n");
    } else {
        let mut table = Table::new([
            Column::Fixed("SEVERITY"),
            Column::Fixed("ID"),
            Column::Name("PACKAGE"),
            Column::Fixed("VERSION"),
            Column::Fixed("FIXED IN"),
        ]);
        for finding in &image.findings {
            let package = &finding.package;
            let name = match package.kind {
                kind if kind.is_of_distribution() => package.name.clone(),
                kind => format!("{} ({})", package.name, kind.purl_type()),
            };
            table.row([
                severity(finding),
                finding.id.clone(),
                name,
                package.version.clone(),
                fix(&finding.fix).to_owned(),
            ]);
        }
        text.push_str(&table.render());
    }
    for line in open(image) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn severity(finding: &Finding) -> String {
    let word = match finding.severity {
        _ if finding.malware => "MALWARE",
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "high",
        Some(Severity::Medium) => "medium",
        Some(Severity::Low) => "low",
        Some(Severity::None) => "none",
        None => "unrated",
    };
    if finding.exploited { format!("{word}, exploited") } else { word.to_owned() }
}

fn fix(fix: &Fix) -> &str {
    match fix {
        Fix::In(version) => version,
        Fix::None => "-",
        Fix::WillNot => "will not be",
    }
}

/// What is not known, a line for each.
fn open(image: &ImageView) -> Vec<String> {
    let suppressed = image.suppressed.iter().map(|it| {
        let (id, package) = (&it.finding.id, &it.finding.package);
        format!("SUPPRESSED {id} in {} {}, {}", package.name, package.version, it.vex)
    });
    let gaps = image.gaps.iter().map(|gap| format!("NOT READ   {gap}"));
    let unmatched = image.unmatched.iter().map(|it| format!("NOT KNOWN  {}", it.text));
    let unread = image.unread.iter().map(|why| format!("NOT READ   {why}"));
    suppressed.chain(gaps).chain(unmatched).chain(unread).collect()
}
