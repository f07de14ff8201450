//! Keys of notes: Ed25519, each with the name that it signs under.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The byte that says Ed25519, before a key.
const ED25519_TYPE: u8 = 1;
/// What a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";
/// What is signed to derive a secret begins with this, and nothing else that is signed does: texts of
/// notes have no such character.
const DERIVED: &str = "\0derived secret\0";
/// Longest key in text, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Why a text is no key, or no key can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No random bytes were to be had.
    #[error("no key can be made")]
    Generate,
    /// It is not in the form of such a key.
    #[error("it is not of the form NAME+HASH+BASE64")]
    Form,
    /// The hash is not that of the name and the key.
    #[error("its hash does not fit its name and key; a character of it may be wrong")]
    Hash,
    /// It is a private key, which is to be shown to nobody.
    #[error("it is a private key; give the public one")]
    Private,
    /// It is of another kind of signature.
    #[error("it is not an Ed25519 key")]
    Kind,
    /// The name cannot be one of a key.
    #[error("its name is empty, too long, or has a space, a plus or a control character")]
    Name,
}

/// A public key with its name: what verifies notes. In text, `NAME+HASH+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        let is_plain = |c: char| c != '+' && !c.is_whitespace() && !c.is_control();
        if name.is_empty() || name.len() > TEXT_BYTES_MAX / 2 || !name.chars().all(is_plain) {
            return Err(KeyError::Name);
        }
        let hasher = Sha256::new().chain_update(name).chain_update([b'\n', ED25519_TYPE]);
        let hash: [u8; 32] = hasher.chain_update(public).finalize().into();
        let [a, b, c, d, ..] = hash;
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public })
    }

    /// The name that it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells its signatures from those of others with the same name.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether `signature` over `text` is by this key.
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        key.verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_text(&self.name, self.id, &self.public))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(PRIVATE) {
            return Err(KeyError::Private);
        }
        let (name, id, public) = parts(text)?;
        let key = Self::new(name, public)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Hash) }
    }
}

/// A private key with its name: what signs notes.
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    public: VerifierKey,
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.public)
    }
}

impl NoteSigner {
    /// A secret of its own for `purpose`: the same for ever, and nobody finds the key by it.
    pub fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        // Of Ed25519, the same text has the same signature; it is told to nobody.
        let signed = self.pair.sign(format!("{DERIVED}{purpose}").as_bytes());
        Sha256::digest(signed.as_ref()).into()
    }

    /// A new key with that `name`.
    ///
    /// # Errors
    /// [`KeyError::Name`]; [`KeyError::Generate`] when the machine gives no random bytes.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        Self::of(name, Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?)
    }

    /// The key in `text`, as [`to_text`](Self::to_text) gave it.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = parts(text.strip_prefix(PRIVATE).ok_or(KeyError::Form)?)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Form)?;
        let signer = Self::of(name, pair)?;
        if signer.public.id == id { Ok(signer) } else { Err(KeyError::Hash) }
    }

    /// The key in text, secret and all: `PRIVATE+KEY+NAME+HASH+BASE64`.
    ///
    /// # Errors
    /// Only if the library does not give its secret.
    pub fn to_text(&self) -> Result<String, KeyError> {
        let seed = self.pair.seed().map_err(|_| KeyError::Generate)?;
        let seed: aws_lc_rs::encoding::Curve25519SeedBin<'_> =
            aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&seed).map_err(|_| KeyError::Generate)?;
        let VerifierKey { name, id, .. } = &self.public;
        Ok(format!("{PRIVATE}{}", in_text(name, *id, seed.as_ref())))
    }

    /// The public half.
    pub const fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// The signature over `text`; `None` only if the library refuses to sign.
    pub fn sign(&self, text: &str) -> Option<Vec<u8>> {
        Some(self.pair.try_sign(text.as_bytes()).ok()?.as_ref().to_vec())
    }

    fn of(name: &str, pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Generate)?;
        Ok(Self { public: VerifierKey::new(name, public)?, pair })
    }
}

fn in_text(name: &str, id: [u8; 4], key: &[u8]) -> String {
    let key: Vec<u8> = std::iter::once(ED25519_TYPE).chain(key.iter().copied()).collect();
    format!("{name}+{}+{}", hex::encode(id), STANDARD.encode(key))
}

/// Name, hash and key of `NAME+HASH+BASE64`; the last may have pluses of its own.
fn parts(text: &str) -> Result<(&str, [u8; 4], [u8; 32]), KeyError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(KeyError::Form);
    }
    let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
    let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
    let id = hex::decode(id).ok().and_then(|id| id.try_into().ok()).ok_or(KeyError::Form)?;
    let key = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
    let (kind, key) = key.split_first().ok_or(KeyError::Form)?;
    if *kind != ED25519_TYPE {
        return Err(KeyError::Kind);
    }
    Ok((name, id, key.try_into().map_err(|_| KeyError::Form)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of the documentation of Go's `golang.org/x/mod/sumdb/note`, and what they sign.
    const PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PRIVATE_KEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg\
                             KvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn keys_and_signatures_are_those_of_other_tools() {
        let public: VerifierKey = PUBLIC.parse().unwrap();
        assert_eq!((public.to_string().as_str(), public.name()), (PUBLIC, "PeterNeumann"));
        let signer = NoteSigner::from_text(PRIVATE_KEY).unwrap();
        assert_eq!(signer.to_text().unwrap(), PRIVATE_KEY);
        assert_eq!(*signer.public(), public);
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        assert_eq!(signature[..4], public.id());
        assert_eq!(signer.sign(TEXT).unwrap(), signature[4..]);
        assert!(public.verifies(TEXT, &signature[4..]));
        assert!(!public.verifies("another text\n", &signature[4..]));
        assert!(!public.verifies(TEXT, &signature[5..]));
        assert!(!format!("{signer:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_key_says_what_is_wrong() {
        let changed = PUBLIC.replace("PeterNeumann", "PeterNewmann");
        for (text, error) in [
            (PRIVATE_KEY, KeyError::Private),
            (changed.as_str(), KeyError::Hash),
            (&PUBLIC.replace("+ARpc", "+AXpc"), KeyError::Hash),
            (&PUBLIC.replace("+ARpc", "+BRpc"), KeyError::Kind),
            (&PUBLIC.replace("PeterNeumann", "Peter Neumann"), KeyError::Name),
            (&PUBLIC.replace("PeterNeumann", ""), KeyError::Name),
            ("", KeyError::Form),
            ("a+b", KeyError::Form),
            ("a+c74f20a3+", KeyError::Form),
            (&"a".repeat(600), KeyError::Form),
        ] {
            assert_eq!(text.parse::<VerifierKey>().unwrap_err(), error, "{text}");
        }
        assert_eq!(NoteSigner::from_text(PUBLIC).unwrap_err(), KeyError::Form);
        assert_eq!(NoteSigner::generate("two words").unwrap_err(), KeyError::Name);
    }
}
