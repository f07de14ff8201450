//! What can go wrong between here and an adapter.

use std::time::Duration;

use crate::oci::{JsonError, MediaType};
use crate::scan::HarborReportError;
use crate::upstream;

/// Why there is no report of an adapter. The texts are printable ASCII and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum HarborError {
    /// The work behind the answer ended without one.
    #[error("reading the report of the scanner at {place} was abandoned")]
    Abandoned {
        /// Where the adapter is.
        place: String,
    },
    /// It answered with something else than what was asked for.
    #[error("scanner at {place} answered {what} with status {status}{said}")]
    Answer {
        /// Where the adapter is.
        place: String,
        /// What it was asked.
        what: &'static str,
        /// The status.
        status: u16,
        /// What it says about that, after a colon; empty when it says nothing.
        said: String,
    },
    /// Its report says nothing about the image.
    #[error("scanner at {place} gave a report that cannot be used")]
    Report {
        /// Where the adapter is.
        place: String,
        /// What is wrong with the report.
        source: HarborReportError,
    },
    /// It does not scan what it would have to, or reports in no form that is known.
    #[error("scanner at {place} does not say that it reports vulnerabilities of {}", .media_type.shown())]
    Incapable {
        /// Where the adapter is.
        place: String,
        /// What was to be scanned.
        media_type: MediaType,
    },
    /// What it sent has not the form that the specification says.
    #[error("scanner at {place} sent {what} that is not of Harbor's form{why}")]
    Malformed {
        /// Where the adapter is.
        place: String,
        /// What it sent.
        what: &'static str,
        /// Where it differs, after a colon; empty when that says nothing more.
        why: String,
    },
    /// A setting cannot be used.
    #[error("scanner at {place}: {setting} cannot be used")]
    Setting {
        /// Where the adapter would be.
        place: String,
        /// The name of the setting.
        setting: &'static str,
        /// What is wrong with it, where that says more.
        source: Option<upstream::Error>,
    },
    /// There was no report in time.
    #[error("scanner at {place} gave no report within {} s", .after.as_secs())]
    TimedOut {
        /// Where the adapter is.
        place: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It could not be asked, or what it sent was too much or too slow.
    #[error("scanner at {place} cannot be asked for {what}")]
    Unreachable {
        /// Where the adapter is.
        place: String,
        /// What it was to be asked.
        what: &'static str,
        /// What failed.
        source: upstream::Error,
    },
    /// It speaks another version of the interface.
    #[error(
        "scanner at {place} speaks version {version} of Harbor's scanner API; 1.0 to 1.2 are known"
    )]
    Version {
        /// Where the adapter is.
        place: String,
        /// The version, bounded.
        version: String,
    },
}

impl HarborError {
    /// Whether asking again later may help without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Abandoned { .. } | Self::TimedOut { .. } => true,
            Self::Answer { status, .. } => *status >= 500 || *status == 429 || *status == 404,
            Self::Unreachable { source, .. } => source.is_retryable(),
            Self::Incapable { .. }
            | Self::Malformed { .. }
            | Self::Report { .. }
            | Self::Setting { .. }
            | Self::Version { .. } => false,
        }
    }

    /// What is wrong with the settings of the way to an adapter.
    pub(super) fn setting(place: String, source: upstream::Error) -> Self {
        // Beside those that are named, only the file of authorities can be wrong.
        let named = if let upstream::Error::Setting { setting, .. } = &source {
            setting
        } else {
            "ca_file"
        };
        let setting: &'static str = named;
        Self::Setting { place, setting, source: Some(source) }
    }

    pub(super) fn malformed(place: &str, what: &'static str, error: &JsonError) -> Self {
        let why = format!(": {}", error.without_content());
        Self::Malformed { place: place.to_owned(), what, why }
    }
}
