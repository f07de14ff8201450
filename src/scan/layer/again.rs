//! Reads a layer once more, for files that only the merged view showed to be of interest.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::Stop;
use super::archive::Archive;
use super::facts::{Facts, Seen};
use super::inflated::Inflated;
use super::kind::Kind;
use super::read::{Reading, WantedFile};
use super::tree::EntryId;
use crate::scan::catalog::FileFacts;
use crate::scan::{GapKind, Limits};

/// Reads a layer again for files that only the merged view showed to be of interest, and adds what they
/// say. Each gets an answer, if only that it could not be read.
///
/// # Errors
/// Only the reader's own.
pub(in crate::scan) fn read_more<K: Kind>(
    facts: &Facts<K>,
    reader: impl Read,
    wanted: &[WantedFile<K>],
    limits: &Limits,
) -> io::Result<Facts<K>> {
    let mut reading = Reading::new(limits);
    // Those that were read in case a link leads to them have had room of their own.
    for seen in facts.files.values().flatten().filter(|seen| !seen.path.is_empty()) {
        reading.budget.take(seen);
    }
    // Contents come by once: of several kinds for one file, the first.
    let mut left: BTreeMap<EntryId, &WantedFile<K>> = BTreeMap::new();
    for file in wanted {
        left.entry(file.entry).or_insert(file);
    }
    let read = Inflated::open(reader, limits)
        .and_then(|bytes| walk_again(&mut reading, &mut Archive::new(bytes, limits), &mut left));
    let why = match read {
        Ok(()) => {
            "it is of several kinds, by links that lead to it, or there is too much".to_owned()
        }
        Err(Stop::Gap(_, text)) => text,
        Err(Stop::Source(error)) => return Err(error),
    };
    for file in wanted {
        let seen = reading.files.entry(file.entry).or_default();
        if !seen.iter().any(|seen| seen.kind == file.kind && seen.path == file.path) {
            let facts = FileFacts::gap(GapKind::Unsupported, why.as_str());
            seen.push(Seen { kind: file.kind, path: file.path.clone(), facts });
        }
    }
    let mut facts = facts.clone();
    for (entry, seen) in reading.files {
        facts.files.entry(entry).or_default().extend(seen);
    }
    facts.gaps.extend(reading.gaps);
    Ok(facts)
}

fn walk_again<K: Kind, R: Read>(
    reading: &mut Reading<'_, K>,
    archive: &mut Archive<R>,
    left: &mut BTreeMap<EntryId, &WantedFile<K>>,
) -> Result<(), Stop> {
    while !left.is_empty() {
        let Some(entry) = archive.next()? else { break };
        let id = reading.number()?;
        if let Some(file) = left.get(&id) {
            let facts = reading.facts(archive, file.kind, &file.path, entry.size)?;
            reading.add(file, facts);
            left.remove(&id);
        }
    }
    Ok(())
}
