//! What signing in reads and writes. Whether a password fits is found out elsewhere, before; here are the
//! parts that must not happen twice.

use std::collections::BTreeSet;

use super::changing::{about, check_role};
use super::{Kept, Person, Proofs, local};
use crate::ledger::audit::{AuditEvent, AuditKind};
use crate::ledger::caller::{Caller, PersonId};
use crate::ledger::roles::Role;
use crate::ledger::tokens::Scope;
use crate::ledger::writer::Writing;
use crate::ledger::{Error, Ledger};
use crate::people::{PasswordHash, TotpKey, TotpStep};
use crate::time::Timestamp;

/// What there is to compare with what somebody says who claims to be a local person.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// Who they would be, and since when.
    pub id: PersonId,
    /// Since when it is the same somebody.
    pub since: Timestamp,
    /// Their password.
    pub password: Option<PasswordHash>,
    /// Whether what they said is a one-time secret of theirs that is good now.
    pub is_invited: bool,
}

/// What somebody proves who becomes able to sign in.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The password that they chose.
    pub password: PasswordHash,
    /// The key that their authenticator has.
    pub totp: TotpKey,
    /// The code by which they showed that it has it.
    pub used: TotpStep,
}

/// Somebody for whom a provider vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// What they are called, for show.
    pub display: String,
    /// What their groups let them do here.
    pub role: Role,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
}

impl Writing<'_> {
    fn enrol(
        &mut self,
        id: &PersonId,
        since: Timestamp,
        enrolment: Enrolment,
    ) -> Result<Caller, Error> {
        let mut kept = self.known_person(id)?;
        let good = kept.proofs.invitation.as_ref().is_some_and(|it| it.until > self.now);
        if !good || kept.person.is_disabled || kept.person.since != since {
            return Err(Error::NotLetIn);
        }
        let Enrolment { password, totp, used } = enrolment;
        let (password, totp) = (Some(password), Some(totp));
        kept.proofs = Proofs { invitation: None, password, totp, totp_used: Some(used) };
        self.audit(&about(AuditKind::PersonEnrolled, id, &id.to_string()))?;
        self.come_in(kept)
    }

    /// Has the code `step` of `id` count for this once.
    ///
    /// # Errors
    /// [`Error::NotLetIn`] when it was used meanwhile, they are kept out, or are another than `since`.
    pub(in crate::ledger) fn use_code(
        &mut self,
        id: &PersonId,
        since: Timestamp,
        step: TotpStep,
    ) -> Result<(), Error> {
        let kept = self.with_code_used(id, since, step)?;
        self.put_person(kept)
    }

    fn sign_in(
        &mut self,
        id: &PersonId,
        since: Timestamp,
        step: TotpStep,
    ) -> Result<Caller, Error> {
        let kept = self.with_code_used(id, since, step)?;
        self.come_in(kept)
    }

    fn with_code_used(
        &self,
        id: &PersonId,
        since: Timestamp,
        step: TotpStep,
    ) -> Result<Kept, Error> {
        let mut kept = self.known_person(id)?;
        let is_new = kept.proofs.totp_used.is_none_or(|used| step > used);
        if !is_new || kept.person.is_disabled || kept.person.since != since {
            return Err(Error::NotLetIn);
        }
        kept.proofs.totp_used = Some(step);
        Ok(kept)
    }

    fn change_password(
        &mut self,
        id: &PersonId,
        since: Timestamp,
        (before, new): (PasswordHash, PasswordHash),
    ) -> Result<(), Error> {
        let mut kept = self.known_person(id)?;
        let is_same = kept.proofs.password.as_ref() == Some(&before);
        if !is_same || kept.person.is_disabled || kept.person.since != since {
            return Err(Error::NotLetIn);
        }
        kept.proofs.password = Some(new);
        self.audit(&about(AuditKind::PasswordChanged, id, &id.to_string()))?;
        self.put_person(kept)
    }

    fn vouch(&mut self, vouched: Vouched) -> Result<Caller, Error> {
        let Vouched { issuer, subject, display, role, groups } = vouched;
        let id = PersonId::Oidc { issuer, subject };
        let by = id.to_string();
        let mut kept = if let Some(kept) = self.person(&id)? {
            kept
        } else {
            self.check_room()?;
            let event = about(AuditKind::PersonCreated, &id, &by).with("role", role);
            self.audit(&event.with("groups", super::listed(&groups)))?;
            let (created_at, since) = (self.now, self.now);
            let (is_disabled, signed_in_at) = (false, None);
            let (id, display, groups) = (id.clone(), display.clone(), groups.clone());
            let person =
                Person { id, display, role, groups, created_at, since, is_disabled, signed_in_at };
            Kept { person, proofs: Proofs::default() }
        };
        if kept.person.is_disabled {
            return Err(Error::NotLetIn);
        }
        if (kept.person.role, &kept.person.groups) != (role, &groups) {
            let event = about(AuditKind::PersonChanged, &id, &by)
                .with("role", role)
                .with("groups", super::listed(&groups))
                .with("role_before", kept.person.role)
                .with("groups_before", super::listed(&kept.person.groups));
            self.audit(&event)?;
        }
        kept.person.display = display;
        kept.person.role = role;
        kept.person.groups = groups;
        self.come_in(kept)
    }

    fn come_in(&mut self, mut kept: Kept) -> Result<Caller, Error> {
        kept.person.signed_in_at = Some(self.now);
        let id = &kept.person.id;
        self.audit(
            &about(AuditKind::SignedIn, id, &id.to_string()).with("role", kept.person.role),
        )?;
        let Person { id, display, role, groups, since, .. } = kept.person.clone();
        self.put_person(kept)?;
        Ok(Caller { id, display, role, groups, since, scope: Scope::default() })
    }
}

