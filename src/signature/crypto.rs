//! The one place that asks the library whether a signature is good.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_verify::crypto::{SigningScheme, verify_signature};
use sigstore_verify::types::SignatureBytes;

use super::key::Kind;
use super::{Form, Key, Refusal};

/// Largest signature in bytes: RSA with 8192 bits gives 1024.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// The algorithms that count for a form and a kind of key: what cosign makes, and no more.
///
/// cosign 2 signs with SHA-256 whatever the key; cosign 3 takes SHA-384 with P-384. Its Ed25519
/// bundles are Ed25519ph, which cosign itself does not verify.
const fn schemes(form: Form, kind: Kind) -> &'static [SigningScheme] {
    match (form, kind) {
        (Form::Bundle | Form::SimpleSigning, Kind::EcdsaP256) => &[SigningScheme::EcdsaP256Sha256],
        (Form::Bundle, Kind::EcdsaP384) => {
            &[SigningScheme::EcdsaP384Sha384, SigningScheme::EcdsaP384Sha256]
        }
        (Form::SimpleSigning, Kind::EcdsaP384) => {
            &[SigningScheme::EcdsaP384Sha256, SigningScheme::EcdsaP384Sha384]
        }
        // Those of notation verify with the certificate that they bring.
        (Form::NotationCose | Form::NotationJws, _) | (Form::Bundle, Kind::Ed25519) => &[],
        (Form::SimpleSigning, Kind::Ed25519) => &[SigningScheme::Ed25519],
        (Form::Bundle | Form::SimpleSigning, Kind::Rsa) => &[SigningScheme::RsaPkcs1Sha256],
    }
}

/// Verifies that `signature` was made by `key` over exactly `message`.
pub(super) fn verify(
    form: Form,
    key: &Key,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    let schemes = schemes(form, key.kind());
    if schemes.is_empty() {
        return Err(Refusal::KeyForForm { form, key: key.kind().name() });
    }
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(Refusal::TooLarge("signature"));
    }
    let signature = SignatureBytes::from_bytes(signature);
    let verifies = |scheme: &&SigningScheme| {
        verify_signature(key.spki(), message, &signature, **scheme).is_ok()
    };
    match schemes.iter().find(verifies) {
        Some(scheme) if key.takes(*scheme) => Ok(()),
        Some(_) => Err(Refusal::AlgorithmNotAllowed),
        None => Err(Refusal::WrongKey),
    }
}

/// The bytes that `text` stands for in standard base64 with padding, the only spelling accepted.
pub(super) fn decode_base64(text: &str, what: &'static str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|_| Refusal::Encoding(what))
}

/// What `check` gives, or a refusal if it panics.
pub(super) fn guarded<T>(check: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    caught(check).unwrap_or(Err(Refusal::LibraryPanicked))
}

/// What `work` gives, or nothing if it panics.
///
/// Nothing that `work` may touch outlives it, so a panic cannot leave anything half done.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_verifier_is_a_refusal() {
        let outcome = guarded::<()>(|| panic!("a parser met something it did not expect"));
        assert_eq!(outcome, Err(Refusal::LibraryPanicked));
        assert_eq!(guarded(|| Ok(())), Ok(()));
    }

    #[test]
    fn only_standard_base64_with_padding_is_read() {
        assert_eq!(decode_base64("+/8=", "x").unwrap(), [0xfb, 0xff]);
        for bad in ["-_8=", "+/8", "+/8=\n", " +/8=", "+/9=", "+/8==", "===="] {
            assert_eq!(decode_base64(bad, "x"), Err(Refusal::Encoding("x")), "{bad:?}");
        }
    }
}
