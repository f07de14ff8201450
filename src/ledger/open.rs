//! Opening and closing a ledger.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, params};

use super::audit::{AuditEvent, AuditKind, Chain};
use super::checkpoints::Checkpoints;
use super::checkpoints::keys::{self, Opened};
use super::memory::Memory;
use super::readers::Readers;
use super::rows::{self, Sealed};
use super::sealer::{self, Tables};
use super::writer::{Owned, Writer};
use super::{
    Error, Inner, Ledger, Settings, database, emergencies, exceptions, grants, head, logic, people,
    policy, pulls, records, requests, schema, snapshots, tokens, verify,
};
use crate::gate::Subject;
use crate::metrics::Metrics;
use crate::oci::{Digest, Name};
use crate::tasks::Tasks;
use crate::time::Clock;

/// Rows that are read at a time to warm the caches.
const WARM_PAGE: usize = 1000;

/// The database of the ledger in `dir`.
pub(super) fn database_path(dir: &Path) -> PathBuf {
    dir.join("ledger.db")
}

/// Takes the ledger in `dir` for this process alone.
///
/// # Errors
/// [`Error::AlreadyOpen`] when another one has it.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("ledger.lock");
    let file = database::private()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::AlreadyOpen { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(Error::file("lock", &path)(source)),
    }
}

impl Ledger {
    /// Opens the ledger in the directory `dir` with default bounds, or makes a new one there.
    ///
    /// # Errors
    /// [`Error::AlreadyOpen`], [`Error::Damaged`], [`Error::Missing`], [`Error::NewerSchema`]: in all
    /// of them, what is there stays as it is. Else when files cannot be made or read.
    pub async fn open(
        dir: &Path,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        Self::open_with(dir, Settings::default(), clock, tasks, metrics).await
    }

    /// As [`open`](Self::open), with bounds of one's own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        dir: &Path,
        settings: Settings,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let memory = Arc::new(Memory::new(&settings));
        let (path, dir) = (database_path(dir), dir.to_owned());
        let owned = {
            let (dir, memory) = (dir.clone(), Arc::clone(&memory));
            let (clock, metrics) = (Arc::clone(&clock), Arc::clone(&metrics));
            tasks.spawn_blocking(move || open_database(dir, clock, metrics, memory))
        };
        let (owned, is_checked) = owned.await.map_err(|_| Error::Panicked)??;
        let sealer = Arc::clone(&owned.sealer);
        let writer = Writer::start(owned)?;
        let readers = Readers::new(path, sealer, tasks.clone());
        let (checkpoints, archiving) = (Checkpoints::default(), tokio::sync::Mutex::default());
        let inner = Inner {
            dir,
            settings,
            clock,
            metrics,
            memory,
            checkpoints,
            archiving,
            writer,
            readers,
        };
        let ledger = Self { inner: Arc::new(inner) };
        ledger.show_open_requests();
        pulls::start_flushing(&tasks, Arc::downgrade(&ledger.inner));
        tasks.spawn(ledger.clone().settle(tasks.clone(), is_checked));
        Ok(ledger)
    }

    /// What time it is, by the clock that it goes by.
    pub fn now(&self) -> crate::time::Timestamp {
        self.inner.clock.now()
    }

    /// Writes what was counted, signs a last checkpoint where they are kept, takes no more, and closes the
    /// files; every clone is closed with it.
    pub async fn close(&self) {
        self.flush().await;
        self.sign_last().await;
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// What is done behind what is being served, once after each start.
    async fn settle(self, tasks: Tasks, is_checked: bool) {
        tokio::select! {
            () = tasks.stopping() => return,
            outcome = self.warm() => if let Err(error) = outcome {
                tracing::warn!(%error, "ledger's memory is not warm; it fills as it is asked");
            },
        }
        if !is_checked {
            self.check_structure(&tasks).await;
        }
    }

    /// Fills memory from the database, newest records first, until it is full.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn warm(&self) -> Result<(), Error> {
        let memory = Arc::clone(&self.inner.memory);
        let mut before = Some(i64::MAX);
        while let Some(id) = before
            && !memory.records.is_full()
        {
            let memory = Arc::clone(&memory);
            before = self.read(move |connection| warm_records(connection, &memory, id)).await?;
        }
        let mut after = Some((0, String::new()));
        while let Some(place) = after
            && !memory.grants.is_full()
        {
            let memory = Arc::clone(&memory);
            after = self.read(move |connection| warm_grants(connection, &memory, &place)).await?;
        }
        let mut after = Some((0, String::new()));
        while let Some(place) = after
            && !memory.tags.is_full()
        {
            let memory = Arc::clone(&memory);
            after = self.read(move |connection| warm_tags(connection, &memory, &place)).await?;
        }
        Ok(())
    }
}

