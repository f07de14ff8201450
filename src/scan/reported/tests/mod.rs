//! What other scanners' reports become.

mod attested;
mod grype;
mod hostile;
mod trivy;

use serde_json::Value;

use super::{Asked, ReportError, Reported};
use crate::oci::Digest;
use crate::scan::Finding;
use crate::time::Timestamp;

/// The digests of the image that is asked about.
pub(super) struct Image {
    pub(super) manifest: Digest,
    pub(super) index: [Digest; 1],
    pub(super) config: Digest,
}

pub(super) fn image() -> Image {
    Image {
        manifest: Digest::sha256(b"manifest"),
        index: [Digest::sha256(b"index")],
        config: Digest::sha256(b"config"),
    }
}

impl Image {
    pub(super) fn asked(&self) -> Asked<'_> {
        let Self { manifest, index, config } = self;
        Asked { manifest, indexes: index, config: Some(config) }
    }
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

type Reader = fn(&[u8], &Asked<'_>, Option<Timestamp>) -> Result<Reported, ReportError>;

pub(super) fn read(reader: Reader, report: &Value) -> Result<Reported, ReportError> {
    reader(report.to_string().as_bytes(), &image().asked(), None)
}

pub(super) fn ids(reported: &Reported) -> Vec<&str> {
    reported.findings.iter().map(|finding| finding.id.as_str()).collect()
}

pub(super) fn only(reported: &Reported) -> &Finding {
    assert_eq!(reported.findings.len(), 1, "{:?}", ids(reported));
    &reported.findings[0]
}
