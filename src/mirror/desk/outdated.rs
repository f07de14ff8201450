//! What runs and could be newer: for each image that was served lately, the newer versions of its line, how
//! they stand here, and what they would mend.
//!
//! Which versions there are is asked upstream, at most once an hour for a repository; everything else is what
//! was kept. A version that nobody asked for yet is told as such: nothing is pulled for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::difference::Difference;
use super::dossier::SubjectFacts;
use super::shown::severity_word;
use super::{Desk, Error};
use crate::gate::{Subject, Verdict};
use crate::ledger::{InUse, RequestId};
use crate::mirror::lifecycle::line_of;
use crate::mirror::line::{Step, Version};
use crate::oci::{Digest, Name, Tag};
use crate::scan::Finding;
use crate::time::Timestamp;

/// Most days that are looked back.
pub const DAYS_MAX: u32 = 365;
/// Days that are looked back where nothing is said.
pub const DAYS: u32 = 30;
/// Most images that are looked at, the most pulled first.
const IMAGES_MAX: u32 = 2_000;
/// Most repositories whose tags are kept.
const LISTS_MAX: usize = 1_000;
/// How long a list of tags is believed.
const LIST_TTL: Duration = Duration::from_hours(1);
/// Lists that are asked for at one time.
const AT_ONCE: usize = 4;
/// Most findings that are named for one newer version.
const FINDINGS_NAMED: usize = 5;
/// How long before its end a line is told of.
const ENDS_SOON: Duration = Duration::from_hours(24 * 90);
/// How often it is looked by itself, for the metric.
const EVERY: Duration = Duration::from_hours(6);
/// After how long it is looked for the first time.
const FIRST: Duration = Duration::from_mins(10);
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// What runs and could be newer.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutdatedView {
    /// How many days were looked back.
    pub days: u32,
    /// How many images were served in them.
    pub in_use: u64,
    /// Those with something newer, the most pulled first.
    pub images: Vec<OutdatedImage>,
    /// Those of a line that is mended no more, or for less than 90 days, the soonest end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<EndingImage>,
    /// How many have no tag that is a version, and are compared with nothing.
    pub without_version: u64,
    /// Registries and repositories whose tags could not be listed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_listed: Vec<String>,
}

/// An image that runs and could be newer.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutdatedImage {
    /// The repository.
    pub name: Name,
    /// The tag that says its version.
    pub tag: Tag,
    /// What runs.
    pub digest: Digest,
    /// How many clients got it.
    pub clients: u64,
    /// How often it was served.
    pub pulls: u64,
    /// When last.
    pub last: Timestamp,
    /// Newer ones, the nearest step first: at most one of each.
    pub newer: Vec<NewerVersion>,
}

/// An image that runs and is of a line that ends.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingImage {
    /// The repository.
    pub name: Name,
    /// The tag that says its version.
    pub tag: Tag,
    /// What runs.
    pub digest: Digest,
    /// How many clients got it.
    pub clients: u64,
    /// When last.
    pub last: Timestamp,
    /// The line, as the settings name it.
    pub line: String,
    /// The last day on which it is mended, from its first moment on.
    pub ends: Timestamp,
    /// Whether that is over.
    pub ended: bool,
}

/// A newer version of a line.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerVersion {
    /// `same-tag`, `patch`, `minor` or `major`: how far it is.
    pub step: String,
    /// Its tag.
    pub tag: Tag,
    /// What that stands for, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `admitted`, `pending`, `denied`, or `unseen`: nobody asked for it yet.
    pub state: String,
    /// The request about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Findings that it ends, worst first, the first few by name; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mends: Option<FindingsView>,
    /// Findings that it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brings: Option<FindingsView>,
}

/// Some findings.
#[derive(Debug, JsonSchema, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsView {
    /// How many, by how bad they are.
    pub by_severity: BTreeMap<String, u64>,
    /// The worst of them, by name.
    pub worst: Vec<String>,
}

/// The tags of a repository and when they were listed, in monotonic time; or why they were not.
type Listed = (Duration, Result<Arc<[Tag]>, String>);

/// The lists of tags that were fetched lately.
#[derive(Debug, Default)]
pub(super) struct TagLists(Mutex<HashMap<Name, Listed>>);

impl TagLists {
    fn get(&self, name: &Name, now: Duration) -> Option<Result<Arc<[Tag]>, String>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, listed) = lists.get(name)?;
        (now.saturating_sub(*at) < LIST_TTL).then(|| listed.clone())
    }

    fn set(&self, name: &Name, now: Duration, listed: Result<Arc<[Tag]>, String>) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS_MAX {
            lists.retain(|_, (at, _)| now.saturating_sub(*at) < LIST_TTL);
        }
        if lists.len() < LISTS_MAX {
            lists.insert(name.clone(), (now, listed));
        }
    }
}

