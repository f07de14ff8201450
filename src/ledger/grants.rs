//! Grants: what each subject entitles its repository to serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::params;

use super::records::{self, key};
use super::rows::{self, Sealed};
use super::sealer::{Sealer, Tables};
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::{EvidenceKind, Grant, GrantKind, Subject};
use crate::oci::{Digest, Name};

/// Grants for older referrers that stay with a subject when it is searched for new ones.
const REFERRER_GRANTS_MAX: usize = 512;

/// What a subject grants besides, or instead of, what it granted before.
#[derive(Debug, Clone, Default)]
pub struct NewGrants {
    /// What was found.
    pub given: Vec<Grant>,
    /// What was gathered for that: grants of these kinds take the place of older ones, and those of
    /// all others stay.
    pub gathered: Vec<EvidenceKind>,
}

/// A grant and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The manifest that lists the content; it counts only while that one is admitted.
    pub subject: Digest,
    /// What it lists.
    pub grant: Grant,
}

impl Writing<'_> {
    /// Puts `new` to what the record `id` of `subject` grants. What stays is read here and now: others
    /// may have put something to it since the caller gathered.
    pub(super) fn take_grants(
        &mut self,
        id: i64,
        subject: &Subject,
        new: NewGrants,
    ) -> Result<(), Error> {
        let NewGrants { given: mut grants, gathered } = new;
        if grants.is_empty() && gathered.is_empty() {
            return Ok(());
        }
        let mut referrers = 0;
        for kept in load_grants_of(self.connection, id, subject)? {
            let stays = match kept.kind {
                // Those of children are among them, and whoever was told of one may still ask for it.
                GrantKind::Referrer => {
                    referrers += 1;
                    let searched = [EvidenceKind::Signatures, EvidenceKind::ChildSignatures];
                    referrers <= REFERRER_GRANTS_MAX
                        || !searched.iter().any(|kind| gathered.contains(kind))
                }
                GrantKind::Config | GrantKind::Layer | GrantKind::Manifest => {
                    !gathered.contains(&EvidenceKind::Manifest)
                }
            };
            if stays && !grants.contains(&kept) {
                grants.push(kept);
            }
        }
        self.replace_grants(id, subject, grants)
    }

    fn replace_grants(
        &mut self,
        id: i64,
        subject: &Subject,
        grants: Vec<Grant>,
    ) -> Result<(), Error> {
        let repository = rows::repository_for(self.connection, &subject.name)?;
        let mut affected: BTreeSet<Digest> = BTreeSet::new();
        let mut statement =
            self.connection.prepare_cached("SELECT digest FROM grants WHERE record = ?1")?;
        for digest in statement.query_map([id], |row| row.get::<_, String>(0))? {
            affected.insert(rows::parsed("grants", &digest?)?);
        }
        self.connection.prepare_cached("DELETE FROM grants WHERE record = ?1")?.execute([id])?;
        let mut by_digest: BTreeMap<Digest, Vec<Grant>> = BTreeMap::new();
        for grant in grants {
            let same = by_digest.entry(grant.digest).or_default();
            if !same.contains(&grant) {
                same.push(grant);
            }
        }
        let (name, of) = (subject.name.to_string(), subject.digest.to_string());
        for (digest, grants) in &by_digest {
            let text = digest.to_string();
            let sealed =
                Sealed::new(self.connection.sealer, "grants", &[&name, &text, &of], grants)?;
            self.connection
                .prepare_cached(
                    "INSERT INTO grants (repository, digest, record, body, seal)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![repository, text, id, sealed.body, sealed.seal])?;
        }
        affected.extend(by_digest.into_keys());
        for digest in affected {
            self.show_grants(&subject.name, &digest)?;
        }
        Ok(())
    }

    fn show_grants(&mut self, name: &Name, digest: &Digest) -> Result<(), Error> {
        let key = key(name, digest);
        match load_grants(self.connection, name, digest) {
            Ok((granted, bytes)) => {
                if granted.iter().any(|granted| may_be_subject(&granted.grant)) {
                    self.show_record(name, digest)?;
                }
                let found = (!granted.is_empty()).then_some((granted, bytes));
                self.after_commit(move |memory| memory.grants.set(key, found));
            }
            // Another subject's damaged row is that one's failure, at its own next read.
            Err(Error::CorruptRow { .. }) => {
                self.after_commit(move |memory| memory.grants.forget(&key));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether people may have decided about what `grant` lists, so that serving it asks for its record.
pub(super) fn may_be_subject(grant: &Grant) -> bool {
    matches!(grant.kind, GrantKind::Manifest | GrantKind::Referrer)
}

/// Reads who grants `digest` in `name`, and the size of it all as stored.
pub(super) fn load_grants(
    connection: &Tables<'_>,
    name: &Name,
    digest: &Digest,
) -> Result<(Arc<[Granted]>, u64), Error> {
    let (text, wanted) = (name.to_string(), digest.to_string());
    let mut statement = connection.prepare_cached(
        "SELECT r.digest, g.body, g.seal
         FROM grants g JOIN records r ON r.id = g.record
         WHERE g.repository = (SELECT id FROM repositories WHERE name = ?1) AND g.digest = ?2",
    )?;
    let rows = statement.query_map([&text, &wanted], |row| {
        Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?))
    })?;
    let (mut granted, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let (of, sealed) = row?;
        granted.extend(open_grants(connection.sealer, &text, &wanted, &of, &sealed)?);
        bytes += sealed.weight();
    }
    Ok((Arc::from(granted), bytes))
}

/// Reads what the record `id` of `subject` grants.
fn load_grants_of(
    connection: &Tables<'_>,
    id: i64,
    subject: &Subject,
) -> Result<Vec<Grant>, Error> {
    let (name, of) = (subject.name.to_string(), subject.digest.to_string());
    let mut statement =
        connection.prepare_cached("SELECT digest, body, seal FROM grants WHERE record = ?1")?;
    let rows = statement
        .query_map([id], |row| Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?)))?;
    let mut grants = Vec::new();
    for row in rows {
        let (digest, sealed) = row?;
        let granted = open_grants(connection.sealer, &name, &digest, &of, &sealed)?;
        grants.extend(granted.into_iter().map(|granted| granted.grant));
    }
    Ok(grants)
}