impl Ledger {
    /// What there is to compare `presented` with, said by somebody who claims to be the local person called
    /// `name`; `None` when there is nobody of that name, or they are kept out.
    pub fn knowledge(&self, name: &str, presented: &str) -> Option<Knowledge> {
        let kept = self.kept(&local(name)).filter(|kept| !kept.person.is_disabled)?;
        let now = self.inner.clock.now();
        let invitation = kept.proofs.invitation.filter(|it| it.until > now);
        let is_invited = invitation.is_some_and(|it| it.secret.is(presented));
        let (id, since, password) = (kept.person.id, kept.person.since, kept.proofs.password);
        Some(Knowledge { id, since, password, is_invited })
    }

    /// Which code of theirs `presented` is, if it counts now.
    pub fn code_of(&self, id: &PersonId, presented: &str) -> Option<TotpStep> {
        let proofs = self.kept(id)?.proofs;
        proofs.totp?.check(presented, self.inner.clock.now(), proofs.totp_used)
    }

    /// Lets `id` in for the first time: they have a password and an authenticator from now on, and their
    /// one-time secret is over. `since` is whom the secret was compared for.
    ///
    /// # Errors
    /// [`Error::NotLetIn`] when the secret is over by now; else when it did not reach the disk.
    pub async fn enrol(
        &self,
        id: &PersonId,
        since: Timestamp,
        enrolment: Enrolment,
    ) -> Result<Caller, Error> {
        let id = id.clone();
        self.write(move |writing| writing.enrol(&id, since, enrolment)).await
    }

    /// Lets `id` in by the code `step`, which counts for this once. `since` is whom the password was
    /// compared for.
    ///
    /// # Errors
    /// [`Error::NotLetIn`] when the code was used meanwhile, or they are kept out; else when it did not
    /// reach the disk.
    pub async fn sign_in(
        &self,
        id: &PersonId,
        since: Timestamp,
        step: TotpStep,
    ) -> Result<Caller, Error> {
        let id = id.clone();
        self.write(move |writing| writing.sign_in(&id, since, step)).await
    }

    /// Gives `id` another password in the place of the one that they just showed. `since` is whom it was
    /// compared for.
    ///
    /// # Errors
    /// [`Error::NotLetIn`] when it was changed meanwhile, or they are kept out; else when it did not reach
    /// the disk.
    pub async fn change_password(
        &self,
        id: &PersonId,
        since: Timestamp,
        passwords: (PasswordHash, PasswordHash),
    ) -> Result<(), Error> {
        let id = id.clone();
        self.write(move |writing| writing.change_password(&id, since, passwords)).await
    }

    /// Lets somebody in for whom a provider vouches; what it says of them holds from now on.
    ///
    /// # Errors
    /// [`Error::NotLetIn`] when they are kept out; [`Error::TooManyPeople`]; else when it did not reach the
    /// disk.
    pub async fn vouch(&self, vouched: Vouched) -> Result<Caller, Error> {
        check_role(vouched.role)?;
        self.write(move |writing| writing.vouch(vouched)).await
    }

    /// Puts on record that a provider vouched for `id` without anything that they may do: what they could
    /// do before is over. Whether they were kept out stays.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn not_vouched(&self, id: &PersonId) -> Result<(), Error> {
        let id = id.clone();
        self.write(move |writing| {
            let Some(kept) = writing.person(&id)?.filter(|kept| !kept.person.is_disabled) else {
                return Ok(());
            };
            let reason = "the provider names no group that has a role";
            let by = kept.person.id.to_string();
            let event = about(AuditKind::PersonRemoved, &id, &by);
            writing.audit(&AuditEvent { reason: Some(reason.to_owned()), ..event })?;
            writing.delete_person(id)
        })
        .await
    }
}
