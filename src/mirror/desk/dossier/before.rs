//! With what an image is compared: what its tag is served as now, or else the nearest tag.

use super::Before;
use crate::gate::Subject;
use crate::mirror::desk::{Desk, Error};
use crate::mirror::line::nearest;
use crate::oci::Tag;

impl Desk {
    /// What is admitted now under `tag`, if that is something else than `subject`; else the admitted tag
    /// of the repository that is nearest below it in the same line.
    pub(super) async fn before(
        &self,
        subject: &Subject,
        tag: Option<&Tag>,
    ) -> Result<Option<Before>, Error> {
        let Some(tag) = tag else { return Ok(None) };
        let ledger = self.mirror.ledger();
        match ledger.admitted_tag(&subject.name, tag).await? {
            Some(digest) if digest == subject.digest => return Ok(None),
            Some(digest) => {
                let of = Subject { name: subject.name.clone(), digest };
                if let Some(facts) = self.facts_of(&of).await? {
                    return Ok(Some(Before { tag: tag.clone(), is_same_tag: true, facts }));
                }
            }
            None => {}
        }
        let tags = ledger.admitted_tags(&subject.name).await?;
        let Some(nearest) = nearest(tag, &tags) else { return Ok(None) };
        let Some(digest) = ledger.admitted_tag(&subject.name, nearest).await? else {
            return Ok(None);
        };
        if digest == subject.digest {
            return Ok(None);
        }
        let of = Subject { name: subject.name.clone(), digest };
        let facts = self.facts_of(&of).await?;
        Ok(facts.map(|facts| Before { tag: nearest.clone(), is_same_tag: false, facts }))
    }
}