fn open_database(
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    memory: Arc<Memory>,
) -> Result<(Owned, bool), Error> {
    std::fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    let lock = lock(&dir)?;
    let path = database_path(&dir);
    let anchored = head::read(&dir);
    if path.exists() {
        database::recover(&path)?;
    }
    let mut is_checked = true;
    if path.metadata().is_ok_and(|there| there.len() > 0) {
        is_checked = database::check(&path).map_err(Error::with_way_out)?;
    } else if let Ok(Some(Chain { count: records @ 1.., .. })) = anchored {
        return Err(Error::Missing { path, records });
    }
    head::prepare(&dir)?;
    let mut connection = database::open_writer(&path)?;
    let found = schema::version(&connection)?;
    let is_new = found == 0;
    sealer::check_schema(&dir, &path, found)?;
    if is_new && let Ok(Some(Chain { count: records @ 1.., .. })) = anchored {
        return Err(Error::Missing { path, records });
    }
    let opened = keys::open(&dir)?;
    let before = sealer::of_schema(found, opened.signer());
    schema::migrate(&mut connection, &path, schema::MIGRATIONS, |connection, version| {
        snapshots::take(connection, &dir, (version, &before), clock.now())
    })?;
    let (sealer, replaced) = sealer::take_over(&mut connection, &dir, (opened.signer(), found))?;
    let sealer = Arc::new(sealer);
    let tables = Tables { connection: &connection, sealer: &sealer };
    if is_new {
        logic::begin(&tables, clock.now())?;
    }
    let mut chain = Chain::load(&connection)?;
    if !is_new {
        note_cut(&connection, &mut chain, &anchored, clock.as_ref())?;
    }
    let replaced = replaced.or_else(|| match &opened {
        Opened::Instead(_, before) => Some(before.to_string()),
        Opened::First(_) | Opened::Known(_) => None,
    });
    if let Some(before) = replaced {
        let key = opened.signer().public();
        let event = AuditEvent::new(AuditKind::AuditKeyReplaced, "server").with("key", key);
        chain.append(&connection, clock.now(), &event.with("before", before))?;
        tracing::warn!(%key, "another key signs checkpoints and seals from now on");
    }
    sealer::write_mark(&dir, opened.signer())?;
    if !matches!(anchored, Ok(Some(head)) if head == chain)
        && let Err(error) = head::write(&dir, chain)
    {
        // A full disk keeps nobody from what is known: a head that is behind is not a cut.
        metrics.ledger_failures.increment();
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the head of the audit chain stays behind");
    }
    for row in requests::load_open(&tables)? {
        memory.desk.lock().unwrap_or_else(PoisonError::into_inner).put(row);
    }
    *memory.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens::load(&tables)?;
    *memory.people.write().unwrap_or_else(PoisonError::into_inner) = people::load(&tables)?;
    let emergencies = emergencies::load(&tables, clock.as_ref())?;
    *memory.emergencies.write().unwrap_or_else(PoisonError::into_inner) = emergencies;
    *memory.exceptions.write().unwrap_or_else(PoisonError::into_inner) = exceptions::load(&tables)?;
    *memory.in_force.write().unwrap_or_else(PoisonError::into_inner) = policy::load(&tables)?;
    database::sync_directory(&dir)?;
    let signer = opened.into_signer();
    let owned = Owned { connection, chain, dir, clock, metrics, memory, sealer, signer, lock };
    Ok((owned, is_checked))
}

/// Puts on record, in the chain itself, that the chain is not the one its head knew: the head moves
/// on from here, and the finding must not go with it.
fn note_cut(
    connection: &Connection,
    chain: &mut Chain,
    anchored: &Result<Option<Chain>, Error>,
    clock: &dyn Clock,
) -> Result<(), Error> {
    let event = AuditEvent::new(AuditKind::ChainCut, "server").with("found", chain.count);
    let event = match anchored {
        Ok(Some(head)) if verify::hash_at(connection, head.count)? == Some(head.hash) => {
            return Ok(());
        }
        Ok(Some(head)) => event.with("head", head.count).with("head_hash", head.hash),
        // The very first start may have been interrupted between database and head.
        Ok(None) if chain.count == 0 => return Ok(()),
        Ok(None) | Err(_) => event.with("head", "missing or unreadable"),
    };
    tracing::error!(records = chain.count, "the audit chain is not the one that its head knew");
    chain.append(connection, clock.now(), &event)
}

