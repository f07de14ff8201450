//! The named gates, and the exceptions from what they refuse.

mod config;
#[cfg(test)]
mod config_tests;
mod exceptions;
mod floor;
mod fresh;
#[cfg(test)]
mod fresh_tests;
mod later;
mod limits;
mod scanner;
#[cfg(test)]
mod tests;
mod vex;

use std::sync::Arc;

use super::super::configured::ConfigGate;
use super::super::document::{Signer, Trust};
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::fresh::{FastTrackWhen, FreshGate};
use super::super::problem::Position;
use super::super::scanned::{Answer, FindingCondition, Rating, ScanGate};
use super::super::yaml::{Entry, Node};
use super::units::{share_at, time_at};
use super::{check, checked_name};

pub(super) use exceptions::exceptions;
pub(super) use floor::of_floor;
pub(super) use later::unseen;

const GATE: Words = Words {
    known: &[
        "scanner",
        "deny",
        "unrated",
        "unknown",
        "incomplete",
        "notApplicable",
        "kernelHeaders",
        "onNewFinding",
        "vex",
        "limits",
        "sbom",
        "user",
        "env",
        "exposedPorts",
        "labels",
        "healthcheck",
        "minObservedAge",
        "maxImageAge",
        "undated",
        "fastTrack",
    ],
    later: &[("setuidFiles", "of layers only what lists packages is kept")],
};
/// Its keys that are about scans alone.
const SCAN_KEYS: [&str; 10] = [
    "scanner",
    "deny",
    "unrated",
    "unknown",
    "incomplete",
    "kernelHeaders",
    "onNewFinding",
    "vex",
    "limits",
    "sbom",
];
const CONDITION: Words = Words {
    known: &["severity", "fixable", "olderThan", "exploited", "likelihood"],
    later: &[(
        "package",
        "a gate is for everything; what one package may have is an exception: check: {vulnerability, package}",
    )],
};
const ATTESTED: Words = Words { known: &["from"], later: &[] };
/// Most gates of a policy, conditions of a gate, and gates of a rule.
const GATES_MAX: usize = 100;

/// A gate, as rules name it: what it asks of scans, of configurations, and of time.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    name: String,
    position: Position,
    scan: Option<Arc<ScanGate>>,
    config: Option<Arc<ConfigGate>>,
    fresh: Option<Arc<FreshGate>>,
}

impl Gate {
    /// Its name, and where it stands.
    pub(super) fn named(&self) -> (&str, Position) {
        (&self.name, self.position)
    }
}

/// What the gates of a rule ask for.
#[derive(Debug, Default)]
pub(super) struct Gates {
    pub(super) scans: Vec<Arc<ScanGate>>,
    pub(super) configs: Vec<Arc<ConfigGate>>,
    pub(super) fresh: Vec<Arc<FreshGate>>,
}

/// The gates at `gates`, of a policy with these signers.
pub(super) fn read(node: Node, signers: &[Signer], problems: &mut Problems) -> Vec<Gate> {
    let position = node.position;
    let entries = Fields::free(node, "gates", problems);
    if entries.len() > GATES_MAX {
        problems.add(position, "gates", format!("has more than {GATES_MAX} gates"));
        return Vec::new();
    }
    let gate = |entry: Entry| {
        let path = format!("gates.{}", extract(&entry.key));
        let name = checked_name(entry.key, entry.position, &path, problems)?;
        gate(name, entry.value, &path, signers, problems)
    };
    entries.into_iter().filter_map(gate).collect()
}

