//! Versions that records bound ranges with or list, each kept once for its kind of package.
//!
//! A kind counts its own from 0, which is [`BEGINNING`], so that all of one kind can be put in order once
//! and be told by a number from then on.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use super::intern::Strings;
use super::layout::{Section, Sections};
use super::open::Database;
use super::wire::{entry, row, rows};
use super::{DatabaseError, names};
use crate::scan::PackageKind;
use crate::scan::version::{Landmarks, Order, Place, Scheme, Version};

/// The version `0` of every kind, before all others where something is introduced in it.
pub(in crate::scan) const BEGINNING: u32 = 0;

/// Who put the versions of a file in order. The order of another program is not believed: what it took
/// for lower may not be so here. Its last number grows with each change of an order between two versions
/// of this program.
const ORDERED_BY: &str = concat!("pratique ", env!("CARGO_PKG_VERSION"), ", 1");

/// Bytes of a number in a table.
const NUMBER_BYTES: usize = size_of::<u32>();

/// Versions while a database is being made.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Kinds in the order in which they came, each with the numbers of its versions' strings.
    kinds: Vec<(Option<PackageKind>, Vec<u32>)>,
    numbers: HashMap<(u32, u32), u32>,
}

impl Listed {
    /// The number of a kind; `None` when there is no room for it.
    pub(super) fn kind(&mut self, strings: &mut Strings, kind: Option<PackageKind>) -> Option<u32> {
        let known = self.kinds.iter().position(|(known, _)| *known == kind);
        if let Some(at) = known {
            return u32::try_from(at).ok();
        }
        let (number, zero) = (u32::try_from(self.kinds.len()).ok()?, strings.number("0")?);
        self.kinds.push((kind, vec![zero]));
        self.numbers.insert((number, zero), BEGINNING);
        Some(number)
    }

    /// The number of a version among those of a kind; `None` when there is no room for it.
    pub(super) fn number(&mut self, strings: &mut Strings, kind: u32, text: &str) -> Option<u32> {
        let string = strings.number(text)?;
        let (_, of_kind) = self.kinds.get_mut(usize::try_from(kind).ok()?)?;
        if let Some(number) = self.numbers.get(&(kind, string)) {
            return Some(*number);
        }
        let number = u32::try_from(of_kind.len()).ok();
        let number = number.filter(|_| of_kind.len() < Order::VERSIONS_MAX)?;
        of_kind.push(string);
        self.numbers.insert((kind, string), number);
        Some(number)
    }

    /// Writes rows of kinds, the strings of the versions, and the order in which those are. `None` when
    /// there is no room for them.
    pub(super) fn write(self, strings: &mut Strings, sections: &mut Sections) -> Option<()> {
        let (mut kinds, mut versions) = (Vec::new(), Vec::new());
        let (mut orders, mut places) = (Vec::new(), Vec::new());
        let ordered_by = strings.number(ORDERED_BY)?;
        for (kind, of_kind) in self.kinds {
            let name = strings.number(kind.map_or("", PackageKind::purl_type))?;
            let texts = of_kind.iter().map(|string| strings.text(*string));
            let texts: Vec<(u32, &str)> = (0..).zip(texts).collect();
            // Those of no kind nobody compares.
            let order = kind.map(|kind| Order::of(Scheme::of(kind), &texts)).unwrap_or_default();
            let readable = u32::try_from(order.numbers.len()).ok()?;
            let (first, count) = (u32::try_from(versions.len()), u32::try_from(of_kind.len()));
            kinds.extend([name, first.ok()?, count.ok()?, readable, ordered_by]);
            // Tables of all versions, so that one number is the place in each.
            orders.extend(order.numbers);
            orders.resize(versions.len() + of_kind.len(), BEGINNING);
            places.extend(order.places.iter().map(|place| place.number()));
            places.resize(versions.len() + of_kind.len(), Place::NOWHERE.number());
            versions.extend(of_kind);
        }
        sections.put_numbers(Section::Kinds, &kinds);
        sections.put_numbers(Section::Versions, &versions);
        sections.put_numbers(Section::VersionOrder, &orders);
        sections.put_numbers(Section::VersionPlaces, &places);
        Some(())
    }
}

