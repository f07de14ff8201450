//! The cache: how it is, what is pinned in it, and what may be done about it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::image as image_in;
use super::{Desk, Error};
use crate::gate::Subject;
use crate::ledger::Pin;
use crate::oci::{Digest, ImageReference};
use crate::store::{Evicted, ScrubReport, Scrubbing};
use crate::time::Timestamp;

/// How the cache is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CacheView {
    /// Blobs in it.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether all of them have been counted since the start.
    pub counted: bool,
    /// Bytes that are reserved for blobs under way.
    pub reserved_bytes: u64,
    /// Most bytes that it may hold; none is as much as the disk has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Bytes above which it evicts in the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_bytes: Option<u64>,
    /// Bytes down to which it evicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_bytes: Option<u64>,
    /// Bytes that the file system has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_available_bytes: Option<u64>,
    /// Bytes of the file system that are left free.
    pub min_free_bytes: u64,
    /// How long content stays that nobody asks for, in seconds; none is until it has to give way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_seconds: Option<u64>,
    /// Contents that are pinned; none while that is not known, and nothing is evicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_contents: Option<u64>,
    /// What was evicted since the start.
    pub evicted: EvictedView,
    /// Damaged contents that were found since the start.
    pub damaged: u64,
    /// Damaged contents that were fetched again since the start.
    pub healed: u64,
    /// Blobs that went past the cache since the start, because it had no room or its disk failed.
    pub passed_through: u64,
    /// Whether its index works; without it everything works, slower.
    pub index_available: bool,
    /// When everything was last hashed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub_ended: Option<Timestamp>,
    /// The scrub under way, or the last one since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubView>,
}

/// What was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EvictedView {
    /// How many blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How a scrub goes, or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScrubView {
    /// Whether it has come to its end.
    pub done: bool,
    /// How far it is, in percent of the directories.
    pub percent: u64,
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were damaged and have been removed; they are fetched again if a verdict allows.
    pub damaged: u64,
    /// Things that were no blobs and have been set aside.
    pub foreign: u64,
    /// Blobs that could not be looked at.
    pub failed: u64,
}

/// What a tidying let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TidiedView {
    /// For room, down to the low watermark.
    pub evicted: EvictedView,
    /// Because nobody asked for it within the retention.
    pub retired: EvictedView,
    /// Partial files that nobody wrote any more.
    pub stale: u64,
    /// Bytes in the cache now.
    pub bytes: u64,
}

/// A pinned image.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PinView {
    /// As it was pinned: `docker.io/library/redis:7.4`.
    pub image: String,
    /// What that was then; the pin is bound to it.
    pub subject: String,
    /// Who pinned it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its contents, the manifest included.
    pub contents: u64,
    /// Those that are in the cache.
    pub cached: u64,
    /// The bytes of those.
    pub bytes: u64,
}

/// An image to pin.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinBody {
    /// The image, by tag or digest.
    #[schemars(with = "ImageReference")]
    pub image: String,
}

/// How to scrub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubBody {
    /// Bytes a second; none is as the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bytes: Option<u64>,
}

impl Desk {
    /// How the cache is.
    pub async fn cache(&self) -> CacheView {
        let (store, metrics) = (self.mirror.store().status().await, self.mirror.metrics());
        let keeping = &store.keeping;
        CacheView {
            blobs: store.blobs,
            bytes: store.bytes,
            counted: store.is_counted,
            reserved_bytes: store.reserved_bytes,
            quota_bytes: keeping.quota_bytes,
            high_bytes: keeping.high_bytes(),
            low_bytes: keeping.low_bytes(),
            disk_available_bytes: store.disk_available_bytes,
            min_free_bytes: keeping.min_free_bytes,
            retention_seconds: keeping.retention.map(|retention| retention.as_secs()),
            pinned_contents: store.pinned,
            evicted: store.evicted.into(),
            damaged: metrics.store_corrupt.value(),
            healed: metrics.store_healed.value(),
            passed_through: metrics.blobs_through.value(),
            index_available: store.index_available,
            scrub_ended: store.scrub_ended,
            scrub: store.scrub.map(ScrubView::from),
        }
    }

