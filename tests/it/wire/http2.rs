//! HTTP/2 on the admin listener, frame by frame (hostile catalogue, rows 37 to 40).
//!
//! All of it is sent without a token: these are the attacks that need none.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{OPEN, in_time};
use crate::support::mirror::TestMirror;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    }
}

/// The header block of a request, without a table and without Huffman codes.
fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)];
    for (name, value) in pseudo {
        literal(&mut block, name, value);
    }
    literal(&mut block, "content-type", "application/json");
    block
}

/// A connection after the preface, with these settings.
async fn connect(address: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

fn admin(mirror: &TestMirror) -> SocketAddr {
    mirror.admin_url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// What an attack came to.
#[derive(Debug)]
struct Ended {
    /// Chunks of the attack that could be sent before the connection was gone.
    sent: usize,
    goaway: bool,
}

/// Sends up to `count` chunks while reading what comes, until the connection ends; panics if it does
/// not end.
async fn flood(stream: TcpStream, count: usize, mut chunk: impl FnMut(usize) -> Vec<u8>) -> Ended {
    let (mut read, mut write) = stream.into_split();
    let mut sent = 0;
    let sending = async {
        while sent < count {
            if write.write_all(&chunk(sent)).await.is_err() {
                break;
            }
            sent += 1;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    let reading = async {
        while let Ok(length) = read.read(&mut piece).await {
            if length == 0 {
                break;
            }
            answer.extend_from_slice(&piece[..length]);
        }
    };
    in_time(async {
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
    })
    .await;
    Ended { sent, goaway: kinds(&answer).contains(&GOAWAY) }
}

/// The kinds of the frames in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [high, middle, low, kind, ..] = *bytes {
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        kinds.push(kind);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    kinds
}

async fn assert_still_serves(mirror: &TestMirror) {
    let said = super::exchange(admin(mirror), &super::get("/livez", &[])).await;
    assert_eq!(said.status, 200);
}

/// Row 37 (CVE-2023-44487, RUSTSEC-2024-0003): rapid reset.
#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let mirror = TestMirror::start(OPEN).await;
    let stream = connect(admin(&mirror), &[]).await;
    let block = head("POST", "/api/v1/approvals");
    let ended = flood(stream, 100_000, |number| {
        let id = u32::try_from(number).unwrap() * 2 + 1;
        let mut bytes = frame(HEADERS, END_HEADERS, id, &block);
        bytes.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        bytes
    })
    .await;
    assert!(ended.goaway || ended.sent < 100_000, "{ended:?}");
    assert_still_serves(&mirror).await;
}

/// Row 38 (RUSTSEC-2024-0332): a head that goes on for ever.
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let mirror = TestMirror::start(OPEN).await;
    let stream = connect(admin(&mirror), &[]).await;
    let mut more = Vec::new();
    literal(&mut more, "x-flood", &"a".repeat(100));
    let more = more.repeat(100);
    let ended = flood(stream, 10_000, |number| {
        if number == 0 {
            return frame(HEADERS, 0, 1, &head("GET", "/livez"));
        }
        frame(CONTINUATION, 0, 1, &more)
    })
    .await;
    assert!(ended.sent < 5_000, "{} frames of 10 kB were taken", ended.sent);
    assert_still_serves(&mirror).await;
}

/// Row 38: the same with frames that carry nothing.
#[tokio::test]
async fn a_flood_of_empty_continuations_ends_the_connection() {
    let mirror = TestMirror::start(OPEN).await;
    let stream = connect(admin(&mirror), &[]).await;
    let ended = flood(stream, 1_000, |number| {
        if number == 0 {
            return frame(HEADERS, 0, 1, &head("GET", "/livez"));
        }
        frame(CONTINUATION, 0, 1, b"").repeat(100)
    })
    .await;
    assert!(ended.sent < 1_000, "{ended:?}");
    assert_still_serves(&mirror).await;
}

/// Row 39 (RUSTSEC-2026-0258): DATA frames that carry nothing and do not end.
#[tokio::test]
async fn a_flood_of_empty_data_frames_ends_the_connection() {
    let mirror = TestMirror::start(OPEN).await;
    let stream = connect(admin(&mirror), &[]).await;
    let ended = flood(stream, 5_000, |number| {
        if number == 0 {
            return frame(HEADERS, END_HEADERS, 1, &head("POST", "/api/v1/approvals"));
        }
        frame(DATA, 0, 1, b"").repeat(100)
    })
    .await;
    assert!(ended.sent < 5_000 || ended.goaway, "{ended:?}");
    assert_still_serves(&mirror).await;
}

/// Pings and settings that all want an answer which is never read.
#[tokio::test]
async fn answers_that_are_never_read_do_not_pile_up() {
    let mirror = TestMirror::start(OPEN).await;
    for bytes in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])] {
        let mut stream = connect(admin(&mirror), &[]).await;
        let bytes = bytes.repeat(1_000);
        let mut taken = 0;
        for _ in 0..2_000 {
            let writing = stream.write_all(&bytes);
            let waited = tokio::time::timeout(std::time::Duration::from_secs(1), writing).await;
            if !matches!(waited, Ok(Ok(()))) {
                break;
            }
            taken += 1_000;
        }
        // Either they stop being read or the connection ends; both are bounded.
        assert!(taken < 2_000_000, "{taken} frames were taken without an answer being read");
    }
    assert_still_serves(&mirror).await;
}

/// Row 40: windows of nothing hold as many streams as a connection may have, and no more.
#[tokio::test]
async fn streams_without_a_window_are_bounded_and_hold_up_nobody() {
    let mirror = TestMirror::start(OPEN).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    let mut stream = connect(admin(&mirror), &[0, 4, 0, 0, 0, 0]).await;
    let block = head("GET", "/metrics");
    for number in 0..1_000_u32 {
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &block);
        if stream.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let mut refused = 0;
    let mut answered = 0;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(Ok(length)) =
        tokio::time::timeout(std::time::Duration::from_secs(1), stream.read(&mut piece)).await
    {
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..length]);
        refused = kinds(&bytes).iter().filter(|kind| **kind == RST_STREAM).count();
        answered = kinds(&bytes).iter().filter(|kind| **kind == HEADERS).count();
    }
    assert!(answered <= 64, "{answered} streams were open at one time");
    assert!(refused > 0 || kinds(&bytes).contains(&GOAWAY), "{:?}", kinds(&bytes));
    assert!(!kinds(&bytes).contains(&WINDOW_UPDATE) || answered <= 64);
    assert_still_serves(&mirror).await;
}
