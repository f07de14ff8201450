//! Bills of materials that were attested about the subject: whose count, and what they add to what was
//! read in it.
//!
//! A bill only ever adds packages. So one that is not there, or that does not count, is no reason to refuse;
//! what may have one and could not be looked at leaves the question open.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::gate::checks::Checked;
use crate::gate::text::few;
use crate::gate::{
    Context, Evidence, EvidenceKind, Gathered, ReadyPolicy, SignatureSearch, Subject,
};
use crate::oci::{Digest, Tag};
use crate::policy::ScanGate;
use crate::scan::{Attested, AttestedBill, Inventory, Limits, SbomFormat};
use crate::signature::{FoundAttestation, Refusal};
use crate::time::Timestamp;

/// Bills of one subject that are used; more are told.
const BILLS_MAX: usize = 8;

/// The bills of materials that were attested about a subject by those whose bills its gates take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bills {
    accepted: Vec<Accepted>,
    /// What does not count and why, in words.
    unused: Vec<String>,
    /// Until when all who attested are believed.
    until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Accepted {
    signer: String,
    content: Digest,
    bill: AttestedBill,
}

/// What bills are looked for with.
#[derive(Debug, Clone, Copy)]
pub struct BillSearch<'a> {
    /// The policy in force.
    pub policy: &'a ReadyPolicy,
    /// The tags that were seen to resolve to the subject.
    pub tags: &'a [Tag],
    /// The contents of attestations that are at hand.
    pub contents: &'a BTreeMap<Digest, Bytes>,
    /// When it is, for signers that are believed for a time.
    pub now: Timestamp,
    /// How many packages a bill may list.
    pub limits: &'a Limits,
}

impl Bills {
    /// The bills that count for `subject` by the rule that applies to it. Costs milliseconds for each
    /// attestation.
    pub fn of(subject: &Subject, evidence: &Evidence, search: &BillSearch<'_>) -> Self {
        let mut bills = Self::default();
        let Some(facts) = evidence.manifest.found() else { return bills };
        let demands = search.policy.demands(&subject.name, facts.artifact(), search.tags);
        let signers = signers(demands.gates());
        let found = evidence.signatures.found().map(|found| found.attestations.as_slice());
        let mut strangers = 0_usize;
        let mut seen = BTreeSet::new();
        for attestation in found.unwrap_or_default() {
            let Some(content) = search.contents.get(&attestation.content) else { continue };
            if signers.is_empty() || !seen.insert(attestation.content) {
                continue;
            }
            if bills.accepted.len() == BILLS_MAX {
                bills.unused.push(format!("more than {BILLS_MAX} bills of materials"));
                break;
            }
            if !bills.take(subject, (attestation, content), &signers, search) {
                strangers += 1;
            }
        }
        if strangers > 0 {
            bills.unused.push(format!("{strangers} attestations by others"));
        }
        bills
    }

    /// Takes the bill in `found` if it is one; gives whether the attestation is by one of `signers` at all.
    fn take(
        &mut self,
        subject: &Subject,
        (found, content): (&FoundAttestation, &Bytes),
        signers: &BTreeSet<&str>,
        search: &BillSearch<'_>,
    ) -> bool {
        let mut news = BTreeSet::new();
        for name in signers {
            let Some(signer) = search.policy.verifier(name) else { continue };
            let (digest, now) = (&subject.digest, search.now);
            let (proof, statement) =
                match signer.verify_attestation(content, &found.form, digest, now) {
                    Ok(verified) => verified,
                    Err(Refusal::WrongKey | Refusal::NotAnAttestation) => continue,
                    Err(refusal) => {
                        news.insert(refusal.to_string());
                        continue;
                    }
                };
            let Some(format) = SbomFormat::of_predicate_type(&statement.predicate_type) else {
                return true;
            };
            let label = format!("attestation {}", found.content);
            match AttestedBill::read(format, statement.predicate.get(), &label, search.limits) {
                Ok(bill) => {
                    self.until = self.until.into_iter().chain(proof.until).min();
                    let (signer, content) = ((*name).to_owned(), found.content);
                    self.accepted.push(Accepted { signer, content, bill });
                }
                Err(error) => self.unused.push(format!("the one by {name} {error}")),
            }
            return true;
        }
        let told = !news.is_empty();
        self.unused.extend(news);
        told
    }

