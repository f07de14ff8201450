//! Strings and other runs of bytes, each kept once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Bytes of all strings together.
const STRING_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;

/// Strings by the order in which they came. Nothing is taken beyond [`STRING_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    known: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Strings {
    /// The number of `text`; `None` when there is no room for it.
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        self.number_of(text.as_bytes())
    }

    /// The number of a run of bytes; `None` when there is no room for it.
    pub(super) fn number_of(&mut self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        let is_it = |number: &u32| slice(bytes, ends, *number) == text;
        if let Some(number) = self.known.find(hash, is_it) {
            return Some(*number);
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        let end = self.bytes.len() + text.len();
        if end > STRING_BYTES_MAX {
            return None;
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(u32::try_from(end).ok()?);
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.known.insert_unique(hash, number, |other| hasher.hash_one(slice(bytes, ends, *other)));
        Some(number)
    }

    /// The string of a number that was given out here.
    pub(super) fn text(&self, number: u32) -> &str {
        std::str::from_utf8(slice(&self.bytes, &self.ends, number)).unwrap_or_default()
    }

    /// All bytes, and where each string ends.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.ends)
    }

    /// The numbers in the order of their strings.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            (0..u32::try_from(self.ends.len()).unwrap_or(u32::MAX)).collect();
        numbers.sort_unstable_by_key(|number| slice(&self.bytes, &self.ends, *number));
        numbers
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let place = |end: Option<&u32>| end.and_then(|end| usize::try_from(*end).ok());
    let start = index.checked_sub(1).and_then(|before| place(ends.get(before))).unwrap_or(0);
    let end = place(ends.get(index)).unwrap_or(start);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_one_number() {
        let mut strings = Strings::default();
        let texts: Vec<String> = (0..1_000).map(|n| format!("{}", n * 7919 % 1_000)).collect();
        let numbers: Vec<u32> = texts.iter().map(|text| strings.number(text).unwrap()).collect();
        for (text, number) in texts.iter().zip(&numbers) {
            assert_eq!(strings.number(text), Some(*number));
            assert_eq!(strings.text(*number), text);
        }
        let sorted: Vec<&str> = strings.sorted().iter().map(|n| strings.text(*n)).collect();
        assert!(sorted.is_sorted() && sorted.len() == 1_000);
        assert_eq!(strings.number(""), Some(1_000));
        assert_eq!(strings.text(1_000), "");
    }
}
