use std::path::Path;

use super::*;
use crate::policy::{Policy, Rule, SignatureRule, Signer, Trust, Who};

const PEM: &str = include_str!("../../../tests/fixtures/signatures/p256.pub");
const ENOUGH: Enough = Enough { days: 30, pulls: 3 };
const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn image(number: u8, tags: &[&str], signatures: SeenSignatures) -> SeenImage {
    SeenImage {
        digest: Digest::sha256(&[number]),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        pulls: 2,
        first: at("2026-11-01T00:00:00Z"),
        last: at("2026-11-20T00:00:00Z"),
        signatures,
        scan: SeenScan::NotScanned("nothing asked for it".to_owned()),
    }
}

fn repository(name: &str, images: Vec<SeenImage>) -> SeenRepository {
    let clients = BTreeSet::from(["n1".to_owned(), "n2".to_owned()]);
    SeenRepository { name: name.parse().unwrap(), images, clients }
}

fn identity(subject: &str) -> SeenSigner {
    SeenSigner::Identity(SeenIdentity {
        root: "public-good".to_owned(),
        issuer: GITHUB.to_owned(),
        subject: subject.to_owned(),
        is_uri: true,
    })
}

fn by(signers: &[SeenSigner]) -> SeenSignatures {
    SeenSignatures::By(signers.iter().cloned().collect())
}

fn workflow(tag: &str) -> SeenSigner {
    identity(&format!("https://github.com/acme/app/.github/workflows/r.yml@refs/tags/{tag}"))
}

fn found(worst: Option<Rating>, fixable: Option<Rating>) -> SeenScan {
    SeenScan::Read(SeenFindings {
        worst,
        worst_fixable: fixable,
        exploited: Some(false),
        worst_told: Some("CVE-2026-1 in openssl\n- {id: evil}".to_owned()),
        ..SeenFindings::default()
    })
}

/// The proposal by a policy in force that is written so, and the policy that it is.
fn proposed_by(source: &str, seen: Vec<SeenRepository>) -> (Learned, Policy) {
    let source = Source {
        text: source.to_owned(),
        files: [("key.pub".to_owned(), PEM.as_bytes().to_vec())].into(),
        ..Source::default()
    };
    let now = at("2026-11-30T12:00:00Z");
    let present = Present { name: "site", revision: 4, source: &source, now };
    let seen = Seen { repositories: seen, platforms: BTreeSet::new() };
    let learned = learn(seen, &present, ENOUGH);
    let read = |path: &Path| source.read(path);
    let policy = Policy::parse(&learned.policy, &read)
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{}", learned.policy));
    (learned, policy)
}

fn proposed(seen: Vec<SeenRepository>) -> (Learned, Policy) {
    proposed_by("", seen)
}

fn one(images: Vec<SeenImage>) -> (Learned, Policy) {
    proposed(vec![repository("ghcr.io/acme/app", images)])
}

fn asked(policy: &Policy) -> String {
    match policy.rules()[0].alone().signatures {
        None => "nothing".to_owned(),
        Some(SignatureRule::None { reason }) => format!("none: {reason}"),
        Some(SignatureRule::Signed { by, .. }) => {
            let [quorum] = by.as_slice() else { panic!("{by:?}") };
            format!("{} of {}", quorum.at_least, quorum.of.join(" "))
        }
    }
}

#[test]
fn what_one_signer_signed_all_along_needs_nobody() {
    let (learned, policy) = one(vec![
        image(1, &["v1.2.0"], by(&[workflow("v1.2.0")])),
        image(2, &["v1.10.3", "latest"], by(&[workflow("v1.10.3")])),
    ]);
    let rule = &policy.rules()[0];
    assert_eq!(
        (rule.id().as_str(), rule.trust(), asked(&policy)),
        ("acme-app", Trust::Allow, "1 of acme-app-r.yml".to_owned())
    );
    let Who::Keyless { subject, issuer, root, .. } = policy.signers()[0].who() else {
        panic!("{:?}", policy.signers())
    };
    assert_eq!((issuer.as_str(), root.as_str()), (GITHUB, "public-good"));
    let expected =
        r"https://github\.com/acme/app/\.github/workflows/r\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+";
    assert_eq!(subject, &crate::policy::WantedText::Regexp(expected.to_owned()));
    assert_eq!(learned.rules[0].tags.as_deref(), Some("{semver: \">=1.2.0, <2\"}"));
    assert_eq!((policy.name(), policy.revision()), ("site", 5));
    let text = &learned.policy;
    assert!(
        text.contains("# acme-app: 2 images, 4 pulls, 2026-11-01 to 2026-11-20, 2 nodes."),
        "{text}"
    );
    assert!(text.contains(": 2 of 2.\n"), "{text}");
    assert!(text.contains("# Not scanned: 2 of 2: nothing asked for it."), "{text}");
}

