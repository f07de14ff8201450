//! Who is wanted, and what proves that they signed.

use super::identity::Identity;
use super::notation::{self, ENVELOPE_BYTES_MAX, NotationSigner};
use super::{
    AttestationForm, Form, FoundSignature, Key, Material, Refusal, Statement, TrustRoot,
    attestation, bundle, crypto, simple_signing, verify,
};
use crate::oci::{Digest, Name};
use crate::time::{Timestamp, Window};

/// Someone whose signature counts.
#[derive(Debug, Clone)]
pub struct Signer(Who);

#[derive(Debug, Clone)]
enum Who {
    /// The holder of a key, whenever it signed, while the key counts.
    Key { key: Key, window: Window },
    /// Whoever a certificate of the root is for.
    Keyless { root: TrustRoot, identity: Identity },
    /// The holder of a key, when a log of the root has the signature, made while the key counted.
    LoggedKey { key: Key, root: TrustRoot, window: Window },
    /// Whoever a certificate of a trust store is for.
    Notation(NotationSigner),
}

/// That somebody signed a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof {
    /// Who it was, whatever a policy calls them: equal for two signatures by the same key, or by
    /// certificates for the same subject and issuer. Quorums count these.
    pub by: String,
    /// Until when that holds; `None` is for ever.
    pub until: Option<Timestamp>,
    /// The earliest moment at which a log, a timestamp authority or a signing authority says that the
    /// signature was there, and so what it is over; `None` where nobody says so.
    pub existed_at: Option<Timestamp>,
}

impl Signer {
    /// The holder of `key`; what transparency logs say is not looked at.
    pub fn key(key: Key) -> Self {
        Self::key_within(key, Window::default())
    }

    /// The holder of `key` as long as it is a time within `window`: nothing proves when a signature was
    /// made, so that after it none counts any more, and before it none does yet.
    pub fn key_within(key: Key, window: Window) -> Self {
        Self(Who::Key { key, window })
    }

    /// The holder of `key`, whose signatures stand in a transparency log of `root`.
    pub fn logged_key(key: Key, root: TrustRoot) -> Self {
        Self::logged_key_within(key, root, Window::default())
    }

    /// The holder of `key`, whose signatures stand in a transparency log of `root` and were made within
    /// `window`, by the word of every log and timestamp authority that says when.
    pub fn logged_key_within(key: Key, root: TrustRoot, window: Window) -> Self {
        Self(Who::LoggedKey { key, root, window })
    }

    /// Whoever `identity` is, by a certificate that an authority of `root` issued, that was logged, and
    /// that was valid when a log or timestamp authority of `root` saw the signature.
    pub fn keyless(root: TrustRoot, identity: Identity) -> Self {
        Self(Who::Keyless { root, identity })
    }

    /// Whoever `signer` is, by signatures of the Notary Project.
    pub fn notation(signer: NotationSigner) -> Self {
        Self(Who::Notation(signer))
    }

    /// Verifies that this is who signed the image `subject` of repository `name`, as things stand at
    /// `now`.
    ///
    /// Of transparency logs and timestamps everything that a signature carries must verify, and one
    /// log entry must be there, unless the key alone counts. A certificate of Sigstore is judged at
    /// every time that was proven, not now, so a proof stays one when the certificate has expired.
    /// Signatures of the Notary Project may end, and their certificates may be revoked.
    ///
    /// A bundle or an envelope of the Notary Project names no repository, so it holds for the same
    /// digest in every repository; simple signing names one.
    ///
    /// # Errors
    /// The check that failed.
    pub fn verify(
        &self,
        found: &FoundSignature,
        name: &Name,
        subject: &Digest,
        now: Timestamp,
    ) -> Result<Proof, Refusal> {
        crypto::guarded(|| match &self.0 {
            Who::Key { key, window } => {
                verify(found, key, name, subject)?;
                while_in_force(key, *window, now)
            }
            Who::LoggedKey { key, root, window } => {
                let logged = bundle::Trust::Key { key, root, window: *window };
                verify_logged(found, logged, name, subject)
            }
            Who::Keyless { root, identity } => {
                let logged = bundle::Trust::Certificate { root, identity };
                verify_logged(found, logged, name, subject)
            }
            Who::Notation(signer) => verify_envelope(found, signer, subject, now),
        })
    }
}

