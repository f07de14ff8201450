//! Whether a version is affected by what a record says.

use crate::scan::database::{
    BEGINNING, Bound, Database, DatabaseError, Event, Statement, Versions,
};
use crate::scan::version::{Place, Version};

/// A version of a package that is asked for.
pub(super) struct Subject<'a> {
    pub(super) versions: Versions<'a>,
    text: &'a str,
    /// As it can be compared; `None` where it cannot.
    version: Option<(Version, Place)>,
}

/// What a record says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is affected; the lowest version above it that is fixed.
    Affected(Option<Fixed>),
    /// It is not.
    Not,
    /// It cannot be told.
    Unknown,
}

/// A version that is fixed. One that cannot be compared is before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fixed {
    place: Option<Place>,
    pub(super) number: u32,
}

impl<'a> Subject<'a> {
    pub(super) fn new(versions: Versions<'a>, text: &'a str) -> Result<Self, DatabaseError> {
        Ok(Self { versions, text, version: versions.find(text)? })
    }

    /// Judges a statement. A version that a record lists, in these or in other words, is affected,
    /// whatever its ranges say.
    pub(super) fn judge(
        &self,
        database: &Database,
        statement: &Statement,
    ) -> Result<Outcome, DatabaseError> {
        let (mut affected, mut unknown, mut unordered) = (false, statement.opaque, None);
        for range in statement.events.chunk_by(|a, b| a.range == b.range) {
            let within = self.is_within(range)?;
            match within {
                Some(within) => affected |= within,
                None => unknown = true,
            }
            if within != Some(false) && unordered.is_none() {
                unordered = self.unordered_fix(range)?;
            }
        }
        if let (false, Some(list)) = (affected, statement.list) {
            match self.is_listed(database, list)? {
                Some(listed) => affected = listed,
                None => unknown = true,
            }
        }
        Ok(match (affected, unknown) {
            (true, _) => Outcome::Affected(self.fix(&statement.events)?.or(unordered)),
            (false, true) => Outcome::Unknown,
            (false, false) => Outcome::Not,
        })
    }

    /// Whether it is within a range; `None` if that cannot be told. Events may come in any order: what
    /// counts is the last one that is not above it.
    fn is_within(&self, range: &[Event]) -> Result<Option<bool>, DatabaseError> {
        let (mut last, mut limits, mut is_below_one) = (None, false, false);
        for event in range {
            if event.bound == Bound::Introduced && event.version == BEGINNING {
                last = last.max(Some((None, event.bound.rank())));
                continue;
            }
            let Some((version, own)) = &self.version else { return Ok(None) };
            let Some(at) = self.versions.place(event.version)? else { return Ok(None) };
            let counts = match event.bound {
                Bound::Introduced | Bound::Fixed => at <= *own,
                Bound::LastAffected => {
                    at < *own && !self.versions.is_release_of(version, event.version)?
                }
                Bound::Limit => {
                    limits = true;
                    is_below_one |= at > *own;
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

    /// Whether a list has it; `None` if that cannot be told.
    fn is_listed(&self, database: &Database, list: u32) -> Result<Option<bool>, DatabaseError> {
        let mut found = false;
        database.each_of(list, |number| {
            found = match (&self.version, self.versions.place(number)?) {
                (Some((_, own)), Some(at)) => *own == at,
                (None, None) => self.versions.text(number)? == self.text,
                (Some(_), None) | (None, Some(_)) => false,
            };
            Ok(!found)
        })?;
        Ok((found || self.version.is_some()).then_some(found))
    }

    /// The lowest version above it that is fixed.
    fn fix(&self, events: &[Event]) -> Result<Option<Fixed>, DatabaseError> {
        let mut lowest: Option<Fixed> = None;
        for event in events.iter().filter(|event| event.bound == Bound::Fixed) {
            let place = self.versions.place(event.version)?;
            let Some(at) = place else { continue };
            let is_above = self.version.as_ref().is_none_or(|(_, own)| at > *own);
            if is_above && lowest.is_none_or(|low| place < low.place) {
                lowest = Some(Fixed { place, number: event.version });
            }
        }
        Ok(lowest)
    }

    /// A version in which a range says that it is fixed, and which cannot be compared.
    fn unordered_fix(&self, range: &[Event]) -> Result<Option<Fixed>, DatabaseError> {
        for event in range.iter().filter(|event| event.bound == Bound::Fixed) {
            if self.versions.place(event.version)?.is_none() {
                return Ok(Some(Fixed { place: None, number: event.version }));
            }
        }
        Ok(None)
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
