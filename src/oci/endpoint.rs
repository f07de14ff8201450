//! Request paths of the distribution API as values.

use std::fmt;

use super::{Digest, ErrorCode, Name, NameError, Reference, Registry, Repository, Tag};

/// Longest path and query that is looked at, in bytes each.
pub(super) const PATH_BYTES_MAX: usize = 2_048;

/// A request to the distribution API.
///
/// Spec: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// Something of a repository.
    Repository {
        /// Which repository, canonical.
        name: Name,
        /// What of it.
        endpoint: Endpoint,
    },
}

/// What of a repository is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/blobs/<digest>`
    Blob(Digest),
    /// `/manifests/<reference>`
    Manifest(Reference),
    /// `/referrers/<digest>`
    Referrers {
        /// The subject.
        digest: Digest,
        /// `?artifactType=`: only referrers of this type.
        artifact_type: Option<String>,
    },
    /// `/tags/list`
    Tags(TagsPage),
}

/// `?n=` and `?last=` of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagsPage {
    /// At most this many.
    pub limit: Option<u64>,
    /// Only what comes after this, in lexical order.
    pub last: Option<String>,
}

/// Why a path is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The digest is malformed.
    #[error("digest is malformed: {0}")]
    Digest(super::DigestError),
    /// The registry in `?ns=` is malformed or given twice.
    #[error("the ns parameter must name one registry as host or host:port")]
    Namespace,
    /// The registry or repository in the path is malformed.
    #[error("{0}")]
    Name(NameError),
    /// There is no such path in this API.
    #[error("no such path in the distribution API")]
    NoSuchPath,
    /// A query parameter is malformed.
    #[error("query parameter {0} is malformed")]
    Query(&'static str),
    /// The tag is malformed, so nothing can be called so.
    #[error("no such tag: {0}")]
    Tag(NameError),
}

impl EndpointError {
    /// The code for the error body.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Digest(_) => ErrorCode::DigestInvalid,
            Self::Namespace | Self::Name(_) => ErrorCode::NameInvalid,
            Self::NoSuchPath | Self::Query(_) => ErrorCode::Unsupported,
            Self::Tag(_) => ErrorCode::ManifestUnknown,
        }
    }
}

impl Request {
    /// The request in `path` (percent-encoded, as it came) and `query`.
    ///
    /// With `?ns=` the path is a repository of that registry; without, see [`Name::from_path`].
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse(
        path: &str,
        query: Option<&str>,
        default_registry: &Registry,
    ) -> Result<Self, EndpointError> {
        let query = query.unwrap_or_default();
        if path.len() > PATH_BYTES_MAX || query.len() > PATH_BYTES_MAX {
            return Err(EndpointError::Name(NameError::Repository));
        }
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some("/_catalog") => return Ok(Self::Catalog),
            Some(rest) => rest.strip_prefix('/').ok_or(EndpointError::NoSuchPath)?,
            None => return Err(EndpointError::NoSuchPath),
        };
        if rest.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(EndpointError::Name(NameError::Repository));
        }
        let (name, endpoint) = split(rest)?;
        let endpoint = endpoint.parse(query)?;
        let name = match namespace(query)? {
            Some(registry) => Name::within(registry, name).map_err(EndpointError::Name)?,
            None => Name::from_path(name, default_registry).map_err(EndpointError::Name)?,
        };
        Ok(Self::Repository { name, endpoint })
    }
}

