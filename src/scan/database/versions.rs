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
use crate::scan::version::{Order, Place, Scheme, Version};

/// The version `0` of every kind, before all others where something is introduced in it.
pub(in crate::scan) const BEGINNING: u32 = 0;

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

    /// Writes rows of kinds (name, first version, versions), the strings of the versions, and the order in
    /// which those are. `None` when there is no room for them.
    pub(super) fn write(self, strings: &mut Strings, sections: &mut Sections) -> Option<()> {
        let (mut kinds, mut versions, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, of_kind) in self.kinds {
            let name = strings.number(kind.map_or("", PackageKind::purl_type))?;
            let texts = of_kind.iter().map(|string| strings.text(*string));
            let texts: Vec<(u32, &str)> = (0..).zip(texts).collect();
            match kind {
                Some(kind) => orders.extend(Order::of(Scheme::of(kind), &texts).numbers()),
                // Nobody compares them.
                None => orders.extend(texts.iter().map(|(number, _)| *number)),
            }
            let (first, count) = (u32::try_from(versions.len()), u32::try_from(of_kind.len()));
            kinds.extend([name, first.ok()?, count.ok()?]);
            versions.extend(of_kind);
        }
        sections.put_numbers(Section::Kinds, &kinds);
        sections.put_numbers(Section::Versions, &versions);
        sections.put_numbers(Section::VersionOrder, &orders);
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
    /// Made when it is needed first, and shared by all who have the database.
    order: Arc<OnceLock<Order>>,
}

impl OfKind {
    /// Reads the table of kinds.
    pub(super) fn all(database: &Database) -> Result<Vec<Self>, DatabaseError> {
        let table = database.section(Section::Kinds)?;
        let mut kinds = Vec::new();
        for index in 0..rows(table, 3)? {
            let [name, first, count] = row(table, index)?;
            let kind = names::kind_of_type(database.string(name)?);
            kinds.push(Self { kind, first, count, order: Arc::default() });
        }
        Ok(kinds)
    }
}

/// The versions of one kind, in their order.
#[derive(Debug, Clone, Copy)]
pub(in crate::scan) struct Versions<'a> {
    database: &'a Database,
    of_kind: &'a OfKind,
    order: &'a Order,
}

impl<'a> Versions<'a> {
    /// The versions of a kind that records have; `None` where they have none. The first call takes a
    /// while: all of them are read and sorted.
    pub(super) fn of(
        database: &'a Database,
        kinds: &'a [OfKind],
        kind: PackageKind,
    ) -> Result<Option<Self>, DatabaseError> {
        let Some(of_kind) = kinds.iter().find(|of_kind| of_kind.kind == Some(kind)) else {
            return Ok(None);
        };
        let order = if let Some(order) = of_kind.order.get() {
            order
        } else {
            let texts = in_order(database, of_kind)?;
            of_kind.order.get_or_init(|| Order::of(Scheme::of(kind), &texts))
        };
        Ok(Some(Self { database, of_kind, order }))
    }

    /// Where a version is; `None` where it cannot be compared.
    pub(in crate::scan) fn place(&self, number: u32) -> Result<Option<Place>, DatabaseError> {
        if number >= self.of_kind.count {
            return Err(DatabaseError::Damaged("a version is outside"));
        }
        Ok(self.order.place(number))
    }

    /// Reads a version, and gives where it would be; `None` where it cannot be compared.
    pub(in crate::scan) fn find(&self, text: &str) -> Option<(Version, Place)> {
        self.order.find(text)
    }

    /// The version of a number, as records write it.
    pub(in crate::scan) fn text(&self, number: u32) -> Result<&'a str, DatabaseError> {
        text(self.database, self.of_kind, number)
    }

    /// Whether `version` is a release of the one of this number, which names none.
    pub(in crate::scan) fn is_release_of(
        &self,
        version: &Version,
        number: u32,
    ) -> Result<bool, DatabaseError> {
        let is_of_distribution = self.of_kind.kind.is_some_and(PackageKind::is_of_distribution);
        Ok(is_of_distribution && self.order.is_release_of(version, self.text(number)?))
    }
}

/// All versions of a kind with their numbers, in the order in which the file has them: the one that the
/// importer found, which is nearly always that of this program.
fn in_order<'a>(
    database: &'a Database,
    of_kind: &OfKind,
) -> Result<Vec<(u32, &'a str)>, DatabaseError> {
    let order = database.section(Section::VersionOrder)?;
    let (mut texts, mut seen) = (Vec::new(), Vec::new());
    for index in 0..of_kind.count {
        let at = of_kind.first.checked_add(index);
        let number = entry(order, at.ok_or(DatabaseError::Damaged("a version is outside"))?)?;
        texts.push((number, text(database, of_kind, number)?));
    }
    seen.resize(texts.len(), false);
    for (number, _) in &texts {
        let place = usize::try_from(*number).ok().and_then(|number| seen.get_mut(number));
        if place.is_none_or(|seen| std::mem::replace(seen, true)) {
            return Err(DatabaseError::Damaged("a version is twice in the order"));
        }
    }
    Ok(texts)
}

fn text<'a>(
    database: &'a Database,
    of_kind: &OfKind,
    number: u32,
) -> Result<&'a str, DatabaseError> {
    let at = of_kind.first.checked_add(number).filter(|_| number < of_kind.count);
    let at = at.ok_or(DatabaseError::Damaged("a version is outside"))?;
    database.string(entry(database.section(Section::Versions)?, at)?)
}
