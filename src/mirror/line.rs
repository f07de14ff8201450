//! Lines of tags: those that differ in their version alone, and how far one is from another.

use crate::oci::Tag;

/// Most numbers in a version that are compared.
const NUMBERS_MAX: usize = 6;
/// Digits of a number that are still one; longer ones are dates and builds, and end the version.
const DIGITS_MAX: usize = 9;

/// A tag taken apart: `v7.4.1-alpine` is 7, 4, 1 and `-alpine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) struct Version<'a> {
    /// The numbers it begins with, a `v` left out.
    pub(in crate::mirror) numbers: Vec<u64>,
    /// What comes after them.
    pub(in crate::mirror) rest: &'a str,
}

/// How far a newer version of a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::mirror) enum Step {
    /// Nothing but what comes after the first two numbers is another.
    Patch,
    /// The first number is the same.
    Minor,
    /// Another first number.
    Major,
}

impl Step {
    /// The step in one word.
    pub(in crate::mirror) const fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl<'a> Version<'a> {
    /// The version that `tag` is; `None` when it does not begin with a number.
    pub(in crate::mirror) fn of(tag: &'a Tag) -> Option<Self> {
        let tag = tag.as_str();
        let mut rest = tag.strip_prefix('v').unwrap_or(tag);
        let mut numbers = Vec::new();
        while numbers.len() < NUMBERS_MAX {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > DIGITS_MAX {
                break;
            }
            let (number, after) = rest.split_at_checked(digits)?;
            numbers.push(number.parse().ok()?);
            rest = after;
            match after.strip_prefix('.') {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        (!numbers.is_empty()).then_some(Self { numbers, rest })
    }

    /// How far `other` is ahead of this one in the same line: written with as many numbers and the same
    /// rest, and higher.
    pub(in crate::mirror) fn step_to(&self, other: &Version<'_>) -> Option<Step> {
        let same_form = self.numbers.len() == other.numbers.len() && self.rest == other.rest;
        if !same_form || other.numbers <= self.numbers {
            return None;
        }
        let same = self.numbers.iter().zip(&other.numbers).take_while(|(a, b)| a == b).count();
        Some(match same {
            0 => Step::Major,
            1 => Step::Minor,
            _ => Step::Patch,
        })
    }
}

/// The highest of `tags` below `tag` that goes on in the same way after the version; else the lowest
/// above it.
pub(in crate::mirror) fn nearest<'a>(tag: &Tag, tags: &'a [Tag]) -> Option<&'a Tag> {
    let wanted = Version::of(tag)?;
    let mut of_line: Vec<(Vec<u64>, &Tag)> = Vec::new();
    for other in tags.iter().filter(|other| *other != tag) {
        if let Some(version) = Version::of(other)
            && version.rest == wanted.rest
        {
            of_line.push((version.numbers, other));
        }
    }
    of_line.sort();
    let below = of_line.iter().rev().find(|(numbers, _)| *numbers <= wanted.numbers);
    below.or_else(|| of_line.first()).map(|(_, tag)| *tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn the_nearest_tag_is_of_the_same_line_and_below_if_there_is_one() {
        let tags = ["7.2", "7.2-alpine", "7.4-alpine", "8.0", "latest", "v7.3.1"].map(tag);
        for (wanted, expected) in [
            ("7.4", Some("v7.3.1")),
            ("7.3-alpine", Some("7.2-alpine")),
            ("6.0", Some("7.2")),
            ("9", Some("8.0")),
            ("8.0-slim", None),
            ("stable", None),
        ] {
            assert_eq!(nearest(&tag(wanted), &tags).map(Tag::as_str), expected, "{wanted}");
        }
    }

    #[test]
    fn a_step_is_as_far_as_the_first_number_that_is_another() {
        for (from, to, expected) in [
            ("1.4.2", "1.4.10", Some(Step::Patch)),
            ("v1.4.2", "1.5.0", Some(Step::Minor)),
            ("1.4.2", "2.0.0", Some(Step::Major)),
            ("1.4", "1.6", Some(Step::Minor)),
            ("12", "13", Some(Step::Major)),
            ("1.4.2-alpine", "1.4.3-alpine", Some(Step::Patch)),
            ("1.4.2", "1.4.2", None),
            ("1.4.2", "1.4.1", None),
            ("1.4.2", "1.4.3-rc.1", None),
            ("1.4.2", "1.4.3-alpine", None),
            ("1.4", "1.4.3", None),
        ] {
            let (from_tag, to_tag) = (tag(from), tag(to));
            let (a, b) = (Version::of(&from_tag).unwrap(), Version::of(&to_tag).unwrap());
            assert_eq!(a.step_to(&b), expected, "{from} {to}");
        }
        assert_eq!(Version::of(&tag("latest")), None);
    }
}
