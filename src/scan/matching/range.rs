//! Whether a version is affected by what a record says.

use std::cmp::Ordering;

use super::Rules;
use crate::scan::PackageKind;
use crate::scan::database::{Bound, Database, DatabaseError, Event, Statement};

/// A version of a package that is asked for.
pub(super) struct Subject<V> {
    pub(super) kind: PackageKind,
    /// As it can be compared; `None` where it cannot.
    pub(super) version: Option<V>,
    /// The numbers that its text has in the database.
    pub(super) numbers: Vec<u32>,
}

/// What a record says of a version.
pub(super) enum Outcome<V> {
    /// It is affected; the lowest version above it that is fixed, with its text.
    Affected(Option<(V, u32)>),
    /// It is not.
    Not,
    /// It cannot be told.
    Unknown,
}

impl<V: Ord> Subject<V> {
    /// Judges a statement. A version that a record lists is affected, whatever its ranges say.
    pub(super) fn judge<R: Rules<Version = V>>(
        &self,
        rules: &R,
        database: &Database,
        statement: &Statement,
    ) -> Result<Outcome<V>, DatabaseError> {
        let listed = match statement.list {
            Some(list) if !self.numbers.is_empty() => database.lists(list, &self.numbers)?,
            _ => false,
        };
        let (mut affected, mut unknown) = (listed, statement.opaque);
        for range in statement.events.chunk_by(|a, b| a.range == b.range) {
            match self.is_within(rules, database, range)? {
                Some(within) => affected |= within,
                None => unknown = true,
            }
        }
        if let (false, true, Some(list)) = (affected, statement.events.is_empty(), statement.list) {
            match self.is_equal_to_one_of(rules, database, list)? {
                Some(equal) => affected |= equal,
                None => unknown = true,
            }
        }
        Ok(match (affected, unknown) {
            (true, _) => Outcome::Affected(self.fix(rules, database, &statement.events)?),
            (false, true) => Outcome::Unknown,
            (false, false) => Outcome::Not,
        })
    }

    /// Whether it is within a range; `None` if that cannot be told. Events may come in any order: what
    /// counts is the last one that is not above it.
    fn is_within<R: Rules<Version = V>>(
        &self,
        rules: &R,
        database: &Database,
        range: &[Event],
    ) -> Result<Option<bool>, DatabaseError> {
        let (mut last, mut limits, mut is_below_one) = (None, false, false);
        for event in range {
            let text = database.string(event.version)?;
            if event.bound == Bound::Introduced && text == "0" {
                last = last.max(Some((None, event.bound.rank())));
                continue;
            }
            let Some(own) = &self.version else { return Ok(None) };
            let Some(at) = rules.version(self.kind, text) else { return Ok(None) };
            let order = at.cmp(own);
            let counts = match event.bound {
                Bound::Introduced | Bound::Fixed => order != Ordering::Greater,
                Bound::LastAffected => order == Ordering::Less,
                Bound::Limit => {
                    limits = true;
                    is_below_one |= order == Ordering::Greater;
                    false
                }
            };
            if counts {
                last = last.max(Some((Some(at), event.bound.rank())));
            }
        }
        let is_introduced = last.is_some_and(|(_, rank)| rank == Bound::Introduced.rank());
        Ok(Some(is_introduced && (!limits || is_below_one)))
    }

    /// Whether a list has its version in other words; `None` if that cannot be told.
    fn is_equal_to_one_of<R: Rules<Version = V>>(
        &self,
        rules: &R,
        database: &Database,
        list: u32,
    ) -> Result<Option<bool>, DatabaseError> {
        let Some(own) = &self.version else { return Ok(None) };
        let mut found = false;
        database.each_of(list, |number| {
            let text = database.string(number)?;
            found = rules.version(self.kind, text).is_some_and(|version| version == *own);
            Ok(!found)
        })?;
        Ok(Some(found))
    }

    /// The lowest version above it that is fixed.
    fn fix<R: Rules<Version = V>>(
        &self,
        rules: &R,
        database: &Database,
        events: &[Event],
    ) -> Result<Option<(V, u32)>, DatabaseError> {
        let mut lowest: Option<(V, u32)> = None;
        for event in events.iter().filter(|event| event.bound == Bound::Fixed) {
            let Some(at) = rules.version(self.kind, database.string(event.version)?) else {
                continue;
            };
            let is_above = self.version.as_ref().is_none_or(|own| at > *own);
            if is_above && lowest.as_ref().is_none_or(|(low, _)| at < *low) {
                lowest = Some((at, event.version));
            }
        }
        Ok(lowest)
    }
}

impl Bound {
    /// Which of two events at one version counts: what begins there does so whatever else ends there,
    /// and what is affected last ends after it.
    const fn rank(self) -> u8 {
        match self {
            Self::Limit => 0,
            Self::Fixed => 1,
            Self::Introduced => 2,
            Self::LastAffected => 3,
        }
    }
}
