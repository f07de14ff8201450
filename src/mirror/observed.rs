//! Observe mode: everything is served, and what enforcing would have said is found out beside.

use tracing::{info, warn};

use super::manifest_bytes::sniffed;
use super::{Error, Freshness, Judged, ManifestAnswer, Mirror, Pull};
use crate::gate::{Judgement, Subject};
use crate::oci::Reference;
use crate::policy::Mode;

impl Mirror {
    /// Observe mode: served as upstream has it, judged beside, never refused and never delayed.
    pub(super) async fn observed_manifest(&self, pull: &Pull) -> Result<ManifestAnswer, Error> {
        let digest = self.resolve(&pull.name, &pull.reference).await?;
        let policy = self.policy();
        if policy.mode(self.now()) == Mode::Enforce && policy.denied_image(&digest).is_some() {
            // No rule loosens the floor, and neither does observing one.
            return self.by_digest(pull, &digest).await;
        }
        let subject = Self::subject(&pull.name, &digest);
        let known = self.judged_from_stored(&subject).await?;
        let listed = known.is_some() || self.inherited(&pull.name, &digest).await?.is_some();
        if !listed && let Some(answer) = self.said_manifest(&pull.name, &digest).await? {
            return Ok(answer);
        }
        if !listed && let Some(answer) = self.bill_manifest(&pull.name, &digest).await? {
            return Ok(answer);
        }
        let bytes = if listed {
            self.manifest_bytes(&subject).await?
        } else {
            // What is cached may be that of another repository: upstream has to have it here.
            self.refetch_manifest(&subject).await?
        };
        let media_type = sniffed(&bytes)?;
        let warning = match known.as_ref().and_then(Judged::judgement) {
            Some(judgement) if !judgement.admits() => {
                self.metrics().would_refuse.increment();
                Some(format!("would be refused: {}", first_reason(judgement)))
            }
            Some(_) => None,
            None => {
                self.judge_beside(&subject, pull);
                None
            }
        };
        if let Reference::Tag(tag) = &pull.reference
            && known.as_ref().and_then(Judged::judgement).is_some_and(Judgement::admits)
        {
            self.note_admitted(pull, tag, &digest).await;
        }
        let is_refused = warning.is_some();
        let emergency = None;
        Ok(ManifestAnswer { digest, media_type, bytes, warning, is_refused, emergency })
    }

    fn judge_beside(&self, subject: &Subject, pull: &Pull) {
        let (mirror, subject, pull) = (self.clone(), subject.clone(), pull.clone());
        drop(self.tasks().spawn(async move {
            // A child of an index that was judged is part of that verdict.
            if matches!(mirror.inherited(&subject.name, &subject.digest).await, Ok(Some(_))) {
                return;
            }
            match mirror.judge(&subject, Freshness::Stored).await {
                Ok(judged) => {
                    let refused = judged.judgement().is_some_and(|j| !j.admits());
                    if refused {
                        mirror.metrics().would_refuse.increment();
                    }
                    info!(%subject, client = %pull.client, refused, "judged beside");
                }
                Err(error) => warn!(%subject, %error, "not judged beside"),
            }
        }));
    }
}

fn first_reason(judgement: &Judgement) -> &str {
    judgement.reasons().first().map_or("", |reason| reason.text.as_str())
}
