//! The edges of decisions: where one comparison more or less would say something else.

use super::tests::{NOW, Pen, codes, context, decided, evidence, facts, policy, revoked, subject};
use super::*;
use crate::oci::{Digest, MediaType};
use crate::policy::Mode;

fn check<'a>(judgement: &'a Judgement, name: &str) -> &'a Check {
    judgement.checks.iter().find(|check| check.name == name).unwrap()
}

fn signers(pens: &[(&str, &Pen, &str)]) -> String {
    let signer = |(name, pen, window): &(&str, &Pen, &str)| {
        format!("  {name}: {{key: {{pem: \"{}\"{window}}}, transparencyLog: none}}\n", pen.pem())
    };
    format!("signers:\n{}", pens.iter().map(signer).collect::<Vec<_>>().concat())
}

/// One rule for `up.test/a`, which goes on with `rest`, with one signer.
fn rule(pen: &Pen, rest: &str) -> ReadyPolicy {
    let signers = signers(&[("team", pen, "")]);
    policy(&format!("{signers}rules: [{{id: r, match: [\"up.test/a\"], trust: allow{rest}}}]\n"))
}

fn signed(by: &[&Pen]) -> Evidence {
    let digest = subject("up.test/a").digest;
    let found = by.iter().map(|pen| pen.sign("up.test/a", &digest)).collect();
    let search = SignatureSearch { found, ..SignatureSearch::default() };
    Evidence { signatures: Gathered::Found(search), ..evidence(facts()) }
}

const SIGNED: &str = ", signatures: {atLeast: 1, of: [team]}, signerChange: allow";
const ATTESTED: &str = ", attestations: [{type: spdx, signers: [team]}]";

#[test]
fn a_rule_denies_its_kind_or_tags_beside_rules_that_allow_others() {
    let chart = || Some("application/vnd.cncf.helm.config.v1+json".to_owned());
    let tags = ["1.0".parse().unwrap()];
    for (allows, artifact_type, tags, admits) in [
        ("match: {images: [\"up.test/a\"], artifact: [chart]}", None, &[][..], false),
        ("match: {images: [\"up.test/a\"], artifact: [chart]}", chart(), &[], true),
        ("match: [\"up.test/a\"], tags: {exact: [\"1.0\"]}", None, &[], false),
        ("match: [\"up.test/a\"], tags: {exact: [\"1.0\"]}", None, &tags, true),
    ] {
        let policy = policy(&format!(
            "rules:\n- {{id: some, {allows}, trust: allow}}\n- {{id: rest, match: [\"up.test/a\"], trust: deny}}\n"
        ));
        let context = Context { tags, ..context(&policy) };
        let facts = ManifestFacts { artifact_type, ..facts() };
        let judgement = decided(decide(&subject("up.test/a"), &evidence(facts), &context));
        assert_eq!(judgement.admits(), admits, "{allows}");
        let by = judgement.rule.as_ref().unwrap().as_str();
        assert_eq!(by, if admits { "some" } else { "rest" }, "{allows}");
        if !admits {
            assert_eq!(codes(&judgement), [ReasonCode::DeniedByRule], "{allows}");
            assert_eq!(judgement.reasons()[0].text, "up.test/a is not served");
        }
    }
}

#[test]
fn what_is_exactly_as_large_as_is_allowed_is_allowed() {
    let policy = policy(
        "floor: {limits: {layers: 10, imageBytes: 1000B, manifestBytes: 500B}}\nrules: [{id: a, match: [\"up.test/a\"], trust: allow}]\n",
    );
    for (layers, image_bytes, size, expected) in [
        (10, 1000, 500, None),
        (11, 1000, 500, Some("11 layers, the policy allows 10")),
        (10, 1001, 500, Some("image has 1001 bytes, the policy allows 1000 bytes")),
        (10, 1000, 501, Some("manifest has 501 bytes, the policy allows 500 bytes")),
        (0, 0, 0, None),
    ] {
        let facts = ManifestFacts { size, layers, image_bytes, ..facts() };
        let judgement = decided(decide(&subject("up.test/a"), &evidence(facts), &context(&policy)));
        let text = judgement.reasons().first().map(|reason| reason.text.as_str());
        assert_eq!(text, expected);
        assert_eq!(judgement.reasons().len(), usize::from(expected.is_some()));
    }
}

