//! A pass opens one image to whoever shows it, and nothing to anybody else.

use std::time::Duration;

use hyper::Method;
use pratique::mirror::{PASS_TIME_MAX, Pass, PassError};
use pratique::oci::{Digest, Name};

use crate::support::logs;
use crate::support::mirror::{Answer, REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, Image, Index};

const ASKED: &str = "- {id: asked, match: [\"up.test/**\"], trust: approve}\n";
const LONG: Duration = Duration::from_mins(5);

fn name(repository: &str) -> Name {
    format!("{REGISTRY}/{repository}").parse().unwrap()
}

fn image(content: &str) -> Artifact {
    Image::new().layer(format!("the first layer of {content}")).layer(content.to_owned()).build()
}

fn bearer(pass: &Pass) -> String {
    format!("Bearer {}", pass.token().expose())
}

async fn shown(mirror: &TestMirror, method: Method, path: &str, login: &str) -> Answer {
    mirror.ask(method, path, &[("authorization", login)]).await
}

/// GET with a login, of what is below `/v2/`.
async fn get(mirror: &TestMirror, path: &str, login: &str) -> Answer {
    shown(mirror, Method::GET, &format!("/v2/{path}?ns={REGISTRY}"), login).await
}

/// A mirror where everything waits for an approval, an image that does, and a pass for it.
async fn waiting() -> (TestMirror, Artifact, Pass) {
    let mirror = TestMirror::start(ASKED).await;
    let image = image("a");
    mirror.upstream.push("app", "1", &image);
    let pass = mirror.mirror().give_pass(&name("app"), &image.digest(), LONG).await.unwrap();
    (mirror, image, pass)
}

/// Everything of an image, by the paths below `/v2/`.
fn parts(image: &Artifact) -> Vec<String> {
    let blobs = [image.config(), image.layer(0), image.layer(1)];
    let blobs = blobs.iter().map(|digest| format!("app/blobs/{digest}"));
    std::iter::once(format!("app/manifests/{}", image.digest())).chain(blobs).collect()
}

#[tokio::test]
async fn a_pass_opens_its_image_and_nodes_are_still_refused() {
    let (mirror, image, pass) = waiting().await;
    let basic = pass.authorization();
    let contents =
        std::iter::once(&image.manifest).chain(&image.blobs).cloned().collect::<Vec<_>>();
    for (path, content) in parts(&image).iter().zip(&contents) {
        for login in [&bearer(&pass), basic.expose()] {
            let answer = get(&mirror, path, login).await;
            assert_eq!((answer.status, answer.bytes()), (200, content), "{path}");
            let head = format!("/v2/{path}?ns={REGISTRY}");
            let head = shown(&mirror, Method::HEAD, &head, login).await;
            assert_eq!((head.status, head.bytes().len()), (200, 0), "{path}");
            assert_eq!(head.header("content-length"), content.len().to_string());
            assert_eq!(head.header("content-type"), answer.header("content-type"));
        }
        // Whoever shows none, and those who have logins for other places.
        for login in ["Bearer abc", "Basic c2VjcmV0OnB3"] {
            assert_eq!(get(&mirror, path, login).await.status, 403, "{path}");
        }
        assert_eq!(mirror.get(path).await.status, 403, "{path}");
        assert_eq!(mirror.head(path).await.status, 403, "{path}");
    }
    mirror.pull("app", "1").await.assert_refused("Pending approval");
    mirror.pull("app", image.digest()).await.assert_refused("Pending approval");
    mirror.upstream.assert_no_credentials_seen();
}

