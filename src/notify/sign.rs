//! Signatures of what is sent, and the secrets they are made with.
//!
//! Spec: Standard Webhooks 1.0.0, symmetric signatures:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::oci::Secret;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The version of a signature.
const VERSION: &str = "v1";
/// How long a secret is, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets in a file: the one in use and the one before, while receivers change over.
const SECRETS_MAX: usize = 2;
/// Longest file with a secret or an address, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file does not hold one.
    #[error(
        "holds no secret; write one or two lines of whsec_ and the base64 of 24 to 64 random bytes"
    )]
    NoSecret,
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
}

/// The first 16 KiB of the text in `path`, without space around it.
pub(super) fn read(path: &Path) -> Result<Secret, SecretError> {
    let mut text = String::new();
    let file = File::open(path).map_err(SecretError::Read)?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(SecretError::Read)?;
    Ok(Secret::new(text.trim()))
}

/// Signs for one receiver.
pub(super) struct Signer(Vec<hmac::Key>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.0.len())
    }
}

impl Signer {
    /// What signs with the secrets in `text`, one a line, the one in use first.
    pub(super) fn parse(text: &Secret) -> Result<Self, SecretError> {
        let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(key).collect::<Option<Vec<_>>>().ok_or(SecretError::NoSecret)?;
        if keys.is_empty() || keys.len() > SECRETS_MAX {
            return Err(SecretError::NoSecret);
        }
        Ok(Self(keys))
    }

    /// What signs with the secrets in the file `path`.
    pub(super) fn from_file(path: &Path) -> Result<Self, SecretError> {
        Self::parse(&read(path)?)
    }

    /// The signatures over `body`, sent as `id` at `seconds`, as their header has them.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let sign = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{seconds}.").as_bytes());
            context.update(body);
            format!("{VERSION},{}", BASE64_STANDARD.encode(context.sign()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn key(line: &str) -> Option<hmac::Key> {
    let bytes = BASE64_STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signer(text: &str) -> Result<Signer, SecretError> {
        Signer::parse(&Secret::new(text))
    }

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let signature = signer(SECRET).unwrap().sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_both() {
        let other = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
        let both = signer(&format!("{SECRET}\n{other}\n")).unwrap().sign("a", 1, b"{}");
        let one = signer(SECRET).unwrap().sign("a", 1, b"{}");
        let two = signer(&other).unwrap().sign("a", 1, b"{}");
        assert_eq!(both, format!("{one} {two}"));
    }

    #[test]
    fn what_is_no_secret_or_a_weak_one_is_none_and_nobody_is_shown_it() {
        let short = format!("whsec_{}", BASE64_STANDARD.encode([7; 23]));
        let three = format!("{SECRET}\n{SECRET}\n{SECRET}");
        for bad in [
            "",
            "hunter2",
            "whsec_",
            "whsec_***",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            &short,
            &three,
        ] {
            let error = signer(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(format!("{:?}", signer(SECRET).unwrap()), "Signer(1 secrets)");
    }
}
