//! Versions of Maven: a tree of numbers and qualifiers, by the rules of `ComparableVersion`.
//!
//! Spec: <https://maven.apache.org/pom.html#version-order-specification>

use std::cmp::Ordering;

use super::number::{Number, take_while};

/// A version of Maven.
///
/// Its rules make a list of it in which a list may follow, in which another may, and so on: never more
/// than one in each, and always as its last item. So it is kept flat.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Maven(Box<[Item]>);

/// A part of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// All that follows is in a list of its own.
    List,
    Number(Number),
    /// A qualifier with a number: `rc1`, `rc-1`.
    Numbered(Qualifier, Number),
    Qualifier(Qualifier),
}

/// A word, in the order of the known ones; those that are not known come last, by their letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    /// And nothing at all.
    Release,
    ServicePack,
    Other(Box<[u8]>),
}

impl Qualifier {
    fn of(word: &[u8]) -> Self {
        match word {
            b"alpha" => Self::Alpha,
            b"beta" => Self::Beta,
            b"milestone" => Self::Milestone,
            b"rc" | b"cr" => Self::Candidate,
            b"snapshot" => Self::Snapshot,
            b"" | b"ga" | b"final" | b"release" => Self::Release,
            b"sp" => Self::ServicePack,
            other => Self::Other(other.into()),
        }
    }

    /// One that a number follows may be a letter only.
    fn of_numbered(word: &[u8]) -> Self {
        match word {
            b"a" => Self::Alpha,
            b"b" => Self::Beta,
            b"m" => Self::Milestone,
            word => Self::of(word),
        }
    }
}

impl Maven {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte)) {
            return Err("it has a character that is not allowed");
        }
        let text = text.to_ascii_lowercase();
        let mut reader = Reader::default();
        for at in 0..text.len() {
            reader.step(text.as_bytes(), at);
        }
        reader.end(text.as_bytes());
        Ok(Self(normalised(reader.lists).into()))
    }
}

/// Reads a version byte by byte: hyphens, and changes between digits and letters, begin lists.
struct Reader {
    /// The lists so far, each in the one before it; never empty.
    lists: Vec<Vec<Item>>,
    /// Where the part begins that is being read.
    start: usize,
    /// Whether the last byte that was no separator is a digit.
    in_digits: bool,
    /// Whether the part that is being read is a qualifier with a number.
    is_numbered: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { lists: vec![Vec::new()], start: 0, in_digits: false, is_numbered: false }
    }
}

impl Reader {
    fn step(&mut self, text: &[u8], at: usize) {
        match text.get(at) {
            Some(b'.') => {
                self.push(text, at);
                self.start = at + 1;
            }
            Some(b'-') => self.hyphen(text, at),
            Some(b'0'..=b'9') => {
                if !self.in_digits && at > self.start {
                    self.is_numbered = true;
                    self.begin_list();
                }
                self.in_digits = true;
            }
            _ => {
                if self.in_digits && at > self.start {
                    self.push(text, at);
                    self.start = at;
                    self.begin_list();
                }
                self.in_digits = false;
            }
        }
    }

    fn hyphen(&mut self, text: &[u8], at: usize) {
        let is_before_digit = text.get(at + 1).is_some_and(u8::is_ascii_digit);
        if at > self.start && !self.in_digits && is_before_digit {
            // `rc-1` is `rc1`.
            self.is_numbered = true;
            return;
        }
        self.push(text, at);
        self.start = at + 1;
        self.begin_list();
    }

    fn end(&mut self, text: &[u8]) {
        if text.len() > self.start {
            if !self.in_digits {
                self.begin_list();
            }
            self.push(text, text.len());
        }
    }

    /// Begins a list in the last one, unless that is empty still.
    fn begin_list(&mut self) {
        if self.lists.last().is_some_and(|list| !list.is_empty()) {
            self.lists.push(Vec::new());
        }
    }

    /// Adds the part that ends at `end`; nothing between two separators is zero.
    fn push(&mut self, text: &[u8], end: usize) {
        let part = text.get(self.start..end).unwrap_or_default();
        let item = if part.is_empty() {
            Item::Number(Number::ZERO)
        } else if self.is_numbered {
            let (word, rest) = take_while(part, |byte| !byte.is_ascii_digit());
            let word = word.strip_suffix(b"-").unwrap_or(word);
            Item::Numbered(Qualifier::of_numbered(word), Number::of(rest))
        } else if self.in_digits {
            Item::Number(Number::of(part))
        } else {
            Item::Qualifier(Qualifier::of(part))
        };
        self.is_numbered = false;
        if let Some(list) = self.lists.last_mut() {
            list.push(item);
        }
    }
}

/// The lists in one, without the zeros that say nothing: those at the end and before qualifiers.
fn normalised(lists: Vec<Vec<Item>>) -> Vec<Item> {
    let mut backwards: Vec<Item> = Vec::new();
    for list in lists.into_iter().rev() {
        if !backwards.is_empty() {
            backwards.push(Item::List);
        }
        for item in list.into_iter().rev() {
            let is_zero = item == Item::Number(Number::ZERO);
            let says_nothing = match backwards.as_slice() {
                [] | [.., Item::Qualifier(_)] => true,
                [.., first, Item::List] => matches!(first, Item::Qualifier(_) | Item::Numbered(..)),
                _ => false,
            };
            if !(is_zero && says_nothing) {
                backwards.push(item);
            }
        }
    }
    backwards.reverse();
    backwards
}

impl Item {
    /// The order of two parts in the same place.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::List, Self::List) => Ordering::Equal,
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Qualifier(a), Self::Qualifier(b)) => a.cmp(b),
            (Self::Qualifier(a), Self::Numbered(b, _)) => a.cmp(b).then(Ordering::Less),
            (Self::Numbered(a, _), Self::Qualifier(b)) => a.cmp(b).then(Ordering::Greater),
            (Self::Numbered(a, number), Self::Numbered(b, other_number)) => {
                a.cmp(b).then_with(|| number.cmp(other_number))
            }
            // Numbers are after lists, and lists after qualifiers.
            (Self::Number(_), _) | (Self::List, Self::Qualifier(_) | Self::Numbered(..)) => {
                Ordering::Greater
            }
            (_, Self::Number(_)) | (Self::Qualifier(_) | Self::Numbered(..), Self::List) => {
                Ordering::Less
            }
        }
    }

    /// The order of a part and the end of a shorter version.
    fn compare_to_end(&self) -> Ordering {
        match self {
            Self::List => Ordering::Equal,
            Self::Number(number) => number.cmp(&Number::ZERO),
            Self::Qualifier(qualifier) | Self::Numbered(qualifier, _) => {
                qualifier.cmp(&Qualifier::Release)
            }
        }
    }
}

impl Ord for Maven {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (self.0.iter(), other.0.iter());
        loop {
            let order = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (Some(item), Some(other)) => item.compare(other),
                (Some(item), None) => item.compare_to_end(),
                (None, Some(other)) => other.compare_to_end().reverse(),
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

impl PartialOrd for Maven {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Maven {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Maven {}
