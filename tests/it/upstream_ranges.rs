//! Large blobs over several connections: the right bytes in their order, whatever the ranges bring.

use std::time::Duration;

use bytes::Bytes;
use pratique::oci::Digest;
use pratique::upstream::{BlobStream, Client, Error, Limits};

use crate::support::client::{REPOSITORY, TestClient, name, pull, read};
use crate::support::upstream::{Auth, FakeUpstream, Fault, Gate};

const SEGMENT: u64 = 64 * 1024;
const SIZE: usize = 2_000_000;
const BLOBS: &str = "GET /v2/lib/app/blobs/";

/// Bytes that are others at every place.
fn content() -> Bytes {
    (0..SIZE / 4)
        .flat_map(|n| u32::try_from(n).unwrap().wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

async fn with_blob() -> (FakeUpstream, Digest) {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.put_blob(REPOSITORY, content());
    (upstream, digest)
}

/// Ranges from the first piece on.
fn at_once(limits: &mut Limits) {
    limits.range_after = Duration::ZERO;
    limits.range_bytes_min = 0;
    limits.range_segment_bytes = SEGMENT;
    limits.range_connections = 4;
}

fn client(upstream: &FakeUpstream) -> Client {
    TestClient::of(upstream).limits(at_once).build()
}

async fn begin(client: &Client, digest: &Digest) -> BlobStream {
    client.fetch_blob(&name(), digest).await.expect("an answer").expect("the blob")
}

/// Reads until ranges have taken over.
async fn until_ranges(upstream: &FakeUpstream, blob: &mut BlobStream) -> Vec<u8> {
    let mut all = Vec::new();
    while upstream.count("GET ") < 4 {
        all.extend_from_slice(&blob.next().await.expect("a piece").expect("not the end"));
    }
    all
}

/// First and last byte of every range asked for, in order of place.
fn ranges(upstream: &FakeUpstream, needle: &str) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = upstream
        .requests_of(needle)
        .iter()
        .filter_map(|seen| {
            let (first, last) = seen.range()?.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse().unwrap_or(u64::MAX)))
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

#[tokio::test]
async fn a_large_blob_comes_in_segments_each_asked_for_once() {
    let (upstream, digest) = with_blob().await;
    assert_eq!(pull(&client(&upstream), &digest).await.unwrap(), content());
    let ranges = ranges(&upstream, BLOBS);
    assert!(ranges.len() > 10, "{ranges:?}");
    assert_eq!(upstream.count(BLOBS), 1 + ranges.len());
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
    assert!(ranges.iter().all(|(first, last)| last - first < SEGMENT), "{ranges:?}");
    assert_eq!(ranges.last().unwrap().1, u64::try_from(SIZE).unwrap() - 1);
    assert!(upstream.connections() <= 6, "{}", upstream.connections());
}

#[tokio::test]
async fn while_one_connection_has_not_proved_too_slow_there_is_one_request() {
    for change in [
        |limits: &mut Limits| limits.range_after = Duration::from_hours(1),
        |limits: &mut Limits| limits.range_connections = 1,
        |limits: &mut Limits| limits.range_bytes_min = 1 << 30,
    ] {
        let (upstream, digest) = with_blob().await;
        let client = TestClient::of(&upstream).limits(at_once).limits(change).build();
        assert_eq!(pull(&client, &digest).await.unwrap(), content());
        assert_eq!(upstream.count(BLOBS), 1);
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_play_along_sends_all_of_it_over_the_first_connection() {
    let (upstream, digest) = with_blob().await;
    let other = format!("\"{}\"", Digest::sha256(b"other"));
    for fault in [
        Fault::IgnoreRange,
        Fault::Body(Bytes::from_static(b"short")),
        Fault::Header("content-range", "bytes 0-65535/2000000".to_owned()),
        Fault::Header("content-range", "bytes */2000000".to_owned()),
        Fault::Header("content-range", "nonsense".to_owned()),
        Fault::Header("content-encoding", "gzip".to_owned()),
        Fault::Header("etag", other),
        Fault::Redirect(302, "http://127.0.0.1:1/".to_owned()),
        Fault::Status(204),
        Fault::Status(404),
        Fault::Status(416),
        Fault::Status(500),
        Fault::StatusRetryAfter(429, "600".to_owned()),
    ] {
        upstream.heal();
        upstream.clear_requests();
        let mut blob = begin(&client(&upstream), &digest).await;
        let first = blob.next().await.unwrap().unwrap();
        // The first piece has begun the ranges; their first answer may be right, all others are not.
        upstream.fault(BLOBS, fault);
        let rest = read(blob).await;
        match rest {
            Ok(rest) => assert_eq!([first.to_vec(), rest].concat(), content()),
            // It played along at first, and then neither here nor when asked for the rest.
            Err(error) => assert!(upstream.count(BLOBS) > 2, "{error}"),
        }
    }
}

#[tokio::test]
async fn the_first_connection_goes_on_until_ranges_have_shown_themselves() {
    let (upstream, digest) = with_blob().await;
    for fault in [Fault::IgnoreRange, Fault::Status(404), Fault::CutAfter(0), Fault::Status(403)] {
        upstream.heal();
        upstream.clear_requests();
        let blob = begin(&client(&upstream), &digest).await;
        upstream.fault(BLOBS, fault);
        assert_eq!(read(blob).await.unwrap(), content());
        // One try, sent again as often as any request is; nothing was taken up again.
        assert!(upstream.count(BLOBS) <= 4, "{}", upstream.count(BLOBS));
    }
}

#[tokio::test]
async fn ranges_that_go_wrong_later_leave_the_rest_to_one_connection() {
    for fault in [
        Fault::IgnoreRange,
        Fault::Header("content-range", "bytes 0-65535/2000000".to_owned()),
        Fault::Header("etag", "\"other\"".to_owned()),
        Fault::Status(404),
        Fault::Status(500),
    ] {
        let (upstream, digest) = with_blob().await;
        let mut blob = begin(&client(&upstream), &digest).await;
        let mut all = until_ranges(&upstream, &mut blob).await;
        upstream.fault_times(BLOBS, 1, fault.clone());
        all.extend(read(blob).await.unwrap());
        assert_eq!(all, content());
    }
}

#[tokio::test]
async fn a_blob_that_changes_under_its_ranges_is_an_error_and_never_a_mixture() {
    let (upstream, digest) = with_blob().await;
    let mut blob = begin(&client(&upstream), &digest).await;
    let mut all = until_ranges(&upstream, &mut blob).await;
    upstream.fault(BLOBS, Fault::Header("etag", "\"other\"".to_owned()));
    let error = loop {
        match blob.next().await {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => panic!("ended cleanly"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert_eq!(all, content()[..all.len()]);
}

#[tokio::test]
async fn a_segment_that_breaks_off_is_taken_up_again_where_it_broke() {
    let (upstream, digest) = with_blob().await;
    let mut blob = begin(&client(&upstream), &digest).await;
    let mut all = until_ranges(&upstream, &mut blob).await;
    upstream.fault_times(BLOBS, 5, Fault::CutAfter(20_000));
    all.extend(read(blob).await.unwrap());
    assert_eq!(all, content());
    let open = ranges(&upstream, BLOBS).into_iter().filter(|(_, last)| *last == u64::MAX).count();
    assert_eq!(open, 0, "never over one connection");
}

#[tokio::test]
async fn where_redirects_led_is_asked_directly_and_without_credentials() {
    let (upstream, digest) = with_blob().await;
    let cdn = FakeUpstream::start().await;
    cdn.put_file("/signed", content());
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    // Each segment would count at the registry; it does not at the store behind it.
    upstream.add_header("ratelimit-limit", "100;w=21600");
    upstream.add_header("ratelimit-remaining", "90;w=21600");
    upstream.fault(BLOBS, Fault::Redirect(307, format!("{}/signed?signature=s3cret", cdn.url())));
    let client = TestClient::of(&upstream)
        .with(|it| it.redirect_hosts = vec![cdn.host()])
        .limits(at_once)
        .build();
    assert_eq!(pull(&client, &digest).await.unwrap(), content());
    assert!(upstream.count(BLOBS) <= 2, "once without a token, once with it");
    assert!(ranges(&cdn, "GET /signed?signature=s3cret").len() > 10);
    cdn.assert_no_credentials_seen();
}

#[tokio::test]
async fn an_address_that_has_run_out_is_asked_for_again() {
    let (upstream, digest) = with_blob().await;
    let cdn = FakeUpstream::start().await;
    for path in ["/old", "/new"] {
        cdn.put_file(path, content());
    }
    upstream.fault(BLOBS, Fault::Redirect(307, format!("{}/old", cdn.url())));
    let client = TestClient::of(&upstream)
        .with(|it| it.redirect_hosts = vec![cdn.host()])
        .limits(at_once)
        .build();
    let mut blob = begin(&client, &digest).await;
    let mut all = until_ranges(&cdn, &mut blob).await;
    upstream.fault(BLOBS, Fault::Redirect(307, format!("{}/new", cdn.url())));
    cdn.fault("GET /old", Fault::Status(403));
    all.extend(read(blob).await.unwrap());
    assert_eq!(all, content());
    assert!(ranges(&cdn, "GET /new").len() > 5);
    assert!(
        upstream.count(BLOBS) <= 5,
        "by those under way, not by each: {}",
        upstream.count(BLOBS)
    );
}

#[tokio::test]
async fn an_upstream_that_counts_its_requests_is_asked_once() {
    let (upstream, digest) = with_blob().await;
    upstream.add_header("ratelimit-limit", "100;w=21600");
    upstream.add_header("ratelimit-remaining", "90;w=21600");
    assert_eq!(pull(&client(&upstream), &digest).await.unwrap(), content());
    assert_eq!(upstream.count(BLOBS), 1);
}

#[tokio::test]
async fn an_upstream_that_asks_to_slow_down_is_waited_for() {
    let (upstream, digest) = with_blob().await;
    let mut blob = begin(&client(&upstream), &digest).await;
    let mut all = until_ranges(&upstream, &mut blob).await;
    upstream.fault_times(BLOBS, 1, Fault::StatusRetryAfter(429, "1".to_owned()));
    all.extend(read(blob).await.unwrap());
    assert_eq!(all, content());
}

#[tokio::test]
async fn no_more_segments_are_asked_for_than_there_is_room_for() {
    let (upstream, digest) = with_blob().await;
    let mut blob = begin(&client(&upstream), &digest).await;
    let mut all = until_ranges(&upstream, &mut blob).await;
    let before = upstream.count(BLOBS);
    let gate = Gate::closed();
    upstream.fault(BLOBS, Fault::StallAfter(0, gate.clone()));
    let opening = async {
        // Four at a time, however long the first of them takes.
        upstream.wait_for(BLOBS, before + 1).await;
        let stalled = upstream.count(BLOBS);
        gate.open();
        stalled
    };
    let (rest, stalled) = tokio::join!(read(blob), opening);
    all.extend(rest.unwrap());
    assert_eq!(all, content());
    assert!(stalled <= before + 4, "{stalled}");
}