fn gate(
    name: String,
    node: Node,
    path: &str,
    signers: &[Signer],
    problems: &mut Problems,
) -> Option<Gate> {
    let mut fields = Fields::of(node, path, GATE, problems)?;
    // Without a word about anything else it is one that scans, whatever it lacks.
    let is_config = config::KEYS.iter().any(|key| fields.has(key));
    let is_scan = is_about_scans(&fields) || !(is_config || is_about_time(&fields));
    if fields.has("notApplicable") && !is_scan && !is_config && !fields.has("maxImageAge") {
        let text = "has no effect: whatever it is, it waits";
        problems.add(fields.position, &fields.path_of("notApplicable"), text);
    }
    let not_applicable = answer(&mut fields, "notApplicable", problems);
    let config = config::read(&name, &mut fields, not_applicable, problems).map(Arc::new);
    let fresh = fresh::read(&name, &mut fields, not_applicable, signers, problems).map(Arc::new);
    let scan = if is_scan {
        Some(Arc::new(scan_gate(name.clone(), &mut fields, not_applicable, signers, problems)?))
    } else {
        None
    };
    let is_any = scan.is_some() || config.is_some() || fresh.is_some();
    let position = fields.position;
    is_any.then_some(Gate { name, position, scan, config, fresh })
}

/// Whether a gate asks for a scan.
fn is_about_scans(gate: &Fields) -> bool {
    SCAN_KEYS.iter().any(|key| gate.has(key))
}

/// Whether a gate asks for something of the time of images.
fn is_about_time(gate: &Fields) -> bool {
    fresh::KEYS.iter().any(|key| gate.has(key))
}

/// Whether a gate asks for something besides configurations.
fn is_about_more(gate: &Fields) -> bool {
    is_about_scans(gate) || is_about_time(gate)
}

fn scan_gate(
    name: String,
    fields: &mut Fields,
    not_applicable: Answer,
    signers: &[Signer],
    problems: &mut Problems,
) -> Option<ScanGate> {
    let position = fields.position;
    let scanner::Asked { scanners, attested_by, database_age, report_age_max } =
        scanner::read(fields, signers, problems);
    let (database_age_max, database_age_warn) = database_age;
    let deny = fields.list("deny", problems);
    if deny.is_none() && problems.0.iter().all(|problem| problem.key != fields.path_of("deny")) {
        let text = "is missing; write deny: [{severity: critical}]";
        problems.add(position, &fields.path_of("deny"), text);
    }
    let deny = deny.unwrap_or_default();
    if deny.len() > GATES_MAX {
        let text = format!("has more than {GATES_MAX} conditions");
        problems.add(position, &fields.path_of("deny"), text);
        return None;
    }
    let deny = deny.into_iter().filter_map(|(node, path)| condition(node, &path, problems));
    let deny: Vec<FindingCondition> = deny.collect();
    let is_rated = |it: &FindingCondition| it.exploited.is_some() || it.likelihood.is_some();
    if scanners.others().next().is_some() && deny.iter().any(is_rated) {
        let text = "asks for exploited or likelihood, which only the scanner inside knows; write a gate of \
                    its own for that";
        problems.add(position, &fields.path_of("deny"), text);
    }
    let unrated = fields.choice("unrated", &Rating::CHOICES, &[], problems);
    let mut answer = |key| answer(fields, key, problems);
    let (unknown, incomplete) = (answer("unknown"), answer("incomplete"));
    let choices = [("count", true), ("ignore", false)];
    let counts = fields.choice("kernelHeaders", &choices, &[], problems).unwrap_or(false);
    let on_new_finding = later::read(fields, problems);
    let limits = limits::read(fields, problems);
    let sbom_from = attesters(fields, "sbom", signers, problems);
    let vex = vex::read(fields, signers, problems);
    Some(ScanGate {
        name,
        overlay: None,
        part: None,
        deny,
        unrated: unrated.unwrap_or(Rating::Critical),
        unknown,
        incomplete,
        not_applicable,
        counts_kernel_headers: counts,
        on_new_finding,
        limits,
        is_floor: false,
        vex,
        scanners,
        attested_by,
        database_age_warn,
        database_age_max,
        report_age_max,
        sbom_from,
    })
}

