//! A dossier: everything that is kept about one image, put together for whoever decides about it.
//!
//! It is read from what was kept with the verdict: no registry is asked for it but where the verdict
//! itself has to be reached again. What is not known is said to be so, and why.

mod before;
pub(super) mod facts;

use tracing::warn;

use super::alternatives::AlternativeView;
use super::inventory::RunsBrief;
use super::shown::Shown;
use super::target::{image, request_id};
use super::view::{AuditView, ExplainView, RequestView};
use super::{Desk, Error, PAGE_MAX};
use crate::gate::Subject;
use crate::ledger::{Decided, PullCount, PullOutcome};
use crate::oci::{Digest, ImageReference, Tag};
use crate::policy::Trust;
use crate::time::Timestamp;

pub use facts::{ImageFacts, Known, ScanFacts, SubjectFacts};

/// Counts of pulls that are put together for one image.
const PULLS_MAX: u32 = 1_000;
/// Most moves of a tag in its history.
const MOVES_MAX: usize = 20;
/// Most events in the history of a tag.
const EVENTS_MAX: usize = 60;

/// Everything about one image.
#[derive(Debug)]
pub struct Dossier {
    /// The request that was asked about, or that the image belongs to.
    pub request: Option<RequestView>,
    /// The subject; none when it was refused without a look upstream.
    pub subject: Option<Subject>,
    /// The tag under which it is looked at.
    pub tag: Option<Tag>,
    /// Rule, checks, verdict, signatures, people; none while only the request is known.
    pub explained: Option<ExplainView>,
    /// Why it could not be judged now, when that is so; what is shown is then what was kept.
    pub not_judged: Option<String>,
    /// Whose word the rule takes: `allow`, `approve` or `deny`.
    pub trust: Option<&'static str>,
    /// What it is made of.
    pub facts: Option<SubjectFacts>,
    /// What it is compared with.
    pub before: Option<Before>,
    /// Who pulled it.
    pub pulls: Vec<Pulled>,
    /// What became of its tag and of what the tag stood for, newest first.
    pub events: Vec<TagEvent>,
    /// Records about it among the last [`PAGE_MAX`] of the audit chain, newest first.
    pub audit: Vec<AuditView>,
    /// How much runs it, as clusters reported; none where no cluster did, or that cannot be told now.
    pub runs: Option<RunsBrief>,
    /// What a decision by this dossier is bound to.
    pub shown: Option<Shown>,
    /// Versions of the same line that are admitted, where this one is not.
    pub alternatives: Vec<AlternativeView>,
}

/// What an image is compared with.
#[derive(Debug)]
pub struct Before {
    /// Under which tag that is served.
    pub tag: Tag,
    /// Whether it is the tag of the image itself; else it is the nearest that was admitted.
    pub is_same_tag: bool,
    /// What it is made of.
    pub facts: SubjectFacts,
}

/// Pulls of one image by one client that came to the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Who.
    pub client: String,
    /// What it came to: `admitted`, `denied`, `observed` or `pending`.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
    /// The minute of the last.
    pub last: Timestamp,
}

