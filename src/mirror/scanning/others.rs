//! Asking scanners beside the one inside. What they say is kept under the digest of the report, and asked
//! for again when it has grown too old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tracing::{info, warn};

use super::Scanner;
use super::images::in_words;
use crate::adapter::{Adapter, Content, Input, Job};
use crate::gate::{OtherScan, ReadyPolicy, ScannedByOther, ScannedImage};
use crate::mirror::{Error, Mirror};
use crate::oci::{Digest, Manifest, Name};
use crate::scan::{Reported, Sbom, SbomFormat};
use crate::store::FactKind;

/// Largest report that is kept, in bytes.
const REPORT_BYTES_MAX: usize = 64 << 20;
/// Largest bill of materials that is given to a scanner, in bytes.
const BILL_BYTES_MAX: usize = 64 << 20;
/// Reports that are remembered by scanner and image.
pub(super) const LATELY_MAX: usize = 4096;
/// Scans of one adapter that are under way at once; others wait for them.
pub(super) const AT_ONCE: usize = 2;

/// What is said of a scanner that a policy asks and the settings do not have.
const NOT_SET_UP: &str =
    "no scanner of that name is set up; it needs a [[scan.adapter]] in the settings";

/// Which scanner, and which image.
type Key = (String, Digest);

/// A scanner of the settings, and how many scans it may have.
pub(super) struct Other {
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) slots: tokio::sync::Semaphore,
}

/// What is asked about one image.
struct Question<'a> {
    name: &'a Name,
    digest: Digest,
    image: &'a ScannedImage,
    before: Option<&'a ScannedImage>,
}

impl Mirror {
    /// What the other scanners that `policy` asks about `name` say of `image`. What is known and young
    /// enough is not asked again.
    pub(super) async fn ask_others(
        &self,
        policy: &ReadyPolicy,
        (name, digest): (&Name, Digest),
        image: &ScannedImage,
        before: Option<&ScannedImage>,
    ) -> BTreeMap<String, ScannedByOther> {
        let question = &Question { name, digest, image, before };
        let asked = policy.other_scanners(name);
        let asking = asked.into_iter().map(async |(scanner, age_max)| {
            let came = self.ask(&scanner, question, age_max).await;
            (scanner, came)
        });
        join_all(asking).await.into_iter().collect()
    }

    async fn ask(
        &self,
        scanner: &str,
        question: &Question<'_>,
        age_max: Duration,
    ) -> ScannedByOther {
        if let Some(known) = self.known_report(scanner, question, age_max).await {
            return known;
        }
        let Some(other) = self.scanner().others.get(scanner) else {
            return ScannedByOther::Failed(NOT_SET_UP.to_owned());
        };
        let key = (scanner.to_owned(), question.digest);
        let _turn = self.scanner().asking.take(key.clone()).await;
        if let Some(known) = self.known_report(scanner, question, age_max).await {
            return known;
        }
        let Ok(_slot) = other.slots.acquire().await else {
            return ScannedByOther::Failed("is being shut down".to_owned());
        };
        let came = match self.scan_by(other.adapter.as_ref(), question).await {
            Ok(reported) => self.keep_report(key, reported).await,
            Err(why) => Err(why),
        };
        let digest = question.digest;
        came.unwrap_or_else(|why| {
            warn!(scanner, %digest, why, "no report of another scanner");
            self.metrics().other_scans_failed.increment();
            ScannedByOther::Failed("gave no report; the log says why".to_owned())
        })
    }

    /// A report of `scanner` that is not older than `age_max`, and is there.
    async fn known_report(
        &self,
        scanner: &str,
        question: &Question<'_>,
        age_max: Duration,
    ) -> Option<ScannedByOther> {
        let key: Key = (scanner.to_owned(), question.digest);
        let lately = self.scanner().lately.get(&key);
        let before = question.before.and_then(|before| before.others.get(scanner)).cloned();
        for known in [lately, before].into_iter().flatten() {
            let ScannedByOther::Reported { report, at } = &known else { continue };
            if self.now().since(*at) <= age_max && self.other_scan(report).await.is_some() {
                return Some(known);
            }
        }
        None
    }

