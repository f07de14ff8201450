//! The manifest that a case speaks of.

use crate::gate::{ChildImage, ManifestFacts, ReadyPolicy, Subject};
use crate::oci::{Digest, MediaType, Platform};
use crate::policy::{Artifact, Case};

/// What an image is for where neither case nor floor says it.
const SOME_PLATFORM: (&str, &str) = ("linux", "amd64");
/// As large as the manifest of a small image, in bytes.
const MANIFEST_BYTES: u64 = 1_000;
/// As large as a small image, in bytes.
const IMAGE_BYTES: u64 = 1 << 20;

/// What the manifest of `case` says: an image for the platform that the floor lists first, unless the
/// case says something else.
pub(super) fn facts(case: &Case, subject: &Subject, policy: &ReadyPolicy) -> ManifestFacts {
    let facts = &case.facts;
    let is_image = Artifact::from(facts.artifact_type.as_deref()) == Artifact::Image;
    let platforms = match facts.platforms.as_slice() {
        _ if !is_image => Vec::new(),
        [] => vec![policy.platforms().first().cloned().unwrap_or_else(some_platform)],
        written => written.to_vec(),
    };
    let is_index = platforms.len() > 1;
    let images: Vec<ChildImage> = if is_index {
        platforms.iter().map(|platform| child(subject, platform)).collect()
    } else {
        Vec::new()
    };
    ManifestFacts {
        media_type: MediaType::new(if is_index {
            MediaType::OCI_INDEX
        } else {
            MediaType::OCI_MANIFEST
        }),
        size: MANIFEST_BYTES,
        artifact_type: facts.artifact_type.clone(),
        is_index,
        platforms,
        children: images.iter().map(|image| image.digest).collect(),
        images: is_index.then_some(images),
        layers: facts.layers.unwrap_or(1),
        image_bytes: facts.image_bytes.unwrap_or(IMAGE_BYTES),
        foreign_layer: None,
        malformed: None,
    }
}

fn some_platform() -> Platform {
    let (os, architecture) = SOME_PLATFORM;
    Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
}

fn child(index: &Subject, platform: &Platform) -> ChildImage {
    let digest = Digest::sha256(format!("{index} {platform}").as_bytes());
    ChildImage { digest, platform: Some(platform.clone()) }
}

/// The manifests of all images: of the subject itself, or of those that it lists.
pub(super) fn images(subject: &Subject, facts: &ManifestFacts) -> Vec<Digest> {
    match &facts.images {
        Some(images) => images.iter().map(|image| image.digest).collect(),
        None => vec![subject.digest],
    }
}
