//! Scanners beside the one inside: what an image is given to them in, and what comes back.
//!
//! Promises: none of them ever fetches an image from anywhere but here, none runs longer than it may, and
//! what went wrong is told and is never a report. It must not judge.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::oci::{Digest, Name};
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
    /// The repository.
    pub name: &'a Name,
    /// Its manifest.
    pub image: Digest,
    /// The media type of the manifest.
    pub media_type: &'a str,
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
    /// The token by which the image may be pulled from here while the scan lasts.
    Pull(&'a str),
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Layout(_) => "a layout",
            Self::Sbom(_) => "a bill of materials",
            Self::Pull(_) => "a token",
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
    /// Why there is no report, short, in printable ASCII and fit for clients.
    fn scan<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Reported, String>>;
}
