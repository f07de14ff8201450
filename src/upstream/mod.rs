//! The registry client: bounded, distrustful, and careful with secrets.
//!
//! What it promises:
//! - A login goes to the host it was configured for, or to that host's configured token service; a
//!   token goes to the registry it was issued for. Neither crosses a redirect, a `Link`, or a realm
//!   of the upstream's choosing, and neither reaches a log or an error text.
//! - No connection is made to an address that is not public, on any hop, unless its host stands in
//!   the configuration; the check is on the address that is dialled.
//! - Every wait has an end, every body, head, list and map has a bound. There is no limit on how
//!   long a blob may take, only on how long nothing may come.
//! - Absence is `None` and only when the upstream says so; everything else is an [`Error`].
//!
//! What it must not do: decide anything, or believe a digest that an upstream names. Blobs are handed
//! on unverified; the store compares them.
//!
//! From the top: [`Client`] (`client`, `lists`, `blob`) asks an `Upstream` (`registry`), which knows
//! about retries, rests (`breaker`, `usage`) and redirects, and shows what is asked for (`auth`,
//! `challenge`, `credentials`, `helper`, `tokens`); a large blob that one connection brings too slowly
//! comes over several (`ranges`, `pace`); one exchange is `transport`'s, over connections of `pool`,
//! made by `dial` (`address`, `proxy`, `tls`); `lines` puts these together. [`Files`] asks for
//! files at a place that is no registry, [`Service`] a service that is none, in the same way, and
//! [`Hook`] sends webhooks.

mod address;
mod auth;
mod blob;
mod breaker;
mod challenge;
mod client;
mod credentials;
mod dial;
mod error;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gauges;
mod helper;
mod hook;
mod lines;
mod link;
mod lists;
mod location;
mod pace;
mod pattern;
mod pool;
mod proxy;
mod ranges;
mod registry;
mod service;
mod settings;
mod tls;
mod tokens;
mod transport;
mod usage;

pub use blob::BlobStream;
pub use breaker::{Breaker, RateLimit};
pub use client::{Client, RemoteManifest, RemoteTag};
pub use error::Error;
pub use files::{FileStream, Files, FilesSettings};
pub use gauges::render_gauges;
pub use hook::{Hook, HookAnswer, HookSettings, origin_of};
pub use registry::UpstreamStatus;
pub use service::{Service, ServiceAnswer, ServiceSettings};
pub use settings::{
    CredentialSettings, CredentialSource, Limits, ProxySettings, RegistrySettings, Settings,
};
