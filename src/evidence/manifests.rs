//! The manifest of a subject, and for an index everything below it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::Limits;
use super::fetch::{Fetched, Fetcher, Trouble};
use super::image::{
    CONFIG_BYTES_MAX, artifact_type_of, bytes_of, foreign_layer_of, grant, is_built_attestation,
    layer_grants, platform_of, unknown,
};
use super::source::Source;
use crate::gate::{ChildImage, Grant, GrantKind, ManifestFacts, Subject};
use crate::oci::{Descriptor, Digest, ImageManifest, Manifest, MediaType, Platform};

/// How deep indexes may be nested: an index may list indexes, and those list images.
const INDEX_DEPTH_MAX: usize = 2;

/// Images that are known of a layer, of one digest, and for one platform: so that of as many as there may be,
/// one is of another digest and for another platform than any that is asked for, if there is one.
const HOLDERS_MAX: usize = 2 * HOLDERS_ALIKE_MAX + 1;
const HOLDERS_ALIKE_MAX: usize = 3;

/// A manifest with what it says, and what it entitles its repository to.
pub(super) struct Gathering {
    pub(super) facts: ManifestFacts,
    pub(super) grants: Vec<Grant>,
}

/// Gathers the manifest of `subject`; `None` when upstream does not have it.
pub(super) async fn gather<S: Source>(
    fetcher: &Fetcher<'_, S>,
    subject: &Subject,
    limits: &Limits,
) -> Result<Option<Gathering>, Trouble> {
    let arrived = match fetcher.manifest(&subject.digest).await {
        Ok(Some(arrived)) => arrived,
        Ok(None) => return Ok(None),
        Err(Trouble::TooLarge) => {
            return Ok(Some(malformed(None, 0, Trouble::TooLarge.to_string())));
        }
        Err(trouble) => return Err(trouble),
    };
    let size = u64::try_from(arrived.bytes.len()).unwrap_or(u64::MAX);
    let declared = arrived.media_type.as_ref();
    let manifest = match Manifest::parse(&arrived.bytes, declared) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Some(malformed(declared, size, error.to_string()))),
    };
    let gathering = match &manifest {
        Manifest::Image(image) => single(fetcher, image).await?,
        Manifest::Index(index) => {
            let top = &index.manifests;
            tree(fetcher, subject, top, index.artifact_type.clone(), limits).await?
        }
    };
    Ok(Some(match gathering {
        Ok(tally) => tally.gathering(&manifest, size),
        Err(why) => malformed(Some(manifest.media_type()), size, why),
    }))
}

fn malformed(media_type: Option<&MediaType>, size: u64, why: String) -> Gathering {
    let unknown = || MediaType::new("application/octet-stream");
    let facts = ManifestFacts {
        media_type: media_type.cloned().unwrap_or_else(unknown),
        size,
        artifact_type: None,
        is_index: false,
        platforms: Vec::new(),
        children: Vec::new(),
        images: None,
        layers: 0,
        image_bytes: 0,
        foreign_layer: None,
        malformed: Some(why),
    };
    Gathering { facts, grants: Vec::new() }
}

/// What has been added up so far.
#[derive(Default)]
struct Tally {
    artifact_type: Option<String>,
    has_image: bool,
    platforms: Vec<Platform>,
    children: Vec<Digest>,
    child_digests: HashSet<Digest>,
    images: Vec<ChildImage>,
    /// The layers of each of these.
    layers_of: HashMap<Digest, Vec<Digest>>,
    /// Images that have a layer.
    holders: HashMap<Digest, Vec<ChildImage>>,
    layers: u64,
    image_bytes: u64,
    foreign_layer: Option<Digest>,
    grants: Vec<Grant>,
    granted: HashSet<(Digest, GrantKind, Option<Platform>)>,
}

impl Tally {
    fn add(&mut self, image: &ImageManifest, platform: Option<&Platform>, has_config: bool) {
        let artifact_type = artifact_type_of(image);
        self.has_image |= artifact_type.is_none();
        self.artifact_type = self.artifact_type.take().or(artifact_type);
        if let Some(platform) = platform
            && !self.platforms.contains(platform)
        {
            self.platforms.push(platform.clone());
        }
        self.layers = self.layers.max(u64::try_from(image.layers.len()).unwrap_or(u64::MAX));
        self.image_bytes = self.image_bytes.max(bytes_of(image));
        self.foreign_layer = self.foreign_layer.or_else(|| foreign_layer_of(image));
        if has_config {
            self.grant(grant(&image.config, GrantKind::Config, platform));
        }
        for layer in layer_grants(image, layers_for(image, platform).as_ref()) {
            self.grant(layer);
        }
    }

