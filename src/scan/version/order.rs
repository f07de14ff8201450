//! Many versions of one scheme in their order, so that each is told by its place from then on: comparing
//! two places is comparing two numbers.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

use super::{Scheme, Version};

/// Threads that read and sort.
const THREADS_MAX: usize = 8;
/// Versions from which on it is worth more than one thread.
const SHARED_FROM: usize = 8_192;
/// Versions of one order that are kept as they were read. Each has some dozen bytes.
const LANDMARKS_MAX: u32 = 16_384;

/// The order of versions that are known by numbers.
#[derive(Debug, Default)]
pub(in crate::scan) struct Order {
    /// Where each is, by its number.
    pub(in crate::scan) places: Vec<Place>,
    /// The numbers of those that can be read, ascending by their versions.
    pub(in crate::scan) numbers: Vec<u32>,
}

/// Where a version is among those of an [`Order`]: odd on one of them, even between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) struct Place(u32);

impl Place {
    /// Before all others.
    pub(in crate::scan) const FIRST: Self = Self(0);
    /// That of a version that cannot be read.
    pub(in crate::scan) const NOWHERE: Self = Self(u32::MAX);

    /// As files have it.
    pub(in crate::scan) const fn number(self) -> u32 {
        self.0
    }

    /// Of a file.
    pub(in crate::scan) const fn of_number(number: u32) -> Self {
        Self(number)
    }

    /// `None` for that of a version that cannot be read.
    pub(in crate::scan) fn known(self) -> Option<Self> {
        Some(self).filter(|place| *place != Self::NOWHERE)
    }

    /// The one behind it, where no version is, if one is on it.
    pub(in crate::scan) const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    fn on(at: usize) -> Self {
        Self(u32::try_from(at).map_or(u32::MAX - 2, |at| at.saturating_mul(2).saturating_add(1)))
    }
}

impl Order {
    /// Versions that one order has.
    pub(in crate::scan) const VERSIONS_MAX: usize = 1 << 30;

    /// Reads and sorts versions, each with the number by which it is known: from 0 on, in any order.
    /// Those beyond [`Self::VERSIONS_MAX`] are nowhere.
    pub(in crate::scan) fn of(scheme: Scheme, texts: &[(u32, &str)]) -> Self {
        let texts = texts.get(..Self::VERSIONS_MAX).unwrap_or(texts);
        let (mut places, mut numbers) = (vec![Place::NOWHERE; texts.len()], Vec::new());
        let (mut last, mut different) = (None, 0);
        for (version, number) in sorted(scheme, texts) {
            if last.as_ref() != Some(&version) {
                different += 1;
                last = Some(version);
            }
            let place = usize::try_from(number).ok().and_then(|number| places.get_mut(number));
            if let Some(place) = place {
                *place = Place::on(different - 1);
                numbers.push(number);
            }
        }
        Self { places, numbers }
    }
}

/// Of versions in their order some that were read once, so that one is found among all by reading few.
#[derive(Debug)]
pub(in crate::scan) struct Landmarks {
    scheme: Scheme,
    /// How many versions there are in all.
    count: u32,
    /// Each of this many is kept.
    every: u32,
    read: Box<[OnceLock<Version>]>,
}

impl Landmarks {
    /// None that were read yet, of `count` versions.
    pub(in crate::scan) fn new(scheme: Scheme, count: u32) -> Self {
        let every = count.div_ceil(LANDMARKS_MAX).max(1);
        let kept = count.div_ceil(every);
        Self { scheme, count, every, read: (0..kept).map(|_| OnceLock::new()).collect() }
    }

