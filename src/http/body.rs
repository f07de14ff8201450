//! The bodies that nodes are sent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::metrics::Metrics;
use crate::mirror::BlobReader;
use crate::store;

/// Bytes that one answer may hand over in a row before every other connection has had its turn:
/// 256 KiB, some ten microseconds of copying. Without it a hundred downloads, each of which fills
/// its socket whenever it is looked at, make a manifest of a few kilobytes wait for megabytes.
const TURN_BYTES: u64 = 256 * 1024;

/// A body with a length that is known beforehand.
///
/// A blob that turns out to be wrong or cannot be read to its end yields an error, on which the
/// connection is closed before the promised length is reached: no client sees a clean wrong body.
#[derive(Debug)]
pub struct NodeBody(Kind);

#[derive(Debug)]
enum Kind {
    Blob(Stream),
    Whole(Option<Bytes>),
}

impl NodeBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Whole(None))
    }

    /// These bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// `length` bytes from `reader`.
    pub fn blob(reader: BlobReader, length: u64, metrics: Arc<Metrics>) -> Self {
        Self(Kind::Blob(Stream { reader: Some(reader), left: length, turn: 0, metrics }))
    }
}

struct Stream {
    /// `None` after the end or an error.
    reader: Option<BlobReader>,
    left: u64,
    /// Bytes handed over since others last had their turn.
    turn: u64,
    metrics: Arc<Metrics>,
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, store::Error>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(next) = reader.poll_next(context) else {
            self.turn = 0;
            return Poll::Pending;
        };
        if let Ok(Some(bytes)) = &next {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.left = self.left.saturating_sub(length);
            self.turn = self.turn.saturating_add(length);
            self.metrics.blob_bytes.add(length);
        }
        if self.left == 0 || !matches!(next, Ok(Some(_))) {
            self.reader = None;
        }
        Poll::Ready(next.transpose())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Body for NodeBody {
    type Data = Bytes;
    type Error = store::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, store::Error>>> {
        match &mut self.0 {
            Kind::Blob(stream) => stream.poll(context).map_ok(Frame::data),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Blob(stream) => stream.reader.is_none(),
            Kind::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Blob(stream) => SizeHint::with_exact(stream.left),
            Kind::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::oci::{ByteRange, Digest};
    use crate::store::{CHUNK_BYTES_MAX, ReadMode, Store};
    use crate::tasks::Tasks;
    use crate::time::SystemClock;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_never_has_to_wait_lets_the_others_have_their_turn() {
        let dir = tempfile::tempdir().unwrap();
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::default()));
        let settings = store::Settings { dir: dir.path().to_owned(), ..Default::default() };
        let store =
            Store::open(settings, Arc::new(SystemClock), tasks.clone(), Arc::clone(&metrics));
        let store = store.await.unwrap();
        let content = vec![7; 5_000_000];
        let digest = Digest::sha256(&content);
        store.put(&digest, content.into()).await.unwrap();
        let blob = store.open_blob(&digest, None).await.unwrap().unwrap();
        for mode in [ReadMode::Copy, ReadMode::Map] {
            let reader = blob.reader(ByteRange::whole(blob.size()), mode);
            let mut body = NodeBody::blob(BlobReader::Stored(reader), blob.size(), metrics.clone());
            let (mut all, mut in_a_row, mut longest) = (0, 0, 0);
            let reading = poll_fn(|context| {
                loop {
                    match Pin::new(&mut body).poll_frame(context) {
                        Poll::Pending => {
                            in_a_row = 0;
                            return Poll::Pending;
                        }
                        Poll::Ready(None) => return Poll::Ready(()),
                        Poll::Ready(Some(frame)) => {
                            let length = frame.unwrap().into_data().unwrap().len();
                            all += length;
                            in_a_row += length;
                            longest = longest.max(in_a_row);
                        }
                    }
                }
            });
            tokio::time::timeout(Duration::from_secs(60), reading).await.expect("woken again");
            assert_eq!(all, 5_000_000, "{mode:?}");
            let most = usize::try_from(TURN_BYTES).unwrap() + CHUNK_BYTES_MAX;
            assert!(longest <= most, "{mode:?}: {longest} bytes in a row");
        }
        tasks.shut_down(Duration::from_secs(10)).await;
    }
}
