//! Pulling a manifest: the one decision that everything else hangs on.
//!
//! HEAD and GET, by tag and by digest, take the same way through here and so get the same answer.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{info, warn};

use super::judge::{Judged, is_refused_by_people};
use super::listed::Listed;
use super::manifest_bytes::sniffed;
use super::resolve::Answer;
use super::{Decision, Error, Freshness, Mirror, Refusal};
use crate::gate::{
    Emergency, Gathered, Judgement, Outcome, ReasonCode, Subject, Verdict, refuse_by_name,
};
use crate::ledger::{PullOutcome, Record};
use crate::oci::{Digest, MediaType, Name, Reference, Tag};
use crate::policy::{Mode, Policy, TagMove};

/// A node's wish for a manifest.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Which repository.
    pub name: Name,
    /// Which manifest of it.
    pub reference: Reference,
    /// Who asks: the name in the client certificate, else the address.
    pub client: Arc<str>,
}

/// A manifest that may be sent.
#[derive(Debug, Clone)]
pub struct ManifestAnswer {
    /// Its digest; the bytes have it.
    pub digest: Digest,
    /// Its type, the same for ever.
    pub media_type: MediaType,
    /// The bytes, exactly as they are upstream.
    pub bytes: Bytes,
    /// What the client should be told besides: a tag that moved, an answer from history, a refusal
    /// that observe mode did not make.
    pub warning: Option<String>,
    /// Whether it is served although a verdict refuses it, or none could be reached.
    pub is_refused: bool,
    /// The break-glass by which alone it is served.
    pub emergency: Option<Emergency>,
}

impl Mirror {
    /// The manifest that `pull` asks for, if the gate lets it.
    ///
    /// # Errors
    /// See [`Error`]: refused, absent upstream, or could not decide.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the judging to go on for others.
    pub async fn pull_manifest(&self, pull: &Pull) -> Result<ManifestAnswer, Error> {
        self.known(&pull.name)?;
        let policy = self.policy();
        let answer = match policy.mode_for(&pull.name, self.now()) {
            Mode::Audit => Box::pin(self.observed_manifest(pull)).await,
            Mode::Warn => Box::pin(self.warned_manifest(pull, &policy)).await,
            Mode::Enforce => Box::pin(self.enforced_manifest(pull, &policy)).await,
        };
        let answer = match answer {
            Err(Error::Refused(refusal)) => {
                let refusal = self.file(*refusal, &pull.client).await;
                Err(Error::Refused(Box::new(refusal)))
            }
            other => other,
        };
        self.count(pull, &answer);
        answer
    }

    pub(super) async fn enforced_manifest(
        &self,
        pull: &Pull,
        policy: &Policy,
    ) -> Result<ManifestAnswer, Error> {
        let tag = match &pull.reference {
            Reference::Digest(_) => None,
            Reference::Tag(tag) => Some(tag),
        };
        let by_name = refuse_by_name(policy, &pull.name, tag, self.now());
        if let Some(judgement) = by_name.as_ref().filter(|judgement| judgement.enforced)
            && !Box::pin(self.is_opened(pull, judgement)).await?
        {
            return Err(refused(pull, None, judgement.clone()));
        }
        let answer = match &pull.reference {
            Reference::Digest(digest) => self.by_digest(pull, digest).await,
            Reference::Tag(tag) => match super::attachments::subject_of_tag(tag) {
                Some(subject) => self.attached_manifest(pull, tag, &subject).await,
                None => self.by_tag(pull, tag, policy).await,
            },
        }?;
        // The verdict about the content says the same of a repository; of a tag it says nothing.
        let by_tag = by_name.filter(|_| !answer.is_refused);
        if by_tag.is_some() {
            self.metrics().warned.increment();
        }
        Ok(answer.told(by_tag.as_ref()))
    }

