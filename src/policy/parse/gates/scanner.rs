//! Which scanners a gate asks, and how old what they say may be.

use std::time::Duration;

use super::super::super::fields::{Fields, Problems, Words};
use super::super::super::scanned::ScanGate;
use super::super::super::scanners::{Combined, Scanners};
use super::super::checked_name;
use super::super::units::time_at;

const SCANNER: Words =
    Words { known: &["all", "any", "worst", "maxDbAge", "warnDbAge", "maxReportAge"], later: &[] };

/// What a gate says at `scanner`.
pub(super) struct Asked {
    pub(super) scanners: Scanners,
    /// How old a database may be, and from when on it is complained about.
    pub(super) database_age: (Duration, Duration),
    pub(super) report_age_max: Duration,
}

/// Reads it.
pub(super) fn read(gate: &mut Fields, problems: &mut Problems) -> Asked {
    let (mut scanners, mut most, mut warn, mut report) = (None, None, None, None);
    let path = gate.path_of("scanner");
    let written = gate.take("scanner");
    if let Some(mut fields) = written.and_then(|node| Fields::of(node, &path, SCANNER, problems)) {
        most = time_at(&mut fields, "maxDbAge", problems);
        warn = time_at(&mut fields, "warnDbAge", problems);
        report = time_at(&mut fields, "maxReportAge", problems);
        scanners = combined(&mut fields, problems);
        if let (Some(warn), Some(most)) = (warn, most)
            && warn > most
        {
            let text = "is longer than maxDbAge, so that it would never be seen";
            problems.add(fields.position, &fields.path_of("warnDbAge"), text);
        }
        let asks_others = scanners.as_ref().is_some_and(|it| it.others().next().is_some());
        if report.is_some() && !asks_others {
            let text = "has no effect without another scanner: what is known is compared with every \
                        database anew";
            problems.add(fields.position, &fields.path_of("maxReportAge"), text);
        }
    }
    let most = most.unwrap_or(ScanGate::DATABASE_AGE_MAX);
    let warn = warn.unwrap_or(ScanGate::DATABASE_AGE_WARN).min(most);
    Asked {
        scanners: scanners.unwrap_or_default(),
        database_age: (most, warn),
        report_age_max: report.unwrap_or(ScanGate::REPORT_AGE_MAX),
    }
}

/// The scanners, where some are named; they are combined in one way.
fn combined(fields: &mut Fields, problems: &mut Problems) -> Option<Scanners> {
    let mut found: Option<Scanners> = None;
    for (word, combined) in Combined::CHOICES {
        let (position, path) = (fields.position, fields.path_of(word));
        let Some(names) = fields.texts(word, problems) else { continue };
        if found.is_some() {
            problems.add(position, &path, "is one too many; combine scanners in one way");
            continue;
        }
        if names.len() > Scanners::MAX {
            let text = format!("has more than {} scanners", Scanners::MAX);
            problems.add(position, &path, text);
            continue;
        }
        let mut known: Vec<String> = Vec::new();
        for (name, position, path) in names {
            let Some(name) = checked_name(name, position, &path, problems) else { continue };
            if known.contains(&name) {
                problems.add(position, &path, format!("\"{name}\" is listed twice; keep one"));
            } else {
                known.push(name);
            }
        }
        found = Scanners::new(combined, known);
        if found.is_none() && problems.0.iter().all(|problem| !problem.key.starts_with(&path)) {
            problems.add(position, &path, "is empty; write [pratique], or remove it");
        }
    }
    found
}
