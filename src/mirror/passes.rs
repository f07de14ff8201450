//! Passes: with one, a scanner elsewhere reads the image that it is to judge, before anybody may.
//!
//! Promises:
//! - A pass is for one manifest of one repository and what that lists, for a time, and ends with the
//!   value that [`Mirror::give_pass`] gave; what is asked for with one that ended is refused.
//! - It opens nothing to anybody else: no verdict, no grant and no tag hangs on it.
//! - Its token is random, told once, kept as a hash only, and in no log.
//!
//! It must not: let an index be read, whose images are judged one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tracing::{debug, info};

use super::{BlobAnswer, BlobBody, Error, ManifestAnswer, Mirror};
use crate::oci::{Digest, Manifest, ManifestError, MediaType, Name, NameError, Registry, Secret};

/// How the token of every pass begins, so that no other token is taken for one.
pub const PASS_PREFIX: &str = "pratique-pass-";
/// The user name with which a token is a password. Without a colon, as the token is: some clients split
/// the two at every one.
pub const PASS_USER: &str = "pratique";
/// Longest time that a pass may be good for.
pub const PASS_TIME_MAX: Duration = Duration::from_hours(1);
/// Most passes at one time.
const PASSES_MAX: usize = 64;
/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Why there is no pass.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PassError {
    /// What it would be for is not the manifest of one image.
    #[error("{digest} is an index: its images are scanned one by one")]
    Index {
        /// What was asked for.
        digest: Digest,
    },
    /// What it would be for is no manifest.
    #[error("{digest} cannot be scanned")]
    Malformed {
        /// What was asked for.
        digest: Digest,
        /// What is wrong with it.
        source: Arc<ManifestError>,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers for a pass")]
    Random,
    /// There are [`PASSES_MAX`] already.
    #[error("{PASSES_MAX} images are being scanned elsewhere already")]
    TooMany,
    /// The manifest could not be had.
    #[error("the manifest for a pass could not be had")]
    Unreadable(#[source] Error),
}

/// What one pass opens.
#[derive(Debug)]
struct Opened {
    name: Name,
    digest: Digest,
    media_type: MediaType,
    /// Config and layers, with their sizes in bytes.
    contents: Vec<(Digest, u64)>,
    /// Until when, by the monotonic clock.
    until: Duration,
    /// What the log calls it.
    id: String,
}

/// The passes in force, by the hashes of their tokens; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Passes(Arc<Mutex<HashMap<Digest, Arc<Opened>>>>);

impl Passes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Opened>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a pass in force, unless there are too many.
    fn put(&self, key: Digest, opened: Arc<Opened>, now: Duration) -> Result<(), PassError> {
        let mut passes = self.lock();
        passes.retain(|_, opened| now < opened.until);
        if passes.len() >= PASSES_MAX {
            return Err(PassError::TooMany);
        }
        passes.insert(key, opened);
        Ok(())
    }
}

/// A pass in force, held by whoever has the image scanned; it ends when this is dropped.
#[derive(Debug)]
pub struct Pass {
    token: Secret,
    key: Digest,
    opened: Arc<Opened>,
    passes: Passes,
}

impl Pass {
    /// The value of an `Authorization` header that shows it: `Basic …`, which all scanners understand.
    pub fn authorization(&self) -> Secret {
        let login = format!("{PASS_USER}:{}", self.token.expose());
        Secret::new(format!("Basic {}", STANDARD.encode(login)))
    }

    /// The token, for `Authorization: Bearer …`.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// What the repository is called at this mirror by whoever has no way to name a registry beside it:
    /// `docker.io/library/alpine`. A port is written with a hyphen, because most clients take no colon in
    /// a repository; only with a pass does `registry.test-5000/app` mean `registry.test:5000/app`.
    pub fn repository(&self) -> String {
        plain_path(&self.opened.name)
    }

    /// The manifest that may be read.
    pub fn digest(&self) -> &Digest {
        &self.opened.digest
    }

    /// The type of the manifest.
    pub fn media_type(&self) -> &MediaType {
        &self.opened.media_type
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.passes.lock().remove(&self.key);
        debug!(pass = %self.opened.id, "pass ended");
    }
}

/// A pass that was shown and is in force.
#[derive(Debug, Clone)]
pub struct ShownPass(Arc<Opened>);

impl ShownPass {
    /// What the log calls it.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The repository that it is for.
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// Whether `asked`, which may be of `default_registry` without naming it, is the repository that it
    /// is for, by its own name or by [`Pass::repository`].
    pub fn is_for(&self, asked: &Name, default_registry: &Registry) -> bool {
        let by_path = |name: &Name| -> Result<bool, NameError> {
            Ok(Name::from_path(&plain_path(name), default_registry)? == *asked)
        };
        *asked == self.0.name || by_path(&self.0.name).unwrap_or(false)
    }
}

fn plain_path(name: &Name) -> String {
    format!("{}/{}", name.registry().as_str().replace(':', "-"), name.repository())
}

impl Mirror {
    /// A pass for the image manifest `digest` of `name`, good for `time`, and [`PASS_TIME_MAX`] at most.
    /// Whether anybody else may read the image is not asked and not changed.
    ///
    /// # Errors
    /// See [`PassError`].
    pub async fn give_pass(
        &self,
        name: &Name,
        digest: &Digest,
        time: Duration,
    ) -> Result<Pass, PassError> {
        self.known(name).map_err(PassError::Unreadable)?;
        let bytes = self.manifest_bytes(&Self::subject(name, digest)).await;
        let manifest = Manifest::parse(&bytes.map_err(PassError::Unreadable)?, None)
            .map_err(|source| PassError::Malformed { digest: *digest, source: source.into() })?;
        let Manifest::Image(image) = manifest else {
            return Err(PassError::Index { digest: *digest });
        };
        let mut random = [0; TOKEN_BYTES];
        rand::fill(&mut random).map_err(|_| PassError::Random)?;
        let token = Secret::new(format!("{PASS_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
        let key = Digest::sha256(token.expose().as_bytes());
        let now = self.clock().monotonic();
        let listed = std::iter::once(&image.config).chain(&image.layers);
        let opened = Arc::new(Opened {
            name: name.clone(),
            digest: *digest,
            media_type: image.media_type,
            contents: listed.map(|listed| (listed.digest, listed.size)).collect(),
            until: now.saturating_add(time.min(PASS_TIME_MAX)),
            id: key.short(),
        });
        let passes = self.inner.passes.clone();
        passes.put(key, Arc::clone(&opened), now)?;
        info!(pass = %opened.id, %name, %digest, "pass given");
        Ok(Pass { token, key, opened, passes })
    }

    /// The pass whose token `token` is, if it is in force. It is looked up by its hash, so that how long
    /// that takes says nothing about any token.
    pub fn shown_pass(&self, token: &str) -> Option<ShownPass> {
        let opened = self.inner.passes.lock().get(&Digest::sha256(token.as_bytes())).cloned()?;
        (self.clock().monotonic() < opened.until).then_some(ShownPass(opened))
    }

    /// The manifest `digest`, if that is what the pass is for.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn manifest_by_pass(
        &self,
        pass: &ShownPass,
        digest: &Digest,
    ) -> Result<Option<ManifestAnswer>, Error> {
        let Opened { name, digest: opened, media_type, .. } = &*pass.0;
        if digest != opened {
            return Ok(None);
        }
        let bytes = self.manifest_bytes(&Self::subject(name, digest)).await?;
        let media_type = media_type.clone();
        let (digest, warning) = (*digest, None);
        Ok(Some(ManifestAnswer {
            digest,
            media_type,
            bytes,
            warning,
            is_refused: false,
            emergency: None,
        }))
    }

    /// The blob `digest`, if the manifest that the pass is for lists it; with `with_body` false only its
    /// size, and nothing is fetched.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn blob_by_pass(
        &self,
        pass: &ShownPass,
        digest: &Digest,
        with_body: bool,
    ) -> Result<Option<BlobAnswer>, Error> {
        let Opened { name, contents, .. } = &*pass.0;
        let Some((_, size)) = contents.iter().find(|(listed, _)| listed == digest) else {
            return Ok(None);
        };
        let size = *size;
        let body =
            if with_body { self.content(name, digest, size).await? } else { BlobBody::Unread };
        Ok(Some(BlobAnswer { digest: *digest, size, body, emergency: None }))
    }
}
