//! What tags stood for before they moved: what the gate compares signers and findings with.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::line::nearest;
use super::{Error, Mirror};
use crate::gate::{Evidence, Judgement, ReadyPolicy, Subject, compares_line, tracks_fixes};
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

impl Mirror {
    /// What is admitted of the lines that `tags` of `subject` are of, where a rule compares with it: of each
    /// tag what it stood for before, and else the nearest admitted tag. What cannot be read is not there, and
    /// then nothing is said to be no worse.
    pub(super) async fn line_of(
        &self,
        subject: &Subject,
        tags: &[Tag],
        policy: &ReadyPolicy,
    ) -> Result<Vec<(Tag, Arc<Record>)>, Error> {
        if !policy.possible_demands(&subject.name).iter().any(compares_line) {
            return Ok(Vec::new());
        }
        let ledger = self.ledger();
        let admitted = ledger.admitted_tags(&subject.name).await?;
        let mut line: BTreeMap<Digest, (Tag, Arc<Record>)> = BTreeMap::new();
        for tag in tags.iter().take(PREDECESSORS_MAX) {
            let before = ledger.predecessor(&subject.name, tag, &subject.digest).await?;
            let (tag, digest) = match (before, nearest(tag, &admitted)) {
                (Some(digest), _) => (tag, Some(digest)),
                (None, Some(near)) => (near, ledger.admitted_tag(&subject.name, near).await?),
                (None, None) => continue,
            };
            let Some(digest) = digest.filter(|digest| *digest != subject.digest) else { continue };
            let record = ledger.record(&Self::subject(&subject.name, &digest)).await?;
            // Admitted once is not admitted now.
            let is_good =
                |record: &Arc<Record>| record.judgement.as_ref().is_some_and(Judgement::admits);
            if let Some(record) = record.filter(is_good) {
                line.insert(digest, (tag.clone(), record));
            }
        }
        Ok(line.into_values().collect())
    }
}

/// Whether anything was found to sign it, or an image that it lists.
fn is_signed(evidence: &Evidence) -> bool {
    let own = evidence.signatures.found().into_iter();
    let images = evidence.child_signatures.found();
    let images = images.into_iter().flat_map(|found| found.searches.values());
    own.chain(images).any(|search| !search.found.is_empty())
}
