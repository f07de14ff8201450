//! An open page hears that something happened, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use pratique::ledger::{NewToken, Role};
use tokio::net::TcpStream;

use super::{Browser, desk};
use crate::admin::Desk;

/// How long a piece may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nearly as long as a session may rest.
const REST: Duration = Duration::from_mins(29);

async fn listen(browser: &Browser<'_>) -> Response<Incoming> {
    let url = browser.desk.mirror.admin_url();
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(browser.desk.mirror.mirror().tasks().spawn(connection));
    let request = Request::builder()
        .uri("/live")
        .header("host", "desk.test")
        .header("cookie", browser.cookie());
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

/// The next piece; none at the end.
async fn piece(body: &mut Incoming) -> Option<String> {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a piece in time")?;
    let bytes = frame.expect("a whole piece").into_data().expect("data");
    Some(String::from_utf8(bytes.to_vec()).expect("text"))
}

async fn token(desk: &Desk, name: &str, role: Role) -> String {
    let new = NewToken::new(name, role);
    desk.mirror.mirror().ledger().create_token(new, "test").await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn an_open_page_hears_that_something_happened_until_its_session_ends() {
    let desk = desk().await;
    let viewer = token(&desk, "viewer", Role::Viewer).await;
    let browser = Browser::new(&desk);
    browser.sign_in(&viewer).await;
    assert!(
        browser.page("/").await.contains("<main id=\"main\" tabindex=\"-1\" data-live=\"/live\">")
    );
    assert!(!browser.page("/policy").await.contains("data-live"));
    assert!(!browser.page("/audit?check=now").await.contains("data-live"), "it is no small thing");
    let response = listen(&browser).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await.expect("a hello"), "retry: 10000\n\n");
    for name in ["one", "two"] {
        token(&desk, name, Role::Viewer).await;
        let told = piece(&mut body).await.expect("a word");
        let count =
            told.strip_prefix("event: grown\ndata: ").and_then(|it| it.strip_suffix("\n\n"));
        assert!(count.is_some_and(|it| it.parse::<u64>().is_ok()), "and not what happened: {told}");
    }
    desk.mirror.mirror().ledger().revoke_token("viewer", "test").await.unwrap();
    assert_eq!(piece(&mut body).await, None, "nothing more is told");
    let reply = browser.send(Method::GET, "/live", None, &[]).await;
    assert_eq!(reply.status, 204, "a browser does not come back after that");
}

#[tokio::test]
async fn what_a_page_does_by_itself_keeps_no_session_awake() {
    let desk = desk().await;
    let by_itself = [("pratique-live", "1")];
    for is_by_itself in [false, true] {
        let browser = Browser::signed_in(&desk).await;
        let headers = if is_by_itself { &by_itself[..] } else { &[] };
        desk.mirror.clock.advance(REST);
        assert_eq!(browser.send(Method::GET, "/", None, headers).await.status, 200);
        assert_eq!(listen(&browser).await.status(), 200);
        desk.mirror.clock.advance(Duration::from_mins(2));
        let expected = if is_by_itself { 303 } else { 200 };
        assert_eq!(browser.send(Method::GET, "/", None, headers).await.status, expected);
        // A form is somebody's, whatever it says of itself.
        let reply = browser.post_from("/logout", &[("form_token", "x")], &by_itself).await;
        assert_ne!(reply.status, 200);
    }
}
