//! Fuzz targets for what nodes ask by and what registries list: paths, names, digests, ranges,
//! manifests.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde_json::Value;

use super::endpoint::PATH_BYTES_MAX;
use super::{
    ByteRange, Descriptor, Digest, Endpoint, INDEX_CHILDREN_MAX, ImageConfig, ImageReference,
    JSON_DEPTH_MAX, LAYERS_MAX, Manifest, MediaType, Name, Platform, RangeRequest, Reference,
    Registry, Repository, Request, TAG_LENGTH_MAX, Tag, check_strict,
};

/// A path, a query, and whatever else a request may say, a line each.
pub(crate) fn request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let (path, query) = (lines.next().unwrap_or_default(), lines.next());
    path_and_query(path, query);
    for line in text.lines() {
        names(line);
        range(line, u64::try_from(path.len()).unwrap_or(0));
        let media_type = MediaType::new(line);
        assert_eq!(MediaType::new(media_type.as_str()), media_type, "a media type is final");
    }
}

/// What a path means can be asked for again in canonical form, and then means the same.
fn path_and_query(path: &str, query: Option<&str>) {
    let hub = Registry::docker_hub();
    let Ok(Request::Repository { name, endpoint }) = Request::parse(path, query, &hub) else {
        return;
    };
    round_trip(&name);
    let mut again = format!("ns={}", encoded(name.registry().as_str()));
    match &endpoint {
        Endpoint::Referrers { artifact_type: Some(artifact_type), .. } => {
            again = format!("{again}&artifactType={}", encoded(artifact_type));
        }
        Endpoint::Tags(page) => {
            if let Some(limit) = page.limit {
                again = format!("{again}&n={limit}");
            }
            if let Some(last) = &page.last {
                again = format!("{again}&last={}", encoded(last));
            }
        }
        Endpoint::Blob(_) | Endpoint::Manifest(_) | Endpoint::Referrers { .. } => {}
    }
    if again.len() > PATH_BYTES_MAX {
        return;
    }
    let canonical = endpoint.path(name.repository());
    assert_eq!(
        Request::parse(&canonical, Some(&again), &hub),
        Ok(Request::Repository { name, endpoint }),
        "{canonical}?{again}"
    );
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn names(text: &str) {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text, "a digest has one spelling");
    }
    if let Ok(repository) = text.parse::<Repository>() {
        assert_eq!(repository.as_str(), text, "a repository has one spelling");
    }
    assert_eq!(text.parse::<Repository>().is_ok(), is_repository(text), "{text:?}");
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text, "a tag has one spelling");
        assert!(text.len() <= TAG_LENGTH_MAX && !text.contains(['/', ':', '@', '%']), "{text:?}");
    }
    let parsed = [
        text.parse::<Registry>().map(|parsed| round_trip(&parsed)).is_ok(),
        text.parse::<Name>().map(|parsed| round_trip(&parsed)).is_ok(),
        text.parse::<Reference>().map(|parsed| round_trip(&parsed)).is_ok(),
        text.parse::<ImageReference>().map(|parsed| round_trip(&parsed)).is_ok(),
        text.parse::<Platform>().map(|parsed| round_trip(&parsed)).is_ok(),
    ];
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '%');
    assert!(is_plain || parsed == [false; 5], "{text:?} is no name");
}

