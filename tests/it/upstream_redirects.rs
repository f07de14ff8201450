//! Redirects, and the addresses that may be dialled.

use pratique::oci::Digest;
use pratique::upstream::Error;

use crate::support::client::{REPOSITORY, TestClient, name, pull};
use crate::support::upstream::{Auth, FakeUpstream, Fault};

async fn with_blob(content: &'static str) -> (FakeUpstream, Digest) {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.put_blob(REPOSITORY, content);
    (upstream, digest)
}

#[tokio::test]
async fn a_redirect_to_a_listed_host_is_followed_without_credentials() {
    let (upstream, digest) = with_blob("content").await;
    let cdn = FakeUpstream::start().await;
    cdn.put_file("/signed", "content");
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/signed?signature=s3cret", cdn.url());
        upstream.heal();
        upstream.fault("/blobs/", Fault::Redirect(status, location));
        let client =
            TestClient::of(&upstream).with(|it| it.redirect_hosts = vec![cdn.host()]).build();
        assert_eq!(pull(&client, &digest).await.unwrap(), b"content", "{status}");
    }
    assert_eq!(cdn.count("GET /signed?signature=s3cret"), 5);
    cdn.assert_no_credentials_seen();
}

#[tokio::test]
async fn a_redirect_within_the_upstream_carries_no_credentials_either() {
    let (upstream, digest) = with_blob("content").await;
    upstream.put_file("/storage", "content");
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    upstream.fault("/blobs/", Fault::Redirect(307, "/storage".to_owned()));
    let client = TestClient::of(&upstream).build();
    assert_eq!(pull(&client, &digest).await.unwrap(), b"content");
    assert_eq!(upstream.requests_of("/storage")[0].authorization(), None);
}

#[tokio::test]
async fn a_redirect_elsewhere_makes_no_connection() {
    let (upstream, digest) = with_blob("content").await;
    let elsewhere = FakeUpstream::start().await;
    let port = elsewhere.host().rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.1"] {
        upstream.heal();
        upstream.fault("/blobs/", Fault::Redirect(302, format!("https://{host}:{port}/x")));
        // Exempt is the upstream itself, by its host and its port.
        let client = TestClient::of(&upstream).build();
        let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
        let refused = matches!(error, Error::AddressRefused { .. });
        // A resolver may not know the odd spellings at all, which is as good.
        assert!(refused || matches!(error, Error::Connect { .. }), "{host}: {error}");
        assert!(refused || host.starts_with("0x") || host == "127.1", "{host}: {error}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn redirects_that_are_not_to_be_followed_are_refused() {
    let (upstream, digest) = with_blob("content").await;
    let other = FakeUpstream::start().await;
    for location in [
        format!("{}/x", other.url()),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        format!("http://user:pass@{}/", upstream.host()),
        "http://".to_owned(),
        format!("/{}", "x".repeat(20_000)),
    ] {
        upstream.heal();
        upstream.fault("/blobs/", Fault::Redirect(302, location.clone()));
        let client = TestClient::of(&upstream).build();
        let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
        assert!(matches!(error, Error::RedirectRefused { .. }), "{location}: {error}");
        assert!(!error.to_string().contains("pass"), "{error}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_sixth() {
    let (upstream, digest) = with_blob("content").await;
    upstream.put_file("/hop5", "content");
    upstream.fault("/blobs/", Fault::Redirect(302, "/hop1".to_owned()));
    for hop in 1..5 {
        upstream.fault(&format!("/hop{hop}"), Fault::Redirect(302, format!("/hop{}", hop + 1)));
    }
    let client = TestClient::of(&upstream).build();
    assert_eq!(pull(&client, &digest).await.unwrap(), b"content");

    upstream.fault("/hop5", Fault::Redirect(302, "/hop1".to_owned()));
    upstream.clear_requests();
    let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
    assert!(matches!(error, Error::RedirectRefused { .. }), "{error}");
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn a_broken_host_behind_a_redirect_is_no_broken_upstream() {
    let (upstream, digest) = with_blob("content").await;
    let cdn = FakeUpstream::start().await;
    cdn.fault("/x", Fault::Status(503));
    upstream.fault("/blobs/", Fault::Redirect(302, format!("{}/x", cdn.url())));
    let client = TestClient::of(&upstream)
        .with(|it| it.redirect_hosts = vec![cdn.host()])
        .limits(|limits| limits.breaker_failures = 2)
        .build();
    for _ in 0..2 {
        let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
        assert!(matches!(error, Error::Status { .. }), "{error}");
    }
    assert_eq!(cdn.count("GET /x"), 6, "three attempts each");
}

#[tokio::test]
async fn a_redirect_from_https_to_plain_http_is_refused_whatever_the_host() {
    let upstream = FakeUpstream::start_tls().await;
    let plain = FakeUpstream::start().await;
    let digest = upstream.put_blob(REPOSITORY, "content");
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, upstream.ca_pem().unwrap()).unwrap();
    for host in [upstream.host(), plain.host()] {
        upstream.heal();
        upstream.fault("/blobs/", Fault::Redirect(307, format!("http://{host}/x")));
        for danger_plain_http in [false, true] {
            let client = TestClient::of(&upstream)
                .with(|it| {
                    it.ca_file = Some(ca_file.clone());
                    it.danger_plain_http = danger_plain_http;
                })
                .build();
            let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
            assert!(matches!(error, Error::RedirectRefused { .. }), "{host}: {error}");
        }
    }
    assert_eq!(plain.connections(), 0);
    // Over the same connection as before: nobody came in clear.
    assert!(upstream.requests().iter().all(|seen| seen.path.contains("/blobs/")));
}
