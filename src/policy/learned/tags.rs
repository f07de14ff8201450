//! Which tags were in use, as a rule would have them.

use std::collections::BTreeSet;

use super::{FORMS_MAX, SeenImage, TAGS_MAX};
use crate::oci::Tag;
use crate::policy::source::quoted;
use crate::policy::tags::TagFilter;

/// The tags of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tags {
    /// All, and untagged content too; why, in words.
    All(&'static str),
    /// Exactly these.
    Exact(BTreeSet<String>),
    /// Those of these forms.
    Glob(BTreeSet<String>),
    /// The versions in this range.
    Semver(String),
}

impl Tags {
    /// Those by which `images` were pulled.
    pub(super) fn of(images: &[SeenImage]) -> Self {
        if images.iter().any(|image| image.tags.is_empty()) {
            return Self::All("some were pulled by digest alone");
        }
        if let Some(range) = range(images) {
            return Self::Semver(range);
        }
        let tags = images.iter().flat_map(|image| image.tags.iter().take(TAGS_MAX));
        let forms: BTreeSet<String> = tags.map(form).collect();
        if forms.len() > FORMS_MAX {
            return Self::All("their tags have no form in common");
        }
        if forms.iter().any(|form| form.contains('*')) {
            Self::Glob(forms)
        } else {
            Self::Exact(forms)
        }
    }

    /// As a rule has them; nothing for all.
    pub(super) fn yaml(&self) -> Option<String> {
        let list = |forms: &BTreeSet<String>| {
            forms.iter().map(|form| quoted(form)).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::All(_) => None,
            Self::Exact(tags) => Some(format!("{{exact: [{}]}}", list(tags))),
            Self::Glob(forms) => Some(format!("{{glob: [{}]}}", list(forms))),
            Self::Semver(range) => Some(format!("{{semver: {}}}", quoted(range))),
        }
    }
}

/// From the lowest version to the end of the highest line, where every image has a version of it.
fn range(images: &[SeenImage]) -> Option<String> {
    let version = |tag: &Tag| {
        let text = tag.as_str();
        let read = semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
        read.pre.is_empty().then_some(read)
    };
    let versions: Vec<_> =
        images.iter().flat_map(|image| &image.tags).filter_map(version).collect();
    let (lowest, highest) = (versions.iter().min()?, versions.iter().max()?);
    let range = format!(">={lowest}, <{}", highest.major.checked_add(1)?);
    let filter = TagFilter::Semver(semver::VersionReq::parse(&range).ok()?);
    let is_covered = |image: &SeenImage| image.tags.iter().any(|tag| filter.matches(tag));
    images.iter().all(is_covered).then_some(range)
}

/// The form of `tag`: of a version with parts, the first number stays and the others may be any; everything else
/// is itself.
fn form(tag: &Tag) -> String {
    let text = tag.as_str();
    let begin = usize::from(text.starts_with('v'));
    let number = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0).then_some(from + digits)
    };
    let Some(first) = number(begin) else { return text.to_owned() };
    let mut end = first;
    while text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
        let Some(next) = number(end + 1) else { break };
        end = next;
    }
    if end == first {
        return text.to_owned();
    }
    let (head, tail) = (text.get(..first), text.get(end..));
    format!("{}.*{}", head.unwrap_or_default(), tail.unwrap_or_default())
}
