//! Rules that ask for statements about an image, and what is attested to them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Image};

const REPOSITORY: &str = "lib/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SLSA: &str = "https://slsa.dev/provenance/v1";
const SPDX: &str = "https://spdx.dev/Document";

struct Case {
    mirror: TestMirror,
    image: Artifact,
    builder: Signer,
}

/// An upstream with an image, and a mirror whose rule wants `attestations` about it.
async fn case(attestations: &str) -> Case {
    let (builder, auditor) = (Signer::generate(), Signer::generate());
    let policy = format!(
        "signers:\n  builder:\n    transparencyLog: none\n    key:\n      pem: |\n  {}\
         \x20 auditor:\n    transparencyLog: none\n    key:\n      pem: |\n  {}\
         rules: [{{id: built, match: [\"up.test/lib/*\"], trust: allow, \
         attestations: {attestations}}}]\n",
        builder.policy_pem().replace('\n', "\n  "),
        auditor.policy_pem().replace('\n', "\n  "),
    );
    let policy = policy.replace("\n    auditor:", "\n  auditor:").replace("\n  rules:", "\nrules:");
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let image = Image::new().layer("content").build();
    mirror.upstream.push(REPOSITORY, "1", &image);
    Case { mirror, image, builder }
}

impl Case {
    fn attach(&self, attestation: &Artifact) {
        let upstream = &self.mirror.upstream;
        upstream.attach_by_fallback_tag(REPOSITORY, &self.image.digest(), attestation);
        // What was absent is looked for again.
        self.mirror.clock.advance(Duration::from_mins(2));
    }

    fn attest(&self, by: &Signer, kind: &str, says: &Value) {
        self.attach(&by.attestation(&self.image, kind, says));
    }

    async fn assert_served(&self) {
        self.mirror.pull(REPOSITORY, "1").await.assert_complete();
    }

    /// Refused for what is not attested, with `why` in the answer.
    async fn assert_refused(&self, why: &str) {
        let pulled = self.mirror.pull(REPOSITORY, "1").await;
        pulled.assert_refused("Denied by rule built: ");
        let message = pulled.manifest.error()["message"].to_string();
        assert!(message.contains(why), "{message}, not {why}");
    }
}

fn provenance(builder: &str) -> Value {
    json!({"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": builder}}})
}

#[tokio::test]
async fn what_is_attested_by_whom_the_rule_names_is_served_in_both_forms() {
    const RULE: &str = "[{type: slsaprovenance1, signers: [builder], \
        builder: \"https://ci.test/builder\", cel: \"predicate.buildDefinition.buildType == 'x'\"}]";
    let case_of_bundles = case(RULE).await;
    case_of_bundles.assert_refused("slsaprovenance1 not attested by builder").await;
    let stranger = Signer::generate();
    case_of_bundles.attest(&stranger, SLSA, &provenance("https://ci.test/builder"));
    case_of_bundles.assert_refused("slsaprovenance1 not attested by builder").await;
    let builder = &case_of_bundles.builder;
    case_of_bundles.attest(builder, SLSA, &provenance("https://ci.test/builder"));
    case_of_bundles.assert_served().await;
    // Through the mirror, everybody can verify it for themselves.
    let hex = case_of_bundles.image.digest().hex();
    let listed = case_of_bundles.mirror.get(&format!("{REPOSITORY}/referrers/sha256:{hex}")).await;
    let listed = String::from_utf8_lossy(listed.bytes()).into_owned();
    assert_eq!(
        listed.matches("application/vnd.dev.sigstore.bundle").count(),
        3,
        "with the mirror's own: {listed}"
    );

    let case_of_tags = case(RULE).await;
    let digest = case_of_tags.image.digest();
    let says = provenance("https://ci.test/builder");
    let attached = case_of_tags.builder.attached(&digest, SLSA, &says);
    let tag = format!("sha256-{}.att", digest.hex());
    case_of_tags.mirror.upstream.push(REPOSITORY, &tag, &attached);
    case_of_tags.assert_served().await;
}

/// T08: a statement of another kind, about something else, or by nobody says nothing.
#[tokio::test]
async fn what_says_something_else_does_not_count_and_says_why() {
    let other = Image::new().layer("other content").build();
    for (rule, kind, says, why) in [
        ("", SPDX, provenance("b"), "slsaprovenance1 not attested by builder"),
        ("", "https://slsa.dev/provenance/v1.0", provenance("b"), "not attested by builder"),
        ("", "https://slsa.dev/provenance/v0.2", provenance("b"), "not attested by builder"),
        ("", "https://sigstore.dev/cosign/sign/v1", json!({}), "not attested by builder"),
        (", builder: b", SLSA, provenance("b2"), "(built by b2)"),
        (", builder: b", SLSA, json!({"builder": ["b"]}), "(names no builder)"),
        (", builderRegexp: 'b|c'", SLSA, provenance("cb"), "(built by cb)"),
        (", cel: \"predicate.a == 1\"", SLSA, json!({"a": 2}), "(condition is not met)"),
        (", cel: \"predicate.a == 1\"", SLSA, json!({"b": 1}), "(condition cannot be answered: No"),
        (", cel: \"predicate.a\"", SLSA, json!({"a": 1}), "condition cannot be answered"),
        (", cel: \"predicate.a\"", SLSA, json!(["a"]), "condition cannot be answered"),
    ] {
        let case = case(&format!("[{{type: slsaprovenance1, signers: [builder]{rule}}}]")).await;
        case.attest(&case.builder, kind, &says);
        case.assert_refused(why).await;
    }
    let case = case("[{type: slsaprovenance1, signers: [builder]}]").await;
    let about_other = case.builder.attestation(&other, SLSA, &provenance("b"));
    let bundle = about_other.blobs.last().cloned().unwrap();
    let layer = Image::artifact(BUNDLE).layer_of(BUNDLE, bundle, &[]);
    case.attach(&layer.subject(&case.image).build());
    case.assert_refused("(signed for another digest").await;
}

/// A signature is no attestation, and an attestation no signature.
#[tokio::test]
async fn attestations_and_signatures_do_not_stand_in_for_each_other() {
    let case = case("[{type: \"https://sigstore.dev/cosign/sign/v1\", signers: [builder]}]").await;
    case.attach(&case.builder.bundle(&case.image));
    case.assert_refused("not attested by builder").await;
}

#[tokio::test]
async fn everything_that_is_asked_for_must_be_attested() {
    let case = case(
        "[{type: slsaprovenance1, signers: [builder]}, \
          {type: spdx, signers: [builder, auditor], atLeast: 1}]",
    )
    .await;
    case.attest(&case.builder, SLSA, &provenance("b"));
    case.assert_refused("spdx not attested by builder, auditor").await;
    // Versions of one kind of document are that kind.
    case.attest(&case.builder, "https://spdx.dev/Document/v2.3", &json!({"spdxVersion": "x"}));
    case.assert_served().await;
}

#[tokio::test]
async fn a_large_bill_of_materials_is_read_and_kept_out_of_the_records() {
    let case = case("[{type: spdx, signers: [builder], cel: \"has(predicate.packages)\"}]").await;
    let packages: Vec<Value> =
        (0..9_000).map(|at| json!({"name": format!("package {at}")})).collect();
    case.attest(&case.builder, SPDX, &json!({"packages": packages}));
    case.assert_served().await;
    // A new policy is decided from what is here, without upstream.
    case.mirror.upstream.go_away();
    let restarted = case.mirror.restart().await;
    restarted.pull(REPOSITORY, "1").await.assert_complete();
}
