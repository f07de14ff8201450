//! Reading the images of a subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tracing::{info, warn};

use super::reading::Reading;
use super::room::Room;
use crate::gate::{Evidence, Gathered, ScannedImage, ScannedImages, Subject};
use crate::mirror::{Error, Mirror};
use crate::oci::{Descriptor, Digest, ImageManifest, Manifest, Name, from_strict_slice};
use crate::scan::{Distribution, Inventory, Layer, LayerFacts, Limits, Merged};
use crate::store::FactKind;

/// Layers of one image that are fetched at once.
const LAYERS_AT_ONCE: usize = 4;
/// Largest config that is read, in bytes.
const CONFIG_BYTES_MAX: usize = 4 << 20;

/// The part of an image config that says what its layers inflate to.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties>
#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    rootfs: RootFs,
}

#[derive(Deserialize, Default)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// The layers of an image, and how they are read.
struct Layers<'a> {
    name: &'a Name,
    image: &'a ImageManifest,
    /// What the config says that they inflate to.
    diff_ids: &'a [Digest],
    limits: &'a Limits,
}

impl Mirror {
    /// Reads what is in the images of `subject` that are served.
    pub(in crate::mirror) async fn scan_images(
        &self,
        subject: &Subject,
        evidence: &Evidence,
    ) -> Gathered<ScannedImages> {
        let Some(facts) = evidence.manifest.found() else { return Gathered::NotGathered };
        let digests: Vec<Digest> = if facts.is_index {
            let Some(images) = facts.images_for(self.policy().platforms()) else {
                return Gathered::NotGathered;
            };
            images.iter().map(|image| image.digest).collect()
        } else {
            vec![subject.digest]
        };
        let digests = digests.into_iter().take(ScannedImages::IMAGES_MAX);
        let Reading { limits, time } = self.reading(&self.policy(), &subject.name);
        let (policy, before) = (self.policy(), evidence.scan.found());
        let work = async {
            let registry = subject.name.registry();
            let _permit = self.scanner().scans.acquire(registry).await?;
            let mut images = BTreeMap::new();
            for digest in digests {
                let mut image = self.scan_image(&subject.name, digest, &limits).await?;
                let before = before.and_then(|before| before.images.get(&digest));
                let of = (&subject.name, digest);
                image.others = self.ask_others(&policy, of, &image, before).await;
                images.insert(digest, image);
            }
            Ok(ScannedImages { images })
        };
        match tokio::time::timeout(time, work).await {
            Ok(Ok(images)) => Gathered::Found(images),
            Ok(Err(error)) => {
                let error: Error = error;
                info!(%subject, %error, "image could not be scanned");
                Gathered::Failed(format!("a layer could not be had: {}", in_words(&error)))
            }
            Err(_elapsed) => Gathered::Failed("scanning took too long".to_owned()),
        }
    }

    async fn scan_image(
        &self,
        name: &Name,
        digest: Digest,
        limits: &Limits,
    ) -> Result<ScannedImage, Error> {
        let read_by = limits.reading();
        let unread = |why: String| {
            let (inventory, others) = (None, BTreeMap::new());
            Ok(ScannedImage { inventory, unread: vec![why], is_complete: false, read_by, others })
        };
        let short = digest.short();
        let image = match self.manifest_bytes(&Self::subject(name, &digest)).await {
            Ok(bytes) => Manifest::parse(&bytes, None),
            Err(Error::Absent(_)) => return unread(format!("image {short} is not there upstream")),
            Err(error) => return Err(error),
        };
        let image = match image {
            Ok(Manifest::Image(image)) => image,
            Ok(Manifest::Index(_)) => return unread(format!("{short} is an index")),
            Err(error) => return unread(format!("manifest {short}: {error}")),
        };
        let diff_ids = self.diff_ids(name, &image.config).await?;
        let facts = self.all_layer_facts(name, &image, limits).await?;
        let layers = Layers { name, image: &image, diff_ids: &diff_ids, limits };
        let inventory = self.merge(&layers, facts).await?;
        let is_complete = inventory.is_complete();
        let inventory = Some(self.keep_inventory(inventory).await?);
        let (unread, others) = (Vec::new(), BTreeMap::new());
        Ok(ScannedImage { inventory, unread, is_complete, read_by, others })
    }

