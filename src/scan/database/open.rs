//! A database that is searched where it lies.

use bytes::Bytes;

use super::DatabaseError;
use super::advisory::{Authority, Bound};
use super::assemble::{NO_LIKELIHOOD, NO_TIME};
use super::feed::Status;
use super::layout::{Places, Section, verified};
use super::wire::{Cursor, entry, row, rows, unzigzag};
use crate::oci::Digest;
use crate::scan::{DatabaseId, Severity};
use crate::time::Timestamp;

/// Bytes of what a database says of itself.
const STATUS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A database of vulnerabilities. A clone is cheap, and shares the bytes.
#[derive(Debug, Clone)]
pub struct Database {
    file: Bytes,
    places: Places,
    id: DatabaseId,
    status: Status,
    ecosystems: Vec<Ecosystem>,
}

/// Where the statements of one ecosystem are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Ecosystem {
    pub(in crate::scan) name: String,
    first_key: u32,
    keys: u32,
}

impl Database {
    /// Opens a database, after all of it has been read and its checksum fits.
    ///
    /// # Errors
    /// When it is none, of another format, cut off or damaged.
    pub fn open(file: Bytes) -> Result<Self, DatabaseError> {
        let places = Places::read(&file)?;
        let digest = verified(&file)?;
        Self::with(file, places, digest)
    }

    /// Opens a database whose digest the caller has computed, or knows the bytes by otherwise: nothing
    /// says here that it is theirs.
    ///
    /// # Errors
    /// As with [`Self::open`], but damage is found only where it leads outside.
    pub fn open_known(file: Bytes, digest: Digest) -> Result<Self, DatabaseError> {
        let places = Places::read(&file)?;
        Self::with(file, places, digest)
    }

    fn with(file: Bytes, places: Places, digest: Digest) -> Result<Self, DatabaseError> {
        let (start, end) = places.of(Section::Status);
        let json = file.get(start..end).filter(|json| json.len() <= STATUS_BYTES_MAX);
        let status: Option<Status> = json.and_then(|json| serde_json::from_slice(json).ok());
        let status = status.ok_or(DatabaseError::Damaged("what it says of itself"))?;
        let id = DatabaseId { digest, as_of: status.as_of };
        let mut database = Self { file, places, id, status, ecosystems: Vec::new() };
        let table = database.section(Section::Ecosystems)?;
        let mut ecosystems = Vec::new();
        for index in 0..rows(table, 4)? {
            let [name, first_key, keys, _] = row(table, index)?;
            let name = database.string(name)?.to_owned();
            ecosystems.push(Ecosystem { name, first_key, keys });
        }
        if ecosystems.is_empty() != database.status.ecosystems.is_empty() {
            return Err(DatabaseError::Damaged("ecosystems are missing"));
        }
        database.ecosystems = ecosystems;
        Ok(database)
    }

    /// Which database this is.
    pub const fn id(&self) -> &DatabaseId {
        &self.id
    }

    /// What it says of itself.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// The ecosystems with names that `are_asked_for`.
    pub(in crate::scan) fn ecosystems(
        &self,
        are_asked_for: impl Fn(&str) -> bool,
    ) -> Vec<&Ecosystem> {
        self.ecosystems.iter().filter(|one| are_asked_for(&one.name)).collect()
    }

    fn section(&self, section: Section) -> Result<&[u8], DatabaseError> {
        let (start, end) = self.places.of(section);
        self.file.get(start..end).ok_or(DatabaseError::Damaged("a section is outside"))
    }

    /// The string of a number.
    pub(in crate::scan) fn string(&self, number: u32) -> Result<&str, DatabaseError> {
        let bytes = self.run(Section::StringEnds, Section::Strings, number)?;
        std::str::from_utf8(bytes).map_err(|_| DatabaseError::Damaged("a string is no text"))
    }

    /// The run of bytes at `number`, where a table says where each ends.
    fn run(&self, ends: Section, bytes: Section, number: u32) -> Result<&[u8], DatabaseError> {
        let ends = self.section(ends)?;
        let start = match number.checked_sub(1) {
            Some(before) => entry(ends, before)?,
            None => 0,
        };
        let end = entry(ends, number)?;
        let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        let run = self.section(bytes)?.get(place(start)..place(end));
        run.ok_or(DatabaseError::Damaged("a string is outside"))
    }

    /// The number of a string, if a record has it.
    pub(in crate::scan) fn find(&self, text: &str) -> Result<Option<u32>, DatabaseError> {
        let order = self.section(Section::StringOrder)?;
        search(rows(order, 1)?, |index| {
            let number = entry(order, index)?;
            let bytes = self.run(Section::StringEnds, Section::Strings, number)?;
            Ok((bytes.cmp(text.as_bytes()), number))
        })
    }

