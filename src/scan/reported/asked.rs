//! Whether a report is of the image that was asked about.

use super::ReportError;
use crate::oci::Digest;

/// The image that a report has to be of, by all the digests that scanners name images by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The digest of its manifest.
    pub manifest: &'a Digest,
    /// Those of indexes that it may have been asked for by: scanners that chose it out of one name that.
    pub indexes: &'a [Digest],
    /// The digest of its config, where that is known: what scanners call the id of an image.
    pub config: Option<&'a Digest>,
}

/// What a report says of which image it is.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Digests of manifests and indexes.
    pub(super) manifests: Vec<Digest>,
    /// What it calls the id of the image: of its config, or, where containerd keeps the images of Docker,
    /// of a manifest or an index.
    pub(super) id: Option<Digest>,
}

impl Named {
    /// Takes `repository@sha256:…`, or a digest alone; what has none names nothing.
    pub(super) fn add(&mut self, text: &str) {
        let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
        self.manifests.extend(digest.parse::<Digest>().ok());
    }
}

impl Asked<'_> {
    /// Compares with what a report names. One that names nothing is taken at the word of who asks.
    ///
    /// # Errors
    /// When it names an image, and not this one.
    pub(super) fn check(&self, named: &Named) -> Result<(), ReportError> {
        let is_own = |digest: &Digest| digest == self.manifest || self.indexes.contains(digest);
        let manifests = named.manifests.iter();
        let id = named.id.as_ref();
        if manifests.clone().any(is_own) || id.is_some_and(is_own) {
            return Ok(());
        }
        // Without the config's digest there is nothing to compare an id with.
        let comparable = id.filter(|_| self.config.is_some());
        if comparable.is_some() && comparable == self.config {
            return Ok(());
        }
        match comparable.or_else(|| manifests.clone().next()) {
            Some(other) => {
                let (asked, named) = (Box::new(*self.manifest), Box::new(*other));
                Err(ReportError::OtherImage { asked, named })
            }
            None => Ok(()),
        }
    }
}
