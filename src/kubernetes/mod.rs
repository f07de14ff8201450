//! Which images Kubernetes objects name, for whoever asks for all of a release at once.
//!
//! Promises: bytes in, names out, and nothing is fetched, expanded or run; how much is read is bounded; an image
//! in a pod template is found whatever the order of keys; what may be one, and what names one in a way that is
//! not read, is told and not passed over.

mod places;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use places::{Found, Place};
use yaml::{Content, Node};

/// Largest input, in bytes.
pub const BYTES_MAX: usize = 8 << 20;
/// Most images that are named together.
pub const IMAGES_MAX: usize = 500;
/// Most of what is left out that is told.
const LEFT_OUT_MAX: usize = 100;
/// Most releases and charts that are told of.
const RELEASES_MAX: usize = 16;
/// Longest name of an object or a release, in characters; the rest is cut.
const NAME_LENGTH_MAX: usize = 100;
/// By which labels and annotations objects say of which release they are.
const OF_RELEASE: [(&str, &str); 2] =
    [("labels", "app.kubernetes.io/instance"), ("annotations", "meta.helm.sh/release-name")];

/// What objects name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objects {
    /// How many objects there are.
    pub count: usize,
    /// The images, each once, in the order in which they are named.
    pub images: Vec<NamedImage>,
    /// What names an image in a way that is not read; the first hundred.
    pub left_out: Vec<LeftOut>,
    /// The releases that the objects say they are of; the first sixteen.
    pub releases: BTreeSet<String>,
}

/// An image that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// As it is written.
    pub image: String,
    /// Where: the object, the path in it, and the line.
    pub place: String,
    /// Whether it is a guess: a field called `image` of something that is no pod template.
    pub is_guess: bool,
}

/// What is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Where.
    pub place: String,
    /// Why.
    pub why: &'static str,
}

/// Why a text names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No document in it is an object.
    #[error(
        "there is no Kubernetes object in it; is it what `helm template` or `kubectl get -o yaml` prints?"
    )]
    Nothing,
    /// It names too much.
    #[error("it names more than {IMAGES_MAX} images; split it")]
    TooMany,
    /// It is too large.
    #[error("it is larger than {} MiB; split it", BYTES_MAX >> 20)]
    TooLarge,
    /// It is not what it should be.
    #[error("line {line}, column {column}: {what}")]
    Yaml {
        /// The line, from one.
        line: usize,
        /// The column, from one.
        column: usize,
        /// What is wrong there.
        what: String,
    },
}

/// The images that the objects in `text` name: YAML of any number of documents, or JSON.
///
/// # Errors
/// See [`Error`].
pub fn images(text: &str) -> Result<Objects, Error> {
    if text.len() > BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let mut reading = Reading::default();
    yaml::documents(text, &mut |document| reading.document(&document))?;
    if reading.objects.count == 0 {
        return Err(Error::Nothing);
    }
    Ok(reading.objects)
}

#[derive(Default)]
struct Reading {
    objects: Objects,
    /// Where each image stands in the list.
    known: BTreeMap<String, usize>,
}

impl Reading {
    /// A document: an object, or a list of them.
    fn document(&mut self, node: &Node) -> Result<(), Error> {
        let Some(kind) = node.text_at("kind") else { return Ok(()) };
        if node.text_at("apiVersion").is_none() {
            return Ok(());
        }
        if let (true, Some(items)) = (kind.ends_with("List"), node.get("items"))
            && let Content::List(items) = &items.content
        {
            // One list in another is none that a cluster prints: it is looked into as an object.
            return items.iter().try_for_each(|item| self.object(item));
        }
        self.object(node)
    }

    fn object(&mut self, node: &Node) -> Result<(), Error> {
        self.objects.count += 1;
        let kind = node.text_at("kind").unwrap_or("object");
        let metadata = node.get("metadata");
        let name = metadata.and_then(|it| it.text_at("name")).unwrap_or("without a name");
        for (of, key) in OF_RELEASE {
            let release = metadata.and_then(|it| it.get(of)).and_then(|it| it.text_at(key));
            if let Some(release) = release.filter(|_| self.objects.releases.len() < RELEASES_MAX) {
                self.objects.releases.insert(cut(release));
            }
        }
        let named = format!("{} {}", cut(kind), cut(name));
        places::each(kind, node, &mut |found| self.found(&named, found))
    }

    fn found(
        &mut self,
        object: &str,
        Found { at, line, image, place }: Found<'_>,
    ) -> Result<(), Error> {
        let mut told = format!("{object}, {at}");
        let _infallible = write!(told, " (line {line})");
        let why = match (place, image.map(str::trim)) {
            (Place::Parts, _) => Some("it names an image in parts"),
            (_, None) => Some("it is an alias of something that is written elsewhere"),
            (Place::Pod, Some("")) => Some("it is empty"),
            (Place::Field, Some("")) => return Ok(()),
            (Place::Pod | Place::Field, Some(_)) => None,
        };
        if let Some(why) = why {
            if self.objects.left_out.len() < LEFT_OUT_MAX {
                self.objects.left_out.push(LeftOut { place: told, why });
            }
            return Ok(());
        }
        let (image, is_guess) = (image.unwrap_or_default().trim(), place != Place::Pod);
        if let Some(known) = self.known.get(image).and_then(|at| self.objects.images.get_mut(*at)) {
            // What a pod template names is no guess, whatever else names it.
            if known.is_guess && !is_guess {
                *known = NamedImage { is_guess, place: told, ..known.clone() };
            }
            return Ok(());
        }
        if self.objects.images.len() >= IMAGES_MAX {
            return Err(Error::TooMany);
        }
        self.known.insert(image.to_owned(), self.objects.images.len());
        self.objects.images.push(NamedImage { image: image.to_owned(), place: told, is_guess });
        Ok(())
    }
}

fn cut(text: &str) -> String {
    text.trim().chars().take(NAME_LENGTH_MAX).collect()
}
