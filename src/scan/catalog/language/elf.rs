//! As much of ELF as it takes to find a section by its name and a byte by its address, in time that is
//! linear in the file.
//!
//! By hand: libraries look a section's name up by searching for its end, which a hostile table of names
//! without ends makes quadratic. Here names are compared in place.

/// What every such file begins with.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

/// A section that takes no space in the file, as those that debug files only name.
const NO_BITS: u32 = 8;
/// A segment that is loaded.
const LOAD: u32 = 1;
/// A number of sections, or of the section of names, that is too large for its field.
const EXTENDED: u64 = 0xffff;

/// An ELF file.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    big: bool,
}

/// A table of equal entries.
#[derive(Clone, Copy)]
struct Table {
    start: u64,
    entry_bytes: u64,
    count: u64,
}

impl Table {
    fn entries(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |index| self.start + index * self.entry_bytes)
    }
}

/// A section that was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// There is none of this name.
    Absent,
    /// There is no table of sections, or where it or the section should be is outside the file.
    Broken,
    /// At these bytes of the file.
    Found {
        /// The first one.
        start: usize,
        /// Their end.
        end: usize,
    },
}

impl<'a> Elf<'a> {
    /// `None`: the header is not one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big = match bytes.get(5)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Self { bytes, wide, big })
    }

    /// Whether addresses have eight bytes.
    pub(super) fn pointer_bytes(&self) -> u8 {
        if self.wide { 8 } else { 4 }
    }

    /// The section with a name, which is given with the NUL that ends it.
    pub(super) fn section(&self, name: &[u8]) -> Section {
        let offset = if self.wide { self.u64(40) } else { self.u32(32).map(u64::from) };
        match offset {
            // Who took the table away may have left what it leads to.
            None | Some(0) => Section::Broken,
            Some(offset) => self.section_in(offset, name).unwrap_or(Section::Broken),
        }
    }

    /// `None`: the table is not within the file.
    fn section_in(&self, start: u64, name: &[u8]) -> Option<Section> {
        let fields = if self.wide { 58 } else { 46 };
        let entry_bytes = self.u16(fields)?;
        let (mut count, mut names) = (self.u16(fields + 2)?, self.u16(fields + 4)?);
        if entry_bytes < if self.wide { 64 } else { 40 } {
            return None;
        }
        if count == 0 {
            count = self.word(start.checked_add(if self.wide { 32 } else { 20 })?)?;
        }
        if names == EXTENDED {
            names = u64::from(self.u32(start.checked_add(if self.wide { 40 } else { 24 })?)?);
        }
        let table = self.table(start, entry_bytes, count)?;
        if names >= count {
            return None;
        }
        let names = self.range(table.start + names * entry_bytes)?;
        let names = self.bytes.get(names.0..names.1)?;
        let found = table.entries().find(|&entry| self.is_named(entry, names, name));
        let Some(entry) = found else { return Some(Section::Absent) };
        if self.u32(entry + 4)? == NO_BITS {
            return Some(Section::Absent);
        }
        let (start, end) = self.range(entry)?;
        Some(Section::Found { start, end })
    }

    fn is_named(&self, entry: u64, names: &[u8], name: &[u8]) -> bool {
        let at = self.u32(entry).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| names.get(at..)).is_some_and(|rest| rest.starts_with(name))
    }

    /// The bytes of a section, which must be within the file.
    fn range(&self, entry: u64) -> Option<(usize, usize)> {
        let (offset, size) = if self.wide { (24, 32) } else { (16, 20) };
        self.within(self.word(entry + offset)?, self.word(entry + size)?)
    }

    fn within(&self, start: u64, bytes: u64) -> Option<(usize, usize)> {
        let end = usize::try_from(start.checked_add(bytes)?).ok()?;
        (end <= self.bytes.len()).then_some((usize::try_from(start).ok()?, end))
    }

    /// A table that lies within the file.
    fn table(&self, start: u64, entry_bytes: u64, count: u64) -> Option<Table> {
        self.within(start, entry_bytes.checked_mul(count)?)?;
        Some(Table { start, entry_bytes, count })
    }

    /// The table of segments, as far as it is within the file.
    fn segments(&self) -> Option<Table> {
        let (start, fields) =
            if self.wide { (self.u64(32)?, 54) } else { (self.u32(28)?.into(), 42) };
        let (entry_bytes, count) = (self.u16(fields)?, self.u16(fields + 2)?);
        let whole = entry_bytes >= if self.wide { 56 } else { 32 };
        whole.then(|| self.table(start, entry_bytes, count))?
    }

    /// The bytes at an address, if all of them are loaded from the file by one segment.
    pub(super) fn at(&self, address: u64, bytes: u64) -> Option<&'a [u8]> {
        let (offset, virtual_address, size) = if self.wide { (8, 16, 32) } else { (4, 8, 16) };
        let start = self.segments()?.entries().find_map(|entry| {
            if self.u32(entry) != Some(LOAD) {
                return None;
            }
            let into = address.checked_sub(self.word(entry + virtual_address)?)?;
            let left = self.word(entry + size)?.checked_sub(into)?;
            (bytes <= left).then(|| self.word(entry + offset)?.checked_add(into))?
        })?;
        let (start, end) = self.within(start, bytes)?;
        self.bytes.get(start..end)
    }

    /// A number as wide as an address, at an offset of the file.
    fn word(&self, at: u64) -> Option<u64> {
        if self.wide { self.u64(at) } else { self.u32(at).map(u64::from) }
    }

    fn u16(&self, at: u64) -> Option<u64> {
        let bytes = self.array::<2>(at)?;
        Some(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }.into())
    }

    fn u32(&self, at: u64) -> Option<u32> {
        let bytes = self.array::<4>(at)?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, at: u64) -> Option<u64> {
        let bytes = self.array::<8>(at)?;
        Some(if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let start = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(N)?)?;
        bytes.try_into().ok()
    }
}
