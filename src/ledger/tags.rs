//! Tag history: what each tag resolved to, and the last digest of it that was admitted.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::memory::Key;
use super::records;
use super::rows::{self, Sealed};
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::gate::Subject;
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

/// Most moves kept per tag; beyond it the oldest go, but never the admitted one.
pub(super) const TAG_MOVES_MAX: usize = 100;
/// Most tags that one answer holds.
const TAGS_MAX: u32 = 10_000;

/// A digest that a tag was seen to resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMove {
    /// The digest.
    pub digest: Digest,
    /// When the tag was first seen there, this time.
    pub seen_at: Timestamp,
}

/// Everything on record about a tag.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct TagRecord {
    /// The last digest of it that was admitted.
    admitted: Option<Digest>,
    /// Oldest first.
    moves: Vec<TagMove>,
}

/// The key of `tag` in `name`.
pub(super) fn key(name: &Name, tag: &Tag) -> Key {
    Key::new(name, tag.as_str().as_bytes())
}

fn load(
    connection: &Tables<'_>,
    name: &Name,
    tag: &Tag,
) -> Result<Option<(TagRecord, u64)>, Error> {
    let text = name.to_string();
    let sealed = connection
        .prepare_cached(
            "SELECT body, seal FROM tags
             WHERE repository = (SELECT id FROM repositories WHERE name = ?1) AND tag = ?2",
        )?
        .query_row([&text, tag.as_str()], |row| Sealed::from_row(row, 0))
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    Ok(Some((sealed.open(connection.sealer, "tags", &[&text, tag.as_str()])?, sealed.weight())))
}

/// The tags of `name` that ever resolved to `digest`, each confirmed by its own history.
pub(super) fn load_tags_of(
    connection: &Tables<'_>,
    name: &Name,
    digest: &Digest,
) -> Result<Vec<Tag>, Error> {
    let Some(repository) = rows::repository(connection, name)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT tag FROM tag_digests WHERE repository = ?1 AND digest = ?2 ORDER BY tag LIMIT ?3",
    )?;
    let tags = statement
        .query_map(params![repository, digest.to_string(), TAGS_MAX], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let mut confirmed = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag: Tag = rows::parsed("tag_digests", &tag)?;
        let Some((record, _)) = load(connection, name, &tag)? else { continue };
        if record.moves.iter().any(|seen| seen.digest == *digest) {
            confirmed.push(tag);
        }
    }
    Ok(confirmed)
}

