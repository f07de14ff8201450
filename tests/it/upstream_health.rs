//! Upstreams that are slow, broken, away or asking for rest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pratique::oci::{Digest, Reference};
use pratique::time::{ManualClock, Timestamp};
use pratique::upstream::{Breaker, Client, Error, ProxySettings};

use crate::support::client::{REPOSITORY, TestClient, name, pull};
use crate::support::proxy::FakeProxy;
use crate::support::upstream::{FakeUpstream, Fault, Gate, Image};

async fn with_blob(length: usize) -> (FakeUpstream, Digest, Vec<u8>) {
    let upstream = FakeUpstream::start().await;
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    let digest = upstream.put_blob(REPOSITORY, content.clone());
    (upstream, digest, content)
}

async fn resolve(client: &Client) -> Result<(), Error> {
    client.resolve_tag(&name(), &"1".parse().unwrap()).await.map(drop)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_was() {
    let (upstream, digest, content) = with_blob(300_000).await;
    upstream.fault_times("/blobs/", 3, Fault::CutAfter(70_000));
    let client = TestClient::of(&upstream).build();
    assert_eq!(pull(&client, &digest).await.unwrap(), content);
    let requests = upstream.requests_of("/blobs/");
    let starts: Vec<_> = requests.iter().map(|seen| seen.range().map(str::to_owned)).collect();
    let ranges = ["bytes=70000-", "bytes=140000-", "bytes=210000-"].map(str::to_owned).map(Some);
    assert_eq!(starts[0], None);
    assert_eq!(starts[1..], ranges);
    assert_eq!(requests[1].header("if-range"), Some(format!("\"{digest}\"").as_str()));
}

#[tokio::test]
async fn an_upstream_that_ignores_ranges_is_read_from_the_start_again() {
    let (upstream, digest, content) = with_blob(300_000).await;
    upstream.fault("/blobs/", Fault::IgnoreRange);
    upstream.fault_times("/blobs/", 1, Fault::CutAfter(70_000));
    let client = TestClient::of(&upstream).build();
    assert_eq!(pull(&client, &digest).await.unwrap(), content);
    assert_eq!(upstream.count("/blobs/"), 2);
}

#[tokio::test]
async fn a_transfer_that_changed_in_between_is_an_error() {
    for fault in [
        Fault::Header("etag", "\"other\"".to_owned()),
        Fault::Header("content-range", "bytes 0-9/300000".to_owned()),
        Fault::Header("content-range", "bytes 70000-299999/300001".to_owned()),
        Fault::Body(Bytes::from_static(b"short")),
        Fault::Status(416),
        Fault::Status(404),
    ] {
        let (upstream, digest, _) = with_blob(300_000).await;
        upstream.fault("/blobs/", fault);
        upstream.fault_times("/blobs/", 1, Fault::CutAfter(70_000));
        let client = TestClient::of(&upstream).build();
        let read = pull(&client, &digest).await;
        // Wrong bytes of the right range are the reader's to find out; fewer of them are an error.
        assert!(read.is_err(), "{:?}", read.map(|read| read.len()));
    }
}

#[tokio::test]
async fn a_transfer_without_progress_ends() {
    let (upstream, digest, _) = with_blob(300_000).await;
    upstream.fault("/blobs/", Fault::CutAfter(0));
    let client = TestClient::of(&upstream).build();
    assert!(pull(&client, &digest).await.is_err());
    assert!(upstream.count("/blobs/") <= 2, "{}", upstream.count("/blobs/"));

    let (upstream, digest, _) = with_blob(300_000).await;
    upstream.fault("/blobs/", Fault::CutAfter(1000));
    let client = TestClient::of(&upstream).limits(|limits| limits.resumes = 4).build();
    assert!(pull(&client, &digest).await.is_err());
    assert!(upstream.count("/blobs/") <= 5, "{}", upstream.count("/blobs/"));
}

#[tokio::test]
async fn failures_that_pass_are_tried_three_times_and_others_once() {
    for (status, recovers) in [(500, true), (503, true), (403, false), (404, false)] {
        let (upstream, digest, content) = with_blob(10).await;
        upstream.fault_times("/blobs/", 2, Fault::Status(status));
        let client = TestClient::of(&upstream).build();
        match client.fetch_blob(&name(), &digest).await {
            Ok(Some(_)) => assert!(recovers, "{status}"),
            Ok(None) => assert_eq!(status, 404),
            Err(_) => assert!(!recovers, "{status}"),
        }
        assert_eq!(upstream.count("/blobs/"), if recovers { 3 } else { 1 });
        upstream.heal();
        upstream.fault_times("/blobs/", 3, Fault::Status(503));
        assert!(client.fetch_blob(&name(), &digest).await.is_err());
        assert_eq!(pull(&client, &digest).await.unwrap(), content);
    }
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_gets_a_rest_and_then_one_probe() {
    let (upstream, _, _) = with_blob(10).await;
    upstream.push(REPOSITORY, "1", &Image::new().build());
    upstream.go_away();
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let mut client = TestClient::of(&upstream);
    client.clock = Arc::new(clock.clone());
    let client = client.build();
    let mut last = None;
    for _ in 0..5 {
        last = resolve(&client).await.err();
    }
    assert!(matches!(last, Some(Error::Resting { .. })), "{last:?}");
    let connections = upstream.connections();
    assert!(connections <= 5, "{connections}");
    assert_eq!(client.status()[0].breaker, Breaker::Open);
    assert!(resolve(&client).await.unwrap_err().retry_after().is_some());

    clock.advance(Duration::from_secs(10));
    assert!(resolve(&client).await.is_err());
    assert!(upstream.connections() - connections <= 1);
    upstream.come_back();
    clock.advance(Duration::from_secs(10));
    resolve(&client).await.unwrap();
    assert_eq!(client.status()[0].breaker, Breaker::Closed);
}

#[tokio::test]
async fn a_rate_limit_is_kept_by_everybody() {
    let (upstream, digest, _) = with_blob(10).await;
    upstream.add_header("ratelimit-limit", "100;w=21600");
    upstream.add_header("ratelimit-remaining", "7;w=21600");
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let mut client = TestClient::of(&upstream);
    client.clock = Arc::new(clock.clone());
    let client = client.build();
    pull(&client, &digest).await.unwrap();
    let limit = client.status()[0].rate_limit.unwrap();
    assert_eq!((limit.limit, limit.remaining), (100, 7));

    upstream.clear_requests();
    upstream.fault("/blobs/", Fault::StatusRetryAfter(429, "1000000000".to_owned()));
    for _ in 0..5 {
        let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
        assert!(error.is_rate_limited(), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_mins(15)), "capped");
    }
    assert_eq!(upstream.requests().len(), 1);
    upstream.heal();
    clock.advance(Duration::from_secs(901));
    pull(&client, &digest).await.unwrap();
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let (upstream, digest, content) = with_blob(10).await;
    upstream.fault_times("/blobs/", 2, Fault::StatusRetryAfter(429, "0".to_owned()));
    let client = TestClient::of(&upstream).build();
    assert_eq!(pull(&client, &digest).await.unwrap(), content);
    upstream.fault_times("/blobs/", 1, Fault::StatusRetryAfter(503, "3600".to_owned()));
    let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_mins(15)));
}

