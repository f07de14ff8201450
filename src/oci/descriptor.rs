//! Descriptors: how manifests point at content.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Digest, MediaType, json, media_type};

/// A pointer to content: type, digest and size, and what is said about it.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#properties>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content.
    pub media_type: MediaType,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes; a negative, fractional or textual size does not parse, and none
    /// beyond the 63 bits that the specification gives it.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// Places outside the registry; a mirror never dials them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// For children of an index: what they run on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::object")]
    pub platform: Option<Platform>,
    /// For referrers: the type of the artifact.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "media_type::text"
    )]
    pub artifact_type: Option<String>,
    /// Free text about the content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = i64::deserialize(deserializer)?;
    u64::try_from(size).map_err(serde::de::Error::custom)
}

/// Longest part of a platform, in characters.
const PART_LENGTH_MAX: usize = 64;

/// What an image runs on, for example `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, for example `linux`.
    #[serde(deserialize_with = "part")]
    pub os: String,
    /// Architecture, for example `amd64`.
    #[serde(deserialize_with = "part")]
    pub architecture: String,
    /// Variant of the architecture, for example `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "platform_part")]
    pub variant: Option<String>,
}

/// Reads a part of a platform, which is bounded whatever else it is: it is kept with every verdict.
fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let part = String::deserialize(deserializer)?;
    if part.len() > PART_LENGTH_MAX {
        let length = part.len();
        return Err(serde::de::Error::custom(format_args!("part of a platform of {length} bytes")));
    }
    Ok(part)
}

/// Reads a part of a platform that may be missing.
///
/// # Errors
/// When it is no text, or longer than any.
pub fn platform_part<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Part(#[serde(deserialize_with = "part")] String);
    Ok(Option::<Part>::deserialize(deserializer)?.map(|part| part.0))
}

impl Platform {
    /// Whether `self`, as a policy names it, covers `other`: an absent variant matches any.
    pub fn covers(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{}", shown(variant)))
    }
}

/// `part` of a platform, where it is one: a config from outside may say anything.
fn shown(part: &str) -> &str {
    if is_plain(part) { part } else { "(unreadable)" }
}

fn is_plain(part: &str) -> bool {
    (1..=PART_LENGTH_MAX).contains(&part.len())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl std::str::FromStr for Platform {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let (Some(os), Some(architecture), variant, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a platform is written os/architecture or os/architecture/variant");
        };
        if !is_plain(os) || !is_plain(architecture) || !variant.is_none_or(is_plain) {
            return Err("a platform is written os/architecture or os/architecture/variant");
        }
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_variant_covers_every_variant() {
        let any: Platform = "linux/arm64".parse().unwrap();
        let v8: Platform = "linux/arm64/v8".parse().unwrap();
        assert!(any.covers(&v8) && any.covers(&any) && !v8.covers(&any));
        assert_eq!(v8.to_string(), "linux/arm64/v8");
        for bad in ["linux", "linux/", "linux/arm64/v8/x", "/amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_of_a_platform_longer_than_any_does_not_parse() {
        let read = |os: usize, variant: usize| {
            let (os, variant) = ("o".repeat(os), "v".repeat(variant));
            let text = format!(r#"{{"os":"{os}","architecture":"amd64","variant":"{variant}"}}"#);
            serde_json::from_str::<Platform>(&text)
        };
        assert!(read(PART_LENGTH_MAX, PART_LENGTH_MAX).is_ok());
        assert!(read(PART_LENGTH_MAX + 1, 1).is_err() && read(1, PART_LENGTH_MAX + 1).is_err());
        let absent = r#"{"os":"linux","architecture":"amd64","variant":null}"#;
        assert_eq!(serde_json::from_str::<Platform>(absent).unwrap().variant, None);
    }

    #[test]
    fn sizes_that_are_not_whole_numbers_do_not_parse() {
        let text = |size: &str| {
            format!(r#"{{"mediaType":"a/b","digest":"{}","size":{size}}}"#, Digest::sha256(b""))
        };
        assert!(serde_json::from_str::<Descriptor>(&text("5")).is_ok());
        for bad in ["-1", "1e3", "1.0", "\"5\"", "9223372036854775808", "null"] {
            assert!(serde_json::from_str::<Descriptor>(&text(bad)).is_err(), "{bad}");
        }
    }
}
