//! Which repositories a credential is for.

use crate::oci::Repository;

/// A pattern over the segments of a repository: `*` stands for any text within a segment, a segment
/// `**` for one or more segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split('/').map(str::to_owned).collect())
    }

    /// Whether the whole of `repository` fits; a part of a segment never does.
    pub(super) fn matches(&self, repository: &Repository) -> bool {
        let segments: Vec<_> = repository.as_str().split('/').collect();
        fits(&self.0, &segments)
    }

    /// How exactly this says what it means: more letters before the first `*` win, then more
    /// letters in all.
    pub(super) fn rank(&self) -> (usize, usize) {
        let text = self.0.join("/");
        let prefix = text.find('*').unwrap_or(usize::MAX);
        (prefix, text.chars().filter(|c| *c != '*').count())
    }
}

fn fits(pattern: &[String], segments: &[&str]) -> bool {
    match (pattern.split_first(), segments.split_first()) {
        (None, None) => true,
        (Some((first, rest)), Some((_, others))) if first == "**" => {
            fits(rest, others) || fits(pattern, others)
        }
        (Some((first, rest)), Some((segment, others))) => {
            segment_fits(first, segment) && fits(rest, others)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn segment_fits(pattern: &str, segment: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == segment;
    };
    let Some(rest) = segment.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|skip| rest.get(skip..).is_some_and(|rest| segment_fits(after, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, repository, expected) in [
            ("team-a/**", "team-a/web", true),
            ("team-a/**", "team-a/x/y", true),
            ("team-a/**", "team-a", false),
            ("team-a/**", "team-ab/web", false),
            ("team-*/web", "team-b/web", true),
            ("team-*/web", "team-b/x/web", false),
            ("**/web", "a/b/web", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("a/b", "a/b", true),
        ] {
            let fits = Pattern::new(pattern).matches(&repository.parse().unwrap());
            assert_eq!(fits, expected, "{pattern} {repository}");
        }
    }

    #[test]
    fn the_more_exact_pattern_ranks_higher() {
        let ranked = ["**", "team-*/web", "team-a/**", "team-a/web"];
        assert!(ranked.is_sorted_by_key(|pattern| Pattern::new(pattern).rank()));
    }
}
