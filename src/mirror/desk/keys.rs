//! The keys with which summaries are signed.

use std::sync::Arc;

use tracing::warn;

use super::view::{PublicKeyView, PublicKeysView};
use super::{Desk, Error};
use crate::ledger::{AuditEvent, AuditKind};
use crate::summary::{KeyFileError, Keyring, PublicKey};

impl Desk {
    /// The public key in force, and those before it.
    ///
    /// # Errors
    /// When there is no key and none can be made, or the old ones cannot be read.
    pub async fn public_keys(&self) -> Result<PublicKeysView, Error> {
        self.with_keyring(shown).await
    }

    /// Makes a new key, for `by`, with which every summary is signed from now on. It is on record
    /// before it happens, with the key that signed until then.
    ///
    /// # Errors
    /// When it cannot be put on record, made or kept; the old key stays then.
    pub async fn rotate_signing_key(&self, by: &str) -> Result<PublicKeysView, Error> {
        let before = self.public_keys().await?.current.id;
        let event = AuditEvent::new(AuditKind::SigningKeyRotated, by).with("before", before);
        self.mirror.ledger().append_audit(event).await?;
        let by = by.to_owned();
        self.with_keyring(move |keyring| {
            let new = keyring.rotate()?;
            warn!(by, key = new.id, "the signing key was rotated");
            shown(keyring)
        })
        .await
    }

    async fn with_keyring(
        &self,
        work: impl FnOnce(&Keyring) -> Result<PublicKeysView, KeyFileError> + Send + 'static,
    ) -> Result<PublicKeysView, Error> {
        let keyring = Arc::clone(self.mirror.keyring());
        let worked = self.mirror.tasks().spawn_blocking(move || work(&keyring)).await;
        worked.unwrap_or(Err(KeyFileError::Generate)).map_err(|source| Error::SigningKey { source })
    }
}

fn shown(keyring: &Keyring) -> Result<PublicKeysView, KeyFileError> {
    let view = |PublicKey { id, pem }: PublicKey| PublicKeyView { id, pem };
    let current = view(keyring.current()?.public().clone());
    let retired = keyring.retired()?.into_iter().map(view).collect();
    Ok(PublicKeysView { current, retired })
}
