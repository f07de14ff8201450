//! Which of the manifests in a layout is meant: pure.

use std::fmt;

use crate::oci::{Descriptor, Digest, Tag};

/// The tag of a manifest, as tools write it into `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What cosign writes beside each manifest of `cosign save`, in the place of tags.
const COSIGN_KIND: &str = "kind";
const COSIGN_IMAGES: [&str; 2] =
    ["dev.cosignproject.cosign/image", "dev.cosignproject.cosign/imageIndex"];
const COSIGN_ATTACHED: [(&str, &str); 2] =
    [(".sig", "dev.cosignproject.cosign/sigs"), (".att", "dev.cosignproject.cosign/atts")];
/// Suffixes of tags that attach something.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Which manifest of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this digest.
    Digest(Digest),
    /// The one that is annotated with this name.
    Named(String),
    /// The only one.
    Only,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "{digest}"),
            Self::Named(name) => write!(f, "image tagged {name:?}"),
            Self::Only => f.write_str("image"),
        }
    }
}

fn annotation<'a>(listed: &'a Descriptor, key: &str) -> Option<&'a str> {
    listed.annotations.get(key).map(String::as_str)
}

/// Those with the name `name`, each digest once.
pub(super) fn named<'a>(listed: &'a [Descriptor], name: &str) -> Vec<&'a Descriptor> {
    let fitting = listed.iter().filter(|it| annotation(it, REF_NAME) == Some(name));
    fitting.fold(Vec::new(), once)
}

/// Those that are nobody's signature; where exactly one of them has a tag, that one.
pub(super) fn only(
    listed: &[Descriptor],
    is_referrer: impl Fn(&Digest) -> bool,
) -> Vec<&Descriptor> {
    let own = listed.iter().filter(|it| !is_attached(it) && !is_referrer(&it.digest));
    let own = own.fold(Vec::new(), once);
    let tagged: Vec<_> =
        own.iter().copied().filter(|it| annotation(it, REF_NAME).is_some()).collect();
    if tagged.len() == 1 { tagged } else { own }
}

fn once<'a>(mut found: Vec<&'a Descriptor>, one: &'a Descriptor) -> Vec<&'a Descriptor> {
    if found.iter().all(|other| other.digest != one.digest) {
        found.push(one);
    }
    found
}

fn is_attached(listed: &Descriptor) -> bool {
    let kind = annotation(listed, COSIGN_KIND);
    COSIGN_ATTACHED.iter().any(|(_, attached)| kind == Some(attached))
        || annotation(listed, REF_NAME).is_some_and(|name| subject_of(name).is_some())
}

/// The digest and the suffix in a tag that attaches something.
fn subject_of(tag: &str) -> Option<(Digest, &str)> {
    let (algorithm, rest) = tag.split_once('-')?;
    let end = rest.find('.').unwrap_or(rest.len());
    let (hex, suffix) = rest.split_at_checked(end)?;
    let digest = format!("{algorithm}:{hex}").parse().ok()?;
    SUFFIXES.contains(&suffix).then_some((digest, suffix))
}

/// What stands under `tag`, by its name or by what `cosign save` says.
///
/// # Errors
/// When several do.
pub(super) fn tagged<'a>(
    listed: &'a [Descriptor],
    tag: &Tag,
) -> Result<Option<&'a Descriptor>, ()> {
    let mut found = named(listed, tag.as_str());
    if found.is_empty() {
        found = saved_by_cosign(listed, tag.as_str());
    }
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(()),
    }
}

fn saved_by_cosign<'a>(listed: &'a [Descriptor], tag: &str) -> Vec<&'a Descriptor> {
    let Some((subject, suffix)) = subject_of(tag) else { return Vec::new() };
    let Some((_, kind)) = COSIGN_ATTACHED.iter().find(|(other, _)| *other == suffix) else {
        return Vec::new();
    };
    let is_image = |it: &&Descriptor| {
        it.digest == subject
            && annotation(it, COSIGN_KIND).is_some_and(|kind| COSIGN_IMAGES.contains(&kind))
    };
    // Those of one image have the same name, which may be none.
    let Some(image) = listed.iter().find(is_image) else { return Vec::new() };
    let fits = |it: &&Descriptor| {
        annotation(it, COSIGN_KIND) == Some(kind)
            && annotation(it, REF_NAME) == annotation(image, REF_NAME)
    };
    listed.iter().filter(fits).fold(Vec::new(), once)
}

/// How an image is shown to somebody who has to choose.
pub(super) fn shown(listed: &Descriptor) -> String {
    let digest = listed.digest.to_string();
    let printable = |name: &str| name.chars().all(|c| c.is_ascii_graphic());
    match annotation(listed, REF_NAME).filter(|name| printable(name)) {
        Some(name) => format!(":{name}"),
        None => format!("@{digest}"),
    }
}
