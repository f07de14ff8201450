//! Signers who go on, signers who go away, and what has to be known to tell these apart.

use super::super::tests::{Pen, codes, context, decided, evidence, facts, policy, subject};
use super::super::{
    Check, CheckState, ChildImage, ChildSignatures, Context, Evidence, EvidenceKind, Gathered,
    Judgement, ManifestFacts, Outcome, Predecessor, ReadyPolicy, ReasonCode, SignatureSearch,
    Standing, decide,
};
use crate::oci::{Digest, Tag};

const EARLIER: [&str; 2] = ["2026-11-01T00:00:00Z", "2026-11-10T00:00:00Z"];
const NOW: &str = "2026-11-20T10:00:00Z";

/// Two signers, `a` and `b`, and one rule that goes on with `rest`.
fn lines(pens: &[Pen; 2], rest: &str) -> ReadyPolicy {
    by_keys(pens, "", &format!("{{id: line, match: [\"up.test/a\"], trust: allow{rest}}}"))
}

/// The same with `rules`, where the key of `a` counts only within `window`.
fn by_keys([a, b]: &[Pen; 2], window: &str, rules: &str) -> ReadyPolicy {
    policy(&format!(
        "signers:\n  a: {{key: {{pem: \"{}\"{window}}}, transparencyLog: none}}\n  b: {{key: {{pem: \"{}\"}}, transparencyLog: none}}\nrules: [{rules}]\n",
        a.pem(),
        b.pem()
    ))
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn search(by: &[&Pen], digest: &Digest) -> SignatureSearch {
    let found = by.iter().map(|pen| pen.sign("up.test/a", digest)).collect();
    SignatureSearch { found, ..SignatureSearch::default() }
}

/// What is known of the image `digest`, which `by` signed.
fn signed(digest: &Digest, by: &[&Pen]) -> Evidence {
    Evidence { signatures: Gathered::Found(search(by, digest)), ..evidence(facts()) }
}

/// What is known of an index that `by` signed, and of one image in it for each of `images`.
fn index(digest: &Digest, by: &[&Pen], images: &[&[&Pen]]) -> Evidence {
    let image = |at: usize| Digest::sha256(format!("{digest} {at}").as_bytes());
    let listed = (0..images.len())
        .map(|at| ChildImage { digest: image(at), platform: Some("linux/amd64".parse().unwrap()) });
    let facts = ManifestFacts { is_index: true, images: Some(listed.collect()), ..facts() };
    let each = images.iter().enumerate();
    let searches = each.map(|(at, by)| (image(at), search(by, &image(at)))).collect();
    Evidence {
        manifest: Gathered::Found(facts),
        child_signatures: Gathered::Found(ChildSignatures { searches, keeps_attestations: true }),
        ..signed(digest, by)
    }
}

/// What the gate says of `now` after the tags `before` were served so; with `standing`.
fn ask(
    policy: &ReadyPolicy,
    now: &Evidence,
    before: &[(&str, Evidence)],
    standing: Option<&Standing>,
) -> Outcome {
    let tags: Vec<Tag> = before.iter().map(|(tag, _)| tag.parse().unwrap()).collect();
    let before: Vec<_> = tags.iter().zip(before).collect();
    let before: Vec<_> = before
        .iter()
        .map(|(tag, (name, evidence))| Predecessor {
            tag,
            digest: digest(name),
            evidence,
            at: EARLIER.map(|at| at.parse().unwrap()),
        })
        .collect();
    let context = Context { before: &before, standing, ..context(policy) };
    decide(&subject("up.test/a"), now, &context)
}

fn own() -> Digest {
    subject("up.test/a").digest
}

fn check(judgement: &Judgement) -> Option<&Check> {
    judgement.checks.iter().find(|check| check.name == "continuity")
}

/// What waits for a person, in words; nothing when it is admitted.
#[track_caller]
fn waits(outcome: Outcome) -> Option<String> {
    let judgement = decided(outcome);
    let first = judgement.reasons().first()?;
    assert_eq!(codes(&judgement), [ReasonCode::SignerChanged]);
    assert_eq!(check(&judgement).unwrap().state, CheckState::Waiting);
    Some(first.text.clone())
}

#[test]
fn one_of_those_who_signed_before_has_to_go_on() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let none: &[&Pen] = &[];
    for rest in ["", ", signatures: {atLeast: 1, of: [a, b]}"] {
        let policy = lines(&pens, rest);
        for (before, now, expected, text) in [
            (&[a][..], &[a][..], None, Some("signed by a, as before")),
            (&[a, b], &[b], None, Some("signed by b, as before")),
            (&[a], &[a, b], None, Some("signed by a, b, as before")),
            (&[a], &[b], Some("signed by b, not by a, as v1 was before"), None),
            (none, &[b], None, None),
        ] {
            let before = [("v1", signed(&digest("v1"), before))];
            let outcome = ask(&policy, &signed(&own(), now), &before, None);
            if let Outcome::Decided(judgement) = &outcome {
                let passed = check(judgement).filter(|check| check.state == CheckState::Pass);
                assert_eq!(passed.map(|check| check.text.as_str()), text, "{rest}");
            }
            assert_eq!(waits(outcome).as_deref(), expected, "{rest}");
        }
    }
    let policy = lines(&pens, "");
    let before = [("v1", signed(&digest("v1"), &[a, b]))];
    let text = waits(ask(&policy, &signed(&own(), &[]), &before, None));
    assert_eq!(text.as_deref(), Some("not signed by a, b, as v1 was before"));
    // By somebody whom the policy does not know is by nobody.
    let stranger = Pen::new();
    let before = [("v1", signed(&digest("v1"), &[a]))];
    assert!(waits(ask(&policy, &signed(&own(), &[&stranger]), &before, None)).is_some());
    let before = [("v1", signed(&digest("v1"), &[&stranger]))];
    assert_eq!(waits(ask(&policy, &signed(&own(), &[]), &before, None)), None);
    // What was said of something else was not said of this.
    let before = [("v1", signed(&digest("other"), &[a]))];
    assert_eq!(waits(ask(&policy, &signed(&own(), &[]), &before, None)), None);
}

