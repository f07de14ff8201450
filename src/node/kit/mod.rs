//! `/etc/pratique/node.toml`: what a node was configured to.
//!
//! `pratique node install` writes it, and what looks at a node later reads it: `node verify`, `node
//! keep` and `doctor` hold against it what they find. It is read strictly, because a key that is
//! not understood could be a hole that nobody declared.

mod reading;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::{Endpoint, Problems, Runtime, place, quoted};
use crate::oci::{ImageReference, Registry};

/// Where it belongs on a node.
pub const FILE: &str = "/etc/pratique/node.toml";
/// Most mirrors, registries, holes or canaries in one list.
pub const LIST_MAX: usize = 1000;
/// The mode of the file: it holds paths of keys and no keys.
const MODE: u32 = 0o644;

/// A client certificate, as paths on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What a node was configured to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    /// What pulls on it: `runtime`.
    pub runtime: Runtime,
    /// The mirrors, in the order in which they are asked, never empty: `mirrors`.
    pub mirrors: Vec<Endpoint>,
    /// The file on the node with the authority of the mirrors' certificates: `ca`.
    pub ca: Option<PathBuf>,
    /// What the node shows the mirrors: `client_cert` and `client_key`.
    pub client: Option<ClientCertificate>,
    /// The registries that have a file, or a block, of their own: `registries`.
    pub registries: Vec<Registry>,
    /// Declared holes, registries that are reached past the mirror: `direct`.
    pub direct: Vec<Registry>,
    /// Whether the node may fall back to the registries, which is not a gate: `open`.
    pub open: bool,
    /// Images that only a way past the mirror could pull: `canaries`.
    pub canaries: Vec<ImageReference>,
    /// The folder on the node with the images that bring it up, which has to be whole: `preload`.
    pub preload: Option<PathBuf>,
}

/// Why there is no kit.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The file has mistakes.
    #[error("{0}")]
    Problems(Problems),
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Kit {
    /// What `text`, the content of `file`, says.
    ///
    /// # Errors
    /// With every mistake at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        reading::read(file, text)
    }

    /// What the file at `path` says; `None` when there is none, and so the node was not configured
    /// by `node install`.
    ///
    /// # Errors
    /// See [`KitError`].
    pub fn read(path: &Path) -> Result<Option<Self>, KitError> {
        let failed = |source| KitError::Read { path: path.to_owned(), source };
        let Some(content) = place::read(path).map_err(failed)? else { return Ok(None) };
        let text = String::from_utf8(content)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Self::parse(&path.display().to_string(), &text).map(Some).map_err(KitError::Problems)
    }

    /// Puts it at `path` in one step.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is there still.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        place::replace(path, self.to_toml().as_bytes(), MODE)
    }

    /// The text of the file: the same for the same kit.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# What this node was configured to. Written by `pratique node install`; `pratique node verify`,\n\
             # `pratique node keep` and `pratique doctor` hold it against what they find.\n",
        );
        let mut line = |key: &str, value: String| {
            let written = writeln!(text, "{key} = {value}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        };
        let path = |path: &Path| quoted(&path.to_string_lossy());
        line("runtime", quoted(&self.runtime.to_string()));
        line("mirrors", list(self.mirrors.iter().map(Endpoint::url)));
        if let Some(ca) = &self.ca {
            line("ca", path(ca));
        }
        if let Some(client) = &self.client {
            line("client_cert", path(&client.cert));
            line("client_key", path(&client.key));
        }
        line("registries", list(self.registries.iter().map(Registry::as_str)));
        line("direct", list(self.direct.iter().map(Registry::as_str)));
        line("open", self.open.to_string());
        let canaries: Vec<_> = self.canaries.iter().map(ToString::to_string).collect();
        line("canaries", list(canaries.iter().map(String::as_str)));
        if let Some(preload) = &self.preload {
            line("preload", path(preload));
        }
        text
    }
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = texts.map(quoted).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests;
