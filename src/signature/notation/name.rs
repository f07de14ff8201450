//! Distinguished names, compared by their attributes and never by their text.
//!
//! Spec: RFC 4514, and the constraints of
//! <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#trusted-identities-constraints>

use std::collections::BTreeMap;
use std::fmt;

use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::name::RdnSequence;

/// Longest text of a name in bytes.
const NAME_BYTES_MAX: usize = 2 * 1024;
/// Most attributes of one name.
const ATTRIBUTES_MAX: usize = 32;
/// The names of attributes, and the numbers that stand for them in certificates.
const ATTRIBUTES: [(&str, ObjectIdentifier); 11] = [
    ("C", ObjectIdentifier::new_unwrap("2.5.4.6")),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("SERIALNUMBER", ObjectIdentifier::new_unwrap("2.5.4.5")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
    ("POSTALCODE", ObjectIdentifier::new_unwrap("2.5.4.17")),
    ("DC", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25")),
    ("UID", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1")),
];
/// The attributes without which a name is nobody's.
const MANDATORY: [&str; 3] = ["C", "ST", "O"];

/// A name that has each attribute once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName(BTreeMap<ObjectIdentifier, Option<String>>);

/// Why a text or a certificate has no usable name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An attribute stands in it twice.
    #[error("has {0} twice")]
    Duplicate(String),
    /// Not `KEY=value, KEY=value`.
    #[error("is no distinguished name like C=US, ST=WA, O=Acme, CN=builder (RFC 4514)")]
    Malformed,
    /// One of the attributes that every name must have is not there.
    #[error("has no {0}; it must have C, ST and O at least")]
    Missing(&'static str),
    /// Several attributes stand where one may.
    #[error("has several attributes in one part (a plus sign), which is not supported")]
    MultiValued,
    /// Longer than any real name.
    #[error("is too long")]
    TooLong,
    /// An attribute that has no name here.
    #[error("has the attribute {0}, which is not known")]
    Unknown(String),
}

impl DistinguishedName {
    /// The name in `text`, by RFC 4514; `S` stands for `ST`, as elsewhere in this field.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let mut name = Self(BTreeMap::new());
        let mut rest = text;
        loop {
            let (key, after) = rest.split_once('=').ok_or(NameError::Malformed)?;
            let (value, after) = value(after)?;
            let key = key.trim().to_ascii_uppercase();
            let key = if key == "S" { "ST" } else { key.as_str() };
            let known = ATTRIBUTES.iter().find(|(known, _)| *known == key);
            let (_, attribute) = known.ok_or_else(|| NameError::Unknown(extract(key)))?;
            name.add(*attribute, Some(value))?;
            match after {
                None => break,
                Some(after) => rest = after,
            }
        }
        name.complete()
    }

    /// The name in a certificate. Text in an encoding that nobody writes any more is there, and equals
    /// nothing.
    pub(super) fn of(sequence: &RdnSequence) -> Result<Self, NameError> {
        let mut name = Self(BTreeMap::new());
        for part in &sequence.0 {
            let [attribute] = part.0.as_slice() else { return Err(NameError::MultiValued) };
            let value = &attribute.value;
            let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok().map(|it| it.as_str().to_owned());
            let printable = || {
                value.decode_as::<PrintableStringRef<'_>>().ok().map(|it| it.as_str().to_owned())
            };
            let ia5 =
                || value.decode_as::<Ia5StringRef<'_>>().ok().map(|it| it.as_str().to_owned());
            name.add(attribute.oid, utf8.or_else(printable).or_else(ia5))?;
        }
        name.complete()
    }

    fn add(&mut self, attribute: ObjectIdentifier, value: Option<String>) -> Result<(), NameError> {
        if self.0.len() >= ATTRIBUTES_MAX {
            return Err(NameError::TooLong);
        }
        match self.0.insert(attribute, value) {
            None => Ok(()),
            Some(_) => Err(NameError::Duplicate(label(&attribute))),
        }
    }

    fn complete(self) -> Result<Self, NameError> {
        for (key, attribute) in ATTRIBUTES {
            let has = |value: &Option<String>| value.as_ref().is_some_and(|it| !it.is_empty());
            if let Some(key) = MANDATORY.into_iter().find(|it| *it == key)
                && !self.0.get(&attribute).is_some_and(has)
            {
                return Err(NameError::Missing(key));
            }
        }
        Ok(self)
    }

    /// Whether `other` has all attributes of this name, with the same values.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|(attribute, value)| {
            value.is_some() && other.0.get(attribute).is_some_and(|theirs| theirs == value)
        })
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (attribute, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}=", label(attribute))?;
            match value {
                Some(value) => value.chars().try_for_each(|character| escape(f, character))?,
                // No value is written so.
                None => f.write_str("#")?,
            }
        }
        Ok(())
    }
}

