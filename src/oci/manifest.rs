//! Manifests and indexes, parsed strictly and bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, JsonError, MediaType, from_strict_slice, json, media_type};

/// Largest manifest in bytes (distribution-spec 1.1.1 asks for at least 4 MB to be accepted).
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most layers of one image.
pub const LAYERS_MAX: usize = 1_000;
/// Most children of one index.
pub const INDEX_CHILDREN_MAX: usize = 1_000;

/// What a manifest digest stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "short-lived, one at a time, never in a collection")]
pub enum Manifest {
    /// An image or artifact: a config and layers.
    Image(ImageManifest),
    /// A list of manifests.
    Index(ImageIndex),
}

/// An image manifest.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// The type of this manifest, from the body or else from where it was got.
    pub media_type: MediaType,
    /// What kind of artifact this is, when it is not a container image.
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, in order.
    pub layers: Vec<Descriptor>,
    /// What this manifest is about (signatures, attestations).
    pub subject: Option<Descriptor>,
    /// Free text.
    pub annotations: BTreeMap<String, String>,
}

/// An image index.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// The type of this index, from the body or else from where it was got.
    pub media_type: MediaType,
    /// What kind of artifact this is, when it is not a container image.
    pub artifact_type: Option<String>,
    /// The children, in order.
    pub manifests: Vec<Descriptor>,
    /// What this index is about.
    pub subject: Option<Descriptor>,
    /// Free text.
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are not a manifest that may be served.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Both an image and an index, or neither (CVE-2021-41190).
    #[error("manifest is ambiguous: it must have either config and layers, or manifests")]
    Ambiguous,
    /// The body calls itself something else than the place it came from does (CVE-2021-41190).
    #[error("manifest says it is {} but was offered as {}", .body.shown(), .declared.shown())]
    MediaTypeMismatch {
        /// `mediaType` in the body.
        body: MediaType,
        /// `Content-Type`, or the type in the descriptor that listed it.
        declared: MediaType,
    },
    /// Not strict JSON of the right shape.
    #[error("manifest is not well formed: {}", .0.without_content())]
    Malformed(#[from] JsonError),
    /// A retired schema 1 manifest, whose digest is ambiguous.
    #[error("manifest schema 1 is retired and cannot be verified")]
    Schema1,
    /// Larger than [`MANIFEST_BYTES_MAX`].
    #[error("manifest is larger than 4 MiB")]
    TooLarge,
    /// More than [`INDEX_CHILDREN_MAX`] children.
    #[error("index has more than 1000 children")]
    TooManyChildren,
    /// More than [`LAYERS_MAX`] layers.
    #[error("image has more than 1000 layers")]
    TooManyLayers,
    /// A type that is no manifest.
    #[error("media type {} is not that of a manifest", .0.shown())]
    UnknownMediaType(MediaType),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    #[serde(default, deserialize_with = "media_type::text")]
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "json::object")]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "json::objects")]
    layers: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "json::objects")]
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "json::object")]
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads the manifest in `bytes`, which was offered as `declared`.
    ///
    /// That it parses says nothing about trust: whether the bytes have the digest that was asked
    /// for is checked where they arrive.
    ///
    /// # Errors
    /// See [`ManifestError`]; every one of them means that the content is never served.
    pub fn parse(bytes: &[u8], declared: Option<&MediaType>) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        if declared.is_some_and(MediaType::is_schema1) {
            return Err(ManifestError::Schema1);
        }
        let raw: Raw = from_strict_slice(bytes)?;
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        let media_type = settled_media_type(&raw, declared)?;
        let annotations = raw.annotations.unwrap_or_default();
        match (raw.config, raw.layers, raw.manifests) {
            (Some(config), layers, None) if media_type.is_image_manifest() => {
                let layers = layers.unwrap_or_default();
                if layers.len() > LAYERS_MAX {
                    return Err(ManifestError::TooManyLayers);
                }
                let artifact_type = raw.artifact_type;
                let subject = raw.subject;
                Ok(Self::Image(ImageManifest {
                    media_type,
                    artifact_type,
                    config,
                    layers,
                    subject,
                    annotations,
                }))
            }
            (None, None, Some(manifests)) if media_type.is_index() => {
                if manifests.len() > INDEX_CHILDREN_MAX {
                    return Err(ManifestError::TooManyChildren);
                }
                let artifact_type = raw.artifact_type;
                let subject = raw.subject;
                Ok(Self::Index(ImageIndex {
                    media_type,
                    artifact_type,
                    manifests,
                    subject,
                    annotations,
                }))
            }
            _ => Err(ManifestError::Ambiguous),
        }
    }

    /// The type under which this manifest is served, for ever the same.
    pub fn media_type(&self) -> &MediaType {
        match self {
            Self::Image(image) => &image.media_type,
            Self::Index(index) => &index.media_type,
        }
    }

    /// What this manifest is about, when it is a referrer.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// Everything this manifest lists: config and layers, or children.
    pub fn listed(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match self {
            Self::Image(image) => (Some(&image.config), image.layers.as_slice()),
            Self::Index(index) => (None, index.manifests.as_slice()),
        };
        config.into_iter().chain(rest)
    }
}

