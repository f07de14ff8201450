//! Pure types and parsers of the OCI specifications: no I/O, no clock, no async.
//!
//! Whatever comes from outside becomes one of these types at the edge, once, and everything inside
//! works with the type: a [`Digest`] is well formed, a [`Name`] is canonical, a [`Manifest`] passed
//! every structural check. Parsing is total and bounded; nothing here panics on input.

mod descriptor;
mod digest;
mod endpoint;
mod error_code;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod image_config;
mod json;
mod json_schema;
mod manifest;
mod media_type;
mod name;
mod range;
mod secret;
mod secret_like;

pub use descriptor::{Descriptor, Platform, platform_part};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use endpoint::{Endpoint, EndpointError, Request, TagsPage};
pub use error_code::ErrorCode;
pub use image_config::{EnvEntry, ImageConfig, ImageConfigError};
pub use json::{JSON_DEPTH_MAX, JsonError, check_strict, from_strict_slice};
pub use manifest::{
    INDEX_CHILDREN_MAX, ImageIndex, ImageManifest, LAYERS_MAX, MANIFEST_BYTES_MAX, Manifest,
    ManifestError,
};
pub use media_type::MediaType;
pub use name::{
    ImageReference, Name, NameError, Reference, Registry, Repository, TAG_LENGTH_MAX, Tag,
};
pub use range::{ByteRange, RangeRequest, Unsatisfiable};
pub use secret::Secret;
pub use secret_like::SecretForm;
