//! Configurations of images, as far as they are judged: who runs, with what around it.
//!
//! Of the environment the names are kept, and the form of what looks like a credential; never a value.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::secret_like::SecretForm;
use super::{JsonError, from_strict_slice, json};

/// Most entries of each of environment, ports and labels.
const ENTRIES_MAX: usize = 1_000;
/// Bytes of all names of a configuration together: it is kept with every verdict.
const NAME_BYTES_MAX: usize = 16 * 1024;
/// Stands for a name that may not be told.
const WITHHELD: &str = "(name withheld)";

/// What an image's configuration says that may be judged.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties>
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `User`, as it is written: `user[:group]`; empty where nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvEntry>,
    /// The exposed ports, as they are written: `22/tcp`, `22`, `20-25/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// The names of labels that say something.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// Whether it has a health check that is a command.
    #[serde(default)]
    pub has_healthcheck: bool,
    /// When it says that the image was built, in milliseconds since 1970-01-01 UTC; `None` where it says
    /// nothing that is a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
}

/// One entry of the environment, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvEntry {
    /// The name; all of an entry that has no `=`.
    pub name: String,
    /// What the value, or the name itself, looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_like: Option<SecretForm>,
}

impl EnvEntry {
    fn read(text: &str) -> Self {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let of_value = SecretForm::of(value);
        // A password in a URL may have an `=`, and no name before it.
        let of_name = SecretForm::of(name).or_else(|| {
            let of_all = SecretForm::of(text);
            of_all.filter(|_| of_value.is_none())
        });
        let name = if of_name.is_some() { WITHHELD } else { name };
        Self { name: name.to_owned(), looks_like: of_value.or(of_name) }
    }

    /// Whether its name is not kept, so that nobody can say which it is not.
    pub fn is_withheld(&self) -> bool {
        self.name == WITHHELD
    }
}

/// Why a configuration cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    /// Not strict JSON of the right shape.
    #[error("is not well formed: {}", .0.without_content())]
    Malformed(#[from] JsonError),
    /// More of something than any image needs.
    #[error("has more than {ENTRIES_MAX} {0}")]
    TooMany(&'static str),
    /// Longer names than any image needs.
    #[error("has names of more than 16 KiB together")]
    TooLong,
}

impl ImageConfig {
    /// Largest configuration that is read, in bytes.
    pub const BYTES_MAX: u64 = 4 * 1024 * 1024;
    /// A version of what is kept of configurations. Raise it when more of one is kept, or more forms of
    /// credentials are known, and with it what those need who ask for that: configurations that were read
    /// by an earlier version are read again for them, and for nobody else.
    pub const READING: u32 = 2;
    /// The version since which all is kept that is judged of the container.
    pub const READS_CONTAINER: u32 = 1;
    /// The version since which [`ImageConfig::created`] is kept.
    pub const READS_CREATED: u32 = 2;

    /// Reads the configuration in `bytes`.
    ///
    /// # Errors
    /// When it is not strict JSON, has a key that nodes take for another, or says more than is kept.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        let raw: Raw = from_strict_slice(bytes)?;
        let RawConfig { user, env, exposed_ports, labels, healthcheck } =
            raw.config.unwrap_or_default();
        let read = Self {
            user: user.unwrap_or_default(),
            env: whole(env, "environment variables")?.collect(),
            ports: whole(exposed_ports, "exposed ports")?.collect(),
            labels: whole(labels, "labels")?.flatten().collect(),
            has_healthcheck: healthcheck.is_some_and(|it| it.is_command()),
            created: raw.created.and_then(|text| moment(&text)),
        };
        let names = read.env.iter().map(|entry| &entry.name).chain(&read.ports).chain(&read.labels);
        let bytes = names.chain([&read.user]).map(String::len);
        if bytes.sum::<usize>() > NAME_BYTES_MAX {
            return Err(ImageConfigError::TooLong);
        }
        Ok(read)
    }
}

