//! Who may break the glass, for what, and how long.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::break_glass::{BreakGlass, Kept};
use super::super::fields::{self, Fields, Problems, Words};
use super::super::scanned::ScanGate;
use super::super::yaml::Node;
use super::approvals::{people, quorum};
use super::rules::read_patterns;
use super::units;

const NAME: &str = "breakGlass";
const WORDS: Words = Words {
    known: &["who", "quorum", "maxTTL", "requires", "match", "cannotOverride", "afterwards"],
    later: &[(
        "notify",
        "webhooks are told of every break-glass and stand in the settings: [[notify.webhook]]",
    )],
};
const AFTERWARDS: Words = Words { known: &["review", "within"], later: &[] };
const REQUIRED: [(&str, bool); 2] = [("reason", false), ("ticket", true)];

/// What `node` says; `floor` is the gate that the floor puts before every rule.
pub(super) fn read(
    node: Node,
    floor: Option<&Arc<ScanGate>>,
    problems: &mut Problems,
) -> Option<BreakGlass> {
    let before = problems.0.len();
    let mut fields = Fields::of(node, NAME, WORDS, problems)?;
    let who = people(&mut fields, "who", problems);
    if who.is_none() {
        let text = "is missing; who may has to be written: [\"group:sre-oncall\"]";
        problems.add(fields.position, &fields.path_of("who"), text);
    }
    let quorum = quorum(&mut fields, false, 0, problems);
    let ttl_max = bounded(&mut fields, "maxTTL", BreakGlass::TTL_MAX, problems);
    let needs_ticket = requires(&mut fields, problems);
    let patterns = fields.take("match").map(|node| {
        read_patterns(fields::list(node, &fields.path_of("match"), problems), problems)
    });
    let patterns = patterns.unwrap_or_default().into_iter().map(|it| it.value).collect();
    let kept = cannot_override(&mut fields, problems);
    let review_within = afterwards(&mut fields, problems);
    (problems.0.len() == before).then(|| BreakGlass {
        who: who.unwrap_or_default(),
        quorum: quorum.max(1),
        ttl_max: ttl_max.unwrap_or(BreakGlass::TTL_DEFAULT),
        needs_ticket,
        patterns,
        floor_gate: floor.map(|gate| kept_of(gate, &kept)),
        kept,
        review_within: review_within.unwrap_or(BreakGlass::REVIEW_DEFAULT),
    })
}

/// What of the floor's `gate` holds in an emergency: malware refuses under every gate, what is exploited where
/// that is written.
fn kept_of(gate: &Arc<ScanGate>, kept: &BTreeSet<Kept>) -> Arc<ScanGate> {
    if kept.contains(&Kept::Exploited) {
        return Arc::clone(gate);
    }
    Arc::new(ScanGate { deny: Vec::new(), ..ScanGate::clone(gate) })
}

/// The time at `key`, if it is written and not longer than `most`.
fn bounded(
    fields: &mut Fields,
    key: &str,
    most: Duration,
    problems: &mut Problems,
) -> Option<Duration> {
    let (time, position) = units::short_time_at(fields, key, problems)?;
    if time > most {
        let text = format!("is longer than {} h; write a shorter time", most.as_secs() / 3600);
        problems.add(position, &fields.path_of(key), text);
    }
    Some(time)
}

/// Whether a ticket is asked for beside the reason, which always is.
fn requires(fields: &mut Fields, problems: &mut Problems) -> bool {
    let Some(items) = fields.list("requires", problems) else { return true };
    let read = items
        .into_iter()
        .filter_map(|(node, path)| fields::choice(node, &path, &REQUIRED, &[], problems));
    read.collect::<Vec<_>>().contains(&true)
}

fn cannot_override(fields: &mut Fields, problems: &mut Problems) -> BTreeSet<Kept> {
    let items = fields.list("cannotOverride", problems).unwrap_or_default();
    let read = items.into_iter().filter_map(|(node, path)| {
        fields::choice(node, &path, &BreakGlass::KEPT, &[], problems).flatten()
    });
    read.collect()
}

fn afterwards(fields: &mut Fields, problems: &mut Problems) -> Option<Duration> {
    let node = fields.take("afterwards")?;
    let path = fields.path_of("afterwards");
    let mut fields = Fields::of(node, &path, AFTERWARDS, problems)?;
    // There is no emergency that nobody looks at afterwards.
    fields.choice("review", &[("required", ())], &[], problems);
    bounded(&mut fields, "within", BreakGlass::REVIEW_MAX, problems)
}
