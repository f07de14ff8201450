//! What administrators do about people.

use std::collections::BTreeSet;

use super::{Invitation, Kept, ONE_TIME_SECRET_LIFE, Person, Proofs, listed, local};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::caller::PersonId;
use crate::ledger::roles::Role;
use crate::ledger::tokens::{check_groups, is_name};
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::oci::Secret;
use crate::people::OneTimeSecret;
use crate::time::Timestamp;

/// Longest name that an error repeats, in characters.
const TOLD_LENGTH_MAX: usize = 64;

/// A local person to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// The name that they sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
}

/// What is to be different about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PersonChange {
    /// Another role.
    pub role: Option<Role>,
    /// Other groups, instead of those that were.
    pub groups: Option<BTreeSet<String>>,
    /// Kept out, or let in again.
    pub is_disabled: Option<bool>,
}

impl Writing<'_> {
    fn add_person(&mut self, new: NewPerson, secret: OneTimeSecret, by: &str) -> Result<(), Error> {
        let NewPerson { name, role, groups } = new;
        let id = local(&name);
        if self.person(&id)?.is_some() {
            return Err(Error::PersonExists(name));
        }
        self.check_room()?;
        let until = self.now.after(ONE_TIME_SECRET_LIFE);
        let event = about(AuditKind::PersonCreated, &id, by).with("role", role);
        self.audit(&event.with("groups", listed(&groups)).with("secret_until", until))?;
        let person = Person {
            id,
            display: name,
            role,
            groups,
            created_at: self.now,
            since: self.now,
            is_disabled: false,
            signed_in_at: None,
        };
        let proofs = Proofs { invitation: Some(Invitation { secret, until }), ..Proofs::default() };
        self.put_person(Kept { person, proofs })
    }

    fn reset_person(
        &mut self,
        id: &PersonId,
        secret: OneTimeSecret,
        by: &str,
    ) -> Result<(), Error> {
        let mut kept = self.known_person(id)?;
        self.check_not_last_admin(&kept)?;
        let until = self.now.after(ONE_TIME_SECRET_LIFE);
        self.audit(&about(AuditKind::PersonReset, id, by).with("secret_until", until))?;
        kept.proofs = Proofs {
            invitation: Some(Invitation { secret, until }),
            // A code that was used stays used: the new key will not be the old one, but who knows.
            totp_used: kept.proofs.totp_used,
            ..Proofs::default()
        };
        kept.person.since = later(self.now, kept.person.since);
        self.put_person(kept)
    }

    fn change_person(
        &mut self,
        id: &PersonId,
        change: PersonChange,
        by: &str,
    ) -> Result<Person, Error> {
        let before = self.known_person(id)?;
        let PersonChange { role, groups, is_disabled } = change;
        let mut kept = before.clone();
        kept.person.role = role.unwrap_or(kept.person.role);
        kept.person.groups = groups.unwrap_or(kept.person.groups);
        kept.person.is_disabled = is_disabled.unwrap_or(kept.person.is_disabled);
        if before.administers(self.now) && !kept.administers(self.now) {
            self.check_not_last_admin(&before)?;
        }
        if (before.person.role, &before.person.groups) != (kept.person.role, &kept.person.groups) {
            let event = about(AuditKind::PersonChanged, id, by)
                .with("role", kept.person.role)
                .with("groups", listed(&kept.person.groups))
                .with("role_before", before.person.role)
                .with("groups_before", listed(&before.person.groups));
            self.audit(&event)?;
        }
        if before.person.is_disabled != kept.person.is_disabled {
            let kind = if kept.person.is_disabled {
                AuditKind::PersonDisabled
            } else {
                AuditKind::PersonEnabled
            };
            self.audit(&about(kind, id, by))?;
            // Sessions from before do not come back with whoever is let in again.
            kept.person.since = later(self.now, kept.person.since);
        }
        let person = kept.person.clone();
        if kept != before {
            self.put_person(kept)?;
        }
        Ok(person)
    }

    fn remove_person(&mut self, id: PersonId, by: &str) -> Result<(), Error> {
        let kept = self.known_person(&id)?;
        self.check_not_last_admin(&kept)?;
        self.audit(&about(AuditKind::PersonRemoved, &id, by))?;
        self.delete_person(id)
    }
}

