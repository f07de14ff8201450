//! Whether the subject has been known here for long enough, and was built lately enough.
//!
//! How long it is known is counted from our own first sight of the digest: any date in it may be made up.
//! When it was built, its configuration says. That is believed unless it is to come, and never for later
//! than the first signature or attestation that counts: what was signed was there.

mod fast_track;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
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
use crate::policy::{Answer, Demands, FreshGate, Rule};
use crate::time::Timestamp;

use fast_track::Claim;
pub use fast_track::tracks_fixes;
pub(super) use fast_track::{signers, worst};

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
/// An hour.
pub(super) const HOUR: Duration = Duration::from_hours(1);
/// How far the clock of whoever built an image may be ahead.
const CLOCKS_APART_MAX: Duration = Duration::from_hours(24);
/// No image was built before 2010-01-01: whoever builds the same twice writes 1970 or 1980.
const FIRST_BUILD: Timestamp = Timestamp::from_milliseconds(1_262_304_000_000);

/// What else was found, as far as time hangs on it.
pub(super) struct Found {
    /// Whether the verdict is a denial already.
    pub(super) certain: bool,
    /// The earliest moment at which the subject is proven to have existed, by somebody who counts.
    pub(super) existed_at: Option<Timestamp>,
    /// The same of single images that it lists.
    pub(super) images_existed_at: BTreeMap<Digest, Timestamp>,
}

/// Whether something may have been signed or built `at`: late enough for a container, and not to come.
pub(super) fn is_plausible(at: Timestamp, now: Timestamp) -> bool {
    (FIRST_BUILD..=now.after(CLOCKS_APART_MAX)).contains(&at)
}

/// Judges by what is asked of the time of the subject.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    found: &Found,
) -> Checked {
    let gates = demands.fresh();
    let Some(facts) = evidence.manifest.found().filter(|_| !gates.is_empty()) else {
        return Checked::Nothing;
    };
    if found.certain {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    // Where the rule asks for none, no signature that comes later counts.
    let own = demands.rule().map(Rule::alone);
    let proves = own.is_some_and(|own| own.signatures.is_some() || !own.attestations.is_empty());
    let mut told = Told { may_be_proven: proves, ..Told::default() };
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
    awaits_signature: BTreeSet<ReasonCode>,
    /// Whether a signature or attestation could prove a time.
    may_be_proven: bool,
}

impl Told<'_> {
    fn refuse(&mut self, code: ReasonCode, text: String, remedy: String) {
        self.against.add((code, text, remedy), None);
    }

    /// Notes why something passes, once.
    fn pass(&mut self, text: String) {
        if !self.passes.contains(&text) {
            self.passes.push(text);
        }
    }

    fn lasts_until(&mut self, moment: Timestamp) {
        self.until = self.until.into_iter().chain([moment]).min();
    }

    fn finding(self) -> Finding {
        let Self { against, passes, until, awaits_signature, .. } = self;
        let reasons = against.reasons(None, REST);
        let (state, text) = if reasons.is_empty() {
            (CheckState::Pass, passes.join("; "))
        } else {
            let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
            (CheckState::Fail, texts.join("; "))
        };
        Finding { reasons, until, awaits_signature, ..Finding::new(NAME, state, text) }
    }
}

/// Judges when the images were built.
fn ages(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    (facts, gates, found): (&ManifestFacts, &[&FreshGate], &Found),
    told: &mut Told<'_>,
) -> Result<(), Box<Checked>> {
    if gates.is_empty() {
        return Ok(());
    }
    if facts.artifact_type.is_some() {
        for gate in gates {
            age("", Built::NoImage, gate, context.now, told);
        }
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
        let own = found.images_existed_at.get(&digest).copied();
        let existed_at = found.existed_at.into_iter().chain(own).min();
        let built = built(configs, &digest, existed_at, context.now).ok_or_else(missing)?;
        for gate in gates {
            age(&label, built, gate, context.now, told);
        }
    }
    Ok(())
}

/// When an image was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    /// Then, by its own word.
    At(Timestamp),
    /// No later than then: it was signed, or attested.
    By(Timestamp),
    /// It says that it will be.
    Later(Timestamp),
    /// It is no image, and says nothing.
    NoImage,
    /// Nothing says when.
    Unknown,
    /// What would say it is not there.
    Absent,
    /// What would say it cannot be read.
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
        ConfigOf::Absent => return Some(Built::Absent),
        ConfigOf::NoImage => return Some(Built::NoImage),
        ConfigOf::Unreadable(_) => return Some(Built::Unreadable),
    };
    let created = created.filter(|created| *created >= FIRST_BUILD);
    if let Some(later) = created.filter(|created| !is_plausible(*created, now)) {
        return Some(Built::Later(later));
    }
    Some(match (created, existed_at) {
        (None, None) => Built::Unknown,
        (Some(created), None) => Built::At(created),
        (Some(created), Some(existed_at)) if created <= existed_at => Built::At(created),
        (_, Some(existed_at)) => Built::By(existed_at),
    })
}

