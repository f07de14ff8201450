//! Sign-ins that are half done: the password was right, and more is to be shown.
//!
//! In memory only, by the hash of an id that the browser has; each ends by itself soon, after a few wrong
//! codes, and when it is done. How many there are is bounded, in all and for one person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::http::admin::web::session::{self, NoRandomness};
use crate::ledger::PersonId;
use crate::oci::{Digest, Secret};
use crate::people::TotpKey;
use crate::time::Timestamp;

/// How long somebody may take to find a code.
const CODE_TIME: Duration = Duration::from_mins(5);
/// How long somebody may take to choose a password and set up an authenticator.
const ENROLMENT_TIME: Duration = Duration::from_mins(30);
/// Wrong codes after which a sign-in begins again with the password.
const WRONG_MAX: u32 = 5;
/// Most that are half done; one more ends the oldest.
const PENDING_MAX: usize = 1_000;
/// Most of one person; one more ends the oldest of them.
const PENDING_PER_PERSON_MAX: usize = 5;

/// What is still to be shown.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A code of the authenticator.
    Code,
    /// A password of one's own, and a code by this new key.
    Enrolment(TotpKey),
}

/// A sign-in that is half done.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// Who.
    pub(super) id: PersonId,
    /// The name that they signed in with.
    pub(super) name: String,
    /// Since when it is the same somebody.
    pub(super) since: Timestamp,
    /// What is next.
    pub(super) step: Step,
    /// Where to go then.
    pub(super) next: String,
    form_token: Arc<Secret>,
    begun: Duration,
    wrong: u32,
}

impl Waiting {
    /// What its form carries.
    pub(super) fn form_token(&self) -> &str {
        self.form_token.expose()
    }

    /// Whether `presented` is that, in the same time whatever it is.
    pub(super) fn sent(&self, presented: &str) -> bool {
        verify_slices_are_equal(self.form_token().as_bytes(), presented.as_bytes()).is_ok()
    }

    fn is_over(&self, now: Duration) -> bool {
        let most = match self.step {
            Step::Code => CODE_TIME,
            Step::Enrolment(_) => ENROLMENT_TIME,
        };
        now.saturating_sub(self.begun) >= most || self.wrong >= WRONG_MAX
    }
}

/// The sign-ins that are half done.
#[derive(Debug, Default)]
pub(super) struct Pendings {
    by_id: Mutex<HashMap<Digest, Waiting>>,
}

impl Pendings {
    /// Begins one, and gives its id, which is told this once.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn begin(
        &self,
        (id, since): (PersonId, Timestamp),
        name: &str,
        step: Step,
        next: &str,
        now: Duration,
    ) -> Result<Secret, NoRandomness> {
        let (secret, form_token) = (session::random()?, Arc::new(session::random()?));
        let (name, next) = (name.to_owned(), next.to_owned());
        let waiting = Waiting { id, name, since, step, next, form_token, begun: now, wrong: 0 };
        let mut by_id = self.lock();
        by_id.retain(|_, waiting| !waiting.is_over(now));
        let own = by_id.values().filter(|it| it.id == waiting.id).count();
        if own >= PENDING_PER_PERSON_MAX {
            end_oldest(&mut by_id, |it| it.id == waiting.id);
        }
        if by_id.len() >= PENDING_MAX {
            end_oldest(&mut by_id, |_| true);
        }
        by_id.insert(session::hash(secret.expose()), waiting);
        Ok(secret)
    }

    /// The one of `id`, unless it is over.
    pub(super) fn get(&self, id: &str, now: Duration) -> Option<Waiting> {
        self.lock().get(&session::hash(id)).filter(|waiting| !waiting.is_over(now)).cloned()
    }

    /// Counts a wrong code of the one of `id`.
    pub(super) fn wrong(&self, id: &str) {
        if let Some(waiting) = self.lock().get_mut(&session::hash(id)) {
            waiting.wrong = waiting.wrong.saturating_add(1);
        }
    }

    /// Ends the one of `id`.
    pub(super) fn end(&self, id: &str) {
        self.lock().remove(&session::hash(id));
    }

    /// Ends all of `person`.
    pub(super) fn end_all(&self, person: &PersonId) {
        self.lock().retain(|_, waiting| waiting.id != *person);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Waiting>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_oldest(by_id: &mut HashMap<Digest, Waiting>, meant: impl Fn(&Waiting) -> bool) {
    let of_those = by_id.iter().filter(|(_, waiting)| meant(waiting));
    let oldest = of_those.min_by_key(|(_, waiting)| waiting.begun).map(|(id, _)| *id);
    if let Some(oldest) = oldest {
        by_id.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn begin(pendings: &Pendings, name: &str, step: Step, now: Duration) -> Secret {
        let id = PersonId::Local { name: name.to_owned() };
        let who = (id, Timestamp::from_milliseconds(1));
        pendings.begin(who, name, step, "/", now).unwrap()
    }

    #[test]
    fn one_ends_by_time_by_wrong_codes_and_when_it_is_done() {
        let pendings = Pendings::default();
        let id = begin(&pendings, "alice", Step::Code, START);
        assert!(pendings.get(id.expose(), START).is_some());
        assert!(pendings.get("x", START).is_none());
        assert!(pendings.get(id.expose(), START + CODE_TIME).is_none());
        let enrolment = Step::Enrolment(TotpKey::generate().unwrap());
        let longer = begin(&pendings, "alice", enrolment, START);
        assert!(pendings.get(longer.expose(), START + CODE_TIME).is_some());
        assert!(pendings.get(longer.expose(), START + ENROLMENT_TIME).is_none());
        for _ in 0..WRONG_MAX {
            assert!(pendings.get(longer.expose(), START).is_some());
            pendings.wrong(longer.expose());
        }
        assert!(pendings.get(longer.expose(), START).is_none());
        pendings.end(id.expose());
        assert!(pendings.get(id.expose(), START).is_none());
    }

    #[test]
    fn there_are_never_too_many_and_nothing_kept_opens_anything() {
        let pendings = Pendings::default();
        let first = begin(&pendings, "alice", Step::Code, START);
        assert!(!format!("{pendings:?}").contains(first.expose()));
        for number in 0..50 {
            begin(&pendings, "bob", Step::Code, START + Duration::from_millis(number));
        }
        assert!(pendings.get(first.expose(), START).is_some());
        assert_eq!(pendings.lock().len(), 1 + PENDING_PER_PERSON_MAX);
        for number in 0..2_000 {
            begin(&pendings, &format!("p{number}"), Step::Code, START);
        }
        assert_eq!(pendings.lock().len(), PENDING_MAX);
    }
}
