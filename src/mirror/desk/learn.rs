//! A policy proposed from what was pulled: what `pratique policy learn` prints.
//!
//! It is read from what is kept: counts of pulls, the tags that were seen, evidence and inventories. No registry
//! is asked, nothing is written, and what nobody gathered is told as not known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::dossier::Known;
use super::dossier::facts::images_of;
use super::show::policy_name;
use super::simulate::SimulateBody;
use super::view::PolicyName;
use super::{Desk, Error};
use crate::gate::{ManifestFacts, ReadyPolicy, Subject, findings_seen, signatures_seen};
use crate::ledger::{InUse, Record};
use crate::oci::{Digest, Name, Platform};
use crate::policy::learned::{
    Enough, Learned, Present, Seen, SeenFindings, SeenImage, SeenRepository, SeenScan,
    SeenSignatures, learn,
};
use crate::policy::{Artifact, Policy, Source};
use crate::signature::TrustRoot;
use crate::time::Timestamp;

/// Least pulls of a repository that a rule is proposed for where nobody says it.
pub const PULLS_MIN: u64 = 3;
/// Most images that are looked at, the most pulled first.
const IMAGES_MAX: u32 = 2_000;
/// How long images are looked into; what is left then is not known.
const LOOKING_MAX: Duration = Duration::from_mins(1);
/// Most platforms that are named; nodes that fetch more of them fetch all that there are.
const PLATFORMS_MAX: usize = 8;
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// A policy proposed from what was pulled.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProposalView {
    /// In how many of the last days pulls counted.
    pub days: u32,
    /// Least pulls of a repository with a rule.
    pub min_pulls: u64,
    /// The policy in force.
    pub in_force: PolicyName,
    /// Images that were served in those days, and looked at.
    pub images: u64,
    /// How often they were.
    pub pulls: u64,
    /// Whether more were served than are looked at; those with the fewest pulls were left out then.
    pub truncated: bool,
    /// The proposal.
    pub proposal: Learned,
    /// The contents of the files that it names, in base64, as a simulation takes them.
    pub files: BTreeMap<String, String>,
}

/// What was pulled, before it is looked into.
struct Pulled {
    used: InUse,
    record: Option<Arc<Record>>,
}

/// By what it is looked into.
pub(super) struct Looking {
    pub(super) policy: Arc<ReadyPolicy>,
    pub(super) roots: Arc<[(String, TrustRoot)]>,
    pub(super) until: Instant,
}

impl Desk {
    /// The policy that says what was served in the last `days` days (at most [`SimulateBody::DAYS_MAX`]): with
    /// rules for repositories that were pulled at least `pulls` times.
    ///
    /// # Errors
    /// [`Error::Days`]; [`Error::Simulating`] while another proposal or a simulation is there;
    /// [`Error::Proposal`] when what comes of it is no policy; when the ledger fails.
    pub async fn learn(
        &self,
        days: Option<u32>,
        pulls: Option<u64>,
    ) -> Result<ProposalView, Error> {
        let days = days.unwrap_or(SimulateBody::DAYS);
        if !(1..=SimulateBody::DAYS_MAX).contains(&days) {
            return Err(Error::Days { most: SimulateBody::DAYS_MAX });
        }
        let _only = self.simulating.try_lock().map_err(|_locked| Error::Simulating)?;
        let now = self.mirror.now();
        let back = i64::try_from(u64::from(days) * DAY * 1000).unwrap_or(i64::MAX);
        let since = Timestamp::from_milliseconds(now.milliseconds().saturating_sub(back));
        let ledger = self.mirror.ledger();
        let mut in_use = ledger.in_use_since(since, IMAGES_MAX + 1).await?;
        let most = usize::try_from(IMAGES_MAX).unwrap_or(usize::MAX);
        let truncated = in_use.len() > most;
        in_use.truncate(most);
        let clients = ledger.clients_since(since).await?;
        let policy = self.mirror.policy();
        let (images, all) = (count(in_use.len()), in_use.iter().map(|it| it.pulls).sum());
        let seen = self.seen(in_use, clients, &policy).await?;
        let enough = Enough { days, pulls: pulls.unwrap_or(PULLS_MIN) };
        let source = policy.source();
        let present = Present { name: policy.name(), revision: policy.revision(), source, now };
        let proposal = learn(seen, &present, enough);
        check(&proposal, source)?;
        Ok(ProposalView {
            days,
            min_pulls: enough.pulls,
            in_force: policy_name(&policy),
            images,
            pulls: all,
            truncated,
            files: files(&proposal, source),
            proposal,
        })
    }

