//! As much of protocol buffers as the calls of the image service take: fields that have a length.
//!
//! Spec: <https://protobuf.dev/programming-guides/encoding/>

/// What follows the number of a field that has a length.
const LENGTH_DELIMITED: u64 = 2;

/// The field `number` with `content`.
pub(super) fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(number << 3 | LENGTH_DELIMITED);
    bytes.extend(varint(u64::try_from(content.len()).unwrap_or(u64::MAX)));
    bytes.extend_from_slice(content);
    bytes
}

/// The contents of every field of `message` that has the number `wanted` and a length; `None` where it
/// is no message.
pub(super) fn fields(message: &[u8], wanted: u64) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let content = match key & 7 {
            0 => {
                take_varint(&mut rest)?;
                continue;
            }
            1 => take(&mut rest, 8)?,
            LENGTH_DELIMITED => {
                let length = take_varint(&mut rest)?;
                take(&mut rest, usize::try_from(length).ok()?)?
            }
            5 => take(&mut rest, 4)?,
            _ => return None,
        };
        if key == wanted << 3 | LENGTH_DELIMITED {
            found.push(content);
        }
    }
    Some(found)
}

fn varint(number: u64) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), number);
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_spec_is_written_as_every_other_program_writes_it() {
        assert_eq!(field(1, &field(1, b"a/b:1")), *b"\x0a\x07\x0a\x05a/b:1");
        assert_eq!(field(1, &[0; 200])[..3], [0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_what_is_whole_is_read() {
        assert_eq!(fields(b"\x0a\x02id\x10\x05\x12\x03tag", 2), Some(vec![&b"tag"[..]]));
        for broken in
            [&b"\x0a\x05id"[..], b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x0b"]
        {
            assert_eq!(fields(broken, 1), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_no_bytes_are_a_panic(
            number in 1_u64..1_000, content: Vec<u8>, noise: Vec<u8>
        ) {
            let written = field(number, &content);
            prop_assert_eq!(fields(&written, number), Some(vec![content.as_slice()]));
            let _ = fields(&noise, number);
        }
    }
}
