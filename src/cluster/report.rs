//! What somebody tells of a cluster: bounded, printable, and the same form sent and kept.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::doctor::{Every, NodeName};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// Most bytes of a report as JSON.
pub const REPORT_BYTES_MAX: usize = 8 << 20;
/// Most entries of what runs, and of what is cached, each.
pub(super) const ENTRIES_MAX: usize = 20_000;
/// Most nodes that one entry names; how many more there are is told.
pub const NODES_NAMED_MAX: usize = 1_000;
/// Most sentences about what is not in a report.
const LEFT_OUT_MAX: usize = 16;
/// Longest name of a cluster.
const CLUSTER_LENGTH_MAX: usize = 63;
/// Longest name of a namespace, a kind or a workload, in characters.
const WORD_LENGTH_MAX: usize = 253;
/// Longest image as it is written, and longest sentence, in characters.
const TEXT_LENGTH_MAX: usize = 512;

/// What a cluster is called: lower-case letters, digits, `-` and `.`, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterName(String);

impl ClusterName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_plain = text.chars().all(|c| is_word(c) || matches!(c, '-' | '.'));
        if text.len() <= CLUSTER_LENGTH_MAX && text.starts_with(is_word) && is_plain {
            return Ok(Self(text.to_owned()));
        }
        Err(
            "the name of a cluster begins with a lower-case letter or a digit and has such, '-' and '.', \
             at most 63",
        )
    }
}

impl Serialize for ClusterName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClusterName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ClusterName {
    fn schema_name() -> Cow<'static, str> {
        "ClusterName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9.-]{0,62}$",
            "description": "What a cluster is called.",
            "examples": ["production"],
        })
    }
}

/// What of a pod has an image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum UsedAs {
    /// A container.
    Container,
    /// An init container, ended or not.
    Init,
    /// An ephemeral container.
    Ephemeral,
    /// An image volume.
    Volume,
}

impl UsedAs {
    /// The same in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Init => "init",
            Self::Ephemeral => "ephemeral",
            Self::Volume => "volume",
        }
    }
}

/// What pods are of.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `Job`, or `Pod` for one that belongs to nothing.
    pub kind: String,
    /// What it is called.
    pub name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Pods of one workload that have one image in one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Where.
    pub namespace: String,
    /// What they are of.
    pub workload: Workload,
    /// As what they have it.
    pub role: UsedAs,
    /// The image as it is written in the pods.
    pub image: String,
    /// The repository, as far as image or runtime say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Name")]
    pub name: Option<Name>,
    /// The manifest or index that the runtime says it runs; none while it is not there yet, and where the runtime
    /// knows a configuration alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub digest: Option<Digest>,
    /// The configuration that the runtime says it runs, where it knows no manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub config: Option<Digest>,
    /// How many pods.
    pub pods: u64,
    /// Since when the one runs that runs longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub since: Option<Timestamp>,
    /// On which nodes.
    #[schemars(length(max = NODES_NAMED_MAX))]
    pub nodes: Vec<NodeName>,
    /// On how many more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_nodes: u64,
}

/// An image that lies on nodes, whether something runs it or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cached {
    /// The repository that the nodes have it from.
    pub name: Name,
    /// The manifest or index.
    pub digest: Digest,
    /// On which nodes.
    #[schemars(length(max = NODES_NAMED_MAX))]
    pub nodes: Vec<NodeName>,
    /// On how many more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_nodes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What runs in a cluster, and what lies on its nodes, at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InventoryReport {
    /// The cluster.
    pub cluster: ClusterName,
    /// When it was looked.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How often it is looked; missing: it was looked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Every")]
    pub every_seconds: Option<Every>,
    /// How many pods there are that have not ended.
    pub pods: u64,
    /// How many nodes said what lies on them; none where nobody asked them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub nodes: Option<u64>,
    /// What is not in it, in sentences; empty: it is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LEFT_OUT_MAX))]
    pub left_out: Vec<String>,
    /// What runs.
    #[schemars(length(max = ENTRIES_MAX))]
    pub running: Vec<Running>,
    /// What lies on nodes.
    #[schemars(length(max = ENTRIES_MAX))]
    pub cached: Vec<Cached>,
}

