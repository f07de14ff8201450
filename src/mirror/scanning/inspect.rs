//! Looking into an image without judging it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gate::{Evidence, EvidenceKind, Gathered, ImageScan, Subject};
use crate::mirror::{Error, Mirror};
use crate::oci::{Digest, Platform};
use crate::scan::Inventory;

/// What is in one image, and what is known against it.
#[derive(Debug)]
pub struct Inspected {
    /// Its manifest.
    pub digest: Digest,
    /// What it runs on, as the index or its config say.
    pub platform: Option<String>,
    /// What was found; `None` when nothing of it can be read.
    pub scan: Option<ImageScan>,
    /// Why not, then.
    pub unread: Vec<String>,
}

/// What is in one image.
#[derive(Debug)]
pub struct ReadImage {
    /// Its manifest.
    pub digest: Digest,
    /// What it runs on, as the index or its config say.
    pub platform: Option<Platform>,
    /// What is in it, and the digest of that; `None` when nothing of it can be read.
    pub inventory: Option<(Digest, Arc<Inventory>)>,
    /// Why not, then.
    pub unread: Vec<String>,
}

/// Why an image cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be had.
    #[error("it cannot be had")]
    Mirror(#[from] Error),
    /// Something of it cannot be had, or there is nothing to compare with.
    #[error("{0}")]
    Failed(String),
    /// It is none.
    #[error("it is no image: {0}")]
    NoImage(String),
}

impl Mirror {
    /// Reads the images of `subject` that the policy lets be served, and compares them with the database
    /// in force. Nothing is judged, and nothing is written into the ledger.
    ///
    /// # Errors
    /// When something of it cannot be had, or there is no database.
    pub async fn inspect(&self, subject: &Subject) -> Result<Vec<Inspected>, InspectError> {
        let mut inspected = Vec::new();
        for ReadImage { digest, platform, inventory, unread } in self.read_images(subject).await? {
            let scan = match inventory {
                Some((known, inventory)) => Some(self.inspected(&known, inventory).await?),
                None => None,
            };
            let platform = platform.as_ref().map(ToString::to_string);
            inspected.push(Inspected { digest, platform, scan, unread });
        }
        Ok(inspected)
    }

    /// Reads the images of `subject` that the policy lets be served. No database is needed for it;
    /// nothing is judged, and nothing is written into the ledger.
    ///
    /// # Errors
    /// When something of it cannot be had.
    pub async fn read_images(&self, subject: &Subject) -> Result<Vec<ReadImage>, InspectError> {
        let kinds = [EvidenceKind::Manifest];
        let collected = self.collect(subject, &kinds, Evidence::default()).await?;
        let evidence = collected.evidence;
        let facts = match &evidence.manifest {
            Gathered::Found(facts) => facts,
            Gathered::Absent => return Err(Error::Absent(subject.to_string().into()).into()),
            Gathered::Failed(why) => return Err(InspectError::Failed(why.clone())),
            Gathered::NotGathered => return Err(Error::Abandoned(crate::mirror::Abandoned).into()),
        };
        if let Some(kind) = facts.artifact_type.as_ref().or(facts.malformed.as_ref()) {
            return Err(InspectError::NoImage(kind.clone()));
        }
        let mut platforms = BTreeMap::new();
        for image in facts.images.iter().flatten() {
            platforms.insert(image.digest, image.platform.clone());
        }
        if !facts.is_index {
            platforms.insert(subject.digest, facts.platforms.first().cloned());
        }
        let scanned = match self.scan_images(subject, &evidence).await {
            Gathered::Found(scanned) => scanned,
            Gathered::Failed(why) => return Err(InspectError::Failed(why)),
            Gathered::Absent | Gathered::NotGathered => {
                return Err(InspectError::NoImage("it lists none".to_owned()));
            }
        };
        let mut read = Vec::new();
        for (digest, image) in scanned.images {
            let inventory = match image.inventory {
                Some(known) => {
                    let inventory = self.inventory(&known).await;
                    let lost = || InspectError::Failed("its facts are lost".to_owned());
                    Some((known, inventory.ok_or_else(lost)?))
                }
                None => None,
            };
            let platform = platforms.remove(&digest).flatten();
            read.push(ReadImage { digest, platform, inventory, unread: image.unread });
        }
        Ok(read)
    }

    async fn inspected(
        &self,
        known: &Digest,
        inventory: Arc<Inventory>,
    ) -> Result<ImageScan, InspectError> {
        let database = self.scanner().database().map_err(InspectError::Failed)?;
        let report = self.report(known, &inventory, &database).await;
        let report = report.map_err(InspectError::Failed)?;
        Ok(ImageScan { inventory, report, attested: Arc::default() })
    }
}