fn warm_records(
    connection: &Tables<'_>,
    memory: &Memory,
    before: i64,
) -> Result<Option<i64>, Error> {
    let moment = memory.records.moment();
    let mut statement = connection.prepare_cached(
        "SELECT r.id, n.name, r.digest, r.body, r.seal
         FROM records r JOIN repositories n ON n.id = r.repository
         WHERE r.id < ?1 ORDER BY r.id DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(WARM_PAGE).unwrap_or(i64::MAX);
    let rows = statement.query_map([before, limit], |row| {
        let key: (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((key, Sealed::from_row(row, 3)?))
    })?;
    let mut last = None;
    for row in rows {
        let ((id, name, digest), sealed) = row?;
        last = Some(id);
        match sealed.open::<records::Record>(connection.sealer, "records", &[&name, &digest]) {
            Ok(record) => {
                let Subject { name, digest } = &record.subject;
                let key = records::key(name, digest);
                let found = Some((Arc::new(record), sealed.weight()));
                memory.records.offer(key, found, moment);
            }
            Err(error) => tracing::error!(%error, "left out"),
        }
        if memory.records.is_full() {
            return Ok(None);
        }
    }
    Ok(last)
}

/// A place in a table that is ordered by repository and then by digest or tag.
type Place = (i64, String);

fn warm_grants(
    connection: &Tables<'_>,
    memory: &Memory,
    after: &Place,
) -> Result<Option<Place>, Error> {
    let moment = memory.grants.moment();
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT g.repository, g.digest, n.name
         FROM grants g JOIN repositories n ON n.id = g.repository
         WHERE (g.repository, g.digest) > (?1, ?2)
         ORDER BY g.repository, g.digest LIMIT ?3",
    )?;
    let limit = i64::try_from(WARM_PAGE).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, after.1, limit], |row| {
        let place: Place = (row.get(0)?, row.get(1)?);
        Ok((place, row.get::<_, String>(2)?))
    })?;
    let mut last = None;
    for row in rows {
        let (place, name) = row?;
        let name: Name = rows::parsed("repositories", &name)?;
        let digest: Digest = rows::parsed("grants", &place.1)?;
        match grants::load_grants(connection, &name, &digest) {
            Ok((granted, bytes)) => {
                let key = records::key(&name, &digest);
                if granted.iter().any(|granted| grants::may_be_subject(&granted.grant)) {
                    warm_record_of(connection, memory, &name, &digest)?;
                }
                memory.grants.offer(key, Some((granted, bytes)), moment);
            }
            Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
            Err(error) => return Err(error),
        }
        if memory.grants.is_full() {
            return Ok(None);
        }
        last = Some(place);
    }
    Ok(last)
}

/// What is listed is asked for its own record whenever it is served: mostly, there is none.
fn warm_record_of(
    connection: &Tables<'_>,
    memory: &Memory,
    name: &Name,
    digest: &Digest,
) -> Result<(), Error> {
    let key = records::key(name, digest);
    let moments = memory.records.moment();
    if memory.records.get(&key).is_none() && records::id(connection, name, digest)?.is_none() {
        memory.records.offer(key, None, moments);
    }
    Ok(())
}

fn warm_tags(
    connection: &Tables<'_>,
    memory: &Memory,
    after: &Place,
) -> Result<Option<Place>, Error> {
    let moment = memory.tags.moment();
    let mut statement = connection.prepare_cached(
        "SELECT t.repository, t.tag, n.name, t.body, t.seal
         FROM tags t JOIN repositories n ON n.id = t.repository
         WHERE (t.repository, t.tag) > (?1, ?2) ORDER BY t.repository, t.tag LIMIT ?3",
    )?;
    let limit = i64::try_from(WARM_PAGE).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, after.1, limit], |row| {
        let place: Place = (row.get(0)?, row.get(1)?);
        Ok((place, row.get::<_, String>(2)?, Sealed::from_row(row, 3)?))
    })?;
    let mut last = None;
    for row in rows {
        let (place, name, sealed) = row?;
        match sealed.open(connection.sealer, "tags", &[&name, &place.1]) {
            Ok(record) => {
                let name = rows::parsed("repositories", &name)?;
                let tag = rows::parsed("tags", &place.1)?;
                let key = super::tags::key(&name, &tag);
                let found = Some((Arc::new(record), sealed.weight()));
                memory.tags.offer(key, found, moment);
            }
            Err(error) => tracing::error!(%error, "left out"),
        }
        if memory.tags.is_full() {
            return Ok(None);
        }
        last = Some(place);
    }
    Ok(last)
}
