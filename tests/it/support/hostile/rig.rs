//! A mirror before a hostile registry, with an ear on everything it answers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use pratique::config::Settings;
use pratique::oci::Digest;
use pratique::upstream::RegistrySettings;

use super::HostileUpstream;
use super::invariants::{self, Heard};
use crate::support::logs::{self, Log};
use crate::support::mirror::{Answer, REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, Image};

/// `open/**` is admitted, `closed/**` waits for a yes that nobody gives.
pub(crate) const RULES: &str = r#"rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: closed, match: ["up.test/closed/**"], trust: approve}
"#;
/// The password of the upstream in tests that have one: nothing that comes out may hold it.
pub(crate) const PASSWORD: &str = "canary-of-a-password";
/// What is in every image that is not admitted.
pub(crate) const CLOSED_CANARY: &str = "canary-of-closed-content";
/// How long an upstream of these tests may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The rig; [`Rig::check`] is to be called after every fault.
pub(crate) struct Rig {
    pub(crate) mirror: TestMirror,
    pub(crate) upstream: HostileUpstream,
    /// Stands in no configuration: whoever dials it was led astray.
    pub(crate) elsewhere: HostileUpstream,
    warm: Artifact,
    heard: Mutex<Vec<Heard>>,
    log: Log,
}

impl Rig {
    /// A mirror that has one image already, `open/warm:1`.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    /// As [`Rig::start`]; `change` adapts the settings and those of the upstream.
    pub(crate) async fn start_with(
        change: impl FnOnce(&mut Settings, &mut RegistrySettings),
    ) -> Self {
        invariants::watch_panics();
        let log = logs::capture();
        let upstream = HostileUpstream::start().await;
        let elsewhere = HostileUpstream::start().await;
        let warm = Image::new().layer("warm").layer(vec![7; 200_000]).build();
        upstream.push("open/warm", "1", &warm);
        let registry = RegistrySettings {
            danger_plain_http: true,
            ..RegistrySettings::new(REGISTRY.parse().expect("a registry"), upstream.url())
        };
        let mirror = TestMirror::start_with(RULES, |settings| {
            let mut registry = registry;
            let limits = &mut settings.upstream.limits;
            limits.connect_timeout = PATIENCE;
            limits.first_byte_timeout = PATIENCE;
            limits.idle_timeout = PATIENCE;
            limits.retry_delay = Duration::from_millis(1);
            // Whether one fault rests the upstream is for the tests of health.
            limits.breaker_failures = 1_000;
            change(settings, &mut registry);
            settings.upstream.registries = vec![registry];
        })
        .await;
        let rig = Self { mirror, upstream, elsewhere, warm, heard: Mutex::default(), log };
        rig.pull("open/warm", "1").await;
        rig
    }

    /// Any request of a node.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let is_head = method == Method::HEAD;
        let path = format!("/v2/{path}?ns={REGISTRY}");
        let answer = self.mirror.ask(method, &path, headers).await;
        let heard = Heard::new(&path, is_head, &answer);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
        answer
    }

    /// The manifest at `reference`.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        reference: impl std::fmt::Display,
    ) -> Answer {
        self.ask(Method::GET, &format!("{repository}/manifests/{reference}"), &[]).await
    }

    /// The blob `digest`.
    pub(crate) async fn blob(&self, repository: &str, digest: &Digest) -> Answer {
        self.ask(Method::GET, &format!("{repository}/blobs/{digest}"), &[]).await
    }

    /// The manifest and, where it is served, all that it lists; whether everything came whole.
    pub(crate) async fn pull(&self, repository: &str, reference: impl std::fmt::Display) -> bool {
        let path = format!("{repository}/manifests/{reference}");
        let head = self.ask(Method::HEAD, &path, &[]).await;
        let manifest = self.ask(Method::GET, &path, &[]).await;
        let (200, 200, Some(bytes)) = (head.status, manifest.status, &manifest.body) else {
            return false;
        };
        let parsed = pratique::oci::Manifest::parse(bytes, None).expect("a manifest");
        let mut whole = true;
        for listed in parsed.listed() {
            let blob = self.blob(repository, &listed.digest).await;
            whole &= blob.status == 200 && blob.body.is_some();
        }
        whole
    }

    /// What the mirror has logged.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until no fetch is under way.
    pub(crate) async fn settled(&self) {
        for _ in 0..6_000 {
            let flights = self.mirror.mirror().metrics().flights.value();
            if flights == 0 && invariants::partials(self.mirror.folder()).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a fetch is still under way, or left a partial file");
    }

    /// Checks every promise that can be read from outside; see [`invariants`].
    pub(crate) async fn check(&self) {
        self.settled().await;
        let warm = self.warm.digest();
        assert!(self.pull("open/warm", warm).await, "what is cached and admitted is served");
        let mut broken = invariants::misnamed(self.mirror.folder());
        for heard in self.heard() {
            broken.extend(heard.broken(self.mirror.folder()));
        }
        broken.extend(invariants::unexplained_fetches(&self.upstream.entries()));
        broken.extend(invariants::strays(&self.elsewhere));
        broken.extend(invariants::panics());
        for canary in [PASSWORD, CLOSED_CANARY] {
            if self.log().contains(canary) {
                broken.push(format!("{canary} stands in the log"));
            }
        }
        let audit = self.mirror.mirror().ledger().verify_audit().await.expect("an audit chain");
        if !audit.is_whole() {
            broken.push(format!("the audit chain is not whole: {audit:?}"));
        }
        let livez = self.mirror.ask(Method::GET, "/livez", &[]);
        match tokio::time::timeout(Duration::from_secs(5), livez).await {
            Ok(answer) if answer.status == 200 => {}
            other => broken.push(format!("livez: {other:?}")),
        }
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Lets the pauses after failures pass.
    pub(crate) fn later(&self) {
        self.mirror.clock.advance(Duration::from_mins(20));
    }
}
