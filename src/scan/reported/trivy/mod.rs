//! Reports of Trivy.
//!
//! Trivy says nothing of what it could not compare: an image whose distribution it does not know has no
//! result for its packages, and looks as clean as one without any. So what is missing is looked for here.
//!
//! Spec: <https://github.com/aquasecurity/trivy/blob/v0.69.3/pkg/types/report.go>

mod form;

use std::collections::HashMap;

use serde_json::value::RawValue;

use self::form::{Detected, Listed, Report, ScanResult, Scores};
use super::asked::Named;
use super::said::{Said, fixed_in};
use super::sink::Sink;
use super::{Asked, ReportError, Reported, document};
use crate::scan::database::printable;
use crate::scan::sbom::read::package_of_url;
use crate::scan::{Fix, Package, PackageKind, Severity, SourcePackage};
use crate::time::Timestamp;

const FORM: &str = "report of Trivy";
/// The version of the form that is understood, and there is no other since 2021.
const SCHEMA: u64 = 2;
/// Results of classes that are not of packages: nothing of them is asked for.
const OF_OTHER_THINGS: [&str; 5] = ["config", "secret", "license", "license-file", "custom"];
/// What Trivy calls a system of which it only saw packages.
const NO_SYSTEM: &str = "none";

/// Reads a report.
pub(super) fn read(
    json: &[u8],
    asked: &Asked<'_>,
    at: Option<Timestamp>,
) -> Result<Reported, ReportError> {
    let report: Report = document(json, FORM)?;
    check_form(&report)?;
    let mut named = Named::default();
    report.metadata.repo_digests.iter().for_each(|text| named.add(text));
    named.id = report.metadata.image_id.as_deref().and_then(|id| id.parse().ok());
    asked.check(&named)?;
    let mut sink = Sink::default();
    tell_system(&report, &mut sink);
    for result in &report.results {
        add(result, &mut sink);
    }
    let at = at.or_else(|| moment(report.created_at.as_deref()));
    let server = report.trivy.as_ref().and_then(|about| about.server.as_ref());
    let database =
        server.and_then(|server| moment(server.database.as_ref()?.updated_at.as_deref()));
    let version = report.trivy.and_then(|about| about.version).unwrap_or_default();
    sink.finish(("Trivy", &version), database, at)
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    // Go writes the time that was never set as the year 1.
    text?.parse().ok().filter(|at: &Timestamp| at.milliseconds() > 0)
}

fn check_form(report: &Report) -> Result<(), ReportError> {
    if report.schema_version != Some(SCHEMA) {
        let found = report.schema_version.map_or_else(|| "none".to_owned(), |it| it.to_string());
        return Err(ReportError::UnknownVersion { form: FORM, found, known: "2" });
    }
    match report.artifact_type.as_deref() {
        Some("container_image" | "cyclonedx" | "spdx") => Ok(()),
        None => Err(ReportError::malformed(FORM, "it does not say what it is of")),
        Some(kind) => {
            let kind = printable(kind);
            Err(ReportError::NotAnImage { kind })
        }
    }
}

/// Says what silence about the packages of the distribution means.
fn tell_system(report: &Report, sink: &mut Sink) {
    let of_system = report.results.iter().filter(|result| result.class == "os-pkgs");
    let has_some = |result: &ScanResult| {
        !(result.packages.is_empty()
            && result.vulnerabilities.is_empty()
            && result.modified.is_empty())
    };
    let listed = of_system.clone().any(has_some);
    let Some(system) = report.metadata.system.as_ref().filter(|it| !it.family.is_empty()) else {
        // An image of one program has no distribution, and is told by what of it was looked at.
        if of_system.count() > 0 || !report.results.iter().any(has_some) {
            sink.unknown(
                "Trivy does not know the distribution of the image, and lists no packages",
            );
        }
        return;
    };
    let name = format!("{} {}", system.family, system.name);
    let name = name.trim_end();
    if system.is_over {
        sink.unknown(&format!("{name} gets no fixes any more"));
    }
    if system.family == NO_SYSTEM {
        sink.unknown(
            "Trivy does not know the distribution of the image, and it has packages of one",
        );
    } else if of_system.count() == 0 {
        sink.unknown(&format!("Trivy compares nothing with what it has of {name}"));
    } else if !listed {
        sink.unknown(&format!("the packages of {name}, which Trivy does not list"));
    }
}

fn add(result: &ScanResult, sink: &mut Sink) {
    let is_known = matches!(result.class.as_str(), "os-pkgs" | "lang-pkgs");
    if !is_known && !OF_OTHER_THINGS.contains(&result.class.as_str()) {
        sink.gap(&format!("results of the class {:?}, which is not known", result.class));
    }
    let mut packages: HashMap<&str, &Listed> = HashMap::new();
    for listed in &result.packages {
        packages.extend(listed.id.as_deref().map(|id| (id, listed)));
        packages.extend(listed.identifier.uid.as_deref().map(|uid| (uid, listed)));
    }
    let tell = |detected: &Detected, sink: &mut Sink| {
        let exact = detected.identifier.uid.as_deref().and_then(|uid| packages.get(uid));
        let by_id = || detected.package_id.as_deref().and_then(|id| packages.get(id));
        let said = said(detected, exact.or_else(by_id).copied(), result, sink);
        sink.add(said);
    };
    for detected in &result.vulnerabilities {
        tell(detected, sink);
    }
    for modified in result.modified.iter().filter(|it| it.kind == "vulnerability") {
        let finding = modified.finding.as_deref().map(RawValue::get);
        match finding.map(serde_json::from_str::<Detected>) {
            Some(Ok(detected)) => tell(&detected, sink),
            Some(Err(_)) | None => {
                sink.gap("a finding that Trivy left out, and that cannot be read");
            }
        }
    }
}

