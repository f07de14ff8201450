//! The images that are judged by what is in them: the subject itself, or those of an index.

use super::checks::{Checked, Finding, reason};
use super::{CheckState, Context, EvidenceKind, ManifestFacts, ReasonCode, Subject};
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

/// What images are judged for.
pub(super) struct Judging {
    /// The name of the check.
    pub(super) check: &'static str,
    /// What it is that cannot be judged.
    pub(super) code: ReasonCode,
    /// Most images of one index.
    pub(super) most: usize,
    /// What is said of an index without images: `lists no image that could be scanned`.
    pub(super) none: &'static str,
    /// What is said of how many are: `are scanned`.
    pub(super) are_judged: &'static str,
}

impl Judging {
    /// The images of `subject` that are judged, each with what to call it in front of what is said of it.
    ///
    /// # Errors
    /// What has to be known first, or the finding that an index lists none, or too many.
    pub(super) fn images(
        &self,
        subject: &Subject,
        facts: &ManifestFacts,
        context: &Context<'_>,
    ) -> Result<Vec<(String, Digest)>, Box<Checked>> {
        let text = match Images::of(subject, facts, context.policy.platforms()) {
            Images::These(images) if images.len() <= self.most => return Ok(images),
            Images::These(images) => {
                let (count, most) = (images.len(), self.most);
                format!("lists {count} images, of which {most} {}", self.are_judged)
            }
            Images::None => self.none.to_owned(),
            Images::Unknown => return Err(Box::new(Checked::Missing(EvidenceKind::Manifest))),
        };
        let reasons = vec![reason(self.code, &text, Images::REMEDY)];
        let finding = Finding { reasons, ..Finding::new(self.check, CheckState::Fail, text) };
        Err(Box::new(Checked::Finding(finding)))
    }
}