impl ImageManifest {
    /// The artifact type: the field, or else the type of a config that is not an image's.
    pub fn effective_artifact_type(&self) -> Option<&str> {
        match &self.artifact_type {
            Some(artifact_type) => Some(artifact_type),
            None if self.config.media_type.is_image_config() => None,
            None => Some(self.config.media_type.as_str()),
        }
    }
}

/// The one media type of a manifest: body and place must agree where both speak, and where neither
/// does, the shape decides.
fn settled_media_type(raw: &Raw, declared: Option<&MediaType>) -> Result<MediaType, ManifestError> {
    let known = |media_type: &MediaType| media_type.is_index() || media_type.is_image_manifest();
    let plain = |written: &MediaType| MediaType::new(&written.essence().to_ascii_lowercase());
    let declared = declared.filter(|declared| known(declared));
    let settled = match (&raw.media_type, declared) {
        (Some(body), Some(declared)) if !body.is_same(declared) => {
            return Err(ManifestError::MediaTypeMismatch {
                body: body.clone(),
                declared: declared.clone(),
            });
        }
        (Some(body), _) => body.clone(),
        (None, Some(declared)) => plain(declared),
        (None, None) if raw.manifests.is_some() => MediaType::new(MediaType::OCI_INDEX),
        (None, None) => MediaType::new(MediaType::OCI_MANIFEST),
    };
    if settled.is_schema1() {
        return Err(ManifestError::Schema1);
    }
    // What a manifest calls itself is one of the types to the letter: clients compare it so.
    if !known(&settled) || settled != plain(&settled) {
        return Err(ManifestError::UnknownMediaType(settled));
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Digest;
    use super::*;

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":2}}"#, Digest::sha256(b"{}"))
    }

    fn image(extra: &str) -> String {
        let config = descriptor(MediaType::OCI_CONFIG);
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        format!(r#"{{"schemaVersion":2{extra},"config":{config},"layers":[{layer}]}}"#)
    }

    #[test]
    fn an_image_lists_its_config_and_layers() {
        let manifest = Manifest::parse(image("").as_bytes(), None).unwrap();
        assert_eq!(manifest.media_type().as_str(), MediaType::OCI_MANIFEST);
        assert_eq!(manifest.listed().count(), 2);
    }

    #[test]
    fn a_body_that_contradicts_its_place_is_refused() {
        let typed = image(&format!(r#","mediaType":"{}""#, MediaType::OCI_MANIFEST));
        let index = MediaType::new(MediaType::OCI_INDEX);
        let error = Manifest::parse(typed.as_bytes(), Some(&index)).unwrap_err();
        assert!(matches!(error, ManifestError::MediaTypeMismatch { .. }), "{error}");
        let error = Manifest::parse(image("").as_bytes(), Some(&index)).unwrap_err();
        assert!(matches!(error, ManifestError::Ambiguous), "{error}");
        let docker = MediaType::new(MediaType::DOCKER_MANIFEST);
        let manifest = Manifest::parse(image("").as_bytes(), Some(&docker)).unwrap();
        assert_eq!(manifest.media_type(), &docker);
    }

    #[test]
    fn how_a_list_writes_a_type_changes_nothing_and_a_body_writes_it_to_the_letter() {
        for written in
            [format!("{}; x=1", MediaType::OCI_MANIFEST), MediaType::OCI_MANIFEST.to_uppercase()]
        {
            let listed: MediaType = serde_json::from_value(written.as_str().into()).unwrap();
            let typed = image(&format!(r#","mediaType":"{}""#, MediaType::OCI_MANIFEST));
            for body in [image(""), typed] {
                let manifest = Manifest::parse(body.as_bytes(), Some(&listed)).unwrap();
                assert_eq!(manifest.media_type().as_str(), MediaType::OCI_MANIFEST, "{written}");
            }
            let index = br#"{"schemaVersion":2,"manifests":[]}"#;
            let error = Manifest::parse(index, Some(&listed)).unwrap_err();
            assert!(matches!(error, ManifestError::Ambiguous), "{written}: {error}");
            let typed = image(&format!(r#","mediaType":"{written}""#));
            for declared in [None, Some(&listed)] {
                let error = Manifest::parse(typed.as_bytes(), declared).unwrap_err();
                assert!(matches!(error, ManifestError::UnknownMediaType(_)), "{written}: {error}");
            }
        }
    }

    #[test]
    fn a_config_is_that_of_an_image_however_its_type_is_written() {
        for written in [
            MediaType::OCI_CONFIG.to_owned(),
            format!("{}; x=1", MediaType::OCI_CONFIG),
            MediaType::DOCKER_CONFIG.to_uppercase(),
        ] {
            let config = descriptor(&written);
            let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
            let Ok(Manifest::Image(image)) = Manifest::parse(text.as_bytes(), None) else {
                panic!("{written} is no image");
            };
            assert_eq!(image.effective_artifact_type(), None, "{written}");
            assert_eq!(image.config.media_type.as_str(), written, "it is served on as it is");
        }
    }

    #[test]
    fn an_image_that_is_also_an_index_is_refused() {
        let both = image(r#","manifests":[]"#);
        for media_type in [None, Some(MediaType::OCI_INDEX), Some(MediaType::OCI_MANIFEST)] {
            let declared = media_type.map(MediaType::new);
            let error = Manifest::parse(both.as_bytes(), declared.as_ref()).unwrap_err();
            assert!(matches!(error, ManifestError::Ambiguous), "{error}");
        }
    }

    #[test]
    fn schema_1_is_refused_by_type_and_by_shape() {
        let schema1 = MediaType::new("application/vnd.docker.distribution.manifest.v1+prettyjws");
        for (body, declared) in [
            (r#"{"schemaVersion":1}"#, None),
            (r#"{"schemaVersion":2,"fsLayers":[]}"#, None),
            ("{}", Some(&schema1)),
        ] {
            let error = Manifest::parse(body.as_bytes(), declared).unwrap_err();
            assert!(matches!(error, ManifestError::Schema1), "{error}");
        }
    }

    #[test]
    fn duplicate_keys_are_refused_where_parsers_differ() {
        let twice = image(r#","config":{}"#);
        assert!(matches!(
            Manifest::parse(twice.as_bytes(), None).unwrap_err(),
            ManifestError::Malformed(_)
        ));
    }

    /// Go reads `Layers` as `layers`, and of both the last: a node would run what nobody scanned.
    #[test]
    fn keys_in_other_letters_are_refused() {
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        let good = image("");
        assert!(Manifest::parse(good.as_bytes(), None).is_ok());
        let with = |extra: &str| good.replacen('{', &format!("{{{extra},"), 1);
        for bad in [
            with(&format!(r#""Layers":[{layer}]"#)),
            with(r#""layer\u017f":[]"#),
            with(r#""LAYERS":null"#),
            with(&format!(r#""Config":{layer}"#)),
            with(r#""MediaType":"application/vnd.oci.image.index.v1+json""#),
            with(r#""Manifests":[]"#),
            with(r#""FsLayers":[]"#),
            with(r#""SchemaVersion":1"#),
            good.replace(r#""layers":"#, r#""Layers":"#),
            good.replacen(r#""digest":"#, r#""Digest":"x","digest":"#, 1),
            good.replacen(r#""size":"#, r#""\u017fize":1,"size":"#, 1),
        ] {
            assert!(Manifest::parse(bad.as_bytes(), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_array_in_the_place_of_an_object_is_refused() {
        let digest = Digest::sha256(b"{}");
        let array = format!(r#"["{}","{digest}",2,[],null,null,{{}}]"#, MediaType::OCI_CONFIG);
        let object = descriptor(MediaType::OCI_CONFIG);
        let platform =
            |platform: &str| object.replacen('{', &format!(r#"{{"platform":{platform},"#), 1);
        let good = platform(r#"{"os":"linux","architecture":"amd64"}"#);
        let parse = |fields: &str| Manifest::parse(fields.as_bytes(), None);
        let whole = format!(r#"{{"schemaVersion":2,"config":{good},"layers":[{good}]}}"#);
        assert!(parse(&whole).is_ok(), "{whole}");
        for bad in [array.as_str(), &platform(r#"["linux","amd64",null]"#)] {
            for text in [
                format!(r#"{{"schemaVersion":2,"config":{bad},"layers":[]}}"#),
                format!(r#"{{"schemaVersion":2,"config":{good},"layers":[{bad}]}}"#),
                format!(r#"{{"schemaVersion":2,"config":{good},"layers":[],"subject":{bad}}}"#),
                format!(r#"{{"schemaVersion":2,"manifests":[{bad}]}}"#),
            ] {
                assert!(matches!(parse(&text), Err(ManifestError::Malformed(_))), "{text}");
            }
        }
        let fields = format!("[2,null,null,{good},[],null,null,null,null]");
        assert!(matches!(parse(&fields), Err(ManifestError::Malformed(_))), "{fields}");
    }

    #[test]
    fn size_and_counts_are_bounded() {
        let padded =
            image(&format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(MANIFEST_BYTES_MAX)));
        assert!(matches!(Manifest::parse(padded.as_bytes(), None), Err(ManifestError::TooLarge)));
        let child = descriptor(MediaType::OCI_MANIFEST);
        let index = |count: usize| {
            format!(
                r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
                vec![child.as_str(); count].join(",")
            )
        };
        assert!(Manifest::parse(index(INDEX_CHILDREN_MAX).as_bytes(), None).is_ok());
        assert!(matches!(
            Manifest::parse(index(INDEX_CHILDREN_MAX + 1).as_bytes(), None),
            Err(ManifestError::TooManyChildren)
        ));
        let config = descriptor(MediaType::OCI_CONFIG);
        let layers = vec![config.as_str(); LAYERS_MAX + 1].join(",");
        let many = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        assert!(matches!(
            Manifest::parse(many.as_bytes(), None),
            Err(ManifestError::TooManyLayers)
        ));
    }

    #[test]
    fn a_malformed_digest_in_any_descriptor_is_refused() {
        let bad = image(r#","subject":{"mediaType":"a/b","digest":"sha256:../../x","size":1}"#);
        assert!(Manifest::parse(bad.as_bytes(), None).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(Manifest::parse(&bytes, None));
        }
    }
}
