//! What the scanner knows, when the gate asks.

use std::sync::Arc;

use tracing::error;

use super::Scanner;
use crate::gate::{Evidence, ImageScan, ReadyPolicy, Scans, Subject};
use crate::mirror::Mirror;
use crate::oci::Digest;
use crate::scan::{Database, Inventory, Report};
use crate::store::FactKind;

impl Mirror {
    /// Inventories of the images of `subject`, as far as a rule may ask for them, and what the database
    /// in force knows against them. What is lost is not there, and is gathered again.
    pub(in crate::mirror) async fn scans_of(
        &self,
        subject: &Subject,
        evidence: &Evidence,
        policy: &ReadyPolicy,
    ) -> Scans {
        let candidates = policy.candidates(&subject.name);
        let asks = candidates.iter().any(|rule| !rule.gates().is_empty());
        let Some(scanned) = evidence.scan.found().filter(|_| asks) else { return Scans::default() };
        let database = match self.scanner().database() {
            Ok(database) => database,
            Err(why) => return Scans { no_database: Some(why), ..Scans::default() },
        };
        let reading = Some(self.reading(policy, &subject.name).limits.reading());
        let mut scans = Scans { reading, ..Scans::default() };
        for digest in scanned.images.values().filter_map(|image| image.inventory) {
            let Some(inventory) = self.inventory(&digest).await else { continue };
            match self.report(&digest, &inventory, &database).await {
                Ok(report) => drop(scans.known.insert(digest, ImageScan { inventory, report })),
                Err(why) => {
                    error!(%subject, why, "vulnerability database cannot be read");
                    let why = "vulnerability database cannot be read".to_owned();
                    return Scans { no_database: Some(why), ..Scans::default() };
                }
            }
        }
        scans
    }

    /// The inventory of that digest, if it is kept.
    pub(in crate::mirror) async fn inventory(&self, digest: &Digest) -> Option<Arc<Inventory>> {
        let scanner = self.scanner();
        if let Some(known) = scanner.inventories.get(digest) {
            return Some(known);
        }
        let bytes = scanner.facts.get(FactKind::Inventory, digest).await?;
        let wanted = *digest;
        let read = self.tasks().spawn_blocking(move || {
            if !wanted.matches(&bytes) {
                return None;
            }
            serde_json::from_slice::<Inventory>(&bytes).ok().map(Arc::new)
        });
        let inventory = read.await.ok().flatten()?;
        scanner.inventories.set(*digest, Arc::clone(&inventory));
        Some(inventory)
    }

    /// What `database` knows against `inventory`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn report(
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
        let (inventory, database, now) = (Arc::clone(inventory), Arc::clone(database), self.now());
        let matching = self.tasks().spawn_blocking(move || database.report(&inventory, now));
        let report = match matching.await {
            Ok(Ok(report)) => Arc::new(report),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_panicked) => return Err("matching broke down".to_owned()),
        };
        scanner.reports.set(key, Arc::clone(&report));
        Ok(report)
    }
}
