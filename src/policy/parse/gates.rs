//! The named gates, and the exceptions from what they refuse.

use std::sync::Arc;
use std::time::Duration;

use super::super::document::Trust;
use super::super::fields::{Fields, Problems, Words, extract};
use super::super::pattern::Pattern;
use super::super::problem::Position;
use super::super::scanned::{Answer, Exception, FindingCondition, Rating, ScanGate};
use super::super::yaml::{Entry, Node};
use super::checked_name;
use super::units::{moment_at, share_at, time_at};
use crate::oci::Digest;

const GATE: Words = Words {
    known: &[
        "scanner",
        "deny",
        "unrated",
        "unknown",
        "incomplete",
        "notApplicable",
        "kernelHeaders",
    ],
    later: &["env", "exposedPorts", "fastTrack", "healthcheck", "labels", "maxImageAge"],
};
const SCANNER: Words =
    Words { known: &["maxDbAge", "warnDbAge"], later: &["all", "any", "maxReportAge", "worst"] };
const CONDITION: Words = Words {
    known: &["severity", "fixable", "olderThan", "exploited", "likelihood"],
    later: &["package"],
};
const EXCEPTION: Words =
    Words { known: &["id", "match", "check", "reason", "expires"], later: &["approvedBy"] };
const CHECK: Words = Words { known: &["vulnerability", "package"], later: &[] };
/// Most gates of a policy, conditions of a gate, and gates of a rule.
const GATES_MAX: usize = 100;
/// Most exceptions of a policy.
const EXCEPTIONS_MAX: usize = 10_000;
/// Longest name of a vulnerability or package, in bytes.
const SHORT_BYTES_MAX: usize = 200;

/// The gates at `gates`.
pub(super) fn read(node: Node, problems: &mut Problems) -> Vec<Arc<ScanGate>> {
    let position = node.position;
    let entries = Fields::free(node, "gates", problems);
    if entries.len() > GATES_MAX {
        problems.add(position, "gates", format!("has more than {GATES_MAX} gates"));
        return Vec::new();
    }
    let gate = |entry: Entry| {
        let path = format!("gates.{}", extract(&entry.key));
        let name = checked_name(entry.key, entry.position, &path, problems)?;
        gate(name, entry.value, &path, problems).map(Arc::new)
    };
    entries.into_iter().filter_map(gate).collect()
}

