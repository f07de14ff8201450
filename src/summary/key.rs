//! The key that summaries are signed with, in a file of the data directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::oci::Digest;

/// The file with the key that signs.
const FILE: &str = "signing-key.pem";
/// The folder with the public keys that signed before.
const RETIRED: &str = "signing-keys-retired";
/// Most retired keys that are shown, the newest first.
const RETIRED_MAX: usize = 16;
/// Largest key file in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key that signs summaries.
///
/// RSA with 3072 bits, by PKCS #1 with SHA-256: cosign and every library verify that, and signing the
/// same twice gives the same.
pub struct SigningKey {
    pair: RsaKeyPair,
    public: PublicKey,
}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The SHA-256 of its `SubjectPublicKeyInfo`, in lower-case hexadecimal.
    pub id: String,
    /// A `PUBLIC KEY` block.
    pub pem: String,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The content is no key; it was not replaced, because others may rely on it.
    #[error(
        "{path} is not an RSA private key in PKCS #8; put back the right one, or move it away for a new one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error("a signing key cannot be made")]
    Generate,
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}

impl SigningKey {
    /// The key in `folder`; a new one when there is none yet.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub(super) fn open(folder: &Path) -> Result<Self, KeyFileError> {
        Self::read(folder)?.map_or_else(|| Self::create(folder), Ok)
    }

    /// The key in `folder`, if there is one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, KeyFileError> {
        let path = folder.join(FILE);
        match fs::metadata(&path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => Err(KeyFileError::Damaged { path }),
            Ok(_) => {
                let text = fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
                Self::from_pem(&text).map(Some).ok_or(KeyFileError::Damaged { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Makes a new key and puts it in the place of the one in `folder`, whose public half is kept.
    ///
    /// # Errors
    /// See [`KeyFileError`]. The old key stays in place then.
    pub(super) fn rotate(&self, folder: &Path) -> Result<Self, KeyFileError> {
        let retired = folder.join(RETIRED);
        fs::create_dir_all(&retired).map_err(|source| failed(&retired, source))?;
        let path = retired.join(format!("{}.pub", self.public.id));
        write(&path, &self.public.pem, 0o644)?;
        Self::create(folder)
    }

    /// The public keys that signed before this one, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn retired(folder: &Path) -> Result<Vec<PublicKey>, KeyFileError> {
        let path = folder.join(RETIRED);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(&path, source)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let id = name.to_str().and_then(|name| name.strip_suffix(".pub"));
            let Some(id) = id.filter(|id| id.len() == 64) else { continue };
            let file = entry.metadata().map_err(|source| failed(&path, source))?;
            // Whatever that is, it was not put there as a key.
            if !file.is_file() || file.len() > FILE_BYTES_MAX {
                continue;
            }
            let made = file.modified().map_err(|source| failed(&path, source))?;
            let pem = fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
            found.push((made, PublicKey { id: id.to_owned(), pem }));
        }
        found.sort_by_key(|(made, _)| std::cmp::Reverse(*made));
        Ok(found.into_iter().take(RETIRED_MAX).map(|(_, key)| key).collect())
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature over `message`; `None` only if the library refuses to sign.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
        Some(signature)
    }

    fn create(folder: &Path) -> Result<Self, KeyFileError> {
        // A disk that takes nothing is found out before a second is spent on a key.
        let probe = folder.join(FILE).with_extension("probe");
        let probed = fs::write(&probe, BEGIN).and_then(|()| fs::remove_file(&probe));
        probed.map_err(|source| failed(&probe, source))?;
        let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(|_| KeyFileError::Generate)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyFileError::Generate)?;
        write(&folder.join(FILE), &pem(BEGIN, END, der.as_ref()), 0o600)?;
        Self::of(pair).ok_or(KeyFileError::Generate)
    }

    fn from_pem(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        Self::of(RsaKeyPair::from_pkcs8(&STANDARD.decode(body).ok()?).ok()?)
    }

    fn of(pair: RsaKeyPair) -> Option<Self> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
        let id = Digest::sha256(der.as_ref()).hex();
        let pem = pem("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", der.as_ref());
        Some(Self { pair, public: PublicKey { id, pem } })
    }
}

fn failed(path: &Path, source: io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), source }
}

fn pem(begin: &str, end: &str, der: &[u8]) -> String {
    let mut text = format!("{begin}\n");
    for (count, character) in STANDARD.encode(der).chars().enumerate() {
        if count > 0 && count % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    format!("{text}\n{end}\n")
}

/// Writes `text` to `path`, all of it or nothing.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), KeyFileError> {
    let written = || -> io::Result<()> {
        let partial = path.with_extension("partial");
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|source| failed(path, source))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_stays_until_it_is_rotated_and_is_remembered_then() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKey::open(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SigningKey::open(folder.path()).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(first.sign(b"x"), again.sign(b"x"), "the same is signed the same");
        assert!(SigningKey::retired(folder.path()).unwrap().is_empty());
        let second = first.rotate(folder.path()).unwrap();
        assert_ne!(first.public(), second.public());
        assert_eq!(SigningKey::open(folder.path()).unwrap().public(), second.public());
        assert_eq!(SigningKey::retired(folder.path()).unwrap(), [first.public().clone()]);
        assert!(!format!("{second:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        SigningKey::open(folder.path()).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for text in ["", "x", &good[..good.len() / 2], &"x".repeat(20_000)] {
            fs::write(&path, text).unwrap();
            let error = SigningKey::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("signing-key.pem is not an RSA private key"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
