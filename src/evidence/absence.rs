//! What upstream said, a moment ago, that it does not have.
//!
//! Looking for signatures is mostly being told that there are none, and registries that ration requests
//! count those, too. Only confirmed absence is remembered, never a failure, and for so short a time
//! that a signature is seen as soon as the subject would be looked at again anyway.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::oci::{Digest, Name, Tag};

/// How long an absence is believed, as long as a denial that rests on it.
pub(super) const ABSENT_FOR: Duration = Duration::from_mins(1);
/// Most absences that are remembered; the oldest are forgotten first.
const ABSENCES_MAX: usize = 16 * 1024;

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Absent {
    /// The repository has no referrers API. Of the repository, not the registry: one host may be many
    /// things behind a proxy.
    Api(Name),
    /// The API lists nothing about this digest.
    Referrers(Name, Digest),
    /// There is no such tag.
    Tag(Name, Tag),
}

/// Absences, each with the moment, on the monotonic clock, before which it was confirmed.
#[derive(Debug, Default)]
pub(super) struct Absences(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    since: HashMap<Absent, Duration>,
    order: VecDeque<Absent>,
}

impl Absences {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago `absent` was confirmed, if that was lately.
    pub(super) fn age(&self, absent: &Absent, now: Duration) -> Option<Duration> {
        let age = now.saturating_sub(*self.known().since.get(absent)?);
        (age < ABSENT_FOR).then_some(age)
    }

    /// Remembers that `absent` was confirmed by a request that began at `at`.
    pub(super) fn note(&self, absent: Absent, at: Duration) {
        let mut known = self.known();
        if known.since.insert(absent.clone(), at).is_some() {
            return;
        }
        known.order.push_back(absent);
        if known.order.len() > ABSENCES_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.since.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absences_are_bounded_and_end() {
        let absences = Absences::default();
        let name: Name = "up.test/lib/app".parse().unwrap();
        let absent =
            |number: usize| Absent::Referrers(name.clone(), Digest::sha256(&number.to_le_bytes()));
        let second = Duration::from_secs(1);
        for number in 0..=ABSENCES_MAX {
            absences.note(absent(number), second);
            absences.note(absent(number), second);
        }
        assert_eq!(absences.known().since.len(), ABSENCES_MAX);
        assert_eq!(absences.age(&absent(0), second), None);
        assert_eq!(absences.age(&absent(1), second * 3), Some(second * 2));
        assert_eq!(absences.age(&absent(1), second + ABSENT_FOR), None);
        absences.note(absent(1), second * 2);
        assert_eq!(absences.age(&absent(1), second + ABSENT_FOR), Some(second * 59));
        assert_eq!(absences.age(&Absent::Api(name.clone()), second), None);
    }
}
