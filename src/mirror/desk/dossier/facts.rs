//! What an image is made of, from what was kept: layers, packages, findings, configuration, size.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gate::{
    ConfigOf, Evidence, Gathered, Grant, GrantKind, ManifestFacts, ScannedImage, Subject,
};
use crate::ledger::Record;
use crate::mirror::desk::explain::kind_of;
use crate::mirror::desk::show::judgement_word;
use crate::mirror::desk::{Desk, Error};
use crate::oci::{Digest, ImageConfig, Platform};
use crate::scan::{DatabaseId, Inventory, Report};
use crate::time::Timestamp;

/// Most images of an index that are put together.
const IMAGES_MAX: usize = 16;

/// Something that is known, or why it is not.
#[derive(Debug, Clone)]
pub enum Known<T> {
    /// This is it.
    Is(T),
    /// It is not known; why, in words.
    No(String),
}

impl<T> Known<T> {
    /// What is known, if it is.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::No(_) => None,
        }
    }
}

/// What a subject is made of.
#[derive(Debug, Clone)]
pub struct SubjectFacts {
    /// Which it is.
    pub subject: Subject,
    /// The last verdict about it, as it was kept: `admit`, `pending`, `deny`; none when people decided
    /// since, or there is none.
    pub verdict: Option<&'static str>,
    /// When that was reached.
    pub decided_at: Timestamp,
    /// When it was heard of first.
    pub first_seen: Timestamp,
    /// `index`, `image`, or the type of the artifact; none when the manifest was not read.
    pub kind: Option<String>,
    /// The size of its manifest in bytes.
    pub manifest_bytes: Option<u64>,
    /// What the signature gate saw, in words, with the verdict that is kept.
    pub signed: Known<String>,
    /// The images that nodes may get of it.
    pub images: Vec<ImageFacts>,
    /// Images that are left out here, because there are too many.
    pub images_left_out: usize,
}

impl SubjectFacts {
    /// Bytes of all layers and configurations, each content once.
    pub fn content_bytes(&self) -> u64 {
        self.contents().values().sum()
    }

    /// All layers and their sizes in bytes, each once.
    pub fn contents(&self) -> BTreeMap<Digest, u64> {
        self.images.iter().flat_map(|image| image.layers.iter().copied()).collect()
    }
}

/// What one image is made of.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// Its manifest.
    pub digest: Digest,
    /// What it runs on, where that is known.
    pub platform: Option<Platform>,
    /// Its layers with their sizes in bytes, each once.
    pub layers: Vec<(Digest, u64)>,
    /// What its configuration says.
    pub config: Known<ImageConfig>,
    /// What is in it, and what is known against it.
    pub scan: Known<ScanFacts>,
}

/// What is in an image, and what is known against it.
#[derive(Debug, Clone)]
pub struct ScanFacts {
    /// Its packages.
    pub inventory: Arc<Inventory>,
    /// What the database in force knows against them.
    pub report: Known<Arc<Report>>,
}

impl ScanFacts {
    /// The database that was asked, if one was.
    pub fn database(&self) -> Option<&DatabaseId> {
        self.report.known().map(|report| &report.database)
    }
}

