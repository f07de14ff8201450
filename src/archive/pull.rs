//! Filling a layout from a mirror, by the protocol that nodes speak.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::walk::chosen;
use super::{DEPTH_MAX, Error, Writer};
use crate::metrics::Metrics;
use crate::oci::{
    Descriptor, Digest, Endpoint, ImageManifest, ImageReference, Manifest, MediaType, Platform,
    Reference, Registry,
};
use crate::tasks::Tasks;
use crate::time::Clock;
use crate::upstream::{
    Client, Limits, ProxySettings, RegistrySettings, RemoteManifest, Service, ServiceSettings,
    Settings,
};

/// Blobs that come at once.
const BLOBS_AT_ONCE: usize = 4;
/// How long the mirror may take for the head of an answer: it may hold for 25 seconds what it judges.
const HEAD_TIME_MAX: Duration = Duration::from_mins(1);
/// Times that one request is sent: what is still being judged is asked for again.
const ATTEMPTS: u32 = 8;
/// Longest wait that the mirror may ask for in between.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Most bytes of a manifest that comes in the place of a refusal.
const MANIFEST_BYTES_MAX: usize = crate::oci::MANIFEST_BYTES_MAX;
/// Longest refusal that is told, in characters.
const REFUSAL_LENGTH_MAX: usize = 400;

/// Where a mirror is.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// `http[s]://host[:port]`.
    pub url: String,
    /// Whether it is reached without TLS.
    pub is_plain: bool,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca: Option<PathBuf>,
    /// The registries whose images are asked for.
    pub registries: Vec<Registry>,
}

/// A mirror that is asked for images.
#[derive(Debug)]
pub struct Source {
    client: Client,
    /// Tells why it refuses, which the client leaves unread.
    refusals: Service,
}

/// How far it is, for people who wait.
#[derive(Debug, Default)]
pub struct Progress {
    images: AtomicUsize,
    fetched: AtomicU64,
    kept: AtomicU64,
}

/// An image that is in the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// How it is listed, without a name.
    pub descriptor: Descriptor,
}

impl Progress {
    /// How many images are done.
    pub fn images(&self) -> usize {
        self.images.load(Ordering::Relaxed)
    }

    /// How many bytes came.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// How many bytes were there already.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Source {
    /// A mirror by `settings`.
    ///
    /// # Errors
    /// When its address or its certificate file cannot be used.
    pub fn new(
        settings: &SourceSettings,
        tasks: &Tasks,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, crate::upstream::Error> {
        let SourceSettings { url, is_plain, ca, registries } = settings;
        let registry = |registry: &Registry| RegistrySettings {
            ca_file: ca.clone(),
            danger_plain_http: *is_plain,
            ..RegistrySettings::new(registry.clone(), url.clone())
        };
        let limits = Limits {
            first_byte_timeout: HEAD_TIME_MAX,
            attempts: ATTEMPTS,
            retry_after_wait: WAIT_MAX,
            // There is nobody else to spare, and one command to bring to its end.
            breaker_failures: u32::MAX,
            ..Limits::default()
        };
        let registries = registries.iter().map(registry).collect();
        let wanted = Settings { registries, limits, proxy: ProxySettings::default() };
        let client =
            Client::through_mirror(wanted, clock, tasks.clone(), Arc::new(Metrics::default()))?;
        let service = ServiceSettings {
            url: url.clone(),
            ca_file: ca.clone(),
            danger_plain_http: *is_plain,
            proxy: ProxySettings::default(),
        };
        Ok(Self { client, refusals: Service::new(&service, tasks.clone())? })
    }

    async fn manifest(
        &self,
        image: &ImageReference,
        reference: &Reference,
    ) -> Result<Option<RemoteManifest>, Error> {
        match self.client.fetch_manifest(&image.name, reference).await {
            Ok(manifest) => Ok(manifest),
            Err(source) => Err(self.refused(image, reference, source).await),
        }
    }

    /// What the mirror says, where it decided no.
    async fn refused(
        &self,
        image: &ImageReference,
        reference: &Reference,
        source: crate::upstream::Error,
    ) -> Error {
        let name = image.to_string();
        let has_said = matches!(
            &source,
            crate::upstream::Error::Status { status: StatusCode::FORBIDDEN, .. }
                | crate::upstream::Error::Unauthorized { .. }
        );
        let said = if has_said { self.said(image, reference).await } else { None };
        match said {
            Some(said) => Error::Refused { image: name, said },
            None => Error::Fetch { image: name, source },
        }
    }

    /// The message of a refusal.
    async fn said(&self, image: &ImageReference, reference: &Reference) -> Option<String> {
        let path = Endpoint::Manifest(reference.clone()).path(image.name.repository());
        let path = format!("{path}?ns={}", image.name.registry());
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(MediaType::ACCEPT))]);
        let answer = self.refusals.get(&path, headers, MANIFEST_BYTES_MAX).await.ok()?;
        if answer.status.is_success() { None } else { message(&answer.body) }
    }
}

/// The message of the first error in `body`, on one line and printable.
fn message(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = body.get("errors")?.get(0)?.get("message")?.as_str()?;
    let plain = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    Some(plain.take(REFUSAL_LENGTH_MAX).collect())
}

