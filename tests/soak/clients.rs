//! Nodes: they pull, ask for ranges, and hang up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::ext::ReasonPhrase;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use pratique::oci::{Digest, Manifest};
use pratique::tasks::Tasks;
use tokio::net::TcpStream;

use crate::support::hostile::Seed;
use crate::support::hostile::invariants::Heard;
use crate::support::mirror::{Answer, REGISTRY};
use crate::world::{SLOTS, World, count, lock};

/// Longest that anybody waits for an answer: far more than any hold or time-out.
const ANSWER_MAX: Duration = Duration::from_mins(2);

/// What came of a request.
enum Came {
    Answer(Answer),
    /// The mirror was restarted meanwhile.
    Restart,
}

/// One node, until the end.
pub(crate) async fn node(world: Arc<World>, mut seed: Seed, tasks: Tasks) {
    while !world.is_over() {
        let slot = seed.below(SLOTS);
        match seed.below(10) {
            0 => pull(&world, &tasks, &format!("closed/app-{slot}")).await,
            1 | 2 => asked(&world, &tasks, &format!("asked/app-{slot}")).await,
            3 => hang_up(&world, &mut seed, &tasks, &format!("open/app-{slot}")).await,
            4 | 5 => range(&world, &mut seed, &tasks, &format!("open/app-{slot}")).await,
            _ => pull(&world, &tasks, &format!("open/app-{slot}")).await,
        };
        tokio::time::sleep(Duration::from_millis(u64::try_from(seed.below(30)).unwrap_or(0))).await;
    }
}

/// Pulls `asked/…`: it must not come while nobody has said yes, nor after somebody said no.
async fn asked(world: &World, tasks: &Tasks, repository: &str) -> bool {
    let before = world.decision(repository);
    let digest = world.image(repository).digest();
    let came = whole(world, tasks, repository, &digest.to_string()).await;
    let is_same = world.decision(repository) == before && before.is_multiple_of(2);
    if came && is_same && world.image(repository).digest() == digest {
        world.broke([format!("{repository}@{digest} came without a yes")]);
    }
    came
}

async fn pull(world: &World, tasks: &Tasks, repository: &str) -> bool {
    whole(world, tasks, repository, "1").await
}

/// Pulls the manifest and everything below it; gives whether all of it came.
pub(crate) async fn whole(world: &World, tasks: &Tasks, repository: &str, reference: &str) -> bool {
    count(&world.counts.pulls);
    let mut wanted = vec![format!("{repository}/manifests/{reference}")];
    let mut is_whole = true;
    while let Some(path) = wanted.pop() {
        let Came::Answer(answer) = ask(world, tasks, Method::GET, &path, None).await else {
            return false;
        };
        if !answer.header("warning").is_empty() {
            count(&world.counts.stale);
        }
        match (answer.status, &answer.body) {
            (200, Some(body)) if path.contains("/manifests/") => {
                let Ok(manifest) = Manifest::parse(body, None) else {
                    world.broke([format!("no manifest at {path}")]);
                    return false;
                };
                let kind =
                    if matches!(manifest, Manifest::Index(_)) { "manifests" } else { "blobs" };
                let listed = manifest.listed();
                wanted.extend(listed.map(|it| format!("{repository}/{kind}/{}", it.digest)));
            }
            (200, Some(_)) => {}
            (status, _) => {
                is_whole = false;
                count(match status {
                    200 => &world.counts.cut,
                    503 => &world.counts.undecided,
                    _ => &world.counts.refused,
                });
                if path.contains("/manifests/") {
                    return false;
                }
            }
        }
    }
    if is_whole {
        count(&world.counts.whole);
    }
    is_whole
}

/// Asks for a part of a blob, and compares it.
async fn range(world: &World, seed: &mut Seed, tasks: &Tasks, repository: &str) -> bool {
    let Some((digest, content)) = any_blob(world, seed, repository) else { return false };
    let start = seed.below(content.len());
    let end = start + seed.below(content.len() - start);
    let wanted = format!("bytes={start}-{end}");
    let path = format!("{repository}/blobs/{digest}");
    let Came::Answer(answer) = ask(world, tasks, Method::GET, &path, Some(&wanted)).await else {
        return false;
    };
    let (206, Some(body)) = (answer.status, &answer.body) else { return false };
    count(&world.counts.ranges);
    if body != &content.slice(start..=end) {
        world.broke([format!("{wanted} of {path} ended cleanly with other bytes")]);
    }
    true
}

/// Begins to read a blob and goes away.
async fn hang_up(world: &World, seed: &mut Seed, tasks: &Tasks, repository: &str) -> bool {
    let Some((digest, _)) = any_blob(world, seed, repository) else { return false };
    let path = format!("{repository}/blobs/{digest}");
    let patience = Duration::from_millis(u64::try_from(seed.below(40)).unwrap_or(0));
    let asking = ask(world, tasks, Method::GET, &path, None);
    if tokio::time::timeout(patience, asking).await.is_err() {
        count(&world.counts.hung_up);
    }
    true
}

fn any_blob(world: &World, seed: &mut Seed, repository: &str) -> Option<(Digest, Bytes)> {
    let image = world.image(repository);
    let blobs = &image.children.first().unwrap_or(&image).blobs;
    let digest = Digest::sha256(&blobs[seed.below(blobs.len())]);
    let content = lock(&world.contents).get(&digest).cloned()?;
    Some((digest, content))
}

async fn ask(
    world: &World,
    tasks: &Tasks,
    method: Method,
    path: &str,
    range: Option<&str>,
) -> Came {
    let before = world.restarts.load(Ordering::SeqCst);
    let path = format!("/v2/{path}?ns={REGISTRY}");
    let exchange = exchange(world, tasks, method, &path, range);
    match tokio::time::timeout(ANSWER_MAX, exchange).await {
        Ok(Ok(answer)) => {
            world.broke(Heard::new(&path, false, &answer).broken(&world.folder));
            return Came::Answer(answer);
        }
        _ if world.restarted_since(before) => {}
        // Cut before the first byte, as a body is that never came right.
        Ok(Err(Failed::Exchange(error))) if error.is_incomplete_message() => {
            count(&world.counts.cut);
        }
        Ok(Err(error)) => world.broke([format!("no answer to {path}: {error:?}")]),
        Err(_elapsed) => world.broke([format!("no answer to {path} in {ANSWER_MAX:?}")]),
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    Came::Restart
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    Connect(#[expect(dead_code, reason = "shown by Debug")] std::io::Error),
    Exchange(hyper::Error),
}

async fn exchange(
    world: &World,
    tasks: &Tasks,
    method: Method,
    path: &str,
    range: Option<&str>,
) -> Result<Answer, Failed> {
    let address = *lock(&world.address);
    let stream = TcpStream::connect(address).await.map_err(Failed::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Failed::Exchange)?;
    let driving = Driving(tasks.spawn(connection));
    let mut request = Request::builder().method(method).uri(path).header("host", "mirror.test");
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let response = sender.send_request(request).await.map_err(Failed::Exchange)?;
    let (parts, body) = response.into_parts();
    let phrase = parts.extensions.get::<ReasonPhrase>();
    let phrase = phrase.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
    drop(driving);
    let (status, phrase) = (parts.status.as_u16(), phrase.unwrap_or_default());
    Ok(Answer { status, phrase, headers: parts.headers, body })
}

/// A connection that ends with whoever asked.
struct Driving(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
