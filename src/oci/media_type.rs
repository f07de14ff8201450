//! Media types of manifests and what they say about them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// Longest media type that is read from a document, in bytes (RFC 6838 section 4.2: two names of at most
/// 127 characters each, and what is between them).
const LENGTH_MAX: usize = 255;

/// A media type as it stands in a document, or in a header.
///
/// A document's own text is kept, to be served on; kinds are told apart by the type alone, whatever
/// parameters and letter case it is written with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// The empty JSON object as content.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

    /// What a mirror asks upstream for: every manifest type it can judge, none it cannot.
    pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
        application/vnd.docker.distribution.manifest.list.v2+json, \
        application/vnd.oci.image.manifest.v1+json, \
        application/vnd.docker.distribution.manifest.v2+json";

    /// The media type in a header or field: parameters and surrounding space are dropped.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(essence(text)))
    }

    /// The type alone, without parameters and surrounding space.
    pub fn essence(&self) -> &str {
        essence(&self.0)
    }

    /// Whether both are of one type, whatever parameters and letter case they are written with.
    ///
    /// Spec: RFC 6838 section 4.2, RFC 9110 section 8.3.1.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_any_of(&[other.essence()])
    }

    fn is_any_of(&self, known: &[&str]) -> bool {
        known.iter().any(|known| known.eq_ignore_ascii_case(self.essence()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, where it has the form of a media type; else words that say so. For answers to
    /// somebody other than who wrote it.
    ///
    /// Spec: RFC 6838 section 4.2.
    pub fn shown(&self) -> &str {
        let plain = |name: &str| {
            (1..=127).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match self.0.split_once('/') {
            Some((kind, subtype)) if plain(kind) && plain(subtype) => &self.0,
            _ => "(no media type)",
        }
    }

    /// Whether content of this type is an index (or Docker manifest list).
    pub fn is_index(&self) -> bool {
        self.is_any_of(&[Self::OCI_INDEX, Self::DOCKER_LIST])
    }

    /// Whether content of this type is an image manifest (not an index).
    pub fn is_image_manifest(&self) -> bool {
        self.is_any_of(&[Self::OCI_MANIFEST, Self::DOCKER_MANIFEST])
    }

    /// Whether this is one of the retired schema 1 manifest types, whose digest is ambiguous.
    pub fn is_schema1(&self) -> bool {
        let essence = self.essence().to_ascii_lowercase();
        essence.starts_with("application/vnd.docker.distribution.manifest.v1+")
    }

    /// Whether this is the configuration of a container image.
    pub fn is_image_config(&self) -> bool {
        self.is_any_of(&[Self::OCI_CONFIG, Self::DOCKER_CONFIG])
    }

    /// Whether a layer of this type is meant to be fetched from elsewhere, around the mirror.
    pub fn is_foreign_layer(&self) -> bool {
        let essence = self.essence().to_ascii_lowercase();
        essence.contains(".nondistributable.")
            || essence.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > LENGTH_MAX {
            let length = text.len();
            return Err(serde::de::Error::custom(format_args!("media type of {length} bytes")));
        }
        Ok(Self(text.into()))
    }
}

/// Reads a media type that is kept as text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let media_type = Option::<MediaType>::deserialize(deserializer)?;
    Ok(media_type.map(|media_type| media_type.as_str().to_owned()))
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_the_form_of_a_media_type_is_not_shown() {
        assert_eq!(MediaType::new(MediaType::OCI_INDEX).shown(), MediaType::OCI_INDEX);
        let long = format!("a/{}", "b".repeat(128));
        for bad in ["", "a", "a/", "a/b/c", "a/b c", "a/<b>", "a/\u{1b}[2J", long.as_str()] {
            assert_eq!(MediaType::new(bad).shown(), "(no media type)", "{bad}");
        }
    }

    #[test]
    fn a_media_type_longer_than_any_does_not_parse() {
        let read = |length: usize| {
            let text = format!("\"a/{}\"", "b".repeat(length - 2));
            serde_json::from_str::<MediaType>(&text)
        };
        assert_eq!(read(LENGTH_MAX).unwrap().as_str().len(), LENGTH_MAX);
        assert!(read(LENGTH_MAX + 1).is_err());
    }

    #[test]
    fn parameters_do_not_change_the_type() {
        let media_type = MediaType::new("application/vnd.oci.image.index.v1+json; charset=utf-8");
        assert!(media_type.is_index());
        assert!(!media_type.is_image_manifest());
    }

    #[test]
    fn what_a_document_says_is_kept_and_its_kind_is_that_of_the_type_alone() {
        type IsKind = fn(&MediaType) -> bool;
        let read = |text: &str| -> MediaType { serde_json::from_value(text.into()).unwrap() };
        let layer = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let kinds: [(IsKind, &[&str]); 5] = [
            (MediaType::is_index, &[MediaType::OCI_INDEX, MediaType::DOCKER_LIST]),
            (MediaType::is_image_manifest, &[MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST]),
            (MediaType::is_image_config, &[MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG]),
            (MediaType::is_foreign_layer, &[layer]),
            (MediaType::is_schema1, &[schema1]),
        ];
        for (is_kind, types) in kinds {
            for plain in types {
                for written in [
                    (*plain).to_owned(),
                    format!("{plain}; x=1"),
                    format!("{plain};"),
                    format!(" {plain} ;charset=utf-8"),
                    plain.to_uppercase(),
                ] {
                    let media_type = read(&written);
                    assert_eq!(media_type.as_str(), written);
                    assert!(is_kind(&media_type), "{written}");
                    assert!(media_type.is_same(&MediaType::new(plain)), "{written}");
                }
                for other in [format!("{plain}x"), format!("x/y; {plain}"), format!("x{plain}")] {
                    let media_type = read(&other);
                    assert!(!media_type.is_same(&MediaType::new(plain)), "{other}");
                }
                assert!(!is_kind(&read(&format!("x/y; z={plain}"))), "{plain}");
            }
        }
    }

    #[test]
    fn both_kinds_of_foreign_layers_are_known() {
        for text in [
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ] {
            assert!(MediaType::new(text).is_foreign_layer(), "{text}");
        }
        assert!(!MediaType::new("application/vnd.oci.image.layer.v1.tar").is_foreign_layer());
    }
}