#[tokio::test]
async fn a_part_and_a_condition_are_answered_as_they_are_to_nodes() {
    let (mirror, image, pass) = waiting().await;
    let login = bearer(&pass);
    let path = format!("/v2/app/blobs/{}?ns={REGISTRY}", image.layer(0));
    let with = async |name: &'static str, value: &str, path: &str| {
        mirror.ask(Method::GET, path, &[("authorization", &login), (name, value)]).await
    };
    let part = with("range", "bytes=4-8", &path).await;
    assert_eq!((part.status, &part.bytes()[..]), (206, &b"first"[..]));
    assert_eq!(with("range", "bytes=900-", &path).await.status, 416);
    let manifest = format!("/v2/app/manifests/{}?ns={REGISTRY}", image.digest());
    let etag = format!("\"{}\"", image.digest());
    assert_eq!(with("if-none-match", &etag, &manifest).await.status, 304);
    // The rules about the form of a request are those of all.
    let body = [("authorization", login.as_str()), ("content-length", "3")];
    assert_eq!(mirror.ask(Method::GET, &manifest, &body).await.status, 400);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(shown(&mirror, method, &manifest, &login).await.status, 405);
    }
}

#[tokio::test]
async fn a_pass_opens_nothing_else() {
    let (mirror, image, pass) = waiting().await;
    let other = self::image("b");
    let same = image.clone();
    mirror.upstream.push("app", "2", &other);
    mirror.upstream.push("other", "1", &same);
    mirror.upstream.push("open/app", "1", &other);
    let rules = format!("rules:\n{ASKED}- {{id: o, match: [\"up.test/open/**\"], trust: allow}}\n");
    mirror.set_policy(&rules, 2).await;
    mirror.pull("open/app", "1").await.assert_complete();
    let digest = image.digest();
    let before = mirror.upstream.requests().len();
    for path in [
        format!("/v2/app/manifests/1?ns={REGISTRY}"),
        format!("/v2/app/manifests/2?ns={REGISTRY}"),
        format!("/v2/app/manifests/{}?ns={REGISTRY}", other.digest()),
        format!("/v2/app/manifests/{}?ns={REGISTRY}", image.config()),
        format!("/v2/app/blobs/{}?ns={REGISTRY}", other.layer(0)),
        format!("/v2/app/blobs/{digest}?ns={REGISTRY}"),
        format!("/v2/app/referrers/{digest}?ns={REGISTRY}"),
        format!("/v2/app/tags/list?ns={REGISTRY}"),
        format!("/v2/other/manifests/{digest}?ns={REGISTRY}"),
        format!("/v2/other/blobs/{}?ns={REGISTRY}", image.layer(0)),
        format!("/v2/app/manifests/{digest}?ns=other.test"),
        format!("/v2/app/manifests/{digest}"),
        // What everybody may read, a scanner has no business with.
        format!("/v2/open/app/manifests/1?ns={REGISTRY}"),
        format!("/v2/open/app/manifests/{}?ns={REGISTRY}", other.digest()),
        format!("/v2/open/app/blobs/{}?ns={REGISTRY}", other.layer(0)),
        "/v2/_catalog".to_owned(),
        "/r/R-1".to_owned(),
        "/readyz".to_owned(),
        "/".to_owned(),
        format!("/v2/app/../app/manifests/{digest}?ns={REGISTRY}"),
    ] {
        for login in [bearer(&pass), pass.authorization().expose().to_owned()] {
            let answer = shown(&mirror, Method::GET, &path, &login).await;
            assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("DENIED")));
            assert_eq!(shown(&mirror, Method::HEAD, &path, &login).await.status, 403, "{path}");
        }
    }
    assert_eq!(mirror.upstream.requests().len(), before, "upstream was asked");
    assert_eq!(shown(&mirror, Method::GET, "/v2/", &bearer(&pass)).await.status, 200);
    mirror.pull("open/app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_wrong_pass_is_refused_even_what_everybody_may_read() {
    let (mirror, image, pass) = waiting().await;
    mirror.upstream.push("open/app", "1", &image);
    let rules = format!("rules:\n{ASKED}- {{id: o, match: [\"up.test/open/**\"], trust: allow}}\n");
    mirror.set_policy(&rules, 2).await;
    mirror.pull("open/app", "1").await.assert_complete();
    let good = bearer(&pass);
    let basic = |login: &str| {
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, login);
        format!("Basic {encoded}")
    };
    let token = pass.token().expose();
    for login in [
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        good.to_uppercase().replace("PRATIQUE-PASS-", "pratique-pass-"),
        "Bearer pratique-pass-".to_owned(),
        format!("Bearer pratique-pass-{}", "A".repeat(43)),
        basic("pratique:"),
        basic("pratique:secret"),
        basic(&format!("somebody:{token}")),
        basic(&format!("pratique:{token}:")),
        format!("{good}, {good}"),
    ] {
        let digest = image.digest();
        for path in [
            format!("/v2/app/manifests/{digest}?ns={REGISTRY}"),
            format!("/v2/app/blobs/{}?ns={REGISTRY}", image.layer(0)),
            format!("/v2/open/app/manifests/1?ns={REGISTRY}"),
            format!("/v2/open/app/manifests/{digest}?ns={REGISTRY}"),
            format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0)),
            "/v2/".to_owned(),
        ] {
            let answer = shown(&mirror, Method::GET, &path, &login).await;
            assert_eq!(answer.status, 401, "{login} {path}");
            assert_eq!(answer.error()["code"], "UNAUTHORIZED");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"pratique\"");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let path = format!("/v2/app/manifests/{}?ns={REGISTRY}", image.digest());
    let twice = [("authorization", good.as_str()), ("authorization", "Bearer abc")];
    assert_eq!(mirror.ask(Method::GET, &path, &twice).await.status, 401);
    assert_eq!(shown(&mirror, Method::GET, &path, &good).await.status, 200);
}

