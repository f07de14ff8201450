//! Failed sign-ins on record: one row for all of some minutes, never one for each, so that nobody fills the
//! audit by guessing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::http::admin::guesses::Factor;
use crate::http::admin::throttle::network;
use crate::ledger::{AuditEvent, AuditKind, PersonId};
use crate::mirror::Mirror;
use crate::time::Timestamp;

/// How long failures are gathered before they are written.
const GATHERED_FOR: Duration = Duration::from_mins(5);
/// Most people that get a row of their own at a time; those beyond it share one.
const PEOPLE_MAX: usize = 50;
/// Most networks that are told apart in one row.
const NETWORKS_MAX: usize = 1_000;

/// Failures that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Failures {
    gathered: Mutex<BTreeMap<(Option<PersonId>, Factor), Gathered>>,
}

#[derive(Debug)]
struct Gathered {
    times: u64,
    first: Timestamp,
    last: Timestamp,
    networks: BTreeSet<IpAddr>,
}

impl Failures {
    /// Counts a failure of `who`, or of nobody that there is.
    pub(super) fn count(
        failures: &Arc<Self>,
        mirror: &Mirror,
        who: Option<&PersonId>,
        factor: Factor,
        address: IpAddr,
    ) {
        let now = mirror.clock().now();
        let is_first = {
            let mut gathered = failures.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = gathered.is_empty();
            let is_known = gathered.contains_key(&(who.cloned(), factor));
            let who = who.filter(|_| is_known || gathered.len() < PEOPLE_MAX).cloned();
            let new = || Gathered { times: 0, first: now, last: now, networks: BTreeSet::new() };
            let row = gathered.entry((who, factor)).or_insert_with(new);
            row.times = row.times.saturating_add(1);
            row.last = now;
            if row.networks.len() < NETWORKS_MAX {
                row.networks.insert(network(address));
            }
            is_first
        };
        if is_first {
            let (failures, mirror) = (Arc::clone(failures), mirror.clone());
            drop(mirror.clone().tasks().spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(GATHERED_FOR) => {}
                    () = mirror.tasks().stopping() => {}
                }
                failures.write(&mirror).await;
            }));
        }
    }

    async fn write(&self, mirror: &Mirror) {
        let gathered = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *gathered)
        };
        for ((who, factor), row) in gathered {
            let who = who.map_or_else(|| "nobody known".to_owned(), |who| who.to_string());
            let event = AuditEvent::new(AuditKind::SignInFailed, "pratique")
                .with("person", who)
                .with("factor", factor.as_str())
                .with("times", row.times)
                .with("networks", row.networks.len())
                .with("first", row.first)
                .with("last", row.last);
            if let Err(error) = mirror.ledger().append_audit(event).await {
                warn!(%error, times = row.times, "failed sign-ins are not on record");
            }
        }
    }
}
