//! SPDX 2.3.
//!
//! Spec: <https://spdx.github.io/spdx-spec/v2.3/>

use serde::Serialize;

use super::{Each, Sbom, SbomFormat, TOOL, TOOL_VERSION};
use crate::oci::Algorithm;
use crate::scan::{Distribution, Package};

/// Identifiers within a document.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";
/// What was not looked for.
const UNSAID: &str = "NOASSERTION";
/// Where documents have their names: nothing is there to be fetched.
const NAMESPACE: &str = "https://pratique.dev/spdx";

const WHOLE: &str = "All of the image was read. What leaves no record of itself in an image is not \
                     listed.";
const HOLES: &str = "The image could not be read completely, so that this list may lack packages. The \
                     annotations of the image say what could not be read.";

/// The document for `sbom`.
pub(super) fn bill<'a>(sbom: &'a Sbom<'a>) -> impl Serialize + 'a {
    let inventory = sbom.inventory;
    let packages = move || {
        let system = inventory.distribution.iter().map(of_system);
        let listed = inventory.packages.iter().enumerate();
        let listed = listed.map(|(index, package)| of_package(sbom, index, package));
        std::iter::once(of_image(sbom)).chain(system).chain(listed)
    };
    let relationships = move || {
        let system = inventory.distribution.iter().map(|_| SYSTEM.to_owned());
        let listed = system.chain((0..inventory.packages.len()).map(identifier));
        let first = Link::new(DOCUMENT, "DESCRIBES", IMAGE.to_owned());
        let contained = listed.map(|what| Link::new(IMAGE, "CONTAINS", what));
        std::iter::once(first).chain(contained)
    };
    let uuid = sbom.uuid(SbomFormat::Spdx);
    Bill {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        identifier: DOCUMENT,
        name: sbom.title(),
        document_namespace: format!("{NAMESPACE}/{uuid}"),
        comment: if inventory.is_complete() { WHOLE } else { HOLES },
        creation_info: CreationInfo {
            created: sbom.time(),
            creators: [format!("Tool: {TOOL}-{TOOL_VERSION}")],
        },
        packages: Each(packages),
        relationships: Each(relationships),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill<P, R> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    identifier: &'static str,
    name: String,
    document_namespace: String,
    comment: &'static str,
    creation_info: CreationInfo,
    packages: P,
    relationships: R,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    #[serde(rename = "SPDXID")]
    identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Remark>,
}

impl Listed {
    fn new(identifier: String, name: String, version: Option<String>) -> Self {
        Self {
            name,
            identifier,
            version_info: version.filter(|version| !version.is_empty()),
            primary_package_purpose: None,
            download_location: UNSAID,
            files_analyzed: false,
            source_info: None,
            description: None,
            license_concluded: UNSAID,
            license_declared: UNSAID,
            copyright_text: UNSAID,
            checksums: Vec::new(),
            external_refs: Vec::new(),
            annotations: Vec::new(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
struct ExternalRef {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

impl ExternalRef {
    fn purl(url: String) -> Self {
        Self { category: "PACKAGE-MANAGER", kind: "purl", locator: url }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Remark {
    annotation_date: String,
    annotation_type: &'static str,
    annotator: String,
    comment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    #[serde(rename = "spdxElementId")]
    element: &'static str,
    relationship_type: &'static str,
    #[serde(rename = "relatedSpdxElement")]
    related: String,
}

impl Link {
    const fn new(element: &'static str, relationship_type: &'static str, related: String) -> Self {
        Self { element, relationship_type, related }
    }
}

fn of_image(sbom: &Sbom<'_>) -> Listed {
    let annotation = |comment| Remark {
        annotation_date: sbom.time(),
        annotation_type: "OTHER",
        annotator: format!("Tool: {TOOL}-{TOOL_VERSION}"),
        comment,
    };
    let algorithm = match sbom.digest.algorithm() {
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    };
    Listed {
        primary_package_purpose: Some("CONTAINER"),
        description: sbom.platform.map(ToString::to_string),
        checksums: vec![Checksum { algorithm, checksum_value: sbom.digest.hex() }],
        external_refs: vec![ExternalRef::purl(sbom.image_url())],
        annotations: sbom.gaps().into_iter().map(annotation).collect(),
        ..Listed::new(IMAGE.to_owned(), sbom.title(), Some(sbom.digest.to_string()))
    }
}

fn of_system(distribution: &Distribution) -> Listed {
    let version = distribution.version.as_ref().or(distribution.codename.as_ref());
    Listed {
        primary_package_purpose: Some("OPERATING-SYSTEM"),
        description: distribution.pretty.clone(),
        ..Listed::new(SYSTEM.to_owned(), distribution.id.clone(), version.cloned())
    }
}

fn of_package(sbom: &Sbom<'_>, index: usize, package: &Package) -> Listed {
    let (name, version) = (package.name.clone(), package.version.clone());
    Listed {
        source_info: Some(format!("found in {}", package.found_in)),
        external_refs: sbom.package_url(package).map(ExternalRef::purl).into_iter().collect(),
        ..Listed::new(identifier(index), name, Some(version))
    }
}

/// The name of a package within the document: packages may differ in nothing but where they lie.
fn identifier(index: usize) -> String {
    format!("SPDXRef-Package-{index}")
}
