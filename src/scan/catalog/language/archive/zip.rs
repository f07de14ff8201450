//! As much of zip as Java reads: the directory at the end, entries that are stored or deflated.
//!
//! By hand, on bytes in memory, and where readers differ, as Java does it: the last end record counts,
//! something may stand before the archive, and the directory says what is in it. What the directory says
//! of an entry must be what stands before its bytes, and entries that are read may not overlap.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::super::Trouble;
use crate::scan::GapKind;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_64_BYTES: usize = 20;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// The comment of an archive has no more.
const COMMENT_BYTES_MAX: usize = 65_535;
/// The extra field with numbers of eight bytes.
const EXTRA_64: u64 = 1;
/// What stands in the place of a number of eight bytes.
const IN_EXTRA: u64 = 0xffff_ffff;
/// What stands in the place of a count in the larger end record.
const IN_RECORD_64: u64 = 0xffff;
/// Flags of encrypted entries.
const ENCRYPTED: u64 = 1 | 1 << 6 | 1 << 13;

/// An archive.
pub(super) struct Zip<'a> {
    bytes: &'a [u8],
    /// Where offsets count from.
    base: usize,
    /// The bytes of the directory.
    directory: &'a [u8],
    is_disputed: bool,
}

/// An entry, as the directory has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    flags: u64,
    method: u64,
    packed_bytes: u64,
    /// Its size.
    pub(super) bytes: u64,
    offset: u64,
}

/// An entry's bytes in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    is_deflated: bool,
    size: u64,
    /// Where they are, with what stands before them.
    pub(super) range: (usize, usize),
}

fn malformed(text: &str) -> Trouble {
    (GapKind::Malformed, text.to_owned())
}

/// A number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..N)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn size<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    number::<N>(bytes, at).and_then(|size| usize::try_from(size).ok())
}

