//! What was gathered about a subject, and what that entitles a repository to.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::oci::{Descriptor, Digest, ImageConfig, MediaType, Platform, Tag};
use crate::policy::Artifact;
use crate::signature::{FoundAttestation, FoundSignature};
use crate::time::Timestamp;

/// One piece of evidence: what is not known is never mixed up with what is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gathered<T> {
    /// Looked for everywhere, and confirmed not to be there.
    Absent,
    /// Could not be looked for; why, in words fit for clients.
    Failed(String),
    /// This is it.
    Found(T),
    /// Nobody looked yet.
    #[default]
    NotGathered,
}

impl<T> Gathered<T> {
    /// Whether nobody looked yet.
    pub const fn is_not_gathered(&self) -> bool {
        matches!(self, Self::NotGathered)
    }

    /// What was found, if anything was.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Failed(_) | Self::NotGathered => None,
        }
    }
}

/// A kind of evidence, as [`decide`](super::decide) asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// The manifest and what it lists.
    Manifest,
    /// Signatures over the subject, and where attestations about it are.
    Signatures,
    /// The contents of those attestations.
    Attestations,
    /// Signatures over each of the images that an index lists.
    ChildSignatures,
    /// What is in the subject's images.
    Scan,
    /// The contents of attestations about the images that an index lists.
    ChildAttestations,
    /// What the configurations of the subject's images say.
    Configs,
}

/// Everything known about a subject; the default is that nothing is.
///
/// It is kept beside the verdict, so that a new policy is a fresh decision without the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The manifest.
    pub manifest: Gathered<ManifestFacts>,
    /// The signatures.
    pub signatures: Gathered<SignatureSearch>,
    /// Signatures over the images that an index lists, where a rule asks for them.
    #[serde(default, skip_serializing_if = "Gathered::is_not_gathered")]
    pub child_signatures: Gathered<ChildSignatures>,
    /// Whether the contents of the attestations that the search found were fetched.
    #[serde(default, skip_serializing_if = "Gathered::is_not_gathered")]
    pub attestations: Gathered<AttestationContents>,
    /// Whether the contents of the attestations over the images that an index lists were fetched.
    #[serde(default, skip_serializing_if = "Gathered::is_not_gathered")]
    pub child_attestations: Gathered<AttestationContents>,
    /// What reading the images came to, where a rule asks for it.
    #[serde(default, skip_serializing_if = "Gathered::is_not_gathered")]
    pub scan: Gathered<ScannedImages>,
    /// What the configurations of the images say, where a rule asks for it.
    #[serde(default, skip_serializing_if = "Gathered::is_not_gathered")]
    pub configs: Gathered<ImageConfigs>,
    /// When evidence was last looked for.
    pub gathered_at: Option<Timestamp>,
}

/// What a manifest says, as far as the gate judges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFacts {
    /// The type under which it is served.
    pub media_type: MediaType,
    /// Its own size in bytes.
    pub size: u64,
    /// What kind of artifact it is; `None` is a container image.
    pub artifact_type: Option<String>,
    /// Whether it is an index.
    pub is_index: bool,
    /// What the image runs on, read from its config; for an index, the platforms of its children.
    pub platforms: Vec<Platform>,
    /// The children of an index, at any depth.
    pub children: Vec<Digest>,
    /// The children of an index that nodes could run, at any depth; `None` in records of versions
    /// that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ChildImage>>,
    /// The number of layers; for an index, of the child that has the most.
    pub layers: u64,
    /// The sum of the sizes of config and layers in bytes; for an index, of the largest child.
    pub image_bytes: u64,
    /// A layer, of this manifest or a child, that is meant to be fetched around the mirror.
    pub foreign_layer: Option<Digest>,
    /// Why the content is not well formed although it has the right digest: it is never served.
    pub malformed: Option<String>,
}

impl ManifestFacts {
    /// What it is, as rules tell things apart.
    pub fn artifact(&self) -> Artifact<'_> {
        Artifact::from(self.artifact_type.as_deref())
    }

    /// The images of an index whose layers are served where only `platforms` are, each once; all when that
    /// is empty. `None` when it is not known.
    pub fn images_for(&self, platforms: &[Platform]) -> Option<Vec<&ChildImage>> {
        let is_served = |image: &&ChildImage| match &image.platform {
            Some(platform) if !platforms.is_empty() => {
                platforms.iter().any(|allowed| allowed.covers(platform))
            }
            Some(_) | None => true,
        };
        let mut seen = HashSet::new();
        let served = self.images.as_ref()?.iter().filter(is_served);
        Some(served.filter(|image| seen.insert(image.digest)).collect())
    }
}

