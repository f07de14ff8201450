//! Versions of RPM: `[epoch:]version[-release]`, each part by `rpmvercmp`.
//!
//! Spec: <https://rpm-software-management.github.io/rpm/man/rpm-version.7>

use std::cmp::Ordering;

use super::number::{Number, compare_digits, take_digits, take_letters, take_while};

/// A version of RPM. A release that is not there is before all others, an epoch that is not there is 0.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Rpm {
    epoch: Number,
    version: Box<str>,
    release: Box<str>,
}

impl Rpm {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch_of(epoch)?, rest),
            None => (Number::ZERO, text),
        };
        let (version, release) = match rest.split_once('-') {
            Some((_, "")) => return Err("its release is empty"),
            Some(parts) => parts,
            None => (rest, ""),
        };
        if !version.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err("its version is empty");
        }
        if !version.bytes().chain(release.bytes()).all(is_allowed) {
            return Err("it has a character that is not allowed");
        }
        Ok(Self { epoch, version: version.into(), release: release.into() })
    }

    /// Whether `bound` has no release, and this is one of its.
    pub(super) fn is_release_of(&self, bound: &Self) -> bool {
        bound.release.is_empty()
            && self.epoch == bound.epoch
            && compare_parts(self.version.as_bytes(), bound.version.as_bytes()).is_eq()
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+~^".contains(&byte)
}

fn epoch_of(epoch: &str) -> Result<Number, &'static str> {
    match take_digits(epoch.as_bytes()) {
        (digits @ [_, ..], []) => Ok(Number::of(digits)),
        _ => Err("its epoch is not a number"),
    }
}

impl Ord for Rpm {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.epoch.cmp(&other.epoch))
            .then_with(|| compare_parts(self.version.as_bytes(), other.version.as_bytes()))
            .then_with(|| compare_parts(self.release.as_bytes(), other.release.as_bytes()))
    }
}

fn compare_parts(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        (a, b) = (without_separators(a), without_separators(b));
        match (a, b) {
            ([b'~', rest @ ..], [b'~', other_rest @ ..])
            | ([b'^', rest @ ..], [b'^', other_rest @ ..]) => {
                (a, b) = (rest, other_rest);
                continue;
            }
            // A tilde is before everything, the end included; a caret is before everything but the end.
            ([], []) => return Ordering::Equal,
            ([b'~', ..], _) | ([], [b'^', ..]) => return Ordering::Less,
            (_, [b'~', ..]) | ([b'^', ..], []) => return Ordering::Greater,
            ([b'^', ..] | [], _) => return Ordering::Less,
            (_, [b'^', ..] | []) => return Ordering::Greater,
            _ => {}
        }
        let order;
        (order, a, b) = compare_segments(a, b);
        if order.is_ne() {
            return order;
        }
    }
}

/// Numbers by value, letters by their codes, and numbers after letters; with what follows.
fn compare_segments<'a, 'b>(a: &'a [u8], b: &'b [u8]) -> (Ordering, &'a [u8], &'b [u8]) {
    match (take_digits(a), take_digits(b)) {
        (([], _), ([], _)) => {
            let ((text, rest), (other, other_rest)) = (take_letters(a), take_letters(b));
            (text.cmp(other), rest, other_rest)
        }
        (([], rest), (_, other_rest)) => (Ordering::Less, rest, other_rest),
        ((_, rest), ([], other_rest)) => (Ordering::Greater, rest, other_rest),
        ((digits, rest), (other, other_rest)) => (compare_digits(digits, other), rest, other_rest),
    }
}

fn without_separators(bytes: &[u8]) -> &[u8] {
    take_while(bytes, |byte| b"._+".contains(&byte)).1
}

impl PartialOrd for Rpm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rpm {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rpm {}
