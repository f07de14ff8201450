//! DER, written by hand: what a library does not let be written wrong can be, here.

use crate::time::Timestamp;

pub(in crate::signature) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let [_, first, second, third] = u32::try_from(length).unwrap().to_be_bytes();
    let header = match length {
        0..0x80 => vec![tag, third],
        0x80..0x100 => vec![tag, 0x81, third],
        0x100..0x1_0000 => vec![tag, 0x82, second, third],
        0x1_0000..0x100_0000 => vec![tag, 0x83, first, second, third],
        _ => panic!("nothing here is that large"),
    };
    [&header, content].concat()
}

pub(in crate::signature) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A set, in the one order that DER has.
pub(in crate::signature) fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(0x31, &parts.concat())
}

pub(in crate::signature) fn integer(number: u32) -> Vec<u8> {
    let bytes = u64::from(number).to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let first = if bytes[first] >= 0x80 { first - 1 } else { first };
    tlv(0x02, &bytes[first..])
}

pub(in crate::signature) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

pub(in crate::signature) fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub(in crate::signature) fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub(in crate::signature) fn truth() -> Vec<u8> {
    tlv(0x01, &[0xff])
}

/// `content` under the tag `number` of its context, with structure.
pub(in crate::signature) fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

pub(in crate::signature) fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u32> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let mut rest = *arc;
        let mut digits = vec![u8::try_from(rest & 0x7f).unwrap()];
        while rest >= 0x80 {
            rest >>= 7;
            digits.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        }
        content.extend(digits.into_iter().rev());
    }
    tlv(0x06, &content)
}

/// `YYYYMMDDhhmmss` of so many seconds since 1970.
fn digits(seconds: i64) -> String {
    let text = Timestamp::from_milliseconds(seconds * 1000).to_string();
    text.chars().filter(char::is_ascii_digit).collect()
}

pub(in crate::signature) fn utc_time(seconds: i64) -> Vec<u8> {
    tlv(0x17, format!("{}Z", &digits(seconds)[2..]).as_bytes())
}

pub(in crate::signature) fn generalized_time(seconds: i64) -> Vec<u8> {
    tlv(0x18, format!("{}Z", digits(seconds)).as_bytes())
}
