//! Names: registry, repository, tag, and the references that people write.
//!
//! A [`Name`] is canonical from the moment it exists, so that a policy, a verdict and a cache entry
//! can never mean different things by two spellings of one repository.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, DigestError};

/// Longest tag, in characters (distribution-spec 1.1.1, "Pulling manifests").
pub const TAG_LENGTH_MAX: usize = 128;
/// Longest repository, in characters: together with the host it must fit what clients accept.
const REPOSITORY_LENGTH_MAX: usize = 255;
/// Longest registry, in characters (a host name is at most 253, a port at most 6 more).
const REGISTRY_LENGTH_MAX: usize = 259;

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_ALIASES: [&str; 3] =
    ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The part after `@` is not a digest.
    #[error("{0}")]
    Digest(#[from] DigestError),
    /// The registry is not `host` or `host:port`.
    #[error("registry is not host or host:port")]
    Registry,
    /// The repository breaks the grammar of the specification.
    #[error(
        "repository breaks the grammar: lower-case letters, digits, and . _ __ - between them, at most 255 characters"
    )]
    Repository,
    /// The tag breaks the grammar of the specification.
    #[error(
        "tag breaks the grammar: a letter, digit or _ and then up to 127 of letters, digits, . _ -"
    )]
    Tag,
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse(text).map(|text| Self(Arc::from(text)))
            }
        }
    };
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type!(
    /// A registry as image references name it, canonical: `docker.io`, `ghcr.io`, `up.test:5000`.
    Registry,
    canonical_registry
);
text_type!(
    /// A repository within a registry: `library/nginx`.
    ///
    /// Spec: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests>
    Repository,
    checked_repository
);
text_type!(
    /// A tag: the mutable name of a manifest.
    Tag,
    checked_tag
);
text_serde!(Registry);
text_serde!(Repository);
text_serde!(Tag);
text_serde!(Name);
text_serde!(Reference);
text_serde!(ImageReference);

impl Registry {
    /// Docker Hub, the registry of names that name none.
    pub fn docker_hub() -> Self {
        Self(Arc::from(DOCKER_HUB))
    }

    /// Whether a first path segment names a registry (it has a dot or a port, or is `localhost`).
    pub fn is_named_by(segment: &str) -> bool {
        segment.contains(['.', ':']) || segment == "localhost"
    }
}

fn canonical_registry(text: &str) -> Result<String, NameError> {
    if text.is_empty() || text.len() > REGISTRY_LENGTH_MAX {
        return Err(NameError::Registry);
    }
    let lower = text.to_ascii_lowercase();
    let (host, port) = match lower.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (lower.as_str(), None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if !is_host(host) {
        return Err(NameError::Registry);
    }
    let port = match port {
        None => None,
        Some(port) if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(NameError::Registry);
        }
        Some(port) => Some(port.parse::<u16>().map_err(|_| NameError::Registry)?),
    };
    let host = if DOCKER_HUB_ALIASES.contains(&host) { DOCKER_HUB } else { host };
    match port {
        Some(0) => Err(NameError::Registry),
        // Without the port it would not be told apart from the first part of a repository.
        Some(443) if !Registry::is_named_by(host) => Ok(format!("{host}:443")),
        None | Some(443) if Registry::is_named_by(host) => Ok(host.to_owned()),
        None | Some(443) => Err(NameError::Registry),
        Some(port) => Ok(format!("{host}:{port}")),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    !host.is_empty() && host.split('.').all(label)
}

fn checked_repository(text: &str) -> Result<&str, NameError> {
    if text.len() > REPOSITORY_LENGTH_MAX || !text.split('/').all(is_component) {
        return Err(NameError::Repository);
    }
    Ok(text)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, in one pass and without backtracking.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

fn checked_tag(text: &str) -> Result<&str, NameError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first_is_word = text.bytes().next().is_some_and(word);
    let rest_is_plain = text.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if !first_is_word || !rest_is_plain || text.len() > TAG_LENGTH_MAX {
        return Err(NameError::Tag);
    }
    Ok(text)
}

/// A repository of a registry: what policies match and verdicts are keyed by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    registry: Registry,
    repository: Repository,
}

