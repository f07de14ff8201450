//! `TestMirror`: the whole program on loopback ports, in front of a [`FakeUpstream`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::ext::ReasonPhrase;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use pratique::app::{self, App};
use pratique::config::Settings;
use pratique::ledger::{Caller, NewToken, PersonId, Role};
use pratique::oci::{Digest, Registry};
use pratique::store;
use pratique::time::{ManualClock, Timestamp};
use pratique::upstream::RegistrySettings;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::upstream::FakeUpstream;

/// The name by which images of the fake upstream are called.
pub(crate) const REGISTRY: &str = "up.test";
/// What the clock of a test shows at first.
const START: &str = "2026-11-20T10:00:00Z";
const GRACE: Duration = Duration::from_secs(5);

/// A running mirror with its upstream, its folder and its clock.
pub(crate) struct TestMirror {
    pub(crate) upstream: FakeUpstream,
    pub(crate) clock: ManualClock,
    app: App,
    folder: TempDir,
    settings: Box<Settings>,
}

/// What the mirror answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 when the connection ended before the head, as it may when the bytes that were held back for
    /// their digest turn out to be wrong.
    pub(crate) status: u16,
    /// The reason phrase, where it is not the usual one.
    pub(crate) phrase: String,
    pub(crate) headers: HeaderMap,
    /// The body; `None` when it did not end cleanly.
    pub(crate) body: Option<Bytes>,
}

impl Answer {
    fn none() -> Self {
        Self { status: 0, phrase: String::new(), headers: HeaderMap::new(), body: None }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        self.body.as_ref().expect("a body that ended cleanly")
    }

    /// The first error of an error body.
    pub(crate) fn error(&self) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_slice(self.bytes()).expect("a JSON body");
        body.pointer("/errors/0").expect("an error").clone()
    }
}

impl TestMirror {
    /// A mirror of a new upstream by the rules in `rules` (YAML, the list below `rules:`).
    pub(crate) async fn start(rules: &str) -> Self {
        let policy = format!("rules:\n{rules}");
        Self::start_with(&policy, |_| {}).await
    }

    /// As [`TestMirror::start`]; `policy` is all of the policy but its head, `change` adapts the
    /// settings.
    pub(crate) async fn start_with(policy: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let upstream = FakeUpstream::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let registry: Registry = REGISTRY.parse().expect("a registry");
        let data_dir = folder.path().join("data");
        let mut settings = Settings { data_dir, ..Settings::default() };
        settings.store.dir = folder.path().join("data");
        settings.admin.data_dir = folder.path().join("data");
        settings.policy = Some(folder.path().join("policy.yaml"));
        settings.node.listen = ([127, 0, 0, 1], 0).into();
        settings.admin.listen = ([127, 0, 0, 1], 0).into();
        settings.mirror.tag_ttl_default = Duration::ZERO;
        settings.mirror.tag_ttl.clear();
        settings.upstream.registries = vec![RegistrySettings {
            registry,
            url: upstream.url(),
            token_hosts: Vec::new(),
            redirect_hosts: Vec::new(),
            credentials: Vec::new(),
            ca_file: None,
            danger_plain_http: true,
        }];
        settings.scan.database = Some(folder.path().join("vulnerabilities.db"));
        change(&mut settings);
        let clock = ManualClock::at(START.parse::<Timestamp>().expect("a time"));
        write_policy(&folder, policy, 1);
        let app = App::start_at(settings.clone(), Arc::new(clock.clone())).await.expect("a start");
        Self { upstream, clock, app, folder, settings: Box::new(settings) }
    }