impl Endpoint {
    /// The path of this endpoint at a registry that calls the repository `repository`.
    pub fn path(&self, repository: &Repository) -> String {
        match self {
            Self::Blob(digest) => format!("/v2/{repository}/blobs/{digest}"),
            Self::Manifest(reference) => format!("/v2/{repository}/manifests/{reference}"),
            Self::Referrers { digest, .. } => format!("/v2/{repository}/referrers/{digest}"),
            Self::Tags(_) => format!("/v2/{repository}/tags/list"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Manifest(reference) => write!(f, "manifest {reference}"),
            Self::Referrers { digest, .. } => write!(f, "referrers of {digest}"),
            Self::Tags(_) => f.write_str("tags"),
        }
    }
}

enum Kind<'a> {
    Blob(&'a str),
    Manifest(&'a str),
    Referrers(&'a str),
    Tags,
}

/// Splits from the right, because a repository may itself have a segment called `blobs`.
fn split(rest: &str) -> Result<(&str, Kind<'_>), EndpointError> {
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok((name, Kind::Tags));
    }
    let (head, last) = rest.rsplit_once('/').ok_or(EndpointError::NoSuchPath)?;
    let (name, kind) = head.rsplit_once('/').ok_or(EndpointError::NoSuchPath)?;
    match kind {
        "blobs" => Ok((name, Kind::Blob(last))),
        "manifests" => Ok((name, Kind::Manifest(last))),
        "referrers" => Ok((name, Kind::Referrers(last))),
        _ => Err(EndpointError::NoSuchPath),
    }
}

impl Kind<'_> {
    fn parse(self, query: &str) -> Result<Endpoint, EndpointError> {
        match self {
            Kind::Blob(text) => digest(text).map(Endpoint::Blob),
            Kind::Manifest(text) if text.contains(':') || text.contains('%') => {
                digest(text).map(Reference::Digest).map(Endpoint::Manifest)
            }
            Kind::Manifest(text) => {
                let tag: Tag = text.parse().map_err(EndpointError::Tag)?;
                Ok(Endpoint::Manifest(Reference::Tag(tag)))
            }
            Kind::Referrers(text) => {
                let artifact_type = one(query, "artifactType")?;
                Ok(Endpoint::Referrers { digest: digest(text)?, artifact_type })
            }
            Kind::Tags => {
                let limit = one(query, "n")?
                    .map(|n| n.parse().map_err(|_| EndpointError::Query("n")))
                    .transpose()?;
                Ok(Endpoint::Tags(TagsPage { limit, last: one(query, "last")? }))
            }
        }
    }
}

/// A digest whose colon may be percent-encoded, as some clients do; nothing else may be.
fn digest(text: &str) -> Result<Digest, EndpointError> {
    text.replacen("%3A", ":", 1).replacen("%3a", ":", 1).parse().map_err(EndpointError::Digest)
}

fn namespace(query: &str) -> Result<Option<Registry>, EndpointError> {
    let namespace = one(query, "ns").map_err(|_| EndpointError::Namespace)?;
    namespace.map(|ns| ns.parse().map_err(|_| EndpointError::Namespace)).transpose()
}

/// The decoded value of `key`, which may stand in the query once.
fn one(query: &str, key: &'static str) -> Result<Option<String>, EndpointError> {
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != key {
            continue;
        }
        if found.is_some() {
            return Err(EndpointError::Query(key));
        }
        let value = value.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&value)
            .decode_utf8()
            .map_err(|_| EndpointError::Query(key))?;
        if decoded.chars().any(char::is_control) {
            return Err(EndpointError::Query(key));
        }
        found = Some(if key == "artifactType" {
            decoded.replace(' ', "+")
        } else {
            decoded.into_owned()
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_in(path: &str, query: &str) -> Result<Request, EndpointError> {
        Request::parse(path, Some(query), &Registry::docker_hub())
    }

    fn parse(path: &str) -> Result<Request, EndpointError> {
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        Request::parse(path, query, &Registry::docker_hub())
    }

    fn named(path: &str) -> String {
        match parse(path).unwrap() {
            Request::Repository { name, endpoint } => format!("{name} {endpoint}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_name_with_ns_is_as_canonical_as_one_without() {
        let short = parse_in("/v2/alpine/manifests/3", "ns=docker.io");
        assert_eq!(short, parse("/v2/docker.io/library/alpine/manifests/3"));
        let no_registry = parse_in("/v2/nginx/manifests/1", "ns=library");
        assert_eq!(no_registry, Err(EndpointError::Namespace));
    }

    #[test]
    fn both_addressings_mean_the_same_name() {
        for path in [
            "/v2/library/nginx/manifests/1?ns=docker.io",
            "/v2/docker.io/library/nginx/manifests/1",
            "/v2/docker.io/nginx/manifests/1",
            "/v2/nginx/manifests/1",
            "/v2/library/nginx/manifests/1?x=y&ns=registry-1.docker.io",
        ] {
            assert_eq!(named(path), "docker.io/library/nginx manifest 1", "{path}");
        }
        assert_eq!(named("/v2/a.b/c/blobs/tags/list"), "a.b/c/blobs tags");
        assert_eq!(named("/v2/a/manifests/b?ns=up.test:5000"), "up.test:5000/a manifest b");
    }

    #[test]
    fn paths_that_name_nothing_have_the_code_of_their_mistake() {
        let upper = format!("sha256:{}", "AB".repeat(32));
        for (path, code) in [
            ("/v2/../../etc/passwd", ErrorCode::NameInvalid),
            ("/v2/a/../b/manifests/x", ErrorCode::NameInvalid),
            ("/v2/%2e%2e/%2e%2e/etc/manifests/x", ErrorCode::NameInvalid),
            ("/v2/%252e%252e/a/manifests/x", ErrorCode::NameInvalid),
            ("/v2//manifests/x", ErrorCode::NameInvalid),
            ("/v2/a//b/manifests/x", ErrorCode::NameInvalid),
            ("/v2/A/b/manifests/x", ErrorCode::NameInvalid),
            ("/v2/a%00/manifests/x", ErrorCode::NameInvalid),
            ("/v2/a/manifests/-x", ErrorCode::ManifestUnknown),
            ("/v2/a/manifests/sha256:baddigeststring", ErrorCode::DigestInvalid),
            (&format!("/v2/a/blobs/{upper}"), ErrorCode::DigestInvalid),
            ("/v2/a/blobs/uploads/", ErrorCode::Unsupported),
            ("/v2/a/manifests/x?ns=a.b&ns=c.d", ErrorCode::NameInvalid),
            ("/v2/a/manifests/x?ns=host/../x", ErrorCode::NameInvalid),
            ("/v2/a/manifests/x?ns=", ErrorCode::NameInvalid),
            ("/v2/a/tags/list?n=-1", ErrorCode::Unsupported),
            ("/v2/a/tags/list?n=abc", ErrorCode::Unsupported),
            ("/v1/search", ErrorCode::Unsupported),
        ] {
            assert_eq!(parse(path).unwrap_err().code(), code, "{path}");
        }
    }

    #[test]
    fn an_encoded_colon_in_a_digest_is_understood() {
        let digest = Digest::sha256(b"x");
        let encoded = format!("/v2/a/blobs/{}", digest.to_string().replace(':', "%3A"));
        assert_eq!(named(&encoded), format!("docker.io/library/a blob {digest}"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(path in "/v2/.{0,200}", query in ".{0,100}") {
            drop(Request::parse(&path, Some(&query), &Registry::docker_hub()));
        }

        #[test]
        fn a_printed_endpoint_parses_to_itself(tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}") {
            let endpoint = Endpoint::Manifest(Reference::Tag(tag.parse().unwrap()));
            let path = endpoint.path(&"some/repo".parse().unwrap());
            match Request::parse(&path, Some("ns=up.test"), &Registry::docker_hub()).unwrap() {
                Request::Repository { endpoint: parsed, .. } => prop_assert_eq!(parsed, endpoint),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