#[test]
fn one_image_generalizes_nobody_and_people_are_asked() {
    // Two identities that differ in the version only, on one image that somebody may have made so.
    let (learned, policy) =
        one(vec![image(1, &["1"], by(&[workflow("v1.2.0"), workflow("v1.2.1")]))]
            .into_iter()
            .map(|mut it| {
                it.pulls = 9;
                it
            })
            .collect());
    assert_eq!(policy.rules()[0].trust(), Trust::Approve);
    assert!(!learned.policy.contains("Regexp"), "{}", learned.policy);
    let (learned, policy) =
        one(vec![SeenImage { pulls: 9, ..image(1, &["1"], by(&[workflow("v1.2.0")])) }]);
    assert_eq!(policy.rules()[0].trust(), Trust::Approve);
    assert!(learned.policy.contains("A single image is no history"), "{}", learned.policy);
    assert!(!learned.policy.contains("Regexp"), "{}", learned.policy);
}

#[test]
fn only_the_version_of_a_workflow_is_ever_generalized() {
    for (first, second) in [
        (
            "https://github.com/acme1/a/.github/w.yml@refs/tags/v1",
            "https://github.com/acme2/a/.github/w.yml@refs/tags/v1",
        ),
        (
            "https://github.com/acme/a/.github/w.yml@refs/heads/1",
            "https://github.com/acme/a/.github/w.yml@refs/heads/2",
        ),
        (
            "https://github.com/acme/a/.github/w.yml@refs/tags/v1",
            "https://github.com/acme/a/.github/w.yml@refs/tags/v1.1",
        ),
        (
            "https://github.com/acme/a/.github/w.yml@refs/tags/v1-rc1",
            "https://github.com/acme/a/.github/w.yml@refs/tags/v1-rc2",
        ),
        (
            "https://github.com/acme/a/.github/w.yml@refs/tags/",
            "https://github.com/acme/a/.github/w.yml@refs/tags/v",
        ),
        ("dev1@acme.test", "dev2@acme.test"),
    ] {
        let images = [first, second].map(|it| by(&[identity(it)]));
        let [first, second] = images;
        let (learned, policy) =
            one(vec![image(1, &["1.0.0"], first), image(2, &["1.0.1"], second)]);
        assert!(!learned.policy.contains("Regexp"), "{}", learned.policy);
        // Both are named, and it is said that there are two; nobody is trusted for it.
        assert_eq!(policy.signers().len(), 2, "{}", learned.policy);
        assert!(asked(&policy).starts_with("1 of "), "{}", asked(&policy));
        assert_eq!(policy.rules()[0].trust(), Trust::Approve);
        assert!(learned.policy.contains("# Several signers"), "{}", learned.policy);
    }
}

#[test]
fn two_signers_of_every_image_are_both_asked_for() {
    let both = || by(&[identity("https://a.test/x"), identity("https://b.test/x")]);
    let (learned, policy) = one(vec![image(1, &["a"], both()), image(2, &["b"], both())]);
    assert_eq!(policy.signers().len(), 2);
    assert_eq!(asked(&policy), format!("2 of {}", learned.rules[0].signers.join(" ")));
    assert_eq!(policy.rules()[0].trust(), Trust::Approve);
}

