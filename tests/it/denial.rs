//! What is not admitted gives no byte, with a reason.

use hyper::Method;

use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::signer::Signer;
use crate::support::upstream::{Image, Index};

fn signed_only(signer: &Signer) -> String {
    let pem = signer.policy_pem();
    format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: signed, match: [\"up.test/lib/alpine\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    )
}

#[tokio::test]
async fn an_image_that_no_rule_lists_costs_no_upstream_request() {
    let mirror =
        TestMirror::start(r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#).await;
    let image = Image::new().layer("x").build();
    let digest = mirror.upstream.push("other/app", "1", &image);
    for reference in ["1".to_owned(), digest.to_string()] {
        mirror.pull("other/app", reference).await.assert_refused("Denied");
    }
    assert_eq!(mirror.blob("other/app", &image.layer(0)).await.status, 403);
    mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn a_registry_that_is_not_configured_is_never_dialled() {
    let mirror = TestMirror::start(r#"- {id: all, match: ["**"], trust: allow}"#).await;
    for namespace in ["evil.test", "127.0.0.1:22", &mirror.upstream.host()] {
        let path = format!("/v2/a/b/manifests/1?ns={namespace}");
        let answer = mirror.ask(Method::GET, &path, &[]).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("DENIED")));
    }
    mirror.upstream.assert_untouched();
}

#[tokio::test]
async fn only_what_the_named_signer_signed_is_served() {
    let (team, stranger) = (Signer::generate(), Signer::generate());
    let mirror = TestMirror::start_with(&signed_only(&team), |_| {}).await;
    let upstream = &mirror.upstream;

    let classic = Image::new().layer("classic").build();
    let digest = upstream.push("lib/alpine", "classic", &classic);
    upstream.attach_by_sig_tag(
        "lib/alpine",
        &digest,
        &team.simple_signing("up.test/lib/alpine", &digest),
    );
    mirror.pull("lib/alpine", "classic").await.assert_complete();

    let bundled = Image::new().layer("bundled").build();
    upstream.push("lib/alpine", "bundled", &bundled);
    upstream.attach_by_fallback_tag("lib/alpine", &bundled.digest(), &team.bundle(&bundled));
    mirror.pull("lib/alpine", "bundled").await.assert_complete();

    let unsigned = Image::new().layer("unsigned").build();
    upstream.push("lib/alpine", "unsigned", &unsigned);
    mirror.pull("lib/alpine", "unsigned").await.assert_refused("Denied by rule signed: not signed");
    mirror.pull("lib/alpine", unsigned.digest()).await.assert_refused("Denied by rule signed");
    assert_eq!(mirror.blob("lib/alpine", &unsigned.layer(0)).await.status, 403);

    let wrong = Image::new().layer("wrong key").build();
    let digest = upstream.push("lib/alpine", "wrong", &wrong);
    let signature = stranger.simple_signing("up.test/lib/alpine", &digest);
    upstream.attach_by_sig_tag("lib/alpine", &digest, &signature);
    mirror.pull("lib/alpine", "wrong").await.assert_refused("Denied by rule signed");

    // The same content through another repository has no rule, and so no verdict of this one.
    upstream.push("lib/other", "classic", &classic);
    mirror.pull("lib/other", classic.digest()).await.assert_refused("Denied");
    assert_eq!(mirror.blob("lib/other", &classic.layer(0)).await.status, 403);
    assert_eq!(upstream.count("blobs/"), upstream.count("/lib/alpine/blobs/"));
}

#[tokio::test]
async fn an_unknown_blob_and_a_forbidden_blob_are_told_alike() {
    let mirror =
        TestMirror::start(r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#).await;
    let image = Image::new().layer("there").build();
    mirror.upstream.push("asked/app", "1", &image);
    let there = mirror.blob("asked/app", &image.layer(0)).await;
    let nowhere = mirror.blob("asked/app", &pratique::oci::Digest::sha256(b"nowhere")).await;
    assert_eq!((there.status, there.phrase, there.body), (403, nowhere.phrase, nowhere.body));
    assert_eq!(mirror.upstream.count("blobs/"), 0);
}

#[tokio::test]
async fn a_pending_image_waits_for_people_and_starts_after_their_yes() {
    let mirror =
        TestMirror::start(r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#).await;
    let index = Index::for_platforms(&["linux/amd64"]).build();
    let digest = mirror.upstream.push("asked/app", "1", &index);
    let pending = mirror.pull("asked/app", "1").await;
    pending.assert_refused("Pending approval R-1");
    assert_eq!(pending.manifest.header("x-mirror-decision"), "pending");
    assert_eq!(pending.manifest.error()["detail"]["request"], "R-1");
    let child = index.children[0].digest();
    assert_eq!(mirror.manifest("asked/app", child).await.status, 403);
    assert_eq!(mirror.blob("asked/app", &index.children[0].layer(0)).await.status, 403);

    let token = std::fs::read_to_string(mirror.folder().join("data/admin.token")).unwrap();
    let body = serde_json::json!({"target": "R-1", "reason": "reviewed"}).to_string();
    let status = post(&mirror, "/api/v1/approvals", token.trim(), &body).await;
    assert!((200..300).contains(&status), "{status}");
    mirror.pull("asked/app", "1").await.assert_complete();
    assert_eq!(mirror.manifest("asked/app", child).await.status, 200);

    let body =
        serde_json::json!({"target": format!("{REGISTRY}/asked/app@{digest}"), "reason": "bad"});
    let status = post(&mirror, "/api/v1/revocations", token.trim(), &body.to_string()).await;
    assert!((200..300).contains(&status), "{status}");
    mirror.pull("asked/app", "1").await.assert_refused("Revoked");
    assert_eq!(mirror.blob("asked/app", &index.children[0].layer(0)).await.status, 403);
    let mirror = mirror.restart().await;
    mirror.pull("asked/app", "1").await.assert_refused("Revoked");
}

async fn post(mirror: &TestMirror, path: &str, token: &str, body: &str) -> u16 {
    use http_body_util::{BodyExt as _, Full};
    let address = mirror.admin_url().trim_start_matches("http://").to_owned();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let driving = mirror.mirror().tasks().spawn(connection);
    let request = hyper::Request::post(path)
        .header("host", "mirror.test")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body.to_owned())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    driving.abort();
    status
}

#[tokio::test]
async fn a_pull_secret_of_a_client_goes_nowhere() {
    let mirror =
        TestMirror::start(r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#).await;
    mirror.upstream.push("open/app", "1", &Image::new().layer("x").build());
    let path = format!("/v2/open/app/manifests/1?ns={REGISTRY}");
    let answer = mirror.ask(Method::GET, &path, &[("authorization", "Basic c2VjcmV0OnB3")]).await;
    assert_eq!(answer.status, 200);
    mirror.upstream.assert_no_credentials_seen();
}

#[tokio::test]
async fn a_new_policy_judges_again_what_is_stored_and_a_bad_one_changes_nothing() {
    let mirror =
        TestMirror::start(r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#).await;
    let image = Image::new().layer("x").build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    mirror.upstream.go_away();
    let asked = "rules:\n- {id: asked, match: [\"up.test/open/**\"], trust: approve}\n";
    mirror.set_policy(asked, 2).await;
    mirror.pull("open/app", image.digest()).await.assert_refused("Pending approval");
    assert_eq!(mirror.blob("open/app", &image.layer(0)).await.status, 403);
    let open = "rules:\n- {id: open, match: [\"up.test/open/**\"], trust: allow}\n";
    mirror.set_policy(open, 3).await;
    mirror.pull("open/app", image.digest()).await.assert_complete();
    mirror.write_policy("rules: nonsense\n", 4);
    let failures = &mirror.mirror().metrics().policy_rejected;
    for _ in 0..500 {
        if failures.value() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((failures.value(), mirror.mirror().policy().revision()), (1, 3));
    mirror.pull("open/app", image.digest()).await.assert_complete();
}

#[tokio::test]
async fn a_signature_may_name_the_registry_by_its_configured_address_and_by_no_other() {
    let team = Signer::generate();
    let mirror = TestMirror::start_with(&signed_only(&team), |_| {}).await;
    let host = mirror.upstream.host();
    for (tag, signed_as, admitted) in [
        ("address", format!("{host}/lib/alpine"), true),
        ("elsewhere", "registry.test/lib/alpine".to_owned(), false),
        ("other", format!("{host}/lib/other"), false),
    ] {
        let image = Image::new().layer(tag).build();
        let digest = mirror.upstream.push("lib/alpine", tag, &image);
        let signature = team.simple_signing(&signed_as, &digest);
        mirror.upstream.attach_by_sig_tag("lib/alpine", &digest, &signature);
        let pulled = mirror.pull("lib/alpine", tag).await;
        if admitted {
            pulled.assert_complete();
        } else {
            pulled.assert_refused("Denied by rule signed: not signed by team");
        }
    }
}

#[tokio::test]
async fn a_policy_that_the_ledger_could_not_take_is_in_force_as_soon_as_it_can() {
    let mirror =
        TestMirror::start(r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#).await;
    let ledger = rusqlite::Connection::open(mirror.folder().join("data/ledger.db")).unwrap();
    ledger.execute_batch("ALTER TABLE audit RENAME TO away").unwrap();
    mirror.write_policy("rules:\n- {id: no, match: [\"up.test/**\"], trust: deny}\n", 2);
    let until = async |holds: &dyn Fn() -> bool| {
        for _ in 0..1_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("never so");
    };
    until(&|| mirror.mirror().metrics().policy_rejected.value() > 0).await;
    assert_eq!(mirror.mirror().policy().revision(), 1);
    ledger.execute_batch("ALTER TABLE away RENAME TO audit").unwrap();
    until(&|| mirror.mirror().policy().revision() == 2).await;
}
