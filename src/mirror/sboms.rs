//! Bills of materials of images that were scanned, served as referrers of theirs.
//!
//! A bill is made of what the scan kept when somebody asks for the referrers of an image, and made again,
//! the very same, when its bytes are asked for: nothing has to be remembered but what it was made of. It
//! hangs on the image that it is of, also where that is served because an index lists it, and falls with
//! the verdict that it is served by.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tracing::{debug, warn};

use super::{BlobAnswer, BlobBody, Error, ManifestAnswer, Mirror};
use crate::gate::{Gathered, GrantKind, Judgement, Subject};
use crate::ledger::Record;
use crate::oci::{Descriptor, Digest, MediaType, Name, Platform};
use crate::scan::{Sbom, SbomFormat};
use crate::summary::EMPTY;
use crate::time::Timestamp;

/// Largest bill that is served, in bytes: that of about 100,000 packages as CycloneDX, 50,000 as SPDX.
const BILL_BYTES_MAX: usize = 32 << 20;
/// Largest bill that is sent from memory, where the store does not take it.
const MEMORY_BYTES_MAX: usize = 4 << 20;
/// When it is worth asking again for what a bill is made of.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// An image that was scanned, and is served: all that its bills are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scanned {
    image: Subject,
    /// Whose verdict it is served by: its own, or that of an index that lists it.
    of: Digest,
    /// What is in it, by the digest of that.
    inventory: Digest,
    platform: Option<Platform>,
    media_type: MediaType,
    size: u64,
    /// When the mirror first saw it, which is the same however often it is judged.
    at: Timestamp,
}

/// What was made of an image.
#[derive(Debug, Clone)]
pub(super) struct Made {
    of: Arc<Scanned>,
    /// `None`: it is larger than what is served.
    bill: Option<Bill>,
}

/// A bill as an artifact.
#[derive(Debug, Clone)]
struct Bill {
    descriptor: Descriptor,
    manifest: Bytes,
    digest: Digest,
    size: u64,
}

/// What can be asked for of a bill.
#[derive(Debug, Clone)]
pub(super) struct Part {
    of: Arc<Scanned>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Manifest(Bytes),
    Bill(SbomFormat, u64),
}

impl Mirror {
    /// The bills of the image `digest`, if it was scanned and is admitted; those of one artifact type
    /// where one is asked for, so that nobody's question about signatures makes any.
    pub(super) async fn bills_of(
        &self,
        name: &Name,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let is_wanted =
            |format: &SbomFormat| artifact_type.is_none_or(|wanted| wanted == format.media_type());
        let wanted: Vec<SbomFormat> = SbomFormat::ALL.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let Some(scanned) = self.scanned(name, digest).await? else { return Ok(Vec::new()) };
        let scanned = Arc::new(scanned);
        let mut descriptors = Vec::new();
        for format in wanted {
            if let Some(Bill { descriptor, .. }) = self.bill(&scanned, format).await {
                descriptors.push(descriptor);
            }
        }
        Ok(descriptors)
    }

    /// What the verdict that `digest` is served by knows of it: its own, or else that of an index.
    async fn scanned(&self, name: &Name, digest: &Digest) -> Result<Option<Scanned>, Error> {
        let image = Self::subject(name, digest);
        if let Some(record) = self.ledger().record(&image).await?
            && let Some(inventory) = self.inventory_by(&record, digest)
            && let Gathered::Found(facts) = &record.evidence.manifest
        {
            return Ok(Some(Scanned {
                image,
                of: *digest,
                inventory,
                platform: facts.platforms.first().cloned(),
                media_type: facts.media_type.clone(),
                size: facts.size,
                at: record.first_seen,
            }));
        }
        for granted in self.ledger().granted(name, digest).await?.iter() {
            if granted.grant.kind != GrantKind::Manifest {
                continue;
            }
            let index = Self::subject(name, &granted.subject);
            let Some(record) = self.ledger().record(&index).await? else { continue };
            let Some(inventory) = self.inventory_by(&record, digest) else { continue };
            let listed = record.evidence.manifest.found();
            let listed = listed.and_then(|facts| facts.images.as_ref());
            let child = listed.into_iter().flatten().find(|child| child.digest == *digest);
            return Ok(Some(Scanned {
                image,
                of: index.digest,
                inventory,
                platform: child.and_then(|child| child.platform.clone()),
                media_type: granted.grant.media_type.clone(),
                size: granted.grant.size,
                at: record.first_seen,
            }));
        }
        Ok(None)
    }

