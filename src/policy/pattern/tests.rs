//! What patterns cover, and how they are told apart.

use proptest::prelude::*;

use super::against::Step;
use super::*;

#[test]
fn one_star_stays_within_a_segment_and_two_cross() {
    for (pattern, text, expected) in [
        ("up.test/a/*", "up.test/a/b", true),
        ("up.test/a/*", "up.test/a/b/c", false),
        ("up.test/a/**", "up.test/a/b/c", true),
        ("up.test/a/**", "up.test/a", false),
        ("up.test/*/c", "up.test/a/b/c", false),
        ("up.test/**/c", "up.test/a/b/c", true),
        ("up.test/a*c/d", "up.test/abc/d", true),
        ("up.test/a*c/d", "up.test/ab/c/d", false),
        ("**", "anything.test/at/all", true),
        ("up.test/a", "up.test/ab", false),
        ("*.corp.test/**", "eu.corp.test/a", true),
        ("*.corp.test/**", "evil.test/x.corp.test/a", false),
    ] {
        let found = Pattern::of_names(pattern).unwrap().matches(text);
        assert_eq!(found, expected, "{pattern} {text}");
    }
}

#[test]
fn every_spelling_of_a_registry_is_the_canonical_one() {
    for text in [
        "index.docker.io/library/*",
        "registry-1.docker.io/library/*",
        "DOCKER.io:443/library/*",
        "docker.io./library/*",
    ] {
        assert_eq!(Pattern::of_names(text).unwrap().as_str(), "docker.io/library/*", "{text}");
    }
}

#[test]
fn patterns_that_could_match_no_canonical_name_are_refused() {
    for text in [
        "nginx",
        "library/nginx",
        "ghcr.io",
        "docker.io/nginx",
        "docker.io/*",
        "ghcr.io/Acme/*",
        "ghcr.io/a//b",
        "ghcr.io/",
        "/a",
        "ghcr.io/a:1.0",
        "ghcr.io/a@sha256:00",
        "ghcr.io/a/***",
        "ghcr.io/a?",
        "ghcr.io/[a]",
        "ghcr*/a",
        "ghcr.io*/a",
        "gh\u{441}r.io/a",
        "ghcr.io/\u{430}",
        "*.*/a",
        "",
    ] {
        assert!(Pattern::of_names(text).is_err(), "{text}");
    }
}

#[test]
fn the_longer_prefix_wins_then_more_text_then_the_narrower_wildcard() {
    let rank = |text| Pattern::of_names(text).unwrap().rank();
    let order = [
        "**",
        "*.test/**",
        "up.test/**",
        "up.test/*",
        "up.test/*/b",
        "up.test/a/**",
        "up.test/a/*",
        "up.test/a/b*",
        "up.test/a/b",
    ];
    for pair in order.windows(2) {
        assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_pattern_lies_within_another_only_where_that_shows() {
    for (inner, outer, expected) in [
        ("up.test/shop/app", "up.test/shop/**", true),
        ("up.test/shop/*", "up.test/shop/**", true),
        ("up.test/shop/**", "up.test/shop/**", true),
        ("up.test/shop/a*/b", "up.test/shop/*/b", true),
        ("up.test/shop/*-x/**", "up.test/shop/**", true),
        ("up.test/shop/**", "up.test/shop/*", false),
        ("up.test/shop/a/b", "up.test/shop/*", false),
        ("up.test/shop*/a", "up.test/shop/**", false),
        ("up.test/shop", "up.test/shop/**", false),
        ("up.test/shopping/a", "up.test/shop/**", false),
        ("up.test/**", "up.test/shop/**", false),
        ("*.test/shop/a", "up.test/shop/**", false),
        ("**", "up.test/shop/**", false),
        ("**/shop/a", "up.test/shop/**", false),
        ("up.test/shop/**/x", "up.test/shop/**/x", true),
        ("up.test/shop/a/x", "up.test/shop/**/x", true),
    ] {
        let [inner, outer] = [inner, outer].map(|text| Pattern::of_names(text).unwrap());
        assert_eq!(inner.is_within(&outer), expected, "{inner} in {outer}");
    }
}

#[test]
fn matching_does_not_blow_up_on_many_wildcards() {
    let pattern = Pattern::parse(&"*a".repeat(250)).unwrap();
    let text = format!("{}b", "a".repeat(500));
    assert!(!pattern.matches(&text));
    assert!(pattern.overlaps(&Pattern::parse(&"a**".repeat(190)).unwrap()));
}

/// The obvious matcher, exponential and plainly right.
fn matches_plainly(steps: &[Step], text: &[u8]) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return text.is_empty();
    };
    match step {
        Step::Byte(byte) => text.first() == Some(byte) && matches_plainly(rest, &text[1..]),
        Step::Any | Step::InSegment => (0..=text.len())
            .take_while(|end| *step == Step::Any || !text[..*end].contains(&b'/'))
            .any(|end| matches_plainly(rest, &text[end..])),
    }
}

fn texts(length_max: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..length_max {
        let longer = |text: &Vec<u8>| b"ab/".map(|byte| [text.as_slice(), &[byte]].concat());
        last = last.iter().flat_map(longer).collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn small_pattern() -> impl Strategy<Value = Pattern> {
    let piece = prop::sample::select(vec!["a", "b", "/", "*", "**"]);
    prop::collection::vec(piece, 1..5)
        .prop_map(|pieces| pieces.concat())
        .prop_filter_map("three stars", |text| Pattern::parse(&text).ok())
}

proptest! {
    #[test]
    fn matching_agrees_with_the_obvious_matcher(
        pattern in small_pattern(), text in "[ab/]{0,8}",
    ) {
        prop_assert_eq!(
            pattern.matches(&text),
            matches_plainly(&pattern.steps(), text.as_bytes()),
            "{} {}", pattern, text
        );
    }

    #[test]
    fn overlap_is_exact(a in small_pattern(), b in small_pattern()) {
        // Two patterns of at most four literals each share a text of at most eight bytes if they
        // share any; six are plenty to find one that is shorter, so only a miss needs eight.
        let common = |text: &Vec<u8>| {
            matches_plainly(&a.steps(), text) && matches_plainly(&b.steps(), text)
        };
        let expected = texts(6).iter().any(common) || texts(8).iter().any(common);
        prop_assert_eq!(a.overlaps(&b), expected, "{} {}", a, b);
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
    }

    #[test]
    fn what_is_said_to_lie_within_does(a in small_pattern(), b in small_pattern()) {
        if a.is_within(&b) {
            let covered = |text: &Vec<u8>| matches_plainly(&a.steps(), text);
            let outside = |text: &Vec<u8>| !matches_plainly(&b.steps(), text);
            let escaped = texts(6).into_iter().filter(covered).find(outside);
            prop_assert_eq!(escaped, None, "{} {}", a, b);
        }
        prop_assert!(a.is_within(&a));
    }

    #[test]
    fn parsing_and_matching_never_panic(pattern in ".{0,60}", text in ".{0,60}") {
        if let Ok(pattern) = Pattern::of_names(&pattern) {
            let _ = pattern.matches(&text);
            prop_assert!(pattern.overlaps(&pattern));
            prop_assert_eq!(Pattern::of_names(pattern.as_str()).unwrap(), pattern);
        }
    }
}
