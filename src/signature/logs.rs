//! Transparency logs: which of them vouch for a signature.
//!
//! The library takes a promise by the log that an entry names, but a checkpoint by any log of the trust
//! root, and does not say by which: the name would be a mere claim, and one log could pass for several
//! (CVE-2026-49834). So an entry counts here only when the log that it names signed for it.

use std::collections::BTreeSet;

use sigstore_verify::Error;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::trust_root::{TransparencyLog, TrustedRoot};
use sigstore_verify::types::{Sha256Hash, TimeRange, TransparencyLogEntry};

use super::Refusal;

/// The distinct transparency logs of a trust root.
pub(super) struct Logs(Vec<Log>);

/// One log: what has one key or one address in common is one, under however many names.
struct Log(Vec<Listed>);

/// A log as a trust root lists it.
struct Listed {
    id: Sha256Hash,
    spki: Vec<u8>,
    address: String,
    key: VerificationKey,
    /// While it signs.
    valid_for: Option<TimeRange>,
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

    /// How many of them vouch for one of `entries`, which have all been verified, for a signature that
    /// was proven to be there at each of `times`.
    ///
    /// # Errors
    /// When one of the entries is of another log than it says, of one that did not sign at those times, or
    /// of none.
    pub(super) fn vouching_for(
        &self,
        entries: &[TransparencyLogEntry],
        times: &[jiff::Timestamp],
    ) -> Result<usize, Refusal> {
        let logs = entries.iter().map(|entry| self.log_of(entry, times));
        Ok(logs.collect::<Result<BTreeSet<_>, _>>()?.len())
    }

    /// Whose word `entry` is: that of the log that it names, if that signed its promise or checkpoint.
    fn log_of(
        &self,
        entry: &TransparencyLogEntry,
        times: &[jiff::Timestamp],
    ) -> Result<usize, Refusal> {
        let wrong = |why: &str| Refusal::Proof(why.to_owned());
        let id = Sha256Hash::try_from(entry.log_id.key_id.as_bytes()).ok();
        let named = id.and_then(|id| self.position(|listed| listed.id == id).zip(Some(id)));
        let (log, id) = named.ok_or_else(|| wrong("entry of an unknown transparency log"))?;
        let Some(proof) = &entry.inclusion_proof else {
            // A promise was verified by the key of the log that the entry names.
            let promise = entry.inclusion_promise.as_ref().map(|_| log);
            return promise.ok_or_else(|| wrong("log entry has neither promise nor proof"));
        };
        let checkpoint = proof.checkpoint.checkpoint();
        let checkpoint =
            checkpoint.ok_or_else(|| wrong("log entry has a proof without a checkpoint"))?;
        let is_signer = |listed: &Listed| {
            let signatures = checkpoint.signatures().iter();
            let mut signed = signatures
                .filter(|by| listed.key.verify(checkpoint.signed_data(), &by.signature).is_ok());
            listed.id == id && signed.next().is_some()
        };
        let by_log = self.position(is_signer);
        let by_log =
            by_log.ok_or_else(|| wrong("checkpoint is not by the log that the entry names"))?;
        // The library looks at when a log began to sign, and not at when it ended.
        let signs = |listed: &Listed| {
            let covers = |range: TimeRange| times.iter().all(|at| range.contains(*at));
            is_signer(listed) && listed.valid_for.is_none_or(covers)
        };
        let in_time = self.position(signs).map(|_| by_log);
        in_time.ok_or_else(|| wrong("log entry is of a log that did not sign at that time"))
    }

    fn position(&self, takes: impl Fn(&Listed) -> bool) -> Option<usize> {
        self.0.iter().position(|log| log.0.iter().any(&takes))
    }
}

impl Listed {
    fn read(log: &TransparencyLog) -> Result<Self, Error> {
        let id = Sha256Hash::try_from(log.log_id.key_id.as_bytes())?;
        let spki = &log.public_key.raw_bytes;
        let key = VerificationKey::from_spki(spki)?;
        let address = log.base_url.trim_end_matches('/').to_ascii_lowercase();
        Ok(Self {
            id,
            spki: spki.as_bytes().to_vec(),
            address,
            key,
            valid_for: log.public_key.valid_for,
        })
    }

    fn is(&self, other: &Self) -> bool {
        self.spki == other.spki || self.address == other.address
    }
}
