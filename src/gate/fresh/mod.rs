//! Whether the subject has been known here for long enough, and was built lately enough.
//!
//! How long it is known is counted from our own first sight of the digest: any date in it may be made up.
//! When it was built, its configuration says. That is believed unless it is to come, and never for later
//! than the first signature or attestation that counts: what was signed was there.

mod fast_track;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::against::Against;
use super::checks::{Checked, Finding};
use super::images::Judging;
use super::scan::hours;
use super::{
    CheckState, ConfigOf, Context, Evidence, EvidenceKind, Gathered, ImageConfigs, ManifestFacts,
    ReasonCode, Subject,
};
use crate::oci::{Digest, ImageConfig};
use crate::policy::{Answer, FreshGate, Rule};
use crate::time::Timestamp;

use fast_track::Claim;
pub(super) use fast_track::signers;
pub use fast_track::tracks_fixes;

const NAME: &str = "freshness";
const JUDGING: Judging = Judging {
    check: NAME,
    code: ReasonCode::Undated,
    most: ImageConfigs::IMAGES_MAX,
    none: "lists no image that could be dated",
    are_judged: "are dated",
};
/// Where what is left out is told.
const REST: &str = "They are told once these are mended.";
/// How far the clock of whoever built an image may be ahead.
const CLOCKS_APART_MAX: Duration = Duration::from_hours(24);
/// No image was built before 2010-01-01: whoever builds the same twice writes 1970 or 1980.
const FIRST_BUILD: Timestamp = Timestamp::from_milliseconds(1_262_304_000_000);

/// What else was found, as far as time hangs on it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Whether the verdict is a denial already.
    pub(super) certain: bool,
    /// The earliest moment at which the subject is proven to have existed, by somebody who counts.
    pub(super) existed_at: Option<Timestamp>,
}

/// Judges by what `rule` asks of the time of the subject.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: Option<&Rule>,
    found: Found,
) -> Checked {
    let gates = rule.map(Rule::fresh).unwrap_or_default();
    let Some(facts) = evidence.manifest.found().filter(|_| !gates.is_empty()) else {
        return Checked::Nothing;
    };
    if found.certain {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    let mut told = Told::default();
    let dated: Vec<&FreshGate> =
        gates.iter().map(Arc::as_ref).filter(|gate| gate.image_age_max.is_some()).collect();
    if let Err(checked) = ages(subject, evidence, context, (facts, &dated, found), &mut told) {
        return *checked;
    }
    if let Err(checked) = cooling(subject, evidence, context, gates, &mut told) {
        return *checked;
    }
    Checked::Finding(told.finding())
}

/// What is said of the subject.
#[derive(Default)]
struct Told<'a> {
    against: Against<'a>,
    passes: Vec<String>,
    until: Option<Timestamp>,
    awaits_fast_track: bool,
}

impl Told<'_> {
    fn refuse(&mut self, code: ReasonCode, text: String, remedy: String) {
        self.against.add((code, text, remedy), None);
    }

    fn lasts_until(&mut self, moment: Timestamp) {
        self.until = self.until.into_iter().chain([moment]).min();
    }

    fn finding(self) -> Finding {
        let Self { against, passes, until, awaits_fast_track } = self;
        let reasons = against.reasons(None, REST);
        let (state, text) = if reasons.is_empty() {
            (CheckState::Pass, passes.join("; "))
        } else {
            let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
            (CheckState::Fail, texts.join("; "))
        };
        Finding { reasons, until, awaits_fast_track, ..Finding::new(NAME, state, text) }
    }
}

/// Judges when the images were built.
fn ages(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    (facts, gates, found): (&ManifestFacts, &[&FreshGate], Found),
    told: &mut Told<'_>,
) -> Result<(), Box<Checked>> {
    if gates.is_empty() {
        return Ok(());
    }
    if facts.artifact_type.is_some() {
        for gate in gates.iter().filter(|gate| gate.not_applicable == Answer::Deny) {
            let remedy = format!("{} would have to say notApplicable: allow.", gate.place());
            let text = "is no image, so that nothing says when it was built";
            told.refuse(ReasonCode::Undated, text.to_owned(), remedy);
        }
        told.passes.push("not dated: it is no image".to_owned());
        return Ok(());
    }
    let images = JUDGING.images(subject, facts, context)?;
    let missing = || Box::new(Checked::Missing(EvidenceKind::Configs));
    let configs = match &evidence.configs {
        Gathered::Found(configs) if configs.read_by >= ImageConfig::READS_CREATED => configs,
        Gathered::Failed(why) => return Err(Box::new(Checked::Failed(why.clone()))),
        Gathered::Absent | Gathered::Found(_) | Gathered::NotGathered => return Err(missing()),
    };
    for (label, digest) in images {
        let built = built(configs, &digest, found.existed_at, context.now).ok_or_else(missing)?;
        for gate in gates {
            age(&label, built, gate, context.now, told);
        }
    }
    Ok(())
}

