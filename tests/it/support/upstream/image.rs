//! Small images, indexes and artifacts with right digests and sizes.

use std::collections::BTreeMap;

use bytes::Bytes;
use pratique::oci::{Descriptor, Digest, MediaType, Platform};
use serde_json::json;

/// A manifest with everything below it, ready to be pushed.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    /// The type of the manifest.
    pub(crate) media_type: MediaType,
    /// The bytes of the manifest.
    pub(crate) manifest: Bytes,
    /// Config and layers, in this order.
    pub(crate) blobs: Vec<Bytes>,
    /// The children of an index, in its order.
    pub(crate) children: Vec<Artifact>,
    kind: Option<String>,
    platform: Option<Platform>,
}

impl Artifact {
    /// An image that somebody else made: its manifest and what that lists, config first.
    pub(crate) fn existing(manifest: &'static [u8], blobs: &[&'static [u8]]) -> Self {
        Self {
            media_type: MediaType::new(MediaType::OCI_MANIFEST),
            manifest: Bytes::from_static(manifest),
            blobs: blobs.iter().map(|blob| Bytes::from_static(blob)).collect(),
            children: Vec::new(),
            kind: None,
            platform: None,
        }
    }

    /// The digest of the manifest.
    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    /// The digest of the layer number `index`.
    pub(crate) fn layer(&self, index: usize) -> Digest {
        Digest::sha256(&self.blobs[index + 1])
    }

    /// The digest of the config.
    pub(crate) fn config(&self) -> Digest {
        Digest::sha256(&self.blobs[0])
    }

    /// How an index lists this.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest(),
            size: size(&self.manifest),
            urls: Vec::new(),
            platform: self.platform.clone(),
            artifact_type: self.kind.clone(),
            annotations: BTreeMap::new(),
        }
    }
}

/// An image or artifact in the making.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    media_type: &'static str,
    config_type: String,
    artifact_type: Option<String>,
    platform: Platform,
    config: Option<Bytes>,
    layers: Vec<(Descriptor, Bytes)>,
    subject: Option<Descriptor>,
}

impl Image {
    /// An OCI image for `linux/amd64` without layers.
    pub(crate) fn new() -> Self {
        Self {
            media_type: MediaType::OCI_MANIFEST,
            config_type: MediaType::OCI_CONFIG.to_owned(),
            artifact_type: None,
            platform: "linux/amd64".parse().expect("a platform"),
            config: None,
            layers: Vec::new(),
            subject: None,
        }
    }

    /// An artifact of the type `artifact_type` with the empty config.
    pub(crate) fn artifact(artifact_type: &str) -> Self {
        let mut image = Self::new().config(MediaType::OCI_EMPTY, "{}");
        image.artifact_type = Some(artifact_type.to_owned());
        image
    }

    /// Docker's types instead of OCI's.
    pub(crate) fn docker(mut self) -> Self {
        self.media_type = MediaType::DOCKER_MANIFEST;
        MediaType::DOCKER_CONFIG.clone_into(&mut self.config_type);
        self
    }

    /// Another platform than `linux/amd64`.
    pub(crate) fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.parse().expect("a platform");
        self
    }

    /// This config instead of a made one.
    pub(crate) fn config(mut self, media_type: &str, config: impl Into<Bytes>) -> Self {
        media_type.clone_into(&mut self.config_type);
        self.config = Some(config.into());
        self
    }

    /// One more layer.
    pub(crate) fn layer(self, content: impl Into<Bytes>) -> Self {
        self.layer_of("application/vnd.oci.image.layer.v1.tar+gzip", content, &[])
    }

    /// One more layer of a certain type and with annotations.
    pub(crate) fn layer_of(
        mut self,
        media_type: &str,
        content: impl Into<Bytes>,
        annotations: &[(&str, &str)],
    ) -> Self {
        let content = content.into();
        let mut descriptor = describe(media_type, &content);
        descriptor.annotations =
            annotations.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        self.layers.push((descriptor, content));
        self
    }

    /// Changes how the manifest describes the layer added last: wrong sizes, `urls`, …
    pub(crate) fn describe_last(mut self, change: impl FnOnce(&mut Descriptor)) -> Self {
        if let Some((descriptor, _)) = self.layers.last_mut() {
            change(descriptor);
        }
        self
    }

    /// What this is about.
    pub(crate) fn subject(mut self, subject: &Artifact) -> Self {
        self.subject = Some(subject.descriptor());
        self
    }

    /// The finished image.
    pub(crate) fn build(&self) -> Artifact {
        let config = self.config.clone().unwrap_or_else(|| {
            let diff_ids: Vec<_> = self.layers.iter().map(|(layer, _)| layer.digest).collect();
            let config = json!({
                "os": self.platform.os,
                "architecture": self.platform.architecture,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            });
            config.to_string().into()
        });
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": describe(&self.config_type, &config),
            "layers": self.layers.iter().map(|(descriptor, _)| descriptor).collect::<Vec<_>>(),
        });
        if let Some(artifact_type) = &self.artifact_type {
            manifest["artifactType"] = json!(artifact_type);
        }
        if let Some(subject) = &self.subject {
            manifest["subject"] = json!(subject);
        }
        let layers = self.layers.iter().map(|(_, content)| content.clone());
        Artifact {
            media_type: MediaType::new(self.media_type),
            manifest: manifest.to_string().into(),
            blobs: std::iter::once(config).chain(layers).collect(),
            children: Vec::new(),
            kind: self.artifact_type.clone(),
            platform: self.artifact_type.is_none().then(|| self.platform.clone()),
        }
    }
}

/// An image index in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    children: Vec<Artifact>,
}

impl Index {
    /// An index without children.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One more child.
    pub(crate) fn child(mut self, child: Artifact) -> Self {
        self.children.push(child);
        self
    }

    /// One image of one layer for each of `platforms`.
    pub(crate) fn for_platforms(platforms: &[&str]) -> Self {
        platforms.iter().fold(Self::new(), |index, platform| {
            let layer = format!("layer for {platform}");
            index.child(Image::new().platform(platform).layer(layer).build())
        })
    }

    /// The finished index.
    pub(crate) fn build(&self) -> Artifact {
        let listed: Vec<_> = self.children.iter().map(Artifact::descriptor).collect();
        Artifact {
            media_type: MediaType::new(MediaType::OCI_INDEX),
            manifest: referrers_index(&listed),
            blobs: Vec::new(),
            children: self.children.clone(),
            kind: None,
            platform: None,
        }
    }
}

/// An index that lists `descriptors`.
pub(super) fn referrers_index(descriptors: &[Descriptor]) -> Bytes {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": descriptors,
    });
    index.to_string().into()
}

fn describe(media_type: &str, content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: MediaType::new(media_type),
        digest: Digest::sha256(content),
        size: size(content),
        urls: Vec::new(),
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}

pub(super) fn size(content: &[u8]) -> u64 {
    content.len().try_into().expect("content fits")
}
