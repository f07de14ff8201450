//! What tags stood for before they moved: what the gate compares signers and findings with.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::{Error, Mirror};
use crate::gate::{Evidence, ReadyPolicy, Subject, tracks_fixes};
use crate::ledger::Record;
use crate::oci::{Digest, Tag};
use crate::policy::SignerChange;

/// Most digests that the tags of one subject may have stood for.
const PREDECESSORS_MAX: usize = 16;

/// What tags that stand for a subject now were last admitted as.
pub(super) enum Predecessors {
    /// These, where there is anything to compare with, each with a tag.
    Known(Vec<(Tag, Arc<Record>)>),
    /// It could not be found out; why.
    Unknown(String),
}

impl Mirror {
    /// What those of `tags` that stand for `subject` now were last admitted as, where that was something
    /// else.
    pub(super) async fn predecessors(
        &self,
        subject: &Subject,
        tags: &[Tag],
        policy: &ReadyPolicy,
    ) -> Result<Predecessors, Error> {
        let possible = policy.possible_demands(&subject.name);
        let holds = possible.iter().any(|it| it.signer_change() == SignerChange::Hold);
        let compares = possible.iter().any(tracks_fixes);
        if policy.signers().is_empty() || !(holds || compares) {
            return Ok(Predecessors::Known(Vec::new()));
        }
        let mut digests: BTreeMap<Digest, &Tag> = BTreeMap::new();
        for tag in tags {
            let before = self.ledger().predecessor(&subject.name, tag, &subject.digest).await?;
            if let Some(digest) = before {
                digests.entry(digest).or_insert(tag);
            }
        }
        if digests.len() > PREDECESSORS_MAX && !holds {
            return Ok(Predecessors::Known(Vec::new()));
        }
        if digests.len() > PREDECESSORS_MAX {
            let text = format!("its tags stood for {} others before", digests.len());
            return Ok(Predecessors::Unknown(text));
        }
        let mut known = Vec::new();
        for (digest, tag) in digests {
            match self.ledger().record(&Self::subject(&subject.name, &digest)).await {
                Ok(Some(record)) if compares || is_signed(&record.evidence) => {
                    known.push((tag.clone(), record));
                }
                Ok(_) => {}
                // Then nothing is said to be fixed.
                Err(_) if !holds => {}
                Err(error) => {
                    warn!(%subject, %tag, %digest, %error, "what the tag stood for is not readable");
                    let text = format!("what {tag} stood for before cannot be read");
                    return Ok(Predecessors::Unknown(text));
                }
            }
        }
        Ok(Predecessors::Known(known))
    }
}

/// Whether anything was found to sign it, or an image that it lists.
fn is_signed(evidence: &Evidence) -> bool {
    let own = evidence.signatures.found().into_iter();
    let images = evidence.child_signatures.found();
    let images = images.into_iter().flat_map(|found| found.searches.values());
    own.chain(images).any(|search| !search.found.is_empty())
}