#[tokio::test]
async fn an_upstream_that_stalls_costs_a_time_out_and_not_for_ever() {
    let (upstream, digest, content) = with_blob(300_000).await;
    let image = upstream.push(REPOSITORY, "1", &Image::new().build());
    let gate = Gate::closed();
    let short = |limits: &mut pratique::upstream::Limits| {
        limits.first_byte_timeout = Duration::from_millis(200);
        limits.idle_timeout = Duration::from_millis(200);
    };
    let client = TestClient::of(&upstream).limits(short).build();
    upstream.fault("/manifests/", Fault::Hold(gate.clone()));
    let error = resolve(&client).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { stage: "first byte", .. }), "{error}");
    assert_eq!(upstream.count("/manifests/"), 1, "a time-out is not tried again at once");

    upstream.heal();
    upstream.fault("/manifests/", Fault::StallAfter(5, gate.clone()));
    let error = client.fetch_manifest(&name(), &Reference::Digest(image)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { stage: "body", .. }), "{error}");

    upstream.fault_times("/blobs/", 1, Fault::StallAfter(70_000, gate.clone()));
    assert_eq!(pull(&client, &digest).await.unwrap(), content, "a stalled blob is taken up again");
    gate.open();
}

#[tokio::test]
async fn exchanges_with_one_upstream_are_bounded() {
    let (upstream, digest, _) = with_blob(300_000).await;
    let gate = Gate::closed();
    upstream.fault("/blobs/", Fault::StallAfter(10, gate.clone()));
    let client = TestClient::of(&upstream)
        .limits(|limits| {
            limits.exchanges_max = 2;
            limits.first_byte_timeout = Duration::from_millis(200);
        })
        .build();
    let first = client.fetch_blob(&name(), &digest).await.unwrap();
    let _second = client.fetch_blob(&name(), &digest).await.unwrap();
    let error = client.fetch_blob(&name(), &digest).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { stage: "free connection", .. }), "{error}");
    drop(first);
    client.fetch_blob(&name(), &digest).await.unwrap();
    gate.open();
}

