//! What may go wrong on the way.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

/// One way in which an answer is not what it should be.
#[derive(Clone)]
pub(crate) enum Fault {
    /// These bytes instead of the content, with their own right length.
    Body(Bytes),
    /// All headers are right, the connection ends after this many bytes of the body.
    CutAfter(usize),
    /// One more header, or another value for one that is there.
    Header(&'static str, String),
    /// Nothing at all until the gate opens, then the right answer.
    Hold(Gate),
    /// The whole content with status 200, whatever range was asked for.
    IgnoreRange,
    /// The right bytes without a `Content-Length`.
    NoLength,
    /// A redirect with this status to this address.
    Redirect(u16, String),
    /// This many bytes of the body, then nothing until the gate opens, then the rest.
    StallAfter(usize, Gate),
    /// This status with an error body.
    Status(u16),
    /// This status with `Retry-After`.
    StatusRetryAfter(u16, String),
}

/// Holds answers back until it is opened; clones are one gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    /// Lets everything through, for good.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Completes when the gate is open.
    pub(super) async fn passed(&self) {
        let mut open = self.0.subscribe();
        if open.wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
