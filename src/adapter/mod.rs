//! Scanners beside the one inside.
//!
//! Promises:
//! - None of them ever fetches an image from anywhere but here, and none is waited for longer than its
//!   setting allows.
//! - A program never brings its database up to date, looks for a newer version of itself, or sends anything;
//!   with the exception of a Trivy server nothing that it does can reach the network. Who keeps its
//!   database is whoever set it up. No settings file, ignore file or VEX document of the machine changes
//!   what it says.
//! - What they say is read strictly and within bounds; what they do not say is not taken for nothing found,
//!   and what went wrong is never a report.
//!
//! It must not judge, or remember what was said.

mod command;
mod error;
mod harbor;
mod invocation;
mod settings;

use std::fmt;
use std::path::Path;

pub use command::{CommandJob, CommandScanner, Prepared, ScannerSettings};
pub use error::AdapterError;
pub use harbor::{HarborAdapter, HarborError, HarborJob, HarborScanner, HarborSettings};
pub use invocation::{ScannerInput, ScannerKind};
pub use settings::{AdapterKind, AdapterSettings, AdapterSettingsError, adapters};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::oci::Secret;
use crate::oci::{Digest, MediaType};
use crate::scan::Reported;

/// In what an image is given to a scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// All of it, in an OCI image layout.
    Layout,
    /// The list of what is in it, as the scanner inside made it.
    Sbom,
    /// It is pulled from here.
    Pull,
}

/// One image to be scanned.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Its manifest.
    pub image: Digest,
    /// Its config.
    pub config: Digest,
    /// The media type of the manifest.
    pub media_type: &'a MediaType,
    /// The image itself, in the way that the scanner asks for.
    pub content: Content<'a>,
}

/// An image, in one of the ways of [`Input`].
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// The folder of an OCI image layout with the image alone; it may be read and is gone afterwards.
    Layout(&'a Path),
    /// A bill of materials in CycloneDX.
    Sbom(&'a Bytes),
    /// It may be pulled from here while the scan lasts.
    Pull {
        /// The repository, as it is called here: `docker.io/library/alpine`.
        repository: &'a str,
        /// The value of the `Authorization` header that lets it be pulled.
        authorization: &'a Secret,
    },
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Layout(_) => "a layout",
            Self::Sbom(_) => "a bill of materials",
            Self::Pull { .. } => "a pass",
        })
    }
}

/// A scanner beside the one inside.
pub trait Adapter: Send + Sync + fmt::Debug {
    /// In what it wants images.
    fn input(&self) -> Input;

    /// Scans one image. Dropping what this gives ends the scan.
    ///
    /// # Errors
    /// Why there is no report, for the log: there is no secret in it.
    fn scan<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Reported, String>>;
}

/// What was wrong, with all that it came of.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
