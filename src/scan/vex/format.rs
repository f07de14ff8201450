//! Which format a document is in.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Document, cyclonedx, openvex};
use crate::oci::from_strict_slice;

/// Largest document in bytes that is read.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the types of attestations with OpenVEX begin with; a version may follow.
const OPENVEX: &str = "https://openvex.dev/ns";
/// The same for CycloneDX.
const CYCLONEDX: &str = "https://cyclonedx.org/bom";

/// A format of VEX documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A bill of materials of CycloneDX 1.4 or later in JSON, with analyses of vulnerabilities.
    ///
    /// Spec: <https://cyclonedx.org/docs/1.6/json/>
    CycloneDx,
    /// OpenVEX 0.0.x and 0.2.0.
    ///
    /// Spec: <https://github.com/openvex/spec/blob/v0.2.0/OPENVEX-SPEC.md>
    OpenVex,
}

/// Why a document is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VexError {
    /// It is not strict JSON of the format's shape.
    #[error("it is not well formed: {0}")]
    Malformed(String),
    /// It says that it is something else.
    #[error("it is neither OpenVEX nor CycloneDX")]
    OtherFormat,
    /// It has more than is read.
    #[error("it has more than {most} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many are read.
        most: usize,
    },
    /// It is of a version of the format that is not known.
    #[error("it is of a version that is not known: {0}")]
    Version(String),
}

/// By what documents of either format are told.
#[derive(Deserialize)]
struct Marks {
    #[serde(rename = "@context", default)]
    context: Option<IgnoredAny>,
    #[serde(rename = "bomFormat", default)]
    bom_format: Option<IgnoredAny>,
}

impl Format {
    /// The format of the predicates of the type `uri`; `None` is none of these.
    pub fn of_predicate_type(uri: &str) -> Option<Self> {
        let is = |known: &str| {
            let rest = uri.strip_prefix(known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
        };
        match (is(OPENVEX), is(CYCLONEDX)) {
            (true, _) => Some(Self::OpenVex),
            (false, true) => Some(Self::CycloneDx),
            (false, false) => None,
        }
    }

    /// The format that the document in `bytes` says it is in.
    ///
    /// # Errors
    /// When it is not strict JSON, too large, or says neither.
    pub fn of_document(bytes: &[u8]) -> Result<Self, VexError> {
        check_size(bytes)?;
        let marks: Marks = from_strict_slice(bytes).map_err(malformed)?;
        match (marks.context.is_some(), marks.bom_format.is_some()) {
            (true, false) => Ok(Self::OpenVex),
            (false, true) => Ok(Self::CycloneDx),
            (true, true) | (false, false) => Err(VexError::OtherFormat),
        }
    }

    /// Reads the document in `bytes`.
    ///
    /// That it is read says nothing of who wrote it, nor that it is true.
    ///
    /// # Errors
    /// When it is no such document, of an unknown version, or has too much. What of its statements is
    /// not understood is no error: see [`Document::problems`].
    pub fn read(self, bytes: &[u8]) -> Result<Document, VexError> {
        check_size(bytes)?;
        match self {
            Self::CycloneDx => cyclonedx::read(bytes),
            Self::OpenVex => openvex::read(bytes),
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<(), VexError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(VexError::TooLarge { what: "bytes", most: DOCUMENT_BYTES_MAX });
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
pub(super) fn malformed(error: crate::oci::JsonError) -> VexError {
    VexError::Malformed(error.without_content())
}
