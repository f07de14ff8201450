//! What tags stood for before they moved: what the gate compares signers with.

use super::{Error, Mirror};
use crate::gate::{Evidence, Predecessor, ReadyPolicy, Subject};
use crate::oci::Tag;
use crate::policy::SignerChange;

/// Most tags of one subject that are looked at, and most predecessors that are compared.
const TAGS_MAX: usize = 64;
const PREDECESSORS_MAX: usize = 16;

impl Mirror {
    /// What the `tags` of `subject` were last admitted as, where that was something else and anything
    /// was found to sign it.
    pub(super) async fn predecessors(
        &self,
        subject: &Subject,
        tags: &[Tag],
        policy: &ReadyPolicy,
    ) -> Result<Vec<Predecessor>, Error> {
        let mut found: Vec<Predecessor> = Vec::new();
        let holds = |rule: &&crate::policy::Rule| rule.signer_change() == SignerChange::Hold;
        if policy.signers().is_empty() || !policy.candidates(&subject.name).iter().any(holds) {
            return Ok(found);
        }
        for tag in tags.iter().take(TAGS_MAX) {
            let admitted = self.ledger().admitted_tag(&subject.name, tag).await?;
            let Some(digest) = admitted.filter(|digest| *digest != subject.digest) else {
                continue;
            };
            if found.iter().any(|before| before.digest == digest) {
                continue;
            }
            let record = self.ledger().record(&Self::subject(&subject.name, &digest)).await?;
            let Some(record) = record else { continue };
            if is_signed(&record.evidence) {
                let (tag, evidence, at) = (tag.clone(), record.evidence.clone(), record.decided_at);
                found.push(Predecessor { tag, digest, evidence, at });
            }
            if found.len() == PREDECESSORS_MAX {
                break;
            }
        }
        Ok(found)
    }
}

/// Whether anything was found to sign it, or an image that it lists.
fn is_signed(evidence: &Evidence) -> bool {
    let own = evidence.signatures.found().into_iter();
    let images = evidence.child_signatures.found();
    let images = images.into_iter().flat_map(|found| found.searches.values());
    own.chain(images).any(|search| !search.found.is_empty())
}
