//! Everything below the images of a layout, found and hashed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{
    BLOBS_MAX, Contents, DEPTH_MAX, IMAGE_NAME, IMAGES_MAX, Image, PLATFORMS, Problem, REF_NAME,
    stray,
};
use crate::layout::{Error, Layout};
use crate::oci::{
    Descriptor, Digest, ImageIndex, ImageManifest, ImageReference, MANIFEST_BYTES_MAX, Manifest,
    Platform,
};

/// Largest configuration that is read for its platform, in bytes.
const CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most problems of one layout that are kept; beyond them it is not worth listing.
const PROBLEMS_MAX: usize = 1_000;

/// Looks through the layout in the folder `path`: every blob is read and hashed. Of an index the children
/// for the platforms that the layout names have to be there, all of them where it names none; and each image
/// has to be there for each of `needed`.
///
/// # Errors
/// When it is no layout, or its list cannot be read. Everything else is a problem of the contents.
pub fn check(path: &Path, needed: &[Platform]) -> Result<Contents, Error> {
    let layout = Layout::open(path)?;
    let (mut platforms, mut problems) = (Vec::new(), Vec::new());
    let said = layout.annotations().get(PLATFORMS).map_or("", String::as_str);
    for text in said.split(',').filter(|text| !text.is_empty()) {
        match text.parse::<Platform>() {
            Ok(platform) => platforms.push(platform),
            Err(why) => problems.push(Problem::new("malformed", super::INDEX, why)),
        }
    }
    let mut contents = closure(&layout, platforms);
    for image in &contents.images {
        problems.extend(needed.iter().filter_map(|needed| image.lacks(needed)));
    }
    let known: HashSet<Digest> =
        contents.images.iter().flat_map(|image| &image.parts).map(|(digest, _)| *digest).collect();
    problems.append(&mut contents.problems);
    problems.extend(stray::find(path, &known));
    problems.truncate(PROBLEMS_MAX);
    Ok(Contents { problems, ..contents })
}

/// What `layout` lists, with everything below it for `platforms`, read and hashed.
pub(super) fn closure(layout: &Layout, platforms: Vec<Platform>) -> Contents {
    walk(layout, platforms, true)
}

/// What of `layout` is for `platform`: manifests are read, and everything else is only looked for.
pub fn narrowed(layout: &Layout, platform: Platform) -> Contents {
    walk(layout, vec![platform], false)
}

fn walk(layout: &Layout, platforms: Vec<Platform>, is_hashed: bool) -> Contents {
    let (seen, problems) = (HashMap::new(), Vec::new());
    let mut walk = Walk { layout, platforms: &platforms, is_hashed, seen, problems };
    let mut images: Vec<Image> = Vec::new();
    for listed in layout.listed().iter().take(IMAGES_MAX) {
        let name = walk.name(listed);
        if let Some(known) =
            images.iter_mut().find(|image| image.descriptor.digest == listed.digest)
        {
            known.names.extend(name);
            continue;
        }
        images.push(walk.image(listed, name));
    }
    if layout.listed().len() > IMAGES_MAX {
        let text = format!("lists more than {IMAGES_MAX} images");
        walk.problem("malformed", &super::INDEX, text);
    }
    if images.is_empty() {
        walk.problem("missing", &super::INDEX, "lists no image");
    }
    let bytes = walk.seen.values().sum();
    let (blobs, mut problems) = (walk.seen.len(), walk.problems);
    for image in &images {
        problems.extend(platforms.iter().filter_map(|wanted| image.lacks(wanted)));
    }
    Contents { images, platforms, blobs, bytes, problems }
}

impl Image {
    /// That it is not there for `wanted`, if so; nothing where it could not be read, which is told.
    fn lacks(&self, wanted: &Platform) -> Option<Problem> {
        if self.platforms.is_empty() || self.platforms.iter().any(|is| wanted.covers(is)) {
            return None;
        }
        let is: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
        let text = format!("has nothing for {wanted}; it is for {}", is.join(", "));
        Some(Problem::new("platform", self.shown(), text))
    }
}

