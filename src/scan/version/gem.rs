//! Versions of RubyGems: numbers and words with dots between.
//!
//! Spec: <https://docs.ruby-lang.org/en/3.4/Gem/Version.html>

use std::cmp::Ordering;

use super::number::{Number, compare_padded, take_digits, take_letters};

/// A version of `RubyGems`, without the platform that lock files append to it.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Gem(Box<[Segment]>);

/// A word is before every number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Word(Box<[u8]>),
    Number(Number),
}

/// What stands for a segment that is not there.
const NOTHING: Segment = Segment::Number(Number::ZERO);

/// With what the platforms begin that gems are built for.
const PLATFORMS: &[&str] = &[
    "aarch64",
    "amd64",
    "arm",
    "arm64",
    "dalvik",
    "darwin",
    "dotnet",
    "freebsd",
    "i386",
    "i486",
    "i586",
    "i686",
    "java",
    "jruby",
    "linux",
    "macruby",
    "mingw32",
    "mswin32",
    "mswin64",
    "powerpc",
    "ppc64le",
    "riscv64",
    "ruby",
    "s390x",
    "sparc",
    "universal",
    "x64",
    "x86",
    "x86_64",
];

impl Gem {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = without_platform(text);
        let (release, prerelease) =
            text.split_once('-').map_or((text, None), |(release, rest)| (release, Some(rest)));
        let first = release.split('.').next().unwrap_or_default();
        if !first.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err("it does not begin with a number");
        }
        if !release.split('.').all(is_alphanumeric) {
            return Err("a part of it is empty or has a character that is not allowed");
        }
        let mut segments = Vec::new();
        push_segments(&mut segments, release);
        if let Some(prerelease) = prerelease {
            if !prerelease.split(['.', '-']).all(is_alphanumeric) {
                return Err("its pre-release is empty or has a character that is not allowed");
            }
            // As Gem::Version reads a hyphen.
            for part in prerelease.split('-') {
                segments.push(Segment::Word((*b"pre").into()));
                push_segments(&mut segments, part);
            }
        }
        Ok(Self(canonical(segments).into()))
    }
}

/// `1.13.10-x86_64-linux` is 1.13.10 for a platform, `1.0.0-rc1` is a version.
fn without_platform(text: &str) -> &str {
    match text.split_once('-') {
        Some((version, platform))
            if PLATFORMS.contains(&platform.split('-').next().unwrap_or_default()) =>
        {
            version
        }
        _ => text,
    }
}

fn is_alphanumeric(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn push_segments(segments: &mut Vec<Segment>, text: &str) {
    for part in text.split('.') {
        let mut rest = part.as_bytes();
        while !rest.is_empty() {
            let (digits, after_digits) = take_digits(rest);
            if !digits.is_empty() {
                segments.push(Segment::Number(Number::of(digits)));
            }
            let (word, after_word) = take_letters(after_digits);
            if !word.is_empty() {
                segments.push(Segment::Word(word.into()));
            }
            rest = after_word;
        }
    }
}

/// Without the zeros at the end, and without those before the first word.
fn canonical(mut segments: Vec<Segment>) -> Vec<Segment> {
    let is_word = |segment: &Segment| matches!(segment, Segment::Word(_));
    let first_word = segments.iter().position(is_word).unwrap_or(segments.len());
    let mut words = segments.split_off(first_word);
    for part in [&mut segments, &mut words] {
        while part.last() == Some(&NOTHING) {
            part.pop();
        }
    }
    segments.append(&mut words);
    segments
}

impl Ord for Gem {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_padded(&self.0, &other.0, &NOTHING)
    }
}

impl PartialOrd for Gem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Gem {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Gem {}