    fn child(&mut self, digest: Digest) {
        if self.child_digests.insert(digest) {
            self.children.push(digest);
        }
    }

    /// Notes an image of an index, with the layers that it is known to have.
    fn image(&mut self, digest: Digest, platform: Option<Platform>, layers: &[Descriptor]) {
        let image = ChildImage { digest, platform };
        for layer in layers {
            let holders = self.holders.entry(layer.digest).or_default();
            let count = |is_alike: &dyn Fn(&ChildImage) -> bool| {
                holders.iter().filter(|holder| is_alike(holder)).count()
            };
            if holders.len() < HOLDERS_MAX
                && !holders.contains(&image)
                && count(&|holder| holder.digest == image.digest) < HOLDERS_ALIKE_MAX
                && count(&|holder| holder.platform == image.platform) < HOLDERS_ALIKE_MAX
            {
                holders.push(image.clone());
            }
        }
        // It may have been listed before in a way in which nobody has it.
        let known = self.layers_of.entry(digest).or_default();
        if known.is_empty() {
            known.extend(layers.iter().map(|layer| layer.digest));
        }
        self.images.push(image);
    }

    /// The images. One that has only layers which other images have for other platforms can be run where
    /// theirs are served, whatever it is listed for: it stands there for all, too.
    fn all_images(&self) -> Vec<ChildImage> {
        let mut images = self.images.clone();
        for image in &self.images {
            let is_elsewhere = |layer: &Digest| {
                let mut holders = self.holders.get(layer).into_iter().flatten();
                holders.any(|it| it.digest != image.digest && it.platform != image.platform)
            };
            let layers = self.layers_of.get(&image.digest).filter(|layers| !layers.is_empty());
            if layers.is_some_and(|layers| layers.iter().all(is_elsewhere)) {
                images.push(ChildImage { digest: image.digest, platform: None });
            }
        }
        images
    }

    fn grant(&mut self, grant: Grant) {
        let key = (grant.digest, grant.kind, grant.platform.clone());
        if self.granted.insert(key) {
            self.grants.push(grant);
        }
    }

    fn gathering(self, manifest: &Manifest, size: u64) -> Gathering {
        let is_index = matches!(manifest, Manifest::Index(_));
        let images = is_index.then(|| self.all_images());
        let facts = ManifestFacts {
            media_type: manifest.media_type().clone(),
            size,
            artifact_type: self.artifact_type.filter(|_| !self.has_image),
            is_index,
            platforms: self.platforms,
            children: self.children,
            images,
            layers: self.layers,
            image_bytes: self.image_bytes,
            foreign_layer: self.foreign_layer,
            malformed: None,
        };
        Gathering { facts, grants: self.grants }
    }
}

/// The platform that the layers of `image` are for. One that nobody says the platform of is for none
/// that a policy could name.
fn layers_for(image: &ImageManifest, platform: Option<&Platform>) -> Option<Platform> {
    platform.cloned().or_else(|| artifact_type_of(image).is_none().then(unknown))
}

/// A tally, or why the content is not well formed although it has the right digest.
type Tallied = Result<Tally, String>;

async fn single<S: Source>(
    fetcher: &Fetcher<'_, S>,
    image: &ImageManifest,
) -> Result<Tallied, Trouble> {
    let mut tally = Tally::default();
    let mut platform = None;
    if image.config.media_type.is_image_config() {
        if image.config.size > CONFIG_BYTES_MAX {
            return Ok(Err("config is larger than 4 MiB".to_owned()));
        }
        let config = fetcher.blob(&image.config).await?;
        let config = config.ok_or(Trouble::Missing(image.config.digest))?;
        platform = match platform_of(&config) {
            Ok(platform) => platform,
            Err(why) => return Ok(Err(why)),
        };
    }
    tally.add(image, platform.as_ref(), true);
    Ok(Ok(tally))
}

/// A child that is yet to be looked at.
struct Listed {
    descriptor: Descriptor,
    /// What the index says it runs on.
    platform: Option<Platform>,
}

/// A child that was looked at.
struct Child {
    listed: Listed,
    /// What the index lists, if upstream has it so.
    content: Option<Content>,
}

struct Content {
    manifest: Manifest,
    /// Of an image, when upstream has it.
    config: Option<Bytes>,
}

