//! `Idempotency-Key`: what was asked for twice is done once.
//!
//! Whoever sends a key with a request gets the first answer again when they send both again within a day.
//! Answers are kept in memory and within bounds: a restart forgets them, and so does a caller who sends many
//! keys more. Nothing is kept that tells a secret; routes that do refuse the header.
//!
//! Spec: <https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::AdminState;
use super::body::read_bounded;
use super::problem::Problem;
use crate::ledger::Caller;
use crate::oci::Digest;
use crate::time::Timestamp;

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const LIFE: Duration = Duration::from_hours(24);
/// Longest key, in characters.
pub(super) const KEY_LENGTH_MAX: usize = 255;
/// Most answers that are kept, and of one caller; the oldest gives way.
const KEPT_MAX: usize = 4_096;
const KEPT_OF_CALLER_MAX: usize = 256;
/// Largest answer that is kept; a larger one is given once.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of all answers that are kept.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// What a route does about the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// It gives the first answer again.
    Heeded,
    /// It changes nothing by itself.
    NotAsked,
    /// It refuses the header: its answer tells a secret, or comes bit by bit.
    Refused,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers {
    kept: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Who, since when: a name that was given again is somebody else's.
    caller: (String, Timestamp),
    text: String,
}

#[derive(Debug)]
struct Entry {
    /// What was asked for with it.
    request: Digest,
    begun: Duration,
    /// None while it is worked on.
    answer: Option<Answer>,
}

#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What to do about a request with a key.
#[derive(Debug)]
enum Place {
    /// It is the first: do it, and say how it ended.
    First(Ticket),
    /// It was answered so.
    Again(Answer),
    /// The key belongs to another request.
    Other,
    /// The same request is under way.
    UnderWay,
    /// Too many requests with a key are under way.
    Crowded,
}

/// The seat of a request under way, empty again when it is dropped.
#[derive(Debug)]
struct Ticket {
    answers: Arc<Answers>,
    key: Option<Key>,
}

impl Answers {
    fn place(self: &Arc<Self>, key: Key, request: Digest, now: Duration) -> Place {
        let mut kept = self.kept();
        kept.retain(|_, entry| entry.answer.is_none() || now.saturating_sub(entry.begun) < LIFE);
        if let Some(entry) = kept.get(&key) {
            return match &entry.answer {
                _ if entry.request != request => Place::Other,
                Some(answer) => Place::Again(answer.clone()),
                None => Place::UnderWay,
            };
        }
        if !make_room(&mut kept, &key.caller) {
            return Place::Crowded;
        }
        kept.insert(key.clone(), Entry { request, begun: now, answer: None });
        Place::First(Ticket { answers: Arc::clone(self), key: Some(key) })
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more of `caller`; what is under way stays.
fn make_room(kept: &mut HashMap<Key, Entry>, caller: &(String, Timestamp)) -> bool {
    loop {
        let of_caller = kept.keys().filter(|key| key.caller == *caller).count();
        let bytes: usize =
            kept.values().filter_map(|it| it.answer.as_ref()).map(Answer::size).sum();
        if of_caller < KEPT_OF_CALLER_MAX && kept.len() < KEPT_MAX && bytes < KEPT_BYTES_MAX {
            return true;
        }
        let own_only = of_caller >= KEPT_OF_CALLER_MAX;
        let done = kept
            .iter()
            .filter(|(key, entry)| entry.answer.is_some() && (!own_only || key.caller == *caller));
        let oldest = done.min_by_key(|(_, entry)| entry.begun).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return false };
        kept.remove(&oldest);
    }
}

impl Answer {
    fn size(&self) -> usize {
        self.body.len()
    }

