//! Trust roots: whose certificates, logs and timestamps count.

use std::fmt;
use std::sync::Arc;

use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{
    SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT, TrustedRoot,
};
use sigstore_verify::types::Bundle;

use super::logs::Logs;
use super::refusal::quoted;
use super::{Refusal, authorities, crypto};
use crate::oci::from_strict_slice;

/// Largest trust root in bytes: that of the public-good instance takes 7 kB.
pub const TRUST_ROOT_BYTES_MAX: usize = 256 * 1024;

/// What the media types of trust roots begin with; versions come after it.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// The certificate authorities, logs and timestamp authorities of one Sigstore instance.
///
/// It was read from a file and is never fetched. Clones share everything.
///
/// Spec: <https://github.com/sigstore/protobuf-specs/blob/v0.4.3/protos/sigstore_trustroot.proto>
#[derive(Clone)]
pub struct TrustRoot {
    inner: Arc<Inner>,
    demands: Demands,
}

struct Inner {
    /// As the file has it.
    listed: TrustedRoot,
    /// With each authority only while its certificates are valid.
    root: TrustedRoot,
    verifier: Verifier,
    logs: Logs,
}

/// What everything that is judged under a root has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    /// In how many distinct logs of the root it must stand; at least one.
    pub logs_min: usize,
    /// Whether a timestamp authority of the root must have seen it.
    pub timestamp: bool,
}

impl Default for Demands {
    fn default() -> Self {
        Self { logs_min: 1, timestamp: false }
    }
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
    /// More logs are asked for than could ever vouch, or none.
    #[error(
        "cannot ask for entries in {asked} logs: it lists {listed} with keys and addresses of their own"
    )]
    Logs {
        /// How many are asked for.
        asked: usize,
        /// How many distinct ones there are.
        listed: usize,
    },
    /// Metadata of The Update Framework: what lists a trust root, or of Docker Content Trust.
    #[error("{}", metadata_text(*notary))]
    Metadata {
        /// Whether it is of Notary v1 for certain.
        notary: bool,
    },
    /// Larger than [`TRUST_ROOT_BYTES_MAX`].
    #[error("is larger than {} KiB, which no trusted root is", TRUST_ROOT_BYTES_MAX / 1024)]
    TooLarge,
}

fn metadata_text(notary: bool) -> &'static str {
    if notary {
        "is metadata of Docker Content Trust (Notary v1), which is retired and not supported: sign with cosign or notation instead"
    } else {
        "is metadata of a TUF repository and no trusted root. If it is Sigstore's, take the trusted_root.json that the repository has; if it is of Docker Content Trust (Notary v1), that is retired and not supported: sign with cosign or notation instead"
    }
}

