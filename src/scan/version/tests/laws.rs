//! The order inside each scheme is total, over versions that are made to be tricky.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;

use super::*;

/// How versions of a scheme look like; small alphabets, so that equal beginnings are frequent.
const fn form(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Apk => {
            "(0|1|01|10|00)(\\.(0|1|01|10|2)){0,3}[ab]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[01]?){0,2}(~[0a]{1,2})?(-r[01]{1,2})?"
        }
        Scheme::Cargo | Scheme::Npm => {
            "[v=]?(0|1|10)(\\.(0|1|10)){0,2}(-(0|1|10|a|A|-|1a)(\\.(0|1|a|10)){0,2})?(\\+[0a])?"
        }
        Scheme::Composer => {
            "v?(0|1|10)(\\.(0|1|01)){0,3}([-._]?(stable|beta|b|RC|alpha|a|patch|pl|p)[012]{0,2}([.-][01])?)?([-.]?dev)?|2024[-.]?(01|12)([-.]?(02|3))?(-p1|-b)?|[12](\\.[01x]){0,2}-dev"
        }
        Scheme::Deb => "([01]:)?[0129]([0129.+~a-c]{0,4}|-[0a~]{1,2}){0,2}(-[0129a~+.]{1,3})?",
        Scheme::Gem => "[01]{1,2}(\\.(0|1|10|a|b|rc1|1a)){0,4}(-[a0]{1,2})?",
        Scheme::Go => {
            "(go1\\.2[012](\\.[01]|rc[12]|beta1)?|v[01](\\.(0|1|10)){2}(-(0|1|rc|20240131123456-abcdef)(\\.[01a])?)?(\\+incompatible)?)"
        }
        Scheme::Maven => {
            "[01]([-._]{0,2}(0|1|10|01|a|b|m|x|alpha|beta|rc|cr|snapshot|ga|final|release|sp|SP)){0,5}[-.]?"
        }
        Scheme::Nuget => {
            "(0|1|01|10)(\\.(0|1|01)){0,3}(-(0|1|01|a|A|B|-)(\\.(0|1|a|B)){0,2})?(\\+a)?"
        }
        Scheme::Python => {
            "v?([01]!)?(0|1|01|10)(\\.[01]){0,3}([._-]?(a|b|rc|c|alpha|pre)[01]?)?(-1|\\.post[01]?)?(\\.?dev[01]?)?(\\+(a|1|0)(\\.(a|10)){0,1})?"
        }
        Scheme::Rpm => "([01]:)?[01a](0|1|01|a|b|\\.|_|~|\\^|\\+){0,5}(-(0|1|a|~|\\^|\\.){1,3})?",
    }
}

#[test]
fn the_order_is_total() {
    for scheme in SCHEMES {
        let version = || string_regex(form(scheme)).unwrap();
        let config = ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            max_global_rejects: CASES,
            ..ProptestConfig::default()
        };
        let run = TestRunner::new(config).run(&[version(), version(), version()], |texts| {
            let read = texts.each_ref().map(|text| Version::parse(scheme, text));
            let [Ok(a), Ok(b), Ok(c)] = &read else {
                return Err(TestCaseError::reject("no versions"));
            };
            is_ordered(a, b, c)
        });
        assert!(run.is_ok(), "{scheme}: {}", run.unwrap_err());
    }
}

/// Triples of each scheme.
const CASES: u32 = 500;

fn is_ordered(a: &Version, b: &Version, c: &Version) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.cmp(a), Ordering::Equal);
    prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
    prop_assert_eq!(a == b, a.cmp(b).is_eq());
    prop_assert!(!(a <= b && b <= c) || a <= c);
    prop_assert!(a != b || a.cmp(c) == b.cmp(c));
    Ok(())
}

/// The forms above are no use if most of what they make is refused.
#[test]
fn what_is_made_can_be_read() {
    let mut runner = TestRunner::deterministic();
    for scheme in SCHEMES {
        let versions = string_regex(form(scheme)).unwrap();
        let read = (0..500)
            .filter(|_| {
                Version::parse(scheme, &versions.new_tree(&mut runner).unwrap().current()).is_ok()
            })
            .count();
        assert!(read > 300, "{scheme}: {read} of 500");
    }
}
