//! A row as it is stored: the types of its columns, and their values behind them.

/// Most columns of a row that is read; rpm's have two, the table of tables has five.
const COLUMNS_MAX: usize = 8;

/// The value of a column, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Blob(&'a [u8]),
    Integer(i64),
    Null,
    Real,
    Text(&'a [u8]),
}

/// The values of a row; `None` where it is none.
pub(super) fn values(row: &[u8]) -> Option<Vec<Value<'_>>> {
    let (header_bytes, rest) = varint(row)?;
    let types_bytes = usize::try_from(header_bytes).ok()?.checked_sub(row.len() - rest.len())?;
    let (mut types, mut body) = rest.split_at_checked(types_bytes)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        let value;
        (value, body) = take_value(kind, body)?;
        types = rest;
        values.push(value);
        if values.len() > COLUMNS_MAX {
            return None;
        }
    }
    Some(values)
}

fn take_value(kind: u64, body: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let bytes = match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        // Kept for the library's own use.
        10 | 11 => return None,
        _ => (kind - 12) / 2,
    };
    let (bytes, rest) = body.split_at_checked(usize::try_from(bytes).ok()?)?;
    let value = match kind {
        0 => Value::Null,
        1..=6 => Value::Integer(integer(bytes)),
        7 => Value::Real,
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        _ if kind.is_multiple_of(2) => Value::Blob(bytes),
        _ => Value::Text(bytes),
    };
    Some((value, rest))
}

/// A number in two's complement, the most significant byte first.
fn integer(bytes: &[u8]) -> i64 {
    let is_negative = bytes.first().is_some_and(|&byte| byte >= 0x80);
    let start = if is_negative { -1 } else { 0 };
    bytes.iter().fold(start, |number: i64, &byte| (number << 8) | i64::from(byte))
}

/// A number of one to nine bytes, and what is behind it: seven bits in each byte but the ninth, and the
/// highest bit says whether another follows.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        let is_ninth = index == 8;
        let (shift, bits) = if is_ninth { (8, byte) } else { (7, byte & 0x7f) };
        number = (number << shift) | u64::from(bits);
        if is_ninth || byte < 0x80 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths() {
        let cases: [(&[u8], u64); 6] = [
            (&[0], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0x82, 0x81, 0x05], (2 << 14) | (1 << 7) | 5),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x07], 7),
        ];
        for (bytes, number) in cases {
            let mut more = bytes.to_vec();
            more.push(9);
            assert_eq!(varint(&more), Some((number, &[9][..])), "{bytes:?}");
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None, "{bytes:?}, cut");
        }
    }

    #[test]
    fn rows_of_all_types() {
        let row = [
            9, 0, 1, 2, 5, 8, 9, 16, 17, 0xff, 0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
            b'a', b'b', b'c', b'd',
        ];
        let expected = [
            Value::Null,
            Value::Integer(-1),
            Value::Integer(256),
            Value::Integer(-2),
            Value::Integer(0),
            Value::Integer(1),
            Value::Blob(b"ab"),
            Value::Text(b"cd"),
        ];
        assert_eq!(values(&row).as_deref(), Some(&expected[..]));
        for cut in 0..row.len() {
            assert_eq!(values(&row[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_row() {
        let cases: [&[u8]; 5] = [
            // Types that there are not, too many columns, a length beyond all memory, a header that
            // ends before it begins, or within a number.
            &[2, 10],
            &[10, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0],
            &[2, 0x80],
        ];
        for row in cases {
            assert_eq!(values(row), None, "{row:?}");
        }
    }
}