    fn response(self, is_again: bool) -> Response {
        let mut response = (self.status, self.body).into_response();
        *response.headers_mut() = self.headers;
        if is_again {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl Ticket {
    /// Keeps how it ended.
    fn keep(mut self, answer: Answer) {
        let Some(key) = self.key.take() else { return };
        if let Some(entry) = self.answers.kept().get_mut(&key) {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.answers.kept().remove(&key);
        }
    }
}

/// Lets a request, whose body may have `bytes_max`, through once for each key that its caller sends.
pub(super) async fn once(
    State((state, keys, bytes_max)): State<(AdminState, Keys, usize)>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(text) = key_in(request.headers())? else { return Ok(next.run(request).await) };
    if keys == Keys::Refused {
        let text = "this route takes no Idempotency-Key: its answer is not kept";
        return Err(Problem::invalid(text));
    }
    let (parts, body) = request.into_parts();
    let body = read_bounded(body, bytes_max).await?;
    let key = Key { caller: (caller.name(), caller.since), text };
    let asked = fingerprint(&parts, &body);
    let now = state.desk.mirror().clock().monotonic();
    let ticket = match state.answers.place(key, asked, now) {
        Place::First(ticket) => ticket,
        Place::Again(answer) => return Ok(answer.response(true)),
        Place::Other => return Err(Problem::key_reused()),
        Place::UnderWay => return Err(Problem::key_under_way()),
        Place::Crowded => return Err(Problem::busy("too many requests with a key are under way")),
    };
    // A task of its own: whoever hangs up and asks again gets this answer.
    let request = Request::from_parts(parts, Body::from(body));
    let working = async move { finished(next.run(request).await, ticket).await };
    let ended = state.desk.mirror().tasks().spawn(working).await;
    ended.map_err(|_| Problem::internal("it was cut short; look whether it was done"))
}

/// Keeps `response` if it is an end, and gives it.
async fn finished(response: Response, ticket: Ticket) -> Response {
    let fits = response.body().size_hint().exact().is_some_and(|size| size <= ANSWER_BYTES_MAX);
    if !fits || !is_end(response.status()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Problem::internal("the answer broke off").into_response();
    };
    let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() };
    ticket.keep(answer.clone());
    answer.response(false)
}

/// Whether an answer says how something ended; one that says that it was not understood, or could not be
/// done now, does not.
fn is_end(status: StatusCode) -> bool {
    let no = [
        StatusCode::CONFLICT,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::PRECONDITION_FAILED,
    ];
    status.is_success() || no.contains(&status)
}

/// The key in `headers`, with or without the quotes that the draft has around it.
fn key_in(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text);
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    if values.next().is_some() || text.is_empty() || text.len() > KEY_LENGTH_MAX || !is_plain {
        let bound = format!("an Idempotency-Key has 1 to {KEY_LENGTH_MAX} visible characters");
        return Err(Problem::invalid(bound));
    }
    Ok(Some(text.to_owned()))
}

/// What tells one request from another.
fn fingerprint(parts: &Parts, body: &[u8]) -> Digest {
    let condition = parts.headers.get(IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes);
    let mut all = format!("{} {}\n{} ", parts.method, parts.uri, condition.len()).into_bytes();
    all.extend_from_slice(condition);
    all.extend_from_slice(body);
    Digest::sha256(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    fn key(caller: &str, text: &str) -> Key {
        Key { caller: (caller.to_owned(), Timestamp::from_milliseconds(0)), text: text.to_owned() }
    }

    fn answer(size: usize) -> Answer {
        let body = Bytes::from(vec![b'x'; size]);
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    fn first(answers: &Arc<Answers>, key: Key, now: Duration) -> Ticket {
        match answers.place(key, Digest::sha256(b"a"), now) {
            Place::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_stands_for_one_request_of_one_caller_for_a_day() {
        let (answers, same, other) =
            (Arc::<Answers>::default(), Digest::sha256(b"a"), Digest::sha256(b"b"));
        let ticket = first(&answers, key("alice", "1"), START);
        assert!(matches!(answers.place(key("alice", "1"), same, START), Place::UnderWay));
        assert!(matches!(answers.place(key("alice", "1"), other, START), Place::Other));
        drop(first(&answers, key("bob", "1"), START));
        ticket.keep(answer(1));
        let later = START + LIFE.saturating_sub(Duration::from_secs(1));
        assert!(matches!(answers.place(key("alice", "1"), same, later), Place::Again(_)));
        assert!(matches!(answers.place(key("alice", "1"), other, later), Place::Other));
        drop(first(&answers, key("alice", "1"), START + LIFE));
        assert_eq!(answers.kept().len(), 0);
    }

    #[test]
    fn many_keys_of_one_caller_displace_their_own_only_and_all_stay_within_bounds() {
        let answers = Arc::<Answers>::default();
        first(&answers, key("alice", "kept"), START).keep(answer(1));
        for number in 0..2 * KEPT_OF_CALLER_MAX {
            first(&answers, key("bob", &number.to_string()), START).keep(answer(1_000));
        }
        assert_eq!(answers.kept().len(), KEPT_OF_CALLER_MAX + 1);
        let same = Digest::sha256(b"a");
        assert!(matches!(answers.place(key("alice", "kept"), same, START), Place::Again(_)));
        for number in 0..200 {
            let caller = format!("caller {}", number % 50);
            first(&answers, key(&caller, &number.to_string()), START).keep(answer(200 * 1024));
        }
        let bytes: usize =
            answers.kept().values().filter_map(|it| it.answer.as_ref()).map(Answer::size).sum();
        assert!(bytes <= KEPT_BYTES_MAX + 200 * 1024, "{bytes}");
    }

    #[test]
    fn a_key_is_plain_and_one_and_its_quotes_are_no_part_of_it() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, HeaderValue::from_str(value).unwrap());
            }
            key_in(&headers).ok().flatten()
        };
        assert_eq!(headers(&["abc"]), Some("abc".to_owned()));
        assert_eq!(headers(&["\"abc\""]), Some("abc".to_owned()));
        for bad in [&[""][..], &["\"\""], &["a b"], &["a", "a"], &["\"a"], &["a\\\"b"]] {
            assert_eq!(headers(bad), None, "{bad:?}");
        }
        assert_eq!(headers(&[&"a".repeat(KEY_LENGTH_MAX + 1)]), None);
    }
}