/// Writes `character` as RFC 4514 has it in a value, so that two names never read alike.
fn escape(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match u8::try_from(character) {
        Ok(b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\') => {
            write!(f, "\\{character}")
        }
        Ok(byte) if byte.is_ascii_control() => write!(f, "\\{byte:02x}"),
        _ => write!(f, "{character}"),
    }
}

fn label(attribute: &ObjectIdentifier) -> String {
    let known = ATTRIBUTES.iter().find(|(_, known)| known == attribute);
    known.map_or_else(|| attribute.to_string(), |(key, _)| (*key).to_owned())
}

fn extract(text: &str) -> String {
    super::super::refusal::quoted(text)
}

/// The value at the beginning of `text`, and what comes after the comma behind it.
fn value(text: &str) -> Result<(String, Option<&str>), NameError> {
    let text = text.trim_start_matches(' ');
    // A value by its encoding (`=#`) would be compared with nothing that anybody can read.
    if text.starts_with(['#', '"']) {
        return Err(NameError::Malformed);
    }
    let mut bytes = Vec::new();
    // Up to here spaces were escaped, and belong to the value.
    let mut kept = 0;
    let mut characters = text.char_indices();
    let mut after = None;
    while let Some((at, character)) = characters.next() {
        match character {
            ',' => {
                after = text.get(at + 1..);
                break;
            }
            '+' => return Err(NameError::MultiValued),
            ';' | '<' | '>' | '"' => return Err(NameError::Malformed),
            '\\' => {
                bytes.push(escaped(&mut characters)?);
                kept = bytes.len();
            }
            control if control.is_control() => return Err(NameError::Malformed),
            plain => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    while bytes.len() > kept && bytes.last() == Some(&b' ') {
        bytes.pop();
    }
    let value = String::from_utf8(bytes).map_err(|_| NameError::Malformed)?;
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err(NameError::Malformed);
    }
    Ok((value, after))
}

/// The byte that stands behind a backslash: one of the special characters, or two hexadecimal digits.
fn escaped(characters: &mut std::str::CharIndices<'_>) -> Result<u8, NameError> {
    let (_, first) = characters.next().ok_or(NameError::Malformed)?;
    if let Ok(special) = u8::try_from(first)
        && b" \"#+,;<=>\\".contains(&special)
    {
        return Ok(special);
    }
    let (_, second) = characters.next().ok_or(NameError::Malformed)?;
    let digit = |it: char| it.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (high, low) = digit(first).zip(digit(second)).ok_or(NameError::Malformed)?;
    Ok(high << 4 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_whatever_their_order_and_spelling() {
        let one = DistinguishedName::parse("C=US, ST=WA, O=Acme\\, Inc., CN=builder").unwrap();
        for text in [
            "CN=builder,O=Acme\\2C Inc.,ST=WA,C=US",
            "c=US, s=WA, o=Acme\\, Inc. , cn= builder",
            "C=US, ST=WA, O=Acme\\, Inc\\2e, CN=buil\\64er",
        ] {
            assert_eq!(DistinguishedName::parse(text).as_ref(), Ok(&one), "{text}");
        }
        let less = DistinguishedName::parse("O=Acme\\, Inc., ST=WA, C=US").unwrap();
        assert!(less.is_within(&one) && !one.is_within(&less) && one.is_within(&one));
        for text in [
            "C=US, ST=WA, O=Acme\\, Inc, CN=builder",
            "C=US, ST=WA, O=acme\\, Inc., CN=builder",
            "C=US, ST=WA, O=Acme\\, Inc., CN=builder\\ ",
        ] {
            assert!(!DistinguishedName::parse(text).unwrap().is_within(&one), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("C=US, ST=WA, O={}", "x".repeat(NAME_BYTES_MAX));
        for (text, expected) in [
            ("", NameError::Malformed),
            ("acme", NameError::Malformed),
            ("C=US, ST=WA", NameError::Missing("O")),
            ("C=US, ST=WA, O=", NameError::Malformed),
            ("C=US, ST=WA, O=a,", NameError::Malformed),
            ("C=US, ST=WA, O=a, O=b", NameError::Duplicate("O".to_owned())),
            ("C=US, ST=WA, S=WA, O=a", NameError::Duplicate("ST".to_owned())),
            ("C=US, ST=WA, O=a+CN=b", NameError::MultiValued),
            ("C=US, ST=WA, O=#0403616263", NameError::Malformed),
            ("C=US, ST=WA, O=\"a\"", NameError::Malformed),
            ("C=US, ST=WA, O=a\\", NameError::Malformed),
            ("C=US, ST=WA, O=a\\0", NameError::Malformed),
            ("C=US, ST=WA, O=a\\ff", NameError::Malformed),
            ("C=US, ST=WA, O=a\nb", NameError::Malformed),
            ("C=US, ST=WA, O=a\\0ab", NameError::Malformed),
            ("C=US; ST=WA; O=a", NameError::Malformed),
            ("C=US, ST=WA, O=a, X=b", NameError::Unknown("X".to_owned())),
            (&long, NameError::TooLong),
        ] {
            assert_eq!(DistinguishedName::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_value_is_what_its_characters_and_escapes_say() {
        let parse = |value: &str| DistinguishedName::parse(&format!("C=US, ST=WA, O={value}"));
        for (value, same) in [
            ("a", " a  , CN=b"),
            ("a b", "a\\20b"),
            ("a\\ ", "a\\20  "),
            ("\\ a", "\\20a"),
            ("a\\=b", "a=b"),
            ("Z\\c3\\bcrich", "Z\u{fc}rich"),
            ("\\4A\\4b", "JK"),
            ("\\#a", "\\23a"),
        ] {
            let (one, other) = (parse(value).unwrap(), parse(same).unwrap());
            assert!(one.is_within(&other), "{value:?} {same:?}: {one} {other}");
        }
        for (value, other) in [("a\\ ", "a"), ("\\ a", "a"), ("a", "b"), ("\\0Aa", "a")] {
            let (one, other) = (parse(value), parse(other).unwrap());
            assert!(one.is_err() || one != Ok(other), "{value:?}");
        }
        for bad in ["a;b", "a<b", "a>b", "a\"b", "a\\g0", "a\\0g", "a\\x", "\\c3", "a\u{7f}"] {
            assert_eq!(parse(bad), Err(NameError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_its_three_parts_and_2048_bytes_at_most() {
        for (text, missing) in
            [("ST=WA, O=a, CN=b", "C"), ("C=US, O=a, CN=b", "ST"), ("C=US, ST=WA, CN=b", "O")]
        {
            assert_eq!(DistinguishedName::parse(text), Err(NameError::Missing(missing)), "{text}");
        }
        let of = |length: usize| {
            let head = "C=US, ST=WA, O=";
            DistinguishedName::parse(&format!("{head}{}", "x".repeat(length - head.len())))
        };
        assert!(of(2048).is_ok());
        assert_eq!(of(2049), Err(NameError::TooLong));
    }
}