/// A manifest that an index lists and that is no index: an image, or what may be one.
///
/// Attestations that builders put into an index are not among these: nobody can run them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildImage {
    /// The manifest.
    pub digest: Digest,
    /// The platform that its layers are served for: what the index says it runs on, or else its
    /// config. `None` is one that upstream does not have or that is no image, of which neither says it;
    /// and, beside its own entry, one whose layers all are those of images for other platforms, too.
    pub platform: Option<Platform>,
}

/// What searches for signatures over the images of an index came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChildSignatures {
    /// One search for each image.
    pub searches: BTreeMap<Digest, SignatureSearch>,
    /// Whether where the attestations about them are is kept, too: records of earlier versions do not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keeps_attestations: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl ChildSignatures {
    /// All attestations about these images.
    pub fn attestations(&self) -> impl Iterator<Item = &FoundAttestation> {
        self.searches.values().flat_map(|search| &search.attestations)
    }

    /// Most images of one index whose signatures are looked for.
    pub const IMAGES_MAX: usize = 64;
}

/// What a search for signatures came to.
///
/// That a signature was found proves nothing: whether it holds is the gate's to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignatureSearch {
    /// What was found; none means that every place was searched and nothing was there.
    pub found: Vec<FoundSignature>,
    /// The attestations; what they say was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<FoundAttestation>,
    /// The places that were searched.
    pub looked_for: Vec<String>,
    /// Entries that could not be read, each with why.
    pub skipped: Vec<String>,
    /// Why the search is not complete, when something could not be fetched: what was found may
    /// count, what was not found may be there all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Everything that refers to the subject, signatures or not, to be served on with it.
    #[serde(default)]
    pub referrers: Vec<Descriptor>,
    /// The tags by which something is attached to the subject.
    #[serde(default)]
    pub tags: Vec<AttachedTag>,
}

/// What fetching the contents of attestations came to. The contents themselves are in the store, under
/// their digests, and may be evicted from there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttestationContents {
    /// The contents that upstream lists and does not have so, each with what is wrong.
    pub unavailable: BTreeMap<Digest, String>,
}

/// What reading the layers of the subject's images came to. The inventories are kept apart, under their
/// digests: what is known against them changes with every vulnerability database, and is asked for with
/// every decision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScannedImages {
    /// By the digests of their manifests.
    pub images: BTreeMap<Digest, ScannedImage>,
}

impl ScannedImages {
    /// Most images of one index that are scanned.
    pub const IMAGES_MAX: usize = 64;
}

/// One image that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedImage {
    /// The digest of its inventory; `None` when nothing of it can be read.
    pub inventory: Option<Digest>,
    /// Why not, then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Whether all of it could be read.
    #[serde(default)]
    pub is_complete: bool,
    /// What it hangs on how much of it was read: the bounds, and what the program can read.
    pub read_by: Digest,
    /// What other scanners came to, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, ScannedByOther>,
}

/// What another scanner came to about an image. Its report is kept apart, under its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScannedByOther {
    /// It could not look; why, in words fit for clients.
    Failed(String),
    /// It looked.
    Reported {
        /// The report.
        report: Digest,
        /// When.
        at: Timestamp,
    },
}

/// What the configurations of the subject's images say. Their values of the environment are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfigs {
    /// By the digests of their manifests.
    pub images: BTreeMap<Digest, ConfigOf>,
    /// Which version of [`ImageConfig::READING`] read them.
    #[serde(default)]
    pub read_by: u32,
}

impl ImageConfigs {
    /// Most images of one index whose configurations are judged.
    pub const IMAGES_MAX: usize = 64;
}

/// What reading the configuration of one image came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigOf {
    /// Upstream does not have the image, or not its configuration.
    Absent,
    /// It is no configuration of an image, by its media type.
    NoImage,
    /// This is it.
    Read(Box<ImageConfig>),
    /// It cannot be read; why, in words fit for clients.
    Unreadable(String),
}

/// A tag of the form `sha256-<hex>[.suffix]`, by which something is attached to a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedTag {
    /// The tag.
    pub tag: Tag,
    /// The manifest it stands for.
    pub digest: Digest,
}

/// What an admitted manifest entitles its repository to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The content.
    pub digest: Digest,
    /// Its size in bytes, as the manifest states it.
    pub size: u64,
    /// Its type, as the manifest states it.
    pub media_type: MediaType,
    /// What it is to the subject.
    pub kind: GrantKind,
    /// The platform of the child that lists it, when the subject is an index.
    pub platform: Option<Platform>,
}

/// What granted content is to its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantKind {
    /// A config.
    Config,
    /// A layer.
    Layer,
    /// A child manifest of an index.
    Manifest,
    /// A signature or other referrer, or something that one lists.
    Referrer,
}
