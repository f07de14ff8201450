//! What the scanner knows, when the gate asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::error;

use super::Scanner;
use crate::gate::{
    BillSearch, Bills, ImageScan, ScannedByOther, Scans, compares_line, tracks_fixes,
};
use crate::mirror::Mirror;
use crate::mirror::deciding::{Asked, takes_bills};
use crate::oci::Digest;
use crate::scan::{Attested, Database, Finding, Inventory, Report};
use crate::store::FactKind;

/// About how many bytes a finding takes, with its package.
const FINDING_BYTES: usize = 600;

impl Mirror {
    /// Inventories of the images of the subject, as far as a rule may ask for them, with what bills of
    /// materials add to them, and what the database in force knows against all that. What is lost is not
    /// there, and is gathered again.
    pub(in crate::mirror) async fn scans_of(&self, asked: &Asked<'_>) -> Scans {
        let Asked { subject, evidence, policy, .. } = asked;
        let possible = policy.possible_demands(&subject.name);
        let by_floor = asked.emergency.is_some()
            && policy.break_glass().is_some_and(|allowed| allowed.floor_gate().is_some());
        let asks = by_floor || possible.iter().any(|it| !it.gates().is_empty() || it.facts().scan);
        let Some(scanned) = evidence.scan.found().filter(|_| asks) else { return Scans::default() };
        let mut scans = Scans::default();
        for image in scanned.images.values() {
            for other in image.others.values() {
                let ScannedByOther::Reported { report, .. } = other else { continue };
                // One that is lost is asked for again.
                let Some(scan) = self.other_scan(report).await else { continue };
                scans.others.insert(*report, scan);
            }
        }
        scans.reading = Some(self.reading(policy, &subject.name).limits.reading());
        let none = |why, scans| Scans { no_database: Some(why), known: BTreeMap::new(), ..scans };
        let database = match self.scanner().database() {
            Ok(database) => database,
            Err(why) => return none(why, scans),
        };
        scans.bills = if possible.iter().any(takes_bills) {
            let Some(bills) = self.bills_for(asked).await else {
                let why = "bills of materials could not be read in time".to_owned();
                return none(why, scans);
            };
            Some(bills)
        } else {
            None
        };
        self.compare_predecessors(asked, &database, &mut scans).await;
        for digest in scanned.images.values().filter_map(|image| image.inventory) {
            let Some(inventory) = self.inventory(&digest).await else { continue };
            let joined = self.joined(digest, inventory, scans.bills.as_ref()).await;
            let Some((key, inventory, attested)) = joined else { continue };
            match self.report(&key, &inventory, &database).await {
                Ok(report) => {
                    drop(scans.known.insert(digest, ImageScan { inventory, report, attested }));
                }
                Err(why) => {
                    error!(%subject, why, "packages could not be compared");
                    let why = "packages could not be compared with the database".to_owned();
                    return none(why, scans);
                }
            }
        }
        scans
    }

    /// Adds what is known against what the tags of the subject were last admitted as, where a rule may ask
    /// what is fixed of that. What cannot be had is not there: then nothing is said to be fixed.
    async fn compare_predecessors(
        &self,
        asked: &Asked<'_>,
        database: &Arc<Database>,
        scans: &mut Scans,
    ) {
        let possible = asked.policy.possible_demands(&asked.subject.name);
        if !possible.iter().any(|it| tracks_fixes(it) || compares_line(it)) {
            return;
        }
        let before = asked.before.iter().chain(asked.line);
        let scanned = before.filter_map(|(_, record)| record.evidence.scan.found());
        let images = scanned.flat_map(|scanned| scanned.images.values());
        for digest in images.filter_map(|image| image.inventory) {
            let Some(inventory) = self.inventory(&digest).await else { continue };
            let Ok(report) = self.report(&digest, &inventory, database).await else { continue };
            scans.before.insert(digest, report);
        }
    }