/// The versions of one kind in a database.
#[derive(Debug, Clone)]
pub(super) struct OfKind {
    /// `None` for ecosystems that no image is read for.
    pub(super) kind: Option<PackageKind>,
    first: u32,
    count: u32,
    /// How many of them can be read, as the file has it; `None` where its order is not believed.
    readable: Option<u32>,
    /// Made when it is needed first, and shared by all who have the database.
    kept: Arc<OnceLock<Kept>>,
}

/// What is kept of the order of a kind.
#[derive(Debug)]
struct Kept {
    /// The order, where that of the file is not believed.
    own: Option<Order>,
    landmarks: Landmarks,
}

impl OfKind {
    /// Reads the table of kinds.
    pub(super) fn all(database: &Database) -> Result<Vec<Self>, DatabaseError> {
        let table = database.section(Section::Kinds)?;
        let mut kinds = Vec::new();
        for index in 0..rows(table, 5)? {
            let [name, first, count, readable, ordered_by] = row(table, index)?;
            let kind = names::kind_of_type(database.string(name)?);
            let is_believed = database.string(ordered_by)? == ORDERED_BY;
            if readable > count {
                return Err(outside());
            }
            let readable = is_believed.then_some(readable);
            kinds.push(Self { kind, first, count, readable, kept: Arc::default() });
        }
        Ok(kinds)
    }

    /// What is kept of the order of this `kind`.
    fn kept(&self, database: &Database, kind: PackageKind) -> Result<&Kept, DatabaseError> {
        if let Some(kept) = self.kept.get() {
            return Ok(kept);
        }
        let (scheme, mut own, mut count) = (Scheme::of(kind), None, self.readable);
        if count.is_none() {
            let strings = self.rows(database, Section::Versions)?;
            let texts = (0..self.count)
                .map(|number| Ok((number, database.string(entry(strings, number)?)?)));
            let order = Order::of(scheme, &texts.collect::<Result<Vec<_>, DatabaseError>>()?);
            count = u32::try_from(order.numbers.len()).ok();
            own = Some(order);
        }
        let landmarks = Landmarks::new(scheme, count.ok_or_else(outside)?);
        Ok(self.kept.get_or_init(|| Kept { own, landmarks }))
    }

    /// Its part of a table of all versions.
    fn rows<'a>(&self, database: &'a Database, table: Section) -> Result<&'a [u8], DatabaseError> {
        let place = |number: u32| usize::try_from(number).ok()?.checked_mul(NUMBER_BYTES);
        let (start, bytes) = place(self.first).zip(place(self.count)).ok_or_else(outside)?;
        let end = start.checked_add(bytes).ok_or_else(outside)?;
        database.section(table)?.get(start..end).ok_or_else(outside)
    }
}

/// The versions of one kind, in their order.
#[derive(Debug, Clone, Copy)]
pub(in crate::scan) struct Versions<'a> {
    database: &'a Database,
    of_kind: &'a OfKind,
    kept: &'a Kept,
    scheme: Scheme,
    /// What the file has of the kind: the strings of its versions, their order, and their places in it.
    strings: &'a [u8],
    order: &'a [u8],
    places: &'a [u8],
}

