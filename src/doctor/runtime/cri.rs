//! The image service of the container runtime interface, over the runtime's socket: the calls that
//! kubelet makes, for containerd and CRI-O alike.
//!
//! Spec: <https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto>,
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper::rt::Executor;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protobuf::{field, fields};
use super::{Kept, Pulled};
use crate::tasks::Tasks;

/// How long everything but a pull may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most bytes of what is said of a failure.
const SAID_BYTES_MAX: usize = 8 * 1024;
/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Why a call gave no answer.
#[derive(Debug)]
enum CallError {
    /// Nobody answers, or not by this protocol.
    Unreachable(String),
    /// The runtime says no.
    Said(String),
}

/// Runs the tasks of a connection where all others are.
#[derive(Debug, Clone)]
struct Spawner(Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn(future));
    }
}

/// Pulls `image` by the socket at `path`, and removes it again.
pub(super) async fn pull(path: &Path, image: &str, limit: Duration, tasks: &Tasks) -> Pulled {
    let names_before = match names_of(path, image, tasks).await {
        Ok(names) => names,
        Err(CallError::Unreachable(why) | CallError::Said(why)) => return Pulled::Untried(why),
    };
    let spec = field(1, image.as_bytes());
    match call(path, "PullImage", &field(1, &spec), limit, tasks).await {
        Err(CallError::Unreachable(why)) => Pulled::Untried(why),
        Err(CallError::Said(said)) => Pulled::No(said),
        Ok(_) if !names_before.is_empty() => Pulled::Yes(Kept::WasThere),
        Ok(_) => Pulled::Yes(remove(path, image, tasks).await),
    }
}

/// Removes what was pulled. The runtime removes every name of an image at once: one that has others is
/// somebody else's, and stays.
async fn remove(path: &Path, image: &str, tasks: &Tasks) -> Kept {
    match names_of(path, image, tasks).await {
        Ok(names) if names.len() > 1 => return Kept::HasOtherNames,
        Ok(_) => {}
        Err(CallError::Unreachable(why) | CallError::Said(why)) => return Kept::NotRemoved(why),
    }
    let request = field(1, &field(1, image.as_bytes()));
    match call(path, "RemoveImage", &request, CALL_TIMEOUT, tasks).await {
        Ok(_) => Kept::Nothing,
        Err(CallError::Unreachable(why) | CallError::Said(why)) => Kept::NotRemoved(why),
    }
}

/// The names of the image that is called `image`; empty where there is none.
async fn names_of(path: &Path, image: &str, tasks: &Tasks) -> Result<Vec<String>, CallError> {
    const BROKEN: &str = "its answer is not that of an image service";
    let broken = || CallError::Unreachable(BROKEN.to_owned());
    let request = field(1, &field(1, image.as_bytes()));
    let answer = call(path, "ImageStatus", &request, CALL_TIMEOUT, tasks).await?;
    let images = fields(&answer, 1).ok_or_else(broken)?;
    let Some(found) = images.first() else { return Ok(Vec::new()) };
    // Field 2 has the tags, field 3 the names by digest. One that is pulled by tag has both.
    let mut names: Vec<String> = Vec::new();
    for number in [2, 3] {
        let texts = fields(found, number).ok_or_else(broken)?;
        names.extend(texts.iter().map(|it| String::from_utf8_lossy(it).into_owned()));
        if !names.is_empty() {
            break;
        }
    }
    if names.is_empty() {
        names.push(image.to_owned());
    }
    Ok(names)
}

/// One call of the image service.
async fn call(
    path: &Path,
    method: &str,
    message: &[u8],
    limit: Duration,
    tasks: &Tasks,
) -> Result<Bytes, CallError> {
    let calling = exchange(path, method, message, tasks);
    match timeout(limit, calling).await {
        Ok(answered) => answered,
        Err(_) => {
            Err(CallError::Unreachable(format!("{method} took longer than {} s", limit.as_secs())))
        }
    }
}

async fn exchange(
    path: &Path,
    method: &str,
    message: &[u8],
    tasks: &Tasks,
) -> Result<Bytes, CallError> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        CallError::Unreachable(format!("{what} {}: {error}", path.display()))
    };
    let stream = UnixStream::connect(path).await.map_err(|e| failed("no connection to", &e))?;
    let (mut sender, connection) = http2::handshake(Spawner(tasks.clone()), TokioIo::new(stream))
        .await
        .map_err(|e| failed("no gRPC at", &e))?;
    drop(tasks.spawn(async move { drop(connection.await) }));
    let request = Request::post(format!("http://localhost/runtime.v1.ImageService/{method}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(Full::new(framed(message)))
        .map_err(|e| failed("no request for", &e))?;
    let answer = sender.send_request(request).await.map_err(|e| failed("no answer from", &e))?;
    if answer.status() != StatusCode::OK {
        let status = io::Error::other(answer.status().to_string());
        return Err(failed("no gRPC at", &status));
    }
    let headers = answer.headers().clone();
    let collected = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let collected = collected.map_err(|e| failed("no whole answer from", e.as_ref()))?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    // Where there is nothing but a failure, it is said in the head.
    let Some(status) = trailers.get("grpc-status").or_else(|| headers.get("grpc-status")) else {
        return Err(failed("no status from", &io::Error::other("the answer broke off")));
    };
    if status != "0" {
        return Err(CallError::Said(said(&trailers, &headers)));
    }
    let body = collected.to_bytes();
    unframed(&body).ok_or_else(|| failed("no message from", &io::Error::other("it is not whole")))
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(message);
    bytes.freeze()
}

/// The one message of an answer; it is not compressed, as nothing else was offered.
fn unframed(bytes: &Bytes) -> Option<Bytes> {
    let (prefix, message) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let [compressed, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (*compressed == 0 && message.len() == length).then(|| bytes.slice(PREFIX_BYTES..))
}

/// What the runtime says of a failure, bounded and printable.
fn said(trailers: &HeaderMap, headers: &HeaderMap) -> String {
    let text = trailers.get("grpc-message").or_else(|| headers.get("grpc-message"));
    let bytes = text.map(hyper::header::HeaderValue::as_bytes).unwrap_or_default();
    let bytes = bytes.get(..SAID_BYTES_MAX).unwrap_or(bytes);
    let text = percent_encoding::percent_decode(bytes).decode_utf8_lossy();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_length_before_it_and_no_other() {
        assert_eq!(framed(b"ab"), &b"\0\0\0\0\x02ab"[..]);
        assert_eq!(unframed(&framed(b"ab")).unwrap(), &b"ab"[..]);
        for broken in
            [&b""[..], b"\0\0\0", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab"]
        {
            assert_eq!(unframed(&Bytes::from_static(broken)), None, "{broken:?}");
        }
    }

    #[test]
    fn what_a_runtime_says_is_bounded_and_cannot_steer_a_terminal() {
        let mut trailers = HeaderMap::new();
        let text = format!("403 %1b[31mDenied{}", "x".repeat(20_000));
        trailers.insert("grpc-message", text.parse().unwrap());
        let said = said(&trailers, &HeaderMap::new());
        assert!(said.starts_with("403  [31mDenied") && said.len() <= SAID_BYTES_MAX);
    }
}
