//! Strict JSON: one document, no duplicate keys, bounded depth.
//!
//! Two parsers that read one text differently are how signed and served content come apart, so
//! everything that trust hangs on goes through here. Nodes read by Go's `encoding/json`, which takes a key
//! for a field's whatever its letter case, and of several the last: where a key is that of a field in other
//! letters, the document is refused. That holds for its outermost object, and for those below it that are
//! read by [`object`] and [`objects`].

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, SeqAccess,
    Visitor,
};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::error::Category;

/// Deepest nesting of arrays and objects that is read.
pub const JSON_DEPTH_MAX: usize = 64;

/// Why a text is not accepted as JSON of the expected shape.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(serde_json::Error);

impl JsonError {
    /// What is wrong and where, without a word of the text itself: for answers to somebody other than
    /// who wrote it.
    pub fn without_content(&self) -> String {
        let what = match self.0.classify() {
            Category::Data => "unexpected content",
            Category::Eof => "early end",
            Category::Io => "unreadable text",
            Category::Syntax => "no strict JSON",
        };
        format!("{what} at line {} column {}", self.0.line(), self.0.column())
    }
}

/// Reads `bytes` as one strict JSON document, an object, of type `T`.
///
/// # Errors
/// On malformed JSON, a byte order mark, trailing bytes, a duplicate key at any depth, nesting
/// deeper than [`JSON_DEPTH_MAX`], anything but an object, a key that is that of a field in other letters,
/// or a shape that is not `T`.
pub fn from_strict_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    check_strict(bytes)?;
    serde_json::from_slice(bytes).map(|Object(value)| value).map_err(JsonError)
}

/// An object as `T`. What serde derives for a struct takes an array of its fields in their order, too,
/// which nobody else who reads these documents does.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        T::deserialize(Entries(entries))
    }
}

/// The entries of an object, for a struct whose fields are spelled in one way only.
struct Entries<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Entries<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Spelled { entries: self.0, fields })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        MapAccessDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The same, looked at key by key.
struct Spelled<A> {
    entries: A,
    fields: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Spelled<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.entries.next_key::<String>()? else { return Ok(None) };
        if !self.fields.contains(&key.as_str())
            && let Some(field) = self.fields.iter().find(|field| is_spelled_otherwise(field, &key))
        {
            return Err(A::Error::custom(format_args!("{field} is spelled {key:?}")));
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.entries.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint()
    }
}

/// Whether Go takes `key` for `field`: by the simple folding of Unicode, which has two letters besides for
/// those of ASCII, the long s and the sign of Kelvin.
fn is_spelled_otherwise(field: &str, key: &str) -> bool {
    let folded = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    field.chars().map(folded).eq(key.chars().map(folded))
}

/// Reads an object that may be missing.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// Reads an array of objects that may be missing.
pub(super) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(value)| value).collect()))
}

/// Checks that `bytes` are one strict JSON document, whatever its shape.
///
/// # Errors
/// As [`from_strict_slice`].
pub fn check_strict(bytes: &[u8]) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(JsonError)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            keys.insert(key);
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_one_unambiguous_document_is_accepted() {
        assert!(check_strict(br#"{"a":[1,2.5,null,true,"x"],"b":{"a":1}}"#).is_ok());
        for bad in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":{"b":1,"b":1}}"#,
            br#"{"\u0061":1,"a":2}"#,
            b"{} {}",
            b"{}x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":1e999}",
            b"\xff\xfe{\x00}\x00",
            b"",
        ] {
            assert!(check_strict(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_mistake_can_be_told_without_the_text_it_is_in() {
        for text in [r#"{"canary":1,"canary":2}"#, r#"{"a":"canary"#, r#"{"a":canary}"#] {
            let told = check_strict(text.as_bytes()).unwrap_err().without_content();
            assert!(told.contains("at line 1 column ") && !told.contains("canary"), "{told}");
        }
        let read = from_strict_slice::<BTreeMap<String, u64>>;
        let told = read(br#"{"a":"canary"}"#).unwrap_err().without_content();
        assert_eq!(told, "unexpected content at line 1 column 13");
    }

    #[test]
    fn an_array_is_no_object_whatever_its_elements_are() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Pair {
            a: u64,
            b: Option<u64>,
        }
        let read = from_strict_slice::<Pair>;
        assert_eq!(read(br#"{"b":2,"a":1}"#).unwrap(), Pair { a: 1, b: Some(2) });
        for bad in ["[1,2]", "[]", "1", "null", r#""a""#, r#"[{"a":1}]"#] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_in_other_letters_is_none_and_refused() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Disk {
            disks: u64,
            #[serde(default)]
            labels: BTreeMap<String, u64>,
            #[serde(default, deserialize_with = "object")]
            inner: Option<Box<Self>>,
        }
        let read = from_strict_slice::<Disk>;
        let good = br#"{"disks":1,"labels":{"Disks":1,"disks":2,"DISKS":3},"other":{"Disks":1}}"#;
        assert_eq!(read(good).unwrap().labels.len(), 3);
        for bad in [
            r#"{"disks":1,"Disks":2}"#,
            r#"{"DISKS":2,"disks":1}"#,
            r#"{"disks":1,"di\u017fks":2}"#,
            "{\"disks\":1,\"dis\u{212a}s\":2}",
            r#"{"Disks":2}"#,
            r#"{"disks":1,"Labels":{}}"#,
            r#"{"disks":1,"inner":{"disks":1,"diskS":2}}"#,
        ] {
            let told = read(bad.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(" is spelled "), "{bad}: {told}");
        }
    }

    #[test]
    fn nesting_is_bounded_without_overflowing_the_stack() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(check_strict(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(check_strict(&nested(JSON_DEPTH_MAX + 1)).is_err());
        assert!(check_strict(&nested(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn checking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(check_strict(&bytes));
        }
    }
}
