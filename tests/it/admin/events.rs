//! Events: what is put on record is told to whoever listens, each once and in order.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use pratique::ledger::{NewToken, Role};
use serde_json::Value;
use tokio::net::TcpStream;

use super::Desk;

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn listen(desk: &Desk, token: &str, last: Option<&str>) -> Response<Incoming> {
    let url = desk.mirror.admin_url();
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(desk.mirror.mirror().tasks().spawn(connection));
    let mut request = Request::builder()
        .uri("/api/v1/events")
        .header("host", "desk.test")
        .header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

/// The next `count` records of a stream, each with the id that its event has.
async fn records(body: &mut Incoming, count: usize) -> Vec<(u64, Value)> {
    let (mut text, mut found) = (String::new(), Vec::new());
    while found.len() < count {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an event in time");
        let piece = frame.expect("a stream that goes on").unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                assert_eq!(field("event: "), Some("audit"));
                found.push((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    found
}

async fn token(desk: &Desk, name: &str) -> String {
    let new = NewToken::new(name, Role::Viewer);
    desk.mirror.mirror().ledger().create_token(new, "test").await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn records_are_told_as_they_are_written_and_from_where_somebody_left() {
    let desk = Desk::start().await;
    let viewer = token(&desk, "viewer").await;
    let response = listen(&desk, &viewer, None).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    for name in ["one", "two"] {
        token(&desk, name).await;
        let told = records(&mut body, 1).await;
        assert_eq!(
            (&told[0].1["action"], told[0].0),
            (&"token-created".into(), told[0].1["sequence"].as_u64().unwrap())
        );
    }
    drop(body);
    let mut whole = listen(&desk, &viewer, Some("0")).await.into_body();
    let page = desk.get("/api/v1/audit?from=1").await.json();
    let page = page["records"].as_array().unwrap();
    let told: Vec<Value> =
        records(&mut whole, page.len()).await.into_iter().map(|it| it.1).collect();
    assert_eq!(told, *page);
    let last = page.len() - 1;
    let mut rest = listen(&desk, &viewer, Some(&last.to_string())).await.into_body();
    assert_eq!(records(&mut rest, 1).await[0].1, page[last]);
}

#[tokio::test]
async fn streams_are_bounded_and_their_places_are_free_again() {
    let desk = Desk::start().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let response = listen(&desk, &desk.token, None).await;
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let busy = desk.get("/api/v1/events").await;
    assert_eq!((busy.status, busy.problem().as_str()), (503, "undecided"));
    assert_eq!(busy.header("retry-after"), "5");
    open.clear();
    for _ in 0..200 {
        if desk.get("/api/v1/events").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the places stay taken");
}

#[tokio::test]
async fn whoever_may_not_look_any_more_is_told_nothing_more() {
    let desk = Desk::start().await;
    let viewer = token(&desk, "viewer").await;
    let mut body = listen(&desk, &viewer, None).await.into_body();
    token(&desk, "one").await;
    // What was written just before they listened may come first.
    let is_one = |(_, record): &(u64, Value)| record["reason"] == "role viewer, token one";
    while !records(&mut body, 1).await.iter().any(is_one) {}
    let ledger = desk.mirror.mirror().ledger();
    ledger.revoke_token("viewer", "test").await.unwrap();
    token(&desk, "two").await;
    let rest = tokio::time::timeout(PATIENCE, body.collect()).await.expect("an end").unwrap();
    assert_eq!(String::from_utf8_lossy(&rest.to_bytes()), "");
}

#[tokio::test]
async fn a_stream_ends_with_the_mirror_and_a_place_has_a_form() {
    let desk = Desk::start().await;
    for bad in ["", "x", "-1", "99999999999999999999"] {
        let headers = [("last-event-id", bad)];
        let reply =
            desk.send(Method::GET, "/api/v1/events", Some(&desk.token), None, &headers).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid"), "{bad}");
    }
    let mut body = listen(&desk, &desk.token, None).await.into_body();
    let tasks = desk.mirror.mirror().tasks().clone();
    let (ended, ()) = tokio::join!(tasks.shut_down(Duration::from_secs(10)), async {
        while let Some(Ok(_)) = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an end")
        {
        }
    });
    assert!(ended, "a stream that holds the mirror up");
}
