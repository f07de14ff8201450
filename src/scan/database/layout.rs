//! The file: a head, sections one after the other, and a checksum over all of it.
//!
//! The head has a magic, the format, how many bytes the file has, and how many each section has.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::DatabaseError;
use crate::oci::Digest;

/// How the file begins.
pub(super) const MAGIC: &[u8; 8] = b"PRTQVDB\n";
/// The format that is written and read here.
pub(super) const FORMAT: u32 = 3;
/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: usize = 32;
const HEAD_BYTES: usize = 8 + 4 + 4 + 8 + 8 * SECTIONS;
const SECTIONS: usize = 17;

/// What is in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The [`super::Status`], as JSON.
    Status,
    /// Where each string ends.
    StringEnds,
    /// All strings.
    Strings,
    /// The numbers of the strings in their order.
    StringOrder,
    /// Rows: name, first key, keys, statements, kind. In the order of the names.
    Ecosystems,
    /// Rows: name, where its statements begin, how many. By ecosystem, then by number of the name.
    Keys,
    /// Statements about packages.
    Statements,
    /// Where each list of versions ends.
    ListEnds,
    /// Lists of versions.
    Lists,
    /// Rows: id, where its vulnerabilities are, when it was published (two numbers).
    Records,
    /// For each record the vulnerabilities that it is about.
    RecordGroups,
    /// Rows: best name, where the others are, likelihood, whether exploited.
    Groups,
    /// For each vulnerability its other names.
    GroupNames,
    /// Rows: name of a kind of package, first version, versions, how many of them can be compared, who
    /// put those in order.
    Kinds,
    /// The strings of all versions, by kind.
    Versions,
    /// For each kind the numbers of its versions that can be compared, in their order.
    VersionOrder,
    /// For each version where it is in the order of its kind.
    VersionPlaces,
}

/// The sections of a file that is written.
#[derive(Debug, Default)]
pub(super) struct Sections([Vec<u8>; SECTIONS]);

impl Sections {
    pub(super) fn put(&mut self, section: Section, bytes: Vec<u8>) {
        if let Some(place) = self.0.get_mut(index(section)) {
            *place = bytes;
        }
    }

    pub(super) fn put_numbers(&mut self, section: Section, numbers: &[u32]) {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.put(section, bytes);
    }

    /// Writes the file, and gives its digest and its length.
    pub(super) fn write(&self, writer: &mut impl Write) -> io::Result<(Digest, u64)> {
        let lengths: Vec<u64> = self.0.iter().map(|bytes| length(bytes)).collect();
        let fixed = length(&[0; HEAD_BYTES]) + length(&[0; CHECKSUM_BYTES]);
        let total = fixed + lengths.iter().sum::<u64>();
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        head.extend(FORMAT.to_le_bytes());
        head.extend(u32::try_from(SECTIONS).unwrap_or(u32::MAX).to_le_bytes());
        head.extend(total.to_le_bytes());
        head.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        let mut hasher = Sha256::new();
        for bytes in std::iter::once(&head).chain(&self.0) {
            hasher.update(bytes);
            writer.write_all(bytes)?;
        }
        let checksum = hasher.clone().finalize();
        writer.write_all(&checksum)?;
        hasher.update(checksum);
        Ok((digest(&hasher.finalize()).map_err(io::Error::other)?, total))
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

const fn index(section: Section) -> usize {
    match section {
        Section::Status => 0,
        Section::StringEnds => 1,
        Section::Strings => 2,
        Section::StringOrder => 3,
        Section::Ecosystems => 4,
        Section::Keys => 5,
        Section::Statements => 6,
        Section::ListEnds => 7,
        Section::Lists => 8,
        Section::Records => 9,
        Section::RecordGroups => 10,
        Section::Groups => 11,
        Section::GroupNames => 12,
        Section::Kinds => 13,
        Section::Versions => 14,
        Section::VersionOrder => 15,
        Section::VersionPlaces => 16,
    }
}

fn digest(sha256: &[u8]) -> Result<Digest, DatabaseError> {
    format!("sha256:{}", hex::encode(sha256)).parse().map_err(|_| DatabaseError::Checksum)
}

/// Where the sections of a file are.
#[derive(Debug, Clone)]
pub(super) struct Places([(usize, usize); SECTIONS]);

impl Places {
    /// Reads the head of a file, and holds it against the file's length.
    pub(super) fn read(file: &[u8]) -> Result<Self, DatabaseError> {
        let rest = file.strip_prefix(MAGIC).ok_or(DatabaseError::NotADatabase)?;
        let (format, rest) = number_32(rest, file)?;
        if format != FORMAT {
            return Err(DatabaseError::Format { found: format, known: FORMAT });
        }
        let (sections, rest) = number_32(rest, file)?;
        if usize::try_from(sections) != Ok(SECTIONS) {
            return Err(DatabaseError::Damaged("it has other sections"));
        }
        let (total, mut rest) = number_64(rest, file)?;
        if total != length(file) {
            return Err(DatabaseError::Length { expected: total, found: length(file) });
        }
        let (mut places, mut start) = ([(0, 0); SECTIONS], HEAD_BYTES);
        let outside = DatabaseError::Damaged("a section is outside");
        for place in &mut places {
            let (bytes, after) = number_64(rest, file)?;
            let bytes = usize::try_from(bytes).map_err(|_| outside.clone())?;
            let end = start.checked_add(bytes).ok_or_else(|| outside.clone())?;
            *place = (start, end);
            (start, rest) = (end, after);
        }
        if start.checked_add(CHECKSUM_BYTES) == Some(file.len()) {
            Ok(Self(places))
        } else {
            Err(outside)
        }
    }

    pub(super) fn of(&self, section: Section) -> (usize, usize) {
        self.0.get(index(section)).copied().unwrap_or((0, 0))
    }
}

/// Reads all of a file, and gives its digest if its checksum fits.
pub(super) fn verified(file: &[u8]) -> Result<Digest, DatabaseError> {
    let at = file.len().checked_sub(CHECKSUM_BYTES).ok_or(DatabaseError::Checksum)?;
    let (bytes, checksum) = file.split_at_checked(at).ok_or(DatabaseError::Checksum)?;
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    if hasher.clone().finalize().as_slice() != checksum {
        return Err(DatabaseError::Checksum);
    }
    hasher.update(checksum);
    digest(&hasher.finalize())
}

fn number_32<'a>(bytes: &'a [u8], file: &[u8]) -> Result<(u32, &'a [u8]), DatabaseError> {
    let (first, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| too_short(file))?;
    Ok((u32::from_le_bytes(*first), rest))
}

fn number_64<'a>(bytes: &'a [u8], file: &[u8]) -> Result<(u64, &'a [u8]), DatabaseError> {
    let (first, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| too_short(file))?;
    Ok((u64::from_le_bytes(*first), rest))
}

fn too_short(file: &[u8]) -> DatabaseError {
    DatabaseError::Length { expected: length(&[0; HEAD_BYTES]), found: length(file) }
}