#[test]
fn as_many_signatures_as_are_allowed_are_looked_at() {
    let (pen, other) = (Pen::new(), Pen::new());
    let policy = rule(&pen, SIGNED);
    let most = usize::try_from(policy.limits().signatures_per_image).unwrap();
    let mut by = vec![&other; most - 1];
    by.push(&pen);
    let judge =
        |by: &[&Pen]| decided(decide(&subject("up.test/a"), &signed(by), &context(&policy)));
    assert!(judge(&by).admits());
    by.push(&pen);
    assert_eq!(codes(&judge(&by)), [ReasonCode::TooManySignatures]);
}

#[test]
fn a_manifest_is_described_as_what_it_is() {
    let policy = policy("rules: [{id: a, match: [\"up.test/a\"], trust: allow}]\n");
    let platforms = |text: &[&str]| text.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
    let artifact = |text: &str| Some(text.to_owned());
    for (artifact_type, is_index, runs_on, expected) in [
        (None, false, platforms(&["linux/amd64"]), "image for linux/amd64, 3 layers, 1 MiB"),
        (None, false, platforms(&[]), "image for no stated platform, 3 layers, 1 MiB"),
        (
            None,
            true,
            platforms(&["linux/amd64", "linux/arm64"]),
            "index of linux/amd64 linux/arm64, 3 layers, 1 MiB",
        ),
        (artifact("a/b"), false, platforms(&[]), "artifact of type a/b, 3 layers, 1 MiB"),
        (artifact("a/b"), true, platforms(&[]), "artifact of type a/b, 3 layers, 1 MiB"),
        (
            artifact(&format!("{}; x=1", MediaType::OCI_CONFIG)),
            false,
            platforms(&["linux/amd64"]),
            "image for linux/amd64, 3 layers, 1 MiB",
        ),
    ] {
        let facts = ManifestFacts { artifact_type, is_index, platforms: runs_on, ..facts() };
        let judgement = decided(decide(&subject("up.test/a"), &evidence(facts), &context(&policy)));
        assert_eq!(check(&judgement, "manifest").text, expected);
    }
}

#[test]
fn a_forbidden_tag_is_refused_in_the_mode_of_what_it_names() {
    for (policy_mode, rule_mode, expected) in [
        ("enforce", "enforce", Mode::Enforce),
        ("enforce", "audit", Mode::Audit),
        ("audit", "enforce", Mode::Enforce),
        ("audit", "audit", Mode::Audit),
    ] {
        let policy = policy(&format!(
            "mode: {policy_mode}\nfloor: {{forbidTags: [latest]}}\nrules: [{{id: a, match: [\"up.test/a\"], trust: allow, mode: {rule_mode}}}]\n"
        ));
        let name = subject("up.test/a").name;
        let refused =
            refuse_by_name(&policy, &name, Some(&"latest".parse().unwrap()), NOW.parse().unwrap())
                .unwrap();
        assert_eq!(codes(&refused), [ReasonCode::ForbiddenTag]);
        assert_eq!(refused.enforced, expected == Mode::Enforce, "{policy_mode} {rule_mode}");
    }
}

#[test]
fn a_verdict_ends_with_the_first_key_that_it_rests_on() {
    let [a, b] = [Pen::new(), Pen::new()];
    let [first, later] = ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"];
    let signers = signers(&[
        ("a", &a, &format!(", notAfter: {first}")),
        ("b", &b, &format!(", notAfter: {later}")),
    ]);
    let image = |text: &str| Digest::sha256(text.as_bytes());
    let by = |pens: &[&Pen], digest: Digest| SignatureSearch {
        found: pens.iter().map(|pen| pen.sign("up.test/a", &digest)).collect(),
        ..SignatureSearch::default()
    };
    let listed = |text: &str| ChildImage { digest: image(text), platform: None };
    for (scope, own, one, two, expected) in [
        ("index", &[&a, &b][..], &[][..], &[][..], first),
        ("index", &[&b], &[], &[], later),
        ("every-platform", &[], &[&b], &[&b], later),
        ("every-platform", &[], &[&b], &[&a], first),
        ("every-platform", &[], &[&a], &[&b], first),
        ("either", &[], &[&a], &[&b], first),
        ("either", &[&b], &[&a], &[&a], later),
    ] {
        let policy = policy(&format!(
            "{signers}rules: [{{id: r, match: [\"up.test/a\"], trust: allow, signatures: {{atLeast: 1, of: [a, b], scope: {scope}}}}}]\n"
        ));
        let images = Some(vec![listed("one"), listed("two")]);
        let facts = ManifestFacts { is_index: true, images, ..facts() };
        let searches = [("one", one), ("two", two)]
            .map(|(text, pens)| (image(text), by(pens, image(text))))
            .into();
        let evidence = Evidence {
            signatures: Gathered::Found(by(own, subject("up.test/a").digest)),
            child_signatures: Gathered::Found(ChildSignatures {
                searches,
                keeps_attestations: true,
            }),
            ..evidence(facts)
        };
        let judgement = decided(decide(&subject("up.test/a"), &evidence, &context(&policy)));
        assert!(judgement.admits(), "{scope}");
        assert_eq!(judgement.good_until, Some(expected.parse().unwrap()), "{scope}");
    }
}