impl InventoryReport {
    /// Says that something is not in it; the first sentences are kept.
    pub(super) fn leave_out(&mut self, what: &str) {
        let what = printable(what, TEXT_LENGTH_MAX);
        if self.left_out.len() < LEFT_OUT_MAX && !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    /// The same within all bounds, with a sentence for everything that had to go: first names of nodes, then
    /// entries.
    pub(super) fn fit(mut self) -> Self {
        if self.running.len() > ENTRIES_MAX || self.cached.len() > ENTRIES_MAX {
            self.leave_out(&format!("there is more than {ENTRIES_MAX} entries of a kind"));
            self.running.truncate(ENTRIES_MAX);
            self.cached.truncate(ENTRIES_MAX);
        }
        for most in [NODES_NAMED_MAX, 100, 10, 1] {
            self.name_nodes(most);
            if self.bytes() <= REPORT_BYTES_MAX {
                return self;
            }
        }
        self.leave_out(&format!("it would be larger than {} MiB", REPORT_BYTES_MAX >> 20));
        while self.bytes() > REPORT_BYTES_MAX {
            self.cached.truncate(self.cached.len() / 2);
            self.running.truncate(self.running.len() * 3 / 4);
        }
        self
    }

    fn name_nodes(&mut self, most: usize) {
        let running = self.running.iter_mut().map(|it| (&mut it.nodes, &mut it.more_nodes));
        let cached = self.cached.iter_mut().map(|it| (&mut it.nodes, &mut it.more_nodes));
        for (nodes, more) in running.chain(cached) {
            let over = u64::try_from(nodes.len().saturating_sub(most)).unwrap_or(u64::MAX);
            *more = more.saturating_add(over);
            nodes.truncate(most);
        }
    }

    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }

    /// Whether somebody else's report is one that this program may have written.
    pub fn is_within_bounds(&self) -> bool {
        self.left_out.len() <= LEFT_OUT_MAX
            && self.left_out.iter().all(|text| fits(text, TEXT_LENGTH_MAX))
            && self.running.len() <= ENTRIES_MAX
            && self.running.iter().all(Running::is_within_bounds)
            && self.cached.len() <= ENTRIES_MAX
            && self.cached.iter().all(|it| it.nodes.len() <= NODES_NAMED_MAX)
    }
}

impl Running {
    fn is_within_bounds(&self) -> bool {
        fits(&self.namespace, WORD_LENGTH_MAX)
            && fits(&self.workload.kind, WORD_LENGTH_MAX)
            && fits(&self.workload.name, WORD_LENGTH_MAX)
            && fits(&self.image, TEXT_LENGTH_MAX)
            && self.nodes.len() <= NODES_NAMED_MAX
    }
}

/// `text` as a word of a report.
pub(super) fn word(text: &str) -> String {
    printable(text, WORD_LENGTH_MAX)
}

/// `text` as the image of a report.
pub(super) fn image(text: &str) -> String {
    printable(text, TEXT_LENGTH_MAX)
}

fn fits(text: &str, most: usize) -> bool {
    text == printable(text, most)
}

/// `text` in printable ASCII and at most `most` characters.
fn printable(text: &str, most: usize) -> String {
    let shown = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().map(shown).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> InventoryReport {
        InventoryReport {
            cluster: "a".parse().unwrap(),
            at: Timestamp::from_milliseconds(0),
            every_seconds: None,
            pods: 0,
            nodes: None,
            left_out: Vec::new(),
            running: Vec::new(),
            cached: Vec::new(),
        }
    }

    fn cached(nodes: usize) -> Cached {
        let name = "docker.io/library/redis".parse().unwrap();
        let node = |number: usize| format!("node-{number}.{}", "x".repeat(200)).parse().unwrap();
        let digest = Digest::sha256(b"a");
        Cached { name, digest, nodes: (0..nodes).map(node).collect(), more_nodes: 0 }
    }

    #[test]
    fn a_cluster_has_a_name_that_is_a_file_name_and_no_path() {
        for good in ["a", "prod-1.eu", &"a".repeat(63)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "A", "-a", "a/b", "a b", "a\n", &"a".repeat(64)] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_report_that_is_too_large_loses_names_of_nodes_first_and_counts_them() {
        let mut large = report();
        large.cached = vec![cached(NODES_NAMED_MAX + 7); 60];
        let fitted = large.fit();
        assert!(fitted.is_within_bounds() && fitted.bytes() <= REPORT_BYTES_MAX);
        assert_eq!(fitted.cached.len(), 60);
        let first = &fitted.cached[0];
        assert_eq!((first.nodes.len(), first.more_nodes), (100, 907));
        assert!(fitted.left_out.is_empty(), "how many more there are is told in place");
    }

    #[test]
    fn entries_that_go_are_told() {
        let mut large = report();
        large.cached = vec![cached(3); ENTRIES_MAX + 1];
        let fitted = large.fit();
        assert!(fitted.is_within_bounds() && fitted.bytes() <= REPORT_BYTES_MAX);
        assert!(fitted.cached.len() <= ENTRIES_MAX);
        assert_eq!(fitted.left_out[0], "there is more than 20000 entries of a kind");
    }

    #[test]
    fn what_steers_a_terminal_is_no_word_of_ours() {
        assert_eq!(word("a\u{1b}[31m\u{202e}b"), "a?[31m?b");
        assert!(!fits("a\nb", 10) && !fits("abc", 2) && fits("abc", 3));
    }
}