    pub(super) async fn by_digest(
        &self,
        pull: &Pull,
        digest: &Digest,
    ) -> Result<ManifestAnswer, Error> {
        let subject = Self::subject(&pull.name, digest);
        if let Some(answer) = self.served_as_known(&subject).await? {
            return Ok(answer);
        }
        if let Some(answer) = self.said_manifest(&pull.name, digest).await? {
            return Ok(answer);
        }
        if let Some(answer) = self.bill_manifest(&pull.name, digest).await? {
            return Ok(answer);
        }
        if self.came_late(&subject, &pull.reference).await?
            && let Some(answer) = self.served_as_known(&subject).await?
        {
            return Ok(answer);
        }
        let judged = self.judge_held(&subject, &pull.reference, &pull.client).await?;
        if self.serves(&subject, &judged) {
            return self.serve_judged(&subject, &judged, None).await;
        }
        match judged.outcome {
            Outcome::Decided(judgement) => Err(refused(pull, Some(*digest), judgement)),
            outcome @ (Outcome::Missing(_) | Outcome::Undecided(_)) => Err(undecided(outcome)),
        }
    }

    /// What is served without judging: `subject` by its own verdict, or by that of a manifest which
    /// lists it.
    async fn served_as_known(&self, subject: &Subject) -> Result<Option<ManifestAnswer>, Error> {
        if let Some(own) = self.judged_from_stored(subject).await?
            && self.serves(subject, &own)
        {
            return self.serve_judged(subject, &own, None).await.map(Some);
        }
        match self.listed_by(&subject.name, &subject.digest).await? {
            Some(listed) => self.serve_granted(subject, &listed).await.map(Some),
            None => Ok(None),
        }
    }

    async fn serve_judged(
        &self,
        subject: &Subject,
        judged: &Judged,
        warning: Option<String>,
    ) -> Result<ManifestAnswer, Error> {
        let record = judged.record.as_deref();
        match (judged.judgement(), &judged.stale) {
            (Some(judgement), _) => self.serve_told(subject, record, judgement, warning).await,
            (None, Some(stale)) => {
                let before = warning.map(|before| format!("{before}; ")).unwrap_or_default();
                let warning = format!("{before}{}", stale.warning());
                let answer = self.serve(subject, record, Some(warning)).await?;
                self.metrics().stale_verdicts.increment();
                Ok(answer)
            }
            (None, None) => self.serve(subject, record, warning).await,
        }
    }

    async fn by_tag(
        &self,
        pull: &Pull,
        tag: &Tag,
        policy: &Policy,
    ) -> Result<ManifestAnswer, Error> {
        let follows = policy.tag_move(&pull.name) == TagMove::Strict;
        let answer = self.resolve_tag(&pull.name, tag).await?;
        let (digest, warning) = match answer {
            Answer::Upstream(digest) => (digest, None),
            Answer::Stale(digest) => {
                self.metrics().stale_tags.increment();
                (digest, Some(format!("upstream cannot be asked; {tag} is served as last known")))
            }
            Answer::Gone if follows => return Err(absent(pull)),
            Answer::Gone => {
                let note = format!("{tag} is gone upstream; the last admitted digest is served");
                return self
                    .last_admitted(pull, tag, None, note)
                    .await?
                    .ok_or_else(|| absent(pull));
            }
        };
        if self.is_unnoted_move(pull, tag, &digest).await? {
            let note =
                format!("that {tag} moved could not be written down; it is served as before");
            let before = self.last_admitted(pull, tag, Some(&digest), note).await?;
            return before.ok_or_else(|| undecided(Outcome::Undecided(Vec::new())));
        }
        let subject = Self::subject(&pull.name, &digest);
        let judged = self.judge_tagged(pull, tag, &subject).await;
        let refusal = match judged {
            Ok(judged) if self.serves(&subject, &judged) => {
                if judged.judgement().is_some_and(Judgement::admits) {
                    self.note_admitted(pull, tag, &digest).await;
                }
                return self.serve_judged(&subject, &judged, warning).await;
            }
            Ok(judged) => match judged.outcome {
                Outcome::Decided(judgement) => {
                    // By tag as by digest: an admitted manifest may list it. But what this tag stood for
                    // was signed by somebody, and no list of others makes up for that.
                    let held =
                        judgement.reasons().iter().any(|it| it.code == ReasonCode::SignerChanged);
                    if !held
                        && let Some(listed) =
                            self.listed_to_run(&pull.name, &digest, policy).await?
                    {
                        let answer = self.serve_granted(&subject, &listed).await?.beside(warning);
                        return Ok(answer);
                    }
                    refused(pull, Some(digest), judgement)
                }
                outcome @ (Outcome::Missing(_) | Outcome::Undecided(_)) => undecided(outcome),
            },
            Err(error @ Error::Absent(_)) => {
                warn!(name = %pull.name, %tag, %digest, "upstream names a digest it does not have");
                error
            }
            Err(error) => error,
        };
        if follows {
            return Err(refusal);
        }
        let note = format!("{tag} has moved upstream to {digest}, which is not admitted yet");
        match self.last_admitted(pull, tag, Some(&digest), note).await? {
            Some(answer) => {
                if let Error::Refused(refusal) = refusal {
                    self.file(*refusal, &pull.client).await;
                }
                Ok(answer)
            }
            None => Err(refusal),
        }
    }

