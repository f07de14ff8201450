//! Bringing a set into a runtime.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::{Containerd, ContainerdError, examine};
use crate::archive::{self, Contents, Problem};
use crate::layout::{self, Layout};
use crate::oci::Platform;
use crate::tasks::Tasks;

/// What a loading did, by names.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Imported and pinned.
    pub imported: Vec<String>,
    /// There already, and pinned now.
    pub pinned: Vec<String>,
    /// There already, and pinned.
    pub there: Vec<String>,
}

/// Why a set was not brought in, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The set is not whole; the runtime has seen nothing of it.
    #[error("the set is not as it should be, and nothing of it was loaded")]
    Damaged(Vec<Problem>),
    /// It is no layout.
    #[error("there is no set that could be read, and nothing was loaded")]
    Layout(#[from] layout::Error),
    /// The runtime says that it did, and does not have all of it.
    #[error("the runtime took the set, and does not have all of it whole, unpacked and pinned")]
    NotKept(Vec<Problem>),
    /// The runtime did not do what it was told.
    #[error("{done} of {all} images were loaded; {name} was not")]
    Runtime {
        /// The image.
        name: String,
        /// How many are done.
        done: usize,
        /// How many there are.
        all: usize,
        /// Why not.
        #[source]
        source: ContainerdError,
    },
    /// The runtime cannot be asked.
    #[error("the runtime was not reached, and nothing was loaded")]
    Unreached(#[source] ContainerdError),
}

/// Brings the set in the folder `path` into `runtime`, whose machine is of `platform`.
///
/// # Errors
/// See [`LoadError`]; the same run again goes on where this one ended.
pub async fn load(
    path: &Path,
    platform: Platform,
    runtime: &Containerd,
    tasks: &Tasks,
    told: impl Fn(&str),
) -> Result<Loaded, LoadError> {
    let (layout, contents) = whole(path, platform, tasks).await?;
    let there = runtime.images().await.map_err(LoadError::Unreached)?;
    let mut loaded = Loaded::default();
    let all = contents.images.len();
    for (done, image) in contents.images.iter().enumerate() {
        let is_there = |name: &String| {
            there
                .get(name)
                .is_some_and(|there| there.digest == image.descriptor.digest && there.is_whole)
        };
        let failed = |source| {
            let name = image.shown();
            LoadError::Runtime { name, done, all, source }
        };
        let is_whole = image.names.iter().all(is_there);
        if !is_whole {
            told(&image.shown());
            runtime.import(&layout, image, tasks).await.map_err(failed)?;
        }
        for name in &image.names {
            let is_pinned = there.get(name).is_some_and(|there| there.is_pinned);
            match (is_whole, is_pinned) {
                (true, true) => loaded.there.push(name.clone()),
                (true, false) => {
                    runtime.pin(name).await.map_err(failed)?;
                    loaded.pinned.push(name.clone());
                }
                (false, _) => {
                    runtime.pin(name).await.map_err(failed)?;
                    loaded.imported.push(name.clone());
                }
            }
        }
    }
    is_kept(&contents, runtime).await?;
    Ok(loaded)
}

/// Asks the runtime whether it has all of `contents`: that it was told is not that it did it.
async fn is_kept(contents: &Contents, runtime: &Containerd) -> Result<(), LoadError> {
    let now = runtime.images().await.map_err(LoadError::Unreached)?;
    let mut missing = Vec::new();
    for image in &contents.images {
        for name in &image.names {
            let is_so = now.get(name).is_some_and(|now| {
                now.digest == image.descriptor.digest && now.is_whole && now.is_pinned
            });
            if !is_so {
                let text = "is not there, not unpacked, or not pinned";
                missing.push(Problem::new("missing", name, text));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(LoadError::NotKept(missing)) }
}

/// The set in the folder `path`, looked through, and what of it is for `platform`.
async fn whole(
    path: &Path,
    platform: Platform,
    tasks: &Tasks,
) -> Result<(Arc<Layout>, Contents), LoadError> {
    let (folder, own) = (path.to_owned(), platform.clone());
    let examined = tasks.spawn_blocking(move || examine(&folder, &[own])).await;
    let contents = examined.unwrap_or_else(|error| {
        let source = std::io::Error::other(error);
        Err(layout::Error::Read { path: path.to_owned(), source })
    })?;
    if !contents.problems.is_empty() {
        return Err(LoadError::Damaged(contents.problems));
    }
    let layout = Layout::open(path)?;
    // A set may be for machines of several kinds: what is for others stays where it is.
    let contents = archive::narrowed(&layout, platform);
    if !contents.problems.is_empty() {
        return Err(LoadError::Damaged(contents.problems));
    }
    Ok((Arc::new(layout), contents))
}
