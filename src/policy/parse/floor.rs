//! The floor: what holds under every rule and every approval.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use super::super::document::{DeniedImage, Floor, FloorLimits};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::pattern::Pattern;
use super::super::problem::Position;
use super::super::scanned::ScanGate;
use super::super::yaml::Node;
use super::gates;
use super::units::size_at;
use crate::oci::{Digest, Platform, Registry};

const FLOOR: Words = Words {
    known: &["registries", "platforms", "denyImages", "forbidTags", "limits", "vulnerabilities"],
    later: &[],
};
const DENIED_IMAGE: Words = Words { known: &["digest", "reason"], later: &[] };
const LIMITS: Words = Words {
    known: &["manifestBytes", "signaturesPerImage", "layers", "imageBytes"],
    later: &[(
        "attestationBytes",
        "an attestation has 16 MiB at most, whatever is written; signaturesPerImage bounds how many are looked at",
    )],
};

/// The floor, and the gate that it puts before every rule.
pub(super) fn read(node: Node, problems: &mut Problems) -> Option<(Floor, Option<Arc<ScanGate>>)> {
    let mut floor = Fields::of(node, "floor", FLOOR, problems)?;
    let registries = floor.texts("registries", problems);
    let registries = registries.map(|texts| parsed::<Registry>(texts, problems));
    let platforms = floor.texts("platforms", problems).unwrap_or_default();
    let platforms = parsed::<Platform>(platforms, problems);
    let denied_images = denied_images(&mut floor, problems);
    let forbidden_tags =
        tag_patterns(floor.texts("forbidTags", problems).unwrap_or_default(), problems);
    let limits = match floor.take("limits") {
        Some(node) => limits(node, problems),
        None => FloorLimits::default(),
    };
    let gate = floor.take("vulnerabilities").and_then(|node| gates::of_floor(node, problems));
    let floor = Floor { registries, platforms, denied_images, forbidden_tags, limits };
    Some((floor, gate.map(Arc::new)))
}

/// The values that `texts` stand for; a text that stands for none, or for one that was there
/// already, is a problem.
pub(super) fn parsed<T>(texts: Vec<(String, Position, String)>, problems: &mut Problems) -> Vec<T>
where
    T: FromStr<Err: std::fmt::Display> + PartialEq,
{
    let mut values = Vec::new();
    for (text, position, path) in texts {
        match text.parse::<T>() {
            Ok(value) if values.contains(&value) => {
                problems.add(
                    position,
                    &path,
                    format!("\"{}\" is listed twice", fields::extract(&text)),
                );
            }
            Ok(value) => values.push(value),
            Err(error) => {
                problems.add(position, &path, format!("\"{}\": {error}", fields::extract(&text)));
            }
        }
    }
    values
}

/// Patterns over tags: `latest`, `nightly-*`.
pub(super) fn tag_patterns(
    texts: Vec<(String, Position, String)>,
    problems: &mut Problems,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (text, position, path) in texts {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
        let pattern = if text.bytes().all(known) {
            Pattern::parse(&text)
        } else {
            Err("has a character that no tag has; the only wildcard is *".to_owned())
        };
        match pattern {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                problems.add(position, &path, format!("\"{}\" {error}", fields::extract(&text)));
            }
        }
    }
    patterns
}

fn denied_images(floor: &mut Fields, problems: &mut Problems) -> Vec<DeniedImage> {
    let mut denied = Vec::new();
    let mut seen = HashSet::new();
    for (node, path) in floor.list("denyImages", problems).unwrap_or_default() {
        let Some(mut entry) = Fields::of(node, &path, DENIED_IMAGE, problems) else {
            continue;
        };
        let digest = entry.require_text("digest", "write the digest of the manifest", problems);
        let reason = entry.require_text("reason", "people who are refused will read it", problems);
        let Some((digest, position)) = digest else {
            continue;
        };
        match (digest.parse::<Digest>(), reason) {
            (Err(error), _) => problems.add(position, &entry.path_of("digest"), error.to_string()),
            (Ok(digest), _) if !seen.insert(digest) => {
                problems.add(position, &entry.path_of("digest"), "is listed twice; keep one");
            }
            (Ok(digest), Some((reason, _))) => denied.push(DeniedImage { digest, reason }),
            (Ok(_), None) => {}
        }
    }
    denied
}

fn limits(node: Node, problems: &mut Problems) -> FloorLimits {
    let mut limits = FloorLimits::default();
    let Some(mut written) = Fields::of(node, "floor.limits", LIMITS, problems) else {
        return limits;
    };
    let manifest_bytes = size_at(&mut written, "manifestBytes", problems);
    let manifest_bytes = at_most(
        &written,
        "manifestBytes",
        manifest_bytes,
        FloorLimits::MANIFEST_BYTES_MAX,
        problems,
    );
    limits.manifest_bytes = manifest_bytes.unwrap_or(limits.manifest_bytes);
    let signatures = written.number("signaturesPerImage", problems);
    let signatures =
        at_most(&written, "signaturesPerImage", signatures, FloorLimits::SIGNATURES_MAX, problems);
    limits.signatures_per_image = signatures.unwrap_or(limits.signatures_per_image);
    let layers = written.number("layers", problems);
    let layers = at_most(&written, "layers", layers, FloorLimits::LAYERS_MAX, problems);
    limits.layers = layers.unwrap_or(limits.layers);
    let image_bytes = size_at(&mut written, "imageBytes", problems);
    limits.image_bytes = at_most(&written, "imageBytes", image_bytes, u64::MAX, problems);
    limits
}

fn at_most(
    fields: &Fields,
    key: &str,
    number: Option<(u64, Position)>,
    most: u64,
    problems: &mut Problems,
) -> Option<u64> {
    let (number, position) = number?;
    if (1..=most).contains(&number) {
        return Some(number);
    }
    let text = if number == 0 {
        "0 would refuse everything; write a larger limit or remove the key".to_owned()
    } else {
        format!("is more than this program ever reads; at most {most}")
    };
    problems.add(position, &fields.path_of(key), text);
    None
}
