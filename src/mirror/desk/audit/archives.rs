//! Old records that leave the database, at somebody's wish.

use super::super::decide::check_reason;
use super::super::{Desk, Error};
use super::view::{ArchiveBody, ArchivedView, SegmentView, SegmentsView};
use crate::ledger::{Archiving, Segment};

impl Desk {
    /// Moves old records out of the database, or says which would go. One at a time.
    ///
    /// # Errors
    /// [`Error::ReasonForm`]; else when the chain is damaged, or the disk or the ledger fails.
    pub async fn archive_audit(&self, body: ArchiveBody, by: &str) -> Result<ArchivedView, Error> {
        if let Some(reason) = &body.reason {
            check_reason(reason)?;
        }
        let ledger = self.mirror.ledger();
        if body.dry_run {
            let plan = ledger.plan_archive(body.before).await?;
            let records = (plan.to + 1).saturating_sub(plan.from);
            let is_any = records > 0;
            return Ok(ArchivedView {
                dry_run: true,
                records,
                from: is_any.then_some(plan.from),
                to: is_any.then_some(plan.to),
                first_at: plan.times.map(|(first, _)| first),
                last_at: plan.times.map(|(_, last)| last),
                segments: Vec::new(),
                held_by: plan.held.map(|held| held.by),
            });
        }
        let (before, reason) = (body.before, body.reason);
        let archived = ledger.archive(Archiving { before, by: by.to_owned(), reason }).await?;
        let segments = archived.segments;
        Ok(ArchivedView {
            dry_run: false,
            records: segments.iter().map(|segment| segment.to + 1 - segment.from).sum(),
            from: segments.first().map(|segment| segment.from),
            to: segments.last().map(|segment| segment.to),
            first_at: segments.first().map(|segment| segment.first_at),
            last_at: segments.last().map(|segment| segment.last_at),
            segments: segments.into_iter().map(|segment| view(segment, true)).collect(),
            held_by: archived.held.map(|held| held.by),
        })
    }

    /// The files with records that left the database.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn audit_segments(&self) -> Result<SegmentsView, Error> {
        let segments = self.mirror.ledger().segments().await?;
        let begins = segments.last().map_or(1, |(last, _)| last.to + 1);
        let segments = segments.into_iter().map(|(segment, here)| view(segment, here)).collect();
        Ok(SegmentsView { segments, begins })
    }
}

fn view(segment: Segment, here: bool) -> SegmentView {
    SegmentView {
        from: segment.from,
        to: segment.to,
        file: segment.file,
        bytes: segment.bytes,
        digest: segment.digest,
        first_at: segment.first_at,
        last_at: segment.last_at,
        archived_at: segment.archived_at,
        recorded: segment.recorded,
        here,
    }
}
