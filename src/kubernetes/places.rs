//! Where objects name images.

use super::Error;
use super::yaml::{Content, Node};

/// The kinds that have a pod template, or are a pod, and where its `spec` is.
const PODS: [(&str, &str); 9] = [
    ("CronJob", "spec.jobTemplate.spec.template.spec."),
    ("DaemonSet", "spec.template.spec."),
    ("Deployment", "spec.template.spec."),
    ("Job", "spec.template.spec."),
    ("Pod", "spec."),
    ("PodTemplate", "template.spec."),
    ("ReplicaSet", "spec.template.spec."),
    ("ReplicationController", "spec.template.spec."),
    ("StatefulSet", "spec.template.spec."),
];
/// What of a pod names images, before and after the number of one.
const OF_POD: [(&str, &str); 4] = [
    ("containers[", "].image"),
    ("ephemeralContainers[", "].image"),
    ("initContainers[", "].image"),
    ("volumes[", "].image.reference"),
];
/// Longest path that is told, in bytes; beyond it, it is cut where it is told.
const PATH_BYTES_MAX: usize = 300;

/// As what something names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A field called `image`, or `image.reference`, anywhere else.
    Field,
    /// A map called `image` with a repository in it, as values of charts have.
    Parts,
    /// A container or a volume of a pod.
    Pod,
}

/// Something that names an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// The path in its object.
    pub(super) at: &'a str,
    pub(super) line: usize,
    /// What is written; `None` where that stands elsewhere.
    pub(super) image: Option<&'a str>,
    pub(super) place: Place,
}

/// Tells `each` of everything in `object`, which is of `kind`, that names an image.
pub(super) fn each(
    kind: &str,
    object: &Node,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let pod = PODS.iter().find(|(of, _)| *of == kind).map(|(_, at)| *at);
    let mut walk = Walk { pod, path: String::new(), each };
    walk.node(object, "")
}

struct Walk<'a> {
    pod: Option<&'static str>,
    path: String,
    each: &'a mut dyn FnMut(Found<'_>) -> Result<(), Error>,
}

impl Walk<'_> {
    /// How deep this goes is bounded by how deep what was read may be.
    fn node(&mut self, node: &Node, key: &str) -> Result<(), Error> {
        match &node.content {
            Content::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.within(&format!("[{number}]"), |walk| walk.node(item, ""))?;
                }
                Ok(())
            }
            Content::Map(entries) => {
                if key == "image" && node.text_at("repository").is_some() {
                    self.tell(node.line, None, Place::Parts)?;
                }
                for (inner, value) in entries {
                    let dot = if self.path.is_empty() { "" } else { "." };
                    let names = inner == "image" || (key == "image" && inner == "reference");
                    self.within(&format!("{dot}{inner}"), |walk| match &value.content {
                        Content::Text(text) if names => walk.name(value.line, Some(text)),
                        Content::Alias if names => walk.name(value.line, None),
                        Content::Alias | Content::Null | Content::Text(_) => Ok(()),
                        Content::List(_) | Content::Map(_) => walk.node(value, inner),
                    })?;
                }
                Ok(())
            }
            Content::Alias | Content::Null | Content::Text(_) => Ok(()),
        }
    }

    fn within(
        &mut self,
        part: &str,
        walk: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let length = self.path.len();
        // A key may be as long as the input: what is told of it is not.
        self.path.extend(part.chars().take(PATH_BYTES_MAX));
        let outcome = walk(self);
        self.path.truncate(length);
        outcome
    }

    fn name(&mut self, line: usize, image: Option<&str>) -> Result<(), Error> {
        let place = if self.is_of_pod() { Place::Pod } else { Place::Field };
        self.tell(line, image, place)
    }

    fn tell(&mut self, line: usize, image: Option<&str>, place: Place) -> Result<(), Error> {
        let mut end = self.path.len().min(PATH_BYTES_MAX);
        while !self.path.is_char_boundary(end) {
            end -= 1;
        }
        let at = self.path.get(..end).unwrap_or_default();
        (self.each)(Found { at, line, image, place })
    }

    /// Whether the path is one of those at which a pod names images.
    fn is_of_pod(&self) -> bool {
        let rest = self.pod.and_then(|pod| self.path.strip_prefix(pod));
        rest.is_some_and(|rest| {
            OF_POD.iter().any(|(before, after)| {
                let number = rest.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                number.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
            })
        })
    }
}
