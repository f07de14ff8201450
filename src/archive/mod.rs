//! Images put together in a folder: an OCI image layout that is written whole or not at all, filled from
//! a mirror, and looked through before anybody relies on it.
//!
//! Promises:
//! - [`Writer`] lists nothing in `index.json` before every blob below it is there and hashes right; what
//!   a run that was ended left is taken up by the next one.
//! - [`check`] finds whatever is missing, changed, reached through a link, or there without a reason.
//! - [`pull`] asks a mirror as a node does, so that only what is admitted now gets in.
//! - [`stream`] hashes what it sends, and sends the names last.
//!
//! It must not judge: what the names in a layout say is the claim of whoever can write there.
//!
//! From the top: `pull` fills a `Writer` (`writer`), `check` (`walk`, `stray`) looks through a
//! [`Layout`](crate::layout::Layout), `stream` makes one image of it an archive.
//!
//! Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

mod error;
mod pull;
mod stray;
mod stream;
mod walk;
mod writer;

use crate::oci::{Descriptor, Digest, Platform};

pub use error::{Error, Problem};
pub use pull::{Progress, Pulled, Source, SourceSettings, pull};
pub use stream::stream;
pub use walk::{check, narrowed};
pub use writer::{Arriving, Writer};

/// The file that makes a folder a layout.
const MARKER: &str = "oci-layout";
const MARKER_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
/// What the name of a blob that is being written begins with.
const UNFINISHED: &str = ".arriving-";
/// Most images of one layout.
pub const IMAGES_MAX: usize = 1_000;
/// Most blobs of one layout.
pub const BLOBS_MAX: usize = 20_000;
/// How deep indexes lie in each other at most.
const DEPTH_MAX: usize = 4;
/// The annotation under which containerd and Docker look for an image's whole name.
pub const IMAGE_NAME: &str = "io.containerd.image.name";
/// The annotation under which everybody else looks for it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of `index.json` that says for which platforms a layout was made, with commas between.
const PLATFORMS: &str = "dev.pratique.platforms";

/// What was found in a layout.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The images, in the order in which they are listed.
    pub images: Vec<Image>,
    /// The platforms that the layout was made for; empty: all that its images have.
    pub platforms: Vec<Platform>,
    /// How many blobs there are below them.
    pub blobs: usize,
    /// How many bytes these have.
    pub bytes: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

/// One image of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its names, each a whole reference.
    pub names: Vec<String>,
    /// How it is listed.
    pub descriptor: Descriptor,
    /// The platforms for which it is there.
    pub platforms: Vec<Platform>,
    /// All that it consists of, manifests before what they list, each once, with its size.
    pub parts: Vec<(Digest, u64)>,
}

impl Image {
    /// Its first name, or its digest.
    pub fn shown(&self) -> String {
        self.names.first().cloned().unwrap_or_else(|| self.descriptor.digest.to_string())
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, size)| size).sum()
    }
}