    /// Where `version` is: `Ok` with the index of a version that it equals, or `Err` with that of the
    /// first one behind it. The text of an index is read from `text_at`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(in crate::scan) fn search<'a, E>(
        &self,
        version: &Version,
        text_at: impl Fn(u32) -> Result<&'a str, E>,
        unreadable: impl Fn() -> E,
    ) -> Result<Result<u32, u32>, E> {
        let read = |index| {
            let text = text_at(index)?;
            Version::parse(self.scheme, text).map_err(|_| unreadable())
        };
        let (mut low, mut high) = (0, self.count);
        while low < high {
            // As long as there is a landmark between the two, one of those is looked at.
            let mark = low.midpoint(high) / self.every;
            let (index, slot) = match mark.checked_mul(self.every) {
                Some(index) if index >= low => (index, self.slot(mark)),
                _ => (low.midpoint(high), None),
            };
            let order = match slot {
                Some(slot) => kept(slot, || read(index))?.cmp(version),
                None => read(index)?.cmp(version),
            };
            match order {
                std::cmp::Ordering::Less => low = index.saturating_add(1),
                std::cmp::Ordering::Equal => return Ok(Ok(index)),
                std::cmp::Ordering::Greater => high = index,
            }
        }
        Ok(Err(low))
    }

    fn slot(&self, mark: u32) -> Option<&OnceLock<Version>> {
        self.read.get(usize::try_from(mark).ok()?)
    }
}

/// What is in `slot`, or what is read into it.
fn kept<E>(
    slot: &OnceLock<Version>,
    read: impl FnOnce() -> Result<Version, E>,
) -> Result<&Version, E> {
    match slot.get() {
        Some(version) => Ok(version),
        None => read().map(|version| slot.get_or_init(|| version)),
    }
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

    fn searched(scheme: Scheme, texts: &[(u32, &str)], order: &Order, text: &str) -> Place {
        let marks = Landmarks::new(scheme, u32::try_from(order.numbers.len()).unwrap());
        let version = Version::parse(scheme, text).unwrap();
        let number_at = |index: u32| order.numbers[usize::try_from(index).unwrap()];
        let place_at = |index| order.places[usize::try_from(number_at(index)).unwrap()];
        let text_at = |index| Ok(texts[usize::try_from(number_at(index)).unwrap()].1);
        match marks.search(&version, text_at, || "unreadable").unwrap() {
            Ok(index) => place_at(index),
            Err(0) => Place::FIRST,
            Err(index) => place_at(index - 1).after(),
        }
    }

    proptest! {
        #[test]
        fn places_are_ordered_as_versions_are(
            texts in prop::collection::vec("[01]\\.[0-2](\\.0)?(-(rc|1))?|x", 0..20), own in "[01]\\.[0-2](-rc)?",
        ) {
            let listed: Vec<(u32, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let order = Order::of(Scheme::Npm, &listed);
            let at = searched(Scheme::Npm, &listed, &order, &own);
            let version = Version::parse(Scheme::Npm, &own).unwrap();
            for ((_, text), place) in listed.iter().zip(&order.places) {
                let read = Version::parse(Scheme::Npm, text).ok();
                prop_assert_eq!(*place != Place::NOWHERE, read.is_some(), "{}", text);
                if let Some(read) = read {
                    prop_assert_eq!(place.cmp(&at), read.cmp(&version), "{} and {}", text, own);
                }
            }
            prop_assert!(order.numbers.is_sorted_by_key(|number| order.places[usize::try_from(*number).unwrap()]));
        }
    }

    #[test]
    fn many_are_sorted_and_found_as_few_are() {
        let texts: Vec<String> =
            (0..40_000_u32).map(|n| format!("{}.{}", n * 7_919 % 40_009, n % 3)).collect();
        let texts: Vec<(u32, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
        let order = Order::of(Scheme::Deb, &texts);
        let marks = Landmarks::new(Scheme::Deb, 40_000);
        let text_at = |index: u32| {
            let number = order.numbers[usize::try_from(index).unwrap()];
            Ok(texts[usize::try_from(number).unwrap()].1)
        };
        for (number, text) in texts.iter().copied().step_by(97) {
            let version = Version::parse(Scheme::Deb, text).unwrap();
            let found = marks.search(&version, text_at, || "unreadable").unwrap().unwrap();
            assert_eq!(order.numbers[usize::try_from(found).unwrap()], number, "{text}");
        }
        let beyond = Version::parse(Scheme::Deb, "50000").unwrap();
        assert_eq!(marks.search(&beyond, text_at, || "unreadable"), Ok(Err(40_000)));
        assert!(marks.read.iter().filter(|slot| slot.get().is_some()).count() > 100);
        let wrong = |_| Ok::<_, &str>("no version");
        let fresh = Landmarks::new(Scheme::Deb, 3);
        assert_eq!(fresh.search(&beyond, wrong, || "unreadable"), Err("unreadable"));
    }
}
