//! A wall clock that is years off, and then is set right.

use pratique::ledger::Decision;
use pratique::time::{Clock as _, Timestamp};

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::Image;

const RULES: &str = r#"
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: open, match: ["up.test/open/**"], trust: allow}
"#;
const RIGHT: &str = "2026-11-20T10:00:00Z";
const YEARS_OFF: [&str; 2] = ["2036-11-20T10:00:00Z", "2025-11-20T10:00:00Z"];

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[tokio::test]
async fn with_the_clock_years_off_pulls_and_approvals_go_on_and_the_audit_is_whole() {
    let mut mirror = TestMirror::start(RULES).await;
    mirror.upstream.push("open/app", "1", &Image::new().layer("one").build());
    mirror.pull("open/app", "1").await.assert_complete();
    for (turn, wrong) in YEARS_OFF.into_iter().chain([RIGHT]).enumerate() {
        mirror.clock.set(at(wrong));
        mirror.pull("open/app", "1").await.assert_complete();
        let repository = format!("asked/app{turn}");
        let image = Image::new().layer(format!("asked {turn}")).build();
        let digest = mirror.upstream.push(&repository, "1", &image);
        mirror.pull(&repository, "1").await.assert_refused("Pending approval");
        approve(&mirror, &repository, digest, None).await;
        mirror.pull(&repository, "1").await.assert_complete();
        mirror = mirror.restart().await;
        mirror.pull("open/app", "1").await.assert_complete();
        mirror.pull(&repository, "1").await.assert_complete();
        let report = mirror.mirror().ledger().verify_audit().await.expect("a report");
        assert!(report.is_whole(), "{report:?}");
    }
}

#[tokio::test]
async fn an_approval_that_a_wrong_clock_took_for_expired_counts_again_when_the_clock_is_right() {
    let mirror = TestMirror::start(RULES).await;
    let digest = mirror.upstream.push("asked/app", "1", &Image::new().layer("one").build());
    mirror.pull("asked/app", "1").await.assert_refused("Pending approval");
    approve(&mirror, "asked/app", digest, Some(at("2027-01-01T00:00:00Z"))).await;
    mirror.pull("asked/app", "1").await.assert_complete();
    mirror.clock.set(at("2036-11-20T10:00:00Z"));
    assert_eq!(mirror.manifest("asked/app", digest).await.status, 403, "it has run out, they say");
    mirror.clock.set(at("2026-11-20T10:05:00Z"));
    mirror.pull("asked/app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_denial_made_by_a_wrong_clock_is_looked_at_again_when_the_clock_is_right() {
    let team = Signer::generate();
    let pem = team.policy_pem();
    let policy = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: signed, match: [\"up.test/signed/**\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let digest = mirror.upstream.push("signed/app", "1", &Image::new().layer("one").build());
    mirror.clock.set(at("2036-11-20T10:00:00Z"));
    assert_eq!(mirror.manifest("signed/app", digest).await.status, 403);
    mirror.clock.set(at(RIGHT));
    let signature = team.simple_signing("up.test/signed/app", &digest);
    mirror.upstream.attach_by_sig_tag("signed/app", &digest, &signature);
    mirror.pull("signed/app", "1").await.assert_complete();
}

async fn approve(
    mirror: &TestMirror,
    repository: &str,
    digest: pratique::oci::Digest,
    expires: Option<Timestamp>,
) {
    let name = format!("up.test/{repository}").parse().expect("a name");
    let decision = Decision {
        subject: pratique::gate::Subject { name, digest },
        by: "alice".to_owned(),
        reason: "reviewed".to_owned(),
        expires: expires.filter(|expires| *expires > mirror.clock.now()),
        request: None,
        policy: *mirror.mirror().policy().id(),
    };
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
}