fn gate(name: String, node: Node, path: &str, problems: &mut Problems) -> Option<ScanGate> {
    let position = node.position;
    let mut fields = Fields::of(node, path, GATE, problems)?;
    let (mut warn, mut most) = (None, None);
    let scanner = fields.take("scanner");
    let scanner =
        scanner.and_then(|node| Fields::of(node, &fields.path_of("scanner"), SCANNER, problems));
    if let Some(mut scanner) = scanner {
        most = time_at(&mut scanner, "maxDbAge", problems);
        warn = time_at(&mut scanner, "warnDbAge", problems);
        if let (Some(warn), Some(most)) = (warn, most)
            && warn > most
        {
            let text = "is longer than maxDbAge, so that it would never be seen";
            problems.add(scanner.position, &scanner.path_of("warnDbAge"), text);
        }
    }
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
    let deny = deny.collect();
    let unrated = fields.choice("unrated", &Rating::CHOICES, &[], problems);
    let mut answer = |key: &str| {
        let choices = [("allow", Answer::Allow), ("deny", Answer::Deny)];
        fields.choice(key, &choices, &[], problems).unwrap_or_default()
    };
    let (unknown, incomplete) = (answer("unknown"), answer("incomplete"));
    let not_applicable = answer("notApplicable");
    let choices = [("count", true), ("ignore", false)];
    let counts = fields.choice("kernelHeaders", &choices, &[], problems).unwrap_or(false);
    let most = most.unwrap_or(ScanGate::DATABASE_AGE_MAX);
    Some(ScanGate {
        name,
        deny,
        unrated: unrated.unwrap_or(Rating::Critical),
        unknown,
        incomplete,
        not_applicable,
        counts_kernel_headers: counts,
        database_age_warn: warn.unwrap_or(ScanGate::DATABASE_AGE_WARN).min(most),
        database_age_max: most,
    })
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

/// The gates that a rule names, out of `gates`.
pub(super) fn of_rule(
    rule: &mut Fields,
    trust: Option<Trust>,
    gates: &[Arc<ScanGate>],
    problems: &mut Problems,
) -> Vec<Arc<ScanGate>> {
    let position = rule.position;
    let mut found: Vec<Arc<ScanGate>> = Vec::new();
    let Some(names) = rule.texts("gates", problems) else { return found };
    if trust == Some(Trust::Deny) {
        let text = "has no effect on a rule that denies; remove it";
        problems.add(position, &rule.path_of("gates"), text);
    }
    for (name, position, path) in names {
        if found.iter().any(|gate| gate.name == name) {
            problems.add(position, &path, format!("\"{name}\" is listed twice; keep one"));
        } else if let Some(gate) = gates.iter().find(|gate| gate.name == name) {
            found.push(Arc::clone(gate));
        } else if !is_reported(&name, problems) {
            problems.add(position, &path, format!("\"{}\" is not among the gates", extract(&name)));
        }
    }
    found
}

/// Whether gate `name` is missing only because something is wrong with it.
fn is_reported(name: &str, problems: &Problems) -> bool {
    let (path, inner) = (format!("gates.{name}"), format!("gates.{name}."));
    problems.0.iter().any(|problem| problem.key == path || problem.key.starts_with(&inner))
}

/// What is excepted, and the longest time for which.
pub(super) fn exceptions(top: &mut Fields, problems: &mut Problems) -> (Vec<Exception>, Duration) {
    let time_max = time_at(top, "maxException", problems).unwrap_or(Exception::TIME_MAX);
    let position = top.position;
    let items = top.list("exceptions", problems).unwrap_or_default();
    if items.len() > EXCEPTIONS_MAX {
        let text = format!("has more than {EXCEPTIONS_MAX} entries");
        problems.add(position, "exceptions", text);
        return (Vec::new(), time_max);
    }
    let mut read: Vec<Exception> = Vec::new();
    for (node, path) in items {
        let position = node.position;
        let Some(exception) = exception(node, &path, problems) else { continue };
        if read.iter().any(|other| other.id == exception.id) {
            let text = format!("\"{}\" is the id of another one; give each its own", exception.id);
            problems.add(position, &format!("{path}.id"), text);
        }
        read.push(exception);
    }
    (read, time_max)
}

fn exception(node: Node, path: &str, problems: &mut Problems) -> Option<Exception> {
    let mut fields = Fields::of(node, path, EXCEPTION, problems)?;
    let id = fields.require_text("id", "records name the exception by it", problems);
    let id = id.and_then(|(id, at)| checked_name(id, at, &fields.path_of("id"), problems));
    let images = fields.require_text("match", "write a repository, or one with @digest", problems);
    let images =
        images.and_then(|(text, at)| covered(&text, at, &fields.path_of("match"), problems));
    let reason = fields.require_text("reason", "whoever reads of it wants to know", problems);
    if !fields.has("expires") {
        let text = "is missing; no exception is for ever";
        problems.add(fields.position, &fields.path_of("expires"), text);
    }
    let expires = moment_at(&mut fields, "expires", problems);
    let check = fields.require("check", "write check: {vulnerability: CVE-...}", problems);
    let check = check.and_then(|node| {
        let mut check = Fields::of(node, &fields.path_of("check"), CHECK, problems)?;
        let name = check.require_text("vulnerability", "write its CVE", problems);
        let name = name.and_then(|found| short(found, &check, "vulnerability", problems));
        let package = check.text("package", problems);
        let package = match package {
            Some(found) => Some(short(found, &check, "package", problems)?),
            None => None,
        };
        Some((name?, package))
    });
    let (images, digest) = images?;
    let (vulnerability, package) = check?;
    let (id, reason, expires) = (id?, reason?.0, expires?.0);
    Some(Exception { id, images, digest, vulnerability, package, reason, expires })
}

fn short(
    (text, position): (String, Position),
    fields: &Fields,
    key: &str,
    problems: &mut Problems,
) -> Option<String> {
    if text.len() <= SHORT_BYTES_MAX && !text.contains(char::is_whitespace) {
        return Some(text);
    }
    let text = format!("is not one word of at most {SHORT_BYTES_MAX} bytes");
    problems.add(position, &fields.path_of(key), text);
    None
}

/// The images that `text` means: a pattern of repositories, or one with a digest.
fn covered(
    text: &str,
    position: Position,
    path: &str,
    problems: &mut Problems,
) -> Option<(Pattern, Option<Digest>)> {
    let (images, digest) = match text.split_once('@') {
        Some((images, digest)) => (images, Some(digest)),
        None => (text, None),
    };
    let digest = digest.map(str::parse::<Digest>).transpose();
    match (Pattern::of_names(images), digest) {
        (Ok(images), Ok(digest)) => Some((images, digest)),
        (Err(error), _) => {
            problems.add(position, path, format!("\"{}\": {error}", extract(images)));
            None
        }
        (Ok(_), Err(error)) => {
            problems.add(position, path, error.to_string());
            None
        }
    }
}
