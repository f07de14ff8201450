//! What the status of a container says of its image: a manifest by its digest, or only a configuration.

use crate::oci::{Digest, ImageReference, Name};

/// Longest text that is looked at, in bytes.
const LENGTH_MAX: usize = 1_024;

/// What runs, by what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunningId {
    /// A manifest or an index, under a name where one is said.
    Manifest {
        /// The repository that the runtime says it has it from.
        name: Option<Name>,
        /// The digest.
        digest: Digest,
    },
    /// A configuration: what was imported or built on the node has no other digest. It is none of a manifest.
    Config(Digest),
}

/// Reads `imageID`: `docker.io/library/redis@sha256:…` (containerd, CRI-O),
/// `docker-pullable://redis@sha256:…` (Docker), and for an image without a registry `sha256:…`,
/// `docker://sha256:…` or the bare number, which are digests of its configuration. `None` where it is empty, as
/// before the image is there, or something else.
pub fn running_id(text: &str) -> Option<RunningId> {
    let text = text.trim();
    if text.len() > LENGTH_MAX {
        return None;
    }
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    if let Some((name, digest)) = text.rsplit_once('@') {
        let digest = digest.parse().ok()?;
        // A tag may stand between name and digest.
        let name = name.parse::<ImageReference>().ok().map(|image| image.name);
        return Some(RunningId::Manifest { name, digest });
    }
    let config = if text.contains(':') { text.parse() } else { format!("sha256:{text}").parse() };
    config.ok().map(RunningId::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f1c03ab77de9f1c03ab77de9f1c03ab77de9f1c03ab77de9f1c03ab77de1234";

    #[test]
    fn a_digest_behind_a_name_is_a_manifests_and_a_bare_one_is_a_configurations() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        let manifest = |name: &str| {
            let name = Some(name.parse().unwrap());
            Some(RunningId::Manifest { name, digest })
        };
        let redis = manifest("docker.io/library/redis");
        for text in ["docker.io/library/redis", "docker-pullable://redis", "redis:7.4"] {
            assert_eq!(running_id(&format!("{text}@sha256:{HEX}")), redis, "{text}");
        }
        let mirrored = manifest("mirror.example:5000/docker.io/library/redis");
        let text = format!("mirror.example:5000/docker.io/library/redis@sha256:{HEX}");
        assert_eq!(running_id(&text), mirrored);
        for text in [format!("sha256:{HEX}"), format!("docker://sha256:{HEX}"), HEX.to_owned()] {
            assert_eq!(running_id(&text), Some(RunningId::Config(digest)), "{text}");
        }
        let nameless = running_id(&format!("<none>@sha256:{HEX}"));
        assert_eq!(nameless, Some(RunningId::Manifest { name: None, digest }));
        let long = format!("{}@sha256:{HEX}", "a".repeat(2_000));
        for text in ["", " ", "redis:7", "a@b", "sha256:12", "://", "@", &long] {
            assert_eq!(running_id(text), None, "{text}");
        }
    }
}
