//! Ranges and conditions (hostile catalogue, section C).

use hyper::Method;

use super::OPEN;
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::Image;

const SIZE: usize = 100;

/// Rows 44, 45, 46, 48, 49 (CVE-2011-3192 class), cold and warm.
#[tokio::test]
async fn a_range_is_one_part_or_the_whole_and_never_something_else() {
    let content: Vec<u8> = (0..SIZE).map(|i| u8::try_from(i).unwrap()).collect();
    let thousand = format!("bytes={}", vec!["0-0"; 1_000].join(","));
    for warm in [false, true] {
        let mirror = TestMirror::start(OPEN).await;
        let image = Image::new().layer(content.clone()).build();
        mirror.upstream.push("open/app", "1", &image);
        assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
        if warm {
            mirror.pull("open/app", "1").await.assert_complete();
        }
        let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
        for (range, expected) in [
            ("bytes=-0", None),
            ("bytes=100-", None),
            ("bytes=100-100", None),
            ("bytes=99999999999999999999999-", None),
            ("bytes=-999999999999", Some((206, 0, SIZE))),
            ("bytes=99-99999999999999999999", Some((206, 99, SIZE))),
            ("bytes=5-1", Some((200, 0, SIZE))),
            ("bytes=0-0,5-5", Some((200, 0, SIZE))),
            ("bytes=0-50,25-75", Some((200, 0, SIZE))),
            (thousand.as_str(), Some((200, 0, SIZE))),
            ("items=0-1", Some((200, 0, SIZE))),
            ("bytes=a-b", Some((200, 0, SIZE))),
            ("bytes =0-1", Some((200, 0, SIZE))),
            ("bytes=", Some((200, 0, SIZE))),
            ("bytes=-", Some((200, 0, SIZE))),
            ("bytes=--1", Some((200, 0, SIZE))),
            ("bytes=+1-2", Some((200, 0, SIZE))),
            ("", Some((200, 0, SIZE))),
        ] {
            let answer = mirror.ask(Method::GET, &path, &[("range", range)]).await;
            match expected {
                None => {
                    assert_eq!(answer.status, 416, "{range}");
                    assert_eq!(answer.header("content-range"), "bytes */100", "{range}");
                    assert_eq!(answer.error()["code"], "SIZE_INVALID");
                }
                Some((status, start, end)) => {
                    assert_eq!(answer.status, status, "{range}");
                    assert_eq!(&answer.bytes()[..], &content[start..end], "{range}");
                    let part = format!("bytes {start}-{}/{SIZE}", end - 1);
                    let shown = if status == 206 { part.as_str() } else { "" };
                    assert_eq!(answer.header("content-range"), shown, "{range}");
                }
            }
        }
        let twice = [("range", "bytes=0-1"), ("range", "bytes=2-3")];
        assert_eq!(mirror.ask(Method::GET, &path, &twice).await.bytes().len(), SIZE);
    }
}

/// Rows 50, 51.
#[tokio::test]
async fn a_range_of_nothing_is_416_and_a_head_knows_no_range() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("").layer("abc").build();
    mirror.upstream.push("open/app", "1", &image);
    assert_eq!(mirror.manifest("open/app", "1").await.status, 200);
    for _ in ["cold", "warm"] {
        let empty = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
        let none = mirror.ask(Method::GET, &empty, &[("range", "bytes=0-")]).await;
        assert_eq!((none.status, none.header("content-range")), (416, "bytes */0"));
        let whole = mirror.ask(Method::GET, &empty, &[]).await;
        assert_eq!((whole.status, whole.bytes().len()), (200, 0));
        let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(1));
        let head = mirror.ask(Method::HEAD, &path, &[("range", "bytes=0-0")]).await;
        assert_eq!((head.status, head.header("content-length")), (200, "3"));
        assert_eq!(head.header("content-range"), "");
    }
}

/// Row 52: a weak or foreign validator never yields a part.
#[tokio::test]
async fn a_part_is_given_only_of_the_content_that_the_client_has() {
    let mirror = TestMirror::start(OPEN).await;
    let image = Image::new().layer("0123456789").build();
    mirror.upstream.push("open/app", "1", &image);
    mirror.pull("open/app", "1").await.assert_complete();
    let path = format!("/v2/open/app/blobs/{}?ns={REGISTRY}", image.layer(0));
    let etag = format!("\"{}\"", image.layer(0));
    for (condition, status) in [
        (etag.clone(), 206),
        (format!("W/{etag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), 200),
        (String::new(), 200),
    ] {
        let headers = [("range", "bytes=2-3"), ("if-range", condition.as_str())];
        let answer = mirror.ask(Method::GET, &path, &headers).await;
        assert_eq!(answer.status, status, "{condition}");
        let expected: &[u8] = if status == 206 { b"23" } else { b"0123456789" };
        assert_eq!(&answer.bytes()[..], expected, "{condition}");
    }
}