/// What is printed means what was parsed.
fn round_trip<T: FromStr + Display + Debug + PartialEq>(parsed: &T) {
    let text = parsed.to_string();
    assert_eq!(text.parse::<T>().ok().as_ref(), Some(parsed), "{text:?}");
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/…)*`, read another way: a character at a time.
///
/// Spec: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests>
fn is_repository(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut run = String::from("/");
    for c in text.chars() {
        if is_word(c) {
            run.clear();
            continue;
        }
        run.push(c);
        let dashes = run.chars().all(|c| c == '-');
        if !dashes && !matches!(run.as_str(), "/" | "." | "_" | "__") {
            return false;
        }
    }
    run.is_empty() && text.len() <= 255
}

fn range(text: &str, size: u64) {
    let Some(range) = RangeRequest::parse(text) else { return };
    assert!(text.starts_with("bytes=") && !text.contains(','), "{text:?}");
    match range.resolve(size) {
        Ok(ByteRange { start, end }) => {
            assert!(start < end && end <= size, "{text:?} of {size} is {start}..{end}");
        }
        Err(_) => assert!(
            match range {
                RangeRequest::From(start, _) => start >= size,
                RangeRequest::Suffix(length) => length == 0 || size == 0,
            },
            "{text:?} of {size} has bytes"
        ),
    }
}

/// The body of a manifest, offered as each type in turn; and a configuration.
pub(crate) fn manifest(bytes: &[u8]) {
    image_config(bytes);
    let strict = check_strict(bytes).is_ok();
    let value = serde_json::from_slice::<Value>(bytes);
    if strict {
        let depth = value.as_ref().map_or(usize::MAX, depth);
        assert!(depth <= JSON_DEPTH_MAX, "strict JSON of depth {depth}");
    }
    let mut types = Vec::new();
    for declared in [
        None,
        Some(MediaType::OCI_MANIFEST),
        Some(MediaType::OCI_INDEX),
        Some(MediaType::DOCKER_MANIFEST),
        Some(MediaType::DOCKER_LIST),
        Some("application/json"),
    ] {
        let declared = declared.map(MediaType::new);
        let Ok(manifest) = Manifest::parse(bytes, declared.as_ref()) else { continue };
        assert!(strict, "a manifest is strict JSON");
        check_manifest(&manifest, value.as_ref().ok());
        let again = Manifest::parse(bytes, Some(manifest.media_type()));
        assert_eq!(again.ok().as_ref(), Some(&manifest), "its own type changes nothing");
        types.push(manifest.media_type().is_index());
    }
    types.dedup();
    assert!(types.len() <= 1, "the same bytes are an image and an index");
}

/// What is kept of a configuration is bounded, can be read again, and has no value of the environment.
fn image_config(bytes: &[u8]) {
    let Ok(config) = ImageConfig::parse(bytes) else { return };
    let kept = serde_json::to_string(&config).unwrap_or_default();
    assert_eq!(serde_json::from_str::<ImageConfig>(&kept).ok().as_ref(), Some(&config), "{kept}");
    let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let inner = value.get("config");
    let key = |name: &str| inner.and_then(|inner| inner.get(name));
    assert_eq!(config.user, key("User").and_then(Value::as_str).unwrap_or_default());
    let env = key("Env").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    assert_eq!(config.env.len(), env.len());
    for (entry, text) in config.env.iter().zip(env.iter().filter_map(Value::as_str)) {
        let name = text.split('=').next().unwrap_or_default();
        assert!(entry.name == name || entry.is_withheld(), "{} of {text}", entry.name);
    }
    for key in inner.and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
        let is_meant = CONFIG_KEYS.iter().any(|known| known.eq_ignore_ascii_case(key));
        assert!(!is_meant || CONFIG_KEYS.contains(&key.as_str()), "{key} is read as another");
    }
}

/// The keys of a configuration that are judged.
const CONFIG_KEYS: [&str; 5] = ["Env", "ExposedPorts", "Healthcheck", "Labels", "User"];

/// The keys of a manifest that its readers know.
const KEYS: [&str; 9] = [
    "annotations",
    "artifactType",
    "config",
    "fsLayers",
    "layers",
    "manifests",
    "mediaType",
    "schemaVersion",
    "subject",
];

fn check_manifest(manifest: &Manifest, value: Option<&Value>) {
    for key in value.and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
        let is_meant = KEYS.iter().any(|known| known.eq_ignore_ascii_case(key));
        assert!(!is_meant || KEYS.contains(&key.as_str()), "{key} is read as another by nodes");
    }
    let said = value.and_then(|value| value.get("mediaType")).and_then(Value::as_str);
    if let Some(said) = said {
        assert_eq!(manifest.media_type(), &MediaType::new(said), "the body's own type is kept");
    }
    let listed: Vec<&Descriptor> = manifest.listed().collect();
    let (list, bound) = match manifest {
        Manifest::Image(_) => ("layers", LAYERS_MAX + 1),
        Manifest::Index(_) => ("manifests", INDEX_CHILDREN_MAX),
    };
    assert!(listed.len() <= bound, "{} listed", listed.len());
    let named = value.and_then(|value| value.get(list)).and_then(Value::as_array);
    for entry in named.into_iter().flatten() {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default();
        let found = listed.iter().any(|listed| listed.digest.to_string() == digest);
        assert!(found, "{digest} is in {list} and is not listed");
    }
    for descriptor in listed {
        let text = serde_json::to_string(descriptor).unwrap_or_default();
        let again = serde_json::from_str::<Descriptor>(&text).ok();
        assert_eq!(again.as_ref(), Some(descriptor), "{text}");
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 0,
    }
}
