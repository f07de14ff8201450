//! The part of a gate that is about time.

use super::super::super::document::Signer;
use super::super::super::fields::{Fields, Problems, Words};
use super::super::super::fresh::{FastTrack, FastTrackWhen, FreshGate};
use super::super::super::scanned::Answer;
use super::super::check;
use super::super::units::time_at;

/// The keys of a gate that are about time.
pub(super) const KEYS: [&str; 4] = ["minObservedAge", "maxImageAge", "undated", "fastTrack"];
const FAST_TRACK: Words = Words { known: &["signers", "when"], later: &[] };

/// What gate `name` says of time; `None` when nothing that could refuse.
pub(super) fn read(
    name: &str,
    gate: &mut Fields,
    not_applicable: Answer,
    signers: &[Signer],
    problems: &mut Problems,
) -> Option<FreshGate> {
    if !KEYS.iter().any(|key| gate.has(key)) {
        return None;
    }
    let (before, position) = (problems.0.len(), gate.position);
    let (dates, waits) = (gate.has("maxImageAge"), gate.has("minObservedAge"));
    for (key, needed, is_there) in
        [("undated", "maxImageAge", dates), ("fastTrack", "minObservedAge", waits)]
    {
        if gate.has(key) && !is_there {
            let text = format!("has no effect without {needed}; write that too, or remove it");
            problems.add(position, &gate.path_of(key), text);
        }
    }
    let observed_age_min = time_at(gate, "minObservedAge", problems);
    let image_age_max = time_at(gate, "maxImageAge", problems);
    let undated = super::answer(gate, "undated", problems);
    let fast_track = fast_track(gate, signers, problems);
    (problems.0.len() == before).then(|| FreshGate {
        name: name.to_owned(),
        overlay: None,
        observed_age_min,
        image_age_max,
        undated,
        not_applicable,
        fast_track,
    })
}

fn fast_track(gate: &mut Fields, signers: &[Signer], problems: &mut Problems) -> Option<FastTrack> {
    let node = gate.take("fastTrack")?;
    let mut fields = Fields::of(node, &gate.path_of("fastTrack"), FAST_TRACK, problems)?;
    let (position, path) = (fields.position, fields.path_of("signers"));
    let of = fields.texts("signers", problems);
    if of.is_none() && problems.0.iter().all(|problem| problem.key != path) {
        let text = "is missing; whoever may shorten the wait counts only by name";
        problems.add(position, &path, text);
    }
    let when = fields.choice("when", &FastTrackWhen::CHOICES, &[], problems);
    let of = of?;
    check::known(&of, signers, problems);
    Some(FastTrack {
        signers: of.into_iter().map(|(name, ..)| name).collect(),
        when: when.unwrap_or(FastTrackWhen::Signed),
    })
}