struct Walk<'a> {
    layout: &'a Layout,
    platforms: &'a [Platform],
    is_hashed: bool,
    /// What was read already, with its size.
    seen: HashMap<Digest, u64>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn problem(
        &mut self,
        code: &'static str,
        what: &dyn std::fmt::Display,
        text: impl Into<String>,
    ) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem::new(code, what, text));
        }
    }

    fn failed(&mut self, error: &Error) {
        let code = match error {
            Error::Changed { .. } => "changed",
            Error::NotRegular { .. } => "link",
            Error::Read { .. } => "unreadable",
            Error::Index { .. }
            | Error::NoSuch { .. }
            | Error::NotALayout { .. }
            | Error::Several { .. }
            | Error::TooMuch { .. } => "malformed",
        };
        let place = match error {
            Error::Changed { path } | Error::NotRegular { path } | Error::Read { path, .. } => path,
            Error::Index { .. }
            | Error::NoSuch { .. }
            | Error::NotALayout { .. }
            | Error::Several { .. }
            | Error::TooMuch { .. } => self.layout.path(),
        };
        let place = place.display().to_string();
        let text = match code {
            "changed" => "is not what its name says".to_owned(),
            "link" => "is a link, or no file".to_owned(),
            _ => {
                let source = std::error::Error::source(error).map(|source| format!(": {source}"));
                format!("{error}{}", source.unwrap_or_default())
            }
        };
        self.problem(code, &place, text);
    }

    /// The whole name under which `listed` stands.
    fn name(&mut self, listed: &Descriptor) -> Option<String> {
        let said = listed.annotations.get(IMAGE_NAME).or_else(|| listed.annotations.get(REF_NAME));
        let Some(said) = said else {
            self.problem("name", &listed.digest, "is listed without a name");
            return None;
        };
        match said.parse::<ImageReference>() {
            // To the letter: what a runtime finds it by has to be what pods are resolved to.
            Ok(image) if image.to_string() == *said => Some(said.clone()),
            Ok(image) => {
                self.problem(
                    "name",
                    &listed.digest,
                    format!("is listed as {said:?}, which is written {image}"),
                );
                None
            }
            Err(error) => {
                self.problem("name", &listed.digest, format!("is listed as {said:?}: {error}"));
                None
            }
        }
    }

    fn image(&mut self, listed: &Descriptor, name: Option<String>) -> Image {
        let descriptor =
            Descriptor { annotations: std::collections::BTreeMap::new(), ..listed.clone() };
        let names: Vec<String> = name.into_iter().collect();
        let mut image = Image { names, descriptor, platforms: Vec::new(), parts: Vec::new() };
        self.manifest(listed, 0, &mut image);
        image
    }

    /// Whether `part` is there and right; what is wrong is noted the first time.
    fn part(&mut self, part: &Descriptor, image: &mut Image) -> bool {
        if image.parts.iter().any(|(digest, _)| *digest == part.digest) {
            return false;
        }
        if let Some(size) = self.seen.get(&part.digest) {
            if *size != part.size {
                self.problem("changed", &part.digest, "is listed with two sizes");
                return false;
            }
        } else {
            if self.seen.len() >= BLOBS_MAX {
                let text = format!("more than {BLOBS_MAX} blobs");
                self.problem("malformed", &super::INDEX, text);
                return false;
            }
            let found = if self.is_hashed {
                self.layout.check(&part.digest, part.size)
            } else {
                self.layout.open_blob(&part.digest).map(|file| file.is_some())
            };
            match found {
                Ok(true) => {}
                Ok(false) => {
                    let of = image.names.first().cloned().unwrap_or_default();
                    self.problem(
                        "missing",
                        &part.digest,
                        format!("is not there; it is part of {of}"),
                    );
                    return false;
                }
                Err(error) => {
                    self.failed(&error);
                    return false;
                }
            }
            self.seen.insert(part.digest, part.size);
        }
        image.parts.push((part.digest, part.size));
        true
    }

    fn manifest(&mut self, listed: &Descriptor, depth: usize, image: &mut Image) {
        if depth > DEPTH_MAX {
            self.problem("malformed", &listed.digest, "indexes lie too deep in each other");
            return;
        }
        if !self.part(listed, image) {
            return;
        }
        let content = match self.layout.read(&listed.digest, MANIFEST_BYTES_MAX) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => return self.failed(&error),
        };
        match Manifest::parse(&content, Some(&listed.media_type)) {
            Ok(Manifest::Index(index)) => self.index(&index, depth, image),
            Ok(Manifest::Image(manifest)) => self.single(&manifest, image),
            Err(error) => self.problem("malformed", &listed.digest, error.to_string()),
        }
    }

    fn index(&mut self, index: &ImageIndex, depth: usize, image: &mut Image) {
        let mut has_any = false;
        for child in chosen(index, self.platforms) {
            has_any = true;
            self.manifest(child, depth + 1, image);
        }
        if !has_any {
            let shown = image.shown();
            self.problem(
                "platform",
                &shown,
                "its index lists nothing for the platforms of this set",
            );
        }
    }

    fn single(&mut self, manifest: &ImageManifest, image: &mut Image) {
        if self.part(&manifest.config, image) {
            match self.layout.read(&manifest.config.digest, CONFIG_BYTES_MAX) {
                Ok(content) => match serde_json::from_slice(&content.unwrap_or_default()) {
                    Ok(platform) => image.platforms.push(platform),
                    Err(_) => self.problem(
                        "malformed",
                        &manifest.config.digest,
                        "is no configuration of an image: it names no platform",
                    ),
                },
                Err(error) => self.failed(&error),
            }
        }
        for layer in &manifest.layers {
            self.part(layer, image);
        }
    }
}

/// The children of `index` that are wanted for `platforms`; all of them when none is named.
pub(super) fn chosen<'a>(
    index: &'a ImageIndex,
    platforms: &'a [Platform],
) -> impl Iterator<Item = &'a Descriptor> {
    index.manifests.iter().filter(|child| {
        platforms.is_empty()
            || child
                .platform
                .as_ref()
                .is_none_or(|is| platforms.iter().any(|wanted| wanted.covers(is)))
    })
}
