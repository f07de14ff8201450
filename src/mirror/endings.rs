//! Approvals and exceptions that end: looked for every hour, so that people hear of it in time.

use std::time::Duration;

use tracing::{info, warn};

use super::Mirror;
use crate::ledger;

/// How often approvals are looked for that end soon.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// How often it is seen whether it is time for that: clocks may be set.
const CHECK_EVERY: Duration = Duration::from_mins(1);

impl Mirror {
    /// Begins to look for approvals and exceptions that end; to be called once. Must be called on a runtime.
    pub fn watch_endings(&self) {
        drop(self.tasks().spawn(self.clone().follow_endings()));
        drop(self.tasks().spawn(self.clone().follow_exceptions()));
    }

    async fn follow_endings(self) {
        let mut stopping = std::pin::pin!(self.tasks().stopping());
        loop {
            if let Err(error) = self.ring_endings().await {
                warn!(%error, "what ends soon is not known; looked for again in an hour");
            }
            let looked = self.clock().monotonic();
            while self.clock().monotonic().saturating_sub(looked) < LOOK_EVERY {
                tokio::select! {
                    () = &mut stopping => return,
                    () = tokio::time::sleep(CHECK_EVERY) => {}
                }
            }
        }
    }

    /// Puts on record of each approval that it ends in 14, 3 and 1 days, once each, if its image is
    /// still pulled, and of each exception; gives how many records that were.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn ring_endings(&self) -> Result<u64, ledger::Error> {
        let (rung, ending) = self.ledger().ring_endings(self.now()).await?;
        self.metrics().approvals_ending.set(i64::try_from(ending).unwrap_or(i64::MAX));
        if rung > 0 {
            info!(approvals = rung, "approvals end soon");
        }
        let exceptions = self.ledger().ring_exceptions(self.now()).await?;
        if exceptions > 0 {
            info!(exceptions, "exceptions end soon");
        }
        Ok(rung + exceptions)
    }
}
