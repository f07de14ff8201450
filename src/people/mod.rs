//! Who signs in, and how they prove it: passwords, codes of an authenticator, ID tokens of a provider.
//!
//! Promises: a password is kept as an argon2id hash only, and hashed by a bounded number of threads; a
//! code counts once; an ID token counts only if it is of the configured provider, for this client, for
//! the sign-in that was begun, and of now. No secret is in `Debug`, an error or a log.
//!
//! It must not decide what somebody may do: a role is the ledger's to keep. Nothing here is written to
//! disk, and only [`oidc::Provider`] speaks to anybody.

mod base32;
pub mod oidc;
mod one_time;
mod password;
mod qr;
mod rules;
mod totp;

pub use one_time::OneTimeSecret;
pub use password::{HashError, Hasher, PasswordHash};
pub use qr::qr_code;
pub use rules::{PASSWORD_BYTES_MAX, PASSWORD_LENGTH_MIN, PasswordProblem, check_password};
pub use totp::{CODE_DIGITS, TotpKey, TotpStep};

/// The operating system gives no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes can be had")]
pub struct NoRandomness;

/// `N` random bytes.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
