//! A registry in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::evidence::fetch::Trouble;
use crate::evidence::source::{Received, Source};
use crate::evidence::{Collected, Gatherer, Limits};
use crate::gate::{Evidence, EvidenceKind, Gathered, Subject};
use crate::metrics::Metrics;
use crate::oci::{Descriptor, Digest, MediaType, Name, Reference, Tag};
use crate::store::{Settings, Store, VerifyReads};
use crate::tasks::Tasks;
use crate::time::{ManualClock, Timestamp};

/// A registry with one repository; what it is asked for is written down.
#[derive(Clone, Default)]
pub(super) struct Registry {
    pub(super) content: HashMap<Digest, Bytes>,
    pub(super) types: HashMap<Digest, MediaType>,
    pub(super) tags: BTreeMap<String, Digest>,
    /// `None`: there is no referrers API.
    pub(super) referrers: Option<Vec<Descriptor>>,
    /// Tags, digests and `referrers` for which every request fails.
    pub(super) failing: HashSet<String>,
    /// Nothing is ever answered.
    pub(super) silent: bool,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    /// Counts the requests that are under way, and the most that ever were.
    pub(super) at_once: Option<(Arc<AtomicUsize>, Arc<AtomicUsize>)>,
}

impl Registry {
    pub(super) fn blob(&mut self, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        self.content.insert(digest, Bytes::copy_from_slice(content));
        digest
    }

    pub(super) fn described(&mut self, media_type: &str, content: &[u8]) -> Value {
        let digest = self.blob(content);
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    /// Adds a manifest and gives how an index lists it.
    pub(super) fn manifest(&mut self, manifest: &Value) -> Value {
        let text = manifest.to_string();
        let media_type = manifest["mediaType"].as_str().unwrap_or(MediaType::OCI_MANIFEST);
        let described = self.described(media_type, text.as_bytes());
        self.types.insert(digest_of(&described), MediaType::new(media_type));
        described
    }

    /// Adds an image for `platform` with one layer of its own.
    pub(super) fn image(&mut self, platform: &str) -> Value {
        let manifest = self.image_manifest(platform);
        self.manifest(&manifest)
    }

    pub(super) fn image_manifest(&mut self, platform: &str) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap();
        let config = json!({"os": os, "architecture": architecture}).to_string();
        let config = self.described(MediaType::OCI_CONFIG, config.as_bytes());
        let layer = format!("layer of {platform}");
        let layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let layer = self.described(layer_type, layer.as_bytes());
        image_of(&config, &[layer])
    }

    /// Adds a referrer of `subject` with one layer, and gives how a list names it.
    pub(super) fn referrer(&mut self, subject: &Digest, media_type: &str, layer: &[u8]) -> Value {
        let empty = self.described(MediaType::OCI_EMPTY, b"{}");
        let layer = self.described(media_type, layer);
        let mut manifest = image_of(&empty, &[layer]);
        manifest["artifactType"] = json!(media_type);
        manifest["subject"] =
            json!({"mediaType": MediaType::OCI_MANIFEST, "digest": subject, "size": 1});
        self.manifest(&manifest)
    }

    pub(super) fn tag(&mut self, tag: &str, described: &Value) {
        self.tags.insert(tag.to_owned(), digest_of(described));
    }

    fn answers(&self, what: &str) -> Result<(), Trouble> {
        self.asked.lock().unwrap().push(what.to_owned());
        if self.failing.contains(what) { Err(Trouble::Time) } else { Ok(()) }
    }

    async fn wait(&self) {
        if self.silent {
            std::future::pending::<()>().await;
        }
        if let Some((now, most)) = &self.at_once {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Source for Registry {
    async fn has_tag(&self, _: &Name, tag: &Tag) -> Result<bool, Trouble> {
        self.wait().await;
        self.answers(tag.as_str())?;
        Ok(self.tags.contains_key(tag.as_str()))
    }

    async fn manifest(&self, _: &Name, reference: &Reference) -> Result<Option<Received>, Trouble> {
        self.wait().await;
        self.answers(&reference.to_string())?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => self.tags[tag.as_str()],
        };
        let Some(bytes) = self.content.get(&digest).cloned() else { return Ok(None) };
        if bytes.len() > crate::oci::MANIFEST_BYTES_MAX {
            return Err(Trouble::TooLarge);
        }
        Ok(Some(Received { bytes, media_type: self.types.get(&digest).cloned() }))
    }

    async fn blob(
        &self,
        _: &Name,
        digest: &Digest,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        self.wait().await;
        self.answers(&digest.to_string())?;
        let bytes = self.content.get(digest).cloned();
        Ok(bytes.map(|bytes| bytes.slice(..bytes.len().min(limit_bytes + 1))))
    }

    async fn referrers(&self, _: &Name, _: &Digest) -> Result<Option<Vec<Descriptor>>, Trouble> {
        self.wait().await;
        self.answers("referrers")?;
        Ok(self.referrers.clone())
    }
}

pub(super) fn image_of(config: &Value, layers: &[Value]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": config,
        "layers": layers,
    })
}

pub(super) fn index_of(children: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children})
}

pub(super) fn digest_of(described: &Value) -> Digest {
    serde_json::from_value(described["digest"].clone()).unwrap()
}

pub(super) fn subject_of(described: &Value) -> Subject {
    Subject { name: "up.test/lib/web".parse().unwrap(), digest: digest_of(described) }
}

/// Gathering from `registry` into an empty store.
pub(super) struct Rig {
    pub(super) gatherer: Gatherer<Registry>,
    pub(super) store: Store,
    _dir: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn new(registry: Registry) -> Self {
        Self::limited(registry, Limits::default()).await
    }

    pub(super) async fn limited(registry: Registry, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_milliseconds(1_000)));
        let settings = Settings {
            dir: dir.path().to_owned(),
            verify_reads: VerifyReads::Always,
            index_cache_bytes: 1024 * 1024,
            ..Settings::default()
        };
        let metrics = Arc::new(Metrics::default());
        let store = Store::open(settings, clock.clone(), Tasks::new(), metrics).await.unwrap();
        let (memory, store_of) = (Arc::default(), store.clone());
        let (source, platforms) = (registry, Arc::default());
        let gatherer = Gatherer { source, store: store_of, memory, clock, limits, platforms };
        Self { gatherer, store, _dir: dir }
    }

    pub(super) async fn collect(&self, subject: &Subject, kind: EvidenceKind) -> Collected {
        self.gatherer.collect(subject, &[kind], Evidence::default()).await
    }
}

pub(super) fn found<T: Clone>(gathered: &Gathered<T>) -> T {
    gathered.found().expect("nothing was found").clone()
}

pub(super) fn failed<T>(gathered: &Gathered<T>) -> bool {
    matches!(gathered, Gathered::Failed(_))
}
