//! What the behaviour tests stand on.

pub(crate) mod archive;
pub(crate) mod certs;
pub(crate) mod client;
pub(crate) mod hostile;
pub(crate) mod layout;
pub(crate) mod logs;
pub(crate) mod mirror;
pub(crate) mod notation;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod signer;
pub(crate) mod tls;
pub(crate) mod tuf;
pub(crate) mod upstream;
