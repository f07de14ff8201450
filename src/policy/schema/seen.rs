//! What the parser was asked to read in this thread, for the tests of the schema.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::fields::Words;

/// The words of the parser, by the places in the document where it knows them.
#[derive(Debug, Default)]
pub(in super::super) struct Seen {
    /// The keys of each map.
    pub(in super::super) maps: BTreeMap<String, BTreeSet<&'static str>>,
    /// The keys that are told why they are not read, by the place of their map.
    pub(in super::super) later: BTreeSet<(String, &'static str, &'static str)>,
    /// The words that may be written at each place.
    pub(in super::super) words: BTreeMap<String, BTreeSet<String>>,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// The parser reads a map with these `words` at `path`.
pub(in super::super) fn map(path: &str, words: Words) {
    let keys = words.known.iter().copied().collect();
    SEEN.with_borrow_mut(|seen| {
        let later = words.later.iter().map(|(key, why)| (path.to_owned(), *key, *why));
        seen.later.extend(later);
        seen.maps.insert(path.to_owned(), keys);
    });
}

/// The parser reads one of `choices` at `path`.
pub(in super::super) fn word<'a>(path: &str, choices: impl Iterator<Item = &'a str>) {
    let choices = choices.map(str::to_owned).collect();
    SEEN.with_borrow_mut(|seen| seen.words.insert(path.to_owned(), choices));
}

/// Everything that was seen in this thread since the last call.
pub(in super::super) fn take() -> Seen {
    SEEN.take()
}
