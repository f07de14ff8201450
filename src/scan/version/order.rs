//! Many versions of one scheme in their order, so that each is read once and told by its place from then
//! on: comparing two places is comparing two numbers.

use std::num::NonZero;
use std::thread;

use super::{Scheme, Version};

/// Threads that read and sort.
const THREADS_MAX: usize = 8;
/// Versions from which on it is worth more than one thread.
const SHARED_FROM: usize = 8_192;
/// What stands for the place of a version that cannot be read.
const NOWHERE: u32 = u32::MAX;

/// Versions in their order.
#[derive(Debug)]
pub(in crate::scan) struct Order {
    scheme: Scheme,
    /// Where each is, by the number under which it was given.
    places: Vec<u32>,
    /// Different ones, ascending.
    versions: Vec<Version>,
}

/// Where a version is among those of an [`Order`]: odd on one of them, even between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Place(u32);

impl Order {
    /// Versions that one order has.
    pub(in crate::scan) const VERSIONS_MAX: usize = 1 << 30;

    /// Reads and sorts versions, each with the number by which it is known: from 0 on, in any order, and
    /// fastest in that of the versions. Those beyond [`Self::VERSIONS_MAX`] are nowhere.
    pub(in crate::scan) fn of(scheme: Scheme, texts: &[(u32, &str)]) -> Self {
        let texts = texts.get(..Self::VERSIONS_MAX).unwrap_or(texts);
        let mut places = vec![NOWHERE; texts.len()];
        let mut versions: Vec<Version> = Vec::new();
        for (version, number) in sorted(scheme, texts) {
            if versions.last() != Some(&version) {
                versions.push(version);
            }
            let place = usize::try_from(number).ok().and_then(|number| places.get_mut(number));
            if let Some(place) = place {
                *place = on(versions.len().saturating_sub(1)).0;
            }
        }
        versions.shrink_to_fit();
        Self { scheme, places, versions }
    }

    /// The numbers in the order of their versions, and those that cannot be read after all others.
    pub(in crate::scan) fn numbers(&self) -> Vec<u32> {
        let mut placed: Vec<(u32, u32)> = self.places.iter().copied().zip(0..).collect();
        placed.sort_unstable();
        placed.into_iter().map(|(_, number)| number).collect()
    }

    /// Where the version is that was given under this number; `None` where it cannot be read, or none was
    /// given.
    pub(in crate::scan) fn place(&self, number: u32) -> Option<Place> {
        let at = usize::try_from(number).ok().and_then(|number| self.places.get(number));
        at.copied().filter(|place| *place != NOWHERE).map(Place)
    }

    /// Reads a version, and gives where it would be; `None` where it cannot be read.
    pub(in crate::scan) fn find(&self, text: &str) -> Option<(Version, Place)> {
        let version = Version::parse(self.scheme, text).ok()?;
        let place = match self.versions.binary_search(&version) {
            Ok(at) => on(at),
            Err(at) => before(at),
        };
        Some((version, place))
    }

    /// Whether `version` is a release of the one that `bound` names without a release.
    pub(in crate::scan) fn is_release_of(&self, version: &Version, bound: &str) -> bool {
        let read = Version::parse(self.scheme, bound);
        read.is_ok_and(|bound| version.is_release_of(&bound))
    }
}

fn before(at: usize) -> Place {
    Place(u32::try_from(at).map_or(NOWHERE - 1, |at| at.saturating_mul(2)))
}

fn on(at: usize) -> Place {
    Place(before(at).0.saturating_add(1))
}

/// Those that can be read, ascending, each with its number.
fn sorted(scheme: Scheme, texts: &[(u32, &str)]) -> Vec<(Version, u32)> {
    let read = |texts: &[(u32, &str)]| {
        let read = texts
            .iter()
            .filter_map(|(number, text)| Some((Version::parse(scheme, text).ok()?, *number)));
        let mut read: Vec<(Version, u32)> = read.collect();
        read.sort();
        read
    };
    let threads = match texts.len() {
        ..SHARED_FROM => 1,
        _ => thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX),
    };
    if threads == 1 {
        return read(texts);
    }
    let share = texts.len().div_ceil(threads);
    let mut all = thread::scope(|scope| {
        let shares: Vec<&[(u32, &str)]> = texts.chunks(share).collect();
        let readers: Vec<_> = shares.iter().map(|texts| scope.spawn(|| read(texts))).collect();
        let mut all = Vec::with_capacity(texts.len());
        for (reader, texts) in readers.into_iter().zip(shares) {
            // What a thread could not do is done here.
            all.extend(reader.join().unwrap_or_else(|_| read(texts)));
        }
        all
    });
    // Runs that are in order already are merged.
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_ordered_as_versions_are(
            texts in prop::collection::vec("[01]\\.[0-2](\\.0)?(-(rc|1))?|x", 0..20), own in "[01]\\.[0-2](-rc)?",
        ) {
            let listed: Vec<(u32, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let order = Order::of(Scheme::Npm, &listed);
            let (version, at) = order.find(&own).unwrap();
            for (number, text) in listed.iter().copied() {
                let read = Version::parse(Scheme::Npm, text).ok();
                prop_assert_eq!(order.place(number).is_some(), read.is_some(), "{}", text);
                if let Some((place, read)) = order.place(number).zip(read) {
                    prop_assert_eq!(place.cmp(&at), read.cmp(&version), "{} and {}", text, own);
                }
            }
            // Given in their order they are where they were.
            let numbers = order.numbers();
            prop_assert!(numbers.is_sorted_by_key(|number| order.place(*number).map_or(u32::MAX, |it| it.0)));
            let again: Vec<(u32, &str)> =
                numbers.iter().map(|number| listed[usize::try_from(*number).unwrap()]).collect();
            prop_assert_eq!(Order::of(Scheme::Npm, &again).places, order.places);
        }
    }

    #[test]
    fn many_are_sorted_as_few_are() {
        let texts: Vec<String> =
            (0..20_000_u32).map(|n| format!("{}.{}", n * 7_919 % 20_011, n % 3)).collect();
        let texts: Vec<(u32, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
        let order = Order::of(Scheme::Deb, &texts);
        for (number, text) in texts.iter().copied().step_by(97) {
            let (_, place) = order.find(text).unwrap();
            assert_eq!(order.place(number), Some(place), "{text}");
        }
        assert!(order.versions.is_sorted() && order.versions.len() == 20_000);
        assert_eq!(order.place(20_000), None);
        assert_eq!(order.find("latest"), None);
    }
}