    /// Has the image scanned.
    async fn scan_by(
        &self,
        adapter: &dyn Adapter,
        question: &Question<'_>,
    ) -> Result<Reported, String> {
        let Question { name, digest, image, .. } = *question;
        let failed = |error: Error| format!("image could not be had: {}", in_words(&error));
        let bytes = self.manifest_bytes(&Self::subject(name, &digest)).await.map_err(failed)?;
        let Ok(Manifest::Image(manifest)) = Manifest::parse(&bytes, None) else {
            return Err("it is no image".to_owned());
        };
        let (config, media_type) = (manifest.config.digest, &manifest.media_type);
        let job = |content| Job { image: digest, config, media_type, content };
        let reported = match adapter.input() {
            Input::Layout => {
                let layout = self.layout_of(name, (&bytes, &manifest)).await?;
                adapter.scan(job(Content::Layout(layout.path()))).await?
            }
            Input::Sbom => {
                let bill = self.bill_for(name, digest, image).await?;
                adapter.scan(job(Content::Sbom(&bill))).await?
            }
            Input::Pull => {
                let time = self.reading(&self.policy(), name).time;
                let pass = self.give_pass(name, &digest, time).await;
                let pass = pass.map_err(|error| in_words(&error))?;
                let (repository, authorization) = (&pass.repository(), &pass.authorization());
                adapter.scan(job(Content::Pull { repository, authorization })).await?
            }
        };
        info!(%name, %digest, scanner = reported.scanner, findings = reported.findings.len(), "scanned by another");
        self.metrics().other_scans.increment();
        Ok(reported)
    }

    /// What is in `image`, for a scanner that only compares.
    async fn bill_for(
        &self,
        name: &Name,
        digest: Digest,
        image: &ScannedImage,
    ) -> Result<Bytes, String> {
        let unread = || "there is nothing to look at: the image could not be read".to_owned();
        let inventory = image.inventory.ok_or_else(unread)?;
        let inventory = self.inventory(&inventory).await.ok_or_else(unread)?;
        if !inventory.is_complete() {
            return Err("there is no whole list: not all of the image could be read".to_owned());
        }
        let (name, at) = (name.clone(), self.now());
        let writing = self.tasks().spawn_bulk_blocking(move || {
            let bill =
                Sbom { name: Some(&name), digest, platform: None, inventory: &inventory, at };
            bill.to_bytes(SbomFormat::CycloneDx, BILL_BYTES_MAX).map(Bytes::from)
        });
        let written = writing.await.ok().flatten();
        written.ok_or_else(|| {
            format!("its bill of materials would be larger than {BILL_BYTES_MAX} bytes")
        })
    }

    /// Keeps a report, by its digest.
    async fn keep_report(
        &self,
        key: Key,
        mut reported: Reported,
    ) -> Result<ScannedByOther, String> {
        // What counts is when it was asked, by the clock here.
        reported.at = self.now();
        let at = reported.at;
        let writing = self.tasks().spawn_blocking(move || {
            let bytes = serde_json::to_vec(&reported).map(Bytes::from).ok()?;
            (bytes.len() <= REPORT_BYTES_MAX).then(|| (Digest::sha256(&bytes), bytes, reported))
        });
        let written = writing.await.ok().flatten();
        let (digest, bytes, reported) =
            written.ok_or_else(|| "its report is too large to be kept".to_owned())?;
        let scanner: &Scanner = self.scanner();
        let scan = Arc::new(OtherScan::of(digest, reported));
        scanner.other_scans.set_weighing(digest, scan, weight(&bytes));
        scanner.facts.put(FactKind::Report, &digest, bytes).await;
        let came = ScannedByOther::Reported { report: digest, at };
        scanner.lately.set(key, came.clone());
        Ok(came)
    }

    /// The report of that digest, if it is kept.
    pub(super) async fn other_scan(&self, digest: &Digest) -> Option<Arc<OtherScan>> {
        let scanner = self.scanner();
        if let Some(known) = scanner.other_scans.get(digest) {
            return Some(known);
        }
        let bytes = scanner.facts.get(FactKind::Report, digest).await?;
        let (wanted, weight) = (*digest, weight(&bytes));
        let read = self.tasks().spawn_blocking(move || {
            if !wanted.matches(&bytes) {
                return None;
            }
            let reported = serde_json::from_slice::<Reported>(&bytes).ok()?;
            Some(Arc::new(OtherScan::of(wanted, reported)))
        });
        let scan = read.await.ok().flatten()?;
        scanner.other_scans.set_weighing(*digest, Arc::clone(&scan), weight);
        Some(scan)
    }
}

fn weight(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
