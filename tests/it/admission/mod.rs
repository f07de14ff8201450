//! Admission: recorded reviews in, answers out, by the program's own listener in front of a fake upstream.

mod bypass;
mod clients;
mod images;
mod listener;
mod pods;
mod policies;
mod reviews;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use pratique::config::Settings;
use pratique::gate::Subject;
use pratique::http::AdmissionSettings;
use pratique::ledger::Decision;
use pratique::oci::Digest;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::Image;

/// Rules for every kind of answer.
const RULES: &str = r#"rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: never, match: ["up.test/never/**"], trust: deny}
- {id: apart, match: ["up.test/apart/**"], trust: allow, requires: {runtimeClass: [gvisor], nonRoot: true, readOnlyRootFilesystem: true, denyEgress: true}}
"#;

/// The review recorded as `name`, about `image`; `old` stands for every other image in it.
pub(crate) fn recorded(name: &str, image: &str, old: &str) -> Value {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/admission/reviews");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("a review");
    serde_json::from_str(&text.replace("@IMAGE@", image).replace("@OLD@", old)).expect("JSON")
}

/// What the admission listener of `mirror` answers.
pub(crate) async fn post_to(
    mirror: &TestMirror,
    path: &str,
    body: impl Into<Bytes>,
) -> (u16, Bytes) {
    let stream = TcpStream::connect(mirror.admission_address()).await.expect("a connection");
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.expect("a handshake");
    let driving = mirror.mirror().tasks().spawn(connection);
    let request = Request::post(path)
        .header("host", "pratique-admission.pratique.svc")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    driving.abort();
    (status, body)
}

/// A mirror that is asked by an API server.
struct Cluster {
    mirror: TestMirror,
}

impl Cluster {
    async fn start() -> Self {
        Self::start_with(RULES, |_| {}).await
    }

    async fn start_with(policy: &str, change: impl FnOnce(&mut AdmissionSettings)) -> Self {
        let mut admission = AdmissionSettings::at(([127, 0, 0, 1], 0).into());
        change(&mut admission);
        let settings = |settings: &mut Settings| {
            settings.admission = Some(admission);
            // What a tag stands for is looked at once in a test.
            settings.mirror.tag_ttl_default = Duration::from_hours(1);
        };
        Self { mirror: TestMirror::start_with(policy, settings).await }
    }

    /// Pushes an image and gives its digest.
    fn push(&self, repository: &str, tag: &str, content: &str) -> Digest {
        self.mirror.upstream.push(repository, tag, &Image::new().layer(content.to_owned()).build())
    }

    /// The same, pulled once, so that it is known.
    async fn known(&self, repository: &str, tag: &str, content: &str) -> Digest {
        let digest = self.push(repository, tag, content);
        self.mirror.pull(repository, tag).await;
        digest
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
        post_to(&self.mirror, path, body).await
    }

    /// What is answered to `review` at `path`.
    async fn answer(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post(path, review.to_string()).await;
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    async fn review(&self, path: &str, review: &Value) -> Reviewed {
        let document = self.answer(path, review).await;
        assert_eq!(document["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(document["kind"], "AdmissionReview");
        let response = &document["response"];
        assert_eq!(response["uid"], review["request"]["uid"], "the answer is known by its uid");
        for warning in response["warnings"].as_array().into_iter().flatten() {
            let text = warning.as_str().expect("text");
            assert!(text.len() <= 256 && text.is_ascii(), "{text}");
        }
        Reviewed { response: response.clone(), object: review["request"]["object"].clone() }
    }

    async fn validate(&self, review: &Value) -> Reviewed {
        self.review("/admission/v1/validate", review).await
    }

    async fn mutate(&self, review: &Value) -> Reviewed {
        self.review("/admission/v1/mutate", review).await
    }

    async fn revoke(&self, repository: &str, digest: Digest) {
        let subject = Subject { name: format!("{REGISTRY}/{repository}").parse().unwrap(), digest };
        let decision = Decision {
            subject,
            by: "admin".to_owned(),
            reason: "bad".to_owned(),
            expires: None,
            request: None,
            policy: *self.mirror.mirror().policy().id(),
            voters: Vec::new(),
            seen: None,
        };
        self.mirror.mirror().ledger().revoke(decision).await.unwrap();
    }

    /// How many requests are open.
    fn open_requests(&self) -> i64 {
        self.mirror.mirror().metrics().open_requests.value()
    }
}

/// An answer to an `AdmissionReview`.
#[derive(Debug)]
struct Reviewed {
    response: Value,
    object: Value,
}

impl Reviewed {
    fn allowed(&self) -> bool {
        self.response["allowed"].as_bool().expect("a yes or a no")
    }

    fn message(&self) -> &str {
        self.response["status"]["message"].as_str().unwrap_or_default()
    }

    fn warnings(&self) -> Vec<&str> {
        let warnings = self.response["warnings"].as_array();
        warnings.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn annotation(&self, key: &str) -> &str {
        self.response["auditAnnotations"][key].as_str().unwrap_or_default()
    }

    fn patch(&self) -> Value {
        let Some(patch) = self.response["patch"].as_str() else { return Value::Array(Vec::new()) };
        assert_eq!(self.response["patchType"], "JSONPatch");
        serde_json::from_slice(&BASE64_STANDARD.decode(patch).expect("base64")).expect("JSON")
    }

    /// The object as it is once it is patched.
    fn patched(&self) -> Value {
        let mut object = self.object.clone();
        for change in self.patch().as_array().expect("a list") {
            assert_eq!(change["op"], "replace");
            let place = object.pointer_mut(change["path"].as_str().unwrap()).expect("a place");
            *place = change["value"].clone();
        }
        object
    }

    #[track_caller]
    fn assert_allowed(&self) {
        assert!(self.allowed(), "{}", self.response);
    }

    #[track_caller]
    fn assert_denied(&self, text: &str) {
        assert!(!self.allowed(), "{}", self.response);
        assert!(self.message().contains(text), "{:?} is not in {:?}", text, self.message());
    }
}
