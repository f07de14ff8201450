//! Explaining: which rule applies to an image, what every gate found, and what would have to change.

use std::sync::Arc;

use tracing::warn;

use super::show::{check_view, policy_name, reason_views, standing_view, verdict_word};
use super::target::{image, tag_of};
use super::view::{
    ExplainView, RuleMatch, ServedByView, SignatureView, SignaturesView, StaleView, StandingView,
    TagMoveView, UnseenView,
};
use super::{Desk, Error};
use crate::gate::{
    ChildSignatures, Evidence, Gathered, Judgement, ManifestFacts, Outcome, ReadyPolicy,
    SignatureSearch, Subject,
};
use crate::ledger::{Decided, Record, Verb};
use crate::mirror::Stale;
use crate::oci::{Digest, ImageReference, Tag};
use crate::policy::{Artifact, Mode, Policy, RuleId};
use crate::signature::FoundSignature;
use crate::time::Timestamp;

/// Most moves of a tag that are shown.
const TAG_MOVES_SHOWN: usize = 10;
/// Most decisions that are shown.
const HISTORY_SHOWN: usize = 5;

impl Desk {
    /// Everything known about the image in `text`, judged now as a pull would be.
    ///
    /// # Errors
    /// When it is not an image, does not exist upstream, or neither memory nor upstream could tell.
    pub async fn explain(&self, text: &str) -> Result<ExplainView, Error> {
        let image = image(text)?;
        let outright = self.refused_outright(&image);
        if let Some(mut view) = outright.filter(|_| !self.mirror.is_emergency_at(&image.name)) {
            let tag = tag_of(&image);
            view.alternatives = self.alternatives(&image.name, tag.as_ref(), None).await?;
            return Ok(view);
        }
        let subject = self.subject_of(&image).await?;
        let mut view = self.explain_subject(&image, &subject).await?;
        if view.verdict != "admit" {
            let (tag, digest) = (tag_of(&image), Some(&subject.digest));
            view.alternatives = self.alternatives(&image.name, tag.as_ref(), digest).await?;
        }
        Ok(view)
    }

    /// As [`Desk::explain`], of `subject`, without asking a registry what a tag means: `tag` counts as
    /// one that was seen to stand for it.
    ///
    /// # Errors
    /// As [`Desk::explain`].
    pub async fn explain_as(
        &self,
        subject: &Subject,
        tag: Option<&Tag>,
    ) -> Result<ExplainView, Error> {
        let digest = tag.is_none().then_some(subject.digest);
        let image = ImageReference { name: subject.name.clone(), tag: tag.cloned(), digest };
        if let Some(view) = self.refused_outright(&image) {
            return Ok(view);
        }
        if let Some(tag) = tag {
            self.mirror.ledger().record_tag(&subject.name, tag, &subject.digest).await?;
        }
        self.explain_subject(&image, subject).await
    }

    /// What the policy refuses without a look at any evidence.
    pub(super) fn refused_outright(&self, image: &ImageReference) -> Option<ExplainView> {
        let judgement = self.outright(image)?;
        let policy = self.mirror.policy();
        let mut view = blank(image, &policy, self.mirror.now());
        put_judgement(&mut view, &judgement, image, &policy);
        Some(view)
    }

    pub(super) async fn explain_subject(
        &self,
        image: &ImageReference,
        subject: &Subject,
    ) -> Result<ExplainView, Error> {
        let policy = self.mirror.policy();
        let mut view = blank(image, &policy, self.mirror.now());
        let judged = self.judge(subject).await?;
        view.digest = Some(subject.digest);
        verdict_word(&judged.outcome).clone_into(&mut view.verdict);
        match &judged.outcome {
            Outcome::Decided(judgement) => put_judgement(&mut view, judgement, image, &policy),
            Outcome::Undecided(reasons) => view.reasons = reason_views(reasons),
            Outcome::Missing(_) => {}
        }
        view.stale = judged.stale.map(|stale| {
            let Stale { since, until, why } = stale;
            StaleView { since, until, why }
        });
        if let Some(record) = &judged.record {
            put_record(&mut view, record);
        }
        if let Some(tag) = tag_of(image) {
            self.put_tag(&mut view, image, &tag, subject).await?;
        }
        view.history = self.history(subject).await;
        Ok(view)
    }

    async fn put_tag(
        &self,
        view: &mut ExplainView,
        image: &ImageReference,
        tag: &Tag,
        subject: &Subject,
    ) -> Result<(), Error> {
        let ledger = self.mirror.ledger();
        let moves = ledger.tag_history(&image.name, tag).await?;
        view.tag_history = moves
            .iter()
            .rev()
            .take(TAG_MOVES_SHOWN)
            .map(|moved| TagMoveView { digest: moved.digest, seen_at: moved.seen_at })
            .collect();
        if view.verdict == "admit" {
            return Ok(());
        }
        let admitted = ledger.admitted_tag(&image.name, tag).await?;
        let holds = self.mirror.policy().tag_move(&image.name) == crate::policy::TagMove::HoldNew;
        view.served_instead = admitted.filter(|digest| holds && *digest != subject.digest);
        Ok(())
    }

    /// The last decisions about `subject`; what cannot be read is left out, the verdict stands alone.
    async fn history(&self, subject: &Subject) -> Vec<StandingView> {
        match self.mirror.ledger().decisions(subject).await {
            Ok(decided) => decided.iter().rev().take(HISTORY_SHOWN).map(decision_view).collect(),
            Err(error) => {
                warn!(%subject, %error, "history not read");
                Vec::new()
            }
        }
    }
}

