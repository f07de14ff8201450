//! A provider in this process, that says what a test has it say.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pratique::oci::Digest;
use pratique::tasks::Tasks;
use pratique::time::{Clock as _, ManualClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Who the mirror is to the provider.
pub(super) const CLIENT_ID: &str = "pratique";
/// The secret of that, with what needs care on the way.
pub(super) const CLIENT_SECRET: &str = "s3cret:+ %&";

/// What the provider says, where that is not what it should.
#[derive(Debug, Default, Clone)]
pub(super) struct Script {
    /// Claims instead of the right ones; null takes one away.
    pub(super) claims: Value,
    /// The header of ID tokens instead of the right one.
    pub(super) header: Option<Value>,
    /// What its description says instead; null takes something away.
    pub(super) metadata: Value,
    /// Bytes instead of the document with the keys.
    pub(super) keys: Option<Vec<u8>>,
    /// The status of every answer.
    pub(super) status: Option<u16>,
    /// The token answer, instead of the right one.
    pub(super) answer: Option<Value>,
    /// Says nothing at all.
    pub(super) silent: bool,
}

/// The provider.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    clock: Mutex<ManualClock>,
    script: Mutex<Script>,
    /// The key that it signs with, and its name.
    key: Mutex<(EcdsaKeyPair, String)>,
    /// What was asked for with each code that is out.
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    seen: Mutex<Vec<String>>,
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub(super) async fn start(clock: ManualClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let inner = Arc::new(Inner {
            clock: Mutex::new(clock),
            script: Mutex::default(),
            key: Mutex::new((new_key(), "k1".to_owned())),
            codes: Mutex::default(),
            seen: Mutex::default(),
        });
        let provider = Self { url, inner };
        let (serving, tasks) = (provider.clone(), Tasks::new());
        drop(tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = serving.clone();
                let service = service_fn(move |request| {
                    let provider = provider.clone();
                    async move { Ok::<_, Infallible>(provider.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                drop(tasks.spawn(connection));
            }
        }));
        provider
    }

    /// Has it go by `clock` from now on.
    pub(super) fn follow(&self, clock: &ManualClock) {
        *self.inner.clock.lock().unwrap() = clock.clone();
    }

    /// Has it say something else from now on.
    pub(super) fn set(&self, script: Script) {
        *self.inner.script.lock().unwrap() = script;
    }

    /// Has it sign with a new key; the old one is in its document no more.
    pub(super) fn rotate(&self, id: &str) {
        *self.inner.key.lock().unwrap() = (new_key(), id.to_owned());
    }

    /// How often `path` was asked for.
    pub(super) fn count(&self, path: &str) -> usize {
        self.inner.seen.lock().unwrap().iter().filter(|seen| *seen == path).count()
    }

    /// Somebody signs in there who was sent to `location`; gives the path that they are sent back to.
    pub(super) fn signs_in(&self, location: &str) -> String {
        let prefix = format!("{}/auth?", self.url);
        let query = location.strip_prefix(&prefix).unwrap_or_else(|| panic!("{location}"));
        let asked: HashMap<String, String> = serde_urlencoded(query);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", "http://desk.test/login/oidc/callback"),
            ("code_challenge_method", "S256"),
            ("scope", "openid profile"),
        ] {
            assert_eq!(asked[name], value, "{location}");
        }
        assert!(asked["state"].len() > 20 && asked["nonce"].len() > 20, "{location}");
        let mut codes = self.inner.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        let path = format!(
            "/login/oidc/callback?code={code}&state={}&iss={}&session_state=x",
            asked["state"],
            escaped(&self.url)
        );
        codes.insert(code, asked);
        path
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        self.inner.seen.lock().unwrap().push(path.clone());
        let script = self.inner.script.lock().unwrap().clone();
        if script.silent {
            std::future::pending::<()>().await;
        }
        let (status, body) = match path.as_str() {
            "/.well-known/openid-configuration" => (200, self.metadata(&script.metadata)),
            "/keys" => (200, script.keys.clone().unwrap_or_else(|| self.keys())),
            "/token" => {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let form = serde_urlencoded(std::str::from_utf8(&body).expect("a form"));
                let login =
                    head.headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
                self.token(&script, login.as_deref(), &form)
            }
            _ => (404, Vec::new()),
        };
        Response::builder()
            .status(script.status.unwrap_or(status))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .expect("an answer")
    }

    fn metadata(&self, changes: &Value) -> Vec<u8> {
        let url = &self.url;
        let mut document = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"),
            "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
        });
        change(&mut document, changes);
        document.to_string().into_bytes()
    }

    fn keys(&self) -> Vec<u8> {
        json!({"keys": [self.jwk()]}).to_string().into_bytes()
    }

    /// The public key, as its document has it.
    pub(super) fn jwk(&self) -> Value {
        let key = self.inner.key.lock().unwrap();
        let point = key.0.public_key().as_ref();
        let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": key.1, "use": "sig", "alg": "ES256"})
    }

    /// A code is good once, for whoever asked for it and can show that.
    fn token(
        &self,
        script: &Script,
        login: Option<&str>,
        form: &HashMap<String, String>,
    ) -> (u16, Vec<u8>) {
        let refused = |error: &str| (400, json!({"error": error}).to_string().into_bytes());
        let expected = format!("{CLIENT_ID}:{}", escaped_form(CLIENT_SECRET));
        if login != Some(&format!("Basic {}", STANDARD.encode(expected))) {
            return refused("invalid_client");
        }
        let Some(asked) = self.inner.codes.lock().unwrap().remove(&form["code"]) else {
            return refused("invalid_grant");
        };
        let challenge = b64(Digest::sha256(form["code_verifier"].as_bytes()).as_bytes());
        if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
            return refused("invalid_grant");
        }
        let now = self.inner.clock.lock().unwrap().now().milliseconds() / 1_000;
        let mut claims = json!({
            "iss": self.url, "sub": "u-1", "aud": CLIENT_ID, "exp": now + 300, "iat": now,
            "nonce": asked["nonce"], "name": "Alice", "groups": ["staff", "security"],
        });
        change(&mut claims, &script.claims);
        let token = self.signed(script.header.as_ref(), &claims);
        let answer = json!({"access_token": "a", "token_type": "Bearer", "id_token": token});
        (200, script.answer.clone().unwrap_or(answer).to_string().into_bytes())
    }

    fn signed(&self, header: Option<&Value>, claims: &Value) -> String {
        let key = self.inner.key.lock().unwrap();
        let own = json!({"alg": "ES256", "kid": key.1});
        let header = header.unwrap_or(&own);
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        if header["alg"] == "none" {
            return format!("{message}.");
        }
        let signature = key.0.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        format!("{message}.{}", b64(signature))
    }
}

fn change(document: &mut Value, changes: &Value) {
    for (key, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(key);
        } else {
            document[key] = value.clone();
        }
    }
}

fn serde_urlencoded(text: &str) -> HashMap<String, String> {
    let plain = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8().expect("text").into_owned()
    };
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (plain(key), plain(value)));
    text.split('&').filter_map(pair).collect()
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// As in a form: a space is a plus.
fn escaped_form(text: &str) -> String {
    escaped(text).replace("%20", "+")
}
