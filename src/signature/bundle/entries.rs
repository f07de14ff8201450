//! Which log has an entry: what the library leaves to its callers.
//!
//! The library verifies a checkpoint with whichever key of the root made it, and an entry beside a
//! proven one needs no proof. So the name of the log in an entry with a proof alone is anybody's word,
//! and whoever counts logs would count words (CVE-2026-49834).

use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::types::{Bundle, TransparencyLogEntry};

use super::super::{Refusal, TrustRoot};

/// Checks that each entry of `bundle` says something that its own log has signed, be it a promise or a
/// checkpoint. Whether the promises, checkpoints and proofs hold is the library's to say.
pub(super) fn check_logs(bundle: &Bundle, root: &TrustRoot) -> Result<(), Refusal> {
    bundle.verification_material.tlog_entries.iter().try_for_each(|entry| check_log(entry, root))
}

fn check_log(entry: &TransparencyLogEntry, root: &TrustRoot) -> Result<(), Refusal> {
    let wrong = |why: &str| Err(Refusal::Proof(why.to_owned()));
    let Some(key) = root.log_key(&entry.log_id.key_id) else {
        return wrong("entry of an unknown transparency log");
    };
    let Some(proof) = &entry.inclusion_proof else {
        return match entry.inclusion_promise {
            Some(_) => Ok(()),
            None => wrong("log entry has neither promise nor proof"),
        };
    };
    let (Some(checkpoint), Ok(key)) =
        (proof.checkpoint.checkpoint(), VerificationKey::from_spki(key))
    else {
        return wrong("log entry has a proof without a checkpoint");
    };
    let is_by_log = checkpoint
        .signatures()
        .iter()
        .any(|signed| key.verify(checkpoint.signed_data(), &signed.signature).is_ok());
    if is_by_log { Ok(()) } else { wrong("checkpoint is not by the log that the entry names") }
}
