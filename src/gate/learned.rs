//! What was gathered about an image, as far as a policy is learnt from it.
//!
//! It is the gate that says what a signature is worth and how bad a finding is; here it says so of everybody who
//! signed, and not only of those whom a rule asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::scan::{as_rated, is_denied, told_of};
use super::{Evidence, Gathered, ReadyPolicy, Subject};
use crate::policy::ScanGate;
use crate::policy::learned::{SeenFindings, SeenIdentity, SeenSignatures, SeenSigner};
use crate::scan::{Finding, Fix, Inventory, Report};
use crate::signature::{FoundSignature, SubjectKind, TrustRoot, Whoever};
use crate::time::Timestamp;

/// Most signatures of one image that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Who signed `names`, which is one subject by each name that its signers may have for it: the signers of
/// `policy`, and whomever certificates of `roots` name. A signature is by one of them: a signer of the policy
/// comes first.
pub fn signatures_seen(
    names: &[Subject],
    evidence: &Evidence,
    policy: &ReadyPolicy,
    roots: &[(String, TrustRoot)],
    now: Timestamp,
) -> SeenSignatures {
    let search = match &evidence.signatures {
        Gathered::Absent => return SeenSignatures::Nobody,
        Gathered::Failed(why) => return SeenSignatures::Unknown(why.clone()),
        Gathered::NotGathered => {
            return SeenSignatures::Unknown("no rule asked for them".to_owned());
        }
        Gathered::Found(search) => search,
    };
    if search.found.is_empty() {
        return match (&search.incomplete, search.skipped.is_empty()) {
            (Some(why), _) => SeenSignatures::Unknown(why.clone()),
            (None, false) => SeenSignatures::Unnamed,
            (None, true) => SeenSignatures::Nobody,
        };
    }
    let found = search.found.iter().take(SIGNATURES_MAX);
    let signers: BTreeSet<SeenSigner> = found
        .filter_map(|found| {
            names.iter().find_map(|subject| signer_of(found, subject, policy, roots, now))
        })
        .collect();
    if signers.is_empty() { SeenSignatures::Unnamed } else { SeenSignatures::By(signers) }
}

fn signer_of(
    found: &FoundSignature,
    subject: &Subject,
    policy: &ReadyPolicy,
    roots: &[(String, TrustRoot)],
    now: Timestamp,
) -> Option<SeenSigner> {
    let Subject { name, digest } = subject;
    let is_by = |signer: &&crate::policy::Signer| {
        let verifier = policy.verifier(signer.name());
        verifier.is_some_and(|it| it.verify(found, name, digest, now).is_ok())
    };
    if let Some(signer) = policy.signers().iter().find(is_by) {
        return Some(SeenSigner::Named(signer.name().to_owned()));
    }
    roots.iter().find_map(|(root, trusted)| {
        let Whoever { issuer, subject, kind } =
            Whoever::signed(found, trusted, name, digest, now).ok()?;
        let (root, is_uri) = (root.clone(), kind == SubjectKind::Uri);
        Some(SeenSigner::Identity(SeenIdentity { root, issuer, subject, is_uri }))
    })
}

/// The findings of `report` that one of `gates` refuses and that may be excepted, by vulnerability and package;
/// malware and what the floor refuses may not.
pub fn findings_refused(
    report: &Report,
    gates: &[Arc<ScanGate>],
    now: Timestamp,
) -> Vec<(String, String)> {
    let may_be_excepted = |finding: &&Finding| {
        let mut refusing = gates.iter().filter(|gate| is_denied(gate, finding, now));
        !finding.malware && refusing.clone().all(|gate| !gate.is_floor) && refusing.next().is_some()
    };
    let found = report.findings.iter().filter(may_be_excepted);
    found.map(|finding| (finding.id.clone(), finding.package.name.clone())).collect()
}

/// What of `inventory` was found by `report`.
pub fn findings_seen(inventory: &Inventory, report: &Report) -> SeenFindings {
    let mut seen = SeenFindings {
        exploited: report.exploited_as_of.map(|_| false),
        is_incomplete: !inventory.gaps.is_empty() || !report.gaps.is_empty(),
        has_unknown: !report.unmatched.is_empty(),
        ..SeenFindings::default()
    };
    for finding in &report.findings {
        if finding.malware {
            seen.malware.get_or_insert_with(|| told_of(finding));
        }
        if finding.kernel_headers {
            continue;
        }
        let rating = Some(as_rated(finding));
        if rating > seen.worst {
            seen.worst = rating;
            seen.worst_told = Some(told_of(finding));
        }
        if matches!(finding.fix, Fix::In(_)) {
            seen.worst_fixable = seen.worst_fixable.max(rating);
        }
        if finding.exploited {
            seen.exploited = seen.exploited.map(|_| true);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::SignatureSearch;
    use crate::oci::Digest;

    fn seen(signatures: Gathered<SignatureSearch>) -> SeenSignatures {
        let subject = Subject { name: "up.test/a".parse().unwrap(), digest: Digest::sha256(b"a") };
        let evidence = Evidence { signatures, ..Evidence::default() };
        let now = Timestamp::from_milliseconds(0);
        signatures_seen(&[subject], &evidence, &ReadyPolicy::built_in(), &[], now)
    }

    #[test]
    fn only_a_search_that_found_nothing_anywhere_says_that_nobody_signed() {
        assert_eq!(seen(Gathered::Absent), SeenSignatures::Nobody);
        assert_eq!(seen(Gathered::Found(SignatureSearch::default())), SeenSignatures::Nobody);
        let unknown = |why: &str| SeenSignatures::Unknown(why.to_owned());
        assert_eq!(seen(Gathered::NotGathered), unknown("no rule asked for them"));
        assert_eq!(seen(Gathered::Failed("away".to_owned())), unknown("away"));
        let incomplete = Some("one is missing".to_owned());
        let search = SignatureSearch { incomplete, ..SignatureSearch::default() };
        assert_eq!(seen(Gathered::Found(search)), unknown("one is missing"));
        let skipped = vec!["it is too large".to_owned()];
        let search = SignatureSearch { skipped, ..SignatureSearch::default() };
        assert_eq!(seen(Gathered::Found(search)), SeenSignatures::Unnamed);
    }
}