    /// What was found in the image `digest` when the subject of `record` was scanned, if that is admitted.
    fn inventory_by(&self, record: &Arc<Record>, digest: &Digest) -> Option<Digest> {
        let judgement = self.in_force(record, self.policy().id(), self.now())?;
        let scanned = record.evidence.scan.found().filter(|_| judgement.admits())?;
        scanned.images.get(digest)?.inventory
    }

    async fn bill(&self, scanned: &Arc<Scanned>, format: SbomFormat) -> Option<Bill> {
        let key = (scanned.image.clone(), format);
        let known = || self.inner.bills.get(&key).filter(|made| made.of == *scanned);
        let made = if let Some(made) = known() {
            made
        } else {
            let _permit = self.inner.billing.acquire().await.ok()?;
            // Somebody else may have made it meanwhile.
            if let Some(made) = known() { made } else { self.make(scanned, format).await? }
        };
        let bill = made.bill?;
        let name = &scanned.image.name;
        let put = |digest, content| {
            let part = Part { of: Arc::clone(scanned), content };
            self.inner.billed.set((name.clone(), digest), part);
        };
        put(bill.descriptor.digest, Content::Manifest(bill.manifest.clone()));
        put(bill.digest, Content::Bill(format, bill.size));
        let empty = (name.clone(), Digest::sha256(EMPTY));
        self.inner.said.set(empty, (scanned.of, Bytes::from_static(EMPTY)));
        Some(bill)
    }

    /// Makes the bill and remembers it; `None` when what it would be made of is lost.
    async fn make(&self, scanned: &Arc<Scanned>, format: SbomFormat) -> Option<Made> {
        let written = self.written(scanned, format).await?;
        let bill = written.and_then(|bytes| {
            let (digest, size) = (Digest::sha256(&bytes), bytes.len());
            artifact(scanned, format, digest, u64::try_from(size).ok()?)
        });
        let image = &scanned.image;
        if bill.is_none() {
            warn!(%image, ?format, BILL_BYTES_MAX, "bill of materials too large to be served");
        }
        let made = Made { of: Arc::clone(scanned), bill };
        self.inner.bills.set((image.clone(), format), made.clone());
        Some(made)
    }

    /// The bytes of the bill: `None` when what it is made of is lost, and within that when it is too
    /// large.
    async fn written(&self, scanned: &Arc<Scanned>, format: SbomFormat) -> Option<Option<Bytes>> {
        let Some(inventory) = self.inventory(&scanned.inventory).await else {
            debug!(image = %scanned.image, "what is in it is lost until it is scanned again");
            return None;
        };
        let of = Arc::clone(scanned);
        let writing = self.tasks().spawn_bulk_apart(move || {
            let Scanned { image, platform, at, .. } = of.as_ref();
            let (name, digest, platform) = (Some(&image.name), image.digest, platform.as_ref());
            let bill = Sbom { name, digest, platform, inventory: &inventory, at: *at };
            bill.to_bytes(format, BILL_BYTES_MAX).map(Bytes::from)
        });
        writing.await.ok()
    }