#[test]
fn what_is_not_known_is_never_called_unsigned() {
    let unknown = || SeenSignatures::Unknown("nobody looked".to_owned());
    for (second, told) in [
        (unknown(), "# Signatures not known of 1 of 2: nobody looked."),
        (SeenSignatures::Unnamed, "neither the policy nor a trust root names: 1 of 2."),
        (by(&[workflow("v1")]), "# Signed by nobody: 1 of 2."),
    ] {
        let (learned, policy) =
            one(vec![image(1, &["a"], SeenSignatures::Nobody), image(2, &["b"], second)]);
        assert_eq!(
            (asked(&policy).as_str(), policy.rules()[0].trust()),
            ("nothing", Trust::Approve)
        );
        assert!(learned.policy.contains(told), "{}", learned.policy);
        assert!(!learned.policy.contains("none:"), "{}", learned.policy);
    }
    let (_, policy) = one(vec![
        image(1, &["a"], SeenSignatures::Nobody),
        image(2, &["b"], SeenSignatures::Nobody),
    ]);
    assert_eq!(asked(&policy), "none: none of 2 images that were pulled by 2026-11-20 was");
    assert_eq!(policy.rules()[0].trust(), Trust::Approve);
}

#[test]
fn the_gate_is_the_strictest_that_refuses_none_of_them() {
    use Rating::{Critical, High, Low, Medium};
    for (worst, fixable, expected) in [
        (None, None, "no-low-exploited: {deny: [{severity: low}, {exploited: true}]}"),
        (
            Some(High),
            None,
            "no-critical-fixable-low-exploited: {deny: [{severity: critical}, {severity: low, fixable: true}, {exploited: true}]}",
        ),
        (
            Some(Critical),
            Some(Medium),
            "no-fixable-high-exploited: {deny: [{severity: high, fixable: true}, {exploited: true}]}",
        ),
        (
            Some(Low),
            Some(Low),
            "no-medium-exploited: {deny: [{severity: medium}, {exploited: true}]}",
        ),
    ] {
        let mut second = image(2, &["b"], SeenSignatures::Nobody);
        second.scan = found(worst, fixable);
        let mut first = image(1, &["a"], SeenSignatures::Nobody);
        first.scan = found(None, None);
        let (learned, policy) = one(vec![first, second]);
        assert!(learned.policy.contains(expected), "{}", learned.policy);
        assert_eq!(policy.rules()[0].alone().gates.len(), 1);
        assert!(
            learned.policy.contains("# Worst finding: CVE-2026-1 in openssl[U+000A]- {id: evil}.")
        );
    }
    let with = |change: fn(&mut SeenFindings)| {
        let mut image = image(1, &["a"], SeenSignatures::Nobody);
        image.pulls = 3;
        let mut findings = SeenFindings {
            worst: Some(Critical),
            worst_fixable: Some(Critical),
            ..SeenFindings::default()
        };
        change(&mut findings);
        image.scan = SeenScan::Read(findings);
        one(vec![image]).0.policy
    };
    // Whether something is exploited is not known, so that it is not asked for.
    assert!(!with(|_| {}).contains("gates"), "{}", with(|_| {}));
    let open =
        with(|it| (it.exploited, it.is_incomplete, it.has_unknown) = (Some(false), true, true));
    assert!(
        open.contains("{deny: [{exploited: true}], incomplete: allow, unknown: allow}"),
        "{open}"
    );
    let malware = with(|it| (it.malware, it.exploited) = (Some("MAL-1".to_owned()), Some(false)));
    assert!(malware.contains("# HAS MALWARE: MAL-1.") && !malware.contains("gates:"), "{malware}");
}

#[test]
fn tags_are_named_as_they_were_in_use() {
    for (tags, expected) in [
        (&["1.2.3", "v2.0.0"][..], Some("{semver: \">=1.2.3, <3\"}")),
        (&["7.4-alpine", "7.2.1-alpine"], Some("{glob: [\"7.*-alpine\"]}")),
        (&["7", "stable"], Some("{exact: [\"7\", \"stable\"]}")),
        (&["1.28", "latest"], Some("{glob: [\"1.*\", \"latest\"]}")),
        // Another way to write the greatest number there is: no range holds it.
        (&["18446744073709551615.0.0", "a"], Some("{glob: [\"18446744073709551615.*\", \"a\"]}")),
    ] {
        let images = tags.iter().zip(1..);
        let images = images.map(|(tag, number)| image(number, &[tag], SeenSignatures::Nobody));
        let images: Vec<SeenImage> = images.collect();
        let (learned, policy) = one(images.clone());
        assert_eq!(learned.rules[0].tags.as_deref(), expected);
        let filter = policy.rules()[0].tags().unwrap();
        assert!(images.iter().all(|it| it.tags.iter().any(|tag| filter.matches(tag))), "{tags:?}");
    }
    let images =
        vec![image(1, &["1.0.0"], SeenSignatures::Nobody), image(2, &[], SeenSignatures::Nobody)];
    let (learned, policy) = one(images);
    assert!(policy.rules()[0].tags().is_none());
    assert!(learned.policy.contains("# All tags: some were pulled by digest alone."));
    let many = (0..=u8::try_from(FORMS_MAX).unwrap())
        .map(|number| image(number, &[&format!("build-{number}-x")], SeenSignatures::Nobody));
    assert!(one(many.collect()).1.rules()[0].tags().is_none());
}