impl Ledger {
    /// Makes a local person, on the word of `by`; gives the secret that lets them in for the first time,
    /// which is told this once, and until when it does.
    ///
    /// # Errors
    /// [`Error::PersonExists`], [`Error::PersonName`], [`Error::PersonRole`], [`Error::GroupName`],
    /// [`Error::TooManyPeople`]; else when it did not reach the disk.
    pub async fn add_person(&self, new: NewPerson, by: &str) -> Result<(Secret, Timestamp), Error> {
        if !is_name(&new.name) || new.name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(Error::PersonName(new.name.chars().take(TOLD_LENGTH_MAX).collect()));
        }
        check_role(new.role)?;
        check_groups(&new.groups)?;
        let (kept, told) = OneTimeSecret::generate().map_err(|_| Error::Random)?;
        let by = by.to_owned();
        let until = self.write(move |writing| {
            writing.add_person(new, kept, &by)?;
            Ok(writing.now.after(ONE_TIME_SECRET_LIFE))
        });
        Ok((told, until.await?))
    }

    /// Takes the local person called `name` back to a one-time secret, on the word of `by`: password and
    /// authenticator are forgotten, and every session ends.
    ///
    /// # Errors
    /// [`Error::NoSuchPerson`], [`Error::LastAdmin`]; else when it did not reach the disk.
    pub async fn reset_person(&self, name: &str, by: &str) -> Result<(Secret, Timestamp), Error> {
        let (kept, told) = OneTimeSecret::generate().map_err(|_| Error::Random)?;
        let (id, by) = (local(name), by.to_owned());
        let until = self.write(move |writing| {
            writing.reset_person(&id, kept, &by)?;
            Ok(writing.now.after(ONE_TIME_SECRET_LIFE))
        });
        Ok((told, until.await?))
    }

    /// Changes what is said of somebody, on the word of `by`.
    ///
    /// # Errors
    /// [`Error::NoSuchPerson`], [`Error::LastAdmin`], [`Error::PersonRole`], [`Error::GroupName`],
    /// [`Error::PersonElsewhere`]; else when it did not reach the disk.
    pub async fn change_person(
        &self,
        id: &PersonId,
        change: PersonChange,
        by: &str,
    ) -> Result<Person, Error> {
        let is_said_elsewhere = matches!(id, PersonId::Oidc { .. });
        if is_said_elsewhere && (change.role.is_some() || change.groups.is_some()) {
            return Err(Error::PersonElsewhere(id.to_string()));
        }
        change.role.map_or(Ok(()), check_role)?;
        change.groups.as_ref().map_or(Ok(()), check_groups)?;
        let (id, by) = (id.clone(), by.to_owned());
        self.write(move |writing| writing.change_person(&id, change, &by)).await
    }

    /// Removes somebody, on the word of `by`. Whom a provider vouches for comes back with the next sign-in
    /// there; disable them to keep them out.
    ///
    /// # Errors
    /// [`Error::NoSuchPerson`], [`Error::LastAdmin`]; else when it did not reach the disk.
    pub async fn remove_person(&self, id: &PersonId, by: &str) -> Result<(), Error> {
        let (id, by) = (id.clone(), by.to_owned());
        self.write(move |writing| writing.remove_person(id, &by)).await
    }
}

/// The event `kind` about the person `id`.
pub(super) fn about(kind: AuditKind, id: &PersonId, by: &str) -> AuditEvent {
    AuditEvent::new(kind, by).with("person", id)
}

/// `now`, or a moment after `before` where the clock stands still or was set back.
fn later(now: Timestamp, before: Timestamp) -> Timestamp {
    now.max(Timestamp::from_milliseconds(before.milliseconds().saturating_add(1)))
}

/// That a role is one for people.
pub(super) fn check_role(role: Role) -> Result<(), Error> {
    if role.is_for_tokens() { Err(Error::PersonRole(role)) } else { Ok(()) }
}
