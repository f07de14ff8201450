//! What was found on a node: the same form in the table, as JSON, and as what a node reports.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::node::opened::Opened;
use crate::node::openings::Line;
use crate::time::Timestamp;

/// Most findings of one run.
pub const FINDINGS_MAX: usize = 128;
/// Most openings of a node that one report tells of: the last ones.
pub const OPENINGS_MAX: usize = 16;
/// Most signatures of a permit that are told.
const SIGNERS_MAX: usize = 16;
/// Longest text of a finding, in characters.
const TEXT_LENGTH_MAX: usize = 300;
/// Longest word of a finding: what pulled, and what was tried.
const WORD_LENGTH_MAX: usize = 255;
/// Longest name of a node: that of a host.
const NODE_NAME_LENGTH_MAX: usize = 253;
/// How rarely a doctor may look that says it looks again and again: a week.
const EVERY_MAX: Duration = Duration::from_hours(7 * 24);

/// How a way stands. In order: the last of several is what is said of all of them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Something tried it, and it does not lead past the mirror.
    Closed,
    /// It is open because somebody wants it to be.
    Declared,
    /// Not a way for pods, but whoever is root on the node can make it one; or something soon fails.
    Weak,
    /// It could not be tried, or what was tried proves nothing.
    Untried,
    /// It leads past the mirror.
    Open,
}

impl State {
    /// The state in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Declared => "declared",
            Self::Weak => "weak",
            Self::Untried => "untried",
            Self::Open => "open",
        }
    }

    /// The figure of the metric `pratique_node_way_open`: 0 closed, 2 open, 1 neither.
    pub const fn figure(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Declared | Self::Weak | Self::Untried => 1,
            Self::Open => 2,
        }
    }
}

/// A way around the mirror, or what has to hold for there to be none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The mirror answers, and it is ours.
    Mirror,
    /// A registry that nobody configured.
    Unlisted,
    /// After a refusal, the registry itself.
    Fallback,
    /// A layer that names where else it can be had.
    LayerUrls,
    /// The node reaches registries by the network.
    Egress,
    /// What the files of the node say.
    Files,
}

impl Way {
    /// The way in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Unlisted => "unlisted",
            Self::Fallback => "fallback",
            Self::LayerUrls => "layer-urls",
            Self::Egress => "egress",
            Self::Files => "files",
        }
    }
}

/// One way, tried by one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Finding {
    /// Which way.
    pub way: Way,
    /// What tried it: a runtime, or the doctor itself.
    pub by: String,
    /// What was tried: a registry, an image, an address.
    pub about: String,
    /// How it stands.
    pub state: State,
    /// What was seen.
    pub saw: String,
    /// What to do, where something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub remedy: Option<String>,
}

impl Finding {
    /// A finding, its texts cut to what is shown.
    pub fn new(
        way: Way,
        by: &str,
        about: &str,
        state: State,
        saw: impl Into<String>,
        remedy: Option<&str>,
    ) -> Self {
        Self {
            way,
            by: shown(by, WORD_LENGTH_MAX),
            about: shown(about, WORD_LENGTH_MAX),
            state,
            saw: shown(&saw.into(), TEXT_LENGTH_MAX),
            remedy: remedy.map(|text| shown(text, TEXT_LENGTH_MAX)),
        }
    }

    /// The same, seen on a node that `opened` says is open for a while: what leads past the mirror there by the
    /// node's own files is meant to. What else is open stays so, and so does all of it when the time is over.
    #[must_use]
    pub fn on_opened(mut self, opened: &Opened, now: Timestamp) -> Self {
        let is_meant = match self.way {
            Way::Unlisted | Way::Fallback | Way::Files => self.state == State::Open,
            // Where the image itself comes past the mirror, nothing is proven of its layers.
            Way::LayerUrls => matches!(self.state, State::Open | State::Untried),
            Way::Mirror | Way::Egress => false,
        };
        if is_meant && now < opened.until {
            let why = opened.to_string();
            // The files say it themselves.
            if !self.saw.starts_with(&why) {
                self.saw = shown(&format!("{why}: {}", self.saw), TEXT_LENGTH_MAX);
            }
            self.state = State::Declared;
            self.remedy = Some("pratique node close, when it is not needed any more".to_owned());
        }
        self
    }

