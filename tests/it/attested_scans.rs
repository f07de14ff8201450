//! Scans that signers of the policy attest: theirs count, for as long as they are young, and nobody else's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scanning::{know, other, vulnerable};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Artifact, Fault, Index};

const VULNERABILITIES: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const REPOSITORY: &str = "app";
const HOUR: Duration = Duration::from_hours(1);

struct Case {
    mirror: TestMirror,
    image: Artifact,
    team: Signer,
    others: Signer,
}

/// A mirror whose gate asks `scanner`, which may name the signer `team`, and an image against which the
/// scanner inside knows nothing.
async fn case(scanner: &str) -> Case {
    let (team, others) = (Signer::generate(), Signer::generate());
    let pem = team.public_pem().replace('\n', "\\n");
    let policy = format!(
        "signers: {{team: {{key: {{pem: \"{pem}\"}}, transparencyLog: none}}}}\n\
         gates: {{strict: {{deny: [{{severity: high}}], scanner: {{{scanner}}}}}}}\n\
         floor: {{platforms: [linux/amd64, linux/arm64]}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}]\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    know(&mirror, &[other()]).await;
    let image = vulnerable();
    mirror.upstream.push(REPOSITORY, "1", &image);
    Case { mirror, image, team, others }
}

/// A scan of `image` at `at`, which found `findings` (id and severity).
fn scan(image: &Artifact, at: &str, findings: &[(&str, &str)]) -> Value {
    let found = |(id, severity): &(&str, &str)| {
        json!({"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.0.11-1",
               "FixedVersion": "3.0.13-1", "Severity": severity, "Status": "fixed"})
    };
    let found: Vec<Value> = findings.iter().map(found).collect();
    json!({
        "invocation": {"uri": "https://ci.test/1", "event_id": "1"},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@0.76.0",
            "version": "0.76.0",
            "db": {"uri": "", "version": "2", "lastUpdate": "2026-11-20T06:00:00Z"},
            "result": {
                "SchemaVersion": 2,
                "CreatedAt": at,
                "ArtifactName": "app",
                "ArtifactType": "container_image",
                "Metadata": {
                    "OS": {"Family": "debian", "Name": "12.8"},
                    "RepoDigests": [format!("up.test/app@{}", image.digest())],
                },
                "Results": [{
                    "Target": "app (debian 12.8)",
                    "Class": "os-pkgs",
                    "Type": "debian",
                    "Packages": [{"ID": "openssl@3.0.11-1", "Name": "openssl", "Version": "3.0.11-1"}],
                    "Vulnerabilities": found,
                }],
            },
        },
        "metadata": {"scanStartedOn": at, "scanFinishedOn": at},
    })
}

impl Case {
    fn attest(&self, by: &Signer, predicate: &Value) {
        let attestation = by.attestation(&self.image, VULNERABILITIES, predicate);
        let (upstream, digest) = (&self.mirror.upstream, self.image.digest());
        upstream.attach_by_fallback_tag(REPOSITORY, &digest, &attestation);
        self.mirror.clock.advance(Duration::from_mins(2));
    }

    async fn assert_served(&self) {
        self.mirror.pull(REPOSITORY, "1").await.assert_complete();
    }

    async fn assert_refused(&self, why: &str) {
        self.mirror.pull(REPOSITORY, "1").await.assert_refused(&format!("Denied by rule a: {why}"));
    }
}

const NOW: &str = "2026-11-20T09:30:00Z";
const ALONE: &str = "all: [attested], attestedBy: [team]";

#[tokio::test]
async fn a_young_scan_by_a_signer_of_the_policy_counts_and_nobody_elses() {
    let case = case(ALONE).await;
    case.assert_refused("no scan is attested by team").await;
    case.attest(&case.others, &scan(&case.image, NOW, &[]));
    case.assert_refused("no scan is attested by team").await;
    case.attest(&case.team, &scan(&case.image, NOW, &[("CVE-2026-4", "LOW")]));
    case.assert_served().await;
}

#[tokio::test]
async fn what_an_attested_scan_found_is_refused_and_the_latest_scan_counts() {
    let case = case(ALONE).await;
    case.attest(&case.team, &scan(&case.image, NOW, &[("CVE-2026-4", "CRITICAL")]));
    let why = "CVE-2026-4 in openssl 3.0.11-1, fixed in 3.0.13-1, found by attested";
    case.assert_refused(why).await;
    case.attest(&case.team, &scan(&case.image, "2026-11-19T10:30:00Z", &[]));
    case.assert_refused(why).await;
}

