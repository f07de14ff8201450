//! Numbers as the file has them: fixed ones in tables, little end first, and short ones in lists.

use super::DatabaseError;

/// Appends `value` in as few bytes as it needs, seven bits each.
pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// A difference as a number without a sign: small ones stay small.
pub(super) const fn zigzag(value: i64) -> u64 {
    (value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned()
}

/// What [`zigzag`] was made of.
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads what [`put`] wrote, and never beyond the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// A cursor at `start` of `bytes`.
    pub(super) fn at(bytes: &'a [u8], start: u32) -> Result<Self, DatabaseError> {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        bytes.get(start..).map(Self::new).ok_or(DatabaseError::Damaged("an offset is outside"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, DatabaseError> {
        let (first, rest) =
            self.bytes.split_first().ok_or(DatabaseError::Damaged("a list ends early"))?;
        self.bytes = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, DatabaseError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DatabaseError::Damaged("a number is too long"))
    }

    pub(super) fn short(&mut self) -> Result<u32, DatabaseError> {
        u32::try_from(self.number()?).map_err(|_| DatabaseError::Damaged("a number is too large"))
    }
}

/// A list of short numbers that says first how many there are.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Numbers<'a> {
    cursor: Cursor<'a>,
    left: u64,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(mut cursor: Cursor<'a>) -> Result<Self, DatabaseError> {
        let left = cursor.number()?;
        Ok(Self { cursor, left })
    }

    /// How many are left, as the list says: no bound of what is there.
    pub(in crate::scan) const fn len(&self) -> u64 {
        self.left
    }
}

impl Iterator for Numbers<'_> {
    type Item = Result<u32, DatabaseError>;

    /// The last one is the first that cannot be read.
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let number = self.cursor.short();
        if number.is_err() {
            self.left = 0;
        }
        Some(number)
    }
}

/// The number at `index` of a table of numbers.
pub(super) fn entry(table: &[u8], index: u32) -> Result<u32, DatabaseError> {
    let [value] = row(table, index)?;
    Ok(value)
}

/// The row at `index` of a table of rows of `N` numbers.
pub(super) fn row<const N: usize>(table: &[u8], index: u32) -> Result<[u32; N], DatabaseError> {
    let start = usize::try_from(index).ok().and_then(|index| index.checked_mul(4 * N));
    let end = start.and_then(|start| start.checked_add(4 * N));
    let bytes = start.zip(end).and_then(|(start, end)| table.get(start..end));
    let bytes = bytes.ok_or(DatabaseError::Damaged("a row is outside its table"))?;
    let mut values = [0; N];
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = u32::from_le_bytes(*bytes);
    }
    Ok(values)
}

/// How many rows of `N` numbers a table has.
pub(super) fn rows(table: &[u8], numbers: usize) -> Result<u32, DatabaseError> {
    let width = 4 * numbers;
    if !table.len().is_multiple_of(width) {
        return Err(DatabaseError::Damaged("a table has part of a row"));
    }
    u32::try_from(table.len() / width).map_err(|_| DatabaseError::Damaged("a table is too long"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read(values in proptest::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            for value in &values {
                put(&mut bytes, *value);
            }
            let mut cursor = Cursor::new(&bytes);
            for value in &values {
                prop_assert_eq!(cursor.number(), Ok(*value));
            }
            prop_assert!(cursor.byte().is_err());
        }

        #[test]
        fn differences_come_back(value in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in any::<u32>()) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.number().is_ok() {}
            drop((row::<3>(&bytes, at), entry(&bytes, at), rows(&bytes, 3)));
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_damage() {
        let mut eleven = vec![0xff; 10];
        eleven.push(1);
        assert!(Cursor::new(&eleven).number().is_err());
        let mut sixty_five = vec![0xff; 9];
        sixty_five.push(2);
        assert!(Cursor::new(&sixty_five).number().is_err());
    }
}
