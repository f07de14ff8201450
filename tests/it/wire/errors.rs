//! Every error by the specification: its form, its size, and nothing of ours or of upstream's in it.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes>

use std::collections::BTreeSet;
use std::time::Duration;

use pratique::oci::MediaType;
use serde_json::json;

use super::{Said, exchange, get, request};
use crate::support::logs;
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Gate, Image};

/// What upstream writes wherever it may, and nobody may repeat.
const CANARY: &str = "upstream canary <b>/etc/passwd</b>";

/// Rules for every kind of answer.
fn policy() -> String {
    let pem = Signer::generate().policy_pem();
    format!(
        "floor:\n  platforms: [linux/amd64]\n\
         signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n\
         - {{id: open, match: [\"up.test/open/**\"], trust: allow}}\n\
         - {{id: asked, match: [\"up.test/asked/**\"], trust: approve}}\n\
         - {{id: never, match: [\"up.test/never/**\"], trust: deny}}\n\
         - {{id: lab, match: [\"up.test/lab/**\"], trust: allow, mode: audit}}\n\
         - {{id: signed, match: [\"up.test/signed/**\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    )
}

type Paths = Vec<(&'static str, String)>;

/// A mirror whose upstream has something wrong under every name, and what to ask it for.
async fn start() -> (TestMirror, Paths) {
    let mirror = TestMirror::start_with(&policy(), |settings| {
        settings.mirror.hold_timeout = Duration::from_millis(200);
        settings.upstream.limits.retry_delay = Duration::from_millis(1);
        settings.upstream.limits.breaker_failures = 1_000;
        settings.upstream.limits.first_byte_timeout = Duration::from_secs(2);
    })
    .await;
    let mut paths = malformed(&mirror);
    paths.extend(refused(&mirror));
    paths.extend(failing(&mirror));
    (mirror, paths)
}

/// Manifests that are none.
fn malformed(mirror: &TestMirror) -> Paths {
    let bodies = [
        CANARY.to_owned(),
        format!("{{\"mediaType\": \"{CANARY}\", \"mediaType\": \"{CANARY}\"}}"),
        format!("{{\"{CANARY}\": 1, \"{CANARY}\": 2}}"),
        json!({"schemaVersion": 2, "mediaType": CANARY, "config": {}, "layers": []}).to_string(),
        json!({"schemaVersion": 2, "mediaType": format!("a/{CANARY}"), "manifests": []})
            .to_string(),
        json!({"schemaVersion": CANARY}).to_string(),
        json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": CANARY}).to_string(),
        "[".repeat(100_000),
    ];
    let mut paths = Vec::new();
    for body in bodies {
        for repository in ["open/odd", "lab/odd"] {
            let upstream = &mirror.upstream;
            let digest = upstream.put_manifest(repository, MediaType::OCI_MANIFEST, body.clone());
            let tag = &digest.hex()[..12];
            upstream.tag(repository, tag, &[digest]);
            paths.push(("malformed", format!("{repository}/manifests/{tag}")));
        }
    }
    paths
}

/// What the gate refuses, and what is not there.
fn refused(mirror: &TestMirror) -> Paths {
    let upstream = &mirror.upstream;
    let image = Image::new().layer("x").build();
    for repository in ["open/good", "asked/app", "never/app", "lab/good", "signed/unsigned"] {
        upstream.push(repository, "1", &image);
    }
    let config = json!({"architecture": CANARY, "os": CANARY, "variant": CANARY}).to_string();
    let foreign = Image::new().config(MediaType::OCI_CONFIG, config).layer("y").build();
    upstream.push("open/foreign", "1", &foreign);
    let config = json!({CANARY: {CANARY: CANARY}, "os": [CANARY]}).to_string();
    let broken = Image::new().config(MediaType::OCI_CONFIG, config).layer("b").build();
    upstream.push("open/config", "1", &broken);
    let twice = format!("{{\"{CANARY}\":1,\"{CANARY}\":2}}");
    let twice = Image::new().config(MediaType::OCI_CONFIG, twice).layer("t").build();
    upstream.push("open/config", "2", &twice);
    let artifact = Image::artifact(CANARY).layer("z").build();
    upstream.push("asked/artifact", "1", &artifact);
    let blob = format!("blobs/sha256:{}", "a".repeat(64));
    let paths = [
        ("no such tag", "open/good/manifests/none".to_owned()),
        ("no such repository", "lab/none/manifests/1".to_owned()),
        ("ungranted blob", format!("open/good/{blob}")),
        ("absent blob", format!("lab/good/{blob}")),
        ("pending", "asked/app/manifests/1".to_owned()),
        ("pending artifact", "asked/artifact/manifests/1".to_owned()),
        ("denied by rule", "never/app/manifests/1".to_owned()),
        ("no rule", "elsewhere/app/manifests/1".to_owned()),
        ("unsigned", "signed/unsigned/manifests/1".to_owned()),
        ("platform", "open/foreign/manifests/1".to_owned()),
        ("config", "open/config/manifests/1".to_owned()),
        ("config", "open/config/manifests/2".to_owned()),
        ("referrers", "never/app/referrers/sha256:zz".to_owned()),
    ];
    paths.into()
}

/// What upstream fails at; the last fault is a limit of the rate, which holds for the whole registry.
fn failing(mirror: &TestMirror) -> Paths {
    let upstream = &mirror.upstream;
    let signatures = "signed/unfindable";
    upstream.push(signatures, "1", &Image::new().layer("s").build());
    upstream.fault(&format!("/v2/{signatures}/manifests/sha256-"), Fault::Status(500));
    upstream.fault(&format!("/v2/{signatures}/referrers/"), Fault::Status(500));
    let mut paths = vec![("undecided", format!("{signatures}/manifests/1"))];
    for (repository, fault) in [
        ("broken", Fault::Status(500)),
        ("forbidden", Fault::Status(403)),
        ("unauthorized", Fault::Status(401)),
        ("teapot", Fault::Status(418)),
        ("lies", Fault::Body(CANARY.into())),
        ("redirects", Fault::Redirect(302, format!("http://169.254.169.254/{}", "a".repeat(200)))),
        ("elsewhere", Fault::Redirect(302, "file:///etc/passwd".to_owned())),
        ("encoded", Fault::Header("content-encoding", "gzip".to_owned())),
        ("slow", Fault::Hold(Gate::closed())),
        ("limited", Fault::StatusRetryAfter(429, "7".to_owned())),
    ] {
        let name = format!("open/{repository}");
        upstream.push(&name, "1", &Image::new().layer(repository).build());
        upstream.fault(&format!("/v2/{name}/"), fault);
        paths.push((repository, format!("{name}/manifests/1")));
        let digest = format!("{name}/manifests/sha256:{}", "b".repeat(64));
        let what = if repository == "limited" { "limited, by digest" } else { repository };
        paths.push((what, digest));
    }
    paths
}

/// Rows of every section: `{"errors": [...]}`, `application/json`, at most 4 KiB, a code of the
/// specification, no path of this machine, no text of upstream.
#[tokio::test]
async fn every_error_is_by_the_specification_and_repeats_nothing() {
    let (mirror, paths) = start().await;
    let folder = mirror.folder().to_string_lossy().into_owned();
    let upstream = mirror.upstream.host();
    let mut seen = BTreeSet::new();
    for (what, path) in paths {
        for method in ["GET", "HEAD"] {
            let target = format!("/v2/{path}?ns=up.test");
            let said = exchange(mirror.node_address(), &request(method, &target, &[])).await;
            assert!(matches!(said.status, 400 | 403 | 404 | 503), "{what}, {path}: {said:?}");
            assert_form(&said, what, method, [folder.as_str(), upstream.as_str()]);
            if method == "GET" {
                seen.insert((said.status, said.code()));
                assert_code(&said, what);
            }
        }
    }
    let codes = [
        (400, "DIGEST_INVALID"),
        (403, "DENIED"),
        (404, "BLOB_UNKNOWN"),
        (404, "MANIFEST_UNKNOWN"),
        (503, "TOOMANYREQUESTS"),
        (503, "UNAVAILABLE"),
    ];
    let expected = codes.map(|(status, code)| (status, code.to_owned()));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

/// What holds for every answer that is no content.
fn assert_form(said: &Said, what: &str, method: &str, ours: [&str; 2]) {
    let body = String::from_utf8(said.body.clone()).expect("text");
    let text = format!("{} {:?} {body}", said.phrase, said.headers).to_lowercase();
    for secret in ["canary", "passwd", "text of the upstream", "169.254", "src/", "panicked"] {
        assert!(!text.contains(secret), "{what}: {secret:?} in {text}");
    }
    for place in ours {
        assert!(!text.contains(&place.to_lowercase()), "{what}: {place:?} in {text}");
    }
    let plain = |c: char| (' '..='~').contains(&c);
    assert!(said.phrase.len() <= 120 && said.phrase.chars().all(plain), "{what}: {said:?}");
    assert_eq!(said.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(said.header("retry-after").is_some(), said.status == 503, "{what}: {said:?}");
    if method == "HEAD" {
        assert!(said.body.is_empty(), "{what}: {said:?}");
        assert_ne!(said.header("content-length"), Some("0"), "{what}: HEAD is not as GET");
    } else {
        let length = said.body.len().to_string();
        assert_eq!(said.header("content-length"), Some(length.as_str()), "{what}");
    }
}

/// The code by what was asked for and what is the matter.
fn assert_code(said: &Said, what: &str) {
    let expected = match what {
        "no such tag" | "no such repository" => (404, "MANIFEST_UNKNOWN"),
        "absent blob" => (404, "BLOB_UNKNOWN"),
        "referrers" => (400, "DIGEST_INVALID"),
        "limited" => (503, "TOOMANYREQUESTS"),
        "malformed" | "ungranted blob" | "pending" | "pending artifact" | "denied by rule"
        | "no rule" | "unsigned" | "platform" | "config" => (403, "DENIED"),
        "undecided" | "broken" | "unauthorized" | "forbidden" | "teapot" | "redirects"
        | "elsewhere" | "encoded" => (503, "UNAVAILABLE"),
        _ => return,
    };
    assert_eq!((said.status, said.code().as_str()), expected, "{what}: {said:?}");
}

/// Tags of what upstream does not have, for those who may look for news.
#[tokio::test]
async fn a_repository_that_upstream_does_not_have_is_name_unknown() {
    let (mirror, _) = start().await;
    let none =
        exchange(mirror.node_address(), &get("/v2/lab/none/tags/list?ns=up.test", &[])).await;
    assert_eq!((none.status, none.code().as_str()), (404, "NAME_UNKNOWN"), "{none:?}");
}

/// Row 6 (CWE-117): whatever clients and upstreams write, nobody but us begins a line of the log or
/// sends a control sequence to the terminal that shows it.
#[tokio::test]
async fn no_line_of_the_log_is_anybodys_but_ours() {
    let log = logs::capture();
    let rules = "rules:\n- {id: open, match: [\"up.test/open/**\"], trust: allow}\n\
                 - {id: asked, match: [\"up.test/asked/**\"], trust: approve}\n";
    let mirror = TestMirror::start_with(rules, |_| {}).await;
    let forged = "a/b\r\nforged \u{1b}[2J\u{9b}";
    let upstream = &mirror.upstream;
    let config = json!({"os": forged, "architecture": forged}).to_string();
    let broken = format!("{{{0}:1,{0}:2}}", json!(forged));
    let image = Image::new().layer("x").build();
    for (number, artifact) in [
        Image::new().config(MediaType::OCI_CONFIG, config).layer("c").build(),
        Image::new().config(MediaType::OCI_CONFIG, broken.clone()).layer("b").build(),
        Image::new().config(forged, "{}").layer("m").build(),
        Image::artifact(forged).layer("a").build(),
        Image::new().layer_of(forged, "l", &[(forged, forged)]).build(),
    ]
    .iter()
    .enumerate()
    {
        for repository in ["open/app", "asked/app"] {
            upstream.push(repository, &number.to_string(), artifact);
            drop(mirror.manifest(repository, number).await);
        }
    }
    for body in [broken, json!({"schemaVersion": 2, "mediaType": forged}).to_string()] {
        let digest = upstream.put_manifest("open/odd", MediaType::OCI_MANIFEST, body);
        drop(mirror.manifest("open/odd", digest).await);
    }
    upstream.push("open/app", "1", &image);
    let referrer = Image::artifact(forged).layer_of(forged, "r", &[]).subject(&image).build();
    upstream.attach_by_fallback_tag("open/app", &image.digest(), &referrer);
    drop(mirror.pull("open/app", "1").await);
    drop(mirror.get(&format!("open/app/referrers/{}", image.digest())).await);
    for path in ["/v2/a%0d%0aforged%1b[2J/manifests/x", "/v2/x%0aforged", "/%0aforged"] {
        exchange(mirror.node_address(), &get(path, &["User-Agent: \tforged"])).await;
    }
    let admin = mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap();
    for path in ["/r/%0aforged", "/api/v1/explain?image=%0aforged"] {
        exchange(admin, &get(path, &["Authorization: Bearer forged"])).await;
    }
    let text = log.text();
    assert!(text.contains("forged"), "nothing of it was logged");
    for line in text.lines() {
        assert!(!line.starts_with("forged"), "{line}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
}
