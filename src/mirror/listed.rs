//! By what content is served: as a subject of its own, or because something that is served lists it.

use super::blob::platform_is_covered;
use super::judge::is_refused_by_people;
use super::{Error, Mirror};
use crate::gate::{Emergency, Grant, GrantKind};
use crate::ledger::Granted;
use crate::oci::{Digest, Name};
use crate::policy::Policy;

/// By what a subject is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServedAs {
    /// The break-glass that it takes, if it takes one.
    pub(super) emergency: Option<Emergency>,
}

/// What is served because something else lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// By which it may be read.
    pub(super) granted: Granted,
    /// The break-glass by which alone what lists it is served.
    pub(super) emergency: Option<Emergency>,
}

impl Mirror {
    /// The grant by which `digest` may be read in `name`: an admitted manifest lists it.
    pub(super) async fn inherited(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Grant>, Error> {
        Ok(self.listed_by(name, digest).await?.map(|listed| listed.granted.grant))
    }

    /// As [`Mirror::inherited`], with the manifest that lists it.
    pub(super) async fn listed_by(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Listed>, Error> {
        self.listed_where(name, digest, |_| true).await
    }

    /// As [`Mirror::listed_by`], where the list has it for a platform that is served: what it has for
    /// others was not judged with it. They are served as parts of the list, which nodes fetch whole, and
    /// under no tag. Nor is what refers to an admitted manifest: that is anybody's word about it.
    pub(super) async fn listed_to_run(
        &self,
        name: &Name,
        digest: &Digest,
        policy: &Policy,
    ) -> Result<Option<Listed>, Error> {
        let runs =
            |grant: &Grant| grant.kind == GrantKind::Manifest && platform_is_covered(grant, policy);
        self.listed_where(name, digest, runs).await
    }

    async fn listed_where(
        &self,
        name: &Name,
        digest: &Digest,
        counts: impl Fn(&Grant) -> bool,
    ) -> Result<Option<Listed>, Error> {
        let mut found = None;
        for granted in self.ledger().granted(name, digest).await?.iter() {
            let readable = matches!(granted.grant.kind, GrantKind::Manifest | GrantKind::Referrer);
            if !readable || !counts(&granted.grant) {
                continue;
            }
            let Some(by) = self.served_as(name, &granted.subject).await? else { continue };
            let listed = Listed { granted: granted.clone(), emergency: by.emergency };
            // What is admitted needs no emergency.
            let is_admitted = listed.emergency.is_none();
            found = Some(listed);
            if is_admitted {
                break;
            }
        }
        if found.is_some() && self.is_withheld(name, digest).await? {
            return Ok(None);
        }
        Ok(found)
    }

    /// Whether the floor or people refuse the manifest `digest` itself: no grant overrides that.
    pub(super) async fn is_withheld(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        if self.policy().denied_image(digest).is_some() {
            return Ok(true);
        }
        let record = self.ledger().record(&Self::subject(name, digest)).await?;
        Ok(record.as_deref().is_some_and(is_refused_by_people))
    }

    /// Whether `digest` of `name` is served as a subject of its own, as far as is known.
    pub(super) async fn admits(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        Ok(self.served_as(name, digest).await?.is_some())
    }

    /// By what `digest` of `name` is served as a subject of its own, as far as is known, if it is.
    pub(super) async fn served_as(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<ServedAs>, Error> {
        let subject = Self::subject(name, digest);
        let judged = match self.judged_from_stored(&subject).await? {
            Some(judged) => Some(judged),
            None => self.stale_meanwhile(&subject).await?,
        };
        let Some(judged) = judged.filter(|judged| self.serves(&subject, judged)) else {
            return Ok(None);
        };
        let emergency = judged.judgement().and_then(|it| self.served_by(&subject, it));
        Ok(Some(ServedAs { emergency }))
    }
}
