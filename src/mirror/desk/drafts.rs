//! Drafts: a request for a newer version of what people approved, filed by the mirror itself before anybody's
//! pull is refused, where an approval policy follows tags (`tagFollow`).
//!
//! A draft is a request as any other: it waits for the same people, and what was approved before counts for
//! nothing in it. Whoever asked for the version before has asked for this one, too, so that following a tag
//! makes nobody an approver of what they wanted.

use tracing::{info, warn};

use super::outdated::{OutdatedImage, OutdatedView};
use super::{Desk, Error};
use crate::gate::{Outcome, Standing, Subject, Verdict};
use crate::ledger::{Filing, PersonId, Record, RequestState};
use crate::oci::{ImageReference, Reference, Tag};
use crate::policy::TagFollow;

/// Most drafts that one look files.
const DRAFTS_MAX: usize = 50;
/// Most tags that one look asks a registry about.
const TAGS_MAX: usize = 200;
/// By whom drafts are filed.
const BY: &str = "mirror";

impl Desk {
    /// Files a draft for each version that approval policies follow and nobody asked for yet; gives how many
    /// that were. What cannot be resolved or judged now is looked at the next time.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn draft_newer(&self, view: &OutdatedView) -> Result<usize, Error> {
        let (mut filed, mut asked) = (0, 0);
        for image in &view.images {
            if self.mirror.tasks().is_stopping() {
                break;
            }
            for tag in self.followed(image).await? {
                if filed >= DRAFTS_MAX || asked >= TAGS_MAX {
                    warn!(
                        filed,
                        asked, "not every newer version was looked at; the rest is the next time"
                    );
                    return Ok(filed);
                }
                asked += 1;
                match Box::pin(self.draft(image, &tag)).await {
                    Ok(is_filed) => filed += usize::from(is_filed),
                    Err(error) => warn!(name = %image.name, %tag, %error, "no draft was filed"),
                }
            }
        }
        if filed > 0 {
            info!(filed, "newer versions of what is approved wait for people");
        }
        Ok(filed)
    }

    /// The tags that are followed from `image`: newer versions within the step that its approval policy says,
    /// where people approved it.
    async fn followed(&self, image: &OutdatedImage) -> Result<Vec<Tag>, Error> {
        let subject = Subject { name: image.name.clone(), digest: image.digest };
        let record = self.mirror.ledger().record(&subject).await?;
        let is_approved = |record: &Record| {
            matches!(record.standing, Some(Standing::Approved { .. })) && !record.has_run_out()
        };
        let Some(record) = record.filter(|record| is_approved(record)) else {
            return Ok(Vec::new());
        };
        let policy = self.mirror.policy();
        let rule = record.judgement.as_ref().and_then(|judgement| judgement.rule.as_ref());
        let rule = rule.and_then(|id| policy.rules().iter().find(|rule| rule.id() == id));
        let follow = rule.and_then(|rule| rule.approval()).map(|it| it.tag_follow());
        let follow = follow.unwrap_or_default();
        let newer = image.newer.iter().filter(|newer| follow.follows(&newer.step));
        Ok(newer.map(|newer| newer.tag.clone()).collect())
    }

    /// Files a draft for what `tag` stands for now, if that waits for people and nobody asked for it.
    async fn draft(&self, from: &OutdatedImage, tag: &Tag) -> Result<bool, Error> {
        let name = from.name.clone();
        let image = ImageReference { name: name.clone(), tag: Some(tag.clone()), digest: None };
        if self.outright(&image).is_some() {
            return Ok(false);
        }
        let subject = self.subject_of(&image).await?;
        let ledger = self.mirror.ledger();
        if subject.digest == from.digest {
            return Ok(false);
        }
        if ledger.record(&subject).await?.is_some_and(|record| record.request.is_some()) {
            return Ok(false);
        }
        ledger.record_tag(&name, tag, &subject.digest).await?;
        let Outcome::Decided(judgement) = self.judge(&subject).await?.outcome else {
            return Ok(false);
        };
        let Verdict::Pending(reasons) = &judgement.verdict else { return Ok(false) };
        let mut filing = Filing {
            name,
            reference: Reference::Tag(tag.clone()),
            digest: Some(subject.digest),
            tag: Some(tag.clone()),
            state: RequestState::Pending,
            rule: judgement.rule.as_ref().map(ToString::to_string),
            reasons: reasons.clone(),
            client: BY.to_owned(),
            note: Some(format!("newer than {}, which is approved; nobody pulled it yet", from.tag)),
            requester: None,
            group: None,
            ticket: None,
        };
        for person in self.requesters_of(from).await?.into_iter().map(Some).chain([None]) {
            filing.requester = person;
            ledger.file_request(filing.clone()).await?;
        }
        Ok(true)
    }

    /// Who asked for what is approved.
    async fn requesters_of(&self, from: &OutdatedImage) -> Result<Vec<PersonId>, Error> {
        let ledger = self.mirror.ledger();
        let subject = Subject { name: from.name.clone(), digest: from.digest };
        let Some(request) = ledger.record(&subject).await?.and_then(|record| record.request) else {
            return Ok(Vec::new());
        };
        Ok(ledger.request(request).await?.map(|row| row.requesters).unwrap_or_default())
    }
}

impl TagFollow {
    /// Whether a version that is `step` away is followed.
    fn follows(self, step: &str) -> bool {
        match self {
            Self::None => false,
            Self::Patch => matches!(step, "same-tag" | "patch"),
            Self::Minor => matches!(step, "same-tag" | "patch" | "minor"),
        }
    }
}