    /// What is known of the layers of `image`, in their order; one that stands there twice is read once.
    async fn all_layer_facts(
        &self,
        name: &Name,
        image: &ImageManifest,
        limits: &Limits,
    ) -> Result<Vec<Arc<LayerFacts>>, Error> {
        let layers: BTreeMap<Digest, &Descriptor> =
            image.layers.iter().map(|layer| (layer.digest, layer)).collect();
        let room = Room::new();
        let read = async |layer: &Descriptor| {
            let facts = self.layer_facts(name, layer, limits, room.turn()).await?;
            Ok::<_, Error>((layer.digest, room.keep(facts)))
        };
        let read: Vec<_> = layers.into_values().map(|layer| read(layer).boxed()).collect();
        let read = stream::iter(read).buffered(LAYERS_AT_ONCE);
        let known: BTreeMap<Digest, Arc<LayerFacts>> = read.try_collect().await?;
        let facts = image.layers.iter().filter_map(|layer| known.get(&layer.digest).cloned());
        Ok(facts.collect())
    }

    /// What the config says that the layers inflate to. One that cannot be read names none, so that
    /// every layer is a gap.
    async fn diff_ids(&self, name: &Name, config: &Descriptor) -> Result<Vec<Digest>, Error> {
        let bytes = self.small_content(name, config, CONFIG_BYTES_MAX).await?;
        let config: Config =
            bytes.and_then(|bytes| from_strict_slice(&bytes).ok()).unwrap_or_default();
        let parsed = config.rootfs.diff_ids.iter().map(|digest| digest.parse());
        Ok(parsed.collect::<Result<_, _>>().unwrap_or_default())
    }

    /// Merges what was learnt of the layers, and reads what links turn out to lead to.
    async fn merge(
        &self,
        layers: &Layers<'_>,
        mut facts: Vec<Arc<LayerFacts>>,
    ) -> Result<Inventory, Error> {
        let merged = self.merged(layers, &facts).await?;
        if merged.wanted.is_empty() {
            return Ok(merged.inventory);
        }
        let Layers { name, image, limits, .. } = layers;
        for (index, wanted) in merged.wanted {
            let (Some(layer), Some(known)) = (image.layers.get(index), facts.get_mut(index)) else {
                continue;
            };
            let more = (Arc::clone(known), wanted);
            *known = self.more_layer_facts(name, layer, limits, more).await?;
        }
        Ok(self.merged(layers, &facts).await?.inventory)
    }

    async fn merged(
        &self,
        layers: &Layers<'_>,
        facts: &[Arc<LayerFacts>],
    ) -> Result<Merged, Error> {
        let layer = |(index, facts): (usize, &Arc<LayerFacts>)| Layer {
            diff_id: layers.diff_ids.get(index).copied(),
            facts: Arc::clone(facts),
        };
        let limits = layers.limits.clone();
        let layers: Vec<Layer> = facts.iter().enumerate().map(layer).collect();
        let is_known = |distribution: &Distribution| distribution.feed().is_some();
        let merging =
            self.tasks().spawn_bulk_apart(move || Merged::of(&layers, &is_known, &limits));
        merging.await.map_err(|_panicked| Error::Abandoned(crate::mirror::Abandoned))
    }

    /// Keeps an inventory, and gives its digest.
    async fn keep_inventory(&self, inventory: Inventory) -> Result<Digest, Error> {
        let writing = self.tasks().spawn_bulk_apart(move || {
            // A vector that grows is there twice while it does.
            let mut bytes = Vec::with_capacity(inventory.json_bytes());
            serde_json::to_writer(&mut bytes, &inventory)?;
            let bytes = Bytes::from(bytes);
            Ok::<_, serde_json::Error>((inventory, Digest::sha256(&bytes), bytes))
        });
        let abandoned = || Error::Abandoned(crate::mirror::Abandoned);
        let (inventory, digest, bytes) =
            writing.await.map_err(|_panicked| abandoned())?.map_err(|error| {
                warn!(%error, "inventory not written");
                abandoned()
            })?;
        let scanner = self.scanner();
        // Also where the disk does not take it: it is there for the judgement that waits for it.
        let weight = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        scanner.inventories.set_weighing(digest, Arc::new(inventory), weight);
        scanner.facts.put(FactKind::Inventory, &digest, bytes).await;
        Ok(digest)
    }
}

/// What went wrong, and of what it came.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let source = error.source();
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
