//! Versions of Maven: a tree of numbers and qualifiers, by the rules of `ComparableVersion` of Maven 3.9.
//!
//! Maven's own order is not total: with a qualifier between dots (`1.0.alpha.2`), or behind nothing but
//! zeros (`1-0-alpha`), it has circles. Here every qualifier begins a list, as in Maven those do that stand
//! at the end or before digits, so that there are none.
//!
//! Spec: <https://maven.apache.org/pom.html#version-order-specification>

use std::cmp::Ordering;

use super::number::Number;

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

    /// One that a number follows at once may be a letter only.
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
}

impl Default for Reader {
    fn default() -> Self {
        Self { lists: vec![Vec::new()], start: 0, in_digits: false }
    }
}

impl Reader {
    fn step(&mut self, text: &[u8], at: usize) {
        match text.get(at) {
            Some(b'.') => {
                self.push_part(text, at);
                self.start = at + 1;
            }
            Some(b'-') => {
                self.push_part(text, at);
                self.start = at + 1;
                self.lists.push(Vec::new());
            }
            Some(b'0'..=b'9') => {
                if !self.in_digits && at > self.start {
                    self.begin_list();
                    self.push(Item::Qualifier(Qualifier::of_numbered(self.part(text, at))));
                    self.start = at;
                    self.lists.push(Vec::new());
                }
                self.in_digits = true;
            }
            _ => {
                if self.in_digits && at > self.start {
                    self.push_part(text, at);
                    self.start = at;
                    self.lists.push(Vec::new());
                }
                self.in_digits = false;
            }
        }
    }

    fn end(&mut self, text: &[u8]) {
        if text.len() > self.start {
            self.push_part(text, text.len());
        }
    }

    /// Begins a list in the last one, unless that is empty still.
    fn begin_list(&mut self) {
        if self.lists.last().is_some_and(|list| !list.is_empty()) {
            self.lists.push(Vec::new());
        }
    }

    fn part<'a>(&self, text: &'a [u8], end: usize) -> &'a [u8] {
        text.get(self.start..end).unwrap_or_default()
    }

    /// Adds the part that ends at `end`; nothing between two separators is zero. A qualifier begins a list:
    /// a dot before it is as good as a hyphen; but one that will say nothing, because it is of a release
    /// and a list follows, does not.
    fn push_part(&mut self, text: &[u8], end: usize) {
        let part = self.part(text, end);
        if part.is_empty() || self.in_digits {
            return self.push(Item::Number(Number::of(part)));
        }
        let item = Item::Qualifier(Qualifier::of(part));
        if !item.says_nothing() || text.get(end) != Some(&b'-') {
            self.begin_list();
        }
        self.push(item);
    }

    fn push(&mut self, item: Item) {
        if let Some(list) = self.lists.last_mut() {
            list.push(item);
        }
    }
}

/// The lists in one, each without what says nothing at its end or before the list in it: zeros, and
/// qualifiers of releases. A list that has nothing left but one that begins with a qualifier is that one.
fn normalised(lists: Vec<Vec<Item>>) -> Vec<Item> {
    let mut backwards: Vec<Item> = Vec::new();
    for list in lists.into_iter().rev() {
        let length = backwards.len();
        let begins_with_qualifier = matches!(backwards.last(), Some(Item::Qualifier(_)));
        if length > 0 {
            backwards.push(Item::List);
        }
        backwards.extend(list.into_iter().rev().skip_while(Item::says_nothing));
        if begins_with_qualifier && backwards.len() == length + 1 {
            backwards.pop();
        }
    }
    backwards.reverse();
    backwards
}

impl Item {
    fn says_nothing(&self) -> bool {
        match self {
            Self::Number(number) => number.is_zero(),
            Self::Qualifier(qualifier) => *qualifier == Qualifier::Release,
            Self::List => false,
        }
    }

    /// The order of two parts in the same place: numbers are after lists, and lists after qualifiers.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::List, Self::List) => Ordering::Equal,
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Qualifier(a), Self::Qualifier(b)) => a.cmp(b),
            (Self::Number(_), _) | (Self::List, Self::Qualifier(_)) => Ordering::Greater,
            (_, Self::Number(_)) | (Self::Qualifier(_), Self::List) => Ordering::Less,
        }
    }

    /// The order of a part and the end of a shorter version.
    fn compare_to_end(&self) -> Ordering {
        match self {
            Self::List => Ordering::Equal,
            Self::Number(number) => number.cmp(&Number::ZERO),
            Self::Qualifier(qualifier) => qualifier.cmp(&Qualifier::Release),
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