/// Brings `image`, with the children for `platforms`, into `writer`. Manifests are asked for each time,
/// so that the mirror judges them now; blobs that are there are not.
///
/// # Errors
/// When the mirror refuses it or does not have it, something of it is missing or wrong, or the disk fails.
pub async fn pull(
    source: &Source,
    writer: &Writer,
    image: &ImageReference,
    platforms: &[Platform],
    progress: &Progress,
) -> Result<Pulled, Error> {
    let pulling = Pulling { source, writer, image, platforms, progress };
    let name = image.to_string();
    let top = source.manifest(image, &image.reference()).await?;
    let top = top.ok_or_else(|| Error::Absent { image: name.clone() })?;
    let manifest = pulling.parsed(&top, top.media_type.as_ref())?;
    let descriptor = Descriptor {
        media_type: manifest.media_type().clone(),
        digest: top.digest,
        size: u64::try_from(top.bytes.len()).unwrap_or(u64::MAX),
        urls: Vec::new(),
        platform: None,
        artifact_type: None,
        annotations: std::collections::BTreeMap::new(),
    };
    pulling.put(&top).await?;
    // Indexes lie in indexes: those that wait, with their depth.
    let mut waiting = vec![(manifest, 0)];
    while let Some((manifest, depth)) = waiting.pop() {
        match manifest {
            Manifest::Image(manifest) => pulling.contents(&manifest).await?,
            Manifest::Index(index) => {
                if depth == 0 {
                    pulling.has_platforms(&index)?;
                }
                if depth == DEPTH_MAX {
                    return Err(Error::TooMany {
                        what: name,
                        limit: DEPTH_MAX,
                        of: "indexes in each other",
                    });
                }
                for child in chosen(&index, platforms) {
                    waiting.push((pulling.child(child).await?, depth + 1));
                }
            }
        }
    }
    progress.images.fetch_add(1, Ordering::Relaxed);
    Ok(Pulled { descriptor })
}

struct Pulling<'a> {
    source: &'a Source,
    writer: &'a Writer,
    image: &'a ImageReference,
    platforms: &'a [Platform],
    progress: &'a Progress,
}

impl Pulling<'_> {
    fn parsed(
        &self,
        remote: &RemoteManifest,
        declared: Option<&MediaType>,
    ) -> Result<Manifest, Error> {
        let image = self.image.to_string();
        let digest = Box::new(remote.digest);
        Manifest::parse(&remote.bytes, declared).map_err(|source| Error::Manifest {
            image,
            digest,
            source,
        })
    }

    async fn put(&self, remote: &RemoteManifest) -> Result<(), Error> {
        let size = u64::try_from(remote.bytes.len()).unwrap_or(u64::MAX);
        self.progress.fetched.fetch_add(size, Ordering::Relaxed);
        self.writer.put(&remote.digest, &remote.bytes).await
    }

    /// Says at once, and not after all of it has come, that a platform is not there.
    fn has_platforms(&self, index: &crate::oci::ImageIndex) -> Result<(), Error> {
        let has: Vec<&Platform> =
            index.manifests.iter().filter_map(|child| child.platform.as_ref()).collect();
        let is_told = has.len() == index.manifests.len();
        for wanted in self.platforms.iter().filter(|_| is_told) {
            if !has.iter().any(|is| wanted.covers(is)) {
                let has: Vec<String> = has.iter().map(ToString::to_string).collect();
                return Err(Error::Platform {
                    image: self.image.to_string(),
                    wanted: wanted.to_string(),
                    has: has.join(", "),
                });
            }
        }
        Ok(())
    }

    async fn child(&self, child: &Descriptor) -> Result<Manifest, Error> {
        let remote = self.source.manifest(self.image, &Reference::Digest(child.digest)).await?;
        let remote = remote.ok_or_else(|| self.absent(&child.digest))?;
        if u64::try_from(remote.bytes.len()) != Ok(child.size) {
            return Err(Error::Content { digest: Box::new(child.digest) });
        }
        let manifest = self.parsed(&remote, Some(&child.media_type))?;
        self.put(&remote).await?;
        Ok(manifest)
    }

    async fn contents(&self, manifest: &ImageManifest) -> Result<(), Error> {
        let mut missing: Vec<&Descriptor> = Vec::new();
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            if missing.iter().any(|other| other.digest == part.digest) {
                continue;
            }
            if self.writer.has(&part.digest, part.size)? {
                self.progress.kept.fetch_add(part.size, Ordering::Relaxed);
            } else {
                missing.push(part);
            }
        }
        let fetches = missing.into_iter().map(|part| self.blob(part));
        futures_util::stream::iter(fetches).buffer_unordered(BLOBS_AT_ONCE).try_collect().await
    }

    async fn blob(&self, part: &Descriptor) -> Result<(), Error> {
        let failed = |source| Error::Fetch { image: self.image.to_string(), source };
        let blob = self.source.client.fetch_blob(&self.image.name, &part.digest).await;
        let mut blob = blob.map_err(failed)?.ok_or_else(|| self.absent(&part.digest))?;
        let mut arriving = self.writer.begin(&part.digest, part.size)?;
        while let Some(piece) = blob.next().await.map_err(failed)? {
            arriving.write(&piece).await?;
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.progress.fetched.fetch_add(length, Ordering::Relaxed);
        }
        arriving.commit().await
    }

    fn absent(&self, digest: &Digest) -> Error {
        Error::AbsentPart { image: self.image.to_string(), digest: Box::new(*digest) }
    }
}