impl Desk {
    /// What was served in the last `days` and could be newer.
    ///
    /// # Errors
    /// [`Error::Days`]; when the ledger cannot be read. A registry that does not answer is told in the view.
    pub async fn outdated(&self, days: Option<u32>) -> Result<OutdatedView, Error> {
        let days = days.unwrap_or(DAYS);
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Error::Days { most: DAYS_MAX });
        }
        let ledger = self.mirror.ledger();
        let age = Duration::from_secs(u64::from(days) * DAY).as_millis();
        let since =
            self.mirror.now().milliseconds().saturating_sub(i64::try_from(age).unwrap_or(0));
        let in_use = ledger.in_use_since(Timestamp::from_milliseconds(since), IMAGES_MAX).await?;
        let lists = self.tag_lists(&in_use).await;
        let mut view = OutdatedView {
            days,
            in_use: u64::try_from(in_use.len()).unwrap_or(u64::MAX),
            images: Vec::new(),
            ending: Vec::new(),
            without_version: 0,
            not_listed: Vec::new(),
        };
        for (name, listed) in &lists {
            if let Err(why) = listed {
                view.not_listed.push(format!("{name}: {why}"));
            }
        }
        for used in in_use {
            let tags = ledger.tags_of(&used.subject.name, &used.subject.digest).await?;
            let Some(tag) = version_tag(&tags) else {
                view.without_version += 1;
                continue;
            };
            view.ending.extend(self.ending(&used, &tag));
            let listed = lists.get(&used.subject.name).and_then(|it| it.as_ref().ok());
            let newer = self.newer(&used.subject, &tag, listed.map_or(&[], |it| it)).await?;
            if !newer.is_empty() {
                let InUse { subject, pulls, clients, first: _, last } = used;
                let Subject { name, digest } = subject;
                let image = OutdatedImage { name, tag, digest, clients, pulls, last, newer };
                view.images.push(image);
            }
        }
        view.ending.sort_by_key(|image| image.ends);
        let outdated = i64::try_from(view.images.len()).unwrap_or(i64::MAX);
        self.mirror.metrics().outdated_images.set(outdated);
        let ended = view.ending.iter().filter(|image| image.ended).count();
        self.mirror.metrics().ended_images.set(i64::try_from(ended).unwrap_or(i64::MAX));
        Ok(view)
    }

    /// What is to be told of the line of `used`, if it is one that ends.
    fn ending(&self, used: &InUse, tag: &Tag) -> Option<EndingImage> {
        let InUse { subject: Subject { name, digest }, clients, last, .. } = used;
        let lines = &self.mirror.inner.settings.lifecycle;
        let line = line_of(lines, name, &Version::of(tag)?)?;
        let (now, day) = (self.mirror.now(), Duration::from_secs(DAY));
        (line.ends <= now.after(ENDS_SOON)).then(|| EndingImage {
            name: name.clone(),
            tag: tag.clone(),
            digest: *digest,
            clients: *clients,
            last: *last,
            line: line.line.clone(),
            ends: line.ends,
            ended: line.ends.after(day) <= now,
        })
    }

    /// Looks now and then, so that the metric says what is so.
    pub fn keep_outdated(&self) {
        let (desk, tasks) = (self.clone(), self.mirror.tasks().clone());
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            let looking = async {
                tokio::time::sleep(FIRST).await;
                loop {
                    let looked = async {
                        let view = desk.outdated(None).await?;
                        desk.draft_newer(&view).await
                    };
                    if let Err(error) = Box::pin(looked).await {
                        tracing::warn!(%error, "what is outdated is not known");
                    }
                    tokio::time::sleep(EVERY).await;
                }
            };
            tokio::select! {
                () = stopping => {}
                () = looking => {}
            }
        });
    }

    /// The tags of every repository of `in_use`, from upstream or from an hour ago.
    async fn tag_lists(&self, in_use: &[InUse]) -> BTreeMap<Name, Result<Arc<[Tag]>, String>> {
        let now = self.mirror.clock().monotonic();
        let mut names: Vec<&Name> = in_use.iter().map(|used| &used.subject.name).collect();
        names.sort();
        names.dedup();
        let listing = stream::iter(names.into_iter().cloned()).map(|name| async move {
            if let Some(listed) = self.tag_lists.get(&name, now) {
                return (name, listed);
            }
            let listed = match self.mirror.client().list_tags(&name).await {
                Ok(tags) => Ok(tags.unwrap_or_default().into()),
                Err(error) => Err(error.to_string()),
            };
            self.tag_lists.set(&name, now, listed.clone());
            (name, listed)
        });
        listing.buffer_unordered(AT_ONCE).collect().await
    }

    /// What is newer than `subject` in the line of `tag`: what the tag stands for now, and the highest of
    /// each step among `listed`.
    async fn newer(
        &self,
        subject: &Subject,
        tag: &Tag,
        listed: &[Tag],
    ) -> Result<Vec<NewerVersion>, Error> {
        let Some(version) = Version::of(tag) else { return Ok(Vec::new()) };
        let mut highest: BTreeMap<Step, (Version<'_>, &Tag)> = BTreeMap::new();
        for other in listed {
            let Some(theirs) = Version::of(other) else { continue };
            let Some(step) = version.step_to(&theirs) else { continue };
            let before = highest.get(&step);
            if before.is_none_or(|(before, _)| theirs.numbers > before.numbers) {
                highest.insert(step, (theirs, other));
            }
        }
        let moved = self.mirror.ledger().admitted_tag(&subject.name, tag).await?;
        let own = self.facts_of(subject).await?;
        let mut newer = Vec::new();
        if moved.is_some_and(|digest| digest != subject.digest) {
            newer.push(self.version(subject, own.as_ref(), tag, "same-tag").await?);
        }
        for (step, (_, tag)) in highest {
            newer.push(self.version(subject, own.as_ref(), tag, step.as_str()).await?);
        }
        Ok(newer)
    }

    /// How `tag` stands here, and what it would change.
    async fn version(
        &self,
        subject: &Subject,
        own: Option<&SubjectFacts>,
        tag: &Tag,
        step: &str,
    ) -> Result<NewerVersion, Error> {
        let ledger = self.mirror.ledger();
        let mut newer = NewerVersion {
            step: step.to_owned(),
            tag: tag.clone(),
            digest: None,
            state: "unseen".to_owned(),
            request: None,
            mends: None,
            brings: None,
        };
        let moves = ledger.tag_history(&subject.name, tag).await?;
        let Some(digest) = moves.last().map(|last| last.digest) else { return Ok(newer) };
        let other = Subject { name: subject.name.clone(), digest };
        let Some(record) = ledger.record(&other).await? else { return Ok(newer) };
        newer.digest = Some(digest);
        newer.request = record.request;
        if let Some(judgement) = &record.judgement {
            let state = match judgement.verdict {
                Verdict::Admit => "admitted",
                Verdict::Pending(_) => "pending",
                Verdict::Deny(_) => "denied",
            };
            state.clone_into(&mut newer.state);
        }
        if let (Some(own), Some(facts)) = (own, self.facts_of(&other).await?) {
            (newer.mends, newer.brings) = changes(own, &facts);
        }
        Ok(newer)
    }
}