    /// Lets go what nobody asked for within the retention, evicts down to the low watermark if the
    /// high one is exceeded, and sweeps what was left half done.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn tidy_cache(&self) -> Result<TidiedView, Error> {
        let tidied = self.mirror.store().tidy().await?;
        Ok(TidiedView {
            evicted: tidied.evicted.into(),
            retired: tidied.retired.into(),
            stale: tidied.stale,
            bytes: self.mirror.store().status().await.bytes,
        })
    }

    /// Begins to hash everything again, or joins the scrub under way.
    pub fn scrub_cache(&self, body: ScrubBody) -> Scrubbing {
        self.mirror.store().scrub(body.rate_bytes)
    }

    /// Pins what `text` means now, for `by`. Nothing is fetched, and nothing admitted, by it.
    ///
    /// # Errors
    /// When it is no image or there is none upstream, there are too many, or the ledger fails.
    pub async fn pin(&self, text: &str, by: &str) -> Result<PinView, Error> {
        let image = image_in(text)?;
        let subject = self.subject_of(&image).await?;
        self.mirror.ledger().pin(subject.clone(), image.to_string(), by.to_owned()).await?;
        self.pins_changed().await;
        let pins = self.mirror.ledger().pins().await?;
        let pin = pins.into_iter().find(|pin| pin.subject == subject);
        self.pin_view(pin.ok_or_else(|| not_pinned(text))?).await
    }

    /// Takes the pin of `text` back, for `by`: of that digest, or of what was pinned by that tag.
    /// Gives the images that are not pinned any more.
    ///
    /// # Errors
    /// [`Error::NotPinned`]; when it is no image, or the ledger fails.
    pub async fn unpin(&self, text: &str, by: &str) -> Result<Vec<String>, Error> {
        let image = image_in(text)?;
        let written = image.to_string();
        let mut gone = Vec::new();
        for pin in self.mirror.ledger().pins().await? {
            let by_digest = format!("{}@{}", pin.subject.name, pin.subject.digest);
            if (pin.image == written || by_digest == written)
                && self.mirror.ledger().unpin(pin.subject.clone(), by.to_owned()).await?
            {
                gone.push(by_digest);
            }
        }
        if gone.is_empty() {
            return Err(not_pinned(text));
        }
        self.pins_changed().await;
        Ok(gone)
    }

    /// Everything that is pinned, and how much of it is in the cache.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn pins(&self) -> Result<Vec<PinView>, Error> {
        let mut views = Vec::new();
        for pin in self.mirror.ledger().pins().await? {
            views.push(self.pin_view(pin).await?);
        }
        Ok(views)
    }

    /// The pin is in the ledger; the store learns of it now, or by itself a little later.
    async fn pins_changed(&self) {
        if let Err(error) = self.mirror.apply_pins().await {
            tracing::warn!(%error, "pins are in force later");
            self.mirror.pins_changed();
        }
    }

    async fn pin_view(&self, pin: Pin) -> Result<PinView, Error> {
        let Pin { subject, by, at, image } = pin;
        let grants = self.mirror.ledger().grants_of(&subject).await?;
        let mut contents: BTreeSet<Digest> = grants.iter().map(|grant| grant.digest).collect();
        contents.insert(subject.digest);
        let contents: Vec<Digest> = contents.into_iter().collect();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (total, sizes) = (contents.len(), self.mirror.store().sizes(contents).await?);
        let Subject { name, digest } = subject;
        Ok(PinView {
            image,
            subject: format!("{name}@{digest}"),
            by,
            at,
            contents: count(total),
            cached: count(sizes.iter().flatten().count()),
            bytes: sizes.iter().flatten().sum(),
        })
    }
}

fn not_pinned(text: &str) -> Error {
    Error::NotPinned { image: text.trim().to_owned() }
}

impl From<Evicted> for EvictedView {
    fn from(evicted: Evicted) -> Self {
        Self { blobs: evicted.blobs, bytes: evicted.bytes }
    }
}

impl From<ScrubReport> for ScrubView {
    fn from(report: ScrubReport) -> Self {
        Self {
            done: report.is_done,
            percent: report.directories * 100 / ScrubReport::DIRECTORIES,
            blobs: report.blobs,
            bytes: report.bytes,
            damaged: report.damaged,
            foreign: report.foreign,
            failed: report.failed,
        }
    }
}