#[test]
fn repositories_that_are_alike_have_one_rule_and_a_stranger_among_them_is_not_covered() {
    let alike = |name: &str| {
        repository(
            name,
            vec![
                image(1, &["1.0.0"], by(&[identity("https://a.test/x")])),
                image(2, &["1.1.0"], by(&[identity("https://a.test/x")])),
            ],
        )
    };
    let three = || vec![alike("quay.io/a/x"), alike("quay.io/a/y"), alike("quay.io/a/z")];
    let (learned, policy) = proposed(three());
    assert_eq!(policy.rules().len(), 1, "{}", learned.policy);
    assert_eq!(learned.rules[0].images, ["quay.io/a/*"]);
    assert_eq!((learned.rules[0].pulls, learned.rules[0].nodes), (12, 2));
    // One with too little history, or another kind: then nothing beside the three is covered.
    for stranger in [
        repository("quay.io/a/new", vec![image(3, &["1.0.0"], SeenSignatures::Nobody)]),
        repository(
            "quay.io/a/other",
            vec![SeenImage { pulls: 5, ..image(3, &["9"], SeenSignatures::Nobody) }],
        ),
    ] {
        let name = stranger.name.clone();
        let (learned, policy) = proposed(three().into_iter().chain([stranger]).collect());
        let rule = learned.rules.iter().find(|it| it.repositories.len() == 3).unwrap();
        assert_eq!(rule.images, ["quay.io/a/x", "quay.io/a/y", "quay.io/a/z"]);
        let covers = |rule: &Rule| rule.patterns().any(|it| it.matches(&name.to_string()));
        let trusted = policy.rules().iter().filter(|it| it.trust() == Trust::Allow);
        assert!(!trusted.into_iter().any(covers), "{}", learned.policy);
    }
}

#[test]
fn little_history_is_listed_and_no_rule() {
    let (learned, policy) = proposed(vec![
        repository("quay.io/a/x", vec![image(1, &["1"], SeenSignatures::Nobody)]),
        repository("quay.io/a/y", vec![]),
    ]);
    assert!(learned.rules.is_empty());
    assert_eq!(
        (policy.rules()[0].id().as_str(), policy.rules()[0].trust()),
        ("nothing-yet", Trust::Deny)
    );
    assert!(learned.policy.contains("#   quay.io/a/x: 1 image, 2 pulls\n"), "{}", learned.policy);
    assert_eq!(learned.left_out.len(), 1);
    let many = (0..REPOSITORIES_MAX + 150).map(|number| {
        repository(
            &format!("quay.io/a{number}/x"),
            vec![SeenImage { pulls: 9, ..image(1, &["1"], SeenSignatures::Nobody) }],
        )
    });
    let (learned, _) = proposed(many.collect());
    assert_eq!(
        (learned.rules.len(), learned.left_out.len(), learned.left_out_more),
        (REPOSITORIES_MAX, LEFT_OUT_MAX, 50)
    );
}