    /// Stops the program and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        Box::pin(self.restart_after(|_data| {})).await
    }

    /// Stops the program, has `change` done to its data, and starts it again.
    pub(crate) async fn restart_after(self, change: impl FnOnce(&std::path::Path)) -> Self {
        self.restart_within(GRACE, change).await
    }

    /// The same, where what is under way may take `grace` to end.
    pub(crate) async fn restart_within(
        mut self,
        grace: Duration,
        change: impl FnOnce(&std::path::Path),
    ) -> Self {
        assert!(self.app.stop(grace).await, "the program did not stop");
        change(&self.settings.data_dir);
        for _ in 0..100 {
            match App::start_at(Settings::clone(&self.settings), Arc::new(self.clock.clone())).await
            {
                // A process that another test starts holds the lock until it is another program.
                Err(app::Error::Store(error)) if matches!(*error, store::Error::Locked { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                started => {
                    self.app = started.expect("a restart");
                    return self;
                }
            }
        }
        panic!("the lock was never given up");
    }

    /// Puts another policy in force and waits until it is.
    pub(crate) async fn set_policy(&self, policy: &str, revision: u64) {
        self.write_policy(policy, revision);
        for _ in 0..500 {
            if self.app.mirror.policy().revision() == revision {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("policy revision {revision} did not come into force");
    }

    /// Writes another policy and has it read.
    pub(crate) fn write_policy(&self, policy: &str, revision: u64) {
        write_policy(&self.folder, policy, revision);
        self.app.reload_policy();
    }

    pub(crate) fn mirror(&self) -> &pratique::mirror::Mirror {
        &self.app.mirror
    }

    /// Whoever holds a new token called `name`.
    pub(crate) async fn holder_of(&self, name: &str, role: Role) -> Caller {
        let ledger = self.mirror().ledger();
        ledger.create_token(NewToken::new(name, role), "test").await.expect("a token");
        ledger.caller(&PersonId::Token { name: name.to_owned() }).expect("its holder")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn node_address(&self) -> std::net::SocketAddr {
        self.app.node_address
    }

    /// Where API servers are answered, if they are.
    pub(crate) fn admission_address_if_any(&self) -> Option<std::net::SocketAddr> {
        self.app.admission_address
    }

    pub(crate) fn admission_address(&self) -> std::net::SocketAddr {
        self.app.admission_address.expect("a listener for API servers")
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.app.admin_address)
    }

    /// `GET /v2/…?ns=up.test`
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &format!("/v2/{path}?ns={REGISTRY}"), &[]).await
    }

    /// `HEAD /v2/…?ns=up.test`
    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask(Method::HEAD, &format!("/v2/{path}?ns={REGISTRY}"), &[]).await
    }

    /// The blob of a repository.
    pub(crate) async fn blob(&self, repository: &str, digest: &Digest) -> Answer {
        self.get(&format!("{repository}/blobs/{digest}")).await
    }

    /// The manifest of a repository.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        reference: impl std::fmt::Display,
    ) -> Answer {
        self.get(&format!("{repository}/manifests/{reference}")).await
    }

    /// Any request of a node.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let stream = TcpStream::connect(self.app.node_address).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let driving = self.app.mirror.tasks().spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "mirror.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) if error.is_incomplete_message() => return Answer::none(),
            Err(error) => panic!("no answer: {error:?}"),
        };
        let (parts, body) = response.into_parts();
        let phrase = parts.extensions.get::<ReasonPhrase>();
        let phrase = phrase.map(|p| String::from_utf8_lossy(p.as_bytes()).into_owned());
        let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
        driving.abort();
        let status = parts.status.as_u16();
        Answer { status, phrase: phrase.unwrap_or_default(), headers: parts.headers, body }
    }

    /// What is served for `reference` of `repository`, with every blob, by a client that checks.
    pub(crate) async fn pull(&self, repository: &str, reference: impl std::fmt::Display) -> Pulled {
        let head = self.head(&format!("{repository}/manifests/{reference}")).await;
        let manifest = self.manifest(repository, reference).await;
        assert_eq!(head.status, manifest.status, "HEAD and GET differ: {head:?} {manifest:?}");
        if manifest.status != 200 {
            return Pulled { manifest, blobs: Vec::new() };
        }
        let digest: Digest = manifest.header("docker-content-digest").parse().expect("a digest");
        assert!(digest.matches(manifest.bytes()), "manifest bytes are not those of {digest}");
        assert_eq!(head.headers.get("content-length"), manifest.headers.get("content-length"));
        let parsed = pratique::oci::Manifest::parse(manifest.bytes(), None).expect("a manifest");
        let mut blobs = Vec::new();
        for listed in parsed.listed() {
            let answer = self.blob(repository, &listed.digest).await;
            if answer.status == 200
                && let Some(body) = &answer.body
            {
                assert!(
                    listed.digest.matches(body),
                    "blob bytes are not those of {}",
                    listed.digest
                );
            }
            blobs.push(answer);
        }
        Pulled { manifest, blobs }
    }
}

/// A pull as a client sees it.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) manifest: Answer,
    pub(crate) blobs: Vec<Answer>,
}

impl Pulled {
    /// Panics unless everything came.
    pub(crate) fn assert_complete(&self) {
        assert_eq!(self.manifest.status, 200, "{:?}", self.manifest);
        for blob in &self.blobs {
            assert!(blob.status == 200 && blob.body.is_some(), "{blob:?}");
        }
    }

    /// Panics unless it was refused with a phrase that starts so.
    pub(crate) fn assert_refused(&self, phrase: &str) {
        assert_eq!(self.manifest.status, 403, "{:?}", self.manifest);
        assert!(self.manifest.phrase.starts_with(phrase), "{:?}", self.manifest.phrase);
        assert_eq!(self.manifest.error()["code"], "DENIED");
    }
}

fn write_policy(folder: &TempDir, policy: &str, revision: u64) {
    let head = format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: test, revision: {revision}}}\n"
    );
    std::fs::write(folder.path().join("policy.yaml"), format!("{head}{policy}")).expect("a policy");
}