impl<'a> Zip<'a> {
    /// Opens an archive; `None` where there is no end of one.
    ///
    /// # Errors
    /// When the end does not lead to a directory.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Option<Self>, Trouble> {
        let last = bytes.len().checked_sub(END_BYTES);
        let Some(last) = last else { return Ok(None) };
        let first = last.saturating_sub(COMMENT_BYTES_MAX);
        for at in (first..=last).rev() {
            if !bytes.get(at..).is_some_and(|rest| rest.starts_with(END)) {
                continue;
            }
            let ends =
                size::<2>(bytes, at + 20).is_some_and(|size| at + END_BYTES + size == bytes.len());
            match Self::ending_at(bytes, at) {
                Some(zip) if ends || zip.is_plain() => return Ok(Some(zip)),
                None if ends => return Err(malformed("its end does not lead to its directory")),
                Some(_) | None => {}
            }
        }
        Ok(None)
    }

    fn ending_at(bytes: &'a [u8], end: usize) -> Option<Self> {
        let (mut directory_bytes, mut offset) =
            (size::<4>(bytes, end + 12)?, size::<4>(bytes, end + 16)?);
        let mut directory_end = end;
        let mut is_disputed = false;
        let count = number::<2>(bytes, end + 10)?;
        let is_large = count == IN_RECORD_64
            || [directory_bytes, offset].iter().any(|size| u64::try_from(*size) == Ok(IN_EXTRA));
        if is_large && let Some(at) = Self::end_64(bytes, end) {
            let large = (size::<8>(bytes, at + 40)?, size::<8>(bytes, at + 48)?);
            // Java takes the smaller numbers where one of them is a number, and another.
            let differs =
                |small: usize, large: usize| u64::try_from(small) != Ok(IN_EXTRA) && small != large;
            is_disputed = differs(directory_bytes, large.0)
                || differs(offset, large.1)
                || (count != IN_RECORD_64 && Some(count) != number::<8>(bytes, at + 32));
            if !is_disputed {
                (directory_bytes, offset) = large;
                directory_end = at;
            }
        }
        let start = directory_end.checked_sub(directory_bytes)?;
        let base = start.checked_sub(offset)?;
        Some(Self { bytes, base, directory: bytes.get(start..directory_end)?, is_disputed })
    }

    /// Where the larger end record is.
    fn end_64(bytes: &[u8], end: usize) -> Option<usize> {
        let locator = end.checked_sub(LOCATOR_64_BYTES)?;
        let is_at =
            |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
        if !is_at(locator, LOCATOR_64) {
            return None;
        }
        // Something before the archive moves it away from where the locator says.
        let said = size::<8>(bytes, locator + 8)?;
        let before = locator.checked_sub(END_64_BYTES)?;
        [said, before].into_iter().find(|&at| at <= before && is_at(at, END_64))
    }

    /// Whether the directory begins like one, and what it is of, too.
    fn is_plain(&self) -> bool {
        let begins =
            |bytes: &[u8]| bytes.get(self.base..).is_some_and(|rest| rest.starts_with(LOCAL));
        self.directory.is_empty() || (self.directory.starts_with(CENTRAL) && begins(self.bytes))
    }

    /// Whether its end says two things.
    pub(super) fn is_disputed(&self) -> bool {
        self.is_disputed
    }

    /// Whether something stands before it.
    pub(super) fn is_preceded(&self) -> bool {
        self.base > 0
    }

    /// Its entries, in their order. After one that cannot be read come no more.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, Trouble>> + use<'a> {
        let mut rest = Some(self.directory);
        std::iter::from_fn(move || {
            let bytes = rest.filter(|bytes| !bytes.is_empty())?;
            let next = Entry::read(bytes);
            rest = next.as_ref().and_then(|(_, taken)| bytes.get(*taken..));
            let what = next.map(|(entry, _)| entry);
            Some(what.ok_or_else(|| malformed("its directory has an entry that cannot be read")))
        })
    }

    fn directory_bytes(bytes: &[u8]) -> Option<usize> {
        let lengths = [size::<2>(bytes, 28)?, size::<2>(bytes, 30)?, size::<2>(bytes, 32)?];
        Some(CENTRAL_BYTES + lengths.iter().sum::<usize>())
    }

    /// The bytes of an entry.
    ///
    /// # Errors
    /// When they are not where the directory says, are not what it says, or are of a kind that is not
    /// read.
    pub(super) fn packed(&self, entry: &Entry<'a>) -> Result<Packed<'a>, Trouble> {
        if entry.flags & ENCRYPTED != 0 {
            return Err((GapKind::Unsupported, "it is encrypted".to_owned()));
        }
        let is_deflated = match entry.method {
            0 => false,
            8 => true,
            _ => return Err((GapKind::Unsupported, "it is compressed in another way".to_owned())),
        };
        let packed = self.located(entry, is_deflated);
        let packed =
            packed.ok_or_else(|| malformed("it is not where and what the directory says"))?;
        if !is_deflated && entry.packed_bytes != entry.bytes {
            return Err(malformed("it is stored, and has two sizes"));
        }
        Ok(packed)
    }

    fn located(&self, entry: &Entry<'a>, is_deflated: bool) -> Option<Packed<'a>> {
        let start = self.base.checked_add(usize::try_from(entry.offset).ok()?)?;
        let header = self.bytes.get(start..)?;
        let same = header.starts_with(LOCAL)
            && number::<2>(header, 6)? & ENCRYPTED == entry.flags & ENCRYPTED
            && number::<2>(header, 8)? == entry.method;
        let name_end = LOCAL_BYTES + size::<2>(header, 26)?;
        if !same || header.get(LOCAL_BYTES..name_end)? != entry.name {
            return None;
        }
        let begin = name_end + size::<2>(header, 28)?;
        let end = begin.checked_add(usize::try_from(entry.packed_bytes).ok()?)?;
        let range = (start, start + end);
        Some(Packed { bytes: header.get(begin..end)?, is_deflated, size: entry.bytes, range })
    }
}

impl<'a> Entry<'a> {
    /// The entry at the beginning of a directory, and how many bytes it takes there.
    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        if !bytes.starts_with(CENTRAL) {
            return None;
        }
        let whole = Zip::directory_bytes(bytes)?;
        bytes.get(..whole)?;
        let name_end = CENTRAL_BYTES + size::<2>(bytes, 28)?;
        let extra = bytes.get(name_end..name_end + size::<2>(bytes, 30)?)?;
        let mut entry = Self {
            name: bytes.get(CENTRAL_BYTES..name_end)?,
            flags: number::<2>(bytes, 8)?,
            method: number::<2>(bytes, 10)?,
            packed_bytes: number::<4>(bytes, 20)?,
            bytes: number::<4>(bytes, 24)?,
            offset: number::<4>(bytes, 42)?,
        };
        let mut wide = extra_64(extra);
        for field in [&mut entry.bytes, &mut entry.packed_bytes, &mut entry.offset] {
            if *field == IN_EXTRA {
                let value = wide.and_then(|bytes| number::<8>(bytes, 0));
                // Without one, it is the number that it looks like.
                if let Some(value) = value {
                    *field = value;
                    wide = wide.and_then(|bytes| bytes.get(8..));
                }
            }
        }
        Some((entry, whole))
    }

    /// Whether it is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

/// The field with numbers of eight bytes.
fn extra_64(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let bytes = size::<2>(extra, 2)?;
        let field = extra.get(4..4 + bytes)?;
        if number::<2>(extra, 0)? == EXTRA_64 {
            return Some(field);
        }
        extra = extra.get(4 + bytes..)?;
    }
}

impl<'a> Packed<'a> {
    /// What is in it, which is to have the size that the directory says.
    ///
    /// # Errors
    /// When it has not, or cannot be inflated.
    pub(super) fn read(self) -> Result<Cow<'a, [u8]>, Trouble> {
        if !self.is_deflated {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut inflated = Vec::new();
        let mut decoder = DeflateDecoder::new(self.bytes).take(self.size.saturating_add(1));
        let read = decoder.read_to_end(&mut inflated);
        if read.is_err() || u64::try_from(inflated.len()) != Ok(self.size) {
            return Err(malformed("it cannot be inflated to the size that the directory says"));
        }
        Ok(Cow::Owned(inflated))
    }
}
