//! Transparency logs: which of them vouch for a signature.
//!
//! The library verifies entries by any key of a root and does not say by which, so that one log could
//! pass for several (CVE-2026-49834). Whose word an entry is, is found here by the same keys: never by
//! what it says itself, unless that is what its promise was verified by.

use std::collections::BTreeSet;

use sigstore_verify::Error;
use sigstore_verify::crypto::{Keyring, VerificationKey};
use sigstore_verify::trust_root::{TransparencyLog, TrustedRoot};
use sigstore_verify::types::{Sha256Hash, TransparencyLogEntry};

/// The distinct transparency logs of a trust root.
pub(super) struct Logs(Vec<Log>);

/// One log: what has one key or one address in common is one, under however many names.
struct Log(Vec<Listed>);

/// A log as a trust root lists it.
struct Listed {
    id: Sha256Hash,
    spki: Vec<u8>,
    address: String,
    /// Its key, and no other.
    key: Keyring,
}

impl Logs {
    /// The logs of `root`.
    pub(super) fn of(root: &TrustedRoot) -> Result<Self, Error> {
        let mut logs: Vec<Log> = Vec::new();
        for listed in &root.tlogs {
            let listed = Listed::read(listed)?;
            // It may be what two that had nothing in common before have in common.
            let (same, mut others): (Vec<Log>, Vec<Log>) =
                logs.into_iter().partition(|log| log.0.iter().any(|other| other.is(&listed)));
            let same = same.into_iter().flat_map(|log| log.0);
            others.push(Log(same.chain([listed]).collect()));
            logs = others;
        }
        Ok(Self(logs))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many of them vouch for one of `entries`, which have all been verified.
    pub(super) fn vouching_for(&self, entries: &[TransparencyLogEntry]) -> usize {
        entries.iter().filter_map(|entry| self.log_of(entry)).collect::<BTreeSet<_>>().len()
    }

    /// Whose word `entry` is: that of one log at most.
    fn log_of(&self, entry: &TransparencyLogEntry) -> Option<usize> {
        if entry.inclusion_promise.is_some() {
            // It was verified by the key of the log that the entry names.
            let id = Sha256Hash::try_from(entry.log_id.key_id.as_bytes()).ok()?;
            return self.position(|listed| listed.id == id);
        }
        let checkpoint = entry.inclusion_proof.as_ref()?.checkpoint.checkpoint()?;
        self.position(|listed| {
            checkpoint.signatures().iter().any(|by| {
                // That the key counted already was verified with the rest.
                let mut keys = listed.key.keys_by_hint(&by.key_id, jiff::Timestamp::MAX);
                keys.any(|key| key.verify(checkpoint.signed_data(), &by.signature).is_ok())
            })
        })
    }

    fn position(&self, takes: impl Fn(&Listed) -> bool) -> Option<usize> {
        self.0.iter().position(|log| log.0.iter().any(&takes))
    }
}

impl Listed {
    fn read(log: &TransparencyLog) -> Result<Self, Error> {
        let id = Sha256Hash::try_from(log.log_id.key_id.as_bytes())?;
        let spki = &log.public_key.raw_bytes;
        let mut key = Keyring::new();
        key.add_key_with_validity(id, VerificationKey::from_spki(spki)?, log.public_key.valid_for);
        let address = log.base_url.trim_end_matches('/').to_ascii_lowercase();
        Ok(Self { id, spki: spki.as_bytes().to_vec(), address, key })
    }

    fn is(&self, other: &Self) -> bool {
        self.spki == other.spki || self.address == other.address
    }
}
