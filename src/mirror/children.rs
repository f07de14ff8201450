//! Children of an admitted index that upstream did not have when the index was judged.
//!
//! Such a child has no grant and no verdict. When it is asked for it is looked for again, as part of
//! the index that lists it, so that it inherits like its siblings instead of needing a signature or an
//! approval of its own; no more often than any absence is looked at again.

use super::judge::still_checking;
use super::{Error, Mirror};
use crate::gate::{EvidenceKind, Subject};
use crate::oci::Reference;

impl Mirror {
    /// Looks for `subject`, which has no record, below the admitted indexes that list it; gives
    /// whether one was gathered again, so that there may be a grant now.
    ///
    /// # Errors
    /// [`Error::Absent`] when it was missing a moment ago.
    pub(super) async fn came_late(
        &self,
        subject: &Subject,
        asked: &Reference,
    ) -> Result<bool, Error> {
        if self.ledger().record(subject).await?.is_some() {
            return Ok(false);
        }
        self.not_absent(subject)?;
        let (mirror, wanted) = (self.clone(), subject.clone());
        let late = self.inner.late.join(subject.clone(), || async move {
            Box::pin(mirror.look_below_indexes(&wanted)).await
        })?;
        match tokio::time::timeout(self.inner.settings.hold_timeout, late.landed()).await {
            Ok(landed) => landed?,
            Err(_elapsed) => Err(still_checking(subject, asked)),
        }
    }

    async fn look_below_indexes(&self, child: &Subject) -> Result<bool, Error> {
        let mut gathered = false;
        for index in self.ledger().listing(&child.name, &child.digest).await? {
            let index = Self::subject(&child.name, &index);
            let Some(judged) = self.judged_from_stored(&index).await? else { continue };
            let Some(record) = judged.record.as_ref().filter(|_| self.serves(&index, &judged))
            else {
                continue;
            };
            if self.was_gathered_lately(&record.evidence) {
                return Err(Error::Absent(child.to_string().into()));
            }
            self.gather_more(record, &[EvidenceKind::Manifest]).await?;
            gathered = true;
        }
        Ok(gathered)
    }
}
