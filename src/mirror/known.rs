//! What is known of an image without asking anybody: for whoever admits pods.
//!
//! Nothing here opens a connection, reads an image or waits for a flight. It says what a pull would say as far
//! as memory and the ledger can tell, by the same functions; what takes a look upstream is not known, and left
//! to the pull. So an answer here and the pull that follows differ only where the pull knows more.

use std::sync::Arc;

use super::judge::is_refused_by_people;
use super::resolve::Answer;
use super::{Decision, Error, Judged, Mirror, Refusal, attachments};
use crate::gate::{
    Judgement, Outcome, Reason, ReasonCode, Standing, Subject, Verdict, refuse_by_name,
};
use crate::ledger::{Record, RequestId};
use crate::oci::{Digest, ImageReference, Name, Reference, Tag};
use crate::policy::{Artifact, Isolation, Mode, TagMove};

/// What is known of an image.
#[derive(Debug, Clone)]
pub struct KnownImage {
    /// What a pull would get.
    pub standing: KnownStanding,
    /// What it is now: what is served, or what is refused.
    pub digest: Option<Digest>,
    /// The rule that says so.
    pub rule: Option<String>,
    /// Who approved it, or which break-glass it is served by.
    pub approval: Option<String>,
    /// What the rules ask of the pods that run it, each with its name and its mode.
    pub isolation: Vec<(String, Isolation, Mode)>,
}

/// What a pull would get, as far as that is known.
#[derive(Debug, Clone)]
pub enum KnownStanding {
    /// Everything: its rule only watches.
    Observed,
    /// A no of the policy or of people, or one that waits for people.
    Refused(Box<Refusal>),
    /// The manifest, with this to be told besides.
    Served(Option<String>),
    /// What a look upstream would say; and why that is needed.
    Unknown(String),
}

/// A tag as it is known here.
struct KnownTag {
    /// What it stands for now, or stood for when it was last looked at.
    now: Option<Digest>,
    /// Whether that is so lately that a pull would not look again.
    is_fresh: bool,
    /// What it was last admitted as.
    admitted: Option<Digest>,
}

impl Mirror {
    /// What a pull of `image` would get now, from what is known here alone.
    ///
    /// # Errors
    /// [`Error::RegistryUnknown`]; and when the ledger cannot be read.
    pub async fn known_image(&self, image: &ImageReference) -> Result<KnownImage, Error> {
        let name = &image.name;
        self.known(name)?;
        let policy = self.policy();
        let reference = image.reference();
        let mut known = match policy.mode_for(name, self.now()) {
            Mode::Audit => KnownImage::new(KnownStanding::Observed, None),
            Mode::Enforce | Mode::Warn => Box::pin(self.enforced_image(name, &reference)).await?,
        };
        known.isolation = self.isolation_of(&known, image).await?;
        Ok(known)
    }

    /// Files the refusal of `known` for `client`, as a refused pull does, and puts the number of the request
    /// into it.
    pub async fn file_known(&self, known: &mut KnownImage, client: &Arc<str>) {
        if let KnownStanding::Refused(refusal) = &mut known.standing {
            **refusal = self.file(Refusal::clone(refusal), client).await;
        }
    }

