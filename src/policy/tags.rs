//! Which tags a rule speaks of.

use super::pattern::Pattern;
use crate::oci::Tag;

/// The tags that a rule speaks of.
///
/// A rule with a filter applies to a digest when any tag that our own history saw resolve to it
/// passes.
#[derive(Debug, Clone)]
pub enum TagFilter {
    /// Exactly these.
    Exact(Vec<Tag>),
    /// Those that match one of these patterns, in which `*` stands for any run of characters.
    Glob(Vec<Pattern>),
    /// Those that are a semantic version, with or without a leading `v`, in this range.
    Semver(semver::VersionReq),
}

impl TagFilter {
    /// Whether `tag` passes. A tag that is no semantic version passes no range.
    pub fn matches(&self, tag: &Tag) -> bool {
        match self {
            Self::Exact(tags) => tags.contains(tag),
            Self::Glob(patterns) => patterns.iter().any(|pattern| pattern.matches(tag.as_str())),
            Self::Semver(range) => {
                let text = tag.as_str();
                let version = text.strip_prefix('v').unwrap_or(text);
                semver::Version::parse(version).is_ok_and(|version| range.matches(&version))
            }
        }
    }

    /// How narrowly the filter names its tags: exact names come before ranges and patterns.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 2,
            Self::Glob(_) | Self::Semver(_) => 1,
        }
    }
}
