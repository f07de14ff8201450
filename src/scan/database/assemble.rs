//! What was read becomes the sections of the file.

use std::collections::{BTreeMap, HashMap};

use super::advisory::is_cve;
use super::build::Builder;
use super::extras::Extras;
use super::feed::{FeedKind, Status, oldest};
use super::groups::{Groups, Names};
use super::intern::Strings;
use super::layout::{Section, Sections};
use super::rows::{Packed, Row, Rows, put_length, too_large};
use super::{ImportError, wire};
use crate::time::Timestamp;

/// Ecosystems of one database.
const ECOSYSTEMS_MAX: usize = 100_000;
/// Names of one vulnerability: one of Go's has thousands, an advisory for each package that is built of it.
const NAMES_MAX: usize = 100_000;
/// What stands for a likelihood that is not known.
pub(super) const NO_LIKELIHOOD: u32 = u32::MAX;
/// What stands for a time that is not known.
pub(super) const NO_TIME: i64 = i64::MIN;

/// All sections, and what the database says of itself.
pub(super) fn sections(
    builder: Builder,
    importer: &str,
) -> Result<(Sections, Status), ImportError> {
    let now = builder.now();
    let Builder { mut rows, extras, feeds, declared, .. } = builder;
    let mut sections = Sections::default();
    let (ecosystems, numbers) = statements(&rows, &mut sections)?;
    let vulnerabilities = records(&mut rows, &extras, &mut sections)?;
    let records = numbers.iter().flatten().count();
    let status = Status {
        importer: importer.to_owned(),
        built: now,
        as_of: oldest(&feeds, FeedKind::Osv).unwrap_or(Timestamp::from_milliseconds(0)),
        feeds,
        records: u32::try_from(records).map_err(|_| too_large("records"))?,
        superseded: rows.superseded,
        vulnerabilities,
        ecosystems,
        declared,
    };
    let json = serde_json::to_vec(&status).map_err(|_| too_large("feeds"))?;
    sections.put(Section::Status, json);
    let versions = std::mem::take(&mut rows.versions);
    versions.write(&mut rows.strings, &mut sections).ok_or_else(|| too_large("versions"))?;
    let order = rows.strings.sorted();
    sections.put_numbers(Section::StringOrder, &order);
    let (bytes, ends) = rows.strings.into_parts();
    sections.put(Section::Strings, bytes);
    sections.put_numbers(Section::StringEnds, &ends);
    let (bytes, ends) = rows.lists.into_parts();
    sections.put(Section::Lists, bytes);
    sections.put_numbers(Section::ListEnds, &ends);
    Ok((sections, status))
}

/// The numbers that records have in the file: those that count, in the order in which they came.
fn numbered(rows: &[Row]) -> Vec<Option<u32>> {
    let mut next = 0_u32;
    let number = |row: &Row| {
        row.counts.then(|| {
            next += 1;
            next - 1
        })
    };
    rows.iter().map(number).collect()
}

type Counted = (BTreeMap<String, u32>, Vec<Option<u32>>);

/// What records say of packages, by ecosystem and name.
fn statements(rows: &Rows, sections: &mut Sections) -> Result<Counted, ImportError> {
    let numbers = numbered(&rows.records);
    let number = |packed: &Packed| at(&numbers, packed.row).flatten();
    let mut sorted: Vec<(Packed, u32)> = rows
        .statements
        .iter()
        .filter_map(|packed| number(packed).map(|number| (*packed, number)))
        .collect();
    let places = ecosystem_places(rows, &sorted)?;
    let place = |packed: &Packed| places.get(&packed.ecosystem).copied();
    // The sort is stable: statements of one name stay in the order of their records.
    sorted.sort_by_cached_key(|(packed, _)| (place(packed), packed.name));
    let (mut bytes, mut keys, mut ecosystems) = (Vec::new(), Vec::new(), Vec::new());
    let mut counted = BTreeMap::new();
    for one in sorted.chunk_by(|(a, _), (b, _)| a.ecosystem == b.ecosystem) {
        let first_key = keys.len() / 3;
        for named in one.chunk_by(|(a, _), (b, _)| a.name == b.name) {
            let name = named.first().map_or(0, |(packed, _)| packed.name);
            keys.extend([name, fits(bytes.len())?, fits(named.len())?]);
            for (packed, number) in named {
                wire::put(&mut bytes, (*number).into());
                bytes.extend_from_slice(payload(rows, packed));
            }
        }
        let (ecosystem, kind) =
            one.first().map_or((0, 0), |(packed, _)| (packed.ecosystem, packed.kind));
        let statements = fits(one.len())?;
        counted.insert(rows.strings.text(ecosystem).to_owned(), statements);
        let count = fits(keys.len() / 3 - first_key)?;
        ecosystems.extend([ecosystem, fits(first_key)?, count, statements, kind]);
    }
    sections.put(Section::Statements, bytes);
    sections.put_numbers(Section::Keys, &keys);
    sections.put_numbers(Section::Ecosystems, &ecosystems);
    Ok((counted, numbers))
}