    /// As [`Mirror::judge_held`]; what the tag was never admitted as is no last admission of it.
    async fn judge_tagged(
        &self,
        pull: &Pull,
        tag: &Tag,
        subject: &Subject,
    ) -> Result<Judged, Error> {
        let judged = self.judge_held(subject, &pull.reference, &pull.client).await?;
        if judged.stale.is_none() {
            return Ok(judged);
        }
        let admitted = self.ledger().admitted_tag(&pull.name, tag).await?;
        let stale = judged.stale.filter(|_| admitted == Some(subject.digest));
        Ok(Judged { stale, ..judged })
    }

    /// The manifest that `tag` was last admitted as, unless that is `instead_of` or may no longer be
    /// served. One that was revoked since is refused, and no older one steps in.
    async fn last_admitted(
        &self,
        pull: &Pull,
        tag: &Tag,
        instead_of: Option<&Digest>,
        note: String,
    ) -> Result<Option<ManifestAnswer>, Error> {
        let Some(digest) = self.ledger().admitted_tag(&pull.name, tag).await? else {
            return Ok(None);
        };
        if Some(&digest) == instead_of {
            return Ok(None);
        }
        let subject = Self::subject(&pull.name, &digest);
        let judged = self.judge(&subject, Freshness::Stored).await?;
        if self.serves(&subject, &judged) {
            self.metrics().stale_tags.increment();
            info!(name = %pull.name, %tag, %digest, note, "tag answered from history");
            return self.serve_judged(&subject, &judged, Some(note)).await.map(Some);
        }
        match judged.outcome {
            Outcome::Decided(judgement) if instead_of.is_none() => {
                Err(refused(pull, Some(digest), judgement))
            }
            Outcome::Decided(judgement)
                if judged.record.as_deref().is_some_and(is_refused_by_people) =>
            {
                Err(refused(pull, Some(digest), judgement))
            }
            Outcome::Decided(_) | Outcome::Missing(_) | Outcome::Undecided(_) => Ok(None),
        }
    }

    /// Whether `tag` stands for `digest` upstream, was admitted as something else, and our history does
    /// not know of the move: what was judged does not know of the tag then.
    async fn is_unnoted_move(
        &self,
        pull: &Pull,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let admitted = self.ledger().admitted_tag(&pull.name, tag).await?;
        if admitted.is_none_or(|admitted| admitted == *digest) {
            return Ok(false);
        }
        Ok(self.ledger().predecessor(&pull.name, tag, digest).await?.is_none())
    }

    pub(super) async fn note_admitted(&self, pull: &Pull, tag: &Tag, digest: &Digest) {
        if let Err(error) = self.ledger().record_admitted_tag(&pull.name, tag, digest).await {
            warn!(name = %pull.name, %tag, %digest, %error, "admitted tag not written");
        }
    }

    /// As [`Mirror::serve`], by a verdict that is told where it is in warn mode.
    async fn serve_told(
        &self,
        subject: &Subject,
        record: Option<&Record>,
        judgement: &Judgement,
        warning: Option<String>,
    ) -> Result<ManifestAnswer, Error> {
        let answer = self.serve(subject, record, warning).await?;
        let answer = answer.by(self.served_by(subject, judgement));
        if judgement.warns {
            self.metrics().warned.increment();
        }
        Ok(answer.told(Some(judgement)))
    }