    fn is_within_bounds(&self) -> bool {
        fits(&self.by, WORD_LENGTH_MAX)
            && fits(&self.about, WORD_LENGTH_MAX)
            && fits(&self.saw, TEXT_LENGTH_MAX)
            && self.remedy.as_deref().is_none_or(|text| fits(text, TEXT_LENGTH_MAX))
    }
}

fn fits(text: &str, most: usize) -> bool {
    text == shown(text, most)
}

/// `text` in printable ASCII and at most `most` characters.
fn shown(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c,
            _ if c.is_whitespace() => ' ',
            _ => '?',
        })
        .take(most)
        .collect()
}

/// The name of a node: lower-case letters, digits, `-`, `.` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(String);

impl NodeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if text.len() <= NODE_NAME_LENGTH_MAX && begins_well && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err("the name of a node has lower-case letters, digits, '-', '.' and '_', at most 253")
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for NodeName {
    fn schema_name() -> Cow<'static, str> {
        "NodeName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9._-]{0,252}$",
            "description": "The name of a node.",
            "examples": ["worker-1"],
        })
    }
}

/// How often a doctor looks, in whole seconds: up to a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(Duration);

impl Every {
    /// The time between two looks.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Every {
    type Error = &'static str;

    fn try_from(length: Duration) -> Result<Self, Self::Error> {
        let whole = Duration::from_secs(length.as_secs());
        if whole.is_zero() || whole > EVERY_MAX {
            return Err("it is between a second and a week");
        }
        Ok(Self(whole))
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.as_secs())
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        Duration::from_secs(seconds).try_into().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Every {
    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "minimum": 1,
            "maximum": EVERY_MAX.as_secs(),
            "description": "Seconds between two looks.",
        })
    }
}

/// What a doctor found on its node, at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// The node.
    pub node: NodeName,
    /// When it looked.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How often it looks; missing: it looked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Every")]
    pub every_seconds: Option<Every>,
    /// What it found.
    #[schemars(length(max = FINDINGS_MAX))]
    pub findings: Vec<Finding>,
    /// What the node's own record says that was opened and closed there lately, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = OPENINGS_MAX))]
    pub openings: Vec<Line>,
}

impl Report {
    /// What was found on `node`.
    pub fn new(node: NodeName, at: Timestamp, every: Option<Every>, found: Vec<Finding>) -> Self {
        let mut findings = found;
        findings.truncate(FINDINGS_MAX);
        Self { node, at, every_seconds: every, findings, openings: Vec::new() }
    }

    /// The same, with what was opened and closed on the node, of which the last are told.
    #[must_use]
    pub fn with_openings(mut self, lines: Vec<Line>) -> Self {
        let left_out = lines.len().saturating_sub(OPENINGS_MAX);
        let told = lines.into_iter().skip(left_out).map(|line| Line {
            permit: shown(&line.permit, WORD_LENGTH_MAX),
            signers: line
                .signers
                .iter()
                .take(SIGNERS_MAX)
                .map(|it| shown(it, WORD_LENGTH_MAX))
                .collect(),
            reason: shown(&line.reason, TEXT_LENGTH_MAX),
            by: shown(&line.by, WORD_LENGTH_MAX),
            ..line
        });
        self.openings = told.collect();
        self
    }

    /// What is to be said of all of it; nothing found is nothing tried.
    pub fn state(&self) -> State {
        self.findings.iter().map(|it| it.state).max().unwrap_or(State::Untried)
    }

    /// Whether somebody else's report is one that this program may have written.
    pub fn is_within_bounds(&self) -> bool {
        self.findings.len() <= FINDINGS_MAX
            && self.findings.iter().all(Finding::is_within_bounds)
            && self.openings.len() <= OPENINGS_MAX
            && self.openings.iter().all(is_opening_within_bounds)
    }
}

