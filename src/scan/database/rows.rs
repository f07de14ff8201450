//! Records while a database is being made: which of them count, and what they say, packed.

use std::collections::HashMap;

use super::ImportError;
use super::advisory::{Advisory, Authority, Bound, Statement};
use super::intern::Strings;
use super::versions::Listed;
use super::{names, wire};
use crate::scan::Severity;
use crate::time::Timestamp;

/// Records of one id, one time of change and different contents.
const SAME_ID_MAX: u32 = 16;

/// All records so far.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) strings: Strings,
    pub(super) versions: Listed,
    /// Lists of versions, packed; many are the same.
    pub(super) lists: Strings,
    pub(super) records: Vec<Row>,
    pub(super) statements: Vec<Packed>,
    pub(super) payload: Vec<u8>,
    pub(super) superseded: u64,
    newest: HashMap<u32, usize>,
}

/// One record.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) published: Option<Timestamp>,
    pub(super) aliases: Vec<u32>,
    pub(super) upstream: Vec<u32>,
    /// Neither withdrawn nor superseded.
    pub(super) counts: bool,
    modified: Option<Timestamp>,
    hash: u64,
    /// The one before it of the same id.
    previous: Option<usize>,
    chain: u32,
}

/// What a record says of one package: where it is in the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    pub(super) ecosystem: u32,
    pub(super) name: u32,
    /// The kind of its versions, by its number.
    pub(super) kind: u32,
    pub(super) row: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Rows {
    /// Takes a record. Gives a reason if it cannot be taken.
    ///
    /// # Errors
    /// When there is no room for more.
    pub(super) fn add(
        &mut self,
        advisory: &Advisory,
        now: Timestamp,
    ) -> Result<Option<&'static str>, &'static str> {
        let id = number(&mut self.strings, &advisory.id)?;
        let previous = self.newest.get(&id).copied();
        let chain = match self.place(previous, advisory) {
            Place::After(chain) => chain,
            Place::Behind => {
                self.superseded += 1;
                return Ok(None);
            }
            Place::TooMany => return Ok(Some("too many different records have its id")),
        };
        let counts = advisory.withdrawn.is_none_or(|withdrawn| withdrawn > now);
        let number = u32::try_from(self.records.len()).map_err(|_| "records")?;
        let (mut aliases, mut upstream) = (Vec::new(), Vec::new());
        if counts {
            aliases = self.numbers(&advisory.aliases)?;
            upstream = self.numbers(&advisory.upstream)?;
            for statement in &advisory.affected {
                self.pack(statement, number)?;
            }
        }
        self.newest.insert(id, self.records.len());
        self.records.push(Row {
            id,
            published: advisory.published,
            aliases,
            upstream,
            counts,
            modified: advisory.modified,
            hash: advisory.hash,
            previous,
            chain,
        });
        Ok(None)
    }

    /// Whether a record that counts so far names a package of an ecosystem.
    pub(super) fn names_ecosystem(&self, ecosystem: &str) -> bool {
        let text = |packed: &Packed| self.strings.text(packed.ecosystem);
        self.statements.iter().any(|packed| names::extends(text(packed), ecosystem))
    }

    /// Whether a record counts beside those of its id; those that are older than it do not any more.
    fn place(&mut self, newest: Option<usize>, advisory: &Advisory) -> Place {
        let Some(latest) = newest.and_then(|at| self.records.get(at)) else {
            return Place::After(1);
        };
        if advisory.modified < latest.modified {
            return Place::Behind;
        }
        let (is_newer, chain) = (advisory.modified > latest.modified, latest.chain);
        let mut next = newest;
        while let Some(row) = next.and_then(|at| self.records.get_mut(at)) {
            if is_newer {
                self.superseded += 1;
                row.counts = false;
            } else if row.hash == advisory.hash {
                return Place::Behind;
            }
            next = row.previous.filter(|_| row.chain > 1);
        }
        match chain {
            _ if is_newer => Place::After(1),
            SAME_ID_MAX.. => Place::TooMany,
            _ => Place::After(chain + 1),
        }
    }

    fn numbers(&mut self, names: &[String]) -> Result<Vec<u32>, &'static str> {
        names.iter().map(|name| number(&mut self.strings, name)).collect()
    }

    fn pack(&mut self, statement: &Statement, row: u32) -> Result<(), &'static str> {
        let strings = &mut self.strings;
        let ecosystem = number(strings, &statement.ecosystem)?;
        let name = number(strings, &statement.name)?;
        let kind = names::kind_of(&statement.ecosystem);
        let kind = self.versions.kind(strings, kind).ok_or("strings")?;
        let start = u32::try_from(self.payload.len()).map_err(|_| "statements")?;
        let flags = u8::from(statement.opaque) | u8::from(statement.given_up) << 1;
        self.payload.push(flags);
        self.payload.push(statement.word.map_or(0, |(authority, word)| packed(authority, word)));
        wire::put(&mut self.payload, statement.score.map_or(0, |score| u64::from(score) + 1));
        let mut version = |text: &str| self.versions.number(strings, kind, text).ok_or("versions");
        let list = pack_list(&mut version, &statement.versions)?;
        let list = match list {
            Some(bytes) => u64::from(self.lists.number_of(&bytes).ok_or("lists")?) + 1,
            None => 0,
        };
        wire::put(&mut self.payload, list);
        put_length(&mut self.payload, statement.ranges.len());
        for range in &statement.ranges {
            put_length(&mut self.payload, range.len());
            for (bound, text) in range {
                let number = u64::from(version(text)?);
                wire::put(&mut self.payload, number << 2 | packed_bound(*bound));
            }
        }
        let end = u32::try_from(self.payload.len()).map_err(|_| "statements")?;
        self.statements.push(Packed { ecosystem, name, kind, row, start, end });
        Ok(())
    }
}

/// Where a record stands among those of its id.
enum Place {
    After(u32),
    Behind,
    TooMany,
}

/// A bound of the file was reached.
pub(super) fn too_large(bound: &'static str) -> ImportError {
    ImportError::TooLarge { label: "the database".to_owned(), bound }
}

fn number(strings: &mut Strings, text: &str) -> Result<u32, &'static str> {
    strings.number(text).ok_or("strings")
}

pub(super) fn put_length(bytes: &mut Vec<u8>, length: usize) {
    wire::put(bytes, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Versions by their numbers, each by its difference to the one before.
fn pack_list(
    number: &mut impl FnMut(&str) -> Result<u32, &'static str>,
    versions: &[String],
) -> Result<Option<Vec<u8>>, &'static str> {
    if versions.is_empty() {
        return Ok(None);
    }
    let (mut bytes, mut before) = (Vec::new(), 0_i64);
    put_length(&mut bytes, versions.len());
    for version in versions {
        let next = i64::from(number(version)?);
        wire::put(&mut bytes, wire::zigzag(next - before));
        before = next;
    }
    Ok(Some(bytes))
}

const fn packed(authority: Authority, word: Severity) -> u8 {
    let authority = match authority {
        Authority::Advisory => 0,
        Authority::Distribution => 0x10,
    };
    let word = match word {
        Severity::None => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    authority | word
}

const fn packed_bound(bound: Bound) -> u64 {
    match bound {
        Bound::Introduced => 0,
        Bound::Fixed => 1,
        Bound::LastAffected => 2,
        Bound::Limit => 3,
    }
}
