//! Bounds of what is said, and what must look alike.

use super::*;
use crate::mirror::Error;

#[test]
fn a_phrase_is_printable_and_bounded() {
    let hostile = format!("a\r\nSet-Cookie: x\u{e9}\"{}", "b".repeat(300));
    let phrase = printable(&hostile, PHRASE_MAX);
    assert_eq!(phrase.len(), PHRASE_MAX);
    assert!(phrase.starts_with("a??Set-Cookie: x?'b"), "{phrase}");
}

#[test]
fn an_error_body_stays_within_4_kib() {
    let error =
        error_value(ErrorCode::Denied, &"m".repeat(9_000), &json!({"x": "y".repeat(9_000)}));
    let response = error_response(StatusCode::FORBIDDEN, Some("no"), &error);
    let length = response.headers().get(header::CONTENT_LENGTH).unwrap();
    assert!(length.to_str().unwrap().parse::<usize>().unwrap() <= ERROR_BODY_MAX);
}

#[test]
fn content_that_may_not_be_read_and_content_that_is_not_there_look_alike() {
    let name: Name = "up.test/a".parse().unwrap();
    let one = Refused::new(&Error::Ungranted, &name, ErrorCode::BlobUnknown, None).response();
    assert_eq!(one.status(), StatusCode::FORBIDDEN);
    assert_eq!(one.headers().get(DECISION).unwrap(), "denied");
}
