//! What the behaviour tests stand on.

pub(crate) mod mirror;
pub(crate) mod signer;
pub(crate) mod upstream;