    /// The bills that count; `None` where that cannot be found out in time.
    async fn bills_for(&self, asked: &Asked<'_>) -> Option<Arc<Bills>> {
        let (subject, evidence) = (asked.subject.clone(), asked.evidence.clone());
        let (policy, contents) = (Arc::clone(asked.policy), Arc::clone(asked.contents));
        let (tags, now) = (asked.tags.to_vec(), asked.now);
        let limits = self.scanner().settings.limits.clone();
        let look = move || {
            let (policy, tags, contents, limits) = (&*policy, &*tags, &*contents, &limits);
            Bills::of(&subject, &evidence, &BillSearch { policy, tags, contents, now, limits })
        };
        self.in_turn_and_time(asked.subject, look).await.map(Arc::new)
    }

    /// `inventory` with what `bills` add, by what it is known under; `None` after a panic.
    async fn joined(
        &self,
        digest: Digest,
        inventory: Arc<Inventory>,
        bills: Option<&Arc<Bills>>,
    ) -> Option<(Digest, Arc<Inventory>, Arc<Attested>)> {
        let Some((bills, id)) = bills.and_then(|bills| Some((Arc::clone(bills), bills.id()?)))
        else {
            return Some((digest, inventory, Arc::default()));
        };
        let limits = self.scanner().settings.limits.clone();
        let joining = self.tasks().spawn_bulk_apart(move || bills.added_to(&inventory, &limits));
        let (inventory, attested) = joining.await.ok()?;
        let key = Digest::sha256(format!("{digest} {id}").as_bytes());
        Some((key, Arc::new(inventory), Arc::new(attested)))
    }

    /// The inventory of that digest, if it is kept.
    pub(in crate::mirror) async fn inventory(&self, digest: &Digest) -> Option<Arc<Inventory>> {
        let scanner = self.scanner();
        if let Some(known) = scanner.inventories.get(digest) {
            return Some(known);
        }
        let bytes = scanner.facts.get(FactKind::Inventory, digest).await?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let wanted = *digest;
        let read = self.tasks().spawn_bulk_apart(move || {
            if !wanted.matches(&bytes) {
                return None;
            }
            serde_json::from_slice::<Inventory>(&bytes).ok().map(Arc::new)
        });
        let inventory = read.await.ok().flatten()?;
        scanner.inventories.set_weighing(*digest, Arc::clone(&inventory), size);
        Some(inventory)
    }

    /// What `database` knows against `inventory`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::mirror) async fn report(
        &self,
        digest: &Digest,
        inventory: &Arc<Inventory>,
        database: &Arc<Database>,
    ) -> Result<Arc<Report>, String> {
        let scanner: &Scanner = self.scanner();
        let key = (*digest, database.id().digest);
        if let Some(known) = scanner.reports.get(&key) {
            return Ok(known);
        }
        // What takes too long runs on in its thread, and those who come next wait for it here.
        let turn = scanner.matching.take(*digest).await;
        if let Some(known) = scanner.reports.get(&key) {
            return Ok(known);
        }
        let (inventory, database, now) = (Arc::clone(inventory), Arc::clone(database), self.now());
        let matching = self.tasks().spawn_blocking(move || {
            let report = database.report(&inventory, now);
            drop(turn);
            report
        });
        let limit = self.inner.settings.decide_timeout;
        let report = match tokio::time::timeout(limit, matching).await {
            Ok(Ok(Ok(report))) => Arc::new(report),
            Ok(Ok(Err(error))) => return Err(error.to_string()),
            Ok(Err(_panicked)) => return Err("matching broke down".to_owned()),
            Err(_elapsed) => return Err("matching took too long".to_owned()),
        };
        scanner.reports.set_weighing(key, Arc::clone(&report), weight(&report));
        Ok(report)
    }
}

/// About how many bytes `report` takes in memory.
fn weight(report: &Report) -> u64 {
    let names = |finding: &Finding| finding.aliases.iter().map(String::len).sum::<usize>();
    let findings = report.findings.iter().map(|finding| FINDING_BYTES + names(finding)).sum();
    let unmatched = report.unmatched.len() * FINDING_BYTES;
    u64::try_from(usize::saturating_add(findings, unmatched)).unwrap_or(u64::MAX)
}
