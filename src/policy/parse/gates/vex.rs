//! Whose VEX documents a gate hears.

use super::super::super::document::{Signer, Who};
use super::super::super::fields::{Fields, Problems, Words, extract, texts};
use super::super::super::vex::{VexAccept, VexRule};
use super::super::check;

const VEX: Words = Words {
    known: &["from", "accept", "requireJustification"],
    later: &[
        ("atLeast", "one of those in from is enough; list only whom you believe alone"),
        ("maxAge", "a statement holds until a later one of the same signer says something else"),
        ("products", "a statement counts only for the very image, or for a package in it"),
    ],
};
/// Most signers that one gate hears.
const SIGNERS_MAX: usize = 100;

/// What a gate says at `vex`, if it does.
pub(super) fn read(
    gate: &mut Fields,
    signers: &[Signer],
    problems: &mut Problems,
) -> Option<VexRule> {
    let node = gate.take("vex")?;
    let mut fields = Fields::of(node, &gate.path_of("vex"), VEX, problems)?;
    let position = fields.position;
    let path = fields.path_of("from");
    let from = fields.texts("from", problems);
    if from.is_none() && problems.0.iter().all(|problem| problem.key != path) {
        let text = "is missing; whoever speaks counts only by name";
        problems.add(position, &path, text);
    }
    let accept = accepted(&mut fields, problems);
    let truth = [("true", true), ("false", false)];
    let requires = fields.choice("requireJustification", &truth, &[], problems);
    let from = from?;
    if from.len() > SIGNERS_MAX {
        problems.add(position, &path, format!("has more than {SIGNERS_MAX} entries"));
        return None;
    }
    check::known(&from, signers, problems);
    for (name, position, path) in &from {
        let signer = signers.iter().find(|signer| signer.name() == name);
        if signer.is_some_and(|signer| matches!(signer.who(), Who::Notation { .. })) {
            let text =
                format!("\"{name}\" signs by notation, which signs images and nothing about them");
            problems.add(*position, path, text);
        }
    }
    Some(VexRule {
        from: from.into_iter().map(|(name, ..)| name).collect(),
        accept,
        requires_justification: requires.unwrap_or(true),
    })
}

/// The statuses that count; both where nothing is written.
fn accepted(fields: &mut Fields, problems: &mut Problems) -> VexAccept {
    let Some(items) = fields.list("accept", problems) else {
        // What is there and no list has been reported.
        return VexAccept::default();
    };
    let mut accept = VexAccept { not_affected: false, fixed: false };
    for (text, position, path) in texts(items, problems) {
        let place = match text.as_str() {
            "not_affected" => &mut accept.not_affected,
            "fixed" => &mut accept.fixed,
            "affected" | "under_investigation" => {
                let text = format!("\"{text}\" takes no finding away; write not_affected or fixed");
                problems.add(position, &path, text);
                continue;
            }
            _ => {
                let text = format!("\"{}\" is not one of: not_affected, fixed", extract(&text));
                problems.add(position, &path, text);
                continue;
            }
        };
        if std::mem::replace(place, true) {
            problems.add(position, &path, format!("\"{text}\" is listed twice; keep one"));
        }
    }
    accept
}
