use std::fs;

use proptest::prelude::*;

use super::*;

#[test]
fn whole_vectors_have_their_published_scores() {
    let published = [
        // The examples of the specifications, and of advisories that everybody knows.
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 78),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 100),
        ("(AV:L/AC:H/Au:N/C:C/I:C/A:C)", 62),
        ("AV:L/AC:H/Au:M/C:N/I:N/A:N", 0),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 93),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 100),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0),
    ];
    for (vector, tenths) in published {
        assert_eq!(score(vector), Ok(tenths), "{vector}");
    }
}

#[test]
fn what_is_known_beside_the_base_changes_nothing() {
    let bases = [
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", "/E:U/RL:OF/RC:UC/CDP:N/TD:N"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "/E:U/RL:O/RC:U/MC:N/MI:N/MA:N"),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            "/E:U/MVC:N/MVI:N/MVA:N/S:P/AU:N/U:Clear",
        ),
    ];
    for (base, more) in bases {
        assert_eq!(score(&format!("{base}{more}")), score(base), "{base}");
        assert!(score(base).unwrap() > 70);
    }
}

/// Each of the mandatory metrics taken away, given twice, and given a value that there is not.
#[test]
fn a_vector_that_is_not_whole_has_no_score() {
    let whole = [
        ("", "AV:N/AC:L/Au:N/C:N/I:N/A:C"),
        ("CVSS:3.0/", "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"),
        ("CVSS:3.1/", "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"),
        ("CVSS:4.0/", "AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),
    ];
    for (prefix, metrics) in whole {
        let metrics: Vec<_> = metrics.split('/').collect();
        let assert_none = |metrics: &[&str]| {
            let vector = format!("{prefix}{}", metrics.join("/"));
            assert!(score(&vector).is_err(), "{vector}");
        };
        for at in 0..metrics.len() {
            assert_none(&metrics[..at]);
            assert_none(&metrics[at + 1..]);
            assert_none(&[&metrics[..at], &metrics[at + 1..]].concat());
            assert_none(&[&metrics[..], &metrics[at..=at]].concat());
            let name = metrics[at].split(':').next().unwrap();
            for value in [":", ":Z", "", ":H:H", ":\u{e9}"] {
                assert_none(
                    &[&metrics[..at], &[format!("{name}{value}").as_str()], &metrics[at + 1..]]
                        .concat(),
                );
            }
        }
        assert_none(&[&metrics[..], &["ZZ:N"]].concat());
        assert_none(&[&metrics[..], &[""]].concat());
    }
}

#[test]
fn what_is_no_vector_has_no_score() {
    let metrics = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    let texts = [
        "",
        "/",
        "9.8",
        "HIGH",
        "CVSS:3.1",
        "CVSS:3.1/",
        "CVSS:3.1/AV:N",
        "AV:N",
        "()",
        "(",
        "CVSS:3.1//",
    ]
    .map(str::to_owned);
    let others = [
        "CVSS:2.0/",
        "CVSS:3.2/",
        "CVSS:4.1/",
        "CVSS:5.0/",
        "cvss:3.1/",
        "CVSS3.1/",
        "CVSS:3.1:",
        "",
    ]
    .map(|prefix| format!("{prefix}{metrics}"));
    for text in texts.iter().chain(&others) {
        assert!(score(text).is_err(), "{text}");
    }
    let long = format!("CVSS:3.1/{metrics}{}", "/E:X".repeat(1_000_000));
    let error = score(&long).unwrap_err();
    assert_eq!(error.why, "it is longer than any vector");
    assert!(error.to_string().len() < 300);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_a_score_or_none(text in "\\PC{0,100}", metrics in "(CVSS:(3\\.[01]|4\\.0)/)?((AV|AC|AT|PR|UI|S|C|I|A|VC|Au|E):[NLHPRUCAX]/?){0,14}") {
        for text in [text, metrics] {
            if let Ok(tenths) = score(&text) {
                prop_assert!(tenths <= 100);
            }
        }
    }
}

#[test]
fn scores_have_the_severities_of_the_specification() {
    use Severity::{Critical, High, Low, Medium, None};
    for (tenths, severity) in [
        (0, None),
        (1, Low),
        (39, Low),
        (40, Medium),
        (69, Medium),
        (70, High),
        (89, High),
        (90, Critical),
        (100, Critical),
    ] {
        assert_eq!(Severity::from_score(tenths), severity, "{tenths}");
    }
}

#[test]
fn words_have_severities_and_unknown_ones_have_none() {
    use Severity::{Critical, High, Low, Medium};
    let known = [
        ("CRITICAL", Critical),
        ("HIGH", High),
        ("High", High),
        ("Important", High),
        ("high**", High),
        ("MODERATE", Medium),
        ("medium", Medium),
        (" low ", Low),
        ("negligible", Low),
        ("unimportant", Low),
        ("NONE", Severity::None),
    ];
    for (word, severity) in known {
        assert_eq!(Severity::from_word(word), Some(severity), "{word}");
    }
    for word in [
        "",
        "untriaged",
        "not yet assigned",
        "end-of-life",
        "unknown",
        "UNKNOWN",
        "*",
        "7.5",
        "highest",
        "n/a",
    ] {
        assert_eq!(Severity::from_word(word), None, "{word}");
    }
}

/// A table of vectors and their scores by another's calculator: `tests/versions/run.sh` makes it.
#[test]
fn scores_are_those_of_another_calculator() {
    let Some(path) = std::env::var_os("PRATIQUE_CVSS_SCORES") else {
        println!("skipped: PRATIQUE_CVSS_SCORES names no table; tests/versions/run.sh makes one");
        return;
    };
    let table = fs::read_to_string(path).unwrap();
    let differences: Vec<_> = (table.lines())
        .map(|line| line.split_once('\t').unwrap())
        .filter(|(vector, tenths)| score(vector) != Ok(tenths.parse().unwrap()))
        .map(|(vector, tenths)| format!("{vector}: {tenths}, not {:?}", score(vector)))
        .collect();
    let compared = table.lines().count();
    println!(
        "cvss: {} as Red Hat's library, {} different",
        compared - differences.len(),
        differences.len()
    );
    assert!(
        differences.is_empty() && compared > 5_000,
        "{compared} compared: {:#?}",
        differences.iter().take(20).collect::<Vec<_>>()
    );
}
