//! The different images that run in a cluster, by how much there is to be seen to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::shown::severities;
use super::super::{Desk, Error};
use super::view::ClusterView;
use crate::cluster::ClusterName;
use crate::gate::{Gathered, Subject, Verdict};
use crate::ledger::{Record, RequestId};
use crate::oci::{Digest, ImageReference, Name};

/// Most images that are told of, those that most pods run first.
const IMAGES_MAX: usize = 2_000;
/// How long images are looked into; what is found against those that are left then is not known.
const LOOKING_MAX: Duration = Duration::from_secs(30);
/// From the worst to the least: what counts of findings for the order.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "unrated"];

/// An image that runs, and how it stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RunningImageView {
    /// The repository.
    pub name: Name,
    /// What runs: the index where one is on record that lists it.
    pub digest: Digest,
    /// How many pods run it.
    pub pods: u64,
    /// `admitted`, `pending`, `denied`, or `unseen`: nothing is decided about it.
    pub state: String,
    /// The last request about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RequestId")]
    pub request: Option<RequestId>,
    /// How many findings, by how bad they are; missing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub findings: Option<BTreeMap<String, u64>>,
    /// Whether a signature was found, of whomever; missing where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub is_signed: Option<bool>,
}

/// The images that run in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RunningImagesView {
    /// Where, and how old that is.
    pub cluster: ClusterView,
    /// The images: those with the worst findings first, then those that nobody signed, then those that most pods
    /// run.
    pub images: Vec<RunningImageView>,
    /// How many more run.
    pub more: u64,
    /// Pods of which the node says no manifest or no repository: their images are not among these.
    pub not_named: u64,
}

impl Desk {
    /// The different images that run in `cluster`; none when nothing is known of it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn running_images(
        &self,
        cluster: &ClusterName,
    ) -> Result<Option<RunningImagesView>, Error> {
        let _one_at_a_time = self.inventories.seeking.lock().await;
        let (kept, now) = (self.inventories().await, self.mirror.now());
        let Some(kept) = kept.iter().find(|it| it.report.cluster == *cluster) else {
            return Ok(None);
        };
        let (mut pods, mut not_named) = (BTreeMap::<(Name, Digest), u64>::new(), 0_u64);
        for it in &kept.report.running {
            match (&it.name, it.digest) {
                (Some(name), Some(digest)) => {
                    let sum = pods.entry((self.seen_as(name), digest)).or_default();
                    *sum = sum.saturating_add(it.pods);
                }
                _ => not_named = not_named.saturating_add(it.pods),
            }
        }
        let mut counted: Vec<_> = self.as_indexes(pods).await?.into_iter().collect();
        counted.sort_by_key(|(_, pods)| Reverse(*pods));
        let more = counted.len().saturating_sub(IMAGES_MAX);
        let until = Instant::now() + LOOKING_MAX;
        let mut images = Vec::new();
        for ((name, digest), pods) in counted.into_iter().take(IMAGES_MAX) {
            let subject = Subject { name, digest };
            images.push(self.standing_of(subject, pods, Instant::now() < until).await?);
        }
        images.sort_by(|a, b| risk(b).cmp(&risk(a)).then_with(|| a.name.cmp(&b.name)));
        Ok(Some(RunningImagesView {
            cluster: ClusterView::of(kept, now),
            images,
            more: u64::try_from(more).unwrap_or(u64::MAX),
            not_named,
        }))
    }

    /// The same with the images of an index that is on record put together as that index: it is what was asked
    /// for by its tag, and what people decide about.
    async fn as_indexes(
        &self,
        pods: BTreeMap<(Name, Digest), u64>,
    ) -> Result<BTreeMap<(Name, Digest), u64>, Error> {
        let (mut together, running) =
            (BTreeMap::new(), pods.keys().cloned().collect::<BTreeSet<_>>());
        for ((name, digest), pods) in pods {
            let indexes = self.mirror.ledger().listing(&name, &digest).await?;
            // Of several, one that runs by its own digest, too.
            let runs = indexes.iter().find(|it| running.contains(&(name.clone(), **it)));
            let index = runs.or(indexes.first()).copied().unwrap_or(digest);
            let sum: &mut u64 = together.entry((name, index)).or_default();
            *sum = sum.saturating_add(pods);
        }
        Ok(together)
    }

    async fn standing_of(
        &self,
        subject: Subject,
        pods: u64,
        in_time: bool,
    ) -> Result<RunningImageView, Error> {
        let record = self.mirror.ledger().record(&subject).await?;
        let facts = if in_time && record.is_some() { self.facts_of(&subject).await? } else { None };
        let state = record.as_ref().and_then(|it| it.judgement.as_ref());
        let Subject { name, digest } = subject;
        // What is refused by its name is never looked at, and has no record.
        let asked = ImageReference { name: name.clone(), tag: None, digest: Some(digest) };
        let state = match state.map(|judgement| &judgement.verdict) {
            Some(Verdict::Admit) => "admitted",
            Some(Verdict::Pending(_)) => "pending",
            Some(Verdict::Deny(_)) => "denied",
            None if self.outright(&asked).is_some() => "denied",
            None => "unseen",
        };
        Ok(RunningImageView {
            name,
            digest,
            pods,
            state: state.to_owned(),
            request: record.as_ref().and_then(|it| it.request),
            findings: facts.as_ref().and_then(severities),
            is_signed: record.as_deref().and_then(is_signed),
        })
    }
}

fn is_signed(record: &Record) -> Option<bool> {
    match &record.evidence.signatures {
        Gathered::Found(search) if search.incomplete.is_some() && search.found.is_empty() => None,
        Gathered::Found(search) => Some(!search.found.is_empty()),
        Gathered::Absent => Some(false),
        Gathered::Failed(_) | Gathered::NotGathered => None,
    }
}

/// What is seen to first has most of it. What is not known is no reason to go first, and none to go last.
fn risk(image: &RunningImageView) -> ([u64; SEVERITIES.len()], bool, u64) {
    let count = |word: &str| image.findings.as_ref().and_then(|it| it.get(word)).copied();
    (SEVERITIES.map(|word| count(word).unwrap_or(0)), image.is_signed != Some(true), image.pods)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(
        findings: Option<&[(&str, u64)]>,
        is_signed: Option<bool>,
        pods: u64,
    ) -> RunningImageView {
        let counted =
            |it: &[(&str, u64)]| it.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
        RunningImageView {
            name: "up.test/a".parse().unwrap(),
            digest: Digest::sha256(b"a"),
            pods,
            state: "unseen".to_owned(),
            request: None,
            findings: findings.map(counted),
            is_signed,
        }
    }

    #[test]
    fn findings_come_first_then_what_nobody_signed_then_what_most_pods_run() {
        let in_order = [
            image(Some(&[("critical", 2)]), Some(true), 1),
            image(Some(&[("critical", 1), ("high", 9)]), Some(true), 1),
            image(Some(&[("high", 1)]), Some(false), 1),
            image(Some(&[("high", 1)]), Some(true), 90),
            image(None, None, 7),
            image(Some(&[]), Some(false), 3),
            image(Some(&[]), Some(true), 50),
        ];
        assert!(in_order.is_sorted_by(|a, b| risk(a) >= risk(b)));
    }
}
