//! An adapter on a loopback port that says what a test tells it to.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use pratique::adapter::{HarborJob, HarborScanner, HarborSettings};
use pratique::oci::{Digest, MediaType, Secret};
use pratique::tasks::Tasks;
use pratique::time::{ManualClock, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) const METADATA: &str = "GET /api/v1/metadata";
pub(super) const SCAN: &str = "POST /api/v1/scan";
pub(super) const REPORT: &str = "GET /api/v1/scan/scan-1/report";
pub(super) const REPORT_TYPE: &str = "application/vnd.security.vulnerability.report; version=1.1";
/// What the adapter asks of who asks it.
pub(super) const LOGIN: &str = "Bearer adapter-secret-0815";
/// With what the image may be read.
pub(super) const IMAGE_LOGIN: &str = "Basic cHJhdGlxdWU6cHJhdGlxdWUtcGFzcy1jYW5hcnk=";
pub(super) const NOW: &str = "2026-11-20T10:00:00Z";

/// What it says to one request.
#[derive(Debug, Clone)]
pub(super) struct Says {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// So many bytes of spaces after the body.
    pub(super) padding: usize,
}

impl Says {
    pub(super) fn json(status: u16, media_type: &str, body: &Value) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { status, headers, body: body.to_string().into(), padding: 0 }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), padding: 0 }
    }

    /// The specification's form of an error.
    pub(super) fn error(status: u16, message: &str) -> Self {
        let media_type = "application/vnd.scanner.adapter.error+json; version=1.0";
        Self::json(status, media_type, &json!({"error": {"message": message}}))
    }

    /// Not ready yet; ask again after so many seconds.
    pub(super) fn not_ready(refresh_after: &str) -> Self {
        let headers = vec![("refresh-after", refresh_after.to_owned())];
        Self { headers, ..Self::status(302) }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A request that it got.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) what: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    /// The last answer stays.
    answers: HashMap<String, VecDeque<Says>>,
    got: Vec<Got>,
}

/// The adapter; it ends with the value.
pub(super) struct FakeAdapter {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn locked(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeAdapter {
    /// One that describes itself well, begins scans and reports nothing found in `digest`.
    pub(super) async fn start(digest: &Digest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let serving = Tasks::new().spawn(async move { axum::serve(listener, router).await });
        let fake = Self { address, script, serving };
        fake.say(METADATA, [Says::json(200, "application/json", &metadata())]);
        fake.say(SCAN, [Says::json(202, "application/json", &json!({"id": "scan-1"}))]);
        fake.say(REPORT, [Says::json(200, REPORT_TYPE, &report(digest, &json!([])))]);
        fake
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says these to what is asked so, one after the other, the last one for ever.
    pub(super) fn say(&self, what: &str, answers: impl IntoIterator<Item = Says>) {
        locked(&self.script).answers.insert(what.to_owned(), answers.into_iter().collect());
    }

    /// What it was asked so far.
    pub(super) fn got(&self) -> Vec<Got> {
        locked(&self.script).got.clone()
    }

    /// How often it was asked `what`.
    pub(super) fn count(&self, what: &str) -> usize {
        self.got().iter().filter(|got| got.what == what).count()
    }

    /// What it is asked for a scan with.
    pub(super) fn scan_request(&self) -> Option<Value> {
        let got = self.got().into_iter().find(|got| got.what == SCAN)?;
        serde_json::from_slice(&got.body).ok()
    }
}

impl Drop for FakeAdapter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let what = format!("{method} {}", uri.path());
    let says = {
        let mut script = locked(&script);
        script.got.push(Got { what: what.clone(), headers, body });
        match script.answers.get_mut(&what) {
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            Some(answers) => answers.front().cloned(),
            None => None,
        }
    };
    let says = says.unwrap_or_else(|| Says::status(404));
    let mut response = Response::builder().status(says.status);
    for (name, value) in says.headers {
        response = response.header(name, value);
    }
    let mut bytes = says.body.to_vec();
    bytes.resize(bytes.len() + says.padding, b' ');
    response.body(Body::from(bytes)).unwrap()
}

pub(super) fn metadata() -> Value {
    json!({
        "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.76.0"},
        "capabilities": [{
            "consumes_mime_types": [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST],
            "produces_mime_types": [REPORT_TYPE],
        }],
        "properties": {
            "harbor.scanner-adapter/scanner-type": "os-package-vulnerability",
            "harbor.scanner-adapter/vulnerability-database-updated-at": "2026-11-20T06:00:00Z",
        },
    })
}

pub(super) fn report(digest: &Digest, vulnerabilities: &Value) -> Value {
    json!({
        "generated_at": "2026-11-20T09:59:00Z",
        "artifact": {"repository": "up.test/app", "digest": digest.to_string()},
        "scanner": {"name": "Trivy", "version": "0.76.0"},
        "vulnerabilities": vulnerabilities,
    })
}

/// How an adapter is asked in a test: soon, and not for long.
pub(super) fn settings(adapter: &FakeAdapter) -> HarborSettings {
    HarborSettings {
        authorization: Some(Secret::new(LOGIN)),
        timeout: Duration::from_secs(20),
        poll_min: Duration::from_millis(20),
        poll_max: Duration::from_millis(40),
        ..HarborSettings::new(adapter.url())
    }
}

pub(super) fn scanner(settings: HarborSettings) -> HarborScanner {
    let clock = ManualClock::at(NOW.parse::<Timestamp>().unwrap());
    HarborScanner::new(settings, Arc::new(clock), Tasks::new()).unwrap()
}

pub(super) fn job(digest: &Digest) -> HarborJob {
    HarborJob {
        registry_url: "https://mirror.test:5000".to_owned(),
        authorization: Secret::new(IMAGE_LOGIN),
        repository: "up.test/app".to_owned(),
        digest: *digest,
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
    }
}
