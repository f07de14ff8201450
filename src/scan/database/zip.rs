//! The contents of a zip archive, by its central directory, one entry after the other.
//!
//! Names are never paths of this machine. Entries may not share bytes with each other, two may have one
//! name, and no size that the archive states is believed before it has been held against a bound.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// Entries of one archive.
pub(super) const ENTRIES_MAX: u64 = 2_000_000;
/// Bytes of a central directory.
pub(super) const CENTRAL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 4_096;
/// Where the end record can begin, at the most, before the end.
const END_BYTES_MAX: u64 = 22 + 65_535;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCAL_BYTES: u64 = 30;

/// Why an archive, or an entry of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZipError {
    #[error("cannot be read")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(&'static str),
    #[error("more than {0}")]
    TooLarge(&'static str),
}

/// One entry, as the central directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) size: u64,
    pub(super) compressed: u64,
    offset: u64,
    crc: u32,
    method: u16,
    encrypted: bool,
}

/// An archive whose directory has been read.
#[derive(Debug)]
pub(super) struct Archive<R: Read + Seek> {
    reader: BufReader<R>,
    position: u64,
    pub(super) entries: Vec<Entry>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory of an archive.
    pub(super) fn open(reader: R) -> Result<Self, ZipError> {
        let mut reader = BufReader::with_capacity(128 * 1024, reader);
        let directory = Directory::find(&mut reader)?;
        reader.seek(SeekFrom::Start(directory.offset))?;
        let mut rest = (&mut reader).take(directory.bytes);
        let mut entries = Vec::new();
        for _ in 0..directory.entries {
            entries.push(Entry::read(&mut rest)?);
        }
        if rest.limit() != 0 {
            return Err(ZipError::Malformed("the directory has more than its entries"));
        }
        none_overlap(&entries, directory.offset)?;
        let position = reader.stream_position()?;
        Ok(Self { reader, position, entries })
    }

