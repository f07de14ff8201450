//! What the VEX documents of those whom gates hear say about what was found.
//!
//! A document counts when it is attested about the image, or the index that was asked for, by a signer
//! whom the gate names. Every other one is not used, and that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::text::printable;
use super::super::{Context, Silenced, Subject};
use super::attestations::Attestations;
use crate::oci::Digest;
use crate::policy::{ScanGate, VexRule};
use crate::scan::vex::{Document, Format, Image, Said, Statement, Status};
use crate::scan::{Finding, Inventory};
use crate::signature::{FoundAttestation, Refusal, glance};
use crate::time::Timestamp;

/// How far ahead of the clock here that of a speaker may be.
const SKEW: Duration = Duration::from_mins(5);
/// Most things that are told of what was not used.
const TOLD_MAX: usize = 100;
/// What the types of artifacts that are VEX documents have in them.
const VEX: &str = "vex";

/// Whom any of `gates` hears.
pub(super) fn heard_by(gates: &[Arc<ScanGate>]) -> BTreeSet<&str> {
    let rules = gates.iter().filter_map(|gate| gate.vex.as_ref());
    rules.flat_map(|rule| &rule.from).map(String::as_str).collect()
}

/// Who said something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker<'a> {
    /// A signer of the policy.
    pub(super) name: &'a str,
    /// Until when it holds that it was that one.
    pub(super) until: Option<Timestamp>,
}

impl PartialEq for Speaker<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

type Heard<'a> = Vec<(Speaker<'a>, Arc<Document>)>;

/// Everything that was attested, and what was not used of it.
pub(super) struct Voices<'a> {
    context: &'a Context<'a>,
    /// All whom any of the gates hears.
    names: Vec<&'a str>,
    /// About the subject itself.
    own: Heard<'a>,
    /// About the images that it lists.
    below: BTreeMap<Digest, Heard<'a>>,
    /// What was not used.
    told: BTreeSet<String>,
    /// Why there may be more.
    pub(super) open: Option<String>,
}

impl<'a> Voices<'a> {
    /// Hears what there is among `attestations`; nothing where no gate hears anybody.
    pub(super) fn hear(
        subject: &Subject,
        attestations: &Attestations<'a>,
        context: &'a Context<'a>,
        gates: &'a [Arc<ScanGate>],
    ) -> Option<Self> {
        let names = heard_by(gates);
        if names.is_empty() {
            return None;
        }
        let names = names.into_iter().collect();
        let (own, below, told) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let open = attestations.open.clone();
        let mut voices = Self { context, names, own, below, told, open };
        for referrer in attestations.searches.iter().flat_map(|search| &search.referrers) {
            let artifact_type = referrer.artifact_type.as_deref().unwrap_or_default();
            if artifact_type.to_ascii_lowercase().contains(VEX) {
                voices.tell(&format!("{} is not signed", referrer.digest.short()));
            }
        }
        for (found, bytes) in &attestations.own {
            let heard = voices.attested(found, bytes, &subject.digest);
            voices.own.extend(heard);
        }
        for (image, attested) in &attestations.below {
            for (found, bytes) in attested {
                let heard = voices.attested(found, bytes, image);
                voices.below.entry(*image).or_default().extend(heard);
            }
        }
        Some(voices)
    }

    fn tell(&mut self, text: &str) {
        if self.told.len() < TOLD_MAX {
            self.told.insert(printable(text));
        }
    }

