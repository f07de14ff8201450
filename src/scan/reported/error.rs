//! Why a report is not used.

use crate::oci::Digest;
use crate::scan::database::printable;

/// Why a report of another scanner is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is not what it should be.
    #[error("is no {form}: {why}")]
    Malformed {
        /// What it should be.
        form: &'static str,
        /// Why it is not, in printable words.
        why: String,
    },
    /// It does not say when it was made, and nobody else knows.
    #[error("does not say when the image was looked at")]
    NoTime,
    /// It is of something else than an image.
    #[error("is a report of {kind:?}, which is no image")]
    NotAnImage {
        /// What it says that it is of.
        kind: String,
    },
    /// It is of another image.
    #[error("is a report of another image: it names {named}, and {asked} was asked about")]
    OtherImage {
        /// What was asked about.
        asked: Box<Digest>,
        /// What it names.
        named: Box<Digest>,
    },
    /// A bound was reached.
    #[error("is a {form} of more than {most} bytes")]
    TooLarge {
        /// What it should be.
        form: &'static str,
        /// The bound.
        most: usize,
    },
    /// It is of a scanner whose reports are not understood.
    #[error("has a report of {scanner:?}; only those of Trivy and Grype are understood")]
    UnknownScanner {
        /// What it says of the scanner.
        scanner: String,
    },
    /// It is of a version whose meaning is not known.
    #[error("is a {form} of version {found}, and only {known} is understood")]
    UnknownVersion {
        /// What it is.
        form: &'static str,
        /// Its version.
        found: String,
        /// The version that is understood.
        known: &'static str,
    },
}

impl ReportError {
    /// Something that is no `form`, because of `why`.
    pub(super) fn malformed(form: &'static str, why: &str) -> Self {
        Self::Malformed { form, why: printable(why) }
    }
}