fn said(
    detected: &Detected,
    listed: Option<&Listed>,
    result: &ScanResult,
    sink: &mut Sink,
) -> Said {
    let package = package(detected, listed, result, sink);
    let fixed = fixed_in(&package, detected.fixed_version.split(','));
    let fix = match (fixed, detected.status.as_str()) {
        (Some(version), _) => Fix::In(sink.name(&version)),
        (None, "will_not_fix" | "end_of_life") => Fix::WillNot,
        (None, _) => Fix::None,
    };
    Said {
        id: sink.name(&detected.id),
        related: detected.vendor_ids.iter().map(|id| sink.name(id)).collect(),
        severity: Severity::from_word(&detected.severity),
        score: detected.cvss.values().filter_map(Scores::score).max(),
        fix,
        published: moment(detected.published_date.as_deref()),
        exploited: false,
        likelihood: None,
        package,
    }
}

/// The package, by its package URL where that can be read: it is named as we name it then.
fn package(
    detected: &Detected,
    listed: Option<&Listed>,
    result: &ScanResult,
    sink: &mut Sink,
) -> Package {
    let place = [detected.path.as_deref(), listed.and_then(|it| it.file_path.as_deref())];
    let place = place.into_iter().flatten().find(|path| !path.is_empty());
    // What a list of the distribution says is of no one file, and its target is the image.
    let of_list = if result.class == "os-pkgs" { "" } else { result.target.as_str() };
    let found_in = sink.name(place.unwrap_or(of_list).trim_start_matches('/'));
    let (name, version) = (sink.name(&detected.package), sink.name(&detected.installed_version));
    let url = detected.identifier.url.as_deref();
    let of_url = url.and_then(|url| package_of_url(url, &name, &found_in));
    let mut package =
        of_url.unwrap_or_else(|| Package::new(kind(&result.kind), &name, &version, &found_in));
    if package.kind.is_of_distribution() {
        package.version = version;
        if let Some(listed) = listed {
            package.architecture = listed.arch.as_deref().map(|it| sink.name(it));
            package.module = listed.modularitylabel.as_deref().map(|it| sink.name(it));
            package.source = source(listed, &package, sink);
        }
    }
    package
}

/// What a package was built from, where that is something else.
fn source(listed: &Listed, package: &Package, sink: &mut Sink) -> Option<SourcePackage> {
    let Listed { src_name, src_version, src_release, src_epoch, .. } = listed;
    if src_name.is_empty() || src_version.is_empty() {
        return None;
    }
    let epoch = if *src_epoch > 0 { format!("{src_epoch}:") } else { String::new() };
    let release = if src_release.is_empty() { String::new() } else { format!("-{src_release}") };
    let name = sink.name(src_name);
    let version = sink.name(&format!("{epoch}{src_version}{release}"));
    let is_other = name != package.name || version != package.version;
    is_other.then_some(SourcePackage { name, version })
}

/// The kind of what a result of the type `text` lists, where no package URL says it.
fn kind(text: &str) -> PackageKind {
    match text {
        "alpine" | "chainguard" | "minimos" | "wolfi" => PackageKind::Apk,
        "debian" | "echo" | "ubuntu" => PackageKind::Deb,
        "alma"
        | "amazon"
        | "azurelinux"
        | "cbl-mariner"
        | "centos"
        | "centos-stream"
        | "fedora"
        | "opensuse"
        | "opensuse-leap"
        | "opensuse-tumbleweed"
        | "opensuse.leap"
        | "opensuse.tumbleweed"
        | "oracle"
        | "photon"
        | "redhat"
        | "rocky"
        | "slem"
        | "sles" => PackageKind::Rpm,
        "bundler" | "gemspec" => PackageKind::Gem,
        "cargo" | "rustbinary" => PackageKind::Cargo,
        "composer" | "composer-vendor" => PackageKind::Composer,
        "bun" | "javascript" | "node-pkg" | "npm" | "pnpm" | "yarn" => PackageKind::Npm,
        "dotnet-core" | "nuget" | "packages-props" => PackageKind::Nuget,
        "pip" | "pipenv" | "poetry" | "pylock" | "python-pkg" | "uv" => PackageKind::Python,
        "gradle" | "jar" | "pom" | "sbt" => PackageKind::Maven,
        "gobinary" | "gomod" => PackageKind::Go,
        _ => PackageKind::Other,
    }
}