#[test]
fn signers_of_the_policy_and_its_floor_are_taken_over() {
    let source = format!(
        "floor: {{registries: [docker.io], forbidTags: [latest], denyImages: [{{digest: '{}', reason: 'bad # one'}}]}}\n\
         overlays: [{{id: o, match: [\"**\"], trust: deny}}]\n\
         signers:\n  team: {{key: {{pem: file:key.pub}}, transparencyLog: none}}\n  acme-app-r.yml: {{key: {{pem: |\n{}}}, transparencyLog: none}}\n",
        Digest::sha256(b"x"),
        "      ignored\n"
    );
    let source = source.replace(
        "  acme-app-r.yml: {key: {pem: |\n      ignored\n}, transparencyLog: none}\n",
        "  acme-app-r.yml: {key: {pem: file:other.pub}, transparencyLog: none}\n",
    );
    let team = || by(&[SeenSigner::Named("team".to_owned())]);
    let (learned, policy) = proposed_by(
        &source,
        vec![
            repository(
                "ghcr.io/acme/app",
                vec![image(1, &["a"], team()), image(2, &["b"], team())],
            ),
            repository(
                "ghcr.io/acme/b",
                vec![
                    image(1, &["a"], by(&[workflow("v1")])),
                    image(2, &["b"], by(&[workflow("v2")])),
                ],
            ),
        ],
    );
    assert_eq!(policy.rules().iter().map(Rule::trust).collect::<Vec<_>>(), [Trust::Allow; 2]);
    let names: BTreeSet<&str> = policy.signers().iter().map(Signer::name).collect();
    // A name that the policy uses for somebody else is not taken for a new one.
    assert_eq!(names, BTreeSet::from(["acme-app-r.yml-2", "team"]), "{}", learned.policy);
    assert!(learned.policy.contains("  forbidTags: [\"latest\"]\n"), "{}", learned.policy);
    assert!(learned.policy.contains("reason: \"bad # one\""), "{}", learned.policy);
    assert!(learned.policy.contains("  registries: [\"ghcr.io\"]\n"), "{}", learned.policy);
    assert!(
        learned.policy.contains("# NOT IN IT, although the policy in force has them: overlays.")
    );
}

#[test]
fn no_identity_ends_a_line_or_means_more_than_itself() {
    for hostile in [
        "https://evil.test/x\"}}} rules: [{id: all, match: [\"**\"], trust: allow}] #",
        "https://evil.test/.*|.+",
        "https://evil.test/\u{2028}- {id: b}\u{202e}\u{feff}",
        "https://evil.test/\\\" # ' *x &y !z",
        "@@@",
    ] {
        let signed = || by(&[identity(hostile)]);
        let (learned, policy) = one(vec![image(1, &["a"], signed()), image(2, &["b"], signed())]);
        assert_eq!((policy.rules().len(), policy.signers().len()), (1, 1), "{}", learned.policy);
        let Who::Keyless { subject, .. } = policy.signers()[0].who() else { panic!("keyless") };
        assert_eq!(subject, &crate::policy::WantedText::Exact(hostile.to_owned()));
        assert!(learned.policy.is_ascii());
    }
    // Whom no policy can name is nobody that is trusted.
    let newline = "https://evil.test/x\nrules: [{id: all, match: [\"**\"], trust: allow}]\n#";
    let long = format!("https://evil.test/{}", "x".repeat(IDENTITY_BYTES_MAX));
    for unfit in [newline, "https://evil.test/\u{85}- b", "", &long] {
        let signed = || by(&[identity(unfit), workflow("v1")]);
        let (learned, policy) = one(vec![image(1, &["a"], signed()), image(2, &["b"], signed())]);
        assert_eq!((policy.rules().len(), policy.signers().len()), (1, 0), "{}", learned.policy);
        assert_eq!(policy.rules()[0].trust(), Trust::Approve);
    }
    // What is generalized is escaped.
    let wide = |tag| identity(&format!("https://evil.test/.*|(a)+@refs/tags/{tag}"));
    let (learned, policy) =
        one(vec![image(1, &["a"], by(&[wide("1.0")])), image(2, &["b"], by(&[wide("1.1")]))]);
    let Who::Keyless { subject, .. } = policy.signers()[0].who() else { panic!("keyless") };
    let pattern = compiled(subject.as_str());
    assert!(pattern.is_match("https://evil.test/.*|(a)+@refs/tags/9.9"), "{}", learned.policy);
    for other in ["https://evil.test/x", "https://good.test/@refs/tags/1.0", "aa@refs/tags/1.0"] {
        assert!(!pattern.is_match(other), "{other}");
    }
}

pub(super) fn compiled(text: &str) -> regex::Regex {
    regex::Regex::new(&format!(r"\A(?:{text})\z")).unwrap()
}