/// When an image was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    /// No later than then.
    At(Timestamp),
    /// It says that it will be.
    Later(Timestamp),
    /// Nothing says when.
    Unknown,
    /// What would say it is not there, or cannot be read.
    Unreadable,
}

/// When the image `digest` was built; `None` when its configuration was not asked for yet.
fn built(
    configs: &ImageConfigs,
    digest: &Digest,
    existed_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Built> {
    let created = match configs.images.get(digest)? {
        ConfigOf::Read(config) => config.created.map(Timestamp::from_milliseconds),
        ConfigOf::Absent | ConfigOf::Unreadable(_) => return Some(Built::Unreadable),
        ConfigOf::NoImage => None,
    };
    let created = created.filter(|created| *created >= FIRST_BUILD);
    if let Some(later) = created.filter(|created| *created > now.after(CLOCKS_APART_MAX)) {
        return Some(Built::Later(later));
    }
    let existed_at =
        existed_at.filter(|at| (FIRST_BUILD..=now.after(CLOCKS_APART_MAX)).contains(at));
    let earliest = created.into_iter().chain(existed_at).min();
    Some(earliest.map_or(Built::Unknown, Built::At))
}

fn age(label: &str, built: Built, gate: &FreshGate, now: Timestamp, told: &mut Told<'_>) {
    let Some(most) = gate.image_age_max else { return };
    let text = match built {
        Built::At(at) if at.after(most) > now => {
            told.lasts_until(at.after(most));
            return told.passes.push(format!("{label}built {}", day(at)));
        }
        Built::At(at) => {
            let text = format!("{label}built {}, more than {} ago", day(at), hours(most));
            let remedy = format!("It would have to be built again ({}.maxImageAge).", gate.place());
            return told.refuse(ReasonCode::TooOld, text, remedy);
        }
        Built::Later(at) => {
            let text = format!("{label}says that it was built {}, which is to come", day(at));
            let remedy = "It would have to be built with the time at which that is done.";
            return told.refuse(ReasonCode::Undated, text, remedy.to_owned());
        }
        Built::Unknown if gate.undated == Answer::Allow => {
            return told.passes.push(format!("{label}nothing says when it was built"));
        }
        Built::Unknown => format!("{label}nothing says when it was built"),
        Built::Unreadable => format!("{label}its configuration cannot be read, so it has no date"),
    };
    let remedy = match built {
        Built::Unreadable => {
            "The image would have to have a configuration that can be read.".to_owned()
        }
        Built::At(_) | Built::Later(_) | Built::Unknown => format!(
            "A signature that proves a time would do, or {} would have to say undated: allow.",
            gate.place()
        ),
    };
    told.refuse(ReasonCode::Undated, text, remedy);
}

/// Judges for how long the digest has been known here.
fn cooling(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    gates: &[Arc<FreshGate>],
    told: &mut Told<'_>,
) -> Result<(), Box<Checked>> {
    let seen = context.first_seen.unwrap_or(context.now);
    for gate in gates {
        let Some(least) = gate.observed_age_min else { continue };
        let from = seen.after(least);
        if from <= context.now {
            told.passes.push(format!("here since {}", minute(seen)));
            continue;
        }
        let Some(track) = &gate.fast_track else {
            told.lasts_until(from);
            let remedy = format!("{WAIT} ({}.minObservedAge).", gate.place());
            told.refuse(ReasonCode::CoolingDown, waits(seen, from), remedy);
            continue;
        };
        match (Claim { subject, evidence, context, asked: track }).holds()? {
            Ok(text) => told.passes.push(text),
            Err(why) => {
                told.lasts_until(from);
                told.awaits_fast_track = true;
                let remedy = format!("{WAIT}; sooner if {why} ({}.fastTrack).", gate.place());
                told.refuse(ReasonCode::CoolingDown, waits(seen, from), remedy);
            }
        }
    }
    Ok(())
}

const WAIT: &str = "Nothing has to change: it is served from then on";

/// In words that stay true while the verdict holds.
fn waits(seen: Timestamp, from: Timestamp) -> String {
    let from = minute(from.after(Duration::from_mins(1)));
    format!("cooling down: here since {}, served from {from}", minute(seen))
}

/// The day of `at`, in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

/// The minute of `at`, in UTC.
fn minute(at: Timestamp) -> String {
    format!("{}Z", at.to_string().chars().take("2026-12-03T05:00".len()).collect::<String>())
}