    /// The request that is open for the image of `known`, if there is one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn request_of_known(&self, known: &mut KnownImage) -> Result<(), Error> {
        let KnownStanding::Refused(refusal) = &mut known.standing else { return Ok(()) };
        let Some(digest) = refusal.digest else { return Ok(()) };
        let record = self.ledger().record(&Self::subject(&refusal.name, &digest)).await?;
        let request: Option<RequestId> = record.and_then(|record| record.request);
        refusal.request = refusal.request.or(request);
        Ok(())
    }

    /// The break-glass in force that covers `name` and is called `wanted`: by its number, or its ticket.
    pub fn emergency_called(&self, name: &Name, wanted: &str) -> Option<String> {
        let policy = self.policy();
        if !policy.break_glass().is_some_and(|allowed| allowed.covers(name)) {
            return None;
        }
        let ids: Vec<_> = self
            .ledger()
            .emergencies_held()
            .into_iter()
            .filter(|row| row.scope.name() == name)
            .filter(|row| row.ticket.as_deref() == Some(wanted) || row.id.to_string() == wanted)
            .map(|row| row.id)
            .collect();
        let in_force = self.emergencies_of(name);
        in_force.into_iter().find(|it| ids.contains(&it.id)).map(|it| it.id.to_string())
    }

    async fn enforced_image(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> Result<KnownImage, Error> {
        let tag = match reference {
            Reference::Digest(_) => None,
            Reference::Tag(tag) => Some(tag),
        };
        let by_name = refuse_by_name(&self.policy(), name, tag, self.now());
        if let Some(judgement) = by_name.as_ref().filter(|judgement| judgement.enforced)
            && !self.is_opened_here(name, reference, judgement).await?
        {
            return Ok(refused(name, reference, None, judgement.clone()));
        }
        let known = match reference {
            Reference::Digest(digest) => self.known_digest(name, reference, digest).await?,
            Reference::Tag(tag) => self.known_by_tag(name, reference, tag).await?,
        };
        Ok(known.told(by_name.as_ref()))
    }

    /// As [`Mirror::is_opened`], of what is known here.
    async fn is_opened_here(
        &self,
        name: &Name,
        reference: &Reference,
        judgement: &Judgement,
    ) -> Result<bool, Error> {
        let by_rule =
            |reason: &Reason| matches!(reason.code, ReasonCode::NoRule | ReasonCode::DeniedByRule);
        if !judgement.reasons().iter().all(by_rule) || !self.is_emergency_at(name) {
            return Ok(false);
        }
        let digest = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(tag) => self.known_tag(name, tag).await?.now,
        };
        let Some(digest) = digest else { return Ok(false) };
        if self.emergency_for(&Self::subject(name, &digest)).is_some() {
            return Ok(true);
        }
        Ok(self.inherited(name, &digest).await?.is_some())
    }

    /// What `digest` of `name` is: by its own verdict, or by that of a manifest which lists it.
    async fn known_digest(
        &self,
        name: &Name,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<KnownImage, Error> {
        let subject = Self::subject(name, digest);
        let own = self.judged_here(&subject).await?;
        if let Some(own) = own.as_ref().filter(|own| self.serves(&subject, own)) {
            return Ok(self.served(&subject, own, None));
        }
        if let Some(listed) = self.listed_by(name, digest).await? {
            let mut known = self.inheriting(name, &listed.granted.subject).await?;
            known.digest = Some(*digest);
            return Ok(known);
        }
        Ok(match own.map(|own| own.outcome) {
            Some(Outcome::Decided(judgement)) => refused(name, reference, Some(*digest), judgement),
            Some(_) => KnownImage::unknown("it could not be decided yet", Some(*digest)),
            None => KnownImage::unknown("it was not looked at yet", Some(*digest)),
        })
    }

    /// What is served because the manifest `list` lists it.
    async fn inheriting(&self, name: &Name, list: &Digest) -> Result<KnownImage, Error> {
        let subject = Self::subject(name, list);
        let judged = self.judged_here(&subject).await?;
        Ok(match judged {
            Some(judged) => self.served(&subject, &judged, None),
            None => KnownImage::new(KnownStanding::Served(None), None),
        })
    }

    async fn known_by_tag(
        &self,
        name: &Name,
        reference: &Reference,
        tag: &Tag,
    ) -> Result<KnownImage, Error> {
        if attachments::subject_of_tag(tag).is_some() {
            return Ok(KnownImage::unknown("the tag is one of what is attached to an image", None));
        }
        let known = self.known_tag(name, tag).await?;
        let policy = self.policy();
        let follows = policy.tag_move(name) == TagMove::Strict;
        let mut now = None;
        if let Some(digest) = known.now.filter(|_| known.is_fresh || !follows) {
            let subject = Self::subject(name, &digest);
            // A move that our history does not know of yet is for the pull to judge.
            let is_noted = known.admitted.is_none_or(|it| it == digest)
                || self.ledger().predecessor(name, tag, &digest).await?.is_some();
            let judged = if is_noted { self.judged_here(&subject).await? } else { None };
            if let Some(judged) = judged.as_ref().filter(|it| self.serves(&subject, it))
                && (judged.stale.is_none() || known.admitted == Some(digest))
            {
                return Ok(self.served(&subject, judged, None));
            }
            if let Some(listed) = self.listed_to_run_here(name, &digest, judged.as_ref()).await? {
                return Ok(listed);
            }
            now = judged;
        }
        if let Some(before) = self.admitted_before(name, reference, &known, follows).await? {
            return Ok(before);
        }
        let Some(digest) = known.now else {
            return Ok(KnownImage::unknown("the tag was not looked at yet", None));
        };
        Ok(match now.map(|judged| (judged.outcome, judged.record)) {
            Some((Outcome::Decided(judgement), record)) => {
                let people = record.as_deref().is_some_and(is_refused_by_people);
                if known.is_fresh || people || is_of_floor(&judgement) {
                    return Ok(refused(name, reference, Some(digest), judgement));
                }
                // It may have moved to something better since.
                let first = judgement.reasons().first();
                let why = first.map_or("refused", |reason| reason.text.as_str()).to_owned();
                KnownImage::unknown(&format!("when it was last looked at: {why}"), None)
            }
            Some(_) => KnownImage::unknown("it could not be decided yet", None),
            None => KnownImage::unknown("what the tag stands for was not looked at yet", None),
        })
    }

    /// What `tag` was last admitted as, where that is what a pull gets while it stands for something else or
    /// cannot be looked at.
    async fn admitted_before(
        &self,
        name: &Name,
        reference: &Reference,
        known: &KnownTag,
        follows: bool,
    ) -> Result<Option<KnownImage>, Error> {
        let Some(digest) = known.admitted.filter(|_| !follows) else { return Ok(None) };
        let subject = Self::subject(name, &digest);
        let Some(judged) = self.judged_here(&subject).await? else { return Ok(None) };
        if self.serves(&subject, &judged) {
            let moved = known.now.filter(|now| *now != digest);
            let warning = moved.map(|now| {
                format!("{reference} has moved upstream to {now}, which is not admitted yet")
            });
            return Ok(Some(self.served(&subject, &judged, warning)));
        }
        let is_people = judged.record.as_deref().is_some_and(is_refused_by_people);
        Ok(match judged.outcome {
            // Revoked since: never an older one.
            Outcome::Decided(judgement) if is_people => {
                Some(refused(name, reference, Some(digest), judgement))
            }
            Outcome::Decided(_) | Outcome::Missing(_) | Outcome::Undecided(_) => None,
        })
    }

    /// What `digest` is as a part of an admitted list that may run, as a tag may lead to it.
    async fn listed_to_run_here(
        &self,
        name: &Name,
        digest: &Digest,
        own: Option<&Judged>,
    ) -> Result<Option<KnownImage>, Error> {
        let held = own.and_then(Judged::judgement).is_some_and(|judgement| {
            judgement.reasons().iter().any(|it| it.code == ReasonCode::SignerChanged)
        });
        if held {
            return Ok(None);
        }
        let Some(listed) = self.listed_to_run(name, digest, &self.policy()).await? else {
            return Ok(None);
        };
        let mut known = self.inheriting(name, &listed.granted.subject).await?;
        known.digest = Some(*digest);
        Ok(Some(known))
    }

    /// What is judged of `subject` as far as is known, and whether it is served on while nothing can be.
    async fn judged_here(&self, subject: &Subject) -> Result<Option<Judged>, Error> {
        match self.judged_from_stored(subject).await? {
            Some(judged) => Ok(Some(judged)),
            None => self.stale_meanwhile(subject).await,
        }
    }

    async fn known_tag(&self, name: &Name, tag: &Tag) -> Result<KnownTag, Error> {
        let admitted = self.ledger().admitted_tag(name, tag).await?;
        let (now, is_fresh) = match self.resolved_lately(name, tag) {
            Some(Answer::Upstream(digest)) => (Some(digest), true),
            Some(Answer::Stale(digest)) => (Some(digest), false),
            Some(Answer::Gone) => (None, true),
            None => (self.store().seen_tag(name, tag).map(|seen| seen.digest).or(admitted), false),
        };
        Ok(KnownTag { now, is_fresh, admitted })
    }

    fn served(&self, subject: &Subject, judged: &Judged, warning: Option<String>) -> KnownImage {
        let judgement = judged.judgement();
        let emergency = judgement.and_then(|it| self.served_by(subject, it));
        let stale = judged.stale.as_ref().map(super::Stale::warning);
        let by_emergency = emergency.as_ref().map(super::emergency::warning);
        let warnings: Vec<String> = [warning, stale, by_emergency].into_iter().flatten().collect();
        let approved = judged.record.as_deref().and_then(approver);
        KnownImage {
            standing: KnownStanding::Served((!warnings.is_empty()).then(|| warnings.join("; "))),
            digest: Some(subject.digest),
            rule: judgement.and_then(|it| it.rule.as_ref().map(ToString::to_string)),
            approval: emergency.map(|it| it.id.to_string()).or(approved),
            isolation: Vec::new(),
        }
        .told(judgement)
    }

    /// What is asked of the pods that run the image: by the rule that admitted it; where that is not known yet,
    /// by the rule that would apply to it by its name and tags, as far as those are known.
    async fn isolation_of(
        &self,
        known: &KnownImage,
        image: &ImageReference,
    ) -> Result<Vec<(String, Isolation, Mode)>, Error> {
        let policy = self.policy();
        if policy.rules().iter().all(|rule| !rule.isolation().is_asked()) {
            return Ok(Vec::new());
        }
        let named = known.rule.as_deref();
        let by_verdict = policy.rules().iter().find(|rule| Some(rule.id().as_str()) == named);
        let rule = if by_verdict.is_some() {
            by_verdict
        } else {
            let mut tags: Vec<Tag> = image.tag.iter().cloned().collect();
            if let Reference::Tag(tag) = image.reference() {
                tags.push(tag);
            }
            if let Some(digest) = known.digest.or(image.digest) {
                tags.extend(self.ledger().tags_of(&image.name, &digest).await?);
            }
            policy.rule_for(&image.name, Artifact::Image, &tags)
        };
        let asked = rule.filter(|rule| rule.isolation().is_asked());
        let asked = asked
            .map(|rule| (rule.id().to_string(), rule.isolation().clone(), rule.mode(self.now())));
        Ok(asked.into_iter().collect())
    }
}