#[test]
fn signatures_are_asked_for_at_once_only_where_they_are_needed_whatever_it_is() {
    let pen = Pen::new();
    let (manifest, signatures) = (EvidenceKind::Manifest, EvidenceKind::Signatures);
    let silent = ", signerChange: allow";
    let attested = format!("{ATTESTED}{silent}");
    for (rest, both) in [
        (silent, false),
        (SIGNED, true),
        (attested.as_str(), true),
        (", signatures: {none: built here}", false),
        ("", true),
    ] {
        let policy = rule(&pen, rest);
        let asks = |evidence: &Evidence| decide(&subject("up.test/a"), evidence, &context(&policy));
        let expected = if both { vec![manifest, signatures] } else { vec![manifest] };
        assert_eq!(asks(&Evidence::default()), Outcome::Missing(expected), "{rest}");
        let known = Evidence { manifest: Gathered::NotGathered, ..signed(&[&pen]) };
        assert_eq!(asks(&known), Outcome::Missing(vec![manifest]), "{rest}");
    }
    // One of the rules that could apply asks for none.
    let signers = signers(&[("team", &pen, "")]);
    let policy = policy(&format!(
        "{signers}rules:\n- {{id: chart, match: {{images: [\"up.test/a\"], artifact: [chart]}}, trust: allow{silent}}}\n- {{id: rest, match: [\"up.test/a\"], trust: allow{SIGNED}}}\n"
    ));
    let outcome = decide(&subject("up.test/a"), &Evidence::default(), &context(&policy));
    assert_eq!(outcome, Outcome::Missing(vec![manifest]));
}

#[test]
fn what_is_refused_already_asks_for_nothing_more() {
    let pen = Pen::new();
    let both = format!("{SIGNED}{ATTESTED}");
    let name = subject("up.test/a");
    let failed = || Gathered::Failed("timed out".to_owned());
    // By people: nobody looks at signatures.
    let standing = revoked();
    let incomplete =
        SignatureSearch { incomplete: Some("timed out".to_owned()), ..SignatureSearch::default() };
    for signatures in [Gathered::NotGathered, failed(), Gathered::Found(incomplete)] {
        let policy = rule(&pen, &both);
        let context = Context { standing: Some(&standing), ..context(&policy) };
        let known = Evidence { signatures, ..evidence(facts()) };
        let judgement = decided(decide(&name, &known, &context));
        assert_eq!(codes(&judgement)[0], ReasonCode::Revoked);
        assert_eq!(check(&judgement, "attestation").state, CheckState::NotLooked);
    }
    // By its signatures: nobody looks at attestations.
    let policy = rule(&pen, &both);
    let judgement = decided(decide(&name, &signed(&[]), &context(&policy)));
    assert_eq!(codes(&judgement), [ReasonCode::Unsigned]);
    assert_eq!(check(&judgement, "attestation").state, CheckState::NotLooked);
    // By its attestations: nobody compares its signers with those before.
    let policy = rule(&pen, ATTESTED);
    let tag = "v1".parse().unwrap();
    let before = signed(&[&pen]);
    let at = [context(&policy).now; 2];
    let line = [Predecessor { tag: &tag, digest: name.digest, evidence: &before, at }];
    let other = Subject { digest: Digest::sha256(b"other"), ..name.clone() };
    let context = Context { before: &line, ..context(&policy) };
    let judgement = decided(decide(&other, &evidence(facts()), &context));
    assert_eq!(codes(&judgement), [ReasonCode::NotAttested]);
    assert!(judgement.checks.iter().all(|check| check.name != "continuity"));
    let silent = rule(&pen, "");
    let context = Context { policy: &silent, ..context };
    let judgement = decided(decide(&other, &evidence(facts()), &context));
    assert_eq!(codes(&judgement), [ReasonCode::SignerChanged], "else they are");
}

