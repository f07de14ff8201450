//! Numbers of any length, and runs of bytes of one kind: what versions are made of.

use std::cmp::Ordering;

/// A number in a version; however long, it is ordered by its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    /// One that a machine word holds.
    Word(u64),
    /// Its digits without leading zeros: always more than a word holds.
    Long(Long),
}

/// The digits of a number that no machine word holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Long(Box<[u8]>);

impl Ord for Long {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_digits(&self.0, &other.0)
    }
}

impl PartialOrd for Long {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Number {
    /// Zero, which most schemes take for what is not there.
    pub(super) const ZERO: Self = Self::Word(0);

    /// The number that a run of ASCII digits is; no digits are zero.
    pub(super) fn of(digits: &[u8]) -> Self {
        let digits = without_zeros(digits);
        let word = digits.iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
        });
        word.map_or_else(|| Self::Long(Long(digits.into())), Self::Word)
    }

    /// Whether it is zero.
    pub(super) fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// Orders two runs of ASCII digits by the numbers that they are.
pub(super) fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (without_zeros(a), without_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    take_while(digits, |byte| byte == b'0').1
}

/// Orders two lists of parts, the shorter one as if `nothing` followed in it.
pub(super) fn compare_padded<T: Ord>(a: &[T], b: &[T], nothing: &T) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|at| a.get(at).unwrap_or(nothing).cmp(b.get(at).unwrap_or(nothing)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The run of bytes at the beginning that satisfy `holds`, and the rest.
pub(super) fn take_while(bytes: &[u8], holds: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !holds(*byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// The digits at the beginning, and the rest.
pub(super) fn take_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    take_while(bytes, |byte| byte.is_ascii_digit())
}

/// The letters at the beginning, and the rest.
pub(super) fn take_letters(bytes: &[u8]) -> (&[u8], &[u8]) {
    take_while(bytes, |byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_ordered_by_value() {
        let ascending = [
            "",
            "1",
            "09",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999",
            "0100000000000000000000",
        ];
        for (index, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(
                    compare_digits(a.as_bytes(), b.as_bytes()),
                    index.cmp(&other),
                    "{a} {b}"
                );
                assert_eq!(
                    Number::of(a.as_bytes()).cmp(&Number::of(b.as_bytes())),
                    index.cmp(&other),
                    "{a} {b}"
                );
            }
        }
        assert_eq!(Number::of(b"000"), Number::ZERO);
    }
}