impl Name {
    /// The repository `repository` of `registry`, taken as it is.
    pub fn new(registry: Registry, repository: Repository) -> Self {
        Self { registry, repository }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The name that `path` means: with a registry as first segment if that looks like one, else in
    /// `default_registry`, where Docker Hub's single-segment names belong to `library/`.
    ///
    /// # Errors
    /// When the registry or the repository breaks its grammar.
    pub fn from_path(path: &str, default_registry: &Registry) -> Result<Self, NameError> {
        let (registry, rest) = match path.split_once('/') {
            Some((first, rest)) if Registry::is_named_by(first) => (first.parse()?, rest),
            _ => (default_registry.clone(), path),
        };
        Self::within(registry, rest)
    }

    /// The repository that `path` means in `registry`: Docker Hub's single-segment names belong to
    /// `library/`.
    ///
    /// # Errors
    /// When the repository breaks its grammar.
    pub fn within(registry: Registry, path: &str) -> Result<Self, NameError> {
        if registry.as_str() == DOCKER_HUB && !path.contains('/') {
            return Ok(Self::new(registry, format!("library/{path}").parse()?));
        }
        Ok(Self::new(registry, path.parse()?))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::from_path(text, &Registry::docker_hub())
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// By content.
    Digest(Digest),
    /// By mutable name.
    Tag(Tag),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        Ok(Self::Tag(text.parse()?))
    }
}

/// An image as people write it: `redis`, `ghcr.io/acme/web:2`, `up.test/a@sha256:…`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// The canonical repository.
    pub name: Name,
    /// The tag, when one was written.
    pub tag: Option<Tag>,
    /// The digest, when one was written.
    pub digest: Option<Digest>,
}

impl ImageReference {
    /// What to ask a registry for: the digest if there is one, else the tag, else `latest`.
    pub fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::Digest(*digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(Tag(Arc::from("latest"))),
        }
    }
}

impl FromStr for ImageReference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.parse()?)),
            _ => (rest, None),
        };
        Ok(Self { name: name.parse()?, tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_docker_hub_is_one_name() {
        for text in [
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "docker.io/library/nginx",
            "index.docker.io/library/nginx",
            "registry-1.docker.io/library/nginx",
            "DOCKER.io:443/library/nginx",
            "docker.io./library/nginx",
        ] {
            assert_eq!(
                text.parse::<Name>().unwrap().to_string(),
                "docker.io/library/nginx",
                "{text}"
            );
        }
    }

    #[test]
    fn a_registry_cannot_be_taken_for_the_first_part_of_a_repository() {
        for bad in ["org", "org.", "library", "ORG"] {
            assert_eq!(bad.parse::<Registry>(), Err(NameError::Registry), "{bad}");
        }
        for (text, canonical) in [("org:443", "org:443"), ("org.:5000", "org:5000")] {
            let name = Name::new(text.parse().unwrap(), "a/b".parse().unwrap());
            assert_eq!(name.to_string(), format!("{canonical}/a/b"));
            assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for bad in [
            "a/../b",
            "A/b",
            "a/b-",
            ".a/b",
            "a___b",
            "a..b",
            "a//b",
            "/a",
            "a/",
            "",
            "a/b c",
            "ghcr.io/",
            "ghcr.io:99999/a",
            "ghcr.io:/a",
            "-a.io/b",
            "a.io:0/b",
            "a/%2e%2e",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(format!("a/{}", "b/".repeat(1000)).parse::<Name>().is_err());
        for good in ["a__b/c", "a.b/c", "a--b/c-d", "con/aux"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
    }

    #[test]
    fn tags_have_at_most_128_characters() {
        assert!("a".repeat(128).parse::<Tag>().is_ok());
        for bad in ["a".repeat(129).as_str(), "-x", ".x", "a/b", "", "a b"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_reference_keeps_tag_and_digest() {
        let digest = Digest::sha256(b"x");
        let image: ImageReference = format!("up.test:5000/a/b:1.2@{digest}").parse().unwrap();
        assert_eq!(image.name.registry().as_str(), "up.test:5000");
        assert_eq!(image.reference(), Reference::Digest(digest));
        assert_eq!(image.to_string(), format!("up.test:5000/a/b:1.2@{digest}"));
        let bare: ImageReference = "up.test:5000/a/b".parse().unwrap();
        assert_eq!(bare.reference().to_string(), "latest");
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(text in "[a-zA-Z0-9.:/_\\[\\]-]{0,60}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
            }
            if let Ok(image) = text.parse::<ImageReference>() {
                prop_assert_eq!(image.to_string().parse::<ImageReference>().unwrap(), image);
            }
        }

        #[test]
        fn parsing_never_panics(text in ".{0,300}") {
            drop(text.parse::<ImageReference>());
            drop(text.parse::<Reference>());
        }
    }
}
