//! "Make this a rule": the changes of the policy that would have made a decision needless.
//!
//! They are offered and never made: the policy is a file that people review, and its history is where it is kept.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::learn::Looking;
use super::show::policy_name;
use super::simulate::{SimulateBody, Simulation, TallyView};
use super::view::{PolicyName, RequestView};
use super::{Desk, Error};
use crate::gate::{ReadyPolicy, ReasonCode, Subject, findings_refused};
use crate::ledger::Record;
use crate::policy::learned::SeenSignatures;
use crate::policy::{About, NotProposed, Proposed};

/// How long what all of it would change is counted.
const COUNTING_MAX: Duration = Duration::from_mins(1);
/// How long signatures are looked at.
const LOOKING_MAX: Duration = Duration::from_secs(10);
/// How a change comes into force.
const HOW: &str = "Nothing of it is in force. Where the policy file lies, patch -p0 < FILE or git apply -p0 FILE \
    makes the change; pratique policy check reads it. Have it reviewed and committed as every change of the policy.";

/// The changes of the policy that would have made a decision needless.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RuleProposalsView {
    /// The request: `R-42`.
    pub request: String,
    /// The image as it was asked for.
    pub image: String,
    /// The policy that would be changed.
    pub in_force: PolicyName,
    /// What there is to choose from.
    pub options: Vec<RuleProposalView>,
    /// What there would be to choose from, and why it is not.
    pub not_offered: Vec<NotOfferedView>,
    /// How a change comes into force.
    pub how: String,
}

/// One change of the policy.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RuleProposalView {
    /// Its name: `standing`, `trust`, `ask`, `except`, `deny-image`, `deny-repository`.
    pub id: String,
    /// What it would do, in a sentence.
    pub says: String,
    /// The unified diff of the policy file; the revision is raised in it.
    pub diff: String,
    /// What it would change about what is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<FiguresView>,
    /// Why that is not counted, where it was asked for and is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_counted: Option<String>,
}

/// What a change would do to what is on record.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FiguresView {
    /// In how many of the last days pulls counted.
    pub days: u32,
    /// What becomes of the images that were pulled in them, by the policy in force.
    pub before: TallyView,
    /// What would become of them.
    pub after: TallyView,
    /// Images that would be served and are not now.
    pub served: u64,
    /// Images that are served now and would not be.
    pub refused: u64,
    /// Images of which that is not known.
    pub unknown: u64,
}

/// A change that is not offered.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NotOfferedView {
    /// Its name.
    pub id: String,
    /// Why not.
    pub why: String,
}

impl Desk {
    /// What the policy could say, so that nobody would have to decide about what the request `text` asks for; with
    /// `days`, what each of it would change about what was pulled in them.
    ///
    /// # Errors
    /// When there is no such request, `days` is no number of days, or the ledger fails.
    pub async fn rule_proposals(
        &self,
        text: &str,
        days: Option<u32>,
    ) -> Result<RuleProposalsView, Error> {
        if days.is_some_and(|days| !(1..=SimulateBody::DAYS_MAX).contains(&days)) {
            return Err(Error::Days { most: SimulateBody::DAYS_MAX });
        }
        let (request, _) = self.request(text).await?;
        let policy = self.mirror.policy();
        let mut view = RuleProposalsView {
            request: request.id.clone(),
            image: request.image.clone(),
            in_force: policy_name(&policy),
            options: Vec::new(),
            not_offered: Vec::new(),
            how: HOW.to_owned(),
        };
        if policy.is_built_in() {
            let why = "The policy in force is the one that is built in, and has no file. Write one first; \
                pratique policy learn proposes one.";
            view.not_offered.push(NotOfferedView { id: "any".to_owned(), why: why.to_owned() });
            return Ok(view);
        }
        let mut drafts = Vec::new();
        for offered in self.offered(request, &policy).await? {
            match offered {
                Ok(Proposed { id, says, diff, policy }) => {
                    let (id, figures, not_counted) = (id.to_owned(), None, None);
                    view.options.push(RuleProposalView { id, says, diff, figures, not_counted });
                    drafts.push(ReadyPolicy::new(policy).ok().map(Arc::new));
                }
                Err(NotProposed { id, why }) => {
                    view.not_offered.push(NotOfferedView { id: id.to_owned(), why });
                }
            }
        }
        if let Some(days) = days {
            self.count(&mut view.options, drafts, days).await?;
        }
        Ok(view)
    }

