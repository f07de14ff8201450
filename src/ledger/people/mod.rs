//! People who sign in: those whom this ledger knows by a password, and those whom a provider vouches for.
//!
//! Promises: what somebody may do is what the last commit says; no secret is in a view, in `Debug` or in
//! the audit; a code counts once, also across restarts; whoever was removed and made again is somebody
//! else ([`Person::since`]); nobody takes the last administrator away.
//!
//! All are in memory, and bounded. Keys of authenticators are in the database as they are: whoever can
//! read it can make codes, and needs the password all the same.

mod changing;
mod entering;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::params;
use serde::{Deserialize, Serialize};

pub use changing::{NewPerson, PersonChange};
pub use entering::{Enrolment, Knowledge, Vouched};

use super::caller::{Caller, PersonId};
use super::memory::Memory;
use super::roles::Role;
use super::rows::Sealed;
use super::sealer::Tables;
use super::tokens::Scope;
use super::writer::Writing;
use super::{Error, Ledger, tokens};
use crate::people::{OneTimeSecret, PasswordHash, TotpKey, TotpStep};
use crate::time::Timestamp;

/// How long a one-time secret is good for.
pub const ONE_TIME_SECRET_LIFE: Duration = Duration::from_hours(3 * 24);
/// Most people.
const PEOPLE_MAX: usize = 5_000;
/// The table they are in.
const TABLE: &str = "people";

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who it is.
    pub id: PersonId,
    /// What they are called, for show.
    pub display: String,
    /// What they may do.
    pub role: Role,
    /// The groups they are in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// When they were made, or first vouched for.
    pub created_at: Timestamp,
    /// Since when this is the same somebody: a reset makes another of them, whose old sessions end.
    pub since: Timestamp,
    /// Whether they are kept out.
    #[serde(default)]
    pub is_disabled: bool,
    /// When they last came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_at: Option<Timestamp>,
}

/// How far somebody is with becoming able to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// They can.
    Open,
    /// They have a one-time secret, which is good until then.
    Invited(Timestamp),
    /// Their one-time secret is over.
    Lapsed,
    /// They are kept out.
    Disabled,
}

/// A one-time secret that is still out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Invitation {
    secret: OneTimeSecret,
    until: Timestamp,
}

/// What proves that somebody is who they say; nothing of it for those whom a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Proofs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitation: Option<Invitation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<PasswordHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totp: Option<TotpKey>,
    /// The last code that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totp_used: Option<TotpStep>,
}

/// A person as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    person: Person,
    #[serde(default)]
    proofs: Proofs,
}

impl Kept {
    fn entrance(&self, now: Timestamp) -> Entrance {
        let is_enrolled = self.proofs.password.is_some() && self.proofs.totp.is_some();
        match (&self.person.id, &self.proofs.invitation) {
            _ if self.person.is_disabled => Entrance::Disabled,
            (PersonId::Oidc { .. } | PersonId::Signer { .. } | PersonId::Token { .. }, _) => {
                Entrance::Open
            }
            (PersonId::Local { .. }, _) if is_enrolled => Entrance::Open,
            (PersonId::Local { .. }, Some(it)) if it.until > now => Entrance::Invited(it.until),
            (PersonId::Local { .. }, _) => Entrance::Lapsed,
        }
    }

    /// Whether they could administer this server now, whatever becomes of a provider.
    fn administers(&self, now: Timestamp) -> bool {
        let is_local = matches!(self.person.id, PersonId::Local { .. });
        is_local && self.person.role == Role::Admin && self.entrance(now) == Entrance::Open
    }
}

/// Everybody, by who they are.
pub(super) type People = BTreeMap<PersonId, Kept>;