fn is_opening_within_bounds(line: &Line) -> bool {
    fits(&line.permit, WORD_LENGTH_MAX)
        && line.signers.len() <= SIGNERS_MAX
        && line.signers.iter().all(|signer| fits(signer, WORD_LENGTH_MAX))
        && fits(&line.reason, TEXT_LENGTH_MAX)
        && fits(&line.by, WORD_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_is_what_is_said_and_nothing_found_is_not_closed() {
        let node: NodeName = "worker-1".parse().unwrap();
        let of = |states: &[State]| {
            let finding = |state: &State| Finding::new(Way::Mirror, "", "", *state, "", None);
            let found = states.iter().map(finding).collect();
            Report::new(node.clone(), Timestamp::from_milliseconds(0), None, found).state()
        };
        assert_eq!(of(&[State::Closed, State::Open, State::Untried]), State::Open);
        assert_eq!(of(&[State::Closed, State::Untried, State::Weak]), State::Untried);
        assert_eq!(of(&[State::Declared, State::Closed]), State::Declared);
        assert_eq!(of(&[State::Closed]), State::Closed);
        assert_eq!(of(&[]), State::Untried);
    }

    #[test]
    fn texts_are_cut_and_printable_and_what_is_longer_is_not_ours() {
        let hostile = format!("\u{1b}[31m\u{202e}{}", "x".repeat(9_000));
        let mut finding =
            Finding::new(Way::Egress, "self", &hostile, State::Weak, &hostile, Some(&hostile));
        assert!(finding.is_within_bounds());
        assert!(finding.saw.starts_with("?[31m?xxx") && finding.saw.len() == TEXT_LENGTH_MAX);
        finding.saw = hostile;
        assert!(!finding.is_within_bounds());
    }

    #[test]
    fn what_is_open_on_an_opened_node_is_declared_until_the_time_is_over_and_never_the_network() {
        let until = Timestamp::from_milliseconds(1_000);
        let opened =
            Opened { until, permit: "NP-1".to_owned(), reason: "INC-77: disk lost".to_owned() };
        let of = |way, state, now| {
            let finding =
                Finding::new(way, "cri", "docker.io", state, "pulled it", Some("close it"));
            finding.on_opened(&opened, Timestamp::from_milliseconds(now))
        };
        let declared = of(Way::Fallback, State::Open, 999);
        assert_eq!(declared.state, State::Declared);
        assert!(declared.saw.contains("NP-1 (INC-77: disk lost): pulled it"), "{}", declared.saw);
        assert!(declared.is_within_bounds());
        assert_eq!(of(Way::Fallback, State::Open, 1_000).state, State::Open, "it is over");
        assert_eq!(of(Way::Egress, State::Open, 999).state, State::Open);
        assert_eq!(of(Way::Mirror, State::Untried, 999).state, State::Untried);
        assert_eq!(of(Way::LayerUrls, State::Untried, 999).state, State::Declared);
        assert_eq!(of(Way::Files, State::Closed, 999), of(Way::Files, State::Closed, 1_000));
    }

    #[test]
    fn openings_are_told_printable_and_the_last_of_them() {
        let opened = Opened {
            until: Timestamp::from_milliseconds(1),
            permit: "NP-1".to_owned(),
            reason: format!("\u{1b}[31m{}", "x".repeat(9_000)),
        };
        let line = |number| Line::closed(Timestamp::from_milliseconds(number), &opened, "uid 0");
        let node: NodeName = "worker-1".parse().unwrap();
        let report = Report::new(node, Timestamp::from_milliseconds(0), None, Vec::new());
        let report = report.with_openings((0..20).map(line).collect());
        assert_eq!(report.openings.len(), OPENINGS_MAX);
        assert_eq!(report.openings[0].at, Timestamp::from_milliseconds(4));
        assert!(report.is_within_bounds());
        let hostile = Report { openings: vec![line(1)], ..report.clone() };
        assert!(!hostile.is_within_bounds());
        let many = Report { openings: vec![report.openings[0].clone(); 17], ..report };
        assert!(!many.is_within_bounds());
    }

    #[test]
    fn a_node_is_called_as_a_host_is() {
        for good in ["a", "worker-1.pool_2.example", "10.0.0.7"] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a b", "a/b", "a\n", &"a".repeat(254)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }
}