/// The moment in `text`, by RFC 3339.
fn moment(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn whole<T, K>(
    read: Option<Bounded<T, K>>,
    what: &'static str,
) -> Result<impl Iterator<Item = T>, ImageConfigError> {
    let Bounded { items, is_cut, .. } = read.unwrap_or_default();
    if is_cut { Err(ImageConfigError::TooMany(what)) } else { Ok(items.into_iter()) }
}

#[derive(Deserialize)]
struct Raw {
    created: Option<String>,
    #[serde(default, deserialize_with = "json::object")]
    config: Option<RawConfig>,
}

/// Docker's names, which OCI took over; what is `null` is as if it were not written.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    user: Option<String>,
    env: Option<Bounded<EnvEntry, Texts>>,
    exposed_ports: Option<Bounded<String, Keys>>,
    labels: Option<Bounded<Option<String>, KeysOfTexts>>,
    #[serde(default, deserialize_with = "json::object")]
    healthcheck: Option<RawHealthcheck>,
}

/// Docker's own, which OCI does not have.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawHealthcheck {
    test: Option<Vec<String>>,
}

impl RawHealthcheck {
    /// Whether there is something to run: Docker knows no other words, and `NONE` turns it off.
    fn is_command(&self) -> bool {
        let words = self.test.as_deref().unwrap_or_default();
        words.len() >= 2 && words.first().is_some_and(|word| word == "CMD" || word == "CMD-SHELL")
    }
}

/// The first [`ENTRIES_MAX`] of something, and whether there are more.
struct Bounded<T, K> {
    items: Vec<T>,
    is_cut: bool,
    kind: PhantomData<K>,
}

impl<T, K> Default for Bounded<T, K> {
    fn default() -> Self {
        Self { items: Vec::new(), is_cut: false, kind: PhantomData }
    }
}

impl<T, K> Bounded<T, K> {
    fn add(&mut self, item: impl FnOnce() -> T) {
        if self.items.len() < ENTRIES_MAX {
            self.items.push(item());
        } else {
            self.is_cut = true;
        }
    }
}

/// An array of texts, of which the names before `=` are kept.
struct Texts;
/// An object of which the keys are kept.
struct Keys;
/// An object of texts, of which the keys of those are kept that are not empty.
struct KeysOfTexts;

impl<'de> Deserialize<'de> for Bounded<EnvEntry, Texts> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(Self::default()))
    }
}

impl<'de> Deserialize<'de> for Bounded<String, Keys> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BoundedVisitor(Self::default()))
    }
}

impl<'de> Deserialize<'de> for Bounded<Option<String>, KeysOfTexts> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BoundedVisitor(Self::default()))
    }
}

struct BoundedVisitor<B>(B);

impl<'de> Visitor<'de> for BoundedVisitor<Bounded<EnvEntry, Texts>> {
    type Value = Bounded<EnvEntry, Texts>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        while let Some(text) = items.next_element::<String>()? {
            self.0.add(|| EnvEntry::read(&text));
        }
        Ok(self.0)
    }
}

impl<'de> Visitor<'de> for BoundedVisitor<Bounded<String, Keys>> {
    type Value = Bounded<String, Keys>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Self::Value, A::Error> {
        while let Some((key, IgnoredAny)) = entries.next_entry::<String, IgnoredAny>()? {
            self.0.add(|| key);
        }
        Ok(self.0)
    }
}

