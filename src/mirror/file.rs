//! Filing: a refused pull leaves a request behind, without being asked to.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::{Decision, Mirror, Refusal};
use crate::gate::{Reason, Verdict};
use crate::ledger::{Filing, RequestId, RequestState};
use crate::oci::{Digest, Name, Reference, Tag};

/// The same refusal of the same client within this time is not filed again, unless a request was closed since.
const FILED_AGAIN: Duration = Duration::from_secs(30);

/// What a refusal was filed as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filed {
    request: RequestId,
    at: Duration,
    /// How many requests were closed by then: it may be among those that were closed since.
    closed: u64,
}

/// Who was refused what.
pub(crate) type FiledKey = (Name, Reference, Option<Digest>, Decision, Arc<str>);

impl Mirror {
    /// Files `refusal` for `client` and puts the request's id into it.
    ///
    /// A ledger that cannot write does not change the answer: the refusal goes out without an id.
    pub(super) async fn file(&self, mut refusal: Refusal, client: &Arc<str>) -> Refusal {
        let key = (
            refusal.name.clone(),
            refusal.reference.clone(),
            refusal.digest,
            refusal.decision,
            Arc::clone(client),
        );
        let now = self.clock().monotonic();
        let closed = self.ledger().requests_closed();
        if let Some(filed) = self.inner.filed.get(&key)
            && now.saturating_sub(filed.at) < FILED_AGAIN
            && filed.closed == closed
        {
            refusal.request = Some(filed.request);
            return refusal;
        }
        match self.ledger().file_request(filing(&refusal, client)).await {
            Ok(request) => {
                self.inner.filed.set(key, Filed { request, at: now, closed });
                self.inner.filed_now.notify_one();
                refusal.request = Some(request);
            }
            Err(error) => warn!(name = %refusal.name, %error, "request not filed"),
        }
        refusal
    }
}

impl Mirror {
    /// Returns when a request was filed since this was last asked.
    pub(super) async fn request_filed(&self) {
        self.inner.filed_now.notified().await;
    }
}

fn filing(refusal: &Refusal, client: &Arc<str>) -> Filing {
    let state = match refusal.decision {
        Decision::Checking | Decision::Pending => RequestState::Pending,
        Decision::Denied => RequestState::Denied,
    };
    Filing {
        name: refusal.name.clone(),
        reference: refusal.reference.clone(),
        digest: refusal.digest,
        tag: tag_of(&refusal.reference),
        state,
        rule: refusal
            .judgement
            .as_ref()
            .and_then(|judgement| judgement.rule.as_ref().map(ToString::to_string)),
        reasons: reasons_of(refusal),
        client: client.to_string(),
        note: None,
        requester: None,
        group: None,
        ticket: None,
    }
}

fn tag_of(reference: &Reference) -> Option<Tag> {
    match reference {
        Reference::Digest(_) => None,
        Reference::Tag(tag) => Some(tag.clone()),
    }
}

fn reasons_of(refusal: &Refusal) -> Vec<Reason> {
    match refusal.judgement.as_ref().map(|judgement| &judgement.verdict) {
        Some(Verdict::Deny(reasons) | Verdict::Pending(reasons)) => reasons.clone(),
        Some(Verdict::Admit) | None => Vec::new(),
    }
}
