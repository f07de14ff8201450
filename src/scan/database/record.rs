//! Records of OSV 1.x, as far as they say what is affected.
//!
//! What decides whether a package is affected is read strictly; what only describes it is read as far as
//! it is understood, and words that are new fail nothing.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::advisory::Bound;

/// Bytes of one record.
pub(super) const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Names that one record gives to what it is about, of each kind.
const NAMES_MAX: usize = 10_000;
/// Packages of one record.
const AFFECTED_MAX: usize = 50_000;
/// Ranges of one package in a record.
const RANGES_MAX: usize = 1_000;
/// Events of one range.
const EVENTS_MAX: usize = 10_000;
/// Versions that are listed for one package in a record.
const VERSIONS_MAX: usize = 100_000;

/// One record.
#[derive(Debug, Deserialize)]
pub(super) struct Record<'a> {
    pub(super) id: String,
    pub(super) modified: Option<Loose>,
    pub(super) published: Option<Loose>,
    pub(super) withdrawn: Option<Loose>,
    pub(super) summary: Option<Loose>,
    pub(super) aliases: Option<Few<String, NAMES_MAX>>,
    pub(super) upstream: Option<Few<String, NAMES_MAX>>,
    pub(super) related: Option<Few<String, NAMES_MAX>>,
    #[serde(borrow)]
    pub(super) affected: Option<Few<Affected<'a>, AFFECTED_MAX>>,
    #[serde(borrow)]
    pub(super) severity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) database_specific: Option<&'a RawValue>,
}

/// What it says of one package.
#[derive(Debug, Deserialize)]
pub(super) struct Affected<'a> {
    pub(super) package: Option<Named>,
    pub(super) ranges: Option<Few<Range, RANGES_MAX>>,
    pub(super) versions: Option<Few<String, VERSIONS_MAX>>,
    #[serde(borrow)]
    pub(super) severity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) database_specific: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ecosystem_specific: Option<&'a RawValue>,
}

/// A package.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) ecosystem: String,
    pub(super) name: String,
}

/// A stretch of versions.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) events: Option<Events>,
}

/// Where a range begins and ends, in the words of its record.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) listed: Vec<(Bound, String)>,
    /// One of them says nothing that is understood.
    pub(super) opaque: bool,
}

/// One event: it puts what it says into the list at once, so that one that says nothing takes no room.
struct Event<'a>(&'a mut Events);

impl<'de> DeserializeSeed<'de> for Event<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Event<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let before = self.0.listed.len();
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            let bound = match key.as_ref() {
                "introduced" => Bound::Introduced,
                "fixed" => Bound::Fixed,
                "last_affected" => Bound::LastAffected,
                "limit" => Bound::Limit,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let version = fields.next_value::<Option<String>>()?;
            self.0.listed.extend(version.map(|version| (bound, version)));
        }
        self.0.opaque |= self.0.listed.len() == before;
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Events;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of no more than {EVENTS_MAX} items")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Events, A::Error> {
                let (mut events, mut count) = (Events::default(), 0_usize);
                while items.next_element_seed(Event(&mut events))?.is_some() {
                    count += 1;
                    if count > EVENTS_MAX {
                        return Err(de::Error::invalid_length(count, &self));
                    }
                }
                Ok(events)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// How bad it is, in one way of saying so.
#[derive(Debug, Deserialize)]
pub(super) struct Rating {
    #[serde(rename = "type")]
    pub(super) kind: Option<Loose>,
    pub(super) score: Option<Loose>,
}

/// What databases add of their own, as far as it is read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Specific {
    pub(super) severity: Option<Loose>,
    pub(super) urgency: Option<Loose>,
}

/// What can be read of `raw`, or nothing.
pub(super) fn lenient<'a, T: Default + Deserialize<'a>>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// What can be read of the items of a list, each on its own: one that cannot be takes no other with it.
pub(super) fn lenient_items<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    let items: Vec<&RawValue> = lenient(raw);
    items.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

/// A text, where anything may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Loose(pub(super) Option<String>);

/// The text of a field that may be missing or something else.
pub(super) fn text(field: Option<&Loose>) -> &str {
    field.and_then(|loose| loose.0.as_deref()).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose(Some(text.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
                Ok(Loose(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
                Ok(Loose(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
                Ok(Loose(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
                Ok(Loose(None))
            }
            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
                while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A list of no more than `MAX` items.
#[derive(Debug)]
pub(super) struct Few<T, const MAX: usize>(pub(super) Vec<T>);

/// The items of a list that may be missing.
pub(super) fn items<T, const MAX: usize>(list: Option<Few<T, MAX>>) -> Vec<T> {
    list.map(|list| list.0).unwrap_or_default()
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Few<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of no more than {MAX} items")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(item) = items.next_element()? {
                    if few.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    few.push(item);
                }
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_says_nothing_takes_no_room_and_is_not_understood() {
        let empty = format!("[{}{{}}]", "{},".repeat(EVENTS_MAX - 1));
        let events: Events = serde_json::from_str(&empty).unwrap();
        assert_eq!((events.listed.capacity(), events.opaque), (0, true));
        let events: Events =
            serde_json::from_str(r#"[{"introduced":"0","new":[1]},{"fixed":"1","limit":null}]"#)
                .unwrap();
        let said = [(Bound::Introduced, "0".to_owned()), (Bound::Fixed, "1".to_owned())];
        assert_eq!((&events.listed[..], events.opaque), (&said[..], false));
        let more = format!("[{}{{}}]", "{},".repeat(EVENTS_MAX));
        for bad in [more.as_str(), "[[]]", "{}", r#"[{"fixed":1}]"#] {
            let read = serde_json::from_str::<Events>(bad);
            assert!(read.is_err(), "{bad:.20}");
        }
    }
}
