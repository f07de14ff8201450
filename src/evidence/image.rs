//! What one manifest says of itself: pure.

use serde::Deserialize;

use crate::gate::{Grant, GrantKind};
use crate::oci::{
    Descriptor, Digest, ImageConfig, ImageManifest, Platform, from_strict_slice, platform_part,
};

/// Largest config that is read, in bytes.
pub(super) const CONFIG_BYTES_MAX: u64 = ImageConfig::BYTES_MAX;

/// The parts of an image config that are read.
#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "platform_part")]
    os: Option<String>,
    #[serde(default, deserialize_with = "platform_part")]
    architecture: Option<String>,
    #[serde(default, deserialize_with = "platform_part")]
    variant: Option<String>,
}

/// The platform that an image config names; `None` when it names none.
///
/// # Errors
/// When the config is not strict JSON of the right shape, with why.
pub(super) fn platform_of(config: &[u8]) -> Result<Option<Platform>, String> {
    let config: Config = from_strict_slice(config)
        .map_err(|error| format!("config is not well formed: {}", error.without_content()))?;
    let named = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (Some(os), Some(architecture)) = (named(config.os), named(config.architecture)) else {
        return Ok(None);
    };
    Ok(Some(Platform { os, architecture, variant: named(config.variant) }))
}

/// What kind of artifact a manifest is; `None` is a container image.
///
/// An image config makes it an image whatever `artifactType` says: nodes run it by its config, so a
/// rule for artifacts must not speak of it.
pub(super) fn artifact_type_of(image: &ImageManifest) -> Option<String> {
    if image.config.media_type.is_image_config() {
        return None;
    }
    image.effective_artifact_type().map(str::to_owned)
}

/// Layers that cosign attaches under an image config, for registries that know no other.
const ATTACHED_LAYERS: [&str; 9] = [
    "application/vnd.cyclonedx",
    "application/vnd.cyclonedx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dsse.envelope.v1+json",
    "application/vnd.syft+json",
    "text/spdx",
    "text/spdx+json",
    "text/spdx+xml",
];

/// Whether `image` is something attached to an image, and not an image that says so of itself:
/// nodes run whatever has an image config, so such a manifest needs a verdict of its own.
pub(super) fn is_attachment(image: &ImageManifest) -> bool {
    let attached = |layer: &Descriptor| ATTACHED_LAYERS.contains(&layer.media_type.as_str());
    !image.config.media_type.is_image_config()
        || (!image.layers.is_empty() && image.layers.iter().all(attached))
}

/// The layers of an attestation that `BuildKit` puts into an index.
const BUILT_ATTESTATION_LAYER: &str = "application/vnd.in-toto+json";

/// What stands for a platform that neither an index nor a config tells; `BuildKit` writes it, too.
pub(super) fn unknown() -> Platform {
    let unknown = || "unknown".to_owned();
    Platform { os: unknown(), architecture: unknown(), variant: None }
}

/// Whether `image`, which an index lists for the platform `listed`, is what builders put there to say
/// something about the images beside it, and not an image under a false flag: it must have nothing
/// but statements in it.
///
/// Spec: <https://github.com/moby/buildkit/blob/v0.20.0/docs/attestations/attestation-storage.md>
pub(super) fn is_built_attestation(
    image: &ImageManifest,
    listed: Option<&Platform>,
    config: Option<&Platform>,
) -> bool {
    let statement = |layer: &Descriptor| layer.media_type.as_str() == BUILT_ATTESTATION_LAYER;
    listed == Some(&unknown())
        && config.is_none_or(|config| *config == unknown())
        && !image.layers.is_empty()
        && image.layers.iter().all(statement)
}

/// The first layer that is meant to be fetched from elsewhere.
pub(super) fn foreign_layer_of(image: &ImageManifest) -> Option<Digest> {
    image.layers.iter().find(|layer| is_foreign(layer)).map(|layer| layer.digest)
}

/// Size of config and layers together, in bytes.
pub(super) fn bytes_of(image: &ImageManifest) -> u64 {
    let sizes = image.layers.iter().map(|layer| layer.size);
    sizes.fold(image.config.size, u64::saturating_add)
}

/// Grants for the layers of `image`, foreign ones left out.
pub(super) fn layer_grants<'a>(
    image: &'a ImageManifest,
    platform: Option<&'a Platform>,
) -> impl Iterator<Item = Grant> + 'a {
    let own = image.layers.iter().filter(|layer| !is_foreign(layer));
    own.map(move |layer| grant(layer, GrantKind::Layer, platform))
}

/// The grant for what `descriptor` points at.
pub(super) fn grant(
    descriptor: &Descriptor,
    kind: GrantKind,
    platform: Option<&Platform>,
) -> Grant {
    Grant {
        digest: descriptor.digest,
        size: descriptor.size,
        media_type: descriptor.media_type.clone(),
        kind,
        platform: platform.cloned(),
    }
}

fn is_foreign(layer: &Descriptor) -> bool {
    !layer.urls.is_empty() || layer.media_type.is_foreign_layer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_comes_from_the_config() {
        let read = |text: &str| platform_of(text.as_bytes());
        let arm = read(r#"{"os":"linux","architecture":"arm","variant":"v7","x":1}"#);
        assert_eq!(arm.unwrap().unwrap().to_string(), "linux/arm/v7");
        assert_eq!(read(r#"{"os":"linux"}"#), Ok(None));
        assert_eq!(read(r#"{"os":"","architecture":"amd64"}"#), Ok(None));
        let long = format!(r#"{{"os":"{}","architecture":"amd64"}}"#, "o".repeat(65));
        for bad in ["", "[]", r#"{"os":1,"architecture":"amd64"}"#, r#"{"os":"a","os":"b"}"#, &long]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
