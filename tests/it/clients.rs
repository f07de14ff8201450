//! Who may pull what: pods, by the token that the cluster gives them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::Method;
use pratique::people::oidc::ServiceAccountSettings;
use pratique::time::Clock as _;
use serde_json::{Value, json};

use crate::support::mirror::{Answer, REGISTRY, TestMirror};
use crate::support::upstream::{Image, Seen};

const ISSUER: &str = "https://kubernetes.default.svc";
const RULES: &str = "rules:\n- {id: all, match: [\"up.test/**\"], trust: allow}\n";
const SHOP: &str = "clients:\n- {match: [\"up.test/shop/**\"], namespaces: [shop], \
                    serviceAccounts: [ci/builder]}\n";

/// A cluster that signs tokens for its pods.
struct Cluster {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Cluster {
    fn new(id: &'static str) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), id }
    }

    fn keys(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
        let key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id,
                         "use": "sig", "alg": "ES256"});
        json!({"keys": [key]}).to_string()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id});
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature))
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a cluster says of a pod of `account`, at `mirror`'s time.
fn claims(mirror: &TestMirror, account: &str) -> Value {
    let now = mirror.clock.now().milliseconds() / 1_000;
    let (namespace, name) = account.split_once('/').unwrap();
    json!({
        "iss": ISSUER, "aud": ["pratique"], "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "iat": now, "nbf": now, "exp": now + 600,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}},
    })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn start(policy: &str, cluster: &Cluster) -> TestMirror {
    let keys = cluster.keys();
    TestMirror::start_with(policy, |settings| {
        let path = settings.data_dir.parent().unwrap().join("cluster-keys.json");
        std::fs::write(&path, keys).unwrap();
        settings.node.pods = Some(ServiceAccountSettings {
            issuer: ISSUER.to_owned(),
            keys: path,
            audience: "pratique".to_owned(),
        });
    })
    .await
}

async fn ask(mirror: &TestMirror, method: Method, path: &str, authorization: &str) -> Answer {
    let path = format!("/v2/{path}?ns={REGISTRY}");
    mirror.ask(method, &path, &[("authorization", authorization)]).await
}

/// Asks for the manifest as the pod with `token`.
async fn by(mirror: &TestMirror, token: &str) -> Answer {
    ask(mirror, Method::HEAD, "shop/web/manifests/1", &basic("pratique-pod", token)).await
}

#[tokio::test]
async fn a_repository_is_for_the_pods_that_the_policy_names() {
    let cluster = Cluster::new("k1");
    let mirror = start(&format!("{RULES}{SHOP}"), &cluster).await;
    let image = Image::new().layer("web").build();
    let digest = mirror.upstream.push("shop/web", "1", &image);
    mirror.upstream.push("open/web", "1", &image);
    mirror.pull("open/web", "1").await.assert_complete();

    // Asked, and only there.
    let paths = [
        "shop/web/manifests/1".to_owned(),
        format!("shop/web/manifests/{digest}"),
        format!("shop/web/blobs/{}", image.layer(0)),
        format!("shop/web/referrers/{digest}"),
    ];
    for path in &paths {
        for method in [Method::HEAD, Method::GET] {
            let answer = mirror.ask(method, &format!("/v2/{path}?ns=up.test"), &[]).await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"pratique\"");
        }
    }
    let ours = basic("pratique-pod", &cluster.sign(&claims(&mirror, "shop/web")));
    let builder = basic("pratique-pod", &cluster.sign(&claims(&mirror, "ci/builder")));
    let other = basic("pratique-pod", &cluster.sign(&claims(&mirror, "payments/web")));
    for path in &paths {
        for pod in [&ours, &builder] {
            let answer = ask(&mirror, Method::GET, path, pod).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
        let answer = ask(&mirror, Method::GET, path, &other).await;
        assert_eq!(answer.status, 403, "{path}");
        let text =
            "Denied: up.test/shop/web is for namespace shop or ci/builder, not for payments/web";
        assert_eq!(answer.phrase, text);
        assert_eq!(answer.error()["message"], text);
    }
    // Warm, too: what memory would answer is asked the same.
    for _ in 0..3 {
        assert_eq!(ask(&mirror, Method::GET, &paths[1], &ours).await.status, 200);
        assert_eq!(ask(&mirror, Method::GET, &paths[1], &other).await.status, 403);
    }
}

#[tokio::test]
async fn a_token_that_is_not_of_this_cluster_for_this_mirror_now_is_no_pods() {
    let (cluster, stranger) = (Cluster::new("k1"), Cluster::new("k1"));
    let mirror = start(&format!("{RULES}{SHOP}"), &cluster).await;
    mirror.upstream.push("shop/web", "1", &Image::new().layer("web").build());
    let with = |key: &str, value: Value| {
        let mut claims = claims(&mirror, "shop/web");
        claims[key] = value;
        cluster.sign(&claims)
    };
    let now = mirror.clock.now().milliseconds() / 1_000;
    let good = cluster.sign(&claims(&mirror, "shop/web"));
    for (token, reason) in [
        (stranger.sign(&claims(&mirror, "shop/web")), "its signature is wrong"),
        (with("aud", json!(["kubernetes"])), "it is for another client"),
        (with("aud", json!(["pratique", "kubernetes"])), "it is for another client"),
        (with("iss", json!("https://other")), "it is of another issuer"),
        (with("exp", json!(now - 61)), "it has expired"),
        (with("exp", json!(now + 365 * 24 * 3_600)), "it is too old"),
        (with("nbf", json!(now + 600)), "it is of a time to come"),
        (with("sub", json!("alice")), "its subject is none"),
        (with("sub", json!("system:serviceaccount:shop:a:b")), "its subject is none"),
        (with("sub", json!("system:serviceaccount:Shop:a")), "its subject is none"),
        (format!("{good}x"), "it is malformed"),
        ("secret".to_owned(), "it is malformed"),
        (String::new(), "it is malformed"),
    ] {
        let answer = by(&mirror, &token).await;
        assert_eq!(answer.status, 403, "{reason}");
        assert!(answer.phrase.contains(reason), "{reason}: {}", answer.phrase);
    }
    assert_eq!(by(&mirror, &good).await.status, 200);
    // What was good ends, also where it was looked at before.
    mirror.clock.advance(std::time::Duration::from_secs(661));
    assert!(by(&mirror, &good).await.phrase.contains("it has expired"));
}

#[tokio::test]
async fn secrets_for_other_places_are_not_looked_at_and_go_nowhere() {
    let cluster = Cluster::new("k1");
    let mirror = start(&format!("{RULES}{SHOP}"), &cluster).await;
    mirror.upstream.push("shop/web", "1", &Image::new().layer("web").build());
    let good = cluster.sign(&claims(&mirror, "shop/web"));
    for authorization in [
        basic("alice", "hub-password"),
        basic("alice", &good),
        format!("Bearer {good}"),
        "Basic !!".to_owned(),
        format!("{},{}", basic("pratique-pod", &good), "x"),
    ] {
        let answer = ask(&mirror, Method::GET, "shop/web/manifests/1", &authorization).await;
        assert_eq!(answer.status, 403, "{authorization}");
        assert!(answer.phrase.contains("brings no pod's token"), "{}", answer.phrase);
        let text = String::from_utf8_lossy(answer.bytes()).into_owned();
        assert!(!text.contains("hub-password") && !text.contains(&good));
    }
    let twice = [("authorization", "Basic eDp5"), ("authorization", "Basic eDp5")];
    let answer = mirror.ask(Method::GET, "/v2/shop/web/manifests/1?ns=up.test", &twice).await;
    assert_eq!(answer.status, 403);
    mirror.upstream.assert_untouched();
    // A token for a repository that is for everybody changes nothing, and is not passed on.
    mirror.upstream.push("open/web", "1", &Image::new().layer("open").build());
    let answer =
        ask(&mirror, Method::GET, "open/web/manifests/1", &basic("pratique-pod", "junk")).await;
    assert_eq!(answer.status, 200);
    assert!(!mirror.upstream.requests().iter().any(Seen::carries_credentials));
}

#[tokio::test]
async fn a_question_for_the_verdict_alone_is_answered_without_a_pod_and_gives_no_content() {
    let cluster = Cluster::new("k1");
    let mirror = start(&format!("{RULES}{SHOP}"), &cluster).await;
    let image = Image::new().layer("web").build();
    let digest = mirror.upstream.push("shop/web", "1", &image);
    let question = [("pratique-question", "verdict")];
    let asked = async |method, path: &str| {
        mirror.ask(method, &format!("/v2/{path}?ns=up.test"), &question).await
    };
    let by_digest = format!("shop/web/manifests/{digest}");
    let answer = asked(Method::HEAD, &by_digest).await;
    assert_eq!((answer.status, answer.bytes().len()), (200, 0));
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    for (method, path) in [
        (Method::GET, by_digest.as_str()),
        (Method::HEAD, "shop/web/manifests/1"),
        (Method::HEAD, &format!("shop/web/blobs/{}", image.layer(0))),
    ] {
        assert_eq!(asked(method.clone(), path).await.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn a_cluster_that_changes_its_keys_is_followed_and_an_old_key_ends() {
    let (old, new) = (Cluster::new("k1"), Cluster::new("k2"));
    let mirror = start(&format!("{RULES}{SHOP}"), &old).await;
    mirror.upstream.push("shop/web", "1", &Image::new().layer("web").build());
    let (of_old, of_new) =
        (old.sign(&claims(&mirror, "shop/web")), new.sign(&claims(&mirror, "shop/web")));
    assert_eq!(by(&mirror, &of_old).await.status, 200);
    assert!(by(&mirror, &of_new).await.phrase.contains("signed by no key"));
    let path = mirror.folder().join("cluster-keys.json");
    // What is no list of keys changes nothing.
    std::fs::write(&path, "{}").unwrap();
    mirror.clock.advance(std::time::Duration::from_secs(6));
    assert!(by(&mirror, &of_new).await.phrase.contains("signed by no key"));
    assert_eq!(by(&mirror, &of_old).await.status, 200);
    std::fs::write(&path, new.keys()).unwrap();
    assert!(by(&mirror, &of_new).await.phrase.contains("signed by no key"), "not before its time");
    mirror.clock.advance(std::time::Duration::from_secs(6));
    assert_eq!(by(&mirror, &of_new).await.status, 200);
    assert_eq!(by(&mirror, &of_old).await.status, 403, "it was remembered");
}

#[tokio::test]
async fn without_a_cluster_nobody_is_asked_and_nobody_served_and_watching_serves_all() {
    let image = Image::new().layer("web").build();
    let mirror = TestMirror::start_with(&format!("{RULES}{SHOP}"), |_| {}).await;
    mirror.upstream.push("shop/web", "1", &image);
    mirror.pull("shop/web", "1").await.assert_refused("Denied: up.test/shop/web is for namespace");
    for mode in ["audit", "warn"] {
        let policy = format!("defaults: {{mode: {mode}}}\n{RULES}{SHOP}");
        let mirror = start(&policy, &Cluster::new("k1")).await;
        mirror.upstream.push("shop/web", "1", &image);
        mirror.pull("shop/web", "1").await.assert_complete();
        let metrics = mirror.mirror().metrics().render();
        let counted = "pratique_client_checks_total{outcome=\"observed\"} 4";
        assert!(metrics.contains(counted), "{mode}: {metrics}");
    }
}
