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
        let release = text.split('-').next().unwrap_or_default();
        if !release.split('.').next().unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err("it does not begin with a number");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
            return Err("it has a character that is not allowed");
        }
        let prerelease = text.split_once('-').map_or("none", |(_, prerelease)| prerelease);
        if !release.split('.').chain(prerelease.split('.')).all(|part| !part.is_empty()) {
            return Err("a part of it is empty");
        }
        Ok(Self(canonical(segments(text.as_bytes())).into()))
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

/// The numbers and words of a version; a hyphen is the word `pre`.
fn segments(text: &[u8]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match first {
            b'-' => {
                segments.push(Segment::Word((*b"pre").into()));
                after
            }
            b'0'..=b'9' => {
                let (digits, after) = take_digits(rest);
                segments.push(Segment::Number(Number::of(digits)));
                after
            }
            letter if letter.is_ascii_alphabetic() => {
                let (word, after) = take_letters(rest);
                segments.push(Segment::Word(word.into()));
                after
            }
            _ => after,
        };
    }
    segments
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
