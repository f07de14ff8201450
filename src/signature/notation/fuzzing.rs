//! Fuzz target for signatures of the Notary Project: envelopes, certificates, timestamps, names.
//!
//! The seeds were made by the real notation. Whatever verifies must be under the seeds' own signature.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::certificate::Certificate;
use super::revocation::RevocationList;
use super::{
    DistinguishedName, Enforced, NotationSigner, TrustStore, TrustStoreFiles, WhenToTimestamp,
    cose, countersignature, jws, verify,
};
use crate::oci::Digest;
use crate::signature::Form;
use crate::signature::Refusal;
use crate::signature::crypto;
use crate::time::Timestamp;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/signatures/notation/", $name))
    };
}

/// Whose certificates the seeds have.
static SIGNER: LazyLock<Option<NotationSigner>> = LazyLock::new(|| {
    let bytes = |text: &str| vec![text.as_bytes().to_vec()];
    let files = TrustStoreFiles {
        ca: [fixture!("root.pem"), fixture!("lone.pem")].map(|it| it.as_bytes().to_vec()).to_vec(),
        tsa: bytes(fixture!("clock-root.pem")),
        when: WhenToTimestamp::AfterCertificateExpiry,
        crls: bytes(fixture!("inter.crl")),
        crl_age_max: Duration::from_hours(24),
        ..TrustStoreFiles::default()
    };
    let store = Arc::new(TrustStore::new(&files).ok()?);
    Some(NotationSigner { store, identity: None, enforced: Enforced::STRICT })
});

/// An envelope in either encoding, or any part of one; every reader looks.
pub(crate) fn notation(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = DistinguishedName::parse(text)
    {
        assert!(name.is_within(&name), "a name is another than itself");
    }
    if let Ok(certificate) = Certificate::read(bytes) {
        drop((certificate.subject(), certificate.name(), certificate.algorithm()));
        assert!(certificate.validity().0.milliseconds() >= 0, "valid before time began");
        assert!(!certificate.is_self_signed() || certificate.is_issued_by(&certificate));
    }
    drop(RevocationList::read(bytes));
    let signer = SIGNER.as_ref();
    if let Some(signer) = signer {
        let outcome = countersignature::verify(bytes, b"what nobody signed", &signer.store.tsa);
        assert!(outcome.is_err(), "a timestamp for something else");
    }
    for (form, now) in [
        (Form::NotationJws, fixture!("made.txt")),
        (Form::NotationCose, "2126-01-01T00:00:00Z"),
        (Form::NotationJws, "2028-01-01T00:00:00Z"),
    ] {
        if let (Some(signer), Ok(now)) = (signer, now.trim().parse()) {
            envelope(bytes, form, signer, now);
        }
    }
}

fn envelope(bytes: &[u8], form: Form, signer: &NotationSigner, now: Timestamp) {
    let Ok(image) = fixture!("image.txt").trim().parse::<Digest>() else { return };
    let judge = |image: &Digest| crypto::guarded(|| verify(bytes, form, signer, image, now));
    let outcome = judge(&image);
    assert_ne!(outcome, Err(Refusal::LibraryPanicked), "a panic is a finding");
    assert!(judge(&Digest::sha256(b"another image")).is_err(), "one signature for two images");
    if outcome.is_ok() {
        let read = if form == Form::NotationJws { jws::read(bytes) } else { cose::read(bytes) };
        let payload = read.map(|envelope| envelope.payload).unwrap_or_default();
        let payload = String::from_utf8_lossy(&payload);
        assert!(payload.contains(&image.to_string()), "verified, and does not name the image");
    }
}