/// Reads everybody whose row is what was written.
pub(super) fn load(tables: &Tables<'_>) -> Result<People, Error> {
    let mut statement = tables.prepare("SELECT key, body, seal FROM people ORDER BY key")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?)))?;
    let mut people = People::new();
    for row in rows {
        let (key, sealed) = row?;
        match sealed.open::<Kept>(tables.sealer, TABLE, &[&key]) {
            Ok(kept) => drop(people.insert(kept.person.id.clone(), kept)),
            // They cannot come in, and nobody else is kept out for it.
            Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(people)
}

impl Writing<'_> {
    /// The person `id`, as this transaction knows them.
    fn person(&self, id: &PersonId) -> Result<Option<Kept>, Error> {
        let key = id.to_string();
        let mut statement =
            self.connection.prepare_cached("SELECT body, seal FROM people WHERE key = ?1")?;
        let mut rows = statement.query_map([&key], |row| Sealed::from_row(row, 0))?;
        let sealed = rows.next().transpose()?;
        sealed.map(|it| it.open(self.connection.sealer, TABLE, &[&key])).transpose()
    }

    fn known_person(&self, id: &PersonId) -> Result<Kept, Error> {
        self.person(id)?.ok_or_else(|| Error::NoSuchPerson(id.to_string()))
    }

    fn put_person(&mut self, kept: Kept) -> Result<(), Error> {
        let key = kept.person.id.to_string();
        let sealed = Sealed::new(self.connection.sealer, TABLE, &[&key], &kept)?;
        self.connection.execute(
            "INSERT INTO people (key, body, seal) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET body = excluded.body, seal = excluded.seal",
            params![key, sealed.body, sealed.seal],
        )?;
        self.after_commit(move |memory| {
            let mut people = memory.people.write().unwrap_or_else(PoisonError::into_inner);
            people.insert(kept.person.id.clone(), kept);
        });
        Ok(())
    }

    fn delete_person(&mut self, id: PersonId) -> Result<(), Error> {
        self.connection.execute("DELETE FROM people WHERE key = ?1", [id.to_string()])?;
        self.after_commit(move |memory: &Memory| {
            memory.people.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
        Ok(())
    }

    /// That there is room for one more.
    fn check_room(&self) -> Result<(), Error> {
        let count: i64 =
            self.connection.query_row("SELECT count(*) FROM people", [], |row| row.get(0))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count >= PEOPLE_MAX { Err(Error::TooManyPeople(count)) } else { Ok(()) }
    }

    /// That somebody else can administer when `kept` cannot any more.
    fn check_not_last_admin(&self, kept: &Kept) -> Result<(), Error> {
        if !kept.administers(self.now) {
            return Ok(());
        }
        let tokens = tokens::load(self.connection)?;
        let by_token = tokens.iter().any(|known| known.administers(self.now));
        let people = load(self.connection)?;
        let others = people.values().filter(|other| other.person.id != kept.person.id);
        if by_token || others.into_iter().any(|other| other.administers(self.now)) {
            return Ok(());
        }
        Err(Error::LastAdmin(kept.person.display.clone()))
    }
}

impl Ledger {
    /// Everybody who may sign in, and how far they are with it.
    pub fn people(&self) -> Vec<(Person, Entrance)> {
        let now = self.inner.clock.now();
        let people = self.inner.memory.people.read().unwrap_or_else(PoisonError::into_inner);
        people.values().map(|kept| (kept.person.clone(), kept.entrance(now))).collect()
    }

    /// The person `id`, and how far they are with signing in.
    pub fn person(&self, id: &PersonId) -> Option<(Person, Entrance)> {
        self.kept(id).map(|kept| {
            let entrance = kept.entrance(self.inner.clock.now());
            (kept.person, entrance)
        })
    }

    /// Whether anybody may sign in by a password.
    pub fn has_local_people(&self) -> bool {
        let people = self.inner.memory.people.read().unwrap_or_else(PoisonError::into_inner);
        people.keys().any(|id| matches!(id, PersonId::Local { .. }))
    }

    fn kept(&self, id: &PersonId) -> Option<Kept> {
        let people = self.inner.memory.people.read().unwrap_or_else(PoisonError::into_inner);
        people.get(id).cloned()
    }

    /// Whoever `id` is as of now, unless they are kept out or have nothing to prove it by.
    pub(super) fn person_caller(&self, id: &PersonId) -> Option<Caller> {
        let kept = self.kept(id)?;
        if kept.entrance(self.inner.clock.now()) != Entrance::Open {
            return None;
        }
        let Person { id, display, role, groups, since, .. } = kept.person;
        Some(Caller { id, display, role, groups, since, scope: Scope::default() })
    }
}

/// The local person called `name`.
pub(super) fn local(name: &str) -> PersonId {
    PersonId::Local { name: name.to_owned() }
}

/// Groups as the audit has them.
fn listed(groups: &BTreeSet<String>) -> String {
    groups.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
