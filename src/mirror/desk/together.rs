//! Several requests at once: what of each is shown to somebody who decides about all of them in one go.
//!
//! Each decision is one of its own, and holds for what was shown of its own request.

use std::collections::BTreeMap;

use super::queue::QueueFilter;
use super::shown::{Shown, severities};
use super::view::{ReasonView, RequestView};
use super::{Desk, Error};
use crate::gate::Subject;
use crate::oci::ImageReference;

/// Most requests that are decided about in one go.
pub const TOGETHER_MAX: usize = 50;

/// What is shown of one of several requests.
#[derive(Debug)]
pub struct Brief {
    /// The request.
    pub request: RequestView,
    /// What is so now; none where it cannot be judged, or has no digest.
    pub judged: Option<Judged>,
    /// Why it cannot be judged, where that is so.
    pub not_judged: Option<String>,
}

/// What is so now about one of several requests.
#[derive(Debug)]
pub struct Judged {
    /// `admit`, `pending`, `deny` or `undecided`.
    pub verdict: String,
    /// What speaks against it.
    pub reasons: Vec<ReasonView>,
    /// How many findings, by how bad they are; none where it was not scanned.
    pub findings: Option<BTreeMap<String, u64>>,
    /// What a decision is bound to, in short.
    pub shown: Shown,
}

impl Desk {
    /// What is shown of each of `requests`, in their order, each once.
    ///
    /// # Errors
    /// [`Error::TooManyTogether`]; when there is no such request, or the ledger cannot be read.
    pub async fn briefs(&self, requests: &[String]) -> Result<Vec<Brief>, Error> {
        let mut briefs: Vec<Brief> = Vec::new();
        if requests.len() > TOGETHER_MAX {
            return Err(Error::TooManyTogether { limit: TOGETHER_MAX });
        }
        for text in requests {
            let (request, _) = self.request(text).await?;
            if briefs.iter().all(|brief| brief.request.id != request.id) {
                briefs.push(Box::pin(self.brief(request)).await?);
            }
        }
        Ok(briefs)
    }

    /// The newest requests of `group` that wait for people, at most [`TOGETHER_MAX`], and whether there are
    /// more.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn waiting_in(&self, group: &str) -> Result<(Vec<String>, bool), Error> {
        let state = Some("pending".to_owned());
        let mut filter =
            QueueFilter { state, group: Some(group.to_owned()), ..QueueFilter::default() };
        let mut ids = Vec::new();
        loop {
            let page = self.queue(&filter).await?;
            ids.extend(page.requests.into_iter().map(|request| request.id));
            filter.before = page.next;
            if filter.before.is_none() || ids.len() > TOGETHER_MAX {
                break;
            }
        }
        let goes_on = ids.len() > TOGETHER_MAX || filter.before.is_some();
        ids.truncate(TOGETHER_MAX);
        Ok((ids, goes_on))
    }

    async fn brief(&self, request: RequestView) -> Result<Brief, Error> {
        let Some(digest) = request.digest else {
            return Ok(Brief { request, judged: None, not_judged: None });
        };
        let (name, tag) = (request.name.clone(), request.tag.clone());
        let subject = Subject { name: name.clone(), digest };
        let digest = tag.is_none().then_some(digest);
        let image = ImageReference { name, tag, digest };
        let explained = match Box::pin(self.explain_subject(&image, &subject)).await {
            Ok(explained) => explained,
            Err(Error::Ledger(error)) => return Err(Error::Ledger(error)),
            Err(error) => {
                let not_judged = Some(error.to_string());
                return Ok(Brief { request, judged: None, not_judged });
            }
        };
        let Some(facts) = self.facts_of(&subject).await? else {
            let not_judged = Some("nothing is kept about what it is made of".to_owned());
            return Ok(Brief { request, judged: None, not_judged });
        };
        let judged = Judged {
            findings: severities(&facts),
            shown: Shown::of(&explained, &facts).brief(),
            verdict: explained.verdict,
            reasons: explained.reasons,
        };
        Ok(Brief { request, judged: Some(judged), not_judged: None })
    }
}