    /// What these bills are, in short; `None` when there are none.
    pub fn id(&self) -> Option<Digest> {
        let told: Vec<String> = self
            .accepted
            .iter()
            .map(|Accepted { signer, content, .. }| format!("{content} {signer}\n"))
            .collect();
        (!told.is_empty()).then(|| Digest::sha256(told.concat().as_bytes()))
    }

    /// `inventory` with what the bills add, and what that is.
    pub fn added_to(&self, inventory: &Inventory, limits: &Limits) -> (Inventory, Attested) {
        let (mut inventory, mut attested) = (inventory.clone(), Attested::default());
        for Accepted { signer, bill, .. } in &self.accepted {
            bill.add_to(&mut inventory, &mut attested, signer, limits);
        }
        (inventory, attested)
    }

    /// Until when they count.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Which bills there are, and what does not count, for people.
    pub(super) fn text(&self, signers: &BTreeSet<&str>) -> String {
        let by: Vec<String> = self
            .accepted
            .iter()
            .map(|it| format!("{} ({} packages)", it.signer, it.bill.packages()))
            .collect();
        let mut text = if by.is_empty() {
            let names: Vec<&str> = signers.iter().copied().collect();
            format!("no bill of materials by [{}]", names.join(", "))
        } else {
            format!("bills of materials by {}", by.join(", "))
        };
        if !self.unused.is_empty() {
            let unused: Vec<&str> = self.unused.iter().map(String::as_str).collect();
            text = format!("{text}; not used: {}", few(&unused));
        }
        text
    }
}

/// Whose bills `gates` take.
pub(in crate::gate) fn signers(gates: &[Arc<ScanGate>]) -> BTreeSet<&str> {
    gates.iter().flat_map(|gate| &gate.sbom_from).map(String::as_str).collect()
}

/// What keeps bills from being looked at, if anything does.
pub(super) fn not_at_hand(evidence: &Evidence, context: &Context<'_>) -> Option<Checked> {
    let none = SignatureSearch::default();
    let search = match &evidence.signatures {
        Gathered::Absent => &none,
        Gathered::Failed(why) => return Some(Checked::Failed(why.clone())),
        Gathered::Found(search) => search,
        Gathered::NotGathered => return Some(Checked::Missing(EvidenceKind::Signatures)),
    };
    // What is missing may be a bill, and what that lists may be malware.
    if let Some(why) = &search.incomplete {
        return Some(Checked::Failed(why.clone()));
    }
    if search.attestations.is_empty() {
        return None;
    }
    let missing = Some(Checked::Missing(EvidenceKind::Attestations));
    match &evidence.attestations {
        Gathered::Failed(why) => Some(Checked::Failed(why.clone())),
        Gathered::Absent | Gathered::NotGathered => missing,
        Gathered::Found(fetched) => {
            let is_here = |it: &FoundAttestation| {
                let wanted = &it.content;
                context.contents.contains_key(wanted) || fetched.unavailable.contains_key(wanted)
            };
            // One that was here may have been evicted since.
            if search.attestations.iter().all(is_here) { None } else { missing }
        }
    }
}

/// How many packages of an image only bills tell of, for people.
pub(super) fn added(attested: &Attested) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for signer in attested.by.values() {
        *counts.entry(signer).or_default() += 1;
    }
    let told = counts.iter().map(|(signer, count)| format!("; {count} of them listed by {signer}"));
    told.collect::<Vec<_>>().concat()
}