impl Signer {
    /// Verifies that this is who made the attestation in `content` about the image `subject`; gives
    /// what it says, too.
    ///
    /// Everything that [`Signer::verify`] says about signatures holds here. Whether what it says is
    /// wanted, and of which kind, is the caller's to look at.
    ///
    /// # Errors
    /// The check that failed.
    pub fn verify_attestation(
        &self,
        content: &[u8],
        form: &AttestationForm,
        subject: &Digest,
        now: Timestamp,
    ) -> Result<(Proof, Statement), Refusal> {
        crypto::guarded(|| match &self.0 {
            Who::Key { key, window } => {
                let statement = attestation::verify(content, form, key, subject)?;
                Ok((while_in_force(key, *window, now)?, statement))
            }
            Who::LoggedKey { key, root, window } => {
                let logged = bundle::Trust::Key { key, root, window: *window };
                attestation::verify_logged(content, form, logged, subject)
            }
            Who::Keyless { root, identity } => {
                let logged = bundle::Trust::Certificate { root, identity };
                attestation::verify_logged(content, form, logged, subject)
            }
            // notation signs images, and nothing about them.
            Who::Notation(_) => Err(Refusal::OtherForm(Form::Bundle)),
        })
    }
}

/// That the holder of `key` signed, whose signature has verified, as long as it counts.
fn while_in_force(key: &Key, window: Window, now: Timestamp) -> Result<Proof, Refusal> {
    if window.contains(now) {
        Ok(Proof { by: key.id(), until: window.end, existed_at: None })
    } else {
        Err(Refusal::KeyNotInForce(window))
    }
}

/// What a bundle may be over when it is not an image.
#[derive(Debug, Clone, Copy)]
pub enum Artifact<'a> {
    /// The content itself.
    Bytes(&'a [u8]),
    /// Its SHA-256 digest.
    Digest(Digest),
}

/// Verifies that `signer` signed `artifact`, as content or as a subject of a statement of any kind, by
/// the bundle in `json`. A log entry is always asked for.
///
/// This is not how image signatures are judged: a statement that only mentions an image would do.
///
/// # Errors
/// The check that failed.
pub fn verify_bundle(
    json: &str,
    signer: &Signer,
    artifact: Artifact<'_>,
) -> Result<Proof, Refusal> {
    crypto::guarded(|| {
        let trust = match &signer.0 {
            Who::Key { .. } => return Err(Refusal::NoLogEntry),
            Who::Notation(_) => return Err(Refusal::OtherForm(Form::Bundle)),
            Who::Keyless { root, identity } => bundle::Trust::Certificate { root, identity },
            Who::LoggedKey { key, root, window } => {
                bundle::Trust::Key { key, root, window: *window }
            }
        };
        bundle::verify_any(json, trust, artifact)
    })
}

pub(super) fn verify_logged(
    found: &FoundSignature,
    trust: bundle::Trust<'_>,
    name: &Name,
    subject: &Digest,
) -> Result<Proof, Refusal> {
    match &found.material {
        Material::Bundle { json } => bundle::verify_logged(json, trust, subject),
        Material::SimpleSigning { payload, signature, proof } => {
            simple_signing::verify_logged(payload, signature, proof, trust, name, subject)
        }
        Material::NotationCose { .. } | Material::NotationJws { .. } => {
            Err(Refusal::OtherForm(found.form()))
        }
    }
}

fn verify_envelope(
    found: &FoundSignature,
    signer: &NotationSigner,
    subject: &Digest,
    now: Timestamp,
) -> Result<Proof, Refusal> {
    match &found.material {
        Material::NotationCose { envelope } | Material::NotationJws { envelope } => {
            if envelope.len() > ENVELOPE_BYTES_MAX.div_ceil(3) * 4 {
                return Err(Refusal::TooLarge("envelope"));
            }
            let bytes = crypto::decode_base64(envelope, "envelope")?;
            notation::verify(&bytes, found.form(), signer, subject, now)
        }
        Material::Bundle { .. } | Material::SimpleSigning { .. } => {
            Err(Refusal::OtherForm(found.form()))
        }
    }
}
