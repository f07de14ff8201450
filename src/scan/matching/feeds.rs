//! What the packages of an image are compared with, and what there is nothing to compare with.

use std::collections::BTreeMap;

use super::Rules;
use crate::scan::database::{Database, Ecosystem, names, printable};
use crate::scan::{Distribution, Inventory, PackageKind, Unmatched, UnmatchedKind};
use crate::time::Timestamp;

/// The ecosystems for each kind of package that an image has.
pub(super) type Feeds<'a> = BTreeMap<PackageKind, Vec<&'a Ecosystem>>;

/// Chooses the feeds, and says what has none.
pub(super) fn choose<'a>(
    database: &'a Database,
    inventory: &Inventory,
    rules: &impl Rules,
    now: Timestamp,
) -> (Feeds<'a>, Vec<Unmatched>) {
    let mut kinds: BTreeMap<PackageKind, usize> = BTreeMap::new();
    for package in &inventory.packages {
        *kinds.entry(package.kind).or_default() += 1;
    }
    let (mut feeds, mut unmatched) = (Feeds::new(), Vec::new());
    let of_distribution: usize =
        kinds.iter().filter(|(kind, _)| kind.is_of_distribution()).map(|(_, count)| count).sum();
    let distribution = inventory.distribution.as_ref();
    let feed = match distribution.map(|distribution| (distribution, rules.feed(distribution))) {
        _ if of_distribution == 0 => None,
        None => {
            let text = "the image does not say which distribution it is".to_owned();
            unmatched.push(unknown(text, of_distribution));
            None
        }
        Some((distribution, None)) => {
            let text = format!("{} is no distribution that is known", name(distribution));
            unmatched.push(unknown(text, of_distribution));
            None
        }
        Some((distribution, Some(feed))) => {
            if rules.has_ended(distribution, now) {
                let text = format!("{} gets no fixes any more", name(distribution));
                unmatched.push(Unmatched { kind: UnmatchedKind::EndOfLife, package: None, text });
            }
            Some(feed)
        }
    };
    for (kind, count) in kinds {
        let asked = match names::language(kind) {
            Some(ecosystem) => ecosystem,
            None => match &feed {
                Some(feed) => feed,
                None => continue,
            },
        };
        match ecosystems(database, kind, asked) {
            Some(found) => drop(feeds.insert(kind, found)),
            None => unmatched.push(no_feed(kind, count, asked)),
        }
    }
    (feeds, unmatched)
}

/// The ecosystems of a feed; `None` where the database has no records of its own for it, or it is of
/// other packages.
fn ecosystems<'a>(
    database: &'a Database,
    kind: PackageKind,
    asked: &str,
) -> Option<Vec<&'a Ecosystem>> {
    let found = database.ecosystems(asked);
    let is_of_kind = names::kind_of(asked).is_none_or(|own| own == kind);
    (is_of_kind && found.iter().any(|one| names::extends(&one.name, asked))).then_some(found)
}

fn unknown(text: String, count: usize) -> Unmatched {
    let text = format!("{text}: nothing is known of {count} packages");
    Unmatched { kind: UnmatchedKind::UnknownDistribution, package: None, text }
}

fn no_feed(kind: PackageKind, count: usize, asked: &str) -> Unmatched {
    let (purl, asked) = (kind.purl_type(), printable(asked));
    let text = format!("the database has no records of {asked} for {count} packages of {purl}");
    Unmatched { kind: UnmatchedKind::NoFeed, package: None, text }
}

fn name(distribution: &Distribution) -> String {
    let version = distribution.version.as_ref().or(distribution.codename.as_ref());
    printable(&format!("{} {}", distribution.id, version.map_or("", String::as_str)))
        .trim_end()
        .to_owned()
}
