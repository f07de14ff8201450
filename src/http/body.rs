//! The bodies that nodes are sent.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::metrics::Metrics;
use crate::mirror::BlobReader;
use crate::store;

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
        Self(Kind::Blob(Stream { state: State::next(reader), left: length, metrics }))
    }
}

struct Stream {
    state: State,
    left: u64,
    metrics: Arc<Metrics>,
}

type Next = (BlobReader, Result<Option<Bytes>, store::Error>);

enum State {
    Ended,
    Reading(Pin<Box<dyn Future<Output = Next> + Send>>),
}

impl State {
    fn next(mut reader: BlobReader) -> Self {
        Self::Reading(Box::pin(async move {
            let next = reader.next().await;
            (reader, next)
        }))
    }
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, store::Error>>> {
        let State::Reading(reading) = &mut self.state else { return Poll::Ready(None) };
        let (reader, next) = ready!(reading.as_mut().poll(context));
        match next {
            Ok(Some(bytes)) => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.left = self.left.saturating_sub(length);
                self.metrics.blob_bytes.add(length);
                self.state = if self.left == 0 { State::Ended } else { State::next(reader) };
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(None) => {
                self.state = State::Ended;
                Poll::Ready(None)
            }
            Err(error) => {
                self.state = State::Ended;
                Poll::Ready(Some(Err(error)))
            }
        }
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
            Kind::Blob(stream) => matches!(stream.state, State::Ended),
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
