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

#[test]
fn the_texts_of_the_documentation_are_those_that_are_sent() {
    let messages = include_str!("../../../docs/messages.md");
    let (_, table) = messages.split_once("<!-- messages: begin -->").unwrap();
    let (table, _) = table.split_once("<!-- messages: end -->").unwrap();
    let name: Name = "other.test/a".parse().unwrap();
    let up: Name = "up.test/a".parse().unwrap();
    let registry: Registry = "up.test".parse().unwrap();
    let refused = crate::upstream::Error::AccessDenied { registry };
    for (error, name) in [
        (Error::RegistryUnknown("other.test".into()), &name),
        (Error::Ungranted, &up),
        (Error::Upstream(std::sync::Arc::new(refused)), &up),
        (Error::Overloaded, &up),
    ] {
        let answer = Refused::new(&error, name, ErrorCode::ManifestUnknown, None).response();
        let phrase = answer.extensions().get::<ReasonPhrase>().unwrap();
        let phrase = std::str::from_utf8(phrase.as_bytes()).unwrap();
        let row = format!("| {} | `{phrase}` |", answer.status().as_u16());
        assert!(table.contains(&row), "docs/messages.md has no {row}");
    }
    // Eight rows are held by the tests of the gate, four by this one.
    let rows =
        table.lines().filter(|line| line.contains(" | 403 | ") || line.contains(" | 503 | "));
    assert_eq!(rows.count(), 12);
}
