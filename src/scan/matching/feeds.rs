//! What the packages of an image are compared with, and what there is nothing to compare with.

use std::collections::BTreeMap;

use crate::scan::database::{Database, Ecosystem, names, printable};
use crate::scan::{
    Distribution, Feed, FeedNames, Inventory, PackageKind, Unmatched, UnmatchedKind,
};
use crate::time::Timestamp;

/// What one kind of an image's packages is compared with.
pub(super) struct Chosen<'a> {
    pub(super) ecosystems: Vec<&'a Ecosystem>,
    /// By which names of distributions' packages.
    pub(super) names: FeedNames,
}

/// What each kind of an image's packages is compared with.
pub(super) type Feeds<'a> = BTreeMap<PackageKind, Chosen<'a>>;

/// Chooses the feeds, and says what has none.
pub(super) fn choose<'a>(
    database: &'a Database,
    inventory: &Inventory,
    now: Timestamp,
) -> (Feeds<'a>, Vec<Unmatched>) {
    let mut kinds: BTreeMap<PackageKind, usize> = BTreeMap::new();
    for package in &inventory.packages {
        *kinds.entry(package.kind).or_default() += 1;
    }
    let of_distribution: usize =
        kinds.iter().filter(|(kind, _)| kind.is_of_distribution()).map(|(_, count)| count).sum();
    let (mut feeds, mut unmatched) = (Feeds::new(), Vec::new());
    let feed = match (of_distribution, &inventory.distribution) {
        (0, None) => None,
        (0, Some(distribution)) => {
            let text = format!("the packages of {}, which it does not list", name(distribution));
            unmatched.push(Unmatched { kind: UnmatchedKind::NoPackages, package: None, text });
            None
        }
        (count, Some(distribution)) => of(distribution, count, now, &mut unmatched),
        (count, None) => {
            unmatched.push(unknown("the image does not say which distribution it is", count));
            None
        }
    };
    for (kind, count) in kinds {
        let (chosen, asked) = match (names::language(kind), &feed) {
            (Some(ecosystem), _) => (of_language(database, kind, ecosystem), ecosystem.to_owned()),
            (None, Some(feed)) => (of_feed(database, kind, feed), feed.to_string()),
            (None, None) => continue,
        };
        match chosen {
            Some(chosen) => drop(feeds.insert(kind, chosen)),
            None => unmatched.push(no_feed(kind, count, &asked)),
        }
    }
    (feeds, unmatched)
}

/// The feed of a distribution with `count` packages.
fn of(
    distribution: &Distribution,
    count: usize,
    now: Timestamp,
    unmatched: &mut Vec<Unmatched>,
) -> Option<Feed> {
    let feed = distribution.feed();
    if feed.is_none() {
        let text = format!("{} is no distribution that is known", name(distribution));
        unmatched.push(unknown(&text, count));
    }
    // Of a release that is newer than this program no end is known; whether it has a feed counts.
    if distribution.end_of_life().has_passed(now) == Some(true) {
        let text = format!("{} gets no fixes any more", name(distribution));
        unmatched.push(Unmatched { kind: UnmatchedKind::EndOfLife, package: None, text });
    }
    feed
}

/// The ecosystems of a language; `None` where no feed of the database is of the registry itself, whatever
/// its records name beside their own.
fn of_language<'a>(
    database: &'a Database,
    kind: PackageKind,
    ecosystem: &str,
) -> Option<Chosen<'a>> {
    let is_one = |one: &Ecosystem| one.kind == Some(kind) && names::extends(&one.name, ecosystem);
    let ecosystems = database.ecosystems(is_one);
    (database.status().covers(ecosystem) && !ecosystems.is_empty())
        .then_some(Chosen { ecosystems, names: FeedNames::Source })
}

/// The ecosystems of a distribution's feed; `None` where no feed of the database is of the distribution,
/// it has no records of its own for the release, or they are of other packages.
fn of_feed<'a>(database: &'a Database, kind: PackageKind, feed: &Feed) -> Option<Chosen<'a>> {
    let is_one = |one: &Ecosystem| one.kind == Some(kind) && feed.covers(&one.name);
    let ecosystems = database.ecosystems(is_one);
    let has_releases = feed.to_string() != feed.family();
    let is_own = |one: &&Ecosystem| !has_releases || one.name != feed.family();
    (database.status().covers(feed.family()) && ecosystems.iter().any(is_own))
        .then_some(Chosen { ecosystems, names: feed.names() })
}

fn unknown(text: &str, count: usize) -> Unmatched {
    let text = format!("{text}: nothing is known of {count} packages");
    Unmatched { kind: UnmatchedKind::UnknownDistribution, package: None, text }
}

fn no_feed(kind: PackageKind, count: usize, asked: &str) -> Unmatched {
    let (purl, asked) = (kind.purl_type(), printable(asked));
    let text = format!("the database has no feed of {asked} for {count} packages of {purl}");
    Unmatched { kind: UnmatchedKind::NoFeed, package: None, text }
}

fn name(distribution: &Distribution) -> String {
    let version = distribution.version.as_ref().or(distribution.codename.as_ref());
    printable(&format!("{} {}", distribution.id, version.map_or("", String::as_str)))
        .trim_end()
        .to_owned()
}
