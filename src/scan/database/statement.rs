//! What one record says of one package, as the file has it.

use super::DatabaseError;
use super::advisory::{Authority, Bound};
use super::wire::Cursor;
use crate::scan::Severity;

/// What one record says of one package.
#[derive(Debug, Default)]
pub(in crate::scan) struct Statement {
    pub(in crate::scan) record: u32,
    /// Something in it is not understood.
    pub(in crate::scan) opaque: bool,
    pub(in crate::scan) given_up: bool,
    pub(in crate::scan) word: Option<(Authority, Severity)>,
    pub(in crate::scan) score: Option<u8>,
    /// The list of versions that are affected whatever the ranges say.
    pub(in crate::scan) list: Option<u32>,
    /// Of all ranges, one range after the other.
    pub(in crate::scan) events: Vec<Event>,
}

/// A bound of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) struct Event {
    /// Which range.
    pub(in crate::scan) range: u32,
    pub(in crate::scan) bound: Bound,
    /// The number of its version among those of its kind.
    pub(in crate::scan) version: u32,
}

/// Statements about one package, one after the other.
#[derive(Debug)]
pub(in crate::scan) struct Statements<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> Statements<'a> {
    /// The next `left` ones.
    pub(super) const fn new(cursor: Cursor<'a>, left: u32) -> Self {
        Self { cursor, left }
    }

    /// Reads the next one into `statement`; `false` where there is none.
    pub(in crate::scan) fn next(
        &mut self,
        statement: &mut Statement,
    ) -> Result<bool, DatabaseError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        self.left = left;
        let cursor = &mut self.cursor;
        statement.record = cursor.short()?;
        let flags = cursor.byte()?;
        statement.opaque = flags & 1 != 0;
        statement.given_up = flags & 2 != 0;
        statement.word = unpacked(cursor.byte()?)?;
        statement.score = match cursor.number()?.checked_sub(1) {
            None => None,
            Some(score) => match u8::try_from(score) {
                Ok(score @ ..=100) => Some(score),
                _ => return Err(DatabaseError::Damaged("a score is too high")),
            },
        };
        statement.list = cursor.short()?.checked_sub(1);
        statement.events.clear();
        for range in 0..cursor.short()? {
            for _ in 0..cursor.short()? {
                let event = cursor.number()?;
                let version = u32::try_from(event >> 2);
                let version =
                    version.map_err(|_| DatabaseError::Damaged("a version is outside"))?;
                statement.events.push(Event { range, bound: unpacked_bound(event), version });
            }
        }
        Ok(true)
    }
}

fn unpacked(byte: u8) -> Result<Option<(Authority, Severity)>, DatabaseError> {
    let authority = match byte & 0xf0 {
        0 => Authority::Advisory,
        0x10 => Authority::Distribution,
        _ => return Err(DatabaseError::Damaged("a severity is none")),
    };
    let severity = match byte & 0x0f {
        0 => return Ok(None),
        1 => Severity::None,
        2 => Severity::Low,
        3 => Severity::Medium,
        4 => Severity::High,
        5 => Severity::Critical,
        _ => return Err(DatabaseError::Damaged("a severity is none")),
    };
    Ok(Some((authority, severity)))
}

const fn unpacked_bound(event: u64) -> Bound {
    match event & 3 {
        0 => Bound::Introduced,
        1 => Bound::Fixed,
        2 => Bound::LastAffected,
        _ => Bound::Limit,
    }
}