    /// What one attestation says, by each who signed it.
    fn attested(&mut self, found: &FoundAttestation, bytes: &[u8], digest: &Digest) -> Heard<'a> {
        let mut heard: Heard<'a> = Vec::new();
        let mut refusals = Vec::new();
        for name in self.names.clone() {
            let Some(signer) = self.context.policy.verifier(name) else { continue };
            match signer.verify_attestation(bytes, &found.form, digest, self.context.now) {
                Ok((proof, statement)) => {
                    let speaker = Speaker { name, until: proof.until };
                    if let Some((_, document)) = heard.first() {
                        heard.push((speaker, Arc::clone(document)));
                        continue;
                    }
                    let format = Format::of_predicate_type(&statement.predicate_type);
                    // It says something else about the image.
                    let Some(format) = format else { return heard };
                    match format.read(statement.predicate.get().as_bytes()) {
                        Ok(document) => heard.push((speaker, Arc::new(document))),
                        Err(why) => {
                            self.tell(&format!("that of {name}: {why}"));
                            return heard;
                        }
                    }
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        if heard.is_empty() {
            self.refused(bytes, &refusals);
        } else if let Some((speaker, document)) = heard.first() {
            let speaker = speaker.name;
            for problem in &document.problems {
                self.tell(&format!("in that of {speaker}: {problem}"));
            }
        }
        heard
    }

    /// Tells why an attestation that nobody signed who is heard is not used, if it is a VEX document.
    fn refused(&mut self, bytes: &[u8], refusals: &[Refusal]) {
        let Some(claim) = glance(bytes) else { return };
        let is_vex = match Format::of_predicate_type(&claim.predicate_type) {
            Some(Format::OpenVex) => true,
            // Most of these only list what is in an image.
            Some(Format::CycloneDx) => Format::CycloneDx
                .read(claim.predicate.get().as_bytes())
                .is_ok_and(|document| !document.statements.is_empty()),
            None => false,
        };
        if !is_vex {
            return;
        }
        // That somebody else signed is all that there is to say of a wrong key.
        let telling =
            refusals.iter().find(|it| !matches!(it, Refusal::WrongKey | Refusal::NotAnAttestation));
        let why = match telling {
            Some(refusal) => refusal.to_string(),
            None => format!("not signed by {}", self.names.join(", ")),
        };
        self.tell(&why);
    }

    /// What was said that concerns one of the images.
    pub(super) fn about<'w>(
        &self,
        image: &'w [Digest],
        inventory: Option<&'w Inventory>,
    ) -> Words<'w>
    where
        'a: 'w,
    {
        let of_image = image.first().and_then(|digest| self.below.get(digest));
        let documents = self.own.iter().chain(of_image.into_iter().flatten()).cloned();
        Words {
            said: Said::new(documents.collect()),
            image: Image {
                digests: image,
                packages: inventory.map_or(&[], |inventory| &inventory.packages),
                distribution: inventory.and_then(|inventory| inventory.distribution.as_ref()),
            },
            now: self.context.now,
        }
    }

    /// What was not used, each once.
    pub(super) fn told(&self) -> Vec<&str> {
        self.told.iter().map(String::as_str).collect()
    }
}

/// What was said about one image.
pub(super) struct Words<'a> {
    said: Said<Speaker<'a>>,
    image: Image<'a>,
    now: Timestamp,
}

/// What comes of what was said about a finding.
pub(super) enum Word<'w> {
    /// It does not count.
    Clears(&'w Speaker<'w>, &'w Statement),
    /// It counts; why, where somebody said otherwise.
    Counts(Option<String>),
}

impl Words<'_> {
    /// What comes of what those whom `rule` names say about `finding`.
    pub(super) fn on(&self, finding: &Finding, rule: &VexRule) -> Word<'_> {
        // What is malicious is so whatever anybody says.
        if finding.malware {
            return Word::Counts(None);
        }
        let is_heard = |speaker: &Speaker<'_>| rule.from.iter().any(|name| name == speaker.name);
        let Some((speaker, statement)) = self.said.last(finding, &self.image, is_heard) else {
            return Word::Counts(None);
        };
        let status = statement.status;
        let lacks = match status {
            Status::Affected | Status::UnderInvestigation | Status::Unknown => {
                return Word::Counts(None);
            }
            Status::Fixed if !rule.accept.fixed => Some("is not accepted".to_owned()),
            Status::NotAffected if !rule.accept.not_affected => Some("is not accepted".to_owned()),
            Status::NotAffected if rule.requires_justification && !statement.is_justified() => {
                Some("says not why".to_owned())
            }
            Status::Fixed | Status::NotAffected => {
                let ahead = statement.at.filter(|at| *at > self.now.after(SKEW));
                ahead.map(|at| format!("is of {at}, which is not yet"))
            }
        };
        match lacks {
            Some(why) => {
                let (id, by) = (&finding.id, speaker.name);
                Word::Counts(Some(format!("{id} {status}, by {by}, {why}")))
            }
            None => Word::Clears(speaker, statement),
        }
    }
}

/// What is kept of a finding that does not count.
pub(super) fn silenced(
    image: Digest,
    finding: &Finding,
    (speaker, statement): (&Speaker<'_>, &Statement),
) -> Silenced {
    Silenced {
        image,
        vulnerability: finding.id.clone(),
        package: finding.package.name.clone(),
        version: finding.package.version.clone(),
        status: statement.status,
        why: statement.why().map(str::to_owned),
        by: speaker.name.to_owned(),
        at: statement.at,
    }
}
