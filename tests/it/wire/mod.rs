//! What clients may send, byte by byte: what no HTTP library would let a test say.

mod crowds;
mod errors;
mod framing;
mod gates;
mod http2;
mod paths;
mod ranges;
mod secrets;
mod slow;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a test waits before it says that nothing came.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest body of an error, in bytes.
const ERROR_BODY_MAX: usize = 4 * 1024;

/// Every image of these is served.
const OPEN: &str = r#"- {id: open, match: ["up.test/open/**"], trust: allow}"#;

/// An answer as it stood on the wire.
#[derive(Debug)]
struct Said {
    status: u16,
    phrase: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Said {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("a status line");
        let mut words = status_line.splitn(3, ' ');
        assert_eq!(words.next(), Some("HTTP/1.1"), "{head}");
        let status = words.next().and_then(|word| word.parse().ok()).expect("a status");
        let phrase = words.next().unwrap_or_default().to_owned();
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        let headers =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status, phrase, headers, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The code of an error body, which is of the specification's form and size.
    #[track_caller]
    fn code(&self) -> String {
        assert!(self.body.len() <= ERROR_BODY_MAX, "{} bytes", self.body.len());
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: Value = serde_json::from_slice(&self.body).expect("a JSON body");
        let errors = body["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{body}");
        assert!(errors[0]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        errors[0]["code"].as_str().expect("a code").to_owned()
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("nothing came in time")
}

/// Sends `bytes` and gives everything that comes until the connection ends.
async fn sent(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // Who refuses early may close before all was sent.
    drop(stream.write_all(bytes).await);
    until_closed(&mut stream).await
}

/// Everything that comes until the connection ends, however it ends.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    in_time(async {
        while let Ok(length) = stream.read(&mut piece).await {
            if length == 0 {
                break;
            }
            answer.extend_from_slice(&piece[..length]);
        }
    })
    .await;
    answer
}

/// The one answer to `bytes`, after which the connection is closed.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Said {
    let answer = sent(address, bytes).await;
    let said = Said::parse(&answer);
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one request, several answers: {text}");
    said
}

/// A plain request for `target`, with `headers` (lines without their ends).
fn get(target: &str, headers: &[&str]) -> Vec<u8> {
    request("GET", target, headers)
}

fn request(method: &str, target: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: mirror.test\r\n");
    for line in headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    text.into_bytes()
}
