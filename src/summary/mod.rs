//! What this mirror says itself, signed: that an image has passed its gates.
//!
//! Whoever verifies downstream needs one key then, in place of every format and identity upstream. The
//! same verdict is always the same bytes: the time is that of the verdict, and the signature is one
//! without chance, so that a summary can be made anew wherever the key is, and nothing about it is kept.
//!
//! Spec: <https://slsa.dev/spec/v1.1/verification_summary>

mod key;
mod keyring;
mod statement;

pub use key::{KeyFileError, PublicKey, SigningKey};
pub use keyring::Keyring;
pub use statement::{EMPTY, PREDICATE_TYPE, Passed, Summary};