/// Something that became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagEvent {
    /// When.
    pub at: Timestamp,
    /// What the tag stood for.
    pub digest: Digest,
    /// What happened.
    pub what: TagEventKind,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagEventKind {
    /// It was seen to stand for the digest from then on.
    Moved {
        /// Whether that is what it was last admitted as.
        is_admitted: bool,
    },
    /// People decided about the digest.
    Decided {
        /// `approved`, `rejected`, `revoked` or `reinstated`.
        decision: &'static str,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
}

impl Desk {
    /// Everything about `text`: a request by its number, or an image.
    ///
    /// # Errors
    /// When it is neither, there is no such thing, or the ledger cannot be read.
    pub async fn dossier(&self, text: &str) -> Result<Dossier, Error> {
        if request_id(text).is_some() {
            let (request, _) = self.request(text).await?;
            let Some(digest) = request.digest else {
                let alternatives = request.alternatives.clone();
                return Ok(Dossier { alternatives, ..blank(Some(request)) });
            };
            let subject = Subject { name: request.name.clone(), digest };
            let tag = request.tag.clone();
            return self.dossier_of(subject, tag, Some(request)).await;
        }
        let image = image(text)?;
        if let Some(explained) = self.refused_outright(&image) {
            return Ok(Dossier { explained: Some(explained), ..blank(None) });
        }
        let subject = self.subject_of(&image).await?;
        self.dossier_of(subject, super::target::tag_of(&image), None).await
    }

    async fn dossier_of(
        &self,
        subject: Subject,
        tag: Option<Tag>,
        request: Option<RequestView>,
    ) -> Result<Dossier, Error> {
        let tag = match tag {
            Some(tag) => Some(tag),
            None => self.mirror.ledger().tags_of(&subject.name, &subject.digest).await?.pop(),
        };
        let digest = tag.is_none().then_some(subject.digest);
        let asked = ImageReference { name: subject.name.clone(), tag: tag.clone(), digest };
        let (explained, not_judged) = match Box::pin(self.explain_subject(&asked, &subject)).await {
            Ok(explained) => (Some(explained), None),
            Err(Error::Ledger(error)) => return Err(Error::Ledger(error)),
            Err(error) => (None, Some(error.to_string())),
        };
        let request = match (request, explained.as_ref().and_then(|it| it.request.as_deref())) {
            (None, Some(id)) => Some(self.request(id).await?.0),
            (request, _) => request,
        };
        let facts = self.facts_of(&subject).await?;
        let looked = facts.as_ref().zip(explained.as_ref());
        let shown = looked.map(|(facts, explained)| Shown::of(explained, facts));
        let before = Box::pin(self.before(&subject, tag.as_ref())).await?;
        let events = match &tag {
            Some(tag) => self.events_of(&subject, tag).await?,
            None => Vec::new(),
        };
        let is_admitted = explained.as_ref().is_some_and(|it| it.verdict == "admit");
        let alternatives = if is_admitted {
            Vec::new()
        } else {
            self.alternatives(&subject.name, tag.as_ref(), Some(&subject.digest)).await?
        };
        let runs = self.runs_brief(&subject).await;
        Ok(Dossier {
            alternatives,
            runs,
            trust: explained.as_ref().and_then(|it| self.trust_of(it)),
            pulls: self.pulls_of(&subject).await?,
            audit: self.audit_about(&subject, request.as_ref()).await?,
            subject: Some(subject),
            request,
            tag,
            explained,
            not_judged,
            facts,
            before,
            events,
            shown,
        })
    }

    /// Whose word the rule takes that `explained` names.
    fn trust_of(&self, explained: &ExplainView) -> Option<&'static str> {
        let id = explained.rule.as_ref().map(|rule| rule.id.as_str())?;
        let policy = self.mirror.policy();
        let rule = policy.rules().iter().find(|rule| rule.id().as_str() == id)?;
        Some(match rule.trust() {
            Trust::Allow => "allow",
            Trust::Approve => "approve",
            Trust::Deny => "deny",
        })
    }

    async fn pulls_of(&self, subject: &Subject) -> Result<Vec<Pulled>, Error> {
        let counts = self.mirror.ledger().pulls(subject, PULLS_MAX).await?;
        let mut pulls: Vec<Pulled> = Vec::new();
        for PullCount { minute, client, outcome, count } in counts {
            let outcome: PullOutcome = outcome;
            let word = outcome.as_str();
            let known = pulls.iter_mut().find(|it| it.client == client && it.outcome == word);
            match known {
                Some(known) => known.count = known.count.saturating_add(count),
                None => pulls.push(Pulled { client, outcome: word, count, last: minute }),
            }
        }
        Ok(pulls)
    }

    /// What cannot be read is left out: the chain has a page of its own that says so.
    async fn audit_about(
        &self,
        subject: &Subject,
        request: Option<&RequestView>,
    ) -> Result<Vec<AuditView>, Error> {
        let page = match self.audit(None, Some(PAGE_MAX)).await {
            Ok(page) => page,
            Err(error) => {
                warn!(%subject, %error, "audit not read");
                return Ok(Vec::new());
            }
        };
        let (subject, request) = (subject.to_string(), request.map(|request| request.id.as_str()));
        let is_about = |record: &AuditView| {
            record.subject.as_ref() == Some(&subject)
                || (request.is_some() && record.request.as_deref() == request)
        };
        Ok(page.records.into_iter().rev().filter(is_about).collect())
    }

    /// What of `tag` and of what it stood for, newest first.
    async fn events_of(&self, subject: &Subject, tag: &Tag) -> Result<Vec<TagEvent>, Error> {
        let ledger = self.mirror.ledger();
        let moves = ledger.tag_history(&subject.name, tag).await?;
        let admitted = ledger.admitted_tag(&subject.name, tag).await?;
        let mut events = Vec::new();
        let mut told: Vec<Digest> = Vec::new();
        let digests =
            moves.iter().rev().take(MOVES_MAX).map(|moved| (Some(moved.seen_at), moved.digest));
        for (seen_at, digest) in digests.chain([(None, subject.digest)]) {
            if let Some(at) = seen_at {
                let what = TagEventKind::Moved { is_admitted: admitted == Some(digest) };
                events.push(TagEvent { at, digest, what });
            }
            if told.contains(&digest) {
                continue;
            }
            told.push(digest);
            let of = Subject { name: subject.name.clone(), digest };
            events.extend(ledger.decisions(&of).await?.iter().map(decided));
        }
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        events.truncate(EVENTS_MAX);
        Ok(events)
    }
}

fn decided(decided: &Decided) -> TagEvent {
    TagEvent {
        at: decided.at,
        digest: decided.subject.digest,
        what: TagEventKind::Decided {
            decision: super::explain::decision_word(decided.verb),
            by: decided.by.clone(),
            reason: decided.reason.clone(),
        },
    }
}

fn blank(request: Option<RequestView>) -> Dossier {
    Dossier {
        request,
        subject: None,
        tag: None,
        explained: None,
        not_judged: None,
        trust: None,
        facts: None,
        before: None,
        pulls: Vec::new(),
        events: Vec::new(),
        audit: Vec::new(),
        runs: None,
        shown: None,
        alternatives: Vec::new(),
    }
}
