//! Texts that are no versions, or hardly: an answer for each, and never an order for what is none.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}", other in "[0-9a-zA-Z.:~^+_=! \\t-]{0,300}") {
        for scheme in SCHEMES {
            for text in [&text, &other] {
                match Version::parse(scheme, text) {
                    Ok(version) => prop_assert_eq!(version.cmp(&version), Ordering::Equal),
                    Err(error) => prop_assert!(text.starts_with(&error.version) && error.version.len() <= QUOTED_BYTES_MAX),
                }
            }
        }
    }
}

#[test]
fn what_is_no_version_has_no_order() {
    let texts = [
        "",
        " ",
        "latest",
        "unknown",
        "master",
        "${version}",
        "1.0${ver}",
        "%{version}",
        "*",
        "1:",
        ":1",
        "a:1",
        "-1",
        "1 2",
        "1.0\n2.0",
        "1\0",
        "1.0,2.0",
        ">=1.0",
        "[1,2)",
        "1/2",
        "1\\2",
        "\u{661}.\u{662}",
        "1.0\u{2024}1",
        "\u{ff11}",
        "$1",
        "(none)",
        "(none):1-1",
        "git+https://example.test/x#1",
        "<1>",
        "\"1\"",
        "1;2",
        "1'",
    ];
    for scheme in SCHEMES {
        for text in texts {
            let lenient = match scheme {
                // A hyphen in front is a zero in front.
                Scheme::Maven => ["-1"].as_slice(),
                _ => &[],
            };
            let read = Version::parse(scheme, text);
            assert_eq!(read.is_ok(), lenient.contains(&text), "{scheme}: {text:?}: {read:?}");
            assert!(
                lenient.contains(&text) || compare(scheme, text, "1").is_err(),
                "{scheme}: {text:?}"
            );
            assert!(
                lenient.contains(&text) || compare(scheme, "1", text).is_err(),
                "{scheme}: {text:?}"
            );
        }
    }
}

#[test]
fn an_error_names_the_version_and_the_scheme_and_stays_short() {
    let error = compare(Scheme::Deb, "1.0", "${ver}1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"${ver}1\" is not a version by the rules of dpkg: its upstream version does not begin with a digit"
    );
    let error = Version::parse(Scheme::Python, &"\u{e9}".repeat(1_000_000)).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let error = Version::parse(Scheme::Rpm, "1\n\u{1b}[31m").unwrap_err().to_string();
    assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn zero_is_a_version_of_every_scheme_and_not_after_others() {
    for scheme in SCHEMES {
        for other in ["0", "1", "1.0.0", "0.1.0"] {
            let other = if scheme == Scheme::Go { format!("v{other}") } else { other.to_owned() };
            assert!(compare(scheme, "0", &other).unwrap().is_le(), "{scheme}: {other}");
        }
    }
}

#[test]
fn there_is_a_bound_and_up_to_it_numbers_have_any_length() {
    for scheme in SCHEMES {
        let long = format!("1.{}.0", "9".repeat(VERSION_BYTES_MAX - 4));
        assert_eq!(long.len(), VERSION_BYTES_MAX);
        let longer = format!("{long}0");
        let error = Version::parse(scheme, &longer).unwrap_err();
        assert_eq!(error.why, "it is longer than any version", "{scheme}");
        // What a library reads has 64 bits, and is refused beyond.
        if matches!(scheme, Scheme::Cargo | Scheme::Go | Scheme::Npm | Scheme::Python) {
            assert!(compare(scheme, &long, "1.1.0").is_err(), "{scheme}");
            assert_eq!(
                compare(scheme, "1.18446744073709551614.0", "1.9.0"),
                Ok(Ordering::Greater),
                "{scheme}"
            );
            continue;
        }
        let one_less = format!("1.{}8.0", "9".repeat(VERSION_BYTES_MAX - 5));
        assert_eq!(compare(scheme, &long, &one_less), Ok(Ordering::Greater), "{scheme}");
        assert_eq!(
            compare(scheme, &long, "1.18446744073709551616.0"),
            Ok(Ordering::Greater),
            "{scheme}"
        );
        assert_eq!(
            compare(scheme, "1.18446744073709551615.0", "1.18446744073709551616.0"),
            Ok(Ordering::Less),
            "{scheme}"
        );
    }
}

/// The worst that fits: many parts, and all of them equal.
#[test]
fn the_longest_versions_take_little_time() {
    let repeated = [
        "0.", "1.", "1-", "1a", "a1", "~", "^", "1~", "-1", "..", "--", "0", "_p1", "1:", "01-",
        ".x",
    ];
    for scheme in SCHEMES {
        for part in repeated {
            let text = format!("1{}", part.repeat((VERSION_BYTES_MAX - 2) / part.len()));
            let started = Instant::now();
            for _ in 0..20 {
                if let (Ok(a), Ok(b)) =
                    (Version::parse(scheme, &text), Version::parse(scheme, &text))
                {
                    assert!(a == b, "{scheme}: {text}");
                }
            }
            // 100 ms for one, where it is some microseconds: machines may be busy.
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "{scheme}: {text}: {:?}",
                started.elapsed()
            );
        }
    }
}