    async fn offered(
        &self,
        request: RequestView,
        policy: &Arc<ReadyPolicy>,
    ) -> Result<Vec<Result<Proposed, NotProposed>>, Error> {
        let (mut signatures, mut findings) =
            (SeenSignatures::Unknown("nothing was gathered".to_owned()), Vec::new());
        if let Some(digest) = request.digest {
            let subject = Subject { name: request.name.clone(), digest };
            if let Some(record) = self.mirror.ledger().record(&subject).await? {
                let roots = Arc::from(policy.sigstore_roots());
                let until = Instant::now() + LOOKING_MAX;
                let looking = Looking { policy: Arc::clone(policy), roots, until };
                signatures = self.signatures_of(&record, &looking).await;
                findings = self.refused_for(&record, policy).await?;
            }
        }
        let (policy, now) = (Arc::clone(policy), self.mirror.now());
        let working = self.mirror.tasks().spawn_blocking(move || {
            let standing = request.standing.as_ref();
            let refused = standing.filter(|it| matches!(&*it.decision, "rejected" | "revoked"));
            policy.proposals(&About {
                request: &request.id,
                name: &request.name,
                digest: request.digest,
                tag: request.tag.as_ref(),
                rule: request.rule.as_deref(),
                refused_for: refused.map(|it| it.reason.as_str()),
                signatures,
                findings,
                now,
            })
        });
        Ok(working.await.unwrap_or_default())
    }

    /// The findings for which the gates of its rule refuse what `record` is about.
    async fn refused_for(
        &self,
        record: &Record,
        policy: &ReadyPolicy,
    ) -> Result<Vec<(String, String)>, Error> {
        let judgement = record.judgement.as_ref();
        let is_vulnerable = |it: &&crate::gate::Judgement| {
            it.reasons().iter().any(|reason| reason.code == ReasonCode::Vulnerable)
        };
        let rule = judgement.filter(is_vulnerable).and_then(|it| it.rule.as_ref());
        let rule = rule.and_then(|id| policy.rules().iter().find(|rule| rule.id() == id));
        let Some(rule) = rule else { return Ok(Vec::new()) };
        let mut findings = Vec::new();
        let facts = self.facts_of(&record.subject).await?;
        let scans = facts.iter().flat_map(|facts| &facts.images).filter_map(|it| it.scan.known());
        for report in scans.filter_map(|scan| scan.report.known()) {
            for finding in findings_refused(report, rule.alone().gates, self.mirror.now()) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        Ok(findings)
    }

    /// Counts what each of `options` would change.
    async fn count(
        &self,
        options: &mut [RuleProposalView],
        drafts: Vec<Option<Arc<ReadyPolicy>>>,
        days: u32,
    ) -> Result<(), Error> {
        let Ok(only) = Arc::clone(&self.simulating).try_lock_owned() else {
            let why = Error::Simulating.to_string();
            for option in options.iter_mut() {
                option.not_counted = Some(why.clone());
            }
            return Ok(());
        };
        let (only, until) = (Arc::new(only), Instant::now() + COUNTING_MAX);
        for (option, draft) in options.iter_mut().zip(drafts) {
            let Some(draft) = draft else { continue };
            let simulation = Simulation::of(self.clone(), draft, days, Arc::clone(&only));
            match tokio::time::timeout_at(until, Box::pin(simulation.run())).await {
                Ok(done) => {
                    let (view, _) = done?;
                    option.figures = Some(FiguresView {
                        days,
                        before: view.before,
                        after: view.after,
                        served: view.served,
                        refused: view.refused,
                        unknown: view.unknown,
                    });
                }
                Err(_elapsed) => {
                    let why = "there is too much on record to count it now; \
                        pratique policy diff FILE --against-history does";
                    option.not_counted = Some(why.to_owned());
                }
            }
        }
        Ok(())
    }
}