async fn tree<S: Source>(
    fetcher: &Fetcher<'_, S>,
    subject: &Subject,
    top: &[Descriptor],
    artifact_type: Option<String>,
    limits: &Limits,
) -> Result<Tallied, Trouble> {
    let mut tally = Tally { artifact_type, ..Tally::default() };
    // One that is listed for two platforms is two: nodes take the one for theirs.
    let mut seen = HashSet::from([(subject.digest, None)]);
    let mut level: Vec<Listed> = top.iter().map(|descriptor| listed(descriptor, None)).collect();
    for depth in 1.. {
        level.retain(|child| {
            let is_itself = child.descriptor.digest == subject.digest;
            !is_itself && seen.insert((child.descriptor.digest, child.platform.clone()))
        });
        if level.is_empty() {
            break;
        }
        if seen.len() > limits.children {
            return Ok(Err(format!("index lists more than {} manifests", limits.children)));
        }
        if depth >= INDEX_DEPTH_MAX
            && level.iter().any(|child| child.descriptor.media_type.is_index())
        {
            return Ok(Err(format!("indexes are nested deeper than {INDEX_DEPTH_MAX}")));
        }
        for child in &level {
            tally.child(child.descriptor.digest);
        }
        let work = level.drain(..).map(|child| fetch_child(fetcher, child)).collect();
        for child in fetcher.together(work).await {
            level.extend(add_child(&mut tally, &child?));
        }
    }
    Ok(Ok(tally))
}

fn listed(descriptor: &Descriptor, outer: Option<&Platform>) -> Listed {
    let platform = descriptor.platform.clone().or_else(|| outer.cloned());
    Listed { descriptor: descriptor.clone(), platform }
}

/// Fetches a child and the config of an image. A child that upstream does not have, or that is not
/// what the index says, gets no grant; that is a decided thing and harms nobody else.
async fn fetch_child<S: Source>(
    fetcher: &Fetcher<'_, S>,
    listed: Listed,
) -> Result<Child, Trouble> {
    let content = fetch_content(fetcher, &listed.descriptor).await?;
    Ok(Child { listed, content })
}

async fn fetch_content<S: Source>(
    fetcher: &Fetcher<'_, S>,
    descriptor: &Descriptor,
) -> Result<Option<Content>, Trouble> {
    if !descriptor.media_type.is_index() && !descriptor.media_type.is_image_manifest() {
        return Ok(None);
    }
    let arrived = match fetcher.manifest(&descriptor.digest).await {
        Ok(Some(arrived)) => arrived,
        Ok(None) | Err(Trouble::TooLarge) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    let Some(manifest) = as_listed(&arrived, descriptor) else { return Ok(None) };
    let config = match &manifest {
        Manifest::Image(image)
            if image.config.media_type.is_image_config()
                && image.config.size <= CONFIG_BYTES_MAX =>
        {
            fetcher.blob(&image.config).await?
        }
        Manifest::Image(_) | Manifest::Index(_) => None,
    };
    Ok(Some(Content { manifest, config }))
}

/// The manifest in `arrived`, if it has the size and type under which it is listed.
pub(super) fn as_listed(arrived: &Fetched, descriptor: &Descriptor) -> Option<Manifest> {
    if u64::try_from(arrived.bytes.len()) != Ok(descriptor.size) {
        return None;
    }
    Manifest::parse(&arrived.bytes, Some(&descriptor.media_type)).ok()
}

/// Adds `child` to the tally and gives what it lists in turn.
fn add_child(tally: &mut Tally, child: &Child) -> Vec<Listed> {
    let descriptor = &child.listed.descriptor;
    let listed_as = child.listed.platform.as_ref();
    match &child.content {
        None => {
            // It may come later, and what it is then shows when it is looked at again.
            if descriptor.media_type.is_image_manifest() && listed_as != Some(&unknown()) {
                tally.image(descriptor.digest, listed_as.cloned(), &[]);
            }
            Vec::new()
        }
        Some(Content { manifest: Manifest::Image(image), config }) => {
            let of_config = config.as_deref().and_then(|config| platform_of(config).ok().flatten());
            let platform = layers_for(image, listed_as.or(of_config.as_ref()));
            tally.grant(grant(descriptor, GrantKind::Manifest, platform.as_ref()));
            if !is_built_attestation(image, listed_as, of_config.as_ref()) {
                tally.image(descriptor.digest, platform, &image.layers);
            }
            let platform = listed_as.cloned().or(of_config);
            let has_config = config.is_some() || !image.config.media_type.is_image_config();
            tally.add(image, platform.as_ref(), has_config);
            Vec::new()
        }
        Some(Content { manifest: Manifest::Index(index), .. }) => {
            tally.grant(grant(descriptor, GrantKind::Manifest, listed_as));
            index.manifests.iter().map(|descriptor| listed(descriptor, listed_as)).collect()
        }
    }
}
