//! How far a blob is known to be there and to be right; what readers wait for.

use tokio::sync::watch;

use super::error::Error;

/// The state of a blob that is arriving, or of a stored one that is being hashed again.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// Bytes from the start that can be read.
    pub(super) available: u64,
    /// `None` until the content has been found to have its digest, or not.
    pub(super) settled: Option<Result<(), Error>>,
}

/// The writing end; shared so that several may wait for one hashing.
pub(super) type Reporter = watch::Sender<Progress>;

/// The reading end.
pub(super) type Watch = watch::Receiver<Progress>;

/// A state of which `available` bytes can be read and nothing has been settled.
pub(super) fn begin(available: u64) -> (Reporter, Watch) {
    watch::channel(Progress { available, settled: None })
}

/// Tells readers that more can be read.
pub(super) fn advance(reporter: &Reporter, available: u64) {
    reporter.send_modify(|progress| progress.available = available);
}

/// Tells readers the outcome; the first one stays.
pub(super) fn settle(reporter: &Reporter, outcome: Result<(), Error>) {
    reporter.send_if_modified(|progress| {
        let is_first = progress.settled.is_none();
        if is_first {
            progress.settled = Some(outcome);
        }
        is_first
    });
}
