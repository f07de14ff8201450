//! What becomes of what passed, when something is found later.

use super::super::super::approval::UnseenFinding;
use super::super::super::fields::{self, Fields, Problems, Words};
use super::super::super::scanned::{Grace, NewFinding, Rating};
use super::super::super::yaml::Content;
use super::super::units::time_at;

const KEY: &str = "onNewFinding";
const LATER: Words = Words {
    known: &["action", "grace"],
    later: &[(
        "running",
        "a pull does not say which workload it is for, and what a node has it does not pull; write grace",
    )],
};
const GRACE: Words = Words { known: &["critical", "high", "medium", "low", "none"], later: &[] };

/// The same of an approval policy: what is less than high is no reason to ask again.
const GRACE_OF_APPROVAL: Words = Words { known: &["critical", "high"], later: &[] };

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Hold,
    Revoke,
    Serve,
}

/// `onNewFinding: serve`, `revoke`, or `{action: revoke, grace: {critical: 24h, high: 7d}}`.
pub(super) fn read(gate: &mut Fields, problems: &mut Problems) -> NewFinding {
    let choices = [("revoke", Action::Revoke), ("serve", Action::Serve)];
    match action_and_grace(gate, &choices, GRACE, problems) {
        Some((Action::Revoke, grace)) => NewFinding::Revoke(grace),
        Some((Action::Hold | Action::Serve, _)) | None => NewFinding::default(),
    }
}

/// The same of an approval policy, which may say `hold`, too; `None` where nothing is written.
pub(in super::super) fn unseen(
    approval: &mut Fields,
    problems: &mut Problems,
) -> Option<UnseenFinding> {
    let choices = [("hold", Action::Hold), ("revoke", Action::Revoke), ("serve", Action::Serve)];
    let (action, grace) = action_and_grace(approval, &choices, GRACE_OF_APPROVAL, problems)?;
    Some(match action {
        Action::Hold => UnseenFinding::Hold(grace),
        Action::Revoke => UnseenFinding::Revoke(grace),
        Action::Serve => UnseenFinding::Serve,
    })
}

fn action_and_grace(
    of: &mut Fields,
    choices: &[(&str, Action)],
    graces: Words,
    problems: &mut Problems,
) -> Option<(Action, Grace)> {
    let node = of.take(KEY)?;
    let path = of.path_of(KEY);
    if !matches!(node.content, Content::Map(_)) {
        let action = fields::choice(node, &path, choices, &[], problems)?;
        return Some((action, Grace::default()));
    }
    let mut later = Fields::of(node, &path, LATER, problems)?;
    let hint = format!("write action: {}", choices.first().map_or("serve", |(name, _)| *name));
    let action = later.require("action", &hint, problems);
    let action = action.and_then(|node| {
        let path = later.path_of("action");
        fields::choice(node, &path, choices, &[], problems)
    });
    let grace = later.take("grace");
    let position = grace.as_ref().map(|node| node.position);
    let grace = grace
        .and_then(|node| Fields::of(node, &later.path_of("grace"), graces, problems))
        .map(|mut fields| grace_of(&mut fields, problems));
    if let (Some(Action::Serve), Some(position)) = (action, position) {
        let text = format!("has no effect on what is served on; {hint}");
        problems.add(position, &later.path_of("grace"), text);
    }
    Some((action?, grace.unwrap_or_default()))
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
