//! Fuzz target for VEX documents: whatever comes, it is read within bounds or not at all, and is about
//! no image whose digest it does not have.

use std::sync::Arc;

use super::{Document, Format, Image, Purl, Said, Status};
use crate::oci::Digest;
use crate::scan::{Distribution, Finding, Fix, Package, PackageKind};

/// A document, or a package URL.
pub(crate) fn vex(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(purl) = text.trim().parse::<Purl>()
    {
        assert!(!purl.names(&package("", ""), None), "an empty name is a name");
    }
    for format in [Format::OpenVex, Format::CycloneDx] {
        let Ok(document) = format.read(bytes) else { continue };
        assert!(format.read(bytes).as_ref() == Ok(&document), "it is read in two ways");
        assert!(Format::of_document(bytes).is_ok(), "it does not say what it is");
        hold(document);
    }
}

fn hold(document: Document) {
    for problem in &document.problems {
        assert!(problem.is_ascii() && problem.len() < 1_000, "{problem}");
    }
    let mut about = Vec::new();
    for statement in &document.statements {
        assert!(!statement.vulnerability.is_empty(), "a statement about nothing");
        for text in [&statement.impact, &statement.action, &statement.justification] {
            let shown = |text: &String| !text.contains(char::is_control) && text.len() <= 2_000;
            assert!(text.as_ref().is_none_or(shown), "{text:?}");
        }
        about.extend(statement.vulnerability.first().cloned());
    }
    let package = package("openssl", "3.0.11-1");
    let distribution = Distribution { id: "debian".to_owned(), ..Distribution::default() };
    let digests = [Digest::sha256(b"nobody knows this one")];
    let image = Image {
        digests: &digests,
        packages: std::slice::from_ref(&package),
        distribution: Some(&distribution),
    };
    let said = Said::new(vec![("somebody", Arc::new(document))]);
    for id in about.into_iter().take(100) {
        let finding = finding(id, package.clone());
        let Some((_, statement)) = said.last(&finding, &image, |_| true) else { continue };
        assert!(statement.is_about(&finding, &image), "the last word is about something else");
        assert!(statement.status != Status::Unknown || !statement.status.clears());
        assert!(said.last(&finding, &image, |_| false).is_none(), "somebody who is not heard");
    }
}

fn package(name: &str, version: &str) -> Package {
    Package::new(PackageKind::Deb, name, version, "var/lib/dpkg/status")
}

fn finding(id: String, package: Package) -> Finding {
    Finding {
        id,
        aliases: [].into(),
        advisories: Vec::new(),
        package: package.into(),
        severity: None,
        score: None,
        fix: Fix::None,
        published: None,
        exploited: false,
        likelihood: None,
        malware: false,
        kernel_headers: false,
    }
}
