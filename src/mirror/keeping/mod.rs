//! Keeping the cache, as far as it takes the ledger or an upstream: what is pinned, and what was
//! damaged and is fetched again.
//!
//! The store keeps itself; it does not know what an image is. Here it is told which contents belong
//! to pinned ones, and what it found damaged is fetched again, by the way of every pull: only what an
//! admitted manifest lists comes back.

mod heal;
mod through;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{debug, warn};

pub(crate) use self::through::Throughs;
pub use self::through::{Through, ThroughReader};

use super::{Error, Mirror};
use crate::oci::Digest;

/// How often the contents of pinned images are gathered again, besides when a pin changes.
const PINS_INTERVAL: Duration = Duration::from_hours(1);
/// How soon it is tried again when that fails; nothing is evicted before it has worked once.
const PINS_RETRY: Duration = Duration::from_secs(30);

impl Mirror {
    /// Begins to keep the cache; to be called once. Must be called on a runtime.
    pub fn begin_keeping(&self) {
        if let Some(damaged) = self.store().take_damaged() {
            drop(self.tasks().spawn(self.clone().heal(damaged)));
        }
        let changed = Arc::clone(&self.inner.pins_changed);
        drop(self.tasks().spawn(self.clone().follow_pins(changed)));
        let store = self.store().clone();
        self.keep_whole_if(Box::new(move |digest| store.is_pinned(digest)));
    }

    /// Tells the store what is pinned now; when this is done, it knows.
    ///
    /// # Errors
    /// When the ledger cannot be read; what was pinned before stays so.
    pub(super) async fn apply_pins(&self) -> Result<(), Error> {
        // One at a time: who read earlier must not have the last word.
        let _turn = self.inner.pinning.lock().await;
        let mut contents: HashSet<Digest> = HashSet::new();
        for pin in self.ledger().pins().await? {
            contents.insert(pin.subject.digest);
            let grants = self.ledger().grants_of(&pin.subject).await?;
            contents.extend(grants.iter().map(|grant| grant.digest));
        }
        debug!(contents = contents.len(), "pins are known");
        self.store().set_pinned(contents);
        Ok(())
    }

    /// Has the pins read again soon.
    pub(super) fn pins_changed(&self) {
        self.inner.pins_changed.notify_one();
    }

    async fn follow_pins(self, changed: Arc<Notify>) {
        let mut stopping = std::pin::pin!(self.tasks().stopping());
        loop {
            let wait = match self.apply_pins().await {
                Ok(()) => PINS_INTERVAL,
                Err(error) => {
                    warn!(%error, "what is pinned is not known; what was stays so");
                    PINS_RETRY
                }
            };
            tokio::select! {
                () = &mut stopping => return,
                () = changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
