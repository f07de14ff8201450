//! Sessions of people in a browser, in memory and nowhere else.
//!
//! Promises: of a session the server keeps a hash only, so that what is in memory opens nothing; a
//! session ends when it rests, when it is old, when its owner signs out, when the program ends, and at
//! once when who began it may not come in any more; how many there are is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ledger::{Caller, Permission, PersonId};
use crate::mirror::desk::emergencies::view::BreakGlassView;
use crate::oci::{Digest, Secret};
use crate::time::Timestamp;

/// How long a session may rest.
pub(super) const REST_MAX: Duration = Duration::from_mins(30);
/// How long a session may last, however much it is used.
pub(super) const LIFE_MAX: Duration = Duration::from_hours(12);
/// Most sessions; one more ends the one that rested longest.
const SESSIONS_MAX: usize = 1_000;
/// Most sessions of one person; one more ends the one of them that rested longest.
const SESSIONS_PER_PERSON_MAX: usize = 20;
/// Random bytes in the id of a session, and in what its forms carry.
const ID_BYTES: usize = 32;
/// Longest id that is looked at, in bytes: ours are 43.
const ID_LENGTH_MAX: usize = 64;

/// How long a sign-in at the provider that was asked for once more counts as one.
const PROOF_LIFE: Duration = Duration::from_mins(5);

/// The operating system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes can be had")]
pub(super) struct NoRandomness;

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is, as of now.
    pub(super) caller: Caller,
    /// The break-glasses that wait, are in force, or nobody has reviewed.
    pub(super) emergencies: Vec<BreakGlassView>,
    /// Whether they signed in at their provider once more, a moment ago.
    pub(super) has_proved: bool,
    form_token: Arc<Secret>,
}

impl Visitor {
    /// What every form that changes something carries.
    pub(super) fn form_token(&self) -> &str {
        self.form_token.expose()
    }

    /// Whether `presented` is that, in the same time whatever it is.
    pub(super) fn sent(&self, presented: &str) -> bool {
        verify_slices_are_equal(self.form_token().as_bytes(), presented.as_bytes()).is_ok()
    }

    /// The break-glasses in force.
    pub(super) fn open_emergencies(&self) -> Vec<BreakGlassView> {
        let open = self.emergencies.iter().filter(|it| it.state == "open");
        open.cloned().collect()
    }

    /// Whether they may decide.
    pub(super) fn may_decide(&self) -> bool {
        self.caller.may(Permission::Decide)
    }
}

/// The sessions there are.
#[derive(Debug, Default)]
pub(in crate::http::admin) struct Sessions {
    /// By the hash of the id that the browser has.
    open: Mutex<HashMap<Digest, Session>>,
}

#[derive(Debug)]
struct Session {
    person: PersonId,
    person_since: Timestamp,
    form_token: Arc<Secret>,
    since: Duration,
    used: Duration,
    /// When its owner proved once more who they are.
    proved: Option<Duration>,
}

/// A session, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnSession {
    /// Whether it is the one that asks.
    pub(super) is_this: bool,
    /// How long ago it began.
    pub(super) age: Duration,
    /// How long it has not been used.
    pub(super) rest: Duration,
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= REST_MAX || now.saturating_sub(self.since) >= LIFE_MAX
    }
}