    async fn seen(
        &self,
        in_use: Vec<InUse>,
        mut clients: BTreeMap<Name, BTreeSet<String>>,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Seen, Error> {
        let mut pulled = Vec::with_capacity(in_use.len());
        for used in in_use {
            let record = self.mirror.ledger().record(&used.subject).await?;
            pulled.push(Pulled { used, record });
        }
        let children = children(&pulled);
        let mut seen = Seen::default();
        let mut by_name: BTreeMap<Name, Vec<SeenImage>> = BTreeMap::new();
        let roots = Arc::from(policy.sigstore_roots());
        let until = Instant::now() + LOOKING_MAX;
        let looking = Looking { policy: Arc::clone(policy), roots, until };
        for Pulled { used, record } in pulled {
            // What an index lists is part of it, and is fetched by nodes that it is for.
            if let Some(platform) = children.get(&used.subject) {
                seen.platforms.extend(platform.clone());
                continue;
            }
            let image = self.looked_into(&used, record.as_deref(), &looking).await?;
            by_name.entry(used.subject.name).or_default().push(image);
        }
        if seen.platforms.len() > PLATFORMS_MAX {
            seen.platforms.clear();
        }
        let repository = |(name, images)| {
            let clients = clients.remove(&name).unwrap_or_default();
            SeenRepository { name, images, clients }
        };
        seen.repositories = by_name.into_iter().map(repository).collect();
        Ok(seen)
    }

    async fn looked_into(
        &self,
        used: &InUse,
        record: Option<&Record>,
        looking: &Looking,
    ) -> Result<SeenImage, Error> {
        let InUse { subject, pulls, first, last, .. } = used;
        let tags = self.mirror.ledger().tags_of(&subject.name, &subject.digest).await?;
        let unknown = |why: &str| {
            (SeenSignatures::Unknown(why.to_owned()), SeenScan::NotScanned(why.to_owned()))
        };
        let (signatures, scan) = match record {
            None => unknown("nothing was gathered"),
            Some(_) if Instant::now() > looking.until => unknown("there was no time to look"),
            Some(record) => {
                let signatures = self.signatures_of(record, looking).await;
                (signatures, self.findings_of(record, &looking.policy).await)
            }
        };
        let (pulls, first, last) = (*pulls, *first, *last);
        Ok(SeenImage { digest: subject.digest, tags, pulls, first, last, signatures, scan })
    }

    pub(super) async fn signatures_of(&self, record: &Record, looking: &Looking) -> SeenSignatures {
        let Subject { name, digest } = &record.subject;
        let address = self.mirror.client().address(name.registry());
        let by_address = address.map(|address| Subject {
            name: Name::new(address, name.repository().clone()),
            digest: *digest,
        });
        let names: Vec<Subject> =
            std::iter::once(record.subject.clone()).chain(by_address).collect();
        let (policy, roots) = (Arc::clone(&looking.policy), Arc::clone(&looking.roots));
        let (evidence, now) = (record.evidence.clone(), self.mirror.now());
        let work = move || signatures_seen(&names, &evidence, &policy, &roots, now);
        let worked = self.mirror.in_turn_and_time(&record.subject, work).await;
        worked.unwrap_or_else(|| SeenSignatures::Unknown("looking took too long".to_owned()))
    }

    async fn findings_of(&self, record: &Record, policy: &Policy) -> SeenScan {
        let Some(manifest) = record.evidence.manifest.found() else {
            return SeenScan::NotScanned("its manifest was not read".to_owned());
        };
        if manifest.artifact() != Artifact::Image {
            return SeenScan::NoImage;
        }
        let images = images_of(&record.subject, manifest, policy.platforms());
        let mut all = SeenFindings { exploited: Some(false), ..SeenFindings::default() };
        for (digest, _) in &images {
            let facts = match self.scan_of(&record.evidence, digest).await {
                Known::Is(facts) => facts,
                Known::No(why) => return SeenScan::NotScanned(why),
            };
            match &facts.report {
                Known::Is(report) => all.add(findings_seen(&facts.inventory, report)),
                Known::No(why) => return SeenScan::NotScanned(why.clone()),
            }
        }
        if images.is_empty() {
            return SeenScan::NotScanned("it lists no image for these platforms".to_owned());
        }
        SeenScan::Read(all)
    }
}

/// The images that an index lists, of those that were pulled, with what they run on.
fn children(pulled: &[Pulled]) -> HashMap<Subject, Option<Platform>> {
    let mut children = HashMap::new();
    for Pulled { used, record } in pulled {
        let Some(manifest) = record.as_ref().and_then(|it| it.evidence.manifest.found()) else {
            continue;
        };
        let of = |digest: &Digest| Subject { name: used.subject.name.clone(), digest: *digest };
        let ManifestFacts { children: all, images, .. } = manifest;
        for digest in all {
            children.entry(of(digest)).or_insert(None);
        }
        for image in images.iter().flatten() {
            children.insert(of(&image.digest), image.platform.clone());
        }
    }
    children
}

/// That it is a policy: names and identities in it are whatever upstream says.
fn check(proposal: &Learned, source: &Source) -> Result<(), Error> {
    let read = |path: &std::path::Path| source.read(path);
    let read = Policy::parse(&proposal.policy, &read).and_then(ReadyPolicy::new);
    read.map(drop).map_err(|problems| Error::Proposal { problems })
}

/// The files that the proposal names.
fn files(proposal: &Learned, source: &Source) -> BTreeMap<String, String> {
    let is_named = |path: &str| proposal.policy.contains(&format!("file:{path}\""));
    let named = source.files.iter().filter(|(path, _)| is_named(path));
    named.map(|(path, bytes)| (path.clone(), STANDARD.encode(bytes))).collect()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
