//! What gates make of several scanners.

use std::time::Duration;

use super::tests::{codes, decided, found, report, scanned, scans};
use super::*;
use crate::gate::tests::{NOW, context, policy, subject};
use crate::gate::{Judgement, Outcome, ReadyPolicy, ScannedByOther, SignatureSearch, decide};
use crate::scan::{Finding as Found, Reported, Severity};

/// What a scanner came to.
#[derive(Clone)]
enum Came {
    Failed,
    Found(Vec<Found>),
    Incomplete,
    Unknown,
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn earlier(hours: u64) -> Timestamp {
    let milliseconds = i64::try_from(Duration::from_hours(hours).as_millis()).unwrap();
    Timestamp::from_milliseconds(now().milliseconds() - milliseconds)
}

fn with(scanner: &str) -> ReadyPolicy {
    policy(&format!(
        "gates:\n  strict: {{deny: [{{severity: high}}], scanner: {{{scanner}}}}}\nrules:\n\
         - {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}\n"
    ))
}

fn high(id: &str) -> Vec<Found> {
    vec![found(id, Some(Severity::High))]
}

fn reported(findings: Vec<Found>) -> Reported {
    let (scanner, database, at) = ("Trivy 1.2".to_owned(), Some(earlier(2)), earlier(1));
    Reported { scanner, database, at, findings, gaps: Vec::new(), unknown: Vec::new() }
}

struct World {
    evidence: Evidence,
    scans: Scans,
}

impl World {
    /// The scanner inside found `own`; the others came to what is said.
    fn new(own: Vec<Found>, others: &[(&str, Came)]) -> Self {
        let subject = subject("up.test/a");
        let evidence = scanned(&[(subject.digest, "i")]);
        let scans = scans(vec![("i", Inventory::default(), report(own))]);
        let mut world = Self { evidence, scans };
        for (name, came) in others {
            match came.clone() {
                Came::Failed => {
                    world.image().others.insert(
                        (*name).to_owned(),
                        ScannedByOther::Failed("took longer than 5 min".to_owned()),
                    );
                }
                Came::Found(findings) => world.reports(name, reported(findings)),
                Came::Incomplete => {
                    let gaps = vec!["a jar is broken".to_owned()];
                    world.reports(name, Reported { gaps, ..reported(Vec::new()) });
                }
                Came::Unknown => {
                    let unknown = vec!["acme linux".to_owned()];
                    world.reports(name, Reported { unknown, ..reported(Vec::new()) });
                }
            }
        }
        world
    }

    fn image(&mut self) -> &mut ScannedImage {
        let Gathered::Found(scanned) = &mut self.evidence.scan else { panic!("not scanned") };
        scanned.images.values_mut().next().unwrap()
    }

    fn reports(&mut self, name: &str, reported: Reported) {
        let (digest, at) = (Digest::sha256(name.as_bytes()), reported.at);
        let came = ScannedByOther::Reported { report: digest, at };
        self.image().others.insert(name.to_owned(), came);
        self.scans.others.insert(digest, Arc::new(OtherScan::of(digest, reported)));
    }

    fn outcome(&self, policy: &ReadyPolicy) -> Outcome {
        self.outcome_after(policy, None)
    }

