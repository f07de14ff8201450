//! What a draft of a policy would change about what is on record, without changing anything.
//!
//! Every record is decided about anew by the draft, over the evidence that is stored: by the same gate, with
//! the same tags, contents and reports as a pull would have it. Nothing is gathered, so that what the draft
//! wants to know and nobody ever looked for is told as unknown; nothing is written.

mod draft;
mod view;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::OwnedMutexGuard;

pub use view::{
    Effect, FlipView, PulledView, SimulateBody, SimulationLine, SimulationView, TallyView,
};

use super::show::{policy_name, reason_views, verdict_word};
use super::{Desk, Error, PAGE_MAX};
use crate::gate::{EvidenceKind, Judgement, Outcome, ReadyPolicy, Reason, ReasonCode, Verdict};
use crate::ledger::Record;
use crate::oci::Tag;
use crate::policy::{Change, Problem, RuleId, changes};
use crate::time::Timestamp;

/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;
/// Records that are decided about at one time.
const AT_ONCE: usize = 4;
/// Most tags of an image that are told.
const TAGS_SHOWN: usize = 5;
/// Most reasons that are told of an image.
const REASONS_SHOWN: usize = 3;
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// A simulation that has not been run yet. While it is there, there is no other one.
#[derive(Debug)]
pub struct Simulation {
    desk: Desk,
    draft: Arc<ReadyPolicy>,
    days: u32,
    examined: Arc<AtomicU64>,
    _only: Arc<OwnedMutexGuard<()>>,
}

/// How many images a simulation has looked at.
#[derive(Debug, Clone)]
pub struct Examined(Arc<AtomicU64>);

impl Examined {
    /// So many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Desk {
    /// Reads the draft in `body`; nothing is simulated yet. Conditions in it, which are programs of a kind,
    /// are taken only from somebody who `may_compute`.
    ///
    /// # Errors
    /// [`Error::Simulating`] while another simulation is there; [`Error::Draft`] when it is no policy;
    /// [`Error::Days`].
    pub async fn simulate(
        &self,
        body: SimulateBody,
        may_compute: bool,
    ) -> Result<Simulation, Error> {
        if !(1..=SimulateBody::DAYS_MAX).contains(&body.days) {
            return Err(Error::Days { most: SimulateBody::DAYS_MAX });
        }
        let simulating = Arc::clone(&self.simulating).try_lock_owned();
        let only = simulating.map_err(|_locked| Error::Simulating)?;
        let days = body.days;
        let reading = self.mirror.tasks().spawn_blocking(move || draft::read(&body, may_compute));
        let draft = match reading.await {
            Ok(Ok(draft)) => Arc::new(draft),
            Ok(Err(problems)) => return Err(Error::Draft { problems }),
            Err(_panicked) => return Err(Error::Draft { problems: Vec::new() }),
        };
        let (desk, examined) = (self.clone(), Arc::default());
        Ok(Simulation { desk, draft, days, examined, _only: Arc::new(only) })
    }

    /// The same for a draft that somebody typed, of the base file where the policy in force is a directory: the
    /// other files, and those that are named, are those of the policy in force, as they were when that was read.
    ///
    /// # Errors
    /// As [`Desk::simulate`].
    pub async fn simulate_typed(
        &self,
        policy: String,
        days: u32,
        may_compute: bool,
    ) -> Result<Simulation, Error> {
        let in_force = self.mirror.policy();
        let files = in_force.source().files.iter();
        let files = files.map(|(path, bytes)| (path.clone(), STANDARD.encode(bytes))).collect();
        let source = in_force.source();
        let body = if source.path.is_empty() {
            SimulateBody { policy, directory: BTreeMap::new(), files, days }
        } else {
            let mut directory = source.parts.clone();
            directory.insert(source.path.clone(), policy);
            SimulateBody { policy: String::new(), directory, files, days }
        };
        self.simulate(body, may_compute).await
    }

    /// What the draft `text` says otherwise than the policy in force, by key.
    ///
    /// # Errors
    /// What is wrong with its YAML.
    pub fn differences(&self, text: &str) -> Result<Vec<Change>, Vec<Problem>> {
        let in_force = self.mirror.policy();
        let source = in_force.source();
        let read_file = |path: &Path| source.read(path);
        let old = source.documents(&source.text, &read_file);
        changes(&old, &source.documents(text, &read_file))
    }
}

impl Simulation {
    /// One of `draft`, while `only` keeps others away.
    pub(super) fn of(
        desk: Desk,
        draft: Arc<ReadyPolicy>,
        days: u32,
        only: Arc<OwnedMutexGuard<()>>,
    ) -> Self {
        Self { desk, draft, days, examined: Arc::default(), _only: only }
    }

    /// How far it is.
    pub fn examined(&self) -> Examined {
        Examined(Arc::clone(&self.examined))
    }

