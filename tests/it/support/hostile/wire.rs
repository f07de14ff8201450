//! Requests off the socket, and answers onto it, byte by byte.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use pratique::oci::{Digest, RangeRequest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fault::Fault;
use super::ledger::Entry;
use super::{Auth, ERROR_CANARY, Shared, State};

/// Longest head of a request that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Piece in which endless things are sent, in bytes.
const PIECE: usize = 64 * 1024;

/// A socket, plain or TLS, that can be reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Whether the connection is kept after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Close,
    Keep,
    Reset,
}

/// A right answer in the making.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Answer {
    fn of(status: u16) -> Self {
        let body = if status < 300 {
            Bytes::new()
        } else {
            format!(r#"{{"errors":[{{"code":"UNKNOWN","message":"{ERROR_CANARY}"}}]}}"#).into()
        };
        Self { status, headers: Vec::new(), body }
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.into()));
    }

    fn head(&self, framing: &str) -> String {
        let mut head = format!("HTTP/1.1 {} Word\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes it");
        }
        head + framing + "\r\n"
    }

    fn with_length(&self, length: usize) -> String {
        self.head(&format!("content-length: {length}\r\n"))
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(mut socket: impl Socket, shared: &Shared) {
    while let Ok(Some((method, target, headers, body))) = read_request(&mut socket).await {
        let (entry, answer, fault) = {
            let mut state = shared.state();
            let fault = state.fault(&format!("{method} {target}"));
            let mut entry = Entry::new(method, target, headers, body, fault.is_some());
            let answer = state.answer(&entry, matches!(fault, Some(Fault::IgnoreRange)));
            entry.is_found = answer.status < 300;
            (entry, answer, fault)
        };
        shared.ledger.record(entry.clone());
        match send(&mut socket, &entry, answer, fault).await {
            Ok(After::Keep) => {}
            Ok(After::Reset) => {
                drop(socket.tcp().set_zero_linger());
                return;
            }
            Ok(After::Close) => {
                drop(socket.shutdown().await);
                return;
            }
            Err(_gone) => return,
        }
    }
}

type Head = (String, String, Vec<(String, String)>, String);

async fn read_request(socket: &mut impl Socket) -> io::Result<Option<Head>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX || socket.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length.min(HEAD_BYTES_MAX)];
    socket.read_exact(&mut body).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some((method.to_owned(), target.to_owned(), headers, body)))
}

async fn put(socket: &mut impl Socket, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        socket.write_all(piece).await?;
        entry.count_sent(piece.len());
    }
    socket.flush().await
}

