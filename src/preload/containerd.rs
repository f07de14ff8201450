//! containerd, by its own program `ctr`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::archive::{self, Image, stream};
use crate::layout::Layout;
use crate::oci::Digest;
use crate::program::{ProgramError, Unconfined};
use crate::tasks::Tasks;

/// How long everything but an import may take.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the import of one image may take, with its unpacking.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(15);
/// Most bytes that `ctr` may write.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Written to the pipe at a time, in bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// The label by which CRI tells kubelet that an image is not to be collected.
pub(super) const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// Where `ctr` usually is.
const FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin"];
/// containerd's socket.
const ADDRESS: &str = "/run/containerd/containerd.sock";
/// The namespace whose images kubelet sees.
const NAMESPACE: &str = "k8s.io";

/// A containerd, reached by its own program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containerd {
    program: PathBuf,
    address: PathBuf,
    namespace: String,
}

/// What containerd has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) digest: Digest,
    /// Whether all of it is there for this machine, and unpacked.
    pub(super) is_whole: bool,
    pub(super) is_pinned: bool,
}

/// Why containerd was not told, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// There is no `ctr`.
    #[error("there is no ctr at the usual places; name it by --ctr PATH")]
    NoProgram,
    /// It said no, or nothing.
    #[error("containerd was asked by ctr, which failed")]
    Program(#[from] ProgramError),
    /// An image could not be handed over.
    #[error("the image could not be handed to ctr")]
    Send(#[from] archive::Error),
    /// There is no pipe.
    #[error("there is no pipe to ctr")]
    Pipe(#[source] std::io::Error),
}

impl Containerd {
    /// The containerd at `address`, by the `ctr` at `program`; where none is named, those of the usual
    /// places, and the namespace of kubelet.
    ///
    /// # Errors
    /// When there is no `ctr`.
    pub fn new(
        program: Option<&Path>,
        address: Option<&Path>,
        namespace: Option<&str>,
    ) -> Result<Self, ContainerdError> {
        let usual = || FOLDERS.iter().map(|it| Path::new(it).join("ctr")).find(|it| it.is_file());
        let program = program.map(Path::to_owned).or_else(usual);
        Ok(Self {
            program: program.ok_or(ContainerdError::NoProgram)?,
            address: address.unwrap_or(Path::new(ADDRESS)).to_owned(),
            namespace: namespace.unwrap_or(NAMESPACE).to_owned(),
        })
    }

    fn call(&self, words: &[&str], time: Duration) -> Unconfined {
        let mut arguments: Vec<OsString> = vec!["--address".into(), self.address.clone().into()];
        arguments.extend(["--namespace".into(), self.namespace.clone().into()]);
        arguments.extend(words.iter().map(Into::into));
        Unconfined { path: self.program.clone(), arguments, time, output: OUTPUT_BYTES_MAX }
    }

    /// What it has, by name.
    pub(super) async fn images(&self) -> Result<HashMap<String, There>, ContainerdError> {
        let checked = self.call(&["images", "check"], CALL_TIMEOUT).run().await?;
        let listed = self.call(&["images", "list"], CALL_TIMEOUT).run().await?;
        Ok(read(&String::from_utf8_lossy(&checked.bytes), &String::from_utf8_lossy(&listed.bytes)))
    }

    /// Imports and unpacks `image` of `layout` under its names.
    pub(super) async fn import(
        &self,
        layout: &Arc<Layout>,
        image: &Image,
        tasks: &Tasks,
    ) -> Result<(), ContainerdError> {
        let (reader, writer) = std::io::pipe().map_err(ContainerdError::Pipe)?;
        let (layout, image) = (Arc::clone(layout), image.clone());
        let sent = tasks.spawn_blocking(move || {
            stream(&layout, &image, BufWriter::with_capacity(PIECE_BYTES, writer))
        });
        let call = self.call(&["images", "import", "-"], IMPORT_TIMEOUT);
        let called = call.run_with(Stdio::from(reader)).await;
        let sent = sent
            .await
            .unwrap_or_else(|error| Err(archive::Error::Send(std::io::Error::other(error))));
        match (called, sent) {
            // What ctr says is why it took no more.
            (Err(error), Ok(()) | Err(archive::Error::Send(_))) => Err(error.into()),
            (_, Err(error)) => Err(error.into()),
            (Ok(_), Ok(())) => Ok(()),
        }
    }

    /// Tells CRI that `name` is not to be collected.
    pub(super) async fn pin(&self, name: &str) -> Result<(), ContainerdError> {
        self.call(&["images", "label", name, PINNED], CALL_TIMEOUT).run().await?;
        Ok(())
    }
}

/// What `ctr images check` and `ctr images list` say: a line for each image, columns between spaces, of
/// which only those are read that have no space in them.
fn read(checked: &str, listed: &str) -> HashMap<String, There> {
    let mut pinned: HashMap<&str, bool> = HashMap::new();
    for line in listed.lines().skip(1) {
        let mut words = line.split_whitespace();
        let (name, labels) = (words.next(), words.next_back());
        if let (Some(name), Some(labels)) = (name, labels) {
            pinned.insert(name, labels.split(',').any(|label| label == PINNED));
        }
    }
    let mut images = HashMap::new();
    for line in checked.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, _kind, digest, status, .., unpacked] = words.as_slice() else { continue };
        let Ok(digest) = digest.parse() else { continue };
        let is_whole = *status == "complete" && *unpacked == "true";
        let is_pinned = pinned.get(name).copied().unwrap_or(false);
        images.insert((*name).to_owned(), There { digest, is_whole, is_pinned });
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "6f644f9d11f7fb58b8cab2e1e51a4df2d979512f6bf895e4b0e718db0e580555";

    #[test]
    fn what_ctr_prints_is_read_and_what_is_not_whole_is_not_taken_for_there() {
        let kind = "application/vnd.oci.image.index.v1+json";
        let checked = format!(
            "REF TYPE DIGEST STATUS SIZE UNPACKED \n\
             up.test/a:1    {kind} sha256:{HEX} complete (3/3)   1.0 MiB/1.0 MiB true\n\
             up.test/b:1    {kind} sha256:{HEX} incomplete (2/3) 0.9 MiB/1.0 MiB true\n\
             up.test/c:1    {kind} sha256:{HEX} complete (3/3)   1.0 MiB/1.0 MiB false\n\
             up.test/d:1    {kind} sha256:{HEX} unavailable (0/?) 0.0 B/? false\n\
             half a line\n"
        );
        let listed = format!(
            "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
             up.test/a:1 {kind} sha256:{HEX} 1.0 MiB linux/amd64,linux/arm64 io.cri-containerd.image=managed,{PINNED}\n\
             up.test/b:1 {kind} sha256:{HEX} 1.0 MiB linux/amd64 -\n"
        );
        let images = read(&checked, &listed);
        let state = |name: &str| {
            images.get(name).map(|there| (there.is_whole, there.is_pinned)).unwrap_or_default()
        };
        assert_eq!(images.len(), 4, "{images:?}");
        assert_eq!(state("up.test/a:1"), (true, true));
        for name in ["up.test/b:1", "up.test/c:1", "up.test/d:1"] {
            assert_eq!(state(name), (false, false), "{name}");
        }
        assert!(read("", "").is_empty());
    }
}
