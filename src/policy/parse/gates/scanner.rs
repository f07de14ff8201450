//! Which scanners a gate asks, and how old what they say may be.

use std::time::Duration;

use super::super::super::document::Signer;
use super::super::super::fields::{Fields, Problems, Words};
use super::super::super::scanned::ScanGate;
use super::super::super::scanners::{Combined, Scanners};
use super::super::units::time_at;
use super::super::{check, checked_name};

const SCANNER: Words = Words {
    known: &["all", "any", "worst", "attestedBy", "maxDbAge", "warnDbAge", "maxReportAge"],
    later: &[],
};

/// What a gate says at `scanner`.
pub(super) struct Asked {
    pub(super) scanners: Scanners,
    pub(super) attested_by: Vec<String>,
    /// How old a database may be, and from when on it is complained about.
    pub(super) database_age: (Duration, Duration),
    pub(super) report_age_max: Duration,
}

/// Reads it.
pub(super) fn read(gate: &mut Fields, signers: &[Signer], problems: &mut Problems) -> Asked {
    let (mut scanners, mut most, mut warn, mut report) = (None, None, None, None);
    let mut attested_by = Vec::new();
    let path = gate.path_of("scanner");
    let written = gate.take("scanner");
    if let Some(mut fields) = written.and_then(|node| Fields::of(node, &path, SCANNER, problems)) {
        most = time_at(&mut fields, "maxDbAge", problems);
        warn = time_at(&mut fields, "warnDbAge", problems);
        report = time_at(&mut fields, "maxReportAge", problems);
        scanners = combined(&mut fields, problems);
        attested_by = attesters(&mut fields, scanners.as_ref(), signers, problems);
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
        attested_by,
        database_age: (most, warn),
        report_age_max: report.unwrap_or(ScanGate::REPORT_AGE_MAX),
    }
}

/// Whose attested scans count: named where such are asked for, and only there.
fn attesters(
    fields: &mut Fields,
    scanners: Option<&Scanners>,
    signers: &[Signer],
    problems: &mut Problems,
) -> Vec<String> {
    let (position, path) = (fields.position, fields.path_of("attestedBy"));
    let asks = scanners.is_some_and(|it| it.names().any(|name| name == Scanners::ATTESTED));
    match (fields.texts("attestedBy", problems), asks) {
        (None, false) => Vec::new(),
        (None, true) => {
            if problems.0.iter().all(|problem| problem.key != path) {
                let text = "is missing; whoever attests a scan counts only by name";
                problems.add(position, &path, text);
            }
            Vec::new()
        }
        (Some(_), false) => {
            let text = "has no effect: no scanner that is asked is \"attested\"";
            problems.add(position, &path, text);
            Vec::new()
        }
        (Some(from), true) => {
            check::known(&from, signers, problems);
            from.into_iter().map(|(name, ..)| name).collect()
        }
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