    /// What records of an ecosystem say of the package whose name has this number.
    pub(in crate::scan) fn statements(
        &self,
        ecosystem: &Ecosystem,
        name: u32,
    ) -> Result<Statements<'_>, DatabaseError> {
        let keys = self.section(Section::Keys)?;
        let found = search(ecosystem.keys, |index| {
            let index = ecosystem.first_key.checked_add(index);
            let index = index.ok_or(DatabaseError::Damaged("a key is outside"))?;
            let [key, start, count] = row(keys, index)?;
            Ok((key.cmp(&name), (start, count)))
        })?;
        let (start, left) = found.unwrap_or((0, 0));
        let cursor = Cursor::at(self.section(Section::Statements)?, start)?;
        Ok(Statements { cursor, left })
    }

    /// Whether one of `numbers` is in a list of versions.
    pub(in crate::scan) fn lists(&self, list: u32, numbers: &[u32]) -> Result<bool, DatabaseError> {
        let mut found = false;
        self.each_of(list, |number| {
            found |= numbers.contains(&number);
            Ok(!found)
        })?;
        Ok(found)
    }

    /// How many versions a list has.
    pub(in crate::scan) fn listed(&self, list: u32) -> Result<u64, DatabaseError> {
        Cursor::new(self.run(Section::ListEnds, Section::Lists, list)?).number()
    }

    /// Gives the numbers of a list of versions to `take`, until it has enough.
    pub(in crate::scan) fn each_of(
        &self,
        list: u32,
        mut take: impl FnMut(u32) -> Result<bool, DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut cursor = Cursor::new(self.run(Section::ListEnds, Section::Lists, list)?);
        let mut number = 0_i64;
        for _ in 0..cursor.number()? {
            let outside = DatabaseError::Damaged("a version is outside");
            number = number.checked_add(unzigzag(cursor.number()?)).ok_or(outside.clone())?;
            if !take(u32::try_from(number).map_err(|_| outside)?)? {
                break;
            }
        }
        Ok(())
    }

    /// The record of a number.
    pub(in crate::scan) fn record(&self, number: u32) -> Result<Record<'_>, DatabaseError> {
        let [id, groups, low, high] = row(self.section(Section::Records)?, number)?;
        let published = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        let groups = self.numbers_at(Section::RecordGroups, groups)?;
        if groups.is_empty() {
            return Err(DatabaseError::Damaged("a record is about nothing"));
        }
        Ok(Record {
            id: self.string(id)?,
            published: (published != NO_TIME).then(|| Timestamp::from_milliseconds(published)),
            groups,
        })
    }

    /// The id of a record.
    pub(in crate::scan) fn record_id(&self, number: u32) -> Result<&str, DatabaseError> {
        let [id, _, _, _] = row(self.section(Section::Records)?, number)?;
        self.string(id)
    }

    /// The vulnerability of a number.
    pub(in crate::scan) fn vulnerability(
        &self,
        number: u32,
    ) -> Result<Vulnerability<'_>, DatabaseError> {
        let [id, names, likelihood, exploited] = row(self.section(Section::Groups)?, number)?;
        let names = self.numbers_at(Section::GroupNames, names)?;
        Ok(Vulnerability {
            id: self.string(id)?,
            names: names.into_iter().map(|name| self.string(name)).collect::<Result<_, _>>()?,
            exploited: exploited != 0,
            likelihood: u16::try_from(likelihood).ok().filter(|_| likelihood != NO_LIKELIHOOD),
        })
    }

    fn numbers_at(&self, section: Section, start: u32) -> Result<Vec<u32>, DatabaseError> {
        let mut cursor = Cursor::at(self.section(section)?, start)?;
        let mut numbers = Vec::new();
        for _ in 0..cursor.number()? {
            numbers.push(cursor.short()?);
        }
        Ok(numbers)
    }
}

/// Looks for what `at` says is equal, among `count` that are in order.
fn search<T>(
    count: u32,
    at: impl Fn(u32) -> Result<(std::cmp::Ordering, T), DatabaseError>,
) -> Result<Option<T>, DatabaseError> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match at(middle)? {
            (std::cmp::Ordering::Less, _) => low = middle + 1,
            (std::cmp::Ordering::Equal, found) => return Ok(Some(found)),
            (std::cmp::Ordering::Greater, _) => high = middle,
        }
    }
    Ok(None)
}

/// A record.
#[derive(Debug)]
pub(in crate::scan) struct Record<'a> {
    pub(in crate::scan) id: &'a str,
    pub(in crate::scan) published: Option<Timestamp>,
    /// The vulnerabilities that it is about, by their numbers: one at least.
    pub(in crate::scan) groups: Vec<u32>,
}

/// A vulnerability.
#[derive(Debug)]
pub(in crate::scan) struct Vulnerability<'a> {
    pub(in crate::scan) id: &'a str,
    /// Its other names.
    pub(in crate::scan) names: Vec<&'a str>,
    pub(in crate::scan) exploited: bool,
    /// In hundredths of a per cent.
    pub(in crate::scan) likelihood: Option<u16>,
}

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
    /// The number of its version.
    pub(in crate::scan) version: u32,
}

/// Statements about one package, one after the other.
#[derive(Debug)]
pub(in crate::scan) struct Statements<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl Statements<'_> {
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