fn answer(fields: &mut Fields, key: &str, problems: &mut Problems) -> Answer {
    let choices = [("allow", Answer::Allow), ("deny", Answer::Deny)];
    fields.choice(key, &choices, &[], problems).unwrap_or_default()
}

/// The signers in `key: {from: [NAME, ...]}`.
fn attesters(
    fields: &mut Fields,
    key: &str,
    signers: &[Signer],
    problems: &mut Problems,
) -> Vec<String> {
    let Some(node) = fields.take(key) else { return Vec::new() };
    let Some(mut inner) = Fields::of(node, &fields.path_of(key), ATTESTED, problems) else {
        return Vec::new();
    };
    let (position, path) = (inner.position, inner.path_of("from"));
    let Some(from) = inner.texts("from", problems) else {
        if problems.0.iter().all(|problem| problem.key != path) {
            let text = "is missing; whoever attests counts only by name";
            problems.add(position, &path, text);
        }
        return Vec::new();
    };
    check::known(&from, signers, problems);
    from.into_iter().map(|(name, ..)| name).collect()
}

fn condition(node: Node, path: &str, problems: &mut Problems) -> Option<FindingCondition> {
    let mut fields = Fields::of(node, path, CONDITION, problems)?;
    let truth = [("true", true), ("false", false)];
    let condition = FindingCondition {
        severity: fields.choice("severity", &Rating::CHOICES, &[], problems),
        fixable: fields.choice("fixable", &truth, &[], problems),
        older_than: time_at(&mut fields, "olderThan", problems),
        exploited: fields.choice("exploited", &truth, &[], problems),
        likelihood: share_at(&mut fields, "likelihood", problems),
    };
    if condition == FindingCondition::default()
        && problems.0.iter().all(|problem| !problem.key.starts_with(path))
    {
        let text = "says nothing; write {severity: none} to refuse whatever is found";
        problems.add(fields.position, path, text);
    }
    Some(condition)
}

/// What the gates ask for that a rule names, out of `gates`.
pub(super) fn of_rule(
    rule: &mut Fields,
    trust: Option<Trust>,
    gates: &[Gate],
    problems: &mut Problems,
) -> Gates {
    let position = rule.position;
    let Some(names) = rule.texts("gates", problems) else { return Gates::default() };
    if trust == Some(Trust::Deny) {
        let text = "has no effect on a rule that denies; remove it";
        problems.add(position, &rule.path_of("gates"), text);
    }
    let mut found: Vec<&Gate> = Vec::new();
    for (name, position, path) in names {
        if found.iter().any(|gate| gate.name == name) {
            problems.add(position, &path, format!("\"{name}\" is listed twice; keep one"));
        } else if let Some(gate) = gates.iter().find(|gate| gate.name == name) {
            found.push(gate);
        } else if !check::is_reported("gates", &name, problems) {
            problems.add(position, &path, format!("\"{}\" is not among the gates", extract(&name)));
        }
    }
    let asks_what_is_fixed = |gate: &&&Gate| {
        let track = gate.fresh.as_ref().and_then(|fresh| fresh.fast_track.as_ref());
        track.is_some_and(|track| matches!(track.when, FastTrackWhen::Fixes(_)))
    };
    if let Some(gate) = found.iter().find(asks_what_is_fixed)
        && !found.iter().filter_map(|gate| gate.scan.as_ref()).any(|it| it.scanners.need_embedded())
    {
        let text = format!(
            "\"{}\" asks what is fixed, and no gate here asks the scanner inside; name one, or write when: signed",
            gate.name
        );
        problems.add(position, &rule.path_of("gates"), text);
    }
    Gates {
        scans: found.iter().filter_map(|gate| gate.scan.clone()).collect(),
        configs: found.iter().filter_map(|gate| gate.config.clone()).collect(),
        fresh: found.iter().filter_map(|gate| gate.fresh.clone()).collect(),
    }
}