async fn slowly(
    socket: &mut impl Socket,
    entry: &Entry,
    bytes: &[u8],
    pause: Duration,
) -> io::Result<()> {
    for byte in bytes {
        put(socket, entry, std::slice::from_ref(byte)).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not of the content is of the framing")]
async fn send(
    socket: &mut impl Socket,
    entry: &Entry,
    mut answer: Answer,
    fault: Option<Fault>,
) -> io::Result<After> {
    let is_head = entry.method == "HEAD";
    let Some(fault) = fault else { return right(socket, entry, &answer).await };
    match &fault {
        Fault::Body(bytes) => answer.body = bytes.clone(),
        Fault::GzipBomb => {
            answer.set("content-encoding", "gzip");
            answer.body = gzip_bomb();
        }
        Fault::Header(name, value) => answer.set(name, value),
        Fault::IgnoreRange => {}
        Fault::Redirect(to) => {
            answer = Answer::of(307);
            answer.set("location", to);
        }
        Fault::Status(status, after) => {
            answer = Answer::of(*status);
            if let Some(after) = after {
                answer.set("retry-after", after);
            }
        }
        Fault::WrongBytes => answer.body = answer.body.iter().map(|byte| !byte).collect(),
        Fault::WrongRange => {
            answer.status = 206;
            answer.set("content-range", format!("bytes 1-{0}/{0}", answer.body.len()));
        }
        Fault::ManyHeaders(count) => {
            for number in 0..*count {
                answer.headers.push((format!("x-{number}"), "x".to_owned()));
            }
        }
        Fault::HugeHead(bytes) => answer.set("x-huge", "x".repeat(*bytes)),
        _ => return raw(socket, entry, &answer, fault, is_head).await,
    }
    right(socket, entry, &answer).await
}

async fn right(socket: &mut impl Socket, entry: &Entry, answer: &Answer) -> io::Result<After> {
    put(socket, entry, answer.with_length(answer.body.len()).as_bytes()).await?;
    if entry.method != "HEAD" {
        put(socket, entry, &answer.body).await?;
    }
    Ok(After::Keep)
}

/// Sends `before` and then `again` until nobody takes it any more.
async fn endless(
    socket: &mut impl Socket,
    entry: &Entry,
    before: &str,
    again: &[u8],
) -> io::Result<After> {
    put(socket, entry, before.as_bytes()).await?;
    loop {
        put(socket, entry, again).await?;
    }
}

/// Faults of the framing and of the pace.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other half of `send`")]
async fn raw(
    socket: &mut impl Socket,
    entry: &Entry,
    answer: &Answer,
    fault: Fault,
    is_head: bool,
) -> io::Result<After> {
    let body = &answer.body;
    let whole = answer.with_length(body.len());
    let start = |at: usize| if is_head { Bytes::new() } else { body.slice(..at.min(body.len())) };
    match fault {
        Fault::EndlessBody => {
            let head = answer.head("transfer-encoding: chunked\r\n");
            let chunk = [format!("{PIECE:x}\r\n").into_bytes(), vec![0; PIECE], b"\r\n".to_vec()];
            endless(socket, entry, &head, &chunk.concat()).await
        }
        Fault::EndlessChunkExtension => {
            let head = answer.head("transfer-encoding: chunked\r\n") + "5;x=";
            endless(socket, entry, &head, &[b'x'; 1024]).await
        }
        Fault::FinAt(at) => {
            put(socket, entry, &[whole.as_bytes(), &start(at)].concat()).await?;
            Ok(After::Close)
        }
        Fault::ResetAt(at) => {
            put(socket, entry, &[whole.as_bytes(), &start(at)].concat()).await?;
            Ok(After::Reset)
        }
        Fault::StallAt(at) => {
            put(socket, entry, &[whole.as_bytes(), &start(at)].concat()).await?;
            gone(socket).await
        }
        Fault::Silence => gone(socket).await,
        Fault::LengthAndChunks => {
            let framing =
                format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", body.len());
            let before = format!("{}{:x}\r\n", answer.head(&framing), body.len());
            let parts: [&[u8]; 3] = [before.as_bytes(), body, b"\r\n0\r\n\r\n"];
            put(socket, entry, &parts.concat()).await?;
            Ok(After::Close)
        }
        Fault::LengthOff(by) => {
            let length = body.len().checked_add_signed(isize::try_from(by).expect("small"));
            let length = length.unwrap_or(0);
            let mut bytes = start(body.len()).to_vec();
            bytes.resize(if is_head { 0 } else { length }, b'!');
            put(socket, entry, &[answer.with_length(length).as_bytes(), &bytes].concat()).await?;
            Ok(After::Keep)
        }
        Fault::NoLength => {
            put(socket, entry, &[answer.head("").as_bytes(), &start(body.len())].concat()).await?;
            Ok(After::Close)
        }
        Fault::Raw(bytes) => {
            put(socket, entry, &bytes).await?;
            Ok(After::Close)
        }
        Fault::SlowHead(pause) => {
            slowly(socket, entry, whole.as_bytes(), pause).await?;
            put(socket, entry, &start(body.len())).await?;
            Ok(After::Keep)
        }
        Fault::SlowBody(at, pause) => {
            put(socket, entry, &[whole.as_bytes(), &start(at)].concat()).await?;
            slowly(socket, entry, &start(body.len())[start(at).len()..], pause).await?;
            Ok(After::Keep)
        }
        other => unreachable!("{other:?} is no fault of the framing"),
    }
}

/// Waits until the other side ends it.
async fn gone(socket: &mut impl Socket) -> io::Result<After> {
    let mut ignored = [0; 1024];
    while socket.read(&mut ignored).await? > 0 {}
    Ok(After::Close)
}

/// A gzip member of stored blocks would do; what counts is that nobody unpacks it.
fn gzip_bomb() -> Bytes {
    let mut bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    bomb.resize(64 * 1024, 0);
    bomb.into()
}

impl State {
    fn fault(&mut self, line: &str) -> Option<Fault> {
        let rule = self
            .plan
            .iter_mut()
            .rev()
            .find(|rule| rule.left != Some(0) && line.contains(&rule.needle))?;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some(rule.fault.clone())
    }

    fn answer(&mut self, entry: &Entry, ignores_range: bool) -> Answer {
        let (path, query) = entry.target.split_once('?').unwrap_or((&entry.target, ""));
        if path == "/token" {
            return self.token(entry, query);
        }
        let Some((name, kind, last)) = split(path) else {
            return Answer::of(if path == "/v2/" { 200 } else { 404 });
        };
        if let Some(challenge) = self.challenge(entry, &name) {
            let mut answer = Answer::of(401);
            answer.set("www-authenticate", challenge);
            return answer;
        }
        let headers = self.headers.clone();
        let range = entry.range().filter(|_| !ignores_range).map(str::to_owned);
        let Some(repository) = self.repositories.get_mut(&name) else { return Answer::of(404) };
        let found = match kind {
            "blobs" => last.parse().ok().and_then(|digest: Digest| {
                let octets = "application/octet-stream".to_owned();
                repository.blobs.get(&digest).map(|bytes| (digest, octets, bytes.clone()))
            }),
            "manifests" => {
                let digest = match repository.tags.get_mut(&last) {
                    Some((turn, digests)) => {
                        *turn += 1;
                        digests.get((*turn - 1) % digests.len().max(1)).copied()
                    }
                    None => last.parse().ok(),
                };
                digest.and_then(|digest| {
                    let (media_type, bytes) = repository.manifests.get(&digest)?;
                    Some((digest, media_type.to_string(), bytes.clone()))
                })
            }
            _ => None,
        };
        let mut answer = match found {
            Some((digest, media_type, bytes)) => {
                content(&digest, &media_type, bytes, range.as_deref())
            }
            None => Answer::of(404),
        };
        for (name, value) in headers {
            answer.set(name, value);
        }
        answer
    }

    fn challenge(&self, entry: &Entry, name: &str) -> Option<String> {
        let shown = entry.authorization();
        match &self.auth {
            Auth::Open => None,
            Auth::Basic(prefix, user, password) => {
                let good = basic(user, password);
                (name.starts_with(prefix) && shown != Some(&good))
                    .then(|| "Basic realm=\"hostile\"".to_owned())
            }
            Auth::Token(realm) => {
                let good = format!("Bearer token.{}.", hex::encode(name));
                let shown = shown.is_some_and(|shown| shown.starts_with(&good));
                (!shown).then(|| {
                    format!(
                        "Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:{name}:pull\""
                    )
                })
            }
        }
    }

    fn token(&mut self, entry: &Entry, query: &str) -> Answer {
        let shown = entry.authorization().unwrap_or_default();
        let known = |(user, password): &(String, String)| basic(user, password) == shown;
        if !self.logins.is_empty() && !self.logins.iter().any(known) {
            return Answer::of(401);
        }
        self.tokens += 1;
        let scope = query.split('&').find_map(|part| part.strip_prefix("scope="));
        let scope = percent_encoding::percent_decode_str(scope.unwrap_or_default());
        let scope = scope.decode_utf8_lossy();
        let name = scope.trim_start_matches("repository:").trim_end_matches(":pull");
        let mut answer = Answer::of(200);
        let token = format!("token.{}.{}", hex::encode(name), self.tokens);
        answer.body = format!(r#"{{"token":"{token}","expires_in":300}}"#).into();
        answer
    }
}

/// `/v2/<name>/<kind>/<last>`.
fn split(path: &str) -> Option<(String, &str, String)> {
    let (rest, last) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
    let (name, kind) = rest.rsplit_once('/')?;
    Some((name.to_owned(), kind, last.to_owned()))
}

fn content(digest: &Digest, media_type: &str, bytes: Bytes, range: Option<&str>) -> Answer {
    let mut answer = Answer::of(200);
    answer.set("content-type", media_type);
    answer.set("docker-content-digest", digest.to_string());
    answer.set("etag", format!("\"{digest}\""));
    let size = u64::try_from(bytes.len()).expect("content fits");
    let range = range.and_then(RangeRequest::parse).map(|range| range.resolve(size));
    answer.body = match range {
        None => bytes,
        Some(Ok(range)) => {
            let index = |at: u64| usize::try_from(at).expect("within memory");
            answer.status = 206;
            answer.set("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1));
            bytes.slice(index(range.start)..index(range.end))
        }
        Some(Err(_)) => return Answer::of(416),
    };
    answer
}

/// The value of `Authorization` for a user and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}
