//! What there is: a mirror, its upstream, images that come and go, and what was decided about them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pratique::oci::Digest;
use pratique::upstream::{CredentialSettings, CredentialSource, RegistrySettings};
use tempfile::TempDir;

use crate::layers::Layers;
use crate::support::hostile::rig::{CLOSED_CANARY, PASSWORD};
use crate::support::hostile::{Auth, HostileUpstream, Seed};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, Image, Index};

/// Images under `open/`, `asked/` and `closed/`, each.
pub(crate) const SLOTS: usize = 24;
/// How long an upstream may be silent.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the upstream wants as a password now and then, and what nobody has.
pub(crate) const OTHER_PASSWORD: &str = "a-password-that-nobody-has";

const RULES: &str = r#"rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: closed, match: ["up.test/closed/**"], trust: approve}
"#;

/// Everything that tasks share.
pub(crate) struct World {
    pub(crate) upstream: HostileUpstream,
    /// Nobody may ever come here.
    pub(crate) elsewhere: HostileUpstream,
    /// Where the mirror is; another port after each start.
    pub(crate) address: Mutex<SocketAddr>,
    /// Counts beginnings and ends of restarts: odd while the mirror is down.
    pub(crate) restarts: AtomicU64,
    pub(crate) is_over: AtomicBool,
    /// The bytes of every blob, for those who check ranges.
    pub(crate) contents: Mutex<HashMap<Digest, Bytes>>,
    images: Mutex<HashMap<String, Artifact>>,
    public_layers: Layers,
    secret_layers: Layers,
    /// By repository under `asked/`: odd while approved, and another number after each decision.
    decisions: Mutex<HashMap<String, u64>>,
    pub(crate) broken: Mutex<Vec<String>>,
    pub(crate) counts: Counts,
    pub(crate) folder: std::path::PathBuf,
    _logins: TempDir,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) pulls: AtomicU64,
    pub(crate) whole: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) undecided: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) ranges: AtomicU64,
    pub(crate) hung_up: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) decisions: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) absences: AtomicU64,
    pub(crate) passwords: AtomicU64,
    pub(crate) upstream_requests: AtomicU64,
}

/// One more of `counter`.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world of `seed`, and the mirror in it, which may keep so many bytes.
    pub(crate) async fn new(seed: &mut Seed, quota: Option<u64>) -> (Arc<Self>, TestMirror) {
        let (upstream, elsewhere) =
            (HostileUpstream::start().await, HostileUpstream::start().await);
        upstream.set_auth(Auth::Token(upstream.realm()));
        upstream.set_logins(&[("user", PASSWORD)]);
        let logins = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = logins.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let (username, password) = (file("user", "user"), file("password", PASSWORD));
        let source = CredentialSource::Files { username, password };
        let registry = RegistrySettings {
            danger_plain_http: true,
            credentials: vec![CredentialSettings { pattern: None, source }],
            ..RegistrySettings::new(REGISTRY.parse().expect("a registry"), upstream.url())
        };
        let mirror = TestMirror::start_with(RULES, |settings| {
            settings.store.keeping.quota_bytes = quota;
            let limits = &mut settings.upstream.limits;
            limits.connect_timeout = PATIENCE;
            limits.first_byte_timeout = PATIENCE;
            limits.idle_timeout = PATIENCE;
            limits.retry_delay = Duration::from_millis(5);
            limits.pool_idle_timeout = PATIENCE;
            limits.login_rest = Duration::from_secs(10);
            settings.upstream.registries = vec![registry];
        })
        .await;
        let world = Self {
            upstream,
            elsewhere,
            address: Mutex::new(mirror.node_address()),
            restarts: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            contents: Mutex::default(),
            images: Mutex::default(),
            public_layers: Layers::public(seed),
            secret_layers: Layers::secret(seed),
            decisions: Mutex::default(),
            broken: Mutex::default(),
            counts: Counts::default(),
            folder: mirror.folder().to_owned(),
            _logins: logins,
        };
        for slot in 0..SLOTS {
            for kind in ["open", "asked", "closed"] {
                world.push(seed, &format!("{kind}/app-{slot}"));
            }
        }
        (Arc::new(world), mirror)
    }

    /// Puts a new image into `repository`, in the place of what was there; gives the old blobs.
    pub(crate) fn push(&self, seed: &mut Seed, repository: &str) -> Vec<Digest> {
        let (layers, canary) = if repository.starts_with("closed/") {
            (&self.secret_layers, CLOSED_CANARY)
        } else {
            (&self.public_layers, "")
        };
        let single = |seed: &mut Seed, platform: &str| {
            let config = format!(r#"{{"os":"linux","architecture":"{platform}","x":"{canary}"}}"#);
            let mut image = Image::new()
                .platform(&format!("linux/{platform}"))
                .config(pratique::oci::MediaType::OCI_CONFIG, config);
            for _ in 0..=seed.below(2) {
                image = image.layer(layers.cut(seed));
            }
            image.build()
        };
        let image = if seed.chance(4) {
            Index::new().child(single(seed, "amd64")).child(single(seed, "arm64")).build()
        } else {
            single(seed, "amd64")
        };
        let old = lock(&self.images).insert(repository.to_owned(), image.clone());
        let old: Vec<_> = old.iter().flat_map(blobs).map(|blob| Digest::sha256(blob)).collect();
        let mut contents = lock(&self.contents);
        for digest in &old {
            contents.remove(digest);
        }
        contents.extend(blobs(&image).map(|blob| (Digest::sha256(blob), blob.clone())));
        drop(contents);
        self.upstream.clear(repository);
        self.upstream.push(repository, "1", &image);
        old
    }

    /// What is in `repository` now.
    pub(crate) fn image(&self, repository: &str) -> Artifact {
        lock(&self.images)[repository].clone()
    }

    /// The count of decisions about `repository`: odd, it is approved.
    pub(crate) fn decision(&self, repository: &str) -> u64 {
        lock(&self.decisions).get(repository).copied().unwrap_or(0)
    }

    /// Sets the count of decisions about `repository`.
    pub(crate) fn decided(&self, repository: &str, number: u64) {
        lock(&self.decisions).insert(repository.to_owned(), number);
    }

    /// Whether the mirror is down, or was since `before`.
    pub(crate) fn restarted_since(&self, before: u64) -> bool {
        before % 2 == 1 || self.restarts.load(Ordering::SeqCst) != before
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Notes a promise that was broken.
    pub(crate) fn broke(&self, what: impl IntoIterator<Item = String>) {
        let mut broken = lock(&self.broken);
        for what in what {
            if broken.len() < 100 {
                broken.push(what);
            }
        }
    }
}

/// All blobs of an image and its children.
fn blobs(image: &Artifact) -> impl Iterator<Item = &Bytes> {
    image.blobs.iter().chain(image.children.iter().flat_map(|child| &child.blobs))
}