/// Whether `document` is metadata of The Update Framework, and not a root.
///
/// Notary v1 begins the names of roles with a capital, everybody else does not.
/// Spec: <https://github.com/notaryproject/notary/blob/v0.7.0/tuf/data/types.go>,
/// <https://theupdateframework.github.io/specification/v1.0.34/#file-formats-object-format>
fn metadata(document: &serde_json::Value) -> Option<TrustRootError> {
    let role = document.pointer("/signed/_type")?.as_str()?;
    let roles = ["root", "snapshot", "targets", "timestamp"];
    let is_role = roles.contains(&role.to_ascii_lowercase().as_str());
    let notary = role.starts_with(|first: char| first.is_ascii_uppercase());
    is_role.then_some(TrustRootError::Metadata { notary })
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
        let document: serde_json::Value = from_strict_slice(json.as_bytes())
            .map_err(|error| TrustRootError::Malformed(quoted(&error.to_string())))?;
        if let Some(metadata) = metadata(&document) {
            return Err(metadata);
        }
        let malformed = |text: String| TrustRootError::Malformed(quoted(&text));
        crypto::caught(|| {
            let listed = TrustedRoot::from_json(json).map_err(|it| malformed(it.to_string()))?;
            if !listed.media_type.starts_with(MEDIA_TYPE) {
                return Err(malformed(format!("its mediaType is {}", listed.media_type)));
            }
            let mut root = listed.clone();
            authorities::narrow(&mut root)
                .map_err(|it| malformed(format!("a certificate of an authority: {it}")))?;
            if root.tlogs.is_empty() {
                return Err(TrustRootError::Lacking("transparency log"));
            }
            let verifier = Verifier::new(&root).map_err(|it| malformed(it.to_string()))?;
            let logs = Logs::of(&root).map_err(|it| malformed(it.to_string()))?;
            let inner = Arc::new(Inner { listed, root, verifier, logs });
            Ok(Self { inner, demands: Demands::default() })
        })
        .unwrap_or_else(|| Err(TrustRootError::Malformed("the reader broke down".to_owned())))
    }

    /// The same root, under which everything has to show what `demands` say.
    ///
    /// # Errors
    /// When nothing ever could.
    pub fn demanding(self, demands: Demands) -> Result<Self, TrustRootError> {
        let (asked, listed) = (demands.logs_min, self.log_count());
        if asked < 1 || asked > listed {
            return Err(TrustRootError::Logs { asked, listed });
        }
        if demands.timestamp && self.inner.root.timestamp_authorities.is_empty() {
            return Err(TrustRootError::Lacking("timestamp authority"));
        }
        Ok(Self { demands, ..self })
    }

    /// How many distinct transparency logs it lists.
    pub fn log_count(&self) -> usize {
        self.inner.logs.count()
    }

    /// The text of [`TrustRoot::public_good`].
    pub const PUBLIC_GOOD: &str = SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    /// The text of [`TrustRoot::staging`].
    pub const STAGING: &str = SIGSTORE_STAGING_TRUSTED_ROOT;
    /// The day as of which the roots are that come with the program.
    pub const SHIPPED: &str = "2026-10-23";

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
        let root = &self.inner.root;
        !root.certificate_authorities.is_empty() && !root.ctlogs.is_empty()
    }

    /// Everything that the file lists, whether it ever counts or not.
    pub(super) fn listed(&self) -> &TrustedRoot {
        &self.inner.listed
    }

    /// How many of the authorities that the file lists never count.
    pub(super) fn never_count(&self) -> usize {
        let count = |root: &TrustedRoot| {
            root.certificate_authorities.len() + root.timestamp_authorities.len()
        };
        count(&self.inner.listed) - count(&self.inner.root)
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// Checks that `bundle`, which [`TrustRoot::verifier`] has accepted with these `times`, shows what is
    /// demanded, and that every entry is of the log that it names, which signed then.
    ///
    /// The verifier has checked every entry (that it is about this signature, its proof up to the root
    /// of the checkpoint, the checkpoint by some key of the root, its promise by the key that its log
    /// has) and every timestamp (by an authority of the root, over this signature). What it does not
    /// say is whose word each entry is, so that is found here by the same keys.
    pub(super) fn check_demands(
        &self,
        bundle: &Bundle,
        times: &[jiff::Timestamp],
    ) -> Result<(), Refusal> {
        let material = &bundle.verification_material;
        if self.demands.timestamp
            && material.timestamp_verification_data.rfc3161_timestamps.is_empty()
        {
            return Err(Refusal::NoTimestamp);
        }
        let found = self.inner.logs.vouching_for(&material.tlog_entries, times)?;
        let wanted = self.demands.logs_min;
        if found < wanted { Err(Refusal::TooFewLogs { found, wanted }) } else { Ok(()) }
    }
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = &self.inner.root;
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

    /// Whoever takes a newer library sees to [`TrustRoot::SHIPPED`], too: its changelog has the day.
    #[test]
    fn the_shipped_roots_are_those_of_the_day_that_is_said() {
        let digests = [TrustRoot::PUBLIC_GOOD, TrustRoot::STAGING];
        let digests = digests.map(|text| crate::oci::Digest::sha256(text.as_bytes()).short());
        assert_eq!(digests, ["6494e21ea73f", "44deb991d4bb"]);
        assert_eq!(TrustRoot::SHIPPED, "2026-10-23");
    }

    #[test]
    fn metadata_of_content_trust_is_refused_by_its_name_and_with_what_to_use_instead() {
        for role in ["Root", "Targets", "Snapshot", "Timestamp"] {
            let json =
                serde_json::json!({"signatures": [], "signed": {"_type": role, "version": 1}});
            let error = TrustRoot::from_json(&json.to_string()).unwrap_err();
            assert_eq!(error, TrustRootError::Metadata { notary: true }, "{role}");
            let text = error.to_string();
            assert!(text.contains("Docker Content Trust (Notary v1), which is retired"), "{text}");
            assert!(text.contains("sign with cosign or notation instead"), "{text}");
            let json = json.to_string().replace(role, &role.to_lowercase());
            let text = TrustRoot::from_json(&json).unwrap_err().to_string();
            assert!(text.contains("Docker Content Trust") && text.contains("cosign"), "{text}");
            assert!(text.contains("trusted_root.json"), "{text}");
        }
        let other = r#"{"signed": {"_type": "mirrors"}}"#;
        assert!(matches!(TrustRoot::from_json(other), Err(TrustRootError::Malformed(_))));
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
            (
                &good.replace("trustedroot", "bundle"),
                "its mediaType is application/vnd.dev.sigstore.bu",
            ),
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