    fn outcome_after(&self, policy: &ReadyPolicy, before: Option<&Judgement>) -> Outcome {
        let passed = before.and_then(|before| before.passed.as_deref());
        let context = Context { scans: &self.scans, passed, ..context(policy) };
        decide(&subject("up.test/a"), &self.evidence, &context)
    }
}

/// In short: `admit`, `undecided`, or the codes of the reasons.
fn short(outcome: Outcome) -> String {
    match outcome {
        Outcome::Decided(judgement) if judgement.admits() => "admit".to_owned(),
        Outcome::Decided(judgement) => format!("{:?}", codes(&judgement)),
        Outcome::Missing(kinds) => format!("missing {kinds:?}"),
        Outcome::Undecided(_) => "undecided".to_owned(),
    }
}

#[test]
fn scanners_are_combined_as_the_gate_says_and_silence_is_never_clean() {
    use Came::{Failed, Found, Incomplete, Unknown};
    let clean = || Found(Vec::new());
    let bad = || Found(high("CVE-2"));
    let refused = "[Vulnerable]";
    #[rustfmt::skip]
    let cases = [
        // What pratique found, what trivy came to, and what all, any and worst make of it.
        (Vec::new(), clean(), ["admit", "admit", "admit"]),
        (Vec::new(), bad(), [refused, "admit", refused]),
        (high("CVE-1"), clean(), [refused, "admit", refused]),
        (high("CVE-1"), bad(), ["[Vulnerable, Vulnerable]", refused, "[Vulnerable, Vulnerable]"]),
        (Vec::new(), Failed, ["undecided", "admit", "admit"]),
        (high("CVE-1"), Failed, ["undecided", refused, refused]),
        (Vec::new(), Incomplete, ["[ScanIncomplete]", "admit", "[ScanIncomplete]"]),
        (Vec::new(), Unknown, ["[ScanUnknown]", "admit", "[ScanUnknown]"]),
        (high("CVE-1"), Incomplete, ["[Vulnerable, ScanIncomplete]", refused, "[Vulnerable, ScanIncomplete]"]),
    ];
    for (number, (own, other, expected)) in cases.into_iter().enumerate() {
        let world = World::new(own, &[("trivy", other)]);
        for (combined, expected) in ["all", "any", "worst"].into_iter().zip(expected) {
            let policy = with(&format!("{combined}: [pratique, trivy]"));
            assert_eq!(short(world.outcome(&policy)), expected, "case {number}, {combined}");
        }
    }
}

#[test]
fn malware_that_any_scanner_knows_of_is_refused_in_each_way() {
    let mut malware = found("MAL-1", None);
    malware.malware = true;
    let world = World::new(Vec::new(), &[("trivy", Came::Found(vec![malware]))]);
    for combined in ["all", "any", "worst"] {
        let policy = with(&format!("{combined}: [pratique, trivy]"));
        assert_eq!(short(world.outcome(&policy)), "[Malware]", "{combined}");
    }
    assert_eq!(
        short(world.outcome(&with("all: [pratique]"))),
        "admit",
        "who is not asked says nothing"
    );
}

#[test]
fn a_reason_says_once_what_was_found_and_by_whom() {
    let world = World::new(high("CVE-1"), &[("trivy", Came::Found(high("CVE-1")))]);
    let judgement = decided(world.outcome(&with("all: [pratique, trivy]")));
    let texts: Vec<&str> = judgement.reasons().iter().map(|it| it.text.as_str()).collect();
    let expected = "CVE-1 in openssl 3.0.11, fixed in 3.0.13, found by pratique and trivy";
    assert_eq!(texts, [expected]);
    let check = judgement.checks.iter().find(|check| check.name == "scan").unwrap();
    for part in ["pratique: 0 packages, 1 high found", "Trivy 1.2: 1 high found"] {
        assert!(check.text.contains(part), "{}", check.text);
    }
}

#[test]
fn without_a_database_of_ones_own_the_others_are_enough_where_they_are() {
    let mut world = World::new(Vec::new(), &[("trivy", Came::Found(Vec::new()))]);
    world.scans.known.clear();
    world.scans.no_database = Some("there is none".to_owned());
    for (scanner, expected) in [
        ("all: [trivy]", "admit"),
        ("any: [pratique, trivy]", "admit"),
        ("worst: [pratique, trivy]", "admit"),
        ("all: [pratique, trivy]", "undecided"),
        ("any: [pratique]", "undecided"),
    ] {
        assert_eq!(short(world.outcome(&with(scanner))), expected, "{scanner}");
    }
    // Bills of materials are compared by the scanner inside alone.
    world.evidence.signatures = Gathered::Found(SignatureSearch::default());
    let pem = include_str!("../../../tests/fixtures/signatures/p256.pub").replace('\n', "\\n");
    let policy = policy(&format!(
        "signers: {{team: {{key: {{pem: \"{pem}\"}}, transparencyLog: none}}}}\n\
         gates: {{strict: {{deny: [{{severity: high}}], scanner: {{any: [pratique, trivy]}}, sbom: {{from: [team]}}}}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}]\n"
    ));
    assert_eq!(short(world.outcome(&policy)), "admit");
}

#[test]
fn what_was_not_asked_is_lost_or_too_old_is_asked_for_and_does_not_count() {
    let policy = with("all: [trivy], maxReportAge: 6h");
    let missing = "missing [Scan]";
    assert_eq!(short(World::new(Vec::new(), &[]).outcome(&policy)), missing, "nobody asked");
    let mut lost = World::new(Vec::new(), &[("trivy", Came::Found(Vec::new()))]);
    assert_eq!(short(lost.outcome(&policy)), "admit");
    let before = decided(lost.outcome(&policy));
    lost.scans.others.clear();
    assert_eq!(short(lost.outcome(&policy)), missing, "the report is lost");
    let mut old = World::new(Vec::new(), &[]);
    old.reports("trivy", Reported { at: earlier(7), ..reported(Vec::new()) });
    assert_eq!(short(old.outcome(&policy)), missing, "too old");
    let served = old.outcome_after(&policy, Some(&before));
    assert_eq!(short(served), "admit", "what was admitted is served without anybody's help");
}

#[test]
fn a_scanner_whose_database_is_old_or_of_no_known_age_decides_nothing() {
    let policy = with("all: [trivy], maxDbAge: 2d");
    for (database, expected) in
        [(Some(earlier(47)), "admit"), (Some(earlier(49)), "undecided"), (None, "undecided")]
    {
        let mut world = World::new(Vec::new(), &[]);
        world.reports("trivy", Reported { database, ..reported(Vec::new()) });
        assert_eq!(short(world.outcome(&policy)), expected, "{database:?}");
    }
}

#[test]
fn what_another_scanner_finds_later_is_treated_as_any_later_finding() {
    let clean = World::new(Vec::new(), &[("trivy", Came::Found(Vec::new()))]);
    let later = World::new(Vec::new(), &[("trivy", Came::Found(high("CVE-9")))]);
    for (more, expected) in
        [("", "admit"), ("}, onNewFinding: revoke, limits: {ratio: 200", "[Vulnerable]")]
    {
        let policy = with(&format!("all: [pratique, trivy]{more}"));
        let before = decided(clean.outcome(&policy));
        assert_eq!(short(later.outcome_after(&policy, Some(&before))), expected, "{more}");
    }
    let (one, other) = (with("all: [pratique]"), with("all: [pratique, trivy]"));
    let before = decided(clean.outcome(&one));
    let asked_now = later.outcome_after(&other, Some(&before));
    assert_eq!(
        short(asked_now),
        "[Vulnerable]",
        "one who was not asked before is another question"
    );
}
