//! Versions of NuGet: semantic ones with up to four numbers, without regard to case.
//!
//! Spec: <https://learn.microsoft.com/en-us/nuget/concepts/package-versioning>

use std::cmp::Ordering;

use super::number::{Number, take_digits};

/// How many numbers a version has at most.
const NUMBERS_MAX: usize = 4;

/// A version of `NuGet`; build metadata is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Nuget {
    numbers: [Number; NUMBERS_MAX],
    /// Empty for a release, which is after all that precede it.
    prerelease: Box<[Identifier]>,
}

/// Numbers are before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(Number),
    /// In lower case.
    Word(Box<[u8]>),
}

impl Nuget {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (version, build) =
            text.split_once('+').map_or((text, None), |(version, build)| (version, Some(build)));
        let (release, prerelease) = version
            .split_once('-')
            .map_or((version, None), |(release, rest)| (release, Some(rest)));
        if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
            return Err("its build metadata is empty or has a character that is not allowed");
        }
        Ok(Self { numbers: numbers_of(release)?, prerelease: identifiers_of(prerelease)? })
    }
}

fn numbers_of(release: &str) -> Result<[Number; NUMBERS_MAX], &'static str> {
    let mut numbers = [Number::ZERO; NUMBERS_MAX];
    let mut parts = release.split('.');
    for (number, part) in numbers.iter_mut().zip(parts.by_ref()) {
        match take_digits(part.as_bytes()) {
            (digits @ [_, ..], []) => *number = Number::of(digits),
            _ => return Err("a part of it is not a number"),
        }
    }
    if parts.next().is_some() { Err("it has more than four numbers") } else { Ok(numbers) }
}

fn identifiers_of(prerelease: Option<&str>) -> Result<Box<[Identifier]>, &'static str> {
    let Some(prerelease) = prerelease else { return Ok(Box::default()) };
    if !prerelease.split('.').all(is_identifier) {
        return Err("its pre-release is empty or has a character that is not allowed");
    }
    Ok(prerelease.split('.').map(identifier).collect())
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn identifier(part: &str) -> Identifier {
    match take_digits(part.as_bytes()) {
        (digits, []) => Identifier::Number(Number::of(digits)),
        _ => Identifier::Word(part.as_bytes().to_ascii_lowercase().into()),
    }
}

impl Ord for Nuget {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_release = |version: &Self| version.prerelease.is_empty();
        (self.numbers.cmp(&other.numbers))
            .then_with(|| is_release(self).cmp(&is_release(other)))
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl PartialOrd for Nuget {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
