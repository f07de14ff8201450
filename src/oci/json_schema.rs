//! How the names and digests look in JSON Schema: what is read and written as one text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Digest, ImageReference, Name, Platform, Tag};

/// Longest image that surely fits: its repository has at most 255 characters, and may be below `library/`.
const IMAGE_LENGTH_MAX: usize = 247;
/// A port, from 1 to 65535.
const PORT: &str =
    "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";
/// A part of a host; no longer than in practice, so that its length needs no look-ahead.
const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?";
/// A part of a repository.
const COMPONENT: &str = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*";
/// A tag.
const TAG: &str = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";
/// A digest.
const DIGEST: &str = "(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})";

/// A registry in front of a repository: a host with a dot, one with a port, or `localhost`.
fn registry() -> String {
    format!("({LABEL}(\\.{LABEL})+(:{PORT})?|{LABEL}:{PORT}|localhost)")
}

/// The pattern of an image as people write it, without anchors.
pub(crate) fn image_pattern() -> String {
    let registry = registry();
    format!("({registry}/)?{COMPONENT}(/{COMPONENT})*(:{TAG})?(@{DIGEST})?")
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^{DIGEST}$"),
            "description": "A digest: the algorithm, and the hash in lower-case hexadecimal.",
            "examples": [Self::sha256(b"").to_string()],
        })
    }
}

impl JsonSchema for ImageReference {
    fn schema_name() -> Cow<'static, str> {
        "Image".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^{}$", image_pattern()),
            "maxLength": IMAGE_LENGTH_MAX,
            "description": "An image as people write it, by tag or digest.",
            "examples": ["docker.io/library/redis:7.4"],
        })
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^[^/]+(/{COMPONENT})+$"),
            "description": "A repository with its registry, in the one way that it is written.",
            "examples": ["docker.io/library/redis"],
        })
    }
}

impl JsonSchema for Platform {
    fn schema_name() -> Cow<'static, str> {
        "Platform".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "os": {"type": "string", "description": "Operating system."},
                "architecture": {"type": "string", "description": "Architecture of the processor."},
                "variant": {"type": "string", "description": "Variant of the architecture."},
            },
            "required": ["os", "architecture"],
            "description": "What an image runs on.",
            "examples": [{"os": "linux", "architecture": "arm64", "variant": "v8"}],
        })
    }
}

impl JsonSchema for Tag {
    fn schema_name() -> Cow<'static, str> {
        "Tag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^{TAG}$"),
            "description": "A tag: the name of an image that may come to mean another one.",
            "examples": ["7.4"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_images_takes_what_is_read_and_little_else() {
        let pattern = regex::Regex::new(&format!("^{}$", image_pattern())).unwrap();
        let digest = Digest::sha256(b"x");
        for good in [
            "redis",
            "redis:7.4",
            "library/redis",
            "ghcr.io/acme/web:2",
            "GHCR.io/acme/web",
            "up.test:5000/a/b__c/d--e@sha256:{}",
            "localhost/x",
            "mirror:65535/x:latest",
        ] {
            let good = good.replace("sha256:{}", &digest.to_string());
            assert!(pattern.is_match(&good), "{good}");
            assert!(good.parse::<ImageReference>().is_ok(), "{good}");
        }
        for bad in
            ["", "UPPER", "a//b", "a:b:c", "up.test:65536/x", "a@sha256:1", "-a", "a b", "a/"]
        {
            assert!(!pattern.is_match(bad), "{bad}");
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }
}
