//! Reports of Grype.
//!
//! Grype lists what it found and no packages: of an image without a distribution nobody knows whether it
//! saw any.
//!
//! Spec: <https://github.com/anchore/grype/blob/v0.100.0/grype/presenter/models/document.go>

use serde::Deserialize;
use serde_json::Value;

use super::asked::Named;
use super::said::{Said, fixed_in, likelihood, tenths};
use super::sink::Sink;
use super::{Asked, ReportError, Reported, document, or_default};
use crate::scan::database::printable;
use crate::scan::sbom::read::package_of_url;
use crate::scan::{Fix, Package, PackageKind, Severity, SourcePackage, cvss};
use crate::time::Timestamp;

const FORM: &str = "report of Grype";
/// What a report that has images to it is of; a bill of materials is taken for the image that it is of.
const OF_IMAGES: [&str; 4] = ["image", "oci-model", "sbom-file", "unknown"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// Always there, if only as an empty list: this makes it a report.
    matches: Vec<Match>,
    #[serde(default, deserialize_with = "or_default")]
    ignored_matches: Vec<Match>,
    #[serde(default, deserialize_with = "or_default")]
    alerts_by_package: Vec<Alerts>,
    source: Option<Source>,
    distro: Option<Distro>,
    descriptor: Descriptor,
}

#[derive(Deserialize)]
struct Alerts {
    #[serde(default, deserialize_with = "or_default")]
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    /// An object for images, and a text for other things.
    #[serde(default)]
    target: Value,
}

#[derive(Deserialize)]
struct Distro {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
}

#[derive(Deserialize)]
struct Descriptor {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
    #[serde(default)]
    db: Value,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    vulnerability: Vulnerability,
    #[serde(default, deserialize_with = "or_default")]
    related_vulnerabilities: Vec<Vulnerability>,
    artifact: Artifact,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vulnerability {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    severity: String,
    #[serde(default, deserialize_with = "or_default")]
    cvss: Vec<Score>,
    #[serde(default, deserialize_with = "or_default")]
    known_exploited: Vec<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    epss: Vec<Likelihood>,
    #[serde(default, deserialize_with = "or_default")]
    fix: Fixes,
    #[serde(default, deserialize_with = "or_default")]
    advisories: Vec<Advisory>,
}

#[derive(Deserialize)]
struct Score {
    #[serde(default, deserialize_with = "or_default")]
    vector: String,
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    base_score: Option<f64>,
}

#[derive(Deserialize)]
struct Likelihood {
    epss: Option<f64>,
}

#[derive(Deserialize, Default)]
struct Fixes {
    #[serde(default, deserialize_with = "or_default")]
    versions: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    state: String,
}

#[derive(Deserialize)]
struct Advisory {
    #[serde(default, deserialize_with = "or_default")]
    id: String,
}

#[derive(Deserialize)]
struct Artifact {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    locations: Vec<Location>,
    #[serde(default, deserialize_with = "or_default")]
    purl: String,
    #[serde(default, deserialize_with = "or_default")]
    upstreams: Vec<Upstream>,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default, deserialize_with = "or_default")]
    path: String,
}

#[derive(Deserialize)]
struct Upstream {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    version: String,
}

/// Reads a report.
pub(super) fn read(
    json: &[u8],
    asked: &Asked<'_>,
    at: Option<Timestamp>,
) -> Result<Reported, ReportError> {
    let report: Document = document(json, FORM)?;
    let descriptor = &report.descriptor;
    if descriptor.name != "grype" {
        return Err(ReportError::UnknownScanner { scanner: printable(&descriptor.name) });
    }
    check_source(report.source.as_ref(), asked)?;
    let mut sink = Sink::default();
    tell_system(&report, &mut sink);
    let database = database(&descriptor.db, &mut sink);
    for found in report.matches.iter().chain(&report.ignored_matches) {
        let said = said(found, &mut sink);
        sink.add(said);
    }
    let own = || descriptor.timestamp.as_deref().and_then(|text| text.parse().ok());
    sink.finish(("Grype", &descriptor.version), database, at.or_else(own))
}

fn check_source(source: Option<&Source>, asked: &Asked<'_>) -> Result<(), ReportError> {
    let source =
        source.ok_or_else(|| ReportError::malformed(FORM, "it does not say what it is of"))?;
    if !OF_IMAGES.contains(&source.kind.as_str()) {
        return Err(ReportError::NotAnImage { kind: printable(&source.kind) });
    }
    let text = |key: &str| source.target.get(key).and_then(Value::as_str);
    let mut named = Named::default();
    let digests = source.target.get("repoDigests").and_then(Value::as_array).into_iter().flatten();
    digests.filter_map(Value::as_str).chain(text("manifestDigest")).for_each(|it| named.add(it));
    named.id = text("imageID").and_then(|id| id.parse().ok());
    asked.check(&named)
}