#[test]
fn every_tag_is_a_line_of_its_own() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let policy = lines(&pens, "");
    let before = [("v1", signed(&digest("v1"), &[a])), ("v2", signed(&digest("v2"), &[b]))];
    let text = waits(ask(&policy, &signed(&own(), &[a]), &before, None));
    assert_eq!(text.as_deref(), Some("signed by a, not by b, as v2 was before"));
    assert_eq!(waits(ask(&policy, &signed(&own(), &[a, b]), &before, None)), None);
}

#[test]
fn nobody_is_compared_where_the_policy_does_not_want_it() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    for (rest, compared) in [
        ("", true),
        (", signerChange: allow", false),
        (", signatures: {atLeast: 1, of: [b]}", false),
        (", signatures: {atLeast: 1, of: [a, b]}, signerChange: allow", false),
        (", signatures: {none: built here}", false),
    ] {
        let policy = lines(&pens, rest);
        let before = [("v1", signed(&digest("v1"), &[a]))];
        let outcome = ask(&policy, &signed(&own(), &[b]), &before, None);
        assert_eq!(waits(outcome).is_some(), compared, "{rest}");
        // Who signs is found out the first time only where it is compared the next.
        let nothing = Evidence::default();
        let Outcome::Missing(kinds) = ask(&policy, &nothing, &[], None) else { panic!("{rest}") };
        let asks = kinds.contains(&EvidenceKind::Signatures);
        assert_eq!(asks, compared || rest.contains("atLeast"), "{rest}");
    }
    // What is refused anyway is not compared.
    let rules = "{id: line, match: [\"up.test/a\"], tags: {exact: [x]}, trust: allow}, {id: rest, match: [\"up.test/a\"], trust: deny}";
    let policy = by_keys(&pens, "", rules);
    let before = [("v1", signed(&digest("v1"), &[a]))];
    let judgement = decided(ask(&policy, &signed(&own(), &[b]), &before, None));
    assert_eq!(codes(&judgement), [ReasonCode::DeniedByRule]);
    assert!(check(&judgement).is_none());
    let revoked = super::super::tests::revoked();
    let unsigned = Evidence { signatures: Gathered::NotGathered, ..evidence(facts()) };
    let judgement = decided(ask(&lines(&pens, ""), &unsigned, &before, Some(&revoked)));
    assert_eq!(codes(&judgement), [ReasonCode::Revoked]);
    assert!(check(&judgement).is_none());
}

