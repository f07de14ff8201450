//! Secrets in what is written and said (hostile catalogue, row 91; CVE-2025-48374).

use hyper::Method;
use pratique::upstream::{CredentialSettings, CredentialSource};
use serde_json::json;

use super::{exchange, get, request};
use crate::support::logs;
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Auth, Fault, Image, TokenService};

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-password-4711";
/// What a node sends for the registry that it believes it speaks to.
const CLIENT: &str = "Authorization: Basic Y2FuYXJ5OmNsaWVudC1zZWNyZXQ=";
const RULES: &str = "rules:\n- {id: open, match: [\"up.test/open/**\"], trust: allow}\n\
                     - {id: asked, match: [\"up.test/asked/**\"], trust: approve}\n";

/// Everything that anybody may read, after good days and bad ones, at the most talkative level.
#[tokio::test]
async fn no_secret_is_in_any_log_answer_metric_audit_or_shown_setting() {
    let log = logs::capture();
    let logins = tempfile::tempdir().unwrap();
    let (user_file, password_file) = (logins.path().join("user"), logins.path().join("password"));
    std::fs::write(&user_file, USER).unwrap();
    std::fs::write(&password_file, PASSWORD).unwrap();
    let source =
        CredentialSource::Files { username: user_file.clone(), password: password_file.clone() };
    let mirror = TestMirror::start_with(RULES, |settings| {
        settings.upstream.registries[0].credentials =
            vec![CredentialSettings { pattern: Some("open/**".to_owned()), source }];
        settings.upstream.limits.retry_delay = std::time::Duration::from_millis(1);
    })
    .await;
    let admin_token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    let admin_token = admin_token.trim().to_owned();
    let upstream = &mirror.upstream;
    upstream.push("open/app", "1", &Image::new().layer("x").build());
    upstream.push("asked/app", "1", &Image::new().layer("y").build());

    let mut said = Vec::new();
    let login = TokenService { login: Some((USER, PASSWORD)), ..TokenService::default() };
    let refused = TokenService { login: Some((USER, "another")), ..TokenService::default() };
    let realm = upstream.realm();
    for (auth, tokens) in [
        (Auth::Token { realm: realm.clone() }, login.clone()),
        (Auth::Basic(USER, PASSWORD), login.clone()),
        (Auth::Basic(USER, "another"), login.clone()),
        (Auth::Token { realm }, refused),
        (Auth::Token { realm: "http://evil.test/token".to_owned() }, login),
    ] {
        upstream.set_auth(auth);
        upstream.set_token_service(tokens);
        upstream.revoke_tokens();
        for path in ["open/app/manifests/1", "open/app/manifests/2", "asked/app/manifests/1"] {
            let target = format!("/v2/{path}?ns={REGISTRY}&token={PASSWORD}");
            let bytes = get(&target, &[CLIENT]);
            said.push(exchange(mirror.node_address(), &bytes).await);
        }
    }
    let location = format!("http://cdn.evil.test/x?sig={PASSWORD}");
    upstream.fault("/manifests/", Fault::Redirect(302, location));
    for path in ["open/app/manifests/3", "open/app/manifests/1"] {
        let target = format!("/v2/{path}?ns={REGISTRY}");
        said.push(exchange(mirror.node_address(), &get(&target, &[CLIENT])).await);
    }

    let address = mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap();
    let bearer = format!("Authorization: Bearer {admin_token}");
    for path in [
        "/metrics",
        "/r/R-1",
        "/api/v1/status",
        "/api/v1/audit",
        "/api/v1/requests",
        "/api/v1/requests/R-1",
        "/api/v1/tokens",
        "/api/v1/policy",
        "/api/v1/observed",
        "/api/v1/explain?image=up.test/open/app:1",
        "/api/v1/explain?image=up.test/asked/app:1",
        "/debug",
        "/debug/pprof",
    ] {
        said.push(exchange(address, &get(path, &[&bearer])).await);
        let wrong = format!("Authorization: Bearer {PASSWORD}");
        said.push(exchange(address, &get(path, &[&wrong])).await);
    }
    let body = json!({"target": "R-1", "reason": "because"}).to_string();
    let length = format!("Content-Length: {}", body.len());
    let headers = [bearer.as_str(), "Content-Type: application/json", length.as_str()];
    let mut bytes = request("POST", "/api/v1/approvals", &headers);
    bytes.extend_from_slice(body.as_bytes());
    said.push(exchange(address, &bytes).await);

    let shown = shown_settings(&user_file, &password_file);
    let hash = upstream_tokens(&mirror);
    assert!(!hash.is_empty(), "no token was ever used");
    let mut texts = vec![("log", log.text()), ("config check", shown)];
    texts.extend(said.iter().map(|said| {
        let body = String::from_utf8_lossy(&said.body);
        ("answer", format!("{} {:?} {body}", said.phrase, said.headers))
    }));
    let secrets = [PASSWORD, &admin_token, "Y2FuYXJ5OmNsaWVudC1zZWNyZXQ", "client-secret"];
    let basic =
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{USER}:{PASSWORD}"));
    for (place, text) in &texts {
        for secret in
            secrets.iter().copied().chain([basic.as_str()]).chain(hash.iter().map(String::as_str))
        {
            assert!(!text.contains(secret), "{secret:?} in {place}: {}", around(text, secret));
        }
    }
    assert!(log.text().contains("manifest served"), "nothing was logged");
}

/// The tokens that the upstream has given out and was shown again.
fn upstream_tokens(mirror: &TestMirror) -> Vec<String> {
    let seen = mirror.upstream.requests();
    let mut tokens: Vec<String> = seen
        .iter()
        .filter_map(|seen| seen.authorization()?.strip_prefix("Bearer ").map(str::to_owned))
        .collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

/// What `config check` prints of settings that name secrets.
fn shown_settings(user: &std::path::Path, password: &std::path::Path) -> String {
    let folder = user.parent().unwrap();
    let config = folder.join("pratique.toml");
    let text = format!(
        "data_dir = {folder:?}\n[proxy]\nhttp = \"http://proxy.test:3128\"\n[[upstream]]\n\
         registry = \"up.test\"\n[[upstream.credential]]\nmatch = \"up.test/open/**\"\n\
         username_file = {user:?}\npassword_file = {password:?}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    let output = command.args(["config", "check"]).arg(&config).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains("password_file"), "{text}{errors}");
    text + &errors
}

fn around(text: &str, secret: &str) -> String {
    let at = text.find(secret).unwrap_or_default();
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[start..].lines().next().unwrap_or_default().chars().take(600).collect()
}

/// A request over HTTP/2 or 1.1 with a token: no protocol log repeats its head.
#[tokio::test]
async fn no_protocol_logs_the_token_of_an_admin() {
    let log = logs::capture();
    let mirror = TestMirror::start(super::OPEN).await;
    let token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    let token = token.trim();
    let address: std::net::SocketAddr =
        mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let driving = mirror.mirror().tasks().spawn(connection);
    let request = hyper::Request::builder()
        .method(Method::GET)
        .uri(format!("http://{address}/api/v1/status"))
        .header("authorization", format!("Bearer {token}"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    driving.abort();
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(exchange(address, &get("/api/v1/status", &[&bearer])).await.status, 200);
    let text = log.text();
    assert!(!text.contains(token), "{}", around(&text, token));
}