#[tokio::test]
async fn an_old_scan_and_one_of_another_image_admit_nothing() {
    let case = case(&format!("{ALONE}, maxReportAge: 6h")).await;
    case.attest(&case.team, &scan(&case.image, "2026-11-20T03:00:00Z", &[]));
    case.assert_refused("scan attested by team is 7 h old").await;
    let stranger = crate::support::upstream::Image::new().layer("another").build();
    case.attest(&case.team, &scan(&stranger, NOW, &[]));
    case.assert_refused("scan attested by team is 7 h old").await;
    case.attest(&case.team, &scan(&case.image, "2026-11-29T00:00:00Z", &[]));
    case.assert_refused("scan attested by team is of 2026-11-29T00:00:00Z, which is to come").await;
}

#[tokio::test]
async fn a_scan_whose_database_was_too_old_admits_nothing() {
    let case = case(&format!("{ALONE}, maxDbAge: 1d")).await;
    let mut old = scan(&case.image, NOW, &[]);
    old["scanner"]["db"]["lastUpdate"] = json!("2026-11-18T06:00:00Z");
    case.attest(&case.team, &old);
    case.assert_refused("scan attested by team: vulnerability database is 52 h old").await;
}

#[tokio::test]
async fn where_any_is_enough_an_attested_scan_stands_beside_the_scanner_inside() {
    let case = case("any: [attested, pratique], attestedBy: [team]").await;
    case.assert_served().await;
}

#[tokio::test]
async fn what_is_admitted_by_an_attested_scan_is_served_on_when_that_grows_old_or_upstream_is_away()
{
    let case = case(&format!("{ALONE}, maxReportAge: 6h")).await;
    case.attest(&case.team, &scan(&case.image, NOW, &[]));
    case.assert_served().await;
    case.mirror.clock.advance(48 * HOUR);
    case.mirror.upstream.fault("/v2/", Fault::Status(503));
    case.assert_served().await;
}

#[tokio::test]
async fn a_scan_attested_about_an_index_says_nothing_of_its_images() {
    let case = case(ALONE).await;
    let index = Index::new().child(case.image.clone()).build();
    case.mirror.upstream.push(REPOSITORY, "2", &index);
    let attestation = case.team.attestation(&index, VULNERABILITIES, &scan(&case.image, NOW, &[]));
    let upstream = &case.mirror.upstream;
    upstream.attach_by_fallback_tag(REPOSITORY, &index.digest(), &attestation);
    case.mirror.clock.advance(Duration::from_mins(2));
    let refused = case.mirror.pull(REPOSITORY, "2").await;
    refused.assert_refused("Denied by rule a: no scan is attested by team");
    case.attest(&case.team, &scan(&case.image, NOW, &[]));
    assert_eq!(case.mirror.manifest(REPOSITORY, "2").await.status, 200);
}

#[tokio::test]
async fn each_gate_goes_by_the_scans_of_its_own_signers() {
    let (team, audit) = (Signer::generate(), Signer::generate());
    let key = |signer: &Signer| {
        let pem = signer.public_pem().replace('\n', "\\n");
        format!("{{key: {{pem: \"{pem}\"}}, transparencyLog: none}}")
    };
    let gate = |signer: &str| {
        format!(
            "{{deny: [{{severity: high}}], scanner: {{all: [attested], attestedBy: [{signer}]}}}}"
        )
    };
    let policy = format!(
        "signers: {{team: {}, audit: {}}}\ngates: {{own: {}, other: {}}}\n\
         rules: [{{id: a, match: [\"up.test/**\"], trust: allow, gates: [own, other]}}]\n",
        key(&team),
        key(&audit),
        gate("team"),
        gate("audit"),
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    know(&mirror, &[other()]).await;
    let image = vulnerable();
    mirror.upstream.push(REPOSITORY, "1", &image);
    let case = Case { mirror, image, team, others: audit };
    case.attest(&case.team, &scan(&case.image, NOW, &[]));
    case.assert_refused("no scan is attested by audit").await;
    case.attest(&case.others, &scan(&case.image, NOW, &[("CVE-2026-4", "CRITICAL")]));
    case.assert_refused("CVE-2026-4 in openssl 3.0.11-1").await;
}
