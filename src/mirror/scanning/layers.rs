//! Reading layers while they arrive.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};
use tracing::debug;

use crate::mirror::{BlobBody, Error, Mirror};
use crate::oci::{ByteRange, Descriptor, Digest, Name};
use crate::scan::{LayerFacts, Limits, Wanted};
use crate::store::{FactKind, ReadMode};

/// Chunks that wait between a stream and whoever reads it.
const CHUNKS_MAX: usize = 1;

/// What is done with the bytes of a layer.
enum Work {
    /// It is read for the first time.
    First(Digest),
    /// It is read for what links lead to.
    More(Arc<LayerFacts>, Wanted),
}

impl Mirror {
    /// What is known of `layer`, or what reading it gives; kept for the next image that has it. It is
    /// read when it is its `turn`; meanwhile it is fetched.
    ///
    /// # Errors
    /// When the layer cannot be had, or not all of it.
    pub(super) async fn layer_facts(
        &self,
        name: &Name,
        layer: &Descriptor,
        limits: &Limits,
        turn: &Semaphore,
    ) -> Result<Arc<LayerFacts>, Error> {
        let scanner = self.scanner();
        let _layer = scanner.layers.take(layer.digest).await;
        let place = fact_place(&layer.digest, limits);
        if let Some(kept) = scanner.facts.get(FactKind::Layer, &place).await {
            let _turn = turn.acquire().await;
            let (limits, digest) = (limits.clone(), layer.digest);
            let read = move || LayerFacts::from_bytes(&kept, &digest, &limits);
            if let Ok(Some(facts)) = self.tasks().spawn_bulk_apart(read).await {
                return Ok(Arc::new(facts));
            }
        }
        let (content, _turn) = self.content_in_turn(name, layer, turn).await?;
        let first = Work::First(layer.digest);
        let (facts, bytes) = self.read_layer(content, layer, limits, first).await?;
        // A busy machine is no property of a layer.
        if !facts.ran_out_of_time() {
            scanner.facts.put(FactKind::Layer, &place, bytes).await;
        }
        Ok(facts)
    }

    /// Reads `layer` once more, for files that links of one image lead to. That is of no use to other
    /// images, which have other links, and is not kept.
    ///
    /// # Errors
    /// As [`Mirror::layer_facts`].
    pub(super) async fn more_layer_facts(
        &self,
        name: &Name,
        layer: &Descriptor,
        limits: &Limits,
        (facts, wanted): (Arc<LayerFacts>, Wanted),
    ) -> Result<Arc<LayerFacts>, Error> {
        let content = self.content(name, &layer.digest, layer.size).await?;
        let (facts, _) = self.read_layer(content, layer, limits, Work::More(facts, wanted)).await?;
        Ok(facts)
    }

    /// What `layer` consists of, when it is its `turn`.
    async fn content_in_turn<'a>(
        &self,
        name: &Name,
        layer: &Descriptor,
        turn: &'a Semaphore,
    ) -> Result<(BlobBody, SemaphorePermit<'a>), Error> {
        let waited = async || turn.acquire().await.map_err(|_closed| Error::Overloaded);
        let Ok(permit) = turn.try_acquire() else {
            // The fetch goes on by itself while others are read; what is not stored on the way would have
            // to wait with its connection open, and is asked for when it is its turn.
            let content = self.content(name, &layer.digest, layer.size).await?;
            if !matches!(content, BlobBody::Through(_)) {
                return Ok((content, waited().await?));
            }
            drop(content);
            let permit = waited().await?;
            return Ok((self.content(name, &layer.digest, layer.size).await?, permit));
        };
        Ok((self.content(name, &layer.digest, layer.size).await?, permit))
    }

    async fn read_layer(
        &self,
        content: BlobBody,
        layer: &Descriptor,
        limits: &Limits,
        work: Work,
    ) -> Result<(Arc<LayerFacts>, Bytes), Error> {
        let Descriptor { digest, size, .. } = layer;
        let scanner = self.scanner();
        let mut stream = content.reader(ByteRange::whole(*size), ReadMode::Copy);
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let limits = limits.clone();
        let reader = ChunkReader { receiver, chunk: Bytes::new(), permit: None };
        let reading = self.tasks().spawn_bulk_apart(move || {
            let facts = match work {
                Work::First(digest) => LayerFacts::read(&digest, reader, &limits),
                Work::More(facts, wanted) => facts.read_more(reader, &wanted, &limits),
            };
            facts.map(|facts| (Bytes::from(facts.to_bytes(&limits)), facts))
        });
        loop {
            let chunk = match stream.next().await {
                Ok(None) => break,
                Ok(Some(chunk)) => chunk,
                Err(error) => {
                    // Whoever reads must not take the end of the stream for the end of the layer.
                    let cut = sender.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                    debug!(%digest, %error, was_read = cut.is_ok(), "layer cut short");
                    return Err(error.into());
                }
            };
            let working = Arc::clone(&scanner.working).acquire_owned().await;
            let permit = working.map_err(|_closed| Error::Overloaded)?;
            // Who has seen enough leaves; what is left is still fetched, and hashed.
            drop(sender.send(Ok((chunk, permit))).await);
        }
        drop(sender);
        let read = reading.await.map_err(|_panicked| Error::Abandoned(crate::mirror::Abandoned))?;
        let (bytes, facts) = read.map_err(|_cut| Error::Abandoned(crate::mirror::Abandoned))?;
        self.metrics().layers_scanned.increment();
        Ok((Arc::new(facts), bytes))
    }
}

/// Under which digest facts of the layer `digest` are kept: others are learnt under other limits, and
/// by other programs.
fn fact_place(digest: &Digest, limits: &Limits) -> Digest {
    Digest::sha256(format!("{digest} {}", limits.reading()).as_bytes())
}

/// The chunks of a stream, for who reads and blocks.
struct ChunkReader {
    receiver: mpsc::Receiver<io::Result<(Bytes, OwnedSemaphorePermit)>>,
    chunk: Bytes,
    /// To work on `chunk`; it is given back before the next one is waited for.
    permit: Option<OwnedSemaphorePermit>,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            self.permit = None;
            let Some(next) = self.receiver.blocking_recv() else { return Ok(0) };
            let (chunk, permit) = next?;
            (self.chunk, self.permit) = (chunk, Some(permit));
        }
        let length = self.chunk.len().min(buffer.len());
        let (Some(into), Some(from)) = (buffer.get_mut(..length), self.chunk.get(..length)) else {
            return Ok(0);
        };
        into.copy_from_slice(from);
        self.chunk.advance(length);
        Ok(length)
    }
}
