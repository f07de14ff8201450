//! Filing: a refused pull leaves a request behind, without being asked to.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::{Decision, Mirror, Refusal};
use crate::gate::{Reason, Verdict};
use crate::ledger::{Filing, RequestState};
use crate::oci::{Digest, Name, Reference, Tag};

/// The same refusal of the same client within this time is counted, not written.
const FILED_AGAIN: Duration = Duration::from_secs(30);

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
        if let Some((request, at)) = self.inner.filed.get(&key)
            && now.saturating_sub(at) < FILED_AGAIN
        {
            refusal.request = Some(request);
            return refusal;
        }
        match self.ledger().file_request(filing(&refusal, client)).await {
            Ok(request) => {
                self.inner.filed.set(key, (request, now));
                refusal.request = Some(request);
            }
            Err(error) => warn!(name = %refusal.name, %error, "request not filed"),
        }
        refusal
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
