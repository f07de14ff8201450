//! Base 32 without padding, as authenticators take keys.
//!
//! Spec: RFC 4648 section 6.

/// The letters, by value.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `bytes` in base 32; left-over bits are zero.
pub(super) fn encode(bytes: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

/// The bytes that `text` stands for; letters in either case. `None` when it is no base 32.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes() {
        let upper = byte.to_ascii_uppercase();
        let value = ALPHABET.iter().position(|letter| *letter == upper)?;
        held = (held << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    (held == 0 && bits < 5).then_some(bytes)
}

fn letter(value: u32) -> char {
    let place = usize::try_from(value & 31).unwrap_or(0);
    ALPHABET.get(place).map_or('A', |letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_the_specification_hold() {
        let pairs =
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")];
        for (plain, encoded) in pairs {
            assert_eq!(encode(plain.as_bytes()), encoded);
            assert_eq!(decode(encoded).unwrap(), plain.as_bytes());
        }
        assert_eq!(decode("mzxw6ytboi").unwrap(), b"foobar");
        for bad in ["M1", "MZ=", "MZXW 6", "M", "MZ\u{e9}", "MZXW7"] {
            assert!(decode(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }
    }
}
