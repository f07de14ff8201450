//! CycloneDX 1.6.
//!
//! Spec: <https://cyclonedx.org/docs/1.6/json/>

use serde::Serialize;

use super::{Each, Sbom, SbomFormat, TOOL, TOOL_VERSION};
use crate::scan::{Distribution, Package, PackageKind};

/// References within a document.
const IMAGE: &str = "image";
const SYSTEM: &str = "operating-system";

/// The document for `sbom`.
pub(super) fn bill<'a>(sbom: &'a Sbom<'a>) -> impl Serialize + 'a {
    let (inventory, time) = (sbom.inventory, sbom.time());
    let gaps = sbom.gaps();
    // Without gaps all was read; that nothing else is in the image nobody can say.
    let aggregate = if gaps.is_empty() { "unknown" } else { "incomplete" };
    let annotation = |text| Annotation {
        subjects: [IMAGE],
        annotator: Annotator { component: Tool::new() },
        timestamp: time.clone(),
        text,
    };
    let annotations = gaps.into_iter().map(annotation).collect();
    let system = || inventory.distribution.iter().map(of_system);
    let packages = || inventory.packages.iter().enumerate();
    let components = move || {
        let listed = packages().map(|(index, package)| of_package(sbom, index, package));
        system().chain(listed)
    };
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", sbom.uuid(SbomFormat::CycloneDx)),
        version: 1,
        metadata: Metadata {
            timestamp: time.clone(),
            tools: Tools { components: [Tool::new()] },
            component: of_image(sbom),
        },
        components: Each(components),
        dependencies: dependencies(sbom),
        compositions: [Composition { aggregate, assemblies: [IMAGE] }],
        annotations,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, C, D> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: C,
    dependencies: D,
    compositions: [Composition; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    tools: Tools,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    version: &'static str,
}

impl Tool {
    const fn new() -> Self {
        Self { kind: "application", name: TOOL, version: TOOL_VERSION }
    }
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
}

impl Component<'_> {
    fn new(kind: &'static str, reference: String, name: String) -> Self {
        Self {
            kind,
            reference,
            group: None,
            name,
            version: None,
            description: None,
            purl: None,
            properties: Vec::new(),
            evidence: None,
        }
    }
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

/// Where a component was found.
#[derive(Serialize)]
struct Evidence<'a> {
    occurrences: [Occurrence<'a>; 1],
}

#[derive(Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: [&'static str; 1],
}

#[derive(Serialize)]
struct Annotation {
    subjects: [&'static str; 1],
    annotator: Annotator,
    timestamp: String,
    text: String,
}

#[derive(Serialize)]
struct Annotator {
    component: Tool,
}

#[derive(Serialize)]
struct Dependency<D> {
    #[serde(rename = "ref")]
    reference: &'static str,
    #[serde(rename = "dependsOn")]
    depends_on: D,
}

fn of_image<'a>(sbom: &Sbom<'_>) -> Component<'a> {
    let platform = sbom
        .platform
        .map(|platform| Property { name: "pratique:platform", value: platform.to_string() });
    Component {
        version: Some(sbom.digest.to_string()),
        purl: Some(sbom.image_url()),
        properties: platform.into_iter().collect(),
        ..Component::new("container", IMAGE.to_owned(), sbom.title())
    }
}

fn of_system(distribution: &Distribution) -> Component<'_> {
    let codename = distribution.codename.clone();
    let codename = codename.map(|value| Property { name: "pratique:codename", value });
    Component {
        version: distribution.version.clone(),
        description: distribution.pretty.as_deref(),
        properties: codename.into_iter().collect(),
        ..Component::new("operating-system", SYSTEM.to_owned(), distribution.id.clone())
    }
}

fn of_package<'a>(sbom: &Sbom<'_>, index: usize, package: &'a Package) -> Component<'a> {
    let (group, name) = match package.kind {
        PackageKind::Maven => package.name.split_once(':'),
        PackageKind::Composer | PackageKind::Npm => package.name.split_once('/'),
        PackageKind::Apk
        | PackageKind::Cargo
        | PackageKind::Deb
        | PackageKind::Gem
        | PackageKind::Go
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Python
        | PackageKind::Rpm => None,
    }
    .map_or((None, package.name.as_str()), |(group, name)| (Some(group), name));
    let version = package.version.clone();
    Component {
        group: group.filter(|group| !group.is_empty()),
        version: Some(version).filter(|version| !version.is_empty()),
        purl: sbom.package_url(package),
        properties: for_trivy(package),
        evidence: Some(Evidence { occurrences: [Occurrence { location: &package.found_in }] }),
        ..Component::new("library", reference(index), name.to_owned())
    }
}

/// What Trivy reads in its own words only: it takes a package for built from a source of its own name
/// where it is not told otherwise, and distributions publish advisories by source.
///
/// Spec: <https://github.com/aquasecurity/trivy/blob/v0.69.3/pkg/sbom/core/bom.go>
fn for_trivy(package: &Package) -> Vec<Property> {
    if !package.kind.is_of_distribution() {
        return Vec::new();
    }
    let property = |name, value: &str| Property { name, value: value.to_owned() };
    let source = package.source.iter().flat_map(|source| {
        let name = property("aquasecurity:trivy:SrcName", &source.name);
        [name, property("aquasecurity:trivy:SrcVersion", &source.version)]
    });
    let module = package.module.iter();
    let module = module.map(|label| property("aquasecurity:trivy:Modularitylabel", label));
    source.chain(module).collect()
}

/// The name of a package within the document: packages may differ in nothing but where they lie.
fn reference(index: usize) -> String {
    format!("package-{index}")
}

/// Which components are part of what: readers find the distribution's packages below it.
fn dependencies<'a>(sbom: &'a Sbom<'a>) -> impl Serialize + 'a {
    let inventory = sbom.inventory;
    let has_system = inventory.distribution.is_some();
    let below = move |of_distribution: bool| {
        let wanted = move |(_, package): &(usize, &'a Package)| {
            (has_system && package.kind.is_of_distribution()) == of_distribution
        };
        let system = (has_system && !of_distribution).then(|| SYSTEM.to_owned());
        let packages = inventory.packages.iter().enumerate().filter(wanted);
        system.into_iter().chain(packages.map(|(index, _)| reference(index)))
    };
    let nodes = move || {
        let nodes = [(IMAGE, false), (SYSTEM, true)].into_iter().take(1 + usize::from(has_system));
        nodes.map(move |(reference, of_distribution)| Dependency {
            reference,
            depends_on: Each(move || below(of_distribution)),
        })
    };
    Each(nodes)
}
