//! Permits for work at registries, shared out so that no registry takes them all.
//!
//! Each registry has a few of its own, which nobody else can take, and all draw on a common pot
//! beyond that: one that answers slowly holds the pot, and the others go on by their own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::oci::Registry;

/// How permits are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Permits of each registry's own.
    pub(crate) own: usize,
    /// Permits for whoever is first.
    pub(crate) common: usize,
    /// How long a permit is waited for before the work is refused.
    pub(crate) wait_max: Duration,
}

/// The permits of one kind of work.
pub(crate) struct Shares {
    budget: Budget,
    common: Arc<Semaphore>,
    own: Mutex<HashMap<Registry, Arc<Semaphore>>>,
}

impl Shares {
    /// Permits by `budget`, all free.
    pub(crate) fn new(budget: Budget) -> Self {
        let common = Arc::new(Semaphore::new(budget.common));
        Self { budget, common, own: Mutex::default() }
    }

    /// A permit for work at `registry`, which must be one of those that are configured: they are
    /// what bounds the number of permits.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when none is free in time.
    pub(crate) async fn acquire(&self, registry: &Registry) -> Result<OwnedSemaphorePermit, Error> {
        let (own, common) = (self.own(registry), Arc::clone(&self.common));
        let either = async {
            tokio::select! {
                biased;
                permit = own.acquire_owned() => permit,
                permit = common.acquire_owned() => permit,
            }
        };
        let permit = tokio::time::timeout(self.budget.wait_max, either).await;
        permit.map_err(|_late| Error::Overloaded)?.map_err(|_closed| Error::Overloaded)
    }

    fn own(&self, registry: &Registry) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(self.budget.own));
        Arc::clone(own.entry(registry.clone()).or_insert_with(new))
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { own: 1, common: 2, wait_max: Duration::from_secs(10) };

    fn registry(text: &str) -> Registry {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_takes_all_it_can_get_leaves_the_others_their_own() {
        let shares = Shares::new(BUDGET);
        let slow = registry("slow.test");
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(shares.acquire(&slow).await.unwrap());
        }
        assert!(matches!(shares.acquire(&slow).await, Err(Error::Overloaded)));
        let other = shares.acquire(&registry("quick.test")).await;
        assert!(other.is_ok(), "its own permit is free");
        held.pop();
        assert!(shares.acquire(&slow).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_permit_gets_one_as_soon_as_it_is_free() {
        let shares = Shares::new(Budget { own: 1, common: 0, ..BUDGET });
        let name = registry("a.test");
        let held = shares.acquire(&name).await.unwrap();
        let (waiting, ()) = tokio::join!(shares.acquire(&name), async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            drop(held);
        });
        assert!(waiting.is_ok());
    }
}
