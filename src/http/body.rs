//! The bodies that nodes are sent.

use std::fmt;
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
        Self(Kind::Blob(Stream { reader: Some(reader), left: length, metrics }))
    }
}

struct Stream {
    /// `None` after the end or an error.
    reader: Option<BlobReader>,
    left: u64,
    metrics: Arc<Metrics>,
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, store::Error>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        let next = ready!(reader.poll_next(context));
        if let Ok(Some(bytes)) = &next {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.left = self.left.saturating_sub(length);
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
