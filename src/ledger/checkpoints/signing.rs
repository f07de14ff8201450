//! Catching up with the chain, and signing how it stands.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::super::audit::{AuditEvent, AuditKind, Chain, Stored};
use super::super::rows::integer;
use super::super::verify::follow;
use super::super::{Error, Ledger, archive};
use super::keys::Opened;
use super::{cut_origin, journal, keys};
use crate::transparency::{Checkpoint, NodeHash, NoteSigner, Tree, Unsigned, VerifierKey};

/// Records that are read in one go.
const PAGE: u64 = 4_096;

/// How far the tree has grown, and what it is signed with.
#[derive(Debug)]
pub(super) struct State {
    signer: Arc<NoteSigner>,
    origin: String,
    /// The tree over the records of `chain`.
    tree: Tree,
    chain: Chain,
    journal_bytes: u64,
    last: Option<Checkpoint>,
}

/// What is on the disk.
struct Found {
    opened: Opened,
    journal: journal::Journal,
    /// Where the chain in the database begins.
    base: (Chain, Tree),
}

/// Adds the records after `chain` to `tree`, at most `limit` of them; gives how many there were.
///
/// # Errors
/// [`Error::ChainBroken`] at a record that is not what was written; else when the database fails.
pub(in crate::ledger) fn grow(
    connection: &Connection,
    tree: &mut Tree,
    chain: &mut Chain,
    limit: u64,
) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, body, previous, hash FROM audit
         WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let limit = integer(limit.min(PAGE));
    let mut count = 0;
    for stored in statement.query_map(params![integer(chain.count), limit], Stored::from_row)? {
        let stored = stored?;
        let next = follow(chain, &stored).map_err(Error::ChainBroken)?;
        tree.push(stored.body.as_bytes());
        *chain = next;
        count += 1;
    }
    Ok(count)
}

impl Ledger {
    /// Reads key and journal, and looks whether the chain goes on from the last checkpoint. That it does
    /// not, and that there is another key, is put on record.
    pub(super) async fn resume_signing(&self) -> Result<State, Error> {
        let dir = self.inner.dir.clone();
        let found = self.inner.readers.read(move |connection| {
            let base = archive::base(connection, Some(connection.sealer))?;
            Ok(Found { opened: keys::open(&dir)?, journal: journal::read(&dir)?, base })
        });
        let Found { opened, journal, base: (chain, tree) } = found.await?;
        let last = journal.entries.into_iter().rev().find_map(Result::ok);
        // That it is another one was put on record when the ledger was opened.
        let signer = opened.into_signer();
        let name = signer.public().name().to_owned();
        let origin =
            last.as_ref().map(Checkpoint::origin).filter(|origin| origin.starts_with(&name));
        let mut state = State {
            origin: origin.unwrap_or(&name).to_owned(),
            signer: Arc::new(signer),
            tree,
            chain,
            journal_bytes: journal.whole_bytes,
            last: None,
        };
        if let Some(last) = last {
            self.catch_up(&mut state, last.size()).await?;
            if (state.tree.size(), state.tree.root()) == (last.size(), *last.root()) {
                state.last = Some(last);
            } else {
                let sequence = self.note_other_chain(last.size(), last.root()).await?;
                state.origin = cut_origin(&name, sequence);
            }
        }
        Ok(state)
    }

    async fn note_other_chain(&self, size: u64, root: &NodeHash) -> Result<u64, Error> {
        let event = AuditEvent::new(AuditKind::ChainCut, "server")
            .with("checkpoint", size)
            .with("checkpoint_root", root);
        tracing::error!(checkpoint = size, "the audit chain is not the one that was signed");
        self.write(move |writing| {
            let event = event.with("found", writing.chain.count);
            writing.audit(&event)?;
            Ok(writing.chain.count)
        })
        .await
    }

    /// Grows the tree of `state` to `size`, or as far as the chain goes.
    pub(super) async fn catch_up(&self, state: &mut State, size: u64) -> Result<(), Error> {
        while state.tree.size() < size {
            let (mut tree, mut chain) = (state.tree.clone(), state.chain);
            let limit = (size - tree.size()).min(PAGE);
            let growing = self.read(move |connection| {
                let count = grow(connection, &mut tree, &mut chain, limit)?;
                Ok((tree, chain, count))
            });
            let (tree, chain, count) = growing.await?;
            (state.tree, state.chain) = (tree, chain);
            if count < limit {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A checkpoint of the records in `tree`, which are no more than the last one covers; and the key that
    /// signed it. It is in no journal: later ones cover what it does.
    pub(in crate::ledger) async fn sign_within(
        &self,
        tree: Tree,
    ) -> Result<(Checkpoint, VerifierKey), Error> {
        let (origin, signer) = {
            let state = self.inner.checkpoints.state.lock().await;
            let covering =
                |state: &&State| state.last.as_ref().is_some_and(|last| last.size() >= tree.size());
            let state = state.as_ref().filter(covering);
            let none = Error::ArchiveRefused("no checkpoint covers these records");
            let state = state.ok_or(none)?;
            (state.origin.clone(), Arc::clone(&state.signer))
        };
        let signing = self.inner.readers.read(move |_connection| {
            let unsigned = Unsigned { origin: &origin, tree: &tree };
            let checkpoint = unsigned.sign(&signer).ok_or(Error::Random)?;
            Ok((checkpoint, signer.public().clone()))
        });
        signing.await
    }

    /// Signs how `state` stands and writes it down, unless that was done.
    pub(super) async fn sign(&self, state: &mut State) -> Result<Option<Checkpoint>, Error> {
        if state.tree.size() == state.last.as_ref().map_or(0, Checkpoint::size) {
            return Ok(state.last.clone());
        }
        let (dir, signer, tree) =
            (self.inner.dir.clone(), Arc::clone(&state.signer), state.tree.clone());
        let (origin, whole_bytes) = (state.origin.clone(), state.journal_bytes);
        let signing = self.inner.readers.read(move |_connection| {
            let unsigned = Unsigned { origin: &origin, tree: &tree };
            let checkpoint = unsigned.sign(&signer).ok_or(Error::Random)?;
            let whole_bytes = journal::append(&dir, &checkpoint, whole_bytes)?;
            Ok((checkpoint, whole_bytes))
        });
        let (checkpoint, whole_bytes) = signing.await?;
        state.journal_bytes = whole_bytes;
        state.last = Some(checkpoint.clone());
        Ok(Some(checkpoint))
    }
}