impl<'de> Visitor<'de> for BoundedVisitor<Bounded<Option<String>, KeysOfTexts>> {
    type Value = Bounded<Option<String>, KeysOfTexts>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Self::Value, A::Error> {
        while let Some((key, value)) = entries.next_entry::<String, Option<String>>()? {
            let says = value.is_some_and(|value| !value.is_empty());
            self.0.add(|| says.then_some(key));
        }
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(config: &str) -> Result<ImageConfig, String> {
        let text = format!(r#"{{"os":"linux","architecture":"amd64","config":{config}}}"#);
        ImageConfig::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn names(config: &ImageConfig) -> Vec<&str> {
        config.env.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn what_is_judged_is_kept_and_values_are_not() {
        let found = read(
            r#"{"User":"app:app","Env":["PATH=/bin","DB=postgres://u:canary@db/","EMPTY=","BARE","A=b=c","=x"],
                "ExposedPorts":{"22/tcp":{},"80":{}},"Labels":{"a":"canary","b":"","c":null},
                "Healthcheck":{"Test":["CMD","canary"],"Interval":1},"Cmd":["canary"]}"#,
        );
        let found = found.unwrap();
        assert_eq!(found.user, "app:app");
        assert_eq!(names(&found), ["PATH", "DB", "EMPTY", "BARE", "A", ""]);
        let forms: Vec<_> = found.env.iter().filter_map(|entry| entry.looks_like).collect();
        assert_eq!(forms, [SecretForm::UrlPassword]);
        assert_eq!(found.ports, ["22/tcp", "80"]);
        assert_eq!(found.labels, BTreeSet::from(["a".to_owned()]), "those that say something");
        assert!(found.has_healthcheck);
        let kept = serde_json::to_string(&found).unwrap();
        assert!(!kept.contains("canary") && !format!("{found:?}").contains("canary"), "{kept}");
        assert_eq!(serde_json::from_str::<ImageConfig>(&kept).unwrap(), found);
    }

    #[test]
    fn a_name_that_is_a_secret_itself_is_not_kept() {
        for entry in ["AKI*AIOSFODNN7EXAMPLE", "AKI*AIOSFODNN7EXAMPLE=1"] {
            let entry = entry.replace('*', "");
            let found = read(&format!(r#"{{"Env":["{entry}"]}}"#)).unwrap();
            assert_eq!(names(&found), [WITHHELD], "{entry}");
            assert!(found.env[0].is_withheld());
            assert_eq!(found.env[0].looks_like, Some(SecretForm::AwsKey), "{entry}");
        }
    }

    #[test]
    fn a_password_with_an_equals_sign_is_one_where_no_name_is_before_it() {
        let found = read(r#"{"Env":["postgres://app:hunter=2@db","DB=postgres://app:a=b@db"]}"#);
        let found = found.unwrap();
        assert_eq!(names(&found), [WITHHELD, "DB"]);
        let forms: Vec<_> = found.env.iter().map(|entry| entry.looks_like).collect();
        assert_eq!(forms, [Some(SecretForm::UrlPassword); 2]);
    }

    #[test]
    fn when_it_was_built_is_a_time_or_nothing() {
        for (created, expected) in [
            (r#""2026-11-30T05:00:00Z""#, Some(1_796_014_800_000)),
            (r#""2026-11-30T06:00:00.123456789+01:00""#, Some(1_796_014_800_123)),
            (r#""1970-01-01T00:00:00Z""#, Some(0)),
            (r#""0001-01-01T00:00:00Z""#, Some(-62_135_596_800_000)),
            (r#""yesterday""#, None),
            (r#""""#, None),
            (r#""2026-11-30""#, None),
            ("null", None),
        ] {
            let text = format!(r#"{{"created":{created}}}"#);
            let found = ImageConfig::parse(text.as_bytes()).unwrap();
            assert_eq!(found.created, expected, "{created}");
        }
        for text in [r#"{"created":1}"#, r#"{"Created":"2026-11-30T05:00:00Z"}"#] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_written_is_empty() {
        for config in
            ["{}", "null", r#"{"User":null,"Env":null,"ExposedPorts":null,"Labels":null}"#]
        {
            assert_eq!(read(config).unwrap(), ImageConfig::default(), "{config}");
        }
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
    }

    #[test]
    fn a_health_check_is_a_command() {
        for (healthcheck, expected) in [
            (r#"{"Test":["CMD-SHELL","true"]}"#, true),
            (r#"{"Test":["CMD","a","b"]}"#, true),
            (r#"{"Test":["NONE"]}"#, false),
            (r#"{"Test":["NONE","CMD"]}"#, false),
            (r#"{"Test":["CMD"]}"#, false),
            (r#"{"Test":["cmd","true"]}"#, false),
            (r#"{"Test":[]}"#, false),
            (r#"{"Test":null}"#, false),
            (r#"{"Interval":1}"#, false),
            ("null", false),
        ] {
            let found = read(&format!(r#"{{"Healthcheck":{healthcheck}}}"#)).unwrap();
            assert_eq!(found.has_healthcheck, expected, "{healthcheck}");
        }
    }

    #[test]
    fn a_key_that_nodes_take_for_another_is_refused_at_every_depth() {
        for config in [
            r#"{"User":"app","user":"root"}"#,
            r#"{"user":"root"}"#,
            r#"{"User":"app","User":"root"}"#,
            r#"{"U\u0073er":"app","User":"root"}"#,
            r#"{"u\u017fer":"root"}"#,
            r#"{"ENV":["A=b"]}"#,
            r#"{"exposedPorts":{"22/tcp":{}}}"#,
            r#"{"labels":{}}"#,
            r#"{"healthcheck":{"Test":["CMD","true"]}}"#,
            r#"{"Healthcheck":{"test":["NONE"],"Test":["CMD","true"]}}"#,
            r#"{"ExposedPorts":{"22/tcp":{},"22/tcp":{}}}"#,
            r#"{"Labels":{"a":"1","a":"2"}}"#,
        ] {
            let told = read(config).unwrap_err();
            assert!(told.starts_with("is not well formed"), "{config}: {told}");
        }
        let outer = [r#"{"config":{},"Config":{"User":"root"}}"#, r#"{"CONFIG":{}}"#];
        for text in outer.into_iter().chain([r#"{"config":{},"config":{}}"#]) {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
        // Labels are called what anybody likes.
        assert_eq!(read(r#"{"Labels":{"User":"1","user":"2"}}"#).unwrap().labels.len(), 2);
    }

    #[test]
    fn other_shapes_are_refused_without_a_word_of_them() {
        for config in [
            "[]",
            "1",
            r#""canary""#,
            r#"{"User":1}"#,
            r#"{"User":["canary"]}"#,
            r#"{"Env":"canary"}"#,
            r#"{"Env":{"canary":"1"}}"#,
            r#"{"Env":["canary",1]}"#,
            r#"{"Env":[null]}"#,
            r#"{"ExposedPorts":["canary"]}"#,
            r#"{"Labels":["canary"]}"#,
            r#"{"Labels":{"canary":1}}"#,
            r#"{"Healthcheck":["CMD"]}"#,
            r#"{"Healthcheck":{"Test":"canary"}}"#,
        ] {
            let told = read(config).unwrap_err();
            assert!(!told.contains("canary"), "{config}: {told}");
        }
        for bytes in [&b""[..], b"null", b"[]", b"{", b"{}{}", b"\xef\xbb\xbf{}", b"PK\x03\x04"] {
            assert!(ImageConfig::parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn floods_end_at_their_bounds() {
        let labels: Vec<_> = (0..300_000).map(|i| format!(r#""{i}":"x""#)).collect();
        let told = read(&format!(r#"{{"Labels":{{{}}}}}"#, labels.join(","))).unwrap_err();
        assert_eq!(told, "has more than 1000 labels");
        let env: Vec<_> = (0..=ENTRIES_MAX).map(|i| format!(r#""A{i}=x""#)).collect();
        let list = |of: &[String]| format!(r#"{{"Env":[{}]}}"#, of.join(","));
        assert_eq!(read(&list(&env)).unwrap_err(), "has more than 1000 environment variables");
        assert_eq!(read(&list(&env[1..])).unwrap().env.len(), ENTRIES_MAX);
        let ports: Vec<_> = (0..=ENTRIES_MAX).map(|i| format!(r#""{i}":{{}}"#)).collect();
        let told = read(&format!(r#"{{"ExposedPorts":{{{}}}}}"#, ports.join(","))).unwrap_err();
        assert_eq!(told, "has more than 1000 exposed ports");
        // A value may be as long as it likes, a name may not.
        let long = "x".repeat(3 << 20);
        assert_eq!(read(&format!(r#"{{"Env":["A={long}"]}}"#)).unwrap().env.len(), 1);
        for config in [
            format!(r#"{{"Env":["{long}"]}}"#),
            format!(r#"{{"User":"{long}"}}"#),
            format!(r#"{{"Labels":{{"{long}":"x"}}}}"#),
            format!(r#"{{"ExposedPorts":{{"{long}":{{}}}}}}"#),
        ] {
            assert_eq!(read(&config).unwrap_err(), "has names of more than 16 KiB together");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in r#"\{"config":\{"(User|Env|user|Labels|ExposedPorts|Healthcheck)":[\[\]{}",a-z=:0-9]{0,40}\}\}"#) {
            drop(ImageConfig::parse(text.as_bytes()));
        }
    }
}