#[test]
fn where_either_would_do_and_neither_is_signed_both_are_told() {
    let pen = Pen::new();
    let policy = rule(&pen, ", signatures: {atLeast: 1, of: [team], scope: either}");
    let image = Digest::sha256(b"image");
    let images = Some(vec![ChildImage { digest: image, platform: None }]);
    let searches = [(image, SignatureSearch::default())].into();
    let evidence = Evidence {
        manifest: Gathered::Found(ManifestFacts { is_index: true, images, ..facts() }),
        child_signatures: Gathered::Found(ChildSignatures { searches, keeps_attestations: true }),
        ..signed(&[])
    };
    let judgement = decided(decide(&subject("up.test/a"), &evidence, &context(&policy)));
    let texts: Vec<_> = judgement.reasons().iter().map(|it| it.text.as_str()).collect();
    let below = format!("no stated platform ({}): not signed by team", image.short());
    assert_eq!(texts, ["not signed by team", below.as_str()]);
    assert!(check(&judgement, "signature").text.contains("; or each of 1 images needs"));
}

#[test]
fn what_could_not_be_read_is_told_where_something_lacks() {
    let pen = Pen::new();
    let policy = rule(&pen, SIGNED);
    for (by, told) in [(&[&pen][..], false), (&[], true)] {
        let mut evidence = signed(by);
        let Gathered::Found(search) = &mut evidence.signatures else { panic!("not found") };
        search.skipped.push("a layer is too large".to_owned());
        let judgement = decided(decide(&subject("up.test/a"), &evidence, &context(&policy)));
        let text = &check(&judgement, "signature").text;
        assert_eq!(text.ends_with("could not be read: a layer is too large"), told, "{text}");
        assert_eq!(judgement.admits(), !told);
    }
}

#[test]
fn a_signature_may_name_the_address_of_its_registry_and_no_other() {
    let pen = Pen::new();
    let policy = rule(&pen, SIGNED);
    let address = "mirror.test:5000".parse().unwrap();
    let digest = subject("up.test/a").digest;
    for (called, address, admits) in [
        ("up.test/a", None, true),
        ("up.test/a", Some(&address), true),
        ("mirror.test:5000/a", Some(&address), true),
        ("mirror.test:5000/a", None, false),
        ("mirror.test:5000/b", Some(&address), false),
        ("other.test/a", Some(&address), false),
    ] {
        let found = vec![pen.sign(called, &digest)];
        let search = SignatureSearch { found, ..SignatureSearch::default() };
        let evidence = Evidence { signatures: Gathered::Found(search), ..evidence(facts()) };
        let context = Context { address, ..context(&policy) };
        let judgement = decided(decide(&subject("up.test/a"), &evidence, &context));
        assert_eq!(judgement.admits(), admits, "{called} {address:?}");
    }
}

#[test]
fn whoever_lacks_is_named() {
    let [a, b] = [Pen::new(), Pen::new()];
    let signers = signers(&[("a", &a, ""), ("b", &b, "")]);
    for (signatures, text, remedy) in [
        ("{atLeast: 1, of: [a]}", "not signed by a", "signed by a."),
        ("{atLeast: 1, of: [a, b]}", "not signed by any of a, b", "signed by 1 more of a, b."),
        ("{atLeast: 2, of: [a, b]}", "signed by 0 of 2 needed, not by a, b", "signed by a, b."),
    ] {
        let policy = policy(&format!(
            "{signers}rules: [{{id: r, match: [\"up.test/a\"], trust: allow, signatures: {signatures}}}]\n"
        ));
        let judgement = decided(decide(&subject("up.test/a"), &signed(&[]), &context(&policy)));
        let [reason] = judgement.reasons() else { panic!("{judgement:?}") };
        assert_eq!(reason.text, text);
        assert_eq!(reason.remedy, format!("It would have to be {remedy}"));
    }
}

#[test]
fn what_the_floor_forbids_is_told_first_then_what_people_said_and_then_the_rest() {
    let image = subject("up.test/a");
    let policy = policy(&format!(
        "floor: {{denyImages: [{{digest: \"{}\", reason: xz}}]}}\nrules: [{{id: r, match: [\"up.test/a\"], trust: approve}}]\n",
        image.digest
    ));
    let bad = ManifestFacts { foreign_layer: Some(Digest::sha256(b"layer")), ..facts() };
    let standing = revoked();
    for (standing, expected) in [
        (Some(&standing), [ReasonCode::DeniedImage, ReasonCode::Revoked, ReasonCode::ForeignLayer]),
        (None, [ReasonCode::DeniedImage, ReasonCode::ForeignLayer, ReasonCode::ApprovalNeeded]),
    ] {
        let context = Context { standing, ..context(&policy) };
        let judgement = decided(decide(&image, &evidence(bad.clone()), &context));
        assert_eq!(codes(&judgement), expected);
    }
}
