//! Approvals that end soon, as people see them.

use std::time::Duration;

use super::view::EndingView;
use super::{Desk, Error, PAGE_MAX};
use crate::ledger::{ENDING_STEPS_DAYS, Ending};
use crate::oci::ImageReference;

impl Desk {
    /// Approvals that end within 14 days, of images that are still pulled, soonest first, at most `limit`
    /// (up to a thousand).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn endings(&self, limit: u32) -> Result<Vec<EndingView>, Error> {
        let days = ENDING_STEPS_DAYS.into_iter().max().unwrap_or(0);
        let within = Duration::from_hours(24 * days);
        let ledger = self.mirror.ledger();
        let found = ledger.endings(self.mirror.now(), within, limit.min(PAGE_MAX)).await?;
        let mut views = Vec::with_capacity(found.len());
        for Ending { subject, by, ends, request, last_pulled, .. } in found {
            let tag = ledger.tags_of(&subject.name, &subject.digest).await?.into_iter().next();
            let image = ImageReference { name: subject.name.clone(), tag, digest: None };
            views.push(EndingView {
                image: image.to_string(),
                name: subject.name,
                digest: subject.digest,
                approved_by: by,
                ends,
                request: request.map(|id| id.to_string()),
                last_pulled,
            });
        }
        Ok(views)
    }
}
