//! What a record says, in our words: checked, bounded, its names normalised, its severities read.

use std::hash::{DefaultHasher, Hasher};

use serde_json::value::RawValue;

use super::names;
use super::record::{
    Affected, Events, Range, Rating, Record, Specific, items, lenient, lenient_items, text,
};
use crate::scan::{PackageKind, Severity};
use crate::time::Timestamp;

/// Bytes of a name that a record has or gives.
const ID_BYTES_MAX: usize = 256;
/// Bytes of a package's name, or a version.
const NAME_BYTES_MAX: usize = 1_024;

/// Gives the CVSS base score times ten of a vector, if the vector is whole.
pub type Score = fn(vector: &str) -> Option<u8>;

/// A record that could be read.
#[derive(Debug)]
pub(super) struct Advisory {
    pub(super) id: String,
    pub(super) modified: Option<Timestamp>,
    pub(super) published: Option<Timestamp>,
    pub(super) withdrawn: Option<Timestamp>,
    /// Other names of the same vulnerability.
    pub(super) aliases: Vec<String>,
    /// What it is about: one vulnerability, or several at once.
    pub(super) upstream: Vec<String>,
    pub(super) affected: Vec<Statement>,
    /// Of its bytes; records that differ seldom have the same.
    pub(super) hash: u64,
}

/// What it says of one package.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) ecosystem: String,
    pub(super) name: String,
    pub(super) ranges: Vec<Vec<(Bound, String)>>,
    pub(super) versions: Vec<String>,
    /// Something in it says which versions are affected in a way that is not understood.
    pub(super) opaque: bool,
    /// The distribution will not fix it.
    pub(super) given_up: bool,
    pub(super) word: Option<(Authority, Severity)>,
    pub(super) score: Option<u8>,
}

/// A place in the order of versions where something begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Bound {
    /// Affected from here on.
    Introduced,
    /// Not affected from here on.
    Fixed,
    /// Affected up to here, and not after it.
    LastAffected,
    /// Nothing is said from here on.
    Limit,
}

/// Whose word on a severity it is; the later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) enum Authority {
    /// An advisory database's.
    Advisory,
    /// The distribution's own.
    Distribution,
}

impl Advisory {
    /// Reads a record.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(bytes: &[u8], score: Score) -> Result<Self, String> {
        let record: Record<'_> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !is_name(&record.id) {
            return Err("its id is none".to_owned());
        }
        let time = |field| text(Option::as_ref(field)).parse::<Timestamp>().ok();
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        let ratings = Ratings::of(record.severity, record.database_specific, score);
        let summary = text(record.summary.as_ref()).split(':').next().and_then(word);
        let mut affected = Vec::new();
        for each in items(record.affected) {
            affected.extend(statement(each, &ratings, summary, score)?);
        }
        let listed = |list| items(list).into_iter().filter(|name: &String| is_name(name)).collect();
        let mut advisory = Self {
            id: record.id,
            modified: time(&record.modified),
            published: time(&record.published),
            withdrawn: time(&record.withdrawn),
            aliases: listed(record.aliases),
            upstream: listed(record.upstream),
            affected,
            hash: hasher.finish(),
        };
        advisory.name_what_is_fixed(listed(record.related));
        Ok(advisory)
    }

    /// Forgets times that cannot be: nothing was published after it was changed, or after `now`. What says
    /// no time counts as long known.
    pub(super) fn forget_impossible_times(&mut self, now: Timestamp) {
        let is_possible =
            |it: &Timestamp| *it <= now && self.modified.is_none_or(|modified| *it <= modified);
        self.published = self.published.filter(is_possible);
    }

    /// Advisories of some distributions list the vulnerabilities that they fix as related ones, and give
    /// them by no other field.
    fn name_what_is_fixed(&mut self, related: Vec<String>) {
        let is_of_distribution = |statement: &Statement| {
            names::kind_of(&statement.ecosystem).is_some_and(PackageKind::is_of_distribution)
        };
        let named = self.aliases.iter().chain(&self.upstream).any(|name| is_cve(name));
        if !named && !is_cve(&self.id) && self.affected.iter().any(is_of_distribution) {
            self.upstream.extend(related.into_iter().filter(|name| is_cve(name)));
        }
    }
}

/// Whether a name is one of the CVE programme.
pub(in crate::scan) fn is_cve(name: &str) -> bool {
    name.starts_with("CVE-")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= ID_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic())
}