    /// The manifest `digest` of `name`, if it is that of a bill, and its image still admitted.
    pub(super) async fn bill_manifest(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<ManifestAnswer>, Error> {
        let Some(Part { of, content }) = self.inner.billed.get(&(name.clone(), *digest)) else {
            return Ok(None);
        };
        let Content::Manifest(bytes) = content else { return Ok(None) };
        if !self.is_served_still(&of).await? {
            return Ok(None);
        }
        let media_type = MediaType::from(MediaType::OCI_MANIFEST);
        let (digest, warning) = (*digest, None);
        Ok(Some(ManifestAnswer {
            digest,
            media_type,
            bytes,
            warning,
            is_refused: false,
            emergency: None,
        }))
    }

    /// The same for the bill itself: from the store, which has it once it was asked for.
    pub(super) async fn bill_blob(
        &self,
        name: &Name,
        digest: &Digest,
        with_body: bool,
    ) -> Result<Option<BlobAnswer>, Error> {
        let Some(Part { of, content }) = self.inner.billed.get(&(name.clone(), *digest)) else {
            return Ok(None);
        };
        let (format, size) = match content {
            Content::Bill(format, size) => (format, size),
            Content::Manifest(bytes) => {
                let answer = self.is_served_still(&of).await?.then(|| BlobAnswer {
                    digest: *digest,
                    size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                    body: BlobBody::Memory(bytes),
                    emergency: None,
                });
                return Ok(answer);
            }
        };
        if !self.is_served_still(&of).await? {
            return Ok(None);
        }
        let body = if with_body {
            self.bill_body(&of, format, digest, size).await?
        } else {
            BlobBody::Unread
        };
        Ok(Some(BlobAnswer { digest: *digest, size, body, emergency: None }))
    }

    async fn bill_body(
        &self,
        of: &Arc<Scanned>,
        format: SbomFormat,
        digest: &Digest,
        size: u64,
    ) -> Result<BlobBody, Error> {
        if let Ok(Some(blob)) = self.store().open_blob(digest, Some(size)).await {
            return Ok(BlobBody::Cached(blob));
        }
        let _permit = self.inner.billing.acquire().await.map_err(|_closed| Error::Overloaded)?;
        let lost = || Error::Undecided { reasons: Vec::new(), retry_after: RETRY_AFTER };
        let bytes = self.written(of, format).await.flatten().ok_or_else(lost)?;
        // Another one than was listed would be made by another version only.
        if !digest.matches(&bytes) {
            return Err(lost());
        }
        if let Err(error) = self.store().put(digest, bytes.clone()).await {
            debug!(%digest, %error, "bill of materials not stored");
        } else if let Ok(Some(blob)) = self.store().open_blob(digest, Some(size)).await {
            return Ok(BlobBody::Cached(blob));
        }
        if bytes.len() > MEMORY_BYTES_MAX {
            return Err(Error::Overloaded);
        }
        Ok(BlobBody::Memory(bytes))
    }

    /// Whether the verdict that a bill is served by still admits, and nobody refuses the image itself.
    async fn is_served_still(&self, scanned: &Scanned) -> Result<bool, Error> {
        let Scanned { image: Subject { name, digest }, of, .. } = scanned;
        let judged = self.judged_from_stored(&Self::subject(name, of)).await?;
        // What is served because nothing is enforced is not admitted.
        let admits = judged.is_some_and(|it| it.judgement().is_some_and(Judgement::admits));
        Ok(admits && !self.is_withheld(name, digest).await?)
    }
}

/// The bill with this digest as an artifact whose subject is its image.
fn artifact(scanned: &Scanned, format: SbomFormat, digest: Digest, size: u64) -> Option<Bill> {
    let media_type = format.media_type();
    let annotations = json!({
        "org.opencontainers.image.created": scanned.at.to_string(),
        "org.opencontainers.image.description":
            concat!("what Pratique ", env!("CARGO_PKG_VERSION"), " read in the image"),
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": media_type,
        "config": {
            "mediaType": MediaType::OCI_EMPTY,
            "digest": Digest::sha256(EMPTY),
            "size": EMPTY.len(),
        },
        "layers": [{
            "mediaType": media_type,
            "digest": digest,
            "size": size,
            "annotations": {"org.opencontainers.image.title": format.file_name()},
        }],
        "subject": {
            "mediaType": scanned.media_type.as_str(),
            "digest": scanned.image.digest,
            "size": scanned.size,
        },
        "annotations": annotations,
    });
    let manifest = Bytes::from(manifest.to_string());
    let descriptor = json!({
        "mediaType": MediaType::OCI_MANIFEST,
        "digest": Digest::sha256(&manifest),
        "size": manifest.len(),
        "artifactType": media_type,
        "annotations": annotations,
    });
    let descriptor = serde_json::from_value(descriptor).ok()?;
    Some(Bill { descriptor, manifest, digest, size })
}