fn tell_system(report: &Document, sink: &mut Sink) {
    if report.distro.as_ref().is_none_or(|distro| distro.name.trim().is_empty()) {
        sink.unknown("Grype does not know the distribution of the image");
    }
    for alert in report.alerts_by_package.iter().flat_map(|package| &package.alerts) {
        match alert.kind.as_str() {
            "distro-eol" => sink.unknown(&alert.message),
            kind => sink.gap(&format!("{kind}: {}", alert.message)),
        }
    }
}

/// As of when the database is: in `status` since version 6 of its schema.
fn database(db: &Value, sink: &mut Sink) -> Option<Timestamp> {
    let status = db.get("status").filter(|status| status.is_object()).unwrap_or(db);
    let trouble = status.get("error").and_then(Value::as_str).filter(|text| !text.is_empty());
    if status.get("valid") == Some(&Value::Bool(false)) || trouble.is_some() {
        sink.gap(&format!("the database of Grype is not valid: {}", trouble.unwrap_or_default()));
    }
    status.get("built").and_then(Value::as_str)?.parse().ok()
}

fn said(found: &Match, sink: &mut Sink) -> Said {
    let Match { vulnerability, related_vulnerabilities: related, artifact } = found;
    let package = package(artifact, sink);
    let fixed = fixed_in(&package, vulnerability.fix.versions.iter().map(String::as_str));
    let fix = match (fixed, vulnerability.fix.state.as_str()) {
        (Some(version), _) => Fix::In(sink.name(&version)),
        (None, "wont-fix") => Fix::WillNot,
        (None, _) => Fix::None,
    };
    // What the record itself does not say, the one behind it may: a distribution's has no vector.
    let all = || std::iter::once(vulnerability).chain(related);
    let word = all().find_map(|it| Severity::from_word(&it.severity));
    let names =
        related.iter().map(|it| &it.id).chain(vulnerability.advisories.iter().map(|it| &it.id));
    Said {
        id: sink.name(&vulnerability.id),
        related: names.filter(|id| !id.is_empty()).map(|id| sink.name(id)).collect(),
        severity: word,
        score: all().flat_map(|it| &it.cvss).filter_map(Score::tenths).max(),
        fix,
        published: None,
        exploited: all().any(|it| !it.known_exploited.is_empty()),
        likelihood: all().flat_map(|it| &it.epss).filter_map(|it| likelihood(it.epss?)).max(),
        package,
    }
}

impl Score {
    fn tenths(&self) -> Option<u8> {
        let given = || tenths(self.metrics.as_ref()?.base_score?);
        cvss::score(&self.vector).ok().or_else(given)
    }
}

/// The package, by its package URL where that can be read: it is named as we name it then.
fn package(artifact: &Artifact, sink: &mut Sink) -> Package {
    let place = artifact.locations.first().map_or("", |it| it.path.as_str());
    let found_in = sink.name(place.trim_start_matches('/'));
    let (name, version) = (sink.name(&artifact.name), sink.name(&artifact.version));
    let of_url = package_of_url(&artifact.purl, &name, &found_in);
    let mut package =
        of_url.unwrap_or_else(|| Package::new(kind(&artifact.kind), &name, &version, &found_in));
    if package.kind.is_of_distribution() {
        package.version = version;
        if let (None, Some(upstream)) = (&package.source, artifact.upstreams.first()) {
            let own = &package.version;
            let version = if upstream.version.is_empty() { own } else { &upstream.version };
            let source =
                SourcePackage { name: sink.name(&upstream.name), version: sink.name(version) };
            let is_other = source.name != package.name || source.version != package.version;
            package.source = is_other.then_some(source);
        }
    }
    package
}

/// The kind of a package of the type `text`, where no package URL says it.
fn kind(text: &str) -> PackageKind {
    match text {
        "apk" => PackageKind::Apk,
        "deb" => PackageKind::Deb,
        "dotnet" => PackageKind::Nuget,
        "gem" => PackageKind::Gem,
        "go-module" => PackageKind::Go,
        "java-archive" => PackageKind::Maven,
        "npm" => PackageKind::Npm,
        "php-composer" => PackageKind::Composer,
        "python" => PackageKind::Python,
        "rpm" => PackageKind::Rpm,
        "rust-crate" => PackageKind::Cargo,
        _ => PackageKind::Other,
    }
}