fn statement(
    affected: Affected<'_>,
    ratings: &Ratings,
    summary: Option<Severity>,
    score: Score,
) -> Result<Option<Statement>, String> {
    let Some(package) = affected.package else { return Ok(None) };
    let kind = names::kind_of(&package.ecosystem);
    let own = Ratings::of(affected.severity, affected.database_specific, score);
    let said: Specific = lenient(affected.ecosystem_specific);
    let urgency = text(said.urgency.as_ref()).to_ascii_lowercase();
    let summary = summary.filter(|_| kind == Some(PackageKind::Rpm));
    let word = [own.rated, word(&urgency), word(text(said.severity.as_ref())), own.said]
        .into_iter()
        .chain([ratings.rated, ratings.said, summary])
        .find_map(|word| word);
    let authority = match kind {
        Some(kind) if kind.is_of_distribution() => Authority::Distribution,
        _ => Authority::Advisory,
    };
    let mut statement = Statement {
        name: names::normalised(kind, &package.name).into_owned(),
        ecosystem: package.ecosystem,
        given_up: urgency == "end-of-life",
        word: word.map(|word| (authority, word)),
        score: own.score.or(ratings.score),
        ..Statement::default()
    };
    for range in items(affected.ranges) {
        statement.add(range);
    }
    statement.list(items(affected.versions));
    statement.opaque |= statement.ranges.is_empty() && statement.versions.is_empty();
    statement
        .is_named()
        .then_some(Some(statement))
        .ok_or_else(|| format!("a name in it has more than {NAME_BYTES_MAX} bytes, or none"))
}

/// Whether a name or a version is kept.
fn fits(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
}

impl Statement {
    fn add(&mut self, range: Range) {
        match range.kind.as_str() {
            // Commits: images have versions.
            "GIT" => {}
            "SEMVER" | "ECOSYSTEM" => match events(range.events.unwrap_or_default()) {
                Some(events) => self.ranges.push(events),
                None => self.opaque = true,
            },
            _ => self.opaque = true,
        }
    }

    /// Takes a list of versions. One that is too long is not kept, so that it cannot be told whether it
    /// is the package's.
    fn list(&mut self, mut versions: Vec<String>) {
        let listed = versions.len();
        versions.retain(|version| fits(version));
        self.opaque |= versions.len() < listed;
        self.versions = versions;
    }

    fn is_named(&self) -> bool {
        [&self.name, &self.ecosystem].iter().all(|name| !name.is_empty() && fits(name))
    }
}

/// The events of a range; `None` where one is not understood, or there is none.
fn events(listed: Events) -> Option<Vec<(Bound, String)>> {
    let Events { listed: mut events, opaque } = listed;
    if opaque || !events.iter().all(|(_, version)| fits(version)) {
        return None;
    }
    for (bound, version) in &mut events {
        // An event without beginning is one from the first version on.
        if *bound == Bound::Introduced && version.is_empty() {
            "0".clone_into(version);
        }
    }
    if events.is_empty() {
        return None;
    }
    let is_endless = |event: &(Bound, String)| event.0 == Bound::Limit && event.1 == "*";
    let endless = events.iter().any(is_endless);
    // An end without a version is none.
    events.retain(|(bound, version)| !(version.is_empty() || endless && *bound == Bound::Limit));
    if !events.iter().any(|(bound, _)| *bound == Bound::Introduced) {
        events.push((Bound::Introduced, "0".to_owned()));
    }
    Some(events)
}

/// How bad something is, in the ways in which records say so.
struct Ratings {
    /// A word where a vector could be.
    rated: Option<Severity>,
    /// The database's own word.
    said: Option<Severity>,
    /// The highest score of all whole vectors.
    score: Option<u8>,
}

impl Ratings {
    fn of(ratings: Option<&RawValue>, specific: Option<&RawValue>, score: Score) -> Self {
        let ratings: Vec<Rating> = lenient_items(ratings);
        let specific: Specific = lenient(specific);
        let scored = |rating: &Rating| match text(rating.kind.as_ref()) {
            "CVSS_V2" | "CVSS_V3" | "CVSS_V4" => score(text(rating.score.as_ref())),
            _ => None,
        };
        Self {
            rated: ratings.iter().filter_map(|rating| word(text(rating.score.as_ref()))).max(),
            said: word(text(specific.severity.as_ref())),
            score: ratings.iter().filter_map(scored).max(),
        }
    }
}

/// A severity by the words that databases and distributions use.
fn word(text: &str) -> Option<Severity> {
    Severity::from_word(text)
}