    /// Decides about everything on record by the draft, and gives what that comes to and the images that
    /// change, those that are refused and pulled most first; at most a thousand.
    ///
    /// # Errors
    /// When the ledger or the mirror fails.
    ///
    /// # Cancel safety
    /// It may be dropped at any time: nothing is written.
    pub async fn run(self) -> Result<(SimulationView, Vec<FlipView>), Error> {
        let ledger = self.desk.mirror.ledger();
        let now = self.desk.mirror.now();
        let since = before(now, Duration::from_secs(u64::from(self.days) * DAY));
        let in_force = self.desk.mirror.policy();
        let view = SimulationView {
            draft: policy_name(&self.draft),
            in_force: policy_name(&in_force),
            days: self.days,
            examined: 0,
            refused: 0,
            unknown: 0,
            served: 0,
            otherwise: 0,
            tag_forbidden: 0,
            before: TallyView::default(),
            after: TallyView::default(),
            pulls: ledger.all_pulls_since(since).await?,
            pulls_refused: 0,
            pulls_unknown: 0,
            not_listed: 0,
        };
        let mut sum = Sum { view, flips: BTreeMap::new() };
        let mut page = ledger.subjects(None, RECORDS_PAGE).await?;
        while let Some(last) = page.last() {
            let after = last.subject.clone();
            let count = u64::try_from(page.len()).unwrap_or(u64::MAX);
            let subjects = page.iter().map(|record| record.subject.clone()).collect();
            let pulls = ledger.pulls_since(subjects, since).await?;
            let deciding = futures_util::stream::iter(page.into_iter().zip(pulls))
                .map(|(record, pulls)| self.looked_at(record, &in_force, pulls, now))
                .buffered(AT_ONCE)
                .try_for_each(|looked_at| {
                    sum.add(looked_at);
                    std::future::ready(Ok(()))
                });
            // The next records are read while these are decided about.
            let next = async {
                let next = ledger.subjects(Some(&after), RECORDS_PAGE).await;
                next.map_err(Error::from)
            };
            let ((), next) = futures_util::try_join!(deciding, next)?;
            sum.view.examined = self.examined.fetch_add(count, Ordering::Relaxed) + count;
            page = next;
        }
        Ok(sum.told())
    }

    /// What is and what would become of the image of `record`, which was pulled so often.
    async fn looked_at(
        &self,
        record: Arc<Record>,
        in_force: &Arc<ReadyPolicy>,
        (pulls, last_pull): (u64, Option<Timestamp>),
        now: Timestamp,
    ) -> Result<LookedAt, Error> {
        let mirror = &self.desk.mirror;
        let before = match mirror.in_force(&record, in_force.id(), now) {
            Some(judgement) => Outcome::Decided(judgement.clone()),
            None => self.decided(&record, in_force).await?,
        };
        let after = self.decided(&record, &self.draft).await?;
        let tags = mirror.ledger().tags_of(&record.subject.name, &record.subject.digest).await?;
        let is_forbidden = |tag: &&Tag| self.draft.refuses_tag(tag) && !in_force.refuses_tag(tag);
        let forbidden = tags.iter().find(is_forbidden);
        let (was, is) = (becomes(&before), becomes(&after));
        let Some(effect) = effect(&before, &after, forbidden) else {
            return Ok(LookedAt { was, is, pulls, flip: None });
        };
        let mut reasons = reasons(&after, forbidden.filter(|_| effect == Effect::TagForbidden));
        reasons.truncate(REASONS_SHOWN);
        let flip = FlipView {
            image: record.subject.to_string(),
            digest: record.subject.digest,
            tags: tags.into_iter().rev().take(TAGS_SHOWN).collect(),
            effect,
            before: verdict_word(&before).to_owned(),
            after: verdict_word(&after).to_owned(),
            rule_before: rule_of(&before).map(ToString::to_string),
            rule_after: rule_of(&after).map(ToString::to_string),
            reasons: reason_views(&reasons),
            pulls,
            last_pull,
        };
        Ok(LookedAt { was, is, pulls, flip: Some(flip) })
    }

    async fn decided(
        &self,
        record: &Arc<Record>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Outcome, Error> {
        let failed = |error| super::target::mirror_error(record.subject.to_string(), error);
        self.desk.mirror.ask_gate_by(record, policy).await.map_err(failed)
    }
}

/// What was seen of one image.
struct LookedAt {
    was: Becomes,
    is: Becomes,
    pulls: u64,
    flip: Option<FlipView>,
}

/// What becomes of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Admitted,
    Held,
    Refused,
    Unknown,
}

fn becomes(outcome: &Outcome) -> Becomes {
    match outcome {
        Outcome::Decided(judgement) if is_served(judgement) => Becomes::Admitted,
        Outcome::Decided(judgement) => match judgement.verdict {
            Verdict::Admit => Becomes::Admitted,
            Verdict::Pending(_) => Becomes::Held,
            Verdict::Deny(_) => Becomes::Refused,
        },
        Outcome::Missing(_) | Outcome::Undecided(_) => Becomes::Unknown,
    }
}

