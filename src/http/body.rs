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

/// Bytes that all answers under way may hand over, one after the other, before everything else has
/// had its turn; each has its share of them. Without it a hundred downloads, each of which fills its
/// socket whenever it is looked at, make a manifest of a few kilobytes wait for megabytes.
const ROUND_BYTES: usize = 8 * 1024 * 1024;
/// The least and the most that one answer hands over in its turn: larger turns cost less each byte.
const TURN_BYTES_MIN: usize = 64 * 1024;
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// A body with a length that is known beforehand.
///
/// A blob that turns out to be wrong or cannot be read to its end yields an error, on which the
/// connection is closed before the promised length is reached: no client sees a clean wrong body.
#[derive(Debug)]
pub struct NodeBody(Kind);

#[derive(Debug)]
enum Kind {
    /// Boxed, so that answers without one stay small: they are moved about a lot.
    Blob(Box<Stream>),
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
        metrics.blob_answers.add(1);
        let (reader, rest) = (Some(reader), Bytes::new());
        let stream = Stream { reader, rest, left: length, turn: 0, metrics };
        Self(Kind::Blob(Box::new(stream)))
    }
}

struct Stream {
    /// `None` after the end or an error.
    reader: Option<BlobReader>,
    /// What was read and not handed over yet.
    rest: Bytes,
    left: u64,
    /// Bytes handed over since others last had their turn.
    turn: usize,
    metrics: Arc<Metrics>,
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, store::Error>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        let share = share_of(self.metrics.blob_answers.value());
        if self.turn >= share {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match reader.poll_next(context) {
                Poll::Pending => {
                    self.turn = 0;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Some(bytes))) => self.rest = bytes,
                Poll::Ready(end) => {
                    self.reader = None;
                    return Poll::Ready(end.transpose());
                }
            }
        }
        let bytes = self.rest.split_to(self.rest.len().min(share));
        self.turn = self.turn.saturating_add(bytes.len());
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(length);
        self.metrics.blob_bytes.add(length);
        if self.left == 0 {
            self.reader = None;
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

/// What one of so many answers may hand over in its turn.
fn share_of(answers: i64) -> usize {
    let answers = usize::try_from(answers).unwrap_or(0).max(1);
    (ROUND_BYTES / answers).clamp(TURN_BYTES_MIN, TURN_BYTES_MAX)
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.metrics.blob_answers.add(-1);
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
    use crate::store::{ReadMode, Store};
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
            tokio::time::timeout(Duration::from_mins(1), reading).await.expect("woken again");
            assert_eq!(all, 5_000_000, "{mode:?}");
            assert!(longest < 2 * TURN_BYTES_MAX, "{mode:?}: {longest} bytes in a row");
            drop(body);
            assert_eq!(metrics.blob_answers.value(), 0);
        }
        tasks.shut_down(Duration::from_secs(10)).await;
    }

    #[test]
    fn the_more_answers_are_under_way_the_shorter_is_the_turn_of_each() {
        assert_eq!(share_of(1), TURN_BYTES_MAX);
        assert_eq!(share_of(2), TURN_BYTES_MAX);
        assert_eq!(share_of(64), ROUND_BYTES / 64);
        assert_eq!(share_of(10_000), TURN_BYTES_MIN);
    }
}
