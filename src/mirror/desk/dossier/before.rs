//! With what an image is compared: what its tag is served as now, or else the nearest tag.

use super::Before;
use crate::gate::Subject;
use crate::mirror::desk::{Desk, Error};
use crate::oci::Tag;

/// Most numbers in a version that are compared.
const NUMBERS_MAX: usize = 6;
/// Digits of a number that are still one; longer ones are dates and builds, and end the version.
const DIGITS_MAX: usize = 9;

impl Desk {
    /// What is admitted now under `tag`, if that is something else than `subject`; else the admitted tag
    /// of the repository that is nearest below it in the same line.
    pub(super) async fn before(
        &self,
        subject: &Subject,
        tag: Option<&Tag>,
    ) -> Result<Option<Before>, Error> {
        let Some(tag) = tag else { return Ok(None) };
        let ledger = self.mirror.ledger();
        match ledger.admitted_tag(&subject.name, tag).await? {
            Some(digest) if digest == subject.digest => return Ok(None),
            Some(digest) => {
                let of = Subject { name: subject.name.clone(), digest };
                if let Some(facts) = self.facts_of(&of).await? {
                    return Ok(Some(Before { tag: tag.clone(), is_same_tag: true, facts }));
                }
            }
            None => {}
        }
        let tags = ledger.admitted_tags(&subject.name).await?;
        let Some(nearest) = nearest(tag, &tags) else { return Ok(None) };
        let Some(digest) = ledger.admitted_tag(&subject.name, nearest).await? else {
            return Ok(None);
        };
        if digest == subject.digest {
            return Ok(None);
        }
        let of = Subject { name: subject.name.clone(), digest };
        let facts = self.facts_of(&of).await?;
        Ok(facts.map(|facts| Before { tag: nearest.clone(), is_same_tag: false, facts }))
    }
}

/// The highest of `tags` below `tag` that goes on in the same way after the version; else the lowest
/// above it.
fn nearest<'a>(tag: &Tag, tags: &'a [Tag]) -> Option<&'a Tag> {
    let (wanted, rest) = version(tag.as_str())?;
    let mut of_line: Vec<(Vec<u64>, &Tag)> = Vec::new();
    for other in tags.iter().filter(|other| *other != tag) {
        if let Some((numbers, same)) = version(other.as_str())
            && same == rest
        {
            of_line.push((numbers, other));
        }
    }
    of_line.sort();
    let below = of_line.iter().rev().find(|(numbers, _)| *numbers <= wanted);
    below.or_else(|| of_line.first()).map(|(_, tag)| *tag)
}

/// The numbers that `tag` begins with, a `v` left out, and what comes after them.
fn version(tag: &str) -> Option<(Vec<u64>, &str)> {
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
    (!numbers.is_empty()).then_some((numbers, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_tag_is_of_the_same_line_and_below_if_there_is_one() {
        let tags = ["7.2", "7.2-alpine", "7.4-alpine", "8.0", "latest", "v7.3.1"];
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        for (tag, expected) in [
            ("7.4", Some("v7.3.1")),
            ("7.3-alpine", Some("7.2-alpine")),
            ("6.0", Some("7.2")),
            ("9", Some("8.0")),
            ("8.0-slim", None),
            ("stable", None),
        ] {
            let found = nearest(&tag.parse().unwrap(), &tags).map(Tag::as_str);
            assert_eq!(found, expected, "{tag}");
        }
    }
}
