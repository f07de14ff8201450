//! How much of an image is read, where a gate says so.

use std::time::Duration;

use super::super::super::fields::{Fields, Problems, Words};
use super::super::super::problem::Position;
use super::super::super::scanned::ScanLimits;
use super::super::units::{short_time_at, size_at};

const LIMITS: Words = Words {
    known: &[
        "layerBytes",
        "ratio",
        "entries",
        "fileBytes",
        "programBytes",
        "archiveBytes",
        "archiveInflatedBytes",
        "layerTime",
        "time",
    ],
    later: &[],
};
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// Longest time that a policy gives a scan.
const TIME_MAX: Duration = Duration::from_hours(24);

/// The limits of a gate.
pub(super) fn read(gate: &mut Fields, problems: &mut Problems) -> ScanLimits {
    let path = gate.path_of("limits");
    let written = gate.take("limits");
    let fields = written.and_then(|node| Fields::of(node, &path, LIMITS, problems));
    let Some(mut fields) = fields else { return ScanLimits::default() };
    let mut size = |fields: &mut Fields, key, most: u64| {
        let found = size_at(fields, key, problems);
        bounded(fields, key, found, most, problems)
    };
    let layer_bytes = size(&mut fields, "layerBytes", TIB);
    let file_bytes = size(&mut fields, "fileBytes", GIB);
    let program_bytes = size(&mut fields, "programBytes", 4 * GIB);
    let archive_bytes = size(&mut fields, "archiveBytes", 4 * GIB);
    let archive_inflated_bytes = size(&mut fields, "archiveInflatedBytes", TIB);
    let mut count = |fields: &mut Fields, key, most: u64| {
        let found = fields.number(key, problems);
        bounded(fields, key, found, most, problems)
    };
    let (ratio, entries) =
        (count(&mut fields, "ratio", 100_000), count(&mut fields, "entries", 100_000_000));
    let mut time = |fields: &mut Fields, key| {
        let (time, position) = short_time_at(fields, key, problems)?;
        if time > TIME_MAX {
            problems.add(position, &fields.path_of(key), "is longer than 24h");
        }
        Some(time)
    };
    ScanLimits {
        layer_bytes,
        ratio,
        entries,
        file_bytes,
        program_bytes,
        archive_bytes,
        archive_inflated_bytes,
        layer_time: time(&mut fields, "layerTime"),
        time: time(&mut fields, "time"),
    }
}

fn bounded(
    fields: &Fields,
    key: &str,
    found: Option<(u64, Position)>,
    most: u64,
    problems: &mut Problems,
) -> Option<u64> {
    let (number, position) = found?;
    if !(1..=most).contains(&number) {
        let text = format!("must be between 1 and {most}");
        problems.add(position, &fields.path_of(key), text);
        return None;
    }
    Some(number)
}