impl Sessions {
    /// Begins a session for `caller`, at `now` (monotonic); gives its id, which is told this once.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn begin(&self, caller: &Caller, now: Duration) -> Result<Secret, NoRandomness> {
        let (id, form_token) = (random()?, Arc::new(random()?));
        let mut open = self.open();
        open.retain(|_, session| !session.is_over(now));
        let is_own = |session: &Session| session.person == caller.id;
        if open.values().filter(|session| is_own(session)).count() >= SESSIONS_PER_PERSON_MAX {
            end_one(&mut open, is_own);
        }
        if open.len() >= SESSIONS_MAX {
            end_one(&mut open, |_| true);
        }
        let (person, person_since) = (caller.id.clone(), caller.since);
        let (since, used, proved) = (now, now, None);
        let session = Session { person, person_since, form_token, since, used, proved };
        open.insert(hash(id.expose()), session);
        Ok(id)
    }

    /// Notes that the owner of the session `id` proved once more who they are.
    pub(super) fn proved(&self, id: &str, now: Duration) {
        if let Some(session) = self.open().get_mut(&hash(id)) {
            session.proved = Some(now);
        }
    }

    /// Whose session `id` is, at `now`; `None` when it is nobody's, is over, or `as_of_now` does not know
    /// the person any more. It is used by that.
    pub(super) fn visitor(
        &self,
        id: &str,
        now: Duration,
        as_of_now: impl FnOnce(&PersonId) -> Option<Caller>,
    ) -> Option<Visitor> {
        self.look(id, now, as_of_now, true)
    }

    /// As [`visitor`](Self::visitor), for what nobody did: a session rests all the same.
    pub(super) fn at_rest(
        &self,
        id: &str,
        now: Duration,
        as_of_now: impl FnOnce(&PersonId) -> Option<Caller>,
    ) -> Option<Visitor> {
        self.look(id, now, as_of_now, false)
    }

    fn look(
        &self,
        id: &str,
        now: Duration,
        as_of_now: impl FnOnce(&PersonId) -> Option<Caller>,
        is_use: bool,
    ) -> Option<Visitor> {
        if id.len() > ID_LENGTH_MAX {
            return None;
        }
        let id = hash(id);
        let mut open = self.open();
        let session = open.get_mut(&id)?;
        // Whoever was made again under the same name is somebody else.
        let caller = as_of_now(&session.person).filter(|it| it.since == session.person_since);
        let Some(caller) = caller.filter(|_| !session.is_over(now)) else {
            open.remove(&id);
            return None;
        };
        if is_use {
            session.used = now;
        }
        Some(Visitor {
            caller,
            emergencies: Vec::new(),
            has_proved: session.proved.is_some_and(|at| now.saturating_sub(at) < PROOF_LIFE),
            form_token: Arc::clone(&session.form_token),
        })
    }

    /// Ends the session `id`, if there is one.
    pub(super) fn end(&self, id: &str) {
        self.open().remove(&hash(id));
    }

    /// The sessions of `person` at `now`, the one used last first; `own` is the id of one of them.
    pub(super) fn of(
        &self,
        person: &PersonId,
        own: Option<&str>,
        now: Duration,
    ) -> Vec<OwnSession> {
        let own = own.map(hash);
        let open = self.open();
        let theirs = open.iter().filter(|(_, it)| it.person == *person && !it.is_over(now));
        let mut sessions: Vec<OwnSession> = theirs
            .map(|(id, session)| OwnSession {
                is_this: own.as_ref() == Some(id),
                age: now.saturating_sub(session.since),
                rest: now.saturating_sub(session.used),
            })
            .collect();
        sessions.sort_by_key(|session| (session.rest, session.age));
        sessions
    }

    /// Ends every session of `person` but the one of the id `except`.
    pub(super) fn end_all(&self, person: &PersonId, except: Option<&str>) {
        let except = except.map(hash);
        let is_kept = |id: &Digest| except.as_ref() == Some(id);
        self.open().retain(|id, session| session.person != *person || is_kept(id));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the one that rested longest of those that are `meant`.
fn end_one(open: &mut HashMap<Digest, Session>, meant: impl Fn(&Session) -> bool) {
    let of_those = open.iter().filter(|(_, session)| meant(session));
    let oldest = of_those.min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
    if let Some(oldest) = oldest {
        open.remove(&oldest);
    }
}

pub(super) fn hash(id: &str) -> Digest {
    Digest::sha256(id.as_bytes())
}

pub(super) fn random() -> Result<Secret, NoRandomness> {
    let mut random = [0; ID_BYTES];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| NoRandomness)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Role;

    const START: Duration = Duration::from_secs(1_000);

    fn person(name: &str, since: i64) -> Caller {
        let id = PersonId::Token { name: name.to_owned() };
        let (display, since) = (name.to_owned(), Timestamp::from_milliseconds(since));
        Caller {
            id,
            display,
            role: Role::Admin,
            groups: std::collections::BTreeSet::new(),
            since,
            scope: crate::ledger::Scope::default(),
        }
    }

    fn known(people: &[Caller]) -> impl FnOnce(&PersonId) -> Option<Caller> {
        |id| people.iter().find(|it| it.id == *id).cloned()
    }

    #[test]
    fn a_session_lasts_while_it_is_used_and_no_longer_than_a_working_day() {
        let (sessions, people) = (Sessions::default(), [person("alice", 1)]);
        let id = sessions.begin(&person("alice", 1), START).unwrap();
        let mut now = START;
        while now.saturating_sub(START) + Duration::from_mins(29) < LIFE_MAX {
            now += Duration::from_mins(29);
            assert!(sessions.visitor(id.expose(), now, known(&people)).is_some(), "{now:?}");
        }
        assert!(sessions.visitor(id.expose(), START + LIFE_MAX, known(&people)).is_none());
        let id = sessions.begin(&person("alice", 1), START).unwrap();
        assert!(sessions.visitor(id.expose(), START + REST_MAX, known(&people)).is_none());
        assert!(
            sessions.visitor(id.expose(), START, known(&people)).is_none(),
            "it is gone, not asleep"
        );
    }

    #[test]
    fn what_nobody_did_keeps_no_session_awake() {
        let (sessions, people) = (Sessions::default(), [person("alice", 1)]);
        let id = sessions.begin(&person("alice", 1), START).unwrap();
        let later = START + Duration::from_mins(29);
        assert!(sessions.at_rest(id.expose(), later, known(&people)).is_some());
        assert!(sessions.at_rest(id.expose(), START + REST_MAX, known(&people)).is_none());
        assert!(sessions.visitor(id.expose(), START, known(&people)).is_none(), "it has ended");
    }

    #[test]
    fn a_session_ends_with_its_person_also_when_another_gets_that_name() {
        let sessions = Sessions::default();
        let id = sessions.begin(&person("alice", 1), START).unwrap();
        assert!(sessions.visitor(id.expose(), START, known(&[person("alice", 1)])).is_some());
        assert!(sessions.visitor(id.expose(), START, known(&[person("alice", 2)])).is_none());
        assert!(sessions.visitor(id.expose(), START, known(&[person("alice", 1)])).is_none());
    }

    #[test]
    fn what_is_kept_is_no_id_and_forms_of_one_session_are_not_those_of_another() {
        let (sessions, people) = (Sessions::default(), [person("alice", 1)]);
        let ids = [0, 1].map(|_| sessions.begin(&person("alice", 1), START).unwrap());
        for id in &ids {
            assert_eq!(id.expose().len(), 43);
            assert!(!format!("{sessions:?}").contains(id.expose()));
        }
        let of = |id: &Secret| sessions.visitor(id.expose(), START, known(&people)).unwrap();
        let (one, other) = (of(&ids[0]), of(&ids[1]));
        assert!(one.sent(one.form_token()) && !one.sent(other.form_token()) && !one.sent(""));
        sessions.end(ids[0].expose());
        assert!(sessions.visitor(ids[0].expose(), START, known(&people)).is_none());
        assert!(sessions.visitor(ids[1].expose(), START, known(&people)).is_some());
    }

    #[test]
    fn there_are_never_too_many_and_nobody_crowds_out_others() {
        let (sessions, people) = (Sessions::default(), [person("alice", 1), person("bob", 1)]);
        let first = sessions.begin(&person("alice", 1), START).unwrap();
        for second in 0..100 {
            let now = START + Duration::from_secs(second);
            sessions.begin(&person("bob", 1), now).unwrap();
        }
        assert!(sessions.visitor(first.expose(), START, known(&people)).is_some());
        assert_eq!(sessions.open().len(), 1 + SESSIONS_PER_PERSON_MAX);
        for number in 0..2_000 {
            sessions.begin(&person(&format!("t{number}"), 1), START).unwrap();
        }
        assert_eq!(sessions.open().len(), SESSIONS_MAX);
    }
}
