//! Clients that take their time (hostile catalogue, rows 33 and 40).
//!
//! How long exactly is tested on paused time beside `http::punctual` and `http::stall`; here it is
//! shown on real sockets with short times.

use std::time::Duration;

use pratique::config::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{OPEN, Said, get, in_time, until_closed};
use crate::support::certs::{Authority, Validity};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Fault, Gate, Image};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_mins(10);

async fn start(change: impl FnOnce(&mut Settings)) -> TestMirror {
    TestMirror::start_with(&format!("rules:\n{OPEN}"), change).await
}

/// Row 33: one byte now and then keeps no connection.
#[tokio::test]
async fn a_head_that_drips_in_is_given_up_and_a_connection_that_rests_is_not() {
    let mirror = start(|settings| {
        settings.node.header_timeout = SHORT;
        settings.node.idle_timeout = LONG;
    })
    .await;
    let mut resting = TcpStream::connect(mirror.node_address()).await.unwrap();
    resting.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    assert!(resting.read(&mut answer).await.unwrap() > 0);
    let dripping = TcpStream::connect(mirror.node_address()).await.unwrap();
    let (mut read, mut write) = dripping.into_split();
    let drip = async {
        for byte in b"GET /v2/ HTTP/1.1\r\nHost: ".iter().chain(std::iter::repeat(&b'a')) {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = async { read.read(&mut [0; 64]).await.map_or(0, |length| length) };
    let length = in_time(async {
        tokio::select! {
            () = drip => 0,
            length = closed => length,
        }
    })
    .await;
    assert_eq!(length, 0, "a head that never ended was answered");
    // All that while the other connection rested, longer than a head may take.
    tokio::time::sleep(SHORT * 2).await;
    resting.write_all(&get("/livez", &[])).await.unwrap();
    assert_eq!(Said::parse(&until_closed(&mut resting).await).status, 200);
}

/// Row 33: who asks nothing is not kept for ever either.
#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed() {
    let mirror = start(|settings| settings.node.idle_timeout = SHORT).await;
    let mut silent = TcpStream::connect(mirror.node_address()).await.unwrap();
    assert!(until_closed(&mut silent).await.is_empty());
    let mut asked = TcpStream::connect(mirror.node_address()).await.unwrap();
    asked.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(Said::parse(&until_closed(&mut asked).await).status, 200);
}

/// A head that came with the request before it, and not to its end, is not lost in a pause.
#[tokio::test]
async fn a_head_that_was_begun_with_the_request_before_it_is_read_to_its_end() {
    let mirror = start(|_| {}).await;
    let ahead = ["GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "GET /v2/nothing HTTP/1.1\r\nHos"];
    let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
    stream.write_all(ahead.concat().as_bytes()).await.unwrap();
    let mut first = [0; 512];
    let length = in_time(stream.read(&mut first)).await.unwrap();
    assert_eq!(Said::parse(&first[..length]).status, 200);
    // Longer than it takes until a connection rests.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream.write_all(b"t: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(Said::parse(&until_closed(&mut stream).await).status, 404);
}

/// Row 33: who has half closed, or vanished in the middle of a head, leaves no connection behind.
#[tokio::test]
async fn half_closed_connections_are_gone() {
    let mirror = start(|settings| settings.node.idle_timeout = LONG).await;
    for bytes in [&b""[..], b"GET /v2/ HT", b"GET /v2/ HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
    }
    for _ in 0..200 {
        if mirror.mirror().metrics().connections.value() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} connections are still open", mirror.mirror().metrics().connections.value());
}

/// An answer may take longer than a head: neither a slow upstream nor a request sent ahead while
/// waiting ends the connection.
#[tokio::test]
async fn a_client_that_waits_for_its_answer_is_not_taken_for_a_slow_one() {
    let mirror = start(|settings| {
        settings.node.header_timeout = SHORT;
        settings.node.idle_timeout = SHORT;
    })
    .await;
    let image = Image::new().layer(vec![5; 400_000]).build();
    mirror.upstream.push("open/app", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let gate = Gate::closed();
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault(&needle, Fault::StallAfter(100_000, gate.clone()));
    let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
    let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
    let ahead = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\nHo");
    stream.write_all(ahead.as_bytes()).await.unwrap();
    mirror.upstream.wait_for(&needle, 1).await;
    tokio::time::sleep(SHORT * 4).await;
    gate.open();
    stream.write_all(b"st: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut stream).await;
    let first = Said::parse(&answer);
    assert!(first.body.len() > 400_000, "cut after {} bytes", first.body.len());
    assert!(first.body[..400_000].iter().all(|byte| *byte == 5));
    assert_eq!(Said::parse(&first.body[400_000..]).status, 200);
}

/// Row 40: those who stop reading slow down nobody who shares the same fetch.
#[tokio::test]
async fn clients_that_stop_reading_do_not_slow_a_shared_fetch() {
    let mirror = start(|_| {}).await;
    let image = Image::new().layer(vec![3; 16 << 20]).build();
    mirror.upstream.push("open/app", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    let gate = Gate::closed();
    let needle = format!("GET /v2/open/app/blobs/{}", image.layer(0));
    mirror.upstream.fault(&needle, Fault::StallAfter(1 << 20, gate.clone()));
    let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
    let mut stuck = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
        stream.write_all(&get(&path, &[])).await.unwrap();
        stuck.push(stream);
    }
    mirror.upstream.wait_for(&needle, 1).await;
    gate.open();
    let served = in_time(mirror.blob("open/app", &image.layer(0))).await;
    assert_eq!((served.status, served.bytes().len()), (200, 16 << 20));
    assert_eq!(mirror.upstream.count(&needle), 1);
    drop(stuck);
}

/// A handshake that is not carried on holds its connection no longer than its time, and nobody else.
#[tokio::test]
async fn a_handshake_that_stalls_holds_up_nobody() {
    let authority = Authority::generate();
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.sign("mirror", Validity::Now).listener(folder.path(), None);
    let mirror = start(|settings| settings.node.tls = Some(tls)).await;
    let mut stalled = Vec::new();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stalled.push(stream);
    }
    for garbage in [&b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0xff; 100]] {
        let mut stream = TcpStream::connect(mirror.node_address()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "plain HTTP was answered on a TLS port");
    }
    for stream in &mut stalled {
        assert!(until_closed(stream).await.len() < 64, "a stalled handshake was answered");
    }
}