impl Writing<'_> {
    fn save_tag(&mut self, name: &Name, tag: &Tag, record: TagRecord) -> Result<(), Error> {
        let repository = rows::repository_for(self.connection, name)?;
        let sealed = Sealed::new(
            self.connection.sealer,
            "tags",
            &[&name.to_string(), tag.as_str()],
            &record,
        )?;
        let admitted = record.admitted.is_some();
        self.connection
            .prepare_cached(
                "INSERT INTO tags (repository, tag, admitted, body, seal)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (repository, tag) DO UPDATE
                 SET admitted = excluded.admitted, body = excluded.body, seal = excluded.seal",
            )?
            .execute(params![repository, tag.as_str(), admitted, sealed.body, sealed.seal])?;
        let (key, bytes) = (key(name, tag), sealed.weight());
        let record = Arc::new(record);
        self.after_commit(move |memory| memory.tags.set(key, Some((record, bytes))));
        Ok(())
    }

    /// Adds a move of `tag` to `digest`; gives whether the history did not end there already.
    fn move_tag(&mut self, name: &Name, tag: &Tag, digest: Digest) -> Result<bool, Error> {
        let (mut record, _) = load(self.connection, name, tag)?.unwrap_or_default();
        let repository = rows::repository_for(self.connection, name)?;
        if record.moves.last().is_some_and(|last| last.digest == digest) {
            // What has no seal and was taken away is put back.
            let sql =
                "INSERT OR IGNORE INTO tag_digests (repository, digest, tag) VALUES (?1, ?2, ?3)";
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params![repository, digest.to_string(), tag.as_str()])?;
            return Ok(false);
        }
        record.moves.push(TagMove { digest, seen_at: self.now });
        while record.moves.len() > TAG_MOVES_MAX {
            let admitted = record.admitted;
            let oldest = record.moves.iter().position(|seen| Some(seen.digest) != admitted);
            let dropped = record.moves.remove(oldest.unwrap_or(0)).digest;
            tracing::info!(%name, %tag, digest = %dropped, "tag history is full, oldest dropped");
            if !record.moves.iter().any(|seen| seen.digest == dropped) {
                self.connection
                    .prepare_cached(
                        "DELETE FROM tag_digests
                         WHERE repository = ?1 AND digest = ?2 AND tag = ?3",
                    )?
                    .execute(params![repository, dropped.to_string(), tag.as_str()])?;
                let key = records::key(name, &dropped);
                self.after_commit(move |memory| memory.tags_of.forget(&key));
            }
        }
        let added = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO tag_digests (repository, digest, tag) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![repository, digest.to_string(), tag.as_str()])?;
        let admitted = record.admitted.filter(|admitted| *admitted != digest);
        let stood_for_another = admitted.is_some();
        if let Some(before) = admitted {
            let subject = Subject { name: name.clone(), digest };
            let event = AuditEvent::new(AuditKind::TagMoved, "upstream").about(&subject);
            self.audit(&event.with("tag", tag).with("before", before))?;
        }
        self.save_tag(name, tag, record)?;
        if added > 0 || stood_for_another {
            // Rules may speak of this tag, and who signed what it stood for is compared.
            self.withdraw_judgement(&Subject { name: name.clone(), digest })?;
        }
        let tags: Arc<[Tag]> = load_tags_of(self.connection, name, &digest)?.into();
        let key = records::key(name, &digest);
        self.after_commit(move |memory| memory.tags_of.set(key, Arc::clone(&tags), weight(&tags)));
        Ok(true)
    }

    fn admit_tag(&mut self, name: &Name, tag: &Tag, digest: Digest) -> Result<(), Error> {
        self.move_tag_if_unseen(name, tag, digest)?;
        let (mut record, _) = load(self.connection, name, tag)?.unwrap_or_default();
        if record.admitted == Some(digest) {
            return Ok(());
        }
        let mut event = AuditEvent::new(AuditKind::TagAdmitted, "mirror")
            .about(&Subject { name: name.clone(), digest })
            .with("tag", tag);
        if let Some(before) = record.admitted {
            event = event.with("before", before);
        }
        record.admitted = Some(digest);
        self.audit(&event)?;
        self.save_tag(name, tag, record)
    }

    fn move_tag_if_unseen(&mut self, name: &Name, tag: &Tag, digest: Digest) -> Result<(), Error> {
        let (record, _) = load(self.connection, name, tag)?.unwrap_or_default();
        if !record.moves.iter().any(|seen| seen.digest == digest) {
            self.move_tag(name, tag, digest)?;
        }
        Ok(())
    }
}

fn weight(tags: &[Tag]) -> u64 {
    tags.iter().map(|tag| u64::try_from(tag.as_str().len() + 16).unwrap_or(u64::MAX)).sum()
}

impl Ledger {
    async fn tag(&self, name: &Name, tag: &Tag) -> Result<Arc<TagRecord>, Error> {
        let key = key(name, tag);
        let tags = &self.inner.memory.tags;
        if let Some(known) = tags.get(&key) {
            return Ok(known.unwrap_or_default());
        }
        let moments = tags.moment();
        let (name, tag) = (name.clone(), tag.clone());
        let loaded = self.read(move |connection| load(connection, &name, &tag)).await?;
        let found = loaded.map(|(record, bytes)| (Arc::new(record), bytes));
        tags.offer(key, found.clone(), moments);
        Ok(found.map(|(record, _)| record).unwrap_or_default())
    }

