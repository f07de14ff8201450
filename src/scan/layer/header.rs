//! One header block of a tar archive, read as Go's `archive/tar` reads it: what a node sees is what
//! counts.

pub(super) const BLOCK_BYTES: usize = 512;

/// A header block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK_BYTES]);

/// Which dialect a block is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Gnu,
    Star,
    Ustar,
    V7,
}

impl<'a> Header<'a> {
    /// `None` when the checksum is wrong: it is no header.
    pub(super) fn parse(block: &'a [u8; BLOCK_BYTES]) -> Option<Self> {
        let header = Self(block);
        let stated = octal(header.field(148, 8))?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        (stated == unsigned || stated == signed).then_some(header)
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.0.get(156).copied().unwrap_or(0)
    }

    /// `None` when it is not a number, or a negative one.
    pub(super) fn size(&self) -> Option<u64> {
        u64::try_from(number(self.field(124, 12))?).ok()
    }

    /// The name with its prefix, as the dialect has it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(self.field(0, 100));
        let prefix = match self.format() {
            Format::V7 => &[],
            Format::Ustar => text(self.field(345, 155)),
            Format::Star => text(self.field(345, 131)),
            Format::Gnu => self.misplaced_prefix(),
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(self.field(157, 100)).to_vec()
    }

    /// Whether GNU's old map of a sparse file goes on in the block behind this one.
    pub(super) fn has_more_of_sparse_map(&self) -> bool {
        self.field(482, 1) != [0]
    }

    fn format(&self) -> Format {
        // The version behind `ustar\0` is not looked at.
        match (self.field(257, 6), self.field(263, 2), self.field(508, 4)) {
            (b"ustar\0", _, b"tar\0") => Format::Star,
            (b"ustar\0", _, _) => Format::Ustar,
            (b"ustar ", b" \0", _) => Format::Gnu,
            _ => Format::V7,
        }
    }

    /// Go wrote a prefix where GNU has two times, before 1.8, and reads it to this day.
    fn misplaced_prefix(&self) -> &'a [u8] {
        let is_time = |field: &[u8]| field.first() == Some(&0) || number(field).is_some();
        if is_time(self.field(345, 12)) && is_time(self.field(357, 12)) {
            return &[];
        }
        let prefix = text(self.field(345, 155));
        if prefix.is_ascii() { prefix } else { &[] }
    }

    fn field(&self, start: usize, length: usize) -> &'a [u8] {
        self.0.get(start..start + length).unwrap_or_default()
    }
}

/// A field up to its first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    let inverted = if first & 0x40 == 0 { 0 } else { 0xff };
    let mut value = 0_u64;
    for (index, byte) in field.iter().enumerate() {
        let byte = byte ^ inverted;
        let byte = if index == 0 { byte & 0x7f } else { byte };
        if value >> 56 > 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if inverted == 0 { value } else { !value })
}

fn octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !is_padding(byte)).map_or(start, |last| last + 1);
    let digits = text(field.get(start..end)?);
    if digits.is_empty() {
        return Some(0);
    }
    // `from_str_radix` takes a plus sign, Go does not.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u64::from_str_radix(digits, 8).ok().and_then(|value| i64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_nodes_read_them() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b" 644 \0\0\0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"", None),
            (b"12345670", Some(0o12_345_670)),
            (b"1234567x", None),
            (b"-0000001", None),
            (b"+0000001", None),
            (b"0x1", None),
            (b"8", None),
            (&[0x80, 0, 0, 1, 0], Some(256)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff], Some(-1)),
            (&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(i64::MAX)),
            (&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