impl TallyView {
    fn add(&mut self, becomes: Becomes, pulls: u64) {
        let of = match becomes {
            Becomes::Admitted => &mut self.admitted,
            Becomes::Held => &mut self.held,
            Becomes::Refused => &mut self.refused,
            Becomes::Unknown => &mut self.unknown,
        };
        of.images += 1;
        of.pulls = of.pulls.saturating_add(pulls);
    }
}

/// What was found so far.
struct Sum {
    view: SimulationView,
    /// Those that are listed, in the order in which they are told.
    flips: BTreeMap<(Effect, Reverse<u64>, String), FlipView>,
}

impl Sum {
    fn add(&mut self, LookedAt { was, is, pulls, flip }: LookedAt) {
        let view = &mut self.view;
        if pulls > 0 {
            view.before.add(was, pulls);
            view.after.add(is, pulls);
        }
        let Some(flip) = flip else { return };
        let count = match flip.effect {
            Effect::Refused => &mut view.refused,
            Effect::Unknown => &mut view.unknown,
            Effect::Served => &mut view.served,
            Effect::Otherwise => &mut view.otherwise,
            Effect::TagForbidden => &mut view.tag_forbidden,
        };
        *count += 1;
        match flip.effect {
            Effect::Refused => view.pulls_refused = view.pulls_refused.saturating_add(flip.pulls),
            Effect::Unknown => view.pulls_unknown = view.pulls_unknown.saturating_add(flip.pulls),
            Effect::Served | Effect::Otherwise | Effect::TagForbidden => {}
        }
        self.flips.insert((flip.effect, Reverse(flip.pulls), flip.image.clone()), flip);
        if self.flips.len() > usize::try_from(PAGE_MAX).unwrap_or(usize::MAX) {
            drop(self.flips.pop_last());
            view.not_listed += 1;
        }
    }

    fn told(self) -> (SimulationView, Vec<FlipView>) {
        (self.view, self.flips.into_values().collect())
    }
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
    let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_milliseconds(now.milliseconds().saturating_sub(time))
}

/// What changes from `before` to `after` for whoever pulls, if anything does.
fn effect(before: &Outcome, after: &Outcome, forbidden: Option<&Tag>) -> Option<Effect> {
    let Outcome::Decided(now) = after else {
        // What is not known by the policy in force either is as it was.
        return matches!(before, Outcome::Decided(_)).then_some(Effect::Unknown);
    };
    let was = match before {
        Outcome::Decided(was) => Some(was),
        Outcome::Missing(_) | Outcome::Undecided(_) => None,
    };
    match (was.is_some_and(is_served), is_served(now)) {
        (true, false) => Some(Effect::Refused),
        (false, true) => Some(Effect::Served),
        (true, true) if forbidden.is_some() => Some(Effect::TagForbidden),
        (true, true) | (false, false) => {
            let is_same = was.is_some_and(|was| is_same(was, now));
            (!is_same).then_some(Effect::Otherwise)
        }
    }
}

/// Whether a pull is served: it is admitted, or only watched.
fn is_served(judgement: &Judgement) -> bool {
    judgement.admits() || !judgement.enforced
}

/// Whether two verdicts say the same to nodes and people.
fn is_same(before: &Judgement, after: &Judgement) -> bool {
    let codes = |judgement: &Judgement| -> Vec<ReasonCode> {
        judgement.reasons().iter().map(|reason| reason.code).collect()
    };
    before.rule == after.rule
        && before.enforced == after.enforced
        && before.warns == after.warns
        && before.watched == after.watched
        && before.admits() == after.admits()
        && codes(before) == codes(after)
}

fn rule_of(outcome: &Outcome) -> Option<&RuleId> {
    match outcome {
        Outcome::Decided(judgement) => judgement.rule.as_ref(),
        Outcome::Missing(_) | Outcome::Undecided(_) => None,
    }
}

fn reasons(outcome: &Outcome, forbidden: Option<&Tag>) -> Vec<Reason> {
    let reason = |code, text, remedy: &str| Reason { code, text, remedy: remedy.to_owned() };
    if let Some(tag) = forbidden {
        let text = format!("tag {tag} is forbidden");
        return vec![reason(ReasonCode::ForbiddenTag, text, "Ask by digest or by another tag.")];
    }
    match outcome {
        Outcome::Decided(judgement) => judgement.reasons().to_vec(),
        Outcome::Undecided(reasons) => reasons.clone(),
        Outcome::Missing(kinds) => {
            let names: Vec<&str> = kinds.iter().map(|kind| name_of(*kind)).collect();
            let text = format!("hangs on {}, which nobody has gathered yet", names.join(", "));
            let remedy = "It is gathered with the next pull once the policy is in force.";
            vec![reason(ReasonCode::EvidenceUnavailable, text, remedy)]
        }
    }
}

const fn name_of(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Manifest => "the manifest",
        EvidenceKind::Signatures => "signatures",
        EvidenceKind::Attestations => "attestations",
        EvidenceKind::ChildSignatures => "signatures of its images",
        EvidenceKind::ChildAttestations => "attestations of its images",
        EvidenceKind::Scan => "a scan",
        EvidenceKind::Configs => "configurations",
    }
}