#[test]
fn what_is_not_known_of_signatures_matters_only_where_there_is_a_line() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let policy = lines(&pens, "");
    let line = [("v1", signed(&digest("v1"), &[a]))];
    let no_line = [("v1", signed(&digest("v1"), &[]))];
    let with = |signatures| Evidence { signatures, ..evidence(facts()) };
    let unknown = with(Gathered::NotGathered);
    let missing = Outcome::Missing(vec![EvidenceKind::Signatures]);
    assert_eq!(ask(&policy, &unknown, &line, None), missing);
    assert!(decided(ask(&policy, &unknown, &no_line, None)).admits());
    let failed = with(Gathered::Failed("timed out".to_owned()));
    assert!(matches!(ask(&policy, &failed, &line, None), Outcome::Undecided(_)));
    assert!(decided(ask(&policy, &failed, &no_line, None)).admits());
    assert!(waits(ask(&policy, &with(Gathered::Absent), &line, None)).is_some());
    let incomplete = |by: &[&Pen]| {
        let incomplete = Some("timed out".to_owned());
        with(Gathered::Found(SignatureSearch { incomplete, ..search(by, &own()) }))
    };
    assert!(matches!(ask(&policy, &incomplete(&[b]), &line, None), Outcome::Undecided(_)));
    assert!(decided(ask(&policy, &incomplete(&[a]), &line, None)).admits());
    // What could not be looked for before is no line.
    let failed = [("v1", with(Gathered::Failed("timed out".to_owned())))];
    assert!(decided(ask(&policy, &unknown, &failed, None)).admits());
}

#[test]
fn signatures_over_every_image_of_an_index_count_where_the_rule_takes_them() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let (by_a, by_b, by_both): (&[&Pen], &[&Pen], &[&Pen]) = (&[a], &[b], &[a, b]);
    let rule = |scope: &str| {
        lines(&pens, &format!(", signatures: {{atLeast: 1, of: [a, b], scope: {scope}}}"))
    };
    let each = rule("every-platform");
    let before = [("v1", index(&digest("v1"), &[], &[by_a, by_both]))];
    for (images, expected) in [
        (&[by_a, by_a][..], None),
        (&[by_both, by_a], None),
        (&[by_a, by_b], Some("not signed by a, as v1 was before")),
        (&[by_b, by_b], Some("signed by b, not by a, as v1 was before")),
    ] {
        let now = index(&own(), &[], images);
        assert_eq!(waits(ask(&each, &now, &before, None)).as_deref(), expected);
    }
    // Over the index itself does as well.
    let now = index(&own(), by_a, &[by_b, by_b]);
    assert_eq!(waits(ask(&each, &now, &before, None)), None);
    // Where only the index counts, what is below it is nobody's line.
    let now = index(&own(), by_b, &[by_b, by_b]);
    assert_eq!(waits(ask(&rule("index"), &now, &before, None)), None);
    assert!(waits(ask(&rule("either"), &now, &before, None)).is_some());
    // An index without an image was signed by nobody.
    let empty = [("v1", index(&digest("v1"), &[], &[]))];
    assert_eq!(waits(ask(&rule("either"), &now, &empty, None)), None);
}

