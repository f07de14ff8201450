//! The images that bring a cluster up, kept on a node as a layout and brought into its runtime before
//! anything can be pulled.
//!
//! Promises:
//! - Nothing reaches the runtime before all of the set was read and hashed, and is nobody else's to write.
//! - What is there already, whole and unpacked, is left as it is.
//! - It is pinned: the runtime is told that its images are not to be collected.
//!
//! It must not judge: a set is what a mirror admitted when it was saved, and who may write to its folder
//! decides what the node runs. It speaks to runtimes by their own programs.
//!
//! From the top: [`examine`] looks through a set, [`load`] brings it in by [`Containerd`], and [`findings`]
//! tells a look at a node what is wrong with it.

mod containerd;
mod findings;
mod load;
mod owners;

use std::path::Path;

pub use containerd::{Containerd, ContainerdError};
pub use findings::{UNIT, findings};
pub use load::{LoadError, Loaded, load};

use crate::archive::{self, Contents};
use crate::layout;
use crate::oci::Platform;

/// Where the set lies on a node, where nobody says otherwise.
pub const FOLDER: &str = "/var/lib/pratique-preload";

/// What is in the set in the folder `path`, with everything that is wrong: as [`archive::check`], and with
/// whoever else may write there.
///
/// # Errors
/// When it is no layout, or its list cannot be read.
pub fn examine(path: &Path, platforms: &[Platform]) -> Result<Contents, layout::Error> {
    let mut contents = archive::check(path, platforms)?;
    contents.problems.extend(owners::find(path));
    Ok(contents)
}
