//! What becomes of what passed, when something is found later.

use super::super::super::fields::{self, Fields, Problems, Words};
use super::super::super::scanned::{Grace, NewFinding, Rating};
use super::super::super::yaml::Content;
use super::super::units::time_at;

const KEY: &str = "onNewFinding";
const LATER: Words = Words { known: &["action", "grace"], later: &["running"] };
const GRACE: Words = Words { known: &["critical", "high", "medium", "low", "none"], later: &[] };

/// `onNewFinding: serve`, `revoke`, or `{action: revoke, grace: {critical: 24h, high: 7d}}`.
pub(super) fn read(gate: &mut Fields, problems: &mut Problems) -> NewFinding {
    let choices = [("revoke", NewFinding::Revoke(Grace::default())), ("serve", NewFinding::Serve)];
    let Some(node) = gate.take(KEY) else { return NewFinding::default() };
    let path = gate.path_of(KEY);
    if !matches!(node.content, Content::Map(_)) {
        return fields::choice(node, &path, &choices, &[], problems).unwrap_or_default();
    }
    let Some(mut later) = Fields::of(node, &path, LATER, problems) else {
        return NewFinding::default();
    };
    let action = later.require("action", "write action: revoke", problems);
    let action = action.and_then(|node| {
        let path = later.path_of("action");
        fields::choice(node, &path, &choices, &[], problems)
    });
    let grace = later.take("grace");
    let position = grace.as_ref().map(|node| node.position);
    let grace = grace
        .and_then(|node| Fields::of(node, &later.path_of("grace"), GRACE, problems))
        .map(|mut fields| grace_of(&mut fields, problems));
    match (action, grace, position) {
        (Some(NewFinding::Revoke(_)), grace, _) => NewFinding::Revoke(grace.unwrap_or_default()),
        (Some(NewFinding::Serve), _, Some(position)) => {
            let text = "has no effect on what is served on; write action: revoke";
            problems.add(position, &later.path_of("grace"), text);
            NewFinding::Serve
        }
        (Some(NewFinding::Serve) | None, _, _) => NewFinding::Serve,
    }
}

fn grace_of(fields: &mut Fields, problems: &mut Problems) -> Grace {
    let mut written = Vec::new();
    for (name, rating) in Rating::CHOICES {
        if let Some(time) = time_at(fields, name, problems) {
            written.push((rating, time));
        }
    }
    let mut worse_first = written.iter().rev().map(|(_, time)| *time);
    let is_sorted = worse_first.by_ref().is_sorted();
    if !is_sorted {
        let text = "gives what is worse more time than what is less bad";
        problems.add(fields.position, &fields.path, text);
    }
    Grace::new(&written)
}