    /// The bytes of an entry as they are in the archive, of which there are no more than `bytes_max`.
    pub(super) fn raw(&mut self, entry: &Entry, bytes_max: u64) -> Result<Vec<u8>, ZipError> {
        let length = usize::try_from(entry.compressed).ok();
        let length = length.filter(|_| entry.compressed <= bytes_max);
        let length = length.ok_or(ZipError::TooLarge("the bytes of an entry"))?;
        self.seek(entry.offset)?;
        let mut head = [0_u8; 30];
        self.read(&mut head)?;
        let mut fields = Fields(&head);
        if fields.number_32()? != LOCAL {
            return Err(ZipError::Malformed("an entry does not begin where the directory says"));
        }
        let mut lengths = Fields(head.get(26..).unwrap_or_default());
        let skipped = u64::from(lengths.number_16()?) + u64::from(lengths.number_16()?);
        self.seek(self.position + skipped)?;
        let mut bytes = vec![0; length];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn seek(&mut self, position: u64) -> Result<(), ZipError> {
        let by = i64::try_from(i128::from(position) - i128::from(self.position));
        let by = by.map_err(|_| ZipError::Malformed("an entry is outside"))?;
        self.reader.seek_relative(by)?;
        self.position = position;
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), ZipError> {
        self.reader.read_exact(bytes)?;
        self.position += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl Entry {
    fn read(reader: &mut impl Read) -> Result<Self, ZipError> {
        let mut head = [0_u8; 46];
        reader.read_exact(&mut head)?;
        let mut fields = Fields(&head);
        if fields.number_32()? != CENTRAL {
            return Err(ZipError::Malformed("the directory has something that is no entry"));
        }
        fields.skip(4)?;
        let flags = fields.number_16()?;
        let method = fields.number_16()?;
        fields.skip(4)?;
        let crc = fields.number_32()?;
        let compressed = fields.number_32()?;
        let size = fields.number_32()?;
        let [name, extra, comment] =
            [fields.number_16()?, fields.number_16()?, fields.number_16()?].map(usize::from);
        fields.skip(8)?;
        let offset = fields.number_32()?;
        if name > NAME_BYTES_MAX {
            return Err(ZipError::TooLarge("the bytes of a name"));
        }
        let mut text = vec![0; name + extra + comment];
        reader.read_exact(&mut text)?;
        let (name, extra) = (text.get(..name), text.get(name..name + extra));
        let mut long = Fields(extended(extra.unwrap_or_default()));
        Ok(Self {
            name: String::from_utf8_lossy(name.unwrap_or_default()).into(),
            size: long.instead_of(size)?,
            compressed: long.instead_of(compressed)?,
            offset: long.instead_of(offset)?,
            crc,
            method,
            encrypted: flags & 1 != 0,
        })
    }

    /// What `raw` of this entry holds, of which there are no more than `bytes_max`.
    pub(super) fn contents(&self, raw: Vec<u8>, bytes_max: u64) -> Result<Vec<u8>, ZipError> {
        let size = usize::try_from(self.size).ok().filter(|_| self.size <= bytes_max);
        let size = size.ok_or(ZipError::TooLarge("the bytes of an entry"))?;
        if self.encrypted {
            return Err(ZipError::Malformed("it is encrypted"));
        }
        let contents = match self.method {
            0 => raw,
            8 => {
                let mut contents = Vec::with_capacity(size);
                // One more than it should have tells whether there is more.
                DeflateDecoder::new(raw.as_slice())
                    .take(self.size + 1)
                    .read_to_end(&mut contents)?;
                contents
            }
            _ => return Err(ZipError::Malformed("it is compressed in a way that is not read")),
        };
        let mut crc = Crc::new();
        crc.update(&contents);
        if contents.len() != size || crc.sum() != self.crc {
            return Err(ZipError::Malformed("it is not what the directory says"));
        }
        Ok(contents)
    }
}

/// The part of the extra fields that has sizes of more than 32 bits.
fn extended(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let [a, b, c, d] = *head;
        let length = usize::from(u16::from_le_bytes([c, d]));
        if u16::from_le_bytes([a, b]) == 1 {
            return rest.get(..length).unwrap_or_default();
        }
        extra = rest.get(length..).unwrap_or_default();
    }
    &[]
}

/// Entries that share bytes make a small archive hold a lot.
fn none_overlap(entries: &[Entry], directory: u64) -> Result<(), ZipError> {
    let mut places: Vec<(u64, u64)> =
        entries.iter().map(|entry| (entry.offset, entry.compressed)).collect();
    places.sort_unstable();
    let mut free = 0_u64;
    for (offset, compressed) in places {
        let end = offset.checked_add(LOCAL_BYTES).and_then(|start| start.checked_add(compressed));
        match end {
            Some(end) if offset >= free && end <= directory => free = end,
            _ => return Err(ZipError::Malformed("entries overlap")),
        }
    }
    Ok(())
}

/// Where the central directory is.
struct Directory {
    offset: u64,
    bytes: u64,
    entries: u64,
}

impl Directory {
    fn find<R: Read + Seek>(reader: &mut R) -> Result<Self, ZipError> {
        let length = reader.seek(SeekFrom::End(0))?;
        let start = length.saturating_sub(END_BYTES_MAX);
        let mut tail = Vec::new();
        reader.seek(SeekFrom::Start(start))?;
        reader.take(END_BYTES_MAX).read_to_end(&mut tail)?;
        let at = end_record(&tail).ok_or(ZipError::Malformed("this is no zip archive"))?;
        let mut fields = Fields(tail.get(at + 4..).unwrap_or_default());
        let disks = fields.number_32()?;
        let [_, entries] = [fields.number_16()?, fields.number_16()?];
        let [bytes, offset] = [fields.number_32()?, fields.number_32()?];
        let end = start + u64::try_from(at).unwrap_or(u64::MAX);
        let is_long = entries == u16::MAX || bytes == u32::MAX || offset == u32::MAX;
        let found = match Self::find_long(reader, end)? {
            Some(directory) if is_long => directory,
            _ if disks != 0 => return Err(ZipError::Malformed("it has several parts")),
            _ => Self { offset: offset.into(), bytes: bytes.into(), entries: entries.into() },
        };
        match found.offset.checked_add(found.bytes) {
            Some(after) if after <= end => {}
            _ => return Err(ZipError::Malformed("the directory is outside")),
        }
        if found.entries > ENTRIES_MAX || found.bytes > CENTRAL_BYTES_MAX {
            return Err(ZipError::TooLarge("the entries of an archive"));
        }
        Ok(found)
    }

    /// The long form of the end record, whose place is before the short one.
    fn find_long<R: Read + Seek>(reader: &mut R, end: u64) -> Result<Option<Self>, ZipError> {
        let Some(locator) = end.checked_sub(20) else { return Ok(None) };
        let mut bytes = [0; 20];
        reader.seek(SeekFrom::Start(locator))?;
        reader.read_exact(&mut bytes)?;
        let mut fields = Fields(&bytes);
        if fields.number_32()? != LOCATOR_64 {
            return Ok(None);
        }
        fields.skip(4)?;
        let place = fields.number_64()?;
        if place.checked_add(56).is_none_or(|after| after > locator) {
            return Err(ZipError::Malformed("the end record is outside"));
        }
        let mut bytes = [0; 56];
        reader.seek(SeekFrom::Start(place))?;
        reader.read_exact(&mut bytes)?;
        let mut fields = Fields(&bytes);
        if fields.number_32()? != END_64 {
            return Err(ZipError::Malformed("the end record is not where it should be"));
        }
        fields.skip(28)?;
        let [entries, bytes, offset] =
            [fields.number_64()?, fields.number_64()?, fields.number_64()?];
        Ok(Some(Self { offset, bytes, entries }))
    }
}

/// Where the end record is: the last place that looks like one and whose comment ends the archive.
fn end_record(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(22)?;
    (0..=last).rev().find(|at| {
        let record = tail.get(*at..).unwrap_or_default();
        let comment = record.get(20..22).map_or(0, |two| {
            usize::from(two.iter().rev().fold(0_u16, |sum, byte| sum << 8 | u16::from(*byte)))
        });
        record.starts_with(&END.to_le_bytes()) && record.len() == 22 + comment
    })
}

/// Numbers one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ZipError> {
        let (first, rest) =
            self.0.split_first_chunk::<N>().ok_or(ZipError::Malformed("a record ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), ZipError> {
        self.0 = self.0.get(bytes..).ok_or(ZipError::Malformed("a record ends early"))?;
        Ok(())
    }

    fn number_16(&mut self) -> Result<u16, ZipError> {
        self.take().map(u16::from_le_bytes)
    }

    fn number_32(&mut self) -> Result<u32, ZipError> {
        self.take().map(u32::from_le_bytes)
    }

    fn number_64(&mut self) -> Result<u64, ZipError> {
        self.take().map(u64::from_le_bytes)
    }

    /// The next number here, where the short one says that it is here.
    fn instead_of(&mut self, short: u32) -> Result<u64, ZipError> {
        if short == u32::MAX { self.number_64() } else { Ok(short.into()) }
    }
}
