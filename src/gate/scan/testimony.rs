//! Scans that signers of the policy attest about the subject, or about the images that it lists: each about
//! that image itself, because what was scanned of an index is only one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::OtherScan;
use super::attestations::Attestations;
use crate::gate::text::{few, printable};
use crate::gate::{Context, Subject};
use crate::oci::Digest;
use crate::policy::ScanGate;
use crate::scan::{Asked, Reported};
use crate::signature::{FoundAttestation, glance};
use crate::time::Timestamp;

/// Attested scans of one image that are read; there are more to find than anybody needs.
const SCANS_MAX: usize = 16;

/// A scan, and who attests it.
pub(super) struct Testimony<'a> {
    /// A signer of the policy.
    pub(super) signer: &'a str,
    /// Until when it holds that it was that one.
    pub(super) until: Option<Timestamp>,
    /// When the scan was made, by the word of who attests it.
    pub(super) at: Timestamp,
    pub(super) scan: Arc<OtherScan>,
}

/// What was attested of each image, and what of it does not count.
pub(super) struct Testimonies<'a> {
    about: BTreeMap<Digest, Vec<Testimony<'a>>>,
    unused: BTreeSet<String>,
    /// Why there may be more.
    open: Option<String>,
}

impl<'a> Testimonies<'a> {
    /// Reads what there is among `attestations` about `images`, by whom any of `gates` names; `None` where
    /// none names anybody.
    pub(super) fn hear(
        subject: &Subject,
        images: &[(String, Digest)],
        attestations: &Attestations<'a>,
        context: &'a Context<'a>,
        gates: &'a [Arc<ScanGate>],
    ) -> Option<Self> {
        let names = attested_by(gates);
        if names.is_empty() {
            return None;
        }
        let (about, unused) = (BTreeMap::new(), BTreeSet::new());
        let mut all = Self { about, unused, open: attestations.open.clone() };
        for (_, image) in images {
            let mut heard = Vec::new();
            let is_own = *image == subject.digest;
            let below = || attestations.below.get(image).map(Vec::as_slice).unwrap_or_default();
            for (found, bytes) in if is_own { &attestations.own } else { below() } {
                if heard.len() >= SCANS_MAX {
                    all.unused.insert(format!("more than {SCANS_MAX} attested scans"));
                    break;
                }
                heard.extend(all.attested((found, bytes), *image, &names, context));
            }
            all.about.insert(*image, heard);
        }
        Some(all)
    }

    /// What one attestation says of `image`, by each of `names` who signed it.
    fn attested(
        &mut self,
        (found, bytes): (&FoundAttestation, &[u8]),
        image: Digest,
        names: &BTreeSet<&'a str>,
        context: &'a Context<'a>,
    ) -> Vec<Testimony<'a>> {
        let mut heard: Vec<Testimony<'a>> = Vec::new();
        let is_scan = |predicate_type: &str| predicate_type == Reported::PREDICATE_TYPE;
        if !glance(bytes).is_some_and(|claim| is_scan(&claim.predicate_type)) {
            return heard;
        }
        for name in names.iter().copied() {
            let Some(signer) = context.policy.verifier(name) else { continue };
            let verified = signer.verify_attestation(bytes, &found.form, &image, context.now);
            let Ok((proof, statement)) = verified else { continue };
            if !is_scan(&statement.predicate_type) {
                continue;
            }
            if let Some(Testimony { at, scan, .. }) = heard.first() {
                let (at, scan) = (*at, Arc::clone(scan));
                heard.push(Testimony { signer: name, until: proof.until, at, scan });
                continue;
            }
            let asked = Asked { manifest: &image, indexes: &[], config: None };
            match Reported::from_attested(statement.predicate.get().as_bytes(), &asked) {
                Ok(reported) => {
                    let (at, digest) = (reported.at, Digest::sha256(bytes));
                    let scan = Arc::new(OtherScan::of(digest, reported));
                    heard.push(Testimony { signer: name, until: proof.until, at, scan });
                }
                Err(error) => {
                    self.unused.insert(printable(&format!("that of {name}: {error}")));
                    return heard;
                }
            }
        }
        if heard.is_empty() {
            self.unused.insert("one that is signed by nobody who is named".to_owned());
        }
        heard
    }

    /// The latest scan of `image` by those whom `gate` names.
    pub(super) fn latest(&self, image: &Digest, gate: &ScanGate) -> Option<&Testimony<'a>> {
        let heard = self.about.get(image).into_iter().flatten();
        let by_named = heard.filter(|it| gate.attested_by.iter().any(|name| name == it.signer));
        by_named.max_by_key(|it| it.at)
    }

    /// Why it cannot be told that there is no other, where it cannot.
    pub(super) fn open(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// What there is and does not count, in words.
    pub(super) fn unused(&self) -> Option<String> {
        let unused: Vec<&str> = self.unused.iter().map(String::as_str).collect();
        (!unused.is_empty()).then(|| format!("an attested scan was not used: {}", few(&unused)))
    }
}

/// Whose attested scans any of `gates` asks for.
pub(super) fn attested_by(gates: &[Arc<ScanGate>]) -> BTreeSet<&str> {
    gates.iter().flat_map(|gate| &gate.attested_by).map(String::as_str).collect()
}