/// Opens the row that says what the record of digest `of` grants of `digest` in `name`.
fn open_grants(
    sealer: &Sealer,
    name: &str,
    digest: &str,
    of: &str,
    row: &Sealed,
) -> Result<Vec<Granted>, Error> {
    let grants: Vec<Grant> = row.open(sealer, "grants", &[name, digest, of])?;
    let subject = rows::parsed("grants", of)?;
    Ok(grants.into_iter().map(|grant| Granted { subject, grant }).collect())
}

impl Ledger {
    /// Which subjects of the repository `name` list `digest`, whether they are admitted or not: from
    /// memory, else from the database.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read, or is not what was written.
    pub async fn granted(&self, name: &Name, digest: &Digest) -> Result<Arc<[Granted]>, Error> {
        let key = key(name, digest);
        let grants = &self.inner.memory.grants;
        if let Some(known) = grants.get(&key) {
            return Ok(known.unwrap_or_default());
        }
        let moments = grants.moment();
        let (wanted, digest) = (name.clone(), *digest);
        let (granted, bytes) =
            self.read(move |connection| load_grants(connection, &wanted, &digest)).await?;
        let found = (!granted.is_empty()).then(|| (Arc::clone(&granted), bytes));
        grants.offer(key, found, moments);
        Ok(granted)
    }

    /// Everything that `subject` lists, from the database.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub async fn grants_of(&self, subject: &Subject) -> Result<Vec<Grant>, Error> {
        let subject = subject.clone();
        self.read(move |connection| {
            let Some(loaded) = records::load(connection, &subject)? else { return Ok(Vec::new()) };
            load_grants_of(connection, loaded.id, &subject)
        })
        .await
    }
}
