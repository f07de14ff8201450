//! What the ledger signs of what people say, with the key that signs the audit: in one form for every kind, so
//! that nothing is signed that could be read as another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::audit::AuditEvent;
use super::{Error, canonical};
use crate::transparency::{NoteSigner, VerifierKey};

/// Something that is signed as a whole.
pub(super) trait Payload: Serialize {
    /// What it is, as DSSE has it: no text of another kind is signed in this form.
    const TYPE: &'static str;
}

/// A vote as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Signed<V> {
    pub(super) vote: V,
    /// The name of the key.
    key: String,
    signature: String,
}

impl<V: Payload> Signed<V> {
    /// `vote`, signed by `signer`.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub(super) fn new(vote: V, signer: &NoteSigner) -> Result<Self, Error> {
        let signature = signer.sign(&text_of(&vote)?).ok_or(Error::Random)?;
        let key = signer.public().name().to_owned();
        Ok(Self { vote, key, signature: STANDARD.encode(signature) })
    }

    /// Whether the signature is that of one of `keys` over exactly this vote.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(super) fn is_signed(&self, keys: &[VerifierKey]) -> Result<bool, Error> {
        let text = text_of(&self.vote)?;
        let Ok(signature) = STANDARD.decode(&self.signature) else { return Ok(false) };
        let mut of_name = keys.iter().filter(|key| key.name() == self.key);
        Ok(of_name.any(|key| key.verifies(&text, &signature)))
    }

    /// `event` with all of it, so that it can be checked when the ledger is gone.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(super) fn told(&self, event: AuditEvent) -> Result<AuditEvent, Error> {
        let signed = canonical::to_canonical(&self.vote)?;
        Ok(event.with("signed", signed).with("key", &self.key).with("signature", &self.signature))
    }
}

/// What is signed of `vote`.
///
/// Spec: <https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md#signature-definition>
fn text_of<V: Payload>(vote: &V) -> Result<String, Error> {
    let payload = canonical::to_canonical(vote)?;
    Ok(format!("DSSEv1 {} {} {} {payload}", V::TYPE.len(), V::TYPE, payload.len()))
}