#[test]
fn nobody_is_said_to_be_gone_before_every_image_was_looked_at() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let (by_a, by_b): (&[&Pen], &[&Pen]) = (&[a], &[b]);
    let rule = |scope: &str| {
        lines(&pens, &format!(", signatures: {{atLeast: 1, of: [a, b], scope: {scope}}}"))
    };
    let before = [("v1", index(&digest("v1"), by_a, &[by_a]))];
    let either = rule("either");
    let now = index(&own(), by_b, &[by_b]);
    let below = |child_signatures| Evidence { child_signatures, ..now.clone() };
    let unknown = below(Gathered::NotGathered);
    let missing = |kind| Outcome::Missing(vec![kind]);
    assert_eq!(ask(&either, &unknown, &before, None), missing(EvidenceKind::ChildSignatures));
    let failed = below(Gathered::Failed("timed out".to_owned()));
    assert!(matches!(ask(&either, &failed, &before, None), Outcome::Undecided(_)));
    assert!(waits(ask(&either, &below(Gathered::Absent), &before, None)).is_some());
    let Gathered::Found(mut found) = now.child_signatures.clone() else { panic!("not found") };
    for search in found.searches.values_mut() {
        search.incomplete = Some("timed out".to_owned());
    }
    let incomplete = below(Gathered::Found(found));
    assert!(matches!(ask(&either, &incomplete, &before, None), Outcome::Undecided(_)));
    let Gathered::Found(facts) = now.manifest.clone() else { panic!("not found") };
    let old = Gathered::Found(ManifestFacts { images: None, ..facts });
    let old = Evidence { manifest: old, ..now.clone() };
    assert_eq!(ask(&either, &old, &before, None), missing(EvidenceKind::Manifest));
    // Where only the index counts, or it is none, there is nothing below to look at.
    assert!(waits(ask(&rule("index"), &unknown, &before, None)).is_some());
    let image = signed(&own(), by_b);
    assert_eq!(image.child_signatures, Gathered::NotGathered);
    assert!(waits(ask(&either, &image, &before, None)).is_some());
}

#[test]
fn an_approval_lets_signers_go_while_it_lasts() {
    let pens = [Pen::new(), Pen::new()];
    let [a, b] = &pens;
    let policy = lines(&pens, "");
    let before = [("v1", signed(&digest("v1"), &[a]))];
    for (expires, admits) in
        [(None, true), (Some("2026-11-20T10:00:00.001Z"), true), (Some(NOW), false)]
    {
        let expires = expires.map(|at| at.parse().unwrap());
        let standing = Standing::Approved {
            by: "alice".to_owned(),
            at: EARLIER[0].parse().unwrap(),
            expires,
            reason: "a new key".to_owned(),
            voters: Vec::new(),
            seen: None,
            files: Vec::new(),
        };
        let judgement = decided(ask(&policy, &signed(&own(), &[b]), &before, Some(&standing)));
        assert_eq!(judgement.admits(), admits, "{expires:?}");
        assert_eq!(judgement.good_until, expires.filter(|_| admits), "{expires:?}");
        if admits {
            let text = "signed by b, not by a, as v1 was before; approved by alice";
            assert_eq!(check(&judgement).unwrap().text, text);
        } else {
            assert_eq!(codes(&judgement), [ReasonCode::SignerChanged]);
        }
    }
}

#[test]
fn those_before_counted_when_they_signed_and_those_now_have_to_count_now() {
    let pens = [Pen::new(), Pen::new()];
    let [a, _] = &pens;
    let rule = "{id: line, match: [\"up.test/a\"], trust: allow}";
    for (window, expected) in [
        ("", None),
        (", notAfter: 2026-11-15T00:00:00Z", Some("not signed by a, as v1 was before")),
        // It counted at one of the two times only.
        (
            ", notBefore: 2026-11-05T00:00:00Z, notAfter: 2026-11-15T00:00:00Z",
            Some("not signed by a, as v1 was before"),
        ),
        (", notBefore: 2026-11-15T00:00:00Z", None),
    ] {
        let policy = by_keys(&pens, window, rule);
        let before = [("v1", signed(&digest("v1"), &[a]))];
        let outcome = ask(&policy, &signed(&own(), &[a]), &before, None);
        assert_eq!(waits(outcome).as_deref(), expected, "{window}");
    }
}
