//! What a node pulls with, and how it is configured so that the mirror is its only way to an image.
//!
//! - [`kit`] is the file that says what a node was configured to.
//! - [`Runtime`] and [`Version`] name what pulls on it; rules of the runtimes differ by version.
//! - [`Endpoint`] is the mirror as a node reaches it.
//! - [`render`] makes the files of each runtime, [`install`] puts them on a node and takes them away
//!   again, and [`verify`] reads what is there with the runtime's own rules.
//! - [`place`] puts files where they belong in one step.
//!
//! Nothing here reaches a network.

pub mod install;
pub mod kit;
pub mod opened;
pub mod openings;
pub mod place;
pub mod render;
pub mod verify;

mod endpoint;
mod problem;
mod runtime;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::kit::{ClientCertificate, Kit, KitError};
pub use self::problem::{Problem, Problems};
pub use self::runtime::{Kind, Runtime, RuntimeError, Version};

/// `text` as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