    async fn serve(
        &self,
        subject: &Subject,
        record: Option<&Record>,
        warning: Option<String>,
    ) -> Result<ManifestAnswer, Error> {
        let settled = record.and_then(|record| match &record.evidence.manifest {
            Gathered::Found(facts) => Some(facts.media_type.clone()),
            Gathered::Absent | Gathered::Failed(_) | Gathered::NotGathered => None,
        });
        let bytes = self.manifest_bytes(subject).await?;
        let media_type = settled.map_or_else(|| sniffed(&bytes), Ok)?;
        let digest = subject.digest;
        let (is_refused, emergency) = (false, None);
        Ok(ManifestAnswer { digest, media_type, bytes, warning, is_refused, emergency })
    }

    pub(super) async fn serve_granted(
        &self,
        subject: &Subject,
        listed: &Listed,
    ) -> Result<ManifestAnswer, Error> {
        let bytes = self.manifest_bytes(subject).await?;
        let media_type = listed.granted.grant.media_type.clone();
        let (digest, warning, is_refused) = (subject.digest, None, false);
        let answer =
            ManifestAnswer { digest, media_type, bytes, warning, is_refused, emergency: None };
        Ok(answer.by(listed.emergency))
    }

    /// The manifest of a refused subject, for a HEAD that refuses only at GET; its bytes stay here.
    pub async fn preview(&self, refusal: &Refusal) -> Option<ManifestAnswer> {
        let subject = Self::subject(&refusal.name, &refusal.digest?);
        let record = self.ledger().record(&subject).await.ok().flatten()?;
        self.serve(&subject, Some(&record), None).await.ok()
    }

    fn count(&self, pull: &Pull, answer: &Result<ManifestAnswer, Error>) {
        let metrics = self.metrics();
        let observed = self.policy().mode_for(&pull.name, self.now()) == Mode::Audit;
        let (counter, outcome) = match answer {
            Ok(ManifestAnswer { emergency: Some(_), .. }) => {
                (&metrics.emergency_manifests, PullOutcome::BreakGlass)
            }
            Ok(answer) if observed || answer.is_refused => {
                (&metrics.manifests_observed, PullOutcome::Observed)
            }
            Ok(_) => (&metrics.manifests_admitted, PullOutcome::Admitted),
            Err(Error::Refused(refusal)) => match refusal.decision {
                Decision::Checking => (&metrics.manifests_checking, PullOutcome::Pending),
                Decision::Denied => (&metrics.manifests_denied, PullOutcome::Denied),
                Decision::Pending => (&metrics.manifests_pending, PullOutcome::Pending),
            },
            Err(Error::Absent(_)) => (&metrics.manifests_absent, PullOutcome::Denied),
            Err(Error::Malformed(_) | Error::RegistryUnknown(_) | Error::Ungranted) => {
                (&metrics.manifests_denied, PullOutcome::Denied)
            }
            Err(
                Error::Abandoned(_)
                | Error::Ledger(_)
                | Error::Overloaded
                | Error::Store(_)
                | Error::Undecided { .. }
                | Error::Upstream(_),
            ) => (&metrics.manifests_undecided, PullOutcome::Denied),
        };
        counter.increment();
        let digest = match answer {
            Ok(answer) => Some(answer.digest),
            Err(Error::Refused(refusal)) => refusal.digest,
            Err(_) => None,
        };
        if let Some(digest) = digest {
            let subject = Self::subject(&pull.name, &digest);
            self.ledger().count_pull(&subject, Arc::clone(&pull.client), outcome);
        }
    }
}

fn refused(pull: &Pull, digest: Option<Digest>, judgement: Judgement) -> Error {
    let decision = match judgement.verdict {
        Verdict::Pending(_) => Decision::Pending,
        Verdict::Admit | Verdict::Deny(_) => Decision::Denied,
    };
    Error::Refused(Box::new(Refusal {
        decision,
        name: pull.name.clone(),
        reference: pull.reference.clone(),
        digest,
        judgement: Some(judgement),
        request: None,
    }))
}

fn undecided(outcome: Outcome) -> Error {
    let reasons = match outcome {
        Outcome::Undecided(reasons) => reasons,
        Outcome::Decided(_) | Outcome::Missing(_) => Vec::new(),
    };
    Error::Undecided { reasons, retry_after: std::time::Duration::from_secs(5) }
}

fn absent(pull: &Pull) -> Error {
    Error::Absent(format!("{}:{}", pull.name, pull.reference).into())
}
