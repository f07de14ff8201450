//! Looking again for what is attested about images that pass because somebody says so.
//!
//! An admitted image keeps the evidence that it was admitted with. Where that is a VEX document or an
//! attested scan, it may be taken back, or a later one may say something else, so that it is looked for
//! again once a day.

use std::time::Duration;

use tracing::{info, warn};

use crate::gate::{EvidenceKind, Gathered};
use crate::ledger::Record;
use crate::mirror::Mirror;
use crate::policy::Demands;

/// How old what is attested about such an image may get, in days: one.
const EVIDENCE_AGE: Duration = Duration::from_hours(24);
/// How often it is looked which are that old.
const INTERVAL: Duration = Duration::from_hours(1);
/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(2);
/// Records that are read from the ledger in one go.
const RECORDS_PAGE: u32 = 256;

impl Mirror {
    /// Looks for it until shutdown.
    pub(super) fn follow_vex(&self) {
        let (mirror, tasks) = (self.clone(), self.tasks().clone());
        drop(self.tasks().spawn(async move {
            let mut looked = mirror.clock().monotonic();
            loop {
                tokio::select! {
                    () = tasks.stopping() => return,
                    () = tokio::time::sleep(TICK) => {}
                }
                let now = mirror.clock().monotonic();
                if now.saturating_sub(looked) >= INTERVAL {
                    looked = now;
                    mirror.look_for_vex_again().await;
                }
            }
        }));
    }

    async fn look_for_vex_again(&self) {
        let (mut after, mut looked) = (None, 0_u64);
        loop {
            let page = match self.ledger().subjects(after.as_ref(), RECORDS_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    warn!(%error, "VEX documents not all looked for again");
                    return;
                }
            };
            let Some(last) = page.last() else { break };
            after = Some(last.subject.clone());
            for record in page.iter().filter(|record| self.rests_on_old_vex(record)) {
                let mut kinds = vec![EvidenceKind::Signatures];
                if matches!(record.evidence.child_signatures, Gathered::Found(_)) {
                    kinds.push(EvidenceKind::ChildSignatures);
                }
                // What cannot be looked for stays as it is, and is looked for again in a day.
                match self.gather_more(record, &kinds).await {
                    Ok(_) => looked += 1,
                    Err(error) => info!(subject = %record.subject, %error, "VEX not looked for"),
                }
                if self.tasks().is_stopping() {
                    return;
                }
            }
        }
        if looked > 0 {
            info!(looked, "VEX documents looked for again");
        }
    }

    fn rests_on_old_vex(&self, record: &Record) -> bool {
        let now = self.now();
        let judgement = self.in_force(record, self.policy().id(), now);
        let asks_for_attested = || {
            let policy = self.policy();
            let possible = policy.possible_demands(&record.subject.name);
            let mut gates = possible.iter().flat_map(Demands::gates);
            gates.any(|gate| !gate.attested_by.is_empty())
        };
        let rests = judgement
            .is_some_and(|it| it.admits() && (!it.silenced.is_empty() || asks_for_attested()));
        let at = record.evidence.gathered_at;
        rests && at.is_none_or(|at| at > now || now.since(at) >= EVIDENCE_AGE)
    }
}