fn age(label: &str, built: Built, gate: &FreshGate, now: Timestamp, told: &mut Told<'_>) {
    let Some(most) = gate.image_age_max else { return };
    let (place, by) = (gate.place(), gate.label());
    let unreadable = "The image would have to have a configuration that can be read.".to_owned();
    match built {
        Built::At(at) | Built::By(at) => {
            let word = if matches!(built, Built::At(_)) { "built" } else { "signed" };
            if at.after(most) > now {
                told.lasts_until(at.after(most));
                return told.pass(format!("{label}{word} {}", day(at)));
            }
            let text = format!("{label}{by}{word} {}, more than {} ago", day(at), hours(most));
            let remedy = format!("It would have to be built again ({place}.maxImageAge).");
            told.refuse(ReasonCode::TooOld, text, remedy);
        }
        Built::Later(at) => {
            // Clocks may be right by then.
            told.lasts_until(at.before(CLOCKS_APART_MAX));
            let text = format!("{label}{by}says that it was built {}, which is to come", day(at));
            let remedy = "It would have to be built with the time at which that is done.";
            told.refuse(ReasonCode::Undated, text, remedy.to_owned());
        }
        Built::NoImage if gate.not_applicable == Answer::Allow => {
            told.pass(format!("{label}no image, and not dated"));
        }
        Built::NoImage => {
            let text = format!("{label}{by}is no image, so that nothing says when it was built");
            let remedy = format!("{place} would have to say notApplicable: allow.");
            told.refuse(ReasonCode::Undated, text, remedy);
        }
        Built::Unknown if gate.undated == Answer::Allow => {
            told.pass(format!("{label}nothing says when it was built"));
        }
        Built::Unknown => {
            let mut remedy = format!("{place} would have to say undated: allow.");
            if told.may_be_proven {
                told.awaits_signature.insert(ReasonCode::Undated);
                remedy = format!("A signature that proves a time would do, or {remedy}");
            }
            let text = format!("{label}{by}nothing says when it was built");
            told.refuse(ReasonCode::Undated, text, remedy);
        }
        Built::Absent => {
            let text =
                format!("{label}{by}its configuration is not there upstream, so it has no date");
            told.refuse(ReasonCode::ConfigUnreadable, text, unreadable);
        }
        Built::Unreadable => {
            let text = format!("{label}{by}its configuration cannot be read, so it has no date");
            told.refuse(ReasonCode::ConfigUnreadable, text, unreadable);
        }
    }
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
            told.pass(format!("here since {}", minute(seen)));
            continue;
        }
        if context.waited {
            told.pass("was admitted before, and waits no more".to_owned());
            continue;
        }
        let Some(track) = &gate.fast_track else {
            told.lasts_until(from);
            let remedy = format!("{WAIT} ({}.minObservedAge).", gate.place());
            let text = format!("{}{}", gate.label(), waits(seen, from));
            told.refuse(ReasonCode::CoolingDown, text, remedy);
            continue;
        };
        match (Claim { subject, evidence, context, asked: track }).holds()? {
            Ok(text) => told.pass(text),
            Err(why) => {
                told.lasts_until(from);
                told.awaits_signature.insert(ReasonCode::CoolingDown);
                let remedy = format!("{WAIT}; sooner if {why} ({}.fastTrack).", gate.place());
                let text = format!("{}{}", gate.label(), waits(seen, from));
                told.refuse(ReasonCode::CoolingDown, text, remedy);
            }
        }
    }
    Ok(())
}

const WAIT: &str = "Nothing has to change: from then on that is no reason any more";

/// In words that stay true while the verdict holds.
fn waits(seen: Timestamp, from: Timestamp) -> String {
    let from = minute(from.after(Duration::from_mins(1)));
    format!("cooling down until {from}, here since {}", minute(seen))
}

/// The day of `at`, in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

/// The minute of `at`, in UTC.
fn minute(at: Timestamp) -> String {
    format!("{}Z", at.to_string().chars().take("2026-12-03T05:00".len()).collect::<String>())
}