/// What was done, in one word.
pub(super) const fn decision_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "approved",
        Verb::Reinstate => "reinstated",
        Verb::Reject => "rejected",
        Verb::Revoke => "revoked",
        Verb::Withdraw => "withdrawn",
    }
}

fn decision_view(decided: &Decided) -> StandingView {
    StandingView {
        decision: decision_word(decided.verb).to_owned(),
        by: decided.by.clone(),
        at: decided.at,
        expires: decided.expires,
        reason: decided.reason.clone(),
        voters: decided.voters.clone(),
    }
}

fn blank(image: &ImageReference, policy: &Arc<ReadyPolicy>, now: Timestamp) -> ExplainView {
    ExplainView {
        image: canonical(image),
        name: image.name.clone(),
        digest: image.digest,
        kind: None,
        platforms: Vec::new(),
        policy: policy_name(policy),
        rule: None,
        checks: Vec::new(),
        silenced: Vec::new(),
        excepted: Vec::new(),
        unseen: Vec::new(),
        signatures: None,
        verdict: "undecided".to_owned(),
        enforced: policy.mode_for(&image.name, now) == Mode::Enforce,
        break_glass: None,
        warns: false,
        watched: Vec::new(),
        reasons: Vec::new(),
        standing: None,
        request: None,
        decided_at: None,
        first_seen: None,
        tag_history: Vec::new(),
        served_instead: None,
        stale: None,
        history: Vec::new(),
        alternatives: Vec::new(),
    }
}

/// The image with the tag or digest by which it is asked for, never both.
fn canonical(image: &ImageReference) -> String {
    let tag = tag_of(image);
    let digest = image.digest.filter(|_| tag.is_none());
    ImageReference { name: image.name.clone(), tag, digest }.to_string()
}

fn put_judgement(
    view: &mut ExplainView,
    judgement: &Judgement,
    image: &ImageReference,
    policy: &Policy,
) {
    super::show::judgement_word(judgement).clone_into(&mut view.verdict);
    view.enforced = judgement.enforced;
    view.break_glass =
        judgement.served_by().map(|by| ServedByView { id: by.id.to_string(), until: by.until });
    view.warns = judgement.warns;
    view.watched = reason_views(&judgement.watched);
    view.reasons = reason_views(judgement.reasons());
    view.checks = judgement.checks.iter().map(check_view).collect();
    view.silenced.clone_from(&judgement.silenced);
    view.excepted.clone_from(&judgement.excepted);
    view.rule = judgement.rule.as_ref().map(|rule| rule_match(rule, image, policy));
}

fn rule_match(id: &RuleId, image: &ImageReference, policy: &Policy) -> RuleMatch {
    let name = image.name.to_string();
    let matching = policy.rules().iter().filter(|rule| rule.patterns().any(|p| p.matches(&name)));
    let rule = policy.rules().iter().find(|rule| rule.id() == id);
    let patterns = rule.map(|rule| rule.patterns().filter(|p| p.matches(&name)));
    RuleMatch {
        id: id.to_string(),
        pattern: patterns.and_then(|mut patterns| patterns.next()).map(ToString::to_string),
        matching: u64::try_from(matching.count()).unwrap_or(u64::MAX),
        file: rule.and_then(|it| policy.told_file(it.file())).map(|file| file.path().to_owned()),
        owner: rule.and_then(|it| policy.owner_of(it)).map(ToString::to_string),
    }
}

fn put_record(view: &mut ExplainView, record: &Record) {
    let Evidence { manifest, signatures, child_signatures, .. } = &record.evidence;
    if let Gathered::Found(facts) = manifest {
        view.kind = Some(kind_of(facts));
        view.platforms.clone_from(&facts.platforms);
    }
    view.signatures = signatures_view(signatures.found(), child_signatures.found());
    let unseen = record.unseen.iter();
    let unseen = unseen.map(|(finding, since)| (finding.clone(), *since));
    view.unseen = unseen.map(|(finding, since)| UnseenView { finding, since }).collect();
    view.standing = record.standing.as_ref().map(standing_view);
    view.request = record.request.map(|id| id.to_string());
    view.decided_at = Some(record.decided_at);
    view.first_seen = Some(record.first_seen);
}

/// `index`, `image`, or the type of the artifact.
pub(super) fn kind_of(facts: &ManifestFacts) -> String {
    match facts.artifact() {
        _ if facts.is_index => "index".to_owned(),
        Artifact::Image => "image".to_owned(),
        Artifact::Other(artifact_type) => artifact_type.to_owned(),
    }
}

/// What was found over the subject itself, and over the images that it lists.
fn signatures_view(
    own: Option<&SignatureSearch>,
    below: Option<&ChildSignatures>,
) -> Option<SignaturesView> {
    let mut view =
        SignaturesView { found: Vec::new(), looked_for: Vec::new(), skipped: Vec::new() };
    if let Some(search) = own {
        view.found.extend(signature_views(search, None));
        view.looked_for.clone_from(&search.looked_for);
        view.skipped.clone_from(&search.skipped);
    }
    if let Some(below) = below {
        view.looked_for.push(format!("the same for {} images of the index", below.searches.len()));
        for (image, search) in &below.searches {
            view.found.extend(signature_views(search, Some(*image)));
            let skipped = search.skipped.iter().map(|why| format!("{}: {why}", image.short()));
            view.skipped.extend(skipped);
        }
    }
    (own.is_some() || below.is_some()).then_some(view)
}

fn signature_views(
    search: &SignatureSearch,
    over: Option<Digest>,
) -> impl Iterator<Item = SignatureView> {
    let view = move |found: &FoundSignature| SignatureView {
        form: found.form().to_string(),
        source: found.source,
        over,
    };
    search.found.iter().map(view)
}