impl<'a> Versions<'a> {
    /// The versions of a kind that records have; `None` where they have none. The first call takes a
    /// while where another program made the file: all of them are read and sorted.
    pub(super) fn of(
        database: &'a Database,
        kinds: &'a [OfKind],
        kind: PackageKind,
    ) -> Result<Option<Self>, DatabaseError> {
        let Some(of_kind) = kinds.iter().find(|of_kind| of_kind.kind == Some(kind)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            database,
            of_kind,
            kept: of_kind.kept(database, kind)?,
            scheme: Scheme::of(kind),
            strings: of_kind.rows(database, Section::Versions)?,
            order: of_kind.rows(database, Section::VersionOrder)?,
            places: of_kind.rows(database, Section::VersionPlaces)?,
        }))
    }

    /// Where a version is; `None` where it cannot be compared.
    pub(in crate::scan) fn place(&self, number: u32) -> Result<Option<Place>, DatabaseError> {
        let Some(own) = &self.kept.own else {
            return Ok(Place::of_number(entry(self.places, number)?).known());
        };
        let at = usize::try_from(number).ok().and_then(|number| own.places.get(number));
        Ok(at.copied().ok_or_else(outside)?.known())
    }

    /// Reads a version, and gives where it would be; `None` where it cannot be compared.
    pub(in crate::scan) fn find(
        &self,
        text: &str,
    ) -> Result<Option<(Version, Place)>, DatabaseError> {
        let Ok(version) = Version::parse(self.scheme, text) else { return Ok(None) };
        let text_at = |index| self.text(self.number_at(index)?);
        let unreadable = || DatabaseError::Damaged("a version is in the order and cannot be read");
        let place_at = |index| self.place(self.number_at(index)?)?.ok_or_else(unreadable);
        let place = match self.kept.landmarks.search(&version, text_at, unreadable)? {
            Ok(index) => place_at(index)?,
            Err(index) => match index.checked_sub(1) {
                Some(before) => place_at(before)?.after(),
                None => Place::FIRST,
            },
        };
        Ok(Some((version, place)))
    }

    /// The version of a number, as records write it.
    pub(in crate::scan) fn text(&self, number: u32) -> Result<&'a str, DatabaseError> {
        self.database.string(entry(self.strings, number)?)
    }

    /// Whether `version` is a release of the one of this number, which names none.
    pub(in crate::scan) fn is_release_of(
        &self,
        version: &Version,
        number: u32,
    ) -> Result<bool, DatabaseError> {
        if !self.of_kind.kind.is_some_and(PackageKind::is_of_distribution) {
            return Ok(false);
        }
        let bound = Version::parse(self.scheme, self.text(number)?);
        Ok(bound.is_ok_and(|bound| version.is_release_of(&bound)))
    }

    /// The number of the version at an index of the order.
    fn number_at(&self, index: u32) -> Result<u32, DatabaseError> {
        let Some(own) = &self.kept.own else { return entry(self.order, index) };
        let number = usize::try_from(index).ok().and_then(|index| own.numbers.get(index));
        number.copied().ok_or_else(outside)
    }
}

const fn outside() -> DatabaseError {
    DatabaseError::Damaged("a version is outside")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions of which every scheme can read some, and orders those in its own way.
    const TRICKY: &str = "0 1 1.0 1.0.0 v1.0.0 1.0-1 1.0-1.1 1.0-2 1.0-10 1:0.9 1.0~rc1 1.0~rc1-1 \
        1.0^git1 1.0_rc1 1.0_p1 1.0-r0 1.0-r1 1.0rc1 1.0-rc.1 1.0-rc.2 1.0.0-rc.1 1.0.0-rc.10 1.0.0-rc.2 \
        1.0.0+build 1.0a1 1.0b1 1.0.dev1 1.0.post1 1.0-SNAPSHOT 1.0-alpha 1.0-beta 1.0-ga 1.0-sp 1.0.1 \
        1.10 1.9 2!0.1 1.0.pre 1.00 01.0";

    #[test]
    fn an_order_that_changes_has_another_number() {
        let texts: Vec<(u32, &str)> = (0..).zip(TRICKY.split_whitespace()).collect();
        let kinds = [
            PackageKind::Apk,
            PackageKind::Cargo,
            PackageKind::Composer,
            PackageKind::Deb,
            PackageKind::Gem,
            PackageKind::Go,
            PackageKind::Maven,
            PackageKind::Npm,
            PackageKind::Nuget,
            PackageKind::Python,
            PackageKind::Rpm,
        ];
        let told = kinds.map(|kind| {
            let order = Order::of(Scheme::of(kind), &texts);
            let places: Vec<u32> = order.places.iter().map(|place| place.number()).collect();
            format!("{kind:?} {:?} {places:?}\n", order.numbers)
        });
        let all = told.concat();
        let digest = crate::oci::Digest::sha256(all.as_bytes()).short();
        let known = (", 1", "56662356e7f4");
        let text = "raise the number at the end of ORDERED_BY, and put it and the new digest here";
        assert!(ORDERED_BY.ends_with(known.0) && digest == known.1, "{text}: {digest}");
    }
}
