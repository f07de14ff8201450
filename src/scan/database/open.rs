//! A database that is searched where it lies.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::DatabaseError;
use super::artifacts::{Artifacts, name_of_key};
use super::assemble::{NO_LIKELIHOOD, NO_TIME};
use super::before::Before;
use super::feed::Status;
use super::layout::{Places, Section, verified};
use super::shared::SharedNames;
use super::statement::Statements;
use super::versions::{OfKind, Versions};
use super::wire::{Cursor, Numbers, entry, row, rows, unzigzag};
use crate::oci::Digest;
use crate::scan::{DatabaseId, PackageKind};
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
    kinds: Vec<OfKind>,
    /// Made when they are needed first.
    artifacts: Arc<OnceLock<Artifacts>>,
    names: Arc<SharedNames>,
    before: Arc<Before>,
}

/// Where the statements of one ecosystem are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scan) struct Ecosystem {
    pub(in crate::scan) name: String,
    /// The kind of its packages, by whose rules its versions were kept; `None` where no image is read
    /// for them.
    pub(in crate::scan) kind: Option<PackageKind>,
    pub(super) first_key: u32,
    keys: u32,
}

#[cfg(test)]
impl Ecosystem {
    /// One without any record.
    pub(super) fn testing(name: &str, kind: PackageKind, first_key: u32) -> Self {
        Self { name: name.to_owned(), kind: Some(kind), first_key, keys: 0 }
    }
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
        let (ecosystems, kinds) = (Vec::new(), Vec::new());
        let mut database = Self {
            file,
            places,
            id,
            status,
            ecosystems,
            kinds,
            artifacts: Arc::default(),
            names: Arc::default(),
            before: Arc::default(),
        };
        database.kinds = OfKind::all(&database)?;
        let table = database.section(Section::Ecosystems)?;
        let mut ecosystems = Vec::new();
        for index in 0..rows(table, 5)? {
            let [name, first_key, keys, _, kind] = row(table, index)?;
            let name = database.string(name)?.to_owned();
            let kind = usize::try_from(kind).ok().and_then(|kind| database.kinds.get(kind));
            let kind = kind.ok_or(DatabaseError::Damaged("a kind is outside"))?.kind;
            ecosystems.push(Ecosystem { name, kind, first_key, keys });
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

    /// What was found of packages in it before.
    pub(in crate::scan) fn before(&self) -> &Before {
        &self.before
    }

    /// The ecosystems that `are_asked_for`.
    pub(in crate::scan) fn ecosystems(
        &self,
        are_asked_for: impl Fn(&Ecosystem) -> bool,
    ) -> Vec<&Ecosystem> {
        self.ecosystems.iter().filter(|one| are_asked_for(one)).collect()
    }

    /// The versions of a kind of package, in their order; `None` where no record has any.
    pub(in crate::scan) fn versions(
        &self,
        kind: PackageKind,
    ) -> Result<Option<Versions<'_>>, DatabaseError> {
        Versions::of(self, &self.kinds, kind)
    }

    pub(super) fn section(&self, section: Section) -> Result<&[u8], DatabaseError> {
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
        Ok(Statements::new(cursor, left))
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
        let [_, groups, low, high] = row(self.section(Section::Records)?, number)?;
        let published = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        let groups = self.numbers_at(Section::RecordGroups, groups)?;
        if groups.len() == 0 {
            return Err(DatabaseError::Damaged("a record is about nothing"));
        }
        Ok(Record {
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
        let [id, _, likelihood, exploited] = row(self.section(Section::Groups)?, number)?;
        Ok(Vulnerability {
            id: self.string(id)?,
            exploited: exploited != 0,
            likelihood: u16::try_from(likelihood).ok().filter(|_| likelihood != NO_LIKELIHOOD),
        })
    }

    /// The other names of a vulnerability, in their order. All who ask share them.
    pub(in crate::scan) fn names_of(&self, number: u32) -> Result<Arc<[String]>, DatabaseError> {
        self.names.of(number, || {
            let [_, names, _, _] = row(self.section(Section::Groups)?, number)?;
            let names = self.numbers_at(Section::GroupNames, names)?;
            names.map(|name| self.string(name?)).collect()
        })
    }

    /// The names of all packages of a kind, by their numbers.
    pub(super) fn package_names(&self, kind: PackageKind) -> Result<Vec<u32>, DatabaseError> {
        let keys = self.section(Section::Keys)?;
        let mut names = Vec::new();
        for ecosystem in self.ecosystems.iter().filter(|it| it.kind == Some(kind)) {
            for index in 0..ecosystem.keys {
                let index = ecosystem.first_key.checked_add(index);
                let index = index.ok_or(DatabaseError::Damaged("a key is outside"))?;
                names.push(name_of_key(keys, index)?);
            }
        }
        Ok(names)
    }

    /// The numbers of names of Maven's that have this artifact, whatever their group.
    pub(in crate::scan) fn with_artifact(&self, artifact: &str) -> Result<Vec<u32>, DatabaseError> {
        let artifacts = if let Some(artifacts) = self.artifacts.get() {
            artifacts
        } else {
            let made = Artifacts::of(self)?;
            self.artifacts.get_or_init(|| made)
        };
        artifacts.named(self, artifact)
    }

    fn numbers_at(&self, section: Section, start: u32) -> Result<Numbers<'_>, DatabaseError> {
        Numbers::new(Cursor::at(self.section(section)?, start)?)
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
    pub(in crate::scan) published: Option<Timestamp>,
    /// The vulnerabilities that it is about, by their numbers: one at least.
    pub(in crate::scan) groups: Numbers<'a>,
}

/// A vulnerability.
#[derive(Debug)]
pub(in crate::scan) struct Vulnerability<'a> {
    pub(in crate::scan) id: &'a str,
    pub(in crate::scan) exploited: bool,
    /// In hundredths of a per cent.
    pub(in crate::scan) likelihood: Option<u16>,
}
