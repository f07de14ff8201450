//! Clocks that are wrong: they bring no approval back, and hold no denial for ever.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::oci::Digest;
use pratique::time::{Clock as _, Timestamp};

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::Image;

const ASKED: &str = r#"- {id: asked, match: ["up.test/asked/**"], trust: approve}"#;
const BOTH: &str = r#"
- {id: asked, match: ["up.test/asked/**"], trust: approve}
- {id: open, match: ["up.test/open/**"], trust: allow}
"#;
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// An image that is approved for an hour and was pulled, and the time at which that was.
async fn approved_for_an_hour() -> (TestMirror, Digest, Timestamp) {
    let mirror = TestMirror::start(ASKED).await;
    let digest = mirror.upstream.push("asked/app", "1", &Image::new().layer("app").build());
    let now = mirror.clock.now();
    let decision = Decision {
        subject: Subject { name: "up.test/asked/app".parse().expect("a name"), digest },
        by: "alice".to_owned(),
        reason: "for today".to_owned(),
        expires: Some(now.after(HOUR)),
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
    mirror.pull("asked/app", digest).await.assert_complete();
    (mirror, digest, now)
}

#[tokio::test]
async fn an_approval_seen_to_have_run_out_stays_so_when_the_clock_is_set_back() {
    let (mirror, digest, now) = approved_for_an_hour().await;
    mirror.clock.advance(HOUR);
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
    mirror.clock.set(now);
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
    let mirror = mirror.restart().await;
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
    mirror.set_policy(&format!("rules:\n{ASKED}\n# another"), 2).await;
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
}

#[tokio::test]
async fn an_approval_runs_out_by_the_time_that_passed_whatever_the_clock_is_set_to() {
    let (mirror, digest, now) = approved_for_an_hour().await;
    mirror.clock.advance(HOUR);
    mirror.clock.set(now);
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_while_ends_no_approval_that_nobody_used_then() {
    let (mirror, digest, now) = approved_for_an_hour().await;
    mirror.clock.set(now.after(10 * YEAR));
    mirror.clock.set(now);
    mirror.pull("asked/app", digest).await.assert_complete();
}

#[tokio::test]
async fn a_new_approval_counts_after_one_that_ran_out() {
    let (mirror, digest, now) = approved_for_an_hour().await;
    mirror.clock.advance(HOUR);
    mirror.pull("asked/app", digest).await.assert_refused("Pending");
    let decision = Decision {
        subject: Subject { name: "up.test/asked/app".parse().expect("a name"), digest },
        by: "alice".to_owned(),
        reason: "one more".to_owned(),
        expires: Some(now.after(3 * HOUR)),
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    };
    mirror.mirror().ledger().approve(decision).await.expect("an approval");
    mirror.pull("asked/app", digest).await.assert_complete();
}

#[tokio::test]
async fn a_denial_from_the_future_is_looked_at_again() {
    let team = Signer::generate();
    let pem = team.policy_pem();
    let policy = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         rules:\n- {{id: signed, match: [\"up.test/lib/**\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}}}\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    let now = mirror.clock.now();
    mirror.clock.set(now.after(YEAR));
    let digest = mirror.upstream.push("lib/app", "1", &Image::new().layer("x").build());
    mirror.pull("lib/app", digest).await.assert_refused("Denied by rule signed: not signed");
    mirror.clock.set(now);
    // As long as any absence is believed, however far off the clock was.
    mirror.clock.advance(Duration::from_mins(1));
    let signature = team.simple_signing("up.test/lib/app", &digest);
    mirror.upstream.attach_by_sig_tag("lib/app", &digest, &signature);
    mirror.pull("lib/app", digest).await.assert_complete();
}

#[tokio::test]
async fn with_the_clock_years_off_pulls_and_approvals_go_on_and_the_audit_is_whole() {
    let mut mirror = TestMirror::start(BOTH).await;
    mirror.upstream.push("open/app", "1", &Image::new().layer("one").build());
    mirror.pull("open/app", "1").await.assert_complete();
    let right = mirror.clock.now();
    let behind: Timestamp = "2025-11-20T10:00:00Z".parse().expect("a time");
    for (turn, wrong) in [right.after(YEAR * 10), behind, right].into_iter().enumerate() {
        mirror.clock.set(wrong);
        mirror.pull("open/app", "1").await.assert_complete();
        let repository = format!("asked/app{turn}");
        let image = Image::new().layer(format!("asked {turn}")).build();
        let digest = mirror.upstream.push(&repository, "1", &image);
        mirror.pull(&repository, "1").await.assert_refused("Pending approval");
        let decision = Decision {
            subject: Subject {
                name: format!("up.test/{repository}").parse().expect("a name"),
                digest,
            },
            by: "alice".to_owned(),
            reason: "reviewed".to_owned(),
            expires: None,
            request: None,
            policy: *mirror.mirror().policy().id(),
            voters: Vec::new(),
            seen: None,
        };
        mirror.mirror().ledger().approve(decision).await.expect("an approval");
        mirror.pull(&repository, "1").await.assert_complete();
        mirror = mirror.restart().await;
        mirror.pull("open/app", "1").await.assert_complete();
        mirror.pull(&repository, "1").await.assert_complete();
        let report = mirror.mirror().ledger().verify_audit().await.expect("a report");
        assert!(report.is_whole(), "{report:?}");
    }
}