/// The place of each ecosystem in the order of their names.
fn ecosystem_places(
    rows: &Rows,
    sorted: &[(Packed, u32)],
) -> Result<HashMap<u32, usize>, ImportError> {
    let mut ecosystems: Vec<u32> = sorted.iter().map(|(packed, _)| packed.ecosystem).collect();
    ecosystems.sort_unstable();
    ecosystems.dedup();
    if ecosystems.len() > ECOSYSTEMS_MAX {
        return Err(too_large("ECOSYSTEMS_MAX"));
    }
    ecosystems.sort_unstable_by_key(|number| rows.strings.text(*number));
    Ok(ecosystems.into_iter().enumerate().map(|(place, number)| (number, place)).collect())
}

fn payload<'a>(rows: &'a Rows, packed: &Packed) -> &'a [u8] {
    let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    rows.payload.get(place(packed.start)..place(packed.end)).unwrap_or_default()
}

/// Records and the vulnerabilities that they are about; gives how many there are of the latter.
fn records(rows: &mut Rows, extras: &Extras, sections: &mut Sections) -> Result<u32, ImportError> {
    let counting: Vec<&Row> = rows.records.iter().filter(|row| row.counts).collect();
    let mut groups = Groups::default();
    for row in &counting {
        groups.add(&rows.strings, names(row));
    }
    let about: Vec<Vec<u32>> =
        counting.iter().map(|row| groups.of(&rows.strings, names(row))).collect();
    let mut roots: Vec<u32> = about.iter().flatten().copied().collect();
    roots.sort_unstable();
    roots.dedup();
    vulnerabilities(&roots, &mut groups, &rows.strings, extras, sections)?;
    let (mut table, mut bytes) = (Vec::new(), Vec::new());
    for (row, roots_of) in counting.iter().zip(&about) {
        let published = row.published.map_or(NO_TIME, Timestamp::milliseconds).cast_unsigned();
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        table.extend([row.id, fits(bytes.len())?, half(published), half(published >> 32)]);
        put_length(&mut bytes, roots_of.len());
        for root in roots_of {
            let number = roots.binary_search(root).unwrap_or(usize::MAX);
            put_length(&mut bytes, number);
        }
    }
    sections.put_numbers(Section::Records, &table);
    sections.put(Section::RecordGroups, bytes);
    fits(roots.len())
}

fn names(row: &Row) -> Names<'_> {
    Names { id: row.id, aliases: &row.aliases, upstream: &row.upstream }
}

fn vulnerabilities(
    roots: &[u32],
    groups: &mut Groups,
    strings: &Strings,
    extras: &Extras,
    sections: &mut Sections,
) -> Result<(), ImportError> {
    let mut by_root = groups.names();
    let (mut table, mut bytes) = (Vec::new(), Vec::new());
    for root in roots {
        let mut names = by_root.remove(root).unwrap_or_default();
        if names.len() > NAMES_MAX {
            return Err(too_large("NAMES_MAX"));
        }
        names.sort_unstable_by_key(|name| (rank(strings.text(*name)), strings.text(*name)));
        let exploited = names.iter().any(|name| extras.is_exploited(strings.text(*name)));
        let likely = names.iter().filter_map(|name| extras.likelihood(strings.text(*name))).max();
        let best = names.first().copied().unwrap_or(0);
        let likely = likely.map_or(NO_LIKELIHOOD, u32::from);
        table.extend([best, fits(bytes.len())?, likely, u32::from(exploited)]);
        let others = names.get(1..).unwrap_or_default();
        put_length(&mut bytes, others.len());
        for name in others {
            wire::put(&mut bytes, (*name).into());
        }
    }
    sections.put_numbers(Section::Groups, &table);
    sections.put(Section::GroupNames, bytes);
    Ok(())
}

/// The best known names first.
fn rank(name: &str) -> u8 {
    match name {
        _ if is_cve(name) => 0,
        _ if name.starts_with("GHSA-") => 1,
        _ if name.starts_with("MAL-") => 2,
        _ => 3,
    }
}

fn fits(number: usize) -> Result<u32, ImportError> {
    u32::try_from(number).map_err(|_| too_large("statements"))
}

fn at<T: Copy>(list: &[T], index: u32) -> Option<T> {
    usize::try_from(index).ok().and_then(|index| list.get(index)).copied()
}
