//! The images that are judged by what is in them: the subject itself, or those of an index.

use super::{ManifestFacts, Subject};
use crate::oci::{Digest, Platform};

/// Which they are.
pub(super) enum Images {
    /// An index that lists none that would be served.
    None,
    /// Each with what to call it in front of what is said of it.
    These(Vec<(String, Digest)>),
    /// The manifest was gathered by a version that did not keep it.
    Unknown,
}

impl Images {
    /// What would have to change where an index lists too few or too many.
    pub(super) const REMEDY: &'static str =
        "floor.platforms would have to list platforms that it has, and fewer of them.";

    /// Those of `subject` that are served where only `platforms` are.
    pub(super) fn of(subject: &Subject, facts: &ManifestFacts, platforms: &[Platform]) -> Self {
        if !facts.is_index {
            return Self::These(vec![(String::new(), subject.digest)]);
        }
        let Some(images) = facts.images_for(platforms) else { return Self::Unknown };
        let count = images.len();
        if count == 0 {
            return Self::None;
        }
        let named = images.into_iter().map(|image| {
            let platform = image.platform.as_ref().filter(|_| count > 1);
            let label = platform.map(|platform| format!("{platform}: ")).unwrap_or_default();
            (label, image.digest)
        });
        Self::These(named.collect())
    }
}
