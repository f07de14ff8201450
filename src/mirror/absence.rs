//! What upstream said it does not have, so that a crowd that asks for it asks upstream once.
//!
//! Remembered for so short a time that what appears is seen soon, and forgotten at once when upstream
//! names it: absence must never hide something that is there.

use std::time::Duration;

use super::{Error, Mirror};
use crate::gate::Subject;

/// How long something that upstream does not have is not asked for again.
pub(super) const ABSENT_TTL: Duration = Duration::from_secs(10);

impl Mirror {
    /// Fails if upstream said a moment ago that it does not have `subject`.
    pub(super) fn not_absent(&self, subject: &Subject) -> Result<(), Error> {
        match self.inner.absent.get(subject) {
            Some(at) if self.clock().monotonic().saturating_sub(at) < ABSENT_TTL => {
                Err(Error::Absent(subject.to_string().into()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Remembers that upstream does not have `subject`, if that is what `outcome` says.
    pub(super) fn note_absence<T>(
        &self,
        subject: &Subject,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if matches!(outcome, Err(Error::Absent(_))) {
            self.inner.absent.set(subject.clone(), self.clock().monotonic());
        }
        outcome
    }

    /// Upstream named `subject`: it is asked for it again.
    pub(super) fn forget_absence(&self, subject: &Subject) {
        self.inner.absent.forget(subject);
    }
}
