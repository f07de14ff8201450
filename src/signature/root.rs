//! Trust roots: whose certificates, logs and timestamps count.

use std::fmt;
use std::sync::Arc;

use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};

use super::crypto;
use super::refusal::quoted;
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
            let root = TrustedRoot::from_json(json).map_err(|it| malformed(it.to_string()))?;
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

    /// Whether certificates can be verified with it, too: it lists authorities that issue them, and
    /// logs of what they issue.
    pub fn is_for_certificates(&self) -> bool {
        !self.0.root.certificate_authorities.is_empty() && !self.0.root.ctlogs.is_empty()
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