#[tokio::test]
async fn a_pass_ends_with_its_time_and_with_the_scan() {
    let (mirror, image, pass) = waiting().await;
    let path = format!("app/manifests/{}", image.digest());
    let login = bearer(&pass);
    mirror.clock.advance(LONG.saturating_sub(Duration::from_millis(1)));
    assert_eq!(get(&mirror, &path, &login).await.status, 200);
    mirror.clock.advance(Duration::from_millis(1));
    for path in parts(&image) {
        assert_eq!(get(&mirror, &path, &login).await.status, 401, "{path}");
    }
    // A wall clock that is set back brings nothing back.
    mirror.clock.set("2020-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(get(&mirror, &path, &login).await.status, 401);

    let again = mirror.mirror().give_pass(&name("app"), &image.digest(), LONG).await.unwrap();
    let login = bearer(&again);
    for path in parts(&image) {
        assert_eq!(get(&mirror, &path, &login).await.status, 200, "{path}");
    }
    drop(again);
    for path in parts(&image) {
        assert_eq!(get(&mirror, &path, &login).await.status, 401, "{path}");
        assert_eq!(mirror.get(&path).await.status, 403, "{path} was left open");
    }
    let endless = Duration::from_secs(u64::MAX);
    let endless = mirror.mirror().give_pass(&name("app"), &image.digest(), endless).await.unwrap();
    mirror.clock.advance(PASS_TIME_MAX);
    assert_eq!(get(&mirror, &path, &bearer(&endless)).await.status, 401);
}

#[tokio::test]
async fn a_pass_does_not_outlive_the_program() {
    let (mirror, image, pass) = waiting().await;
    let mirror = mirror.restart().await;
    let path = format!("app/manifests/{}", image.digest());
    assert_eq!(get(&mirror, &path, &bearer(&pass)).await.status, 401);
}

#[tokio::test]
async fn two_passes_are_two_and_each_ends_alone() {
    let (mirror, image, first) = waiting().await;
    let other = self::image("b");
    mirror.upstream.push("app", "2", &other);
    let second = mirror.mirror().give_pass(&name("app"), &other.digest(), LONG).await.unwrap();
    let twin = mirror.mirror().give_pass(&name("app"), &image.digest(), LONG).await.unwrap();
    assert_ne!(first.token(), twin.token());
    let [mine, others] = [image.digest(), other.digest()].map(|it| format!("app/manifests/{it}"));
    assert_eq!(get(&mirror, &others, &bearer(&first)).await.status, 403);
    assert_eq!(get(&mirror, &mine, &bearer(&second)).await.status, 403);
    let login = bearer(&first);
    drop(first);
    assert_eq!(get(&mirror, &mine, &login).await.status, 401);
    assert_eq!(get(&mirror, &mine, &bearer(&twin)).await.status, 200);
    assert_eq!(get(&mirror, &others, &bearer(&second)).await.status, 200);
}

#[tokio::test]
async fn a_scanner_names_the_registry_in_the_path() {
    for (registry, path) in [("up.test", "up.test/app"), ("up.test:5000", "up.test-5000/app")] {
        let rules = "rules:\n- {id: none, match: [\"else.test/**\"], trust: deny}\n";
        let mirror = TestMirror::start_with(rules, |settings| {
            settings.upstream.registries[0].registry = registry.parse().unwrap();
        })
        .await;
        let image = image("a");
        let digest = image.digest();
        mirror.upstream.push("app", "1", &image);
        let name: Name = format!("{registry}/app").parse().unwrap();
        let pass = mirror.mirror().give_pass(&name, &digest, LONG).await.unwrap();
        assert_eq!(pass.repository(), path);
        let target = format!("/v2/{}/manifests/{digest}", pass.repository());
        assert_eq!(shown(&mirror, Method::GET, &target, &bearer(&pass)).await.status, 200);
        let without = mirror.ask(Method::GET, &target, &[]).await;
        assert_eq!(without.status, 403);
        let other = format!("/v2/{}x/manifests/{digest}", pass.repository());
        assert_eq!(shown(&mirror, Method::GET, &other, &bearer(&pass)).await.status, 403);
    }
}

#[tokio::test]
async fn there_is_no_pass_for_what_is_no_image_and_for_no_more_images_than_are_scanned_at_once() {
    let (mirror, image, pass) = waiting().await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    mirror.upstream.push("app", "index", &index);
    let give = async |repository: &str, digest: &Digest| {
        mirror.mirror().give_pass(&name(repository), digest, LONG).await
    };
    let refused = give("app", &index.digest()).await;
    assert!(matches!(refused, Err(PassError::Index { .. })), "{refused:?}");
    let absent = give("app", &Digest::sha256(b"absent")).await;
    assert!(matches!(absent, Err(PassError::Unreadable(_))), "{absent:?}");
    let elsewhere: Name = "other.test/app".parse().unwrap();
    let unknown = mirror.mirror().give_pass(&elsewhere, &image.digest(), LONG).await;
    assert!(matches!(unknown, Err(PassError::Unreadable(_))), "{unknown:?}");
    let mut passes = vec![pass];
    let refused = loop {
        match give("app", &image.digest()).await {
            Ok(pass) => passes.push(pass),
            Err(error) => break error,
        }
        assert!(passes.len() < 1_000, "no bound");
    };
    assert!(matches!(refused, PassError::TooMany), "{refused}");
    passes.pop();
    passes.push(give("app", &image.digest()).await.unwrap());
    // Those whose time is over take no place.
    mirror.clock.advance(LONG);
    give("app", &image.digest()).await.unwrap();
}

#[tokio::test]
async fn no_token_is_in_a_log_and_every_use_of_a_pass_is() {
    // Of one subscriber alone, what another test's thread logs first is taken for of no interest to it.
    let (_second, log) = (logs::capture(), logs::capture());
    let (mirror, image, pass) = waiting().await;
    let path = format!("app/manifests/{}", image.digest());
    let basic = pass.authorization().expose().to_owned();
    let token = pass.token().expose().to_owned();
    for login in [bearer(&pass), basic.clone(), format!("{}x", bearer(&pass))] {
        get(&mirror, &path, &login).await;
    }
    let shown = format!("{pass:?}");
    drop(pass);
    let text = log.text();
    for (place, text) in [("log", &text), ("debug", &shown)] {
        for secret in [&token, basic.trim_start_matches("Basic ")] {
            assert!(!text.contains(secret), "a token is in the {place}");
        }
    }
    for said in ["pass given", "pass shown", "status=401", "pass ended"] {
        assert!(text.contains(said), "{said} is not in the log:\n{text}");
    }
}