/// The tag among `tags` that says most of a version.
fn version_tag(tags: &[Tag]) -> Option<Tag> {
    let versions = tags.iter().filter_map(|tag| Some((Version::of(tag)?, tag)));
    let most = versions
        .max_by(|(a, _), (b, _)| (a.numbers.len(), &a.numbers).cmp(&(b.numbers.len(), &b.numbers)));
    most.map(|(_, tag)| tag.clone())
}

/// What `now` ends of the findings of `before`, and what it brings; none where that is not known of every
/// image of both.
fn changes(
    before: &SubjectFacts,
    now: &SubjectFacts,
) -> (Option<FindingsView>, Option<FindingsView>) {
    let difference = Difference::between(before, now);
    let (mut gone, mut added) = (Vec::new(), Vec::new());
    if difference.images.is_empty() {
        return (None, None);
    }
    for image in &difference.images {
        let Some(changes) = image.findings.known() else { return (None, None) };
        gone.extend(changes.gone.iter());
        added.extend(changes.added.iter());
    }
    (Some(findings(&gone)), Some(findings(&added)))
}

fn findings(found: &[&Finding]) -> FindingsView {
    let mut once: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in found {
        once.entry(finding.id.as_str()).or_insert(finding);
    }
    let mut by_severity = BTreeMap::new();
    for finding in once.values() {
        *by_severity.entry(severity_word(finding).to_owned()).or_insert(0) += 1;
    }
    let mut worst: Vec<&&Finding> = once.values().collect();
    worst.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let worst = worst.into_iter().take(FINDINGS_NAMED).map(|finding| finding.id.clone()).collect();
    FindingsView { by_severity, worst }
}