    /// Notes that `tag` resolves to `digest` now; gives whether it moved there since it was last
    /// noted. Nothing is written when it did not. A verdict about `digest` that was reached without
    /// knowing of the tag, or before it stood for something else, is taken back.
    ///
    /// # Errors
    /// When a move did not reach the disk.
    pub async fn record_tag(&self, name: &Name, tag: &Tag, digest: &Digest) -> Result<bool, Error> {
        let known = self.inner.memory.tags.get(&key(name, tag)).flatten();
        let last = known.as_ref().and_then(|record| record.moves.last());
        if last.is_some_and(|last| last.digest == *digest) {
            return Ok(false);
        }
        let (name, tag, digest) = (name.clone(), tag.clone(), *digest);
        self.write(move |writing| writing.move_tag(&name, &tag, digest)).await
    }

    /// The tags of `name` that our own history saw resolve to `digest`, at most 10,000.
    ///
    /// # Errors
    /// When they are not in memory and cannot be read.
    pub async fn tags_of(&self, name: &Name, digest: &Digest) -> Result<Vec<Tag>, Error> {
        let key = records::key(name, digest);
        let tags_of = &self.inner.memory.tags_of;
        if let Some(tags) = tags_of.get(&key) {
            return Ok(tags.to_vec());
        }
        let moment = tags_of.moment();
        let (name, digest) = (name.clone(), *digest);
        let tags = self.read(move |connection| load_tags_of(connection, &name, &digest)).await?;
        tags_of.offer(key, tags.clone().into(), weight(&tags), moment);
        Ok(tags)
    }

    /// Whether memory has it that `tag` was last admitted as `digest`.
    pub fn is_admitted_tag(&self, name: &Name, tag: &Tag, digest: &Digest) -> bool {
        let known = self.inner.memory.tags.get(&key(name, tag)).flatten();
        known.is_some_and(|record| record.admitted == Some(*digest))
    }

    /// Notes that `tag` was served as `digest`, which is admitted: what is served on when the tag
    /// moves to something that is not.
    ///
    /// # Errors
    /// When it did not reach the disk.
    pub async fn record_admitted_tag(
        &self,
        name: &Name,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), Error> {
        if self.is_admitted_tag(name, tag, digest) {
            return Ok(());
        }
        let (name, tag, digest) = (name.clone(), tag.clone(), *digest);
        self.write(move |writing| writing.admit_tag(&name, &tag, digest)).await
    }

    /// What `tag` was last admitted as, if it was seen to stand for `digest` now and that is something
    /// else.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read.
    pub async fn predecessor(
        &self,
        name: &Name,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let record = self.tag(name, tag).await?;
        let stands_for = record.moves.last().is_some_and(|last| last.digest == *digest);
        Ok(record.admitted.filter(|admitted| stands_for && admitted != digest))
    }

    /// The digest that `tag` was last admitted as; it may have been revoked since.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read.
    pub async fn admitted_tag(&self, name: &Name, tag: &Tag) -> Result<Option<Digest>, Error> {
        Ok(self.tag(name, tag).await?.admitted)
    }

    /// The tags of `name` that were ever admitted, in order, at most 10,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn admitted_tags(&self, name: &Name) -> Result<Vec<Tag>, Error> {
        let name = name.to_string();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT tag, body, seal FROM tags
                 WHERE repository = (SELECT id FROM repositories WHERE name = ?1) AND admitted
                 ORDER BY tag LIMIT ?2",
            )?;
            let rows = statement.query_map(params![name, TAGS_MAX], |row| {
                Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?))
            })?;
            let mut tags = Vec::new();
            for row in rows {
                let (tag, sealed) = row?;
                let record: TagRecord = sealed.open(connection.sealer, "tags", &[&name, &tag])?;
                if record.admitted.is_some() {
                    tags.push(rows::parsed("tags", &tag)?);
                }
            }
            Ok(tags)
        })
        .await
    }

    /// What `tag` resolved to over time, oldest first: the last 100 moves, and the admitted one.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read.
    pub async fn tag_history(&self, name: &Name, tag: &Tag) -> Result<Vec<TagMove>, Error> {
        Ok(self.tag(name, tag).await?.moves.clone())
    }
}
