//! Versions of Composer: up to four numbers or a date, a stability, and a mark for development.
//!
//! Spec: <https://getcomposer.org/doc/articles/versions.md>

use std::cmp::Ordering;

use super::number::{Number, compare_padded, take_digits, take_while};

/// How many numbers a version that is not a date has; those that are not written are 0.
const NUMBERS: usize = 4;

/// Digits that the first number has at most, when it is not a date.
const FIRST_DIGITS_MAX: usize = 5;

/// What stands for `x` in a branch's name: more than any release of the branch has.
const BRANCH: u64 = 9_999_999;

/// A version of Composer. The name of a branch alone is none: `dev-main` is in no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Composer(Box<[Part]>);

/// What a version is made of, in the order that parts have in the same place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Dev,
    Alpha,
    Beta,
    Candidate,
    /// The version ends here.
    End,
    Number(Number),
    Patch,
}

impl Composer {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = without_build(text)?.to_ascii_lowercase();
        let version = text.strip_prefix('v').unwrap_or(&text).as_bytes();
        let parts = (numbers_of(version).and_then(with_modifier))
            .or_else(|| date_of(version).and_then(with_modifier))
            .or_else(|| branch_of(version));
        parts.map(|parts| Self(parts.into())).ok_or("Composer does not allow it")
    }
}

fn without_build(text: &str) -> Result<&str, &'static str> {
    match text.split_once('+') {
        None => Ok(text),
        Some((version, build))
            if !build.is_empty() && build.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(version)
        }
        Some(_) => Err("its build metadata is empty or has a character that is not allowed"),
    }
}

/// Numbers, and what follows them.
type Found<'a> = (Vec<Part>, &'a [u8]);

/// `1`, `1.2`, `1.2.3`, `1.2.3.4`.
fn numbers_of(version: &[u8]) -> Option<Found<'_>> {
    let (first, mut rest) = take_digits(version);
    if first.is_empty() || first.len() > FIRST_DIGITS_MAX {
        return None;
    }
    let mut parts = vec![Part::Number(Number::of(first))];
    while let [b'.', after @ ..] = rest
        && parts.len() < NUMBERS
    {
        match take_digits(after) {
            ([], _) => break,
            (digits, after) => {
                parts.push(Part::Number(Number::of(digits)));
                rest = after;
            }
        }
    }
    parts.resize(NUMBERS, Part::Number(Number::ZERO));
    Some((parts, rest))
}

/// `20240131`, `2024-01-31`, `2024.01.31-12:30`: what is not one of `numbers_of`.
fn date_of(version: &[u8]) -> Option<Found<'_>> {
    let (date, _) = take_while(version, |byte| byte.is_ascii_digit() || b".:-".contains(&byte));
    // A separator at the end belongs to what follows.
    let date = date.strip_suffix(b".").or_else(|| date.strip_suffix(b"-")).unwrap_or(date);
    let (year, after) = date.split_at_checked(4)?;
    if !year.iter().all(u8::is_ascii_digit) || !is_rest_of_date(after, 0, 0) {
        return None;
    }
    let numbers =
        date.split(|byte| !byte.is_ascii_digit()).map(|digits| Part::Number(Number::of(digits)));
    Some((numbers.collect(), version.get(date.len()..)?))
}

/// Whether one to six times two digits, and up to two times one to three digits, may follow a year; each
/// with or without a separator. Depth and width are bounded by these counts.
fn is_rest_of_date(rest: &[u8], pairs: usize, others: usize) -> bool {
    if rest.is_empty() {
        return pairs > 0;
    }
    let rest = match rest {
        [b'.' | b':' | b'-', after @ ..] => after,
        rest => rest,
    };
    let follows = |count: usize, pairs: usize, others: usize| {
        rest.split_at_checked(count).is_some_and(|(digits, after)| {
            digits.iter().all(u8::is_ascii_digit) && is_rest_of_date(after, pairs, others)
        })
    };
    (others == 0 && pairs < 6 && follows(2, pairs + 1, 0))
        || (pairs > 0 && others < 2 && (1..=3).any(|count| follows(count, pairs, others + 1)))
}

/// The words for stabilities, and what each is; `None` for those that say nothing.
const STABILITIES: &[(&[u8], Option<Part>)] = &[
    (b"stable", None),
    (b"beta", Some(Part::Beta)),
    (b"b", Some(Part::Beta)),
    (b"rc", Some(Part::Candidate)),
    (b"alpha", Some(Part::Alpha)),
    (b"a", Some(Part::Alpha)),
    (b"patch", Some(Part::Patch)),
    (b"pl", Some(Part::Patch)),
    (b"p", Some(Part::Patch)),
];

/// The numbers with the stability, its own numbers and the mark for development; `None` when what follows
/// them is something else.
fn with_modifier((mut parts, rest): Found<'_>) -> Option<Vec<Part>> {
    let rest = match rest {
        [b'.' | b'_' | b'-', after @ ..] => after,
        rest => rest,
    };
    for (word, stability) in STABILITIES {
        let Some(after) = rest.strip_prefix(*word) else { continue };
        let (mut numbers, after) = stability_numbers(after);
        if let Some(dev) = development(after) {
            // After `stable` the mark is not looked at.
            if let Some(stability) = stability {
                parts.push(stability.clone());
                parts.append(&mut numbers);
                parts.extend(dev);
            }
            return Some(parts);
        }
    }
    parts.extend(development(rest)?);
    Some(parts)
}

fn stability_numbers(mut rest: &[u8]) -> (Vec<Part>, &[u8]) {
    let mut numbers = Vec::new();
    loop {
        let after = match rest {
            [b'.' | b'-', after @ ..] => after,
            rest => rest,
        };
        match take_digits(after) {
            ([], _) => return (numbers, rest),
            (digits, after) => {
                numbers.push(Part::Number(Number::of(digits)));
                rest = after;
            }
        }
    }
}

/// The mark for development, or nothing; `None` when the rest is something else.
fn development(rest: &[u8]) -> Option<Option<Part>> {
    match rest {
        b"" => Some(None),
        b"dev" | b".dev" | b"-dev" => Some(Some(Part::Dev)),
        _ => None,
    }
}

/// `2.x-dev`, `2.1.x-dev`: a branch that is named by its numbers.
fn branch_of(version: &[u8]) -> Option<Vec<Part>> {
    let name = version.strip_suffix(b"dev")?;
    let name = name.strip_suffix(b".").or_else(|| name.strip_suffix(b"-")).unwrap_or(name);
    let any = || Part::Number(Number::Word(BRANCH));
    let mut parts = Vec::with_capacity(NUMBERS + 1);
    for (index, part) in name.split(|byte| *byte == b'.').enumerate() {
        match (part, take_digits(part)) {
            (b"x" | b"*", _) if index > 0 => parts.push(any()),
            (_, (digits @ [_, ..], [])) if index < NUMBERS => {
                parts.push(Part::Number(Number::of(digits)))
            }
            _ => return None,
        }
    }
    if parts.len() > NUMBERS {
        return None;
    }
    parts.resize_with(NUMBERS, any);
    parts.push(Part::Dev);
    Some(parts)
}

impl Ord for Composer {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_padded(&self.0, &other.0, &Part::End)
    }
}

impl PartialOrd for Composer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
