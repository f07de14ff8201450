//! Records of OSV 1.x, as far as they say what is affected.
//!
//! What decides whether a package is affected is read strictly; what only describes it is read as far as
//! it is understood, and words that are new fail nothing.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

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
    pub(super) events: Option<Few<Event, EVENTS_MAX>>,
}

/// Where it begins or ends.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) introduced: Option<String>,
    pub(super) fixed: Option<String>,
    pub(super) last_affected: Option<String>,
    pub(super) limit: Option<String>,
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
