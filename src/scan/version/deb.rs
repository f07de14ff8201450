//! Versions of dpkg: `[epoch:]upstream[-revision]`.
//!
//! Spec: <https://manpages.debian.org/bookworm/dpkg-dev/deb-version.7.en.html>

use std::cmp::Ordering;

use super::number::{Number, compare_digits, take_digits, take_while};

/// A version of dpkg.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Deb {
    epoch: Number,
    upstream: Box<str>,
    revision: Box<str>,
}

impl Deb {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch_of(epoch)?, rest),
            None => (Number::ZERO, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return Err("its revision is empty"),
            Some(parts) => parts,
            None => (rest, ""),
        };
        // dpkg itself compares what does not begin with a digit, but warns: such versions are not ordered
        // as those who wrote them think.
        if !upstream.starts_with(|first: char| first.is_ascii_digit()) {
            return Err("its upstream version does not begin with a digit");
        }
        if !upstream.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+~:".contains(&byte)) {
            return Err("its upstream version has a character that is not allowed");
        }
        if !revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte)) {
            return Err("its revision has a character that is not allowed");
        }
        Ok(Self { epoch, upstream: upstream.into(), revision: revision.into() })
    }

    /// Whether `bound` has no revision, and this is one of its.
    pub(super) fn is_release_of(&self, bound: &Self) -> bool {
        bound.revision.is_empty()
            && self.epoch == bound.epoch
            && compare_parts(self.upstream.as_bytes(), bound.upstream.as_bytes()).is_eq()
    }
}

fn epoch_of(epoch: &str) -> Result<Number, &'static str> {
    match take_digits(epoch.as_bytes()) {
        (digits @ [_, ..], []) => Ok(Number::of(digits)),
        _ => Err("its epoch is not a number"),
    }
}

impl Ord for Deb {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.epoch.cmp(&other.epoch))
            .then_with(|| compare_parts(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| compare_parts(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

/// Text and numbers by turns, as long as either has some left.
fn compare_parts(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text, rest) = take_while(a, |byte| !byte.is_ascii_digit());
        let (other_text, other_rest) = take_while(b, |byte| !byte.is_ascii_digit());
        let (digits, rest) = take_digits(rest);
        let (other_digits, other_rest) = take_digits(other_rest);
        let order =
            compare_texts(text, other_text).then_with(|| compare_digits(digits, other_digits));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest, other_rest);
    }
    Ordering::Equal
}

fn compare_texts(a: &[u8], b: &[u8]) -> Ordering {
    let weights = |text: &[u8], at: usize| text.get(at).map_or(END, |byte| weight(*byte));
    (0..a.len().max(b.len()))
        .map(|at| weights(a, at).cmp(&weights(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Where a text ends, or a number begins.
const END: u16 = 1;

/// A tilde is before the end, letters are after it, and all else is after letters.
fn weight(byte: u8) -> u16 {
    match byte {
        b'~' => 0,
        byte if byte.is_ascii_alphabetic() => u16::from(byte),
        byte => u16::from(byte) + 0x100,
    }
}

impl PartialOrd for Deb {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deb {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Deb {}
