//! What VEX documents say, and of what.

mod bills;
mod openvex;
mod purls;
mod real;
mod words;

use std::sync::Arc;

use serde_json::Value;

use super::{Document, Format, Image, Said, Statement, Status};
use crate::oci::Digest;
use crate::scan::{Distribution, Finding, Fix, Package, PackageKind};
use crate::time::Timestamp;

pub(super) const OPENSSL: &str = "pkg:deb/debian/openssl@3.0.11-1";

pub(super) fn openssl() -> Package {
    Package::new(PackageKind::Deb, "openssl", "3.0.11-1", "var/lib/dpkg/status")
}

pub(super) fn debian() -> Distribution {
    Distribution {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        codename: Some("bookworm".to_owned()),
        ..Distribution::default()
    }
}

pub(super) fn finding(id: &str, package: Package) -> Finding {
    Finding {
        id: id.to_owned(),
        aliases: ["DSA-1-1".to_owned()].into(),
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

pub(super) fn digest() -> Digest {
    Digest::sha256(b"the image")
}

/// What `document` says last about CVE-2026-1 in openssl, of the image with this digest.
pub(super) fn last(format: Format, document: &Value) -> Option<Statement> {
    let document = read(format, document);
    word(&[document], &finding("CVE-2026-1", openssl()), &[openssl()])
}

pub(super) fn word(
    documents: &[Document],
    finding: &Finding,
    packages: &[Package],
) -> Option<Statement> {
    let documents = documents.iter().map(|it| ("a", Arc::new(it.clone()))).collect();
    let (digests, distribution) = ([digest()], debian());
    let image = Image { digests: &digests, packages, distribution: Some(&distribution) };
    let said = Said::new(documents);
    said.last(finding, &image, |by| *by == "a").map(|(_, statement)| statement.clone())
}

#[track_caller]
pub(super) fn read(format: Format, document: &Value) -> Document {
    let bytes = document.to_string();
    assert_eq!(Format::of_document(bytes.as_bytes()), Ok(format));
    format.read(bytes.as_bytes()).unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn status(statement: Option<Statement>) -> Option<Status> {
    statement.map(|statement| statement.status)
}