#[tokio::test]
async fn plain_http_goes_to_a_proxy_in_absolute_form() {
    let proxy = FakeUpstream::start().await;
    let mut client =
        TestClient::of(&proxy).with(|it| it.url = "http://reg.invalid:8080".to_owned());
    client.proxy = ProxySettings {
        http: Some(format!("http://user:pass@{}", proxy.host())),
        ..ProxySettings::default()
    };
    assert!(client.build().resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap().is_none());
    let seen = &proxy.requests_of("HEAD http://reg.invalid:8080/v2/lib/app/manifests/1")[0];
    assert_eq!(seen.header("host"), Some("reg.invalid:8080"));
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_learns_no_more_than_the_host() {
    let upstream = FakeUpstream::start_tls().await;
    upstream.push(REPOSITORY, "1", &Image::new().build());
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, upstream.ca_pem().unwrap()).unwrap();
    let proxy = FakeProxy::start(upstream.host()).await;
    let settings = |no_proxy: &[&str]| {
        let mut client =
            TestClient::of(&upstream).with(|registry| registry.ca_file = Some(ca_file.clone()));
        client.proxy = ProxySettings {
            https: Some(proxy.address().to_owned()),
            no_proxy: no_proxy.iter().map(|entry| (*entry).to_owned()).collect(),
            ..ProxySettings::default()
        };
        client.build()
    };
    resolve(&settings(&[])).await.unwrap();
    let expected = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", upstream.host());
    assert_eq!(proxy.heads(), [expected]);
    resolve(&settings(&["127.0.0.0/8"])).await.unwrap();
    assert_eq!(proxy.heads().len(), 1, "no_proxy goes directly");
}

#[tokio::test]
async fn a_proxy_is_no_way_around_the_address_filter() {
    let (upstream, digest, _) = with_blob(10).await;
    let proxy = FakeProxy::start(upstream.host()).await;
    for host in ["169.254.169.254", "localhost", "[::ffff:10.0.0.1]"] {
        upstream.fault("/blobs/", Fault::Redirect(302, format!("https://{host}/x")));
        let mut client = TestClient::of(&upstream);
        client.proxy.https = Some(proxy.address().to_owned());
        let error = client.build().fetch_blob(&name(), &digest).await.unwrap_err();
        assert!(matches!(error, Error::AddressRefused { .. }), "{host}: {error}");
    }
    assert!(proxy.heads().is_empty());
}
