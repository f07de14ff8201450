//! Trust roots: whose certificates, logs and timestamps count.

use std::fmt;
use std::sync::Arc;

use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{
    SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT, TrustedRoot,
};
use sigstore_verify::types::{DerPublicKey, LogKeyId};

use super::refusal::quoted;
use super::{authorities, crypto};
use crate::oci::from_strict_slice;

/// Largest trust root in bytes: that of the public-good instance takes 7 kB.
pub const TRUST_ROOT_BYTES_MAX: usize = 256 * 1024;

/// The certificate authorities, logs and timestamp authorities of one Sigstore instance.
///
/// It was read from a file and is never fetched. Clones share everything.
///
/// Spec: <https://github.com/sigstore/protobuf-specs/blob/v0.4.3/protos/sigstore_trustroot.proto>
#[derive(Clone)]
pub struct TrustRoot(Arc<Inner>);

struct Inner {
    root: TrustedRoot,
    verifier: Verifier,
}

/// Why a text is no trust root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustRootError {
    /// Not strict JSON of the expected shape, or material in it that cannot be used.
    #[error("is not a Sigstore trusted root: {0}")]
    Malformed(String),
    /// Nothing in it could ever vouch for a signature.
    #[error("lists no {0}; nothing could be verified with it")]
    Lacking(&'static str),
    /// Larger than [`TRUST_ROOT_BYTES_MAX`].
    #[error("is larger than {} KiB, which no trusted root is", TRUST_ROOT_BYTES_MAX / 1024)]
    TooLarge,
}

impl TrustRoot {
    /// The trust root in `json`, a `trusted_root.json` as cosign and the Sigstore TUF repository have
    /// it.
    ///
    /// # Errors
    /// See [`TrustRootError`].
    pub fn from_json(json: &str) -> Result<Self, TrustRootError> {
        if json.len() > TRUST_ROOT_BYTES_MAX {
            return Err(TrustRootError::TooLarge);
        }
        from_strict_slice::<serde_json::Value>(json.as_bytes())
            .map_err(|error| TrustRootError::Malformed(quoted(&error.to_string())))?;
        let malformed = |text: String| TrustRootError::Malformed(quoted(&text));
        crypto::caught(|| {
            let mut root = TrustedRoot::from_json(json).map_err(|it| malformed(it.to_string()))?;
            authorities::narrow(&mut root);
            if root.tlogs.is_empty() {
                return Err(TrustRootError::Lacking("transparency log"));
            }
            let verifier = Verifier::new(&root).map_err(|it| malformed(it.to_string()))?;
            Ok(Self(Arc::new(Inner { root, verifier })))
        })
        .unwrap_or_else(|| Err(TrustRootError::Malformed("the reader broke down".to_owned())))
    }

    /// The root of the public-good instance as it was when this version was made.
    pub fn public_good() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of the program, a test reads it")]
        Self::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT).expect("the shipped root is well formed")
    }

    /// The root of the staging instance as it was when this version was made: for tests of Sigstore
    /// itself.
    pub fn staging() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of the program, a test reads it")]
        Self::from_json(SIGSTORE_STAGING_TRUSTED_ROOT).expect("the shipped root is well formed")
    }

    /// Whether certificates can be verified with it, too: it lists authorities that issue them, and
    /// logs of what they issue.
    pub fn is_for_certificates(&self) -> bool {
        !self.0.root.certificate_authorities.is_empty() && !self.0.root.ctlogs.is_empty()
    }

    /// The key of the transparency log of that name.
    pub(super) fn log_key(&self, id: &LogKeyId) -> Option<&DerPublicKey> {
        let log = self.0.root.tlogs.iter().find(|log| log.log_id.key_id == *id);
        log.map(|log| &log.public_key.raw_bytes)
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = &self.0.root;
        let counts = (root.certificate_authorities.len(), root.ctlogs.len(), root.tlogs.len());
        write!(f, "TrustRoot{:?}", (counts, root.timestamp_authorities.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_roots_are_good_for_certificates() {
        assert!(TrustRoot::public_good().is_for_certificates());
        assert!(TrustRoot::staging().is_for_certificates());
    }

    #[test]
    fn what_is_no_root_is_refused_with_what_is_wrong() {
        let good = SIGSTORE_PRODUCTION_TRUSTED_ROOT;
        let twice = good.replacen('{', "{\"tlogs\": [],", 1);
        let unlogged = {
            let mut value: serde_json::Value = serde_json::from_str(good).unwrap();
            value["tlogs"] = serde_json::json!([]);
            value.to_string()
        };
        for (json, expected) in [
            ("", "is not a Sigstore trusted root"),
            ("[]", "is not a Sigstore trusted root"),
            ("{}", ""),
            (twice.as_str(), "duplicate"),
            (unlogged.as_str(), "lists no transparency log"),
            (&good[..good.len() - 3], "is not a Sigstore trusted root"),
            (&" ".repeat(TRUST_ROOT_BYTES_MAX + 1), "is larger than 256 KiB"),
        ] {
            let error = TrustRoot::from_json(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, not {expected}");
        }
    }
}