impl KnownImage {
    fn new(standing: KnownStanding, digest: Option<Digest>) -> Self {
        Self { standing, digest, rule: None, approval: None, isolation: Vec::new() }
    }

    fn unknown(why: &str, digest: Option<Digest>) -> Self {
        Self::new(KnownStanding::Unknown(why.to_owned()), digest)
    }

    /// The same, and what `judgement` would refuse told where it is in warn mode.
    fn told(mut self, judgement: Option<&Judgement>) -> Self {
        if let (KnownStanding::Served(warning), Some(text)) =
            (&mut self.standing, judgement.and_then(super::warned::warning))
        {
            *warning = Some(match warning.take() {
                Some(before) if before != text => format!("{before}; {text}"),
                Some(_) | None => text,
            });
        }
        self
    }
}

fn refused(
    name: &Name,
    reference: &Reference,
    digest: Option<Digest>,
    judgement: Judgement,
) -> KnownImage {
    let decision = match judgement.verdict {
        Verdict::Pending(_) => Decision::Pending,
        Verdict::Admit | Verdict::Deny(_) => Decision::Denied,
    };
    let rule = judgement.rule.as_ref().map(ToString::to_string);
    let (name, reference) = (name.clone(), reference.clone());
    let judgement = Some(judgement);
    let refusal = Refusal { decision, name, reference, digest, judgement, request: None };
    let standing = KnownStanding::Refused(Box::new(refusal));
    KnownImage { rule, ..KnownImage::new(standing, digest) }
}

/// Whether the floor says no to the content itself, which no other content of the tag changes.
fn is_of_floor(judgement: &Judgement) -> bool {
    judgement.reasons().iter().any(|it| it.code == ReasonCode::DeniedImage)
}

/// Who approved what is admitted, where somebody did.
fn approver(record: &Record) -> Option<String> {
    match &record.standing {
        Some(Standing::Approved { by, .. }) => Some(match record.request {
            Some(request) => format!("{request} by {by}"),
            None => by.clone(),
        }),
        Some(Standing::Rejected { .. } | Standing::Revoked { .. }) | None => None,
    }
}
