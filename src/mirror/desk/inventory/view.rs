//! What is told of what runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::cluster::{ClusterName, UsedAs, Workload};
use crate::doctor::{Every, NodeName};
use crate::oci::{Digest, Name};
use crate::time::Timestamp;

/// A cluster, and how old what is known of it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ClusterView {
    /// The cluster.
    pub cluster: ClusterName,
    /// When its reporter looked, by its own clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// When that came, by the server's clock.
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// Whether that is longer ago than three of the reporter's intervals.
    pub is_stale: bool,
    /// How often the reporter looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Every")]
    pub every_seconds: Option<Every>,
    /// By which token.
    pub reporter: String,
    /// How many pods there are that have not ended.
    pub pods: u64,
    /// How many nodes said what lies on them; missing where nobody asked them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub nodes: Option<u64>,
    /// How many different digests run.
    pub digests: u64,
    /// What is not in it, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl ClusterView {
    pub(super) fn of(kept: &Kept, now: Timestamp) -> Self {
        let report = &kept.report;
        let digests: std::collections::HashSet<_> =
            report.running.iter().filter_map(|it| it.digest.or(it.config)).collect();
        Self {
            cluster: report.cluster.clone(),
            at: report.at,
            received_at: kept.received_at,
            is_stale: kept.is_stale(now),
            every_seconds: report.every_seconds,
            reporter: kept.reporter.clone(),
            pods: report.pods,
            nodes: report.nodes,
            digests: u64::try_from(digests.len()).unwrap_or(u64::MAX),
            left_out: report.left_out.clone(),
        }
    }
}

/// Every cluster of which something is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ClustersView {
    /// The clusters, by name.
    pub clusters: Vec<ClusterView>,
}

/// As what something is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SoughtAs {
    /// A digest, of a manifest, an index or a configuration.
    Digest,
    /// A finding by its name: a CVE, or what else it is called.
    Finding,
    /// A repository, with or without a tag or digest.
    Image,
    /// Somebody who signed: a signer of the policy, or whom a certificate names.
    Signer,
    /// What a decision would be about: a request, or an image of which the tag is resolved now.
    Target,
}

/// As what `text` is sought where nobody says it: a digest, a request, a finding, an identity that signs, or an
/// image. The name of a signer that could be an image's is one where `is_signer` says so.
pub fn kind_of_what(text: &str, is_signer: impl Fn(&str) -> bool) -> SoughtAs {
    if text.parse::<Digest>().is_ok() {
        return SoughtAs::Digest;
    }
    if text.strip_prefix("R-").is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit())) {
        return SoughtAs::Target;
    }
    let prefix = text.split('-').next().unwrap_or_default();
    let is_source =
        prefix.len() >= 2 && prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_source && text.contains('-') && text.bytes().any(|b| b.is_ascii_digit()) {
        return SoughtAs::Finding;
    }
    let is_mail = text.contains('@') && !text.contains("@sha");
    if is_signer(text) || is_mail || text.contains("://") {
        return SoughtAs::Signer;
    }
    SoughtAs::Image
}

/// Why something is told of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// It is exactly that.
    Same,
    /// An index that lists it runs: which of its images, its node's platform says.
    InIndex,
    /// An image of that index runs.
    OfIndex,
    /// Its configuration runs; the runtime knows no more.
    Config,
    /// It is written so, and the runtime says no digest.
    Written,
}

/// Pods of one workload that run what was sought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RunsView {
    /// In which cluster.
    pub cluster: ClusterName,
    /// Whether what is known of that is stale.
    pub is_stale: bool,
    /// In which namespace.
    pub namespace: String,
    /// What the pods are of.
    pub workload: Workload,
    /// As what they have it.
    pub role: UsedAs,
    /// The image as it is written there.
    pub image: String,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Name")]
    pub name: Option<Name>,
    /// What runs, where the runtime says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub digest: Option<Digest>,
    /// The configuration, where the runtime says no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub config: Option<Digest>,
    /// Why it is told of.
    #[serde(rename = "match")]
    pub matched: Match,
    /// What was found in it, or who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub because: Option<String>,
    /// How many pods.
    pub pods: u64,
    /// Since when the oldest runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub since: Option<Timestamp>,
    /// On which nodes.
    pub nodes: Vec<NodeName>,
    /// On how many more.
    pub more_nodes: u64,
}

/// Nodes on which what was sought lies, whether something runs it or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct CachedView {
    /// In which cluster.
    pub cluster: ClusterName,
    /// Whether what is known of that is stale.
    pub is_stale: bool,
    /// The repository that the nodes have it from.
    pub name: Name,
    /// What lies there.
    pub digest: Digest,
    /// Why it is told of.
    #[serde(rename = "match")]
    pub matched: Match,
    /// On which nodes.
    pub nodes: Vec<NodeName>,
    /// On how many more.
    pub more_nodes: u64,
}

/// Where something runs and lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct WhereView {
    /// What was sought.
    pub what: String,
    /// As what.
    pub sought_as: SoughtAs,
    /// How many pods run it.
    pub pods: u64,
    /// What runs it.
    pub running: Vec<RunsView>,
    /// Where it lies.
    pub cached: Vec<CachedView>,
    /// How many rows are not told of, because there are too many.
    pub more: u64,
    /// Running images of which it is not known whether they have it: nothing is kept of what is in them, or of
    /// who signed them.
    pub not_known: u64,
    /// Pods of which the runtime says no digest of a manifest, and that are therefore found by name alone.
    pub without_digest: u64,
    /// Everything that was looked in, and how old that is.
    pub clusters: Vec<ClusterView>,
}

/// How much runs an image, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsBrief {
    /// Pods.
    pub pods: u64,
    /// Workloads that they are of.
    pub workloads: u64,
    /// Clusters that were looked in.
    pub clusters: u64,
    /// How many of those are stale.
    pub stale: u64,
}

impl RunsBrief {
    pub(super) fn of(view: &WhereView) -> Option<Self> {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let workloads: std::collections::HashSet<_> =
            view.running.iter().map(|it| (&it.cluster, &it.namespace, &it.workload)).collect();
        let stale = view.clusters.iter().filter(|it| it.is_stale).count();
        (!view.clusters.is_empty()).then(|| Self {
            pods: view.pods,
            workloads: count(workloads.len()),
            clusters: count(view.clusters.len()),
            stale: count(stale),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sought_is_told_by_its_form() {
        let is_signer = |text: &str| text == "acme-ci";
        for (text, expected) in [
            (&*format!("sha256:{}", "a".repeat(64)), SoughtAs::Digest),
            ("R-42", SoughtAs::Target),
            ("CVE-2026-1234", SoughtAs::Finding),
            ("GHSA-gg37-mfmf-6c4j", SoughtAs::Finding),
            ("DSA-5532-1", SoughtAs::Finding),
            ("acme-ci", SoughtAs::Signer),
            ("bot@acme.example", SoughtAs::Signer),
            ("https://github.com/acme/web/.github/workflows/r.yaml@refs/tags/v1", SoughtAs::Signer),
            ("redis", SoughtAs::Image),
            ("quay.io/acme/web:2", SoughtAs::Image),
            (&*format!("quay.io/acme/web@sha256:{}", "a".repeat(64)), SoughtAs::Image),
        ] {
            assert_eq!(kind_of_what(text, is_signer), expected, "{text}");
        }
    }
}