impl Desk {
    /// What `subject` is made of, as far as it was kept; none when nothing is on record about it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(in crate::mirror::desk) async fn facts_of(
        &self,
        subject: &Subject,
    ) -> Result<Option<SubjectFacts>, Error> {
        let Some(record) = self.mirror.ledger().record(subject).await? else { return Ok(None) };
        let grants = self.mirror.ledger().grants_of(subject).await?;
        let manifest = record.evidence.manifest.found();
        let policy = self.mirror.policy();
        let mut images = manifest.map(|facts| images_of(subject, facts, policy.platforms()));
        let images = images.take().unwrap_or_default();
        let left_out = images.len().saturating_sub(IMAGES_MAX);
        let mut put_together = Vec::new();
        for (digest, platform) in images.into_iter().take(IMAGES_MAX) {
            let is_index = manifest.is_some_and(|facts| facts.is_index);
            let of = |grant: &&Grant| !is_index || grant.platform == platform;
            let own: Vec<&Grant> = grants.iter().filter(of).collect();
            put_together.push(ImageFacts {
                layers: layers(&own),
                config: self.config_of(&record.evidence, &digest, &own).await,
                scan: self.scan_of(&record.evidence, &digest).await,
                digest,
                platform,
            });
        }
        Ok(Some(SubjectFacts {
            subject: subject.clone(),
            verdict: record.judgement.as_ref().map(judgement_word),
            decided_at: record.decided_at,
            first_seen: record.first_seen,
            kind: manifest.map(kind_of),
            manifest_bytes: record.size,
            signed: signed(&record),
            images: put_together,
            images_left_out: left_out,
        }))
    }

    /// The configuration of `image`: as it was judged, or else out of the cache.
    async fn config_of(
        &self,
        evidence: &Evidence,
        image: &Digest,
        grants: &[&Grant],
    ) -> Known<ImageConfig> {
        let judged = evidence.configs.found().and_then(|configs| configs.images.get(image));
        match judged {
            Some(ConfigOf::Read(config)) => return Known::Is((**config).clone()),
            Some(ConfigOf::NoImage) => {
                return Known::No("it is no configuration of an image".to_owned());
            }
            Some(ConfigOf::Unreadable(why)) => return Known::No(format!("it {why}")),
            Some(ConfigOf::Absent) | None => {}
        }
        let config = grants.iter().find(|grant| grant.kind == GrantKind::Config);
        let Some(config) = config else {
            return Known::No("the manifest names none".to_owned());
        };
        let limit = usize::try_from(ImageConfig::BYTES_MAX).unwrap_or(usize::MAX);
        match self.mirror.store().read(&config.digest, limit).await {
            Ok(Some(bytes)) => match ImageConfig::parse(&bytes) {
                Ok(config) => Known::Is(config),
                Err(error) => Known::No(format!("it {error}")),
            },
            Ok(None) => Known::No("it is not in the cache any more".to_owned()),
            Err(_) => Known::No("it cannot be read in the cache".to_owned()),
        }
    }

    /// What was read in `image`, and what the database in force knows against that.
    pub(in crate::mirror::desk) async fn scan_of(
        &self,
        evidence: &Evidence,
        image: &Digest,
    ) -> Known<ScanFacts> {
        let scanned = match &evidence.scan {
            Gathered::Found(scanned) => scanned.images.get(image),
            Gathered::Failed(why) => return Known::No(why.clone()),
            Gathered::Absent | Gathered::NotGathered => None,
        };
        let Some(ScannedImage { inventory, unread, .. }) = scanned else {
            return Known::No("it was not scanned, as nothing hung on that".to_owned());
        };
        let Some(digest) = inventory else {
            return Known::No(format!("nothing of it can be read: {}", unread.join("; ")));
        };
        let Some(inventory) = self.mirror.inventory(digest).await else {
            return Known::No("what was read in it is not kept any more".to_owned());
        };
        let report = match self.mirror.scanner().database() {
            Ok(database) => match self.mirror.report(digest, &inventory, &database).await {
                Ok(report) => Known::Is(report),
                Err(why) => Known::No(why),
            },
            Err(why) => Known::No(why),
        };
        Known::Is(ScanFacts { inventory, report })
    }
}

/// The images of `subject` that nodes may get, with what they run on.
pub(in crate::mirror::desk) fn images_of(
    subject: &Subject,
    facts: &ManifestFacts,
    platforms: &[Platform],
) -> Vec<(Digest, Option<Platform>)> {
    if !facts.is_index {
        return vec![(subject.digest, facts.platforms.first().cloned())];
    }
    let images = facts.images_for(platforms).unwrap_or_default();
    images.into_iter().map(|image| (image.digest, image.platform.clone())).collect()
}

fn layers(grants: &[&Grant]) -> Vec<(Digest, u64)> {
    let layers = grants.iter().filter(|grant| grant.kind == GrantKind::Layer);
    let sizes: BTreeMap<Digest, u64> = layers.map(|grant| (grant.digest, grant.size)).collect();
    sizes.into_iter().collect()
}

fn signed(record: &Record) -> Known<String> {
    let checks = record.judgement.as_ref().map(|judgement| &judgement.checks);
    let check = checks.and_then(|checks| checks.iter().find(|check| check.name == "signature"));
    match check {
        Some(check) => Known::Is(check.text.clone()),
        None => Known::No("there is no verdict that looked at signatures".to_owned()),
    }
}
