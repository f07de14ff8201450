//! The files of a repository, over the network: bounded, by plain names, looked over before anybody
//! else reads them.

use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use sigstore_tuf::Repository;
use sigstore_tuf::transport::FetchFuture;

use super::scrutiny::look_over;
use super::trouble::Trouble;
use crate::upstream::Files;

/// Longest name of a file, in bytes: a hash of 64 bytes in hexadecimal digits, and a name behind it.
const NAME_LENGTH_MAX: usize = 256;

/// A repository at an address.
#[derive(Debug)]
pub(super) struct Remote {
    files: Files,
    /// Newer roots that have come.
    rotations: AtomicU32,
    rotations_max: u32,
}

impl Remote {
    /// The repository in `files`, which may have so many newer roots.
    pub(super) fn new(files: Files, rotations_max: u32) -> Self {
        Self { files, rotations: AtomicU32::new(0), rotations_max }
    }

    /// Metadata; `None`: there is no newer root.
    async fn metadata(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Trouble> {
        let is_root = name.ends_with(".root.json");
        let bytes = match self.file("", name, bytes_max).await {
            Ok(bytes) => bytes,
            // Storage services say the latter of what is not there.
            Err(Trouble::Absent(_) | Trouble::Status { status: StatusCode::FORBIDDEN, .. })
                if is_root =>
            {
                return Ok(None);
            }
            Err(trouble) => return Err(trouble),
        };
        look_over(&bytes).map_err(|fault| Trouble::Faulty { name: name.to_owned(), fault })?;
        if is_root && self.rotations.fetch_add(1, Ordering::Relaxed) >= self.rotations_max {
            return Err(Trouble::NoEnd(self.rotations_max));
        }
        Ok(Some(bytes))
    }

    async fn file(&self, folder: &str, name: &str, bytes_max: u64) -> Result<Vec<u8>, Trouble> {
        // Names are made of what the repository says: hashes, and names of roles.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
        if name.len() > NAME_LENGTH_MAX || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(Trouble::OddName(name.chars().take(NAME_LENGTH_MAX).collect()));
        }
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        match self.files.get(&format!("{folder}{name}"), bytes_max).await? {
            Ok(bytes) => Ok(bytes.into()),
            Err(StatusCode::NOT_FOUND) => Err(Trouble::Absent(name.to_owned())),
            Err(status) => Err(Trouble::Status { name: name.to_owned(), status }),
        }
    }
}

impl Repository for Remote {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { Ok(self.metadata(name, max_length).await?) })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { Ok(Some(self.file("targets/", path, max_length).await?)) })
    }
}
