//! What was admitted and cannot be decided again: served on for a while where the policy says so, and never
//! in the place of an answer.

use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::{AuditKind, Decision};
use pratique::oci::Digest;
use pratique::time::{Clock as _, Timestamp};

use crate::scanning::{know, openssl, vulnerable};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Gate, Image};

const HOUR: Duration = Duration::from_hours(1);
const OPEN: &str =
    "rules:\n- {id: a, match: [\"up.test/**\"], trust: allow, signatures: {none: not yet}}\n";

/// A policy that asks for a signature which the one before did not ask for.
fn signed(defaults: &str, rule: &str, rest: &str) -> String {
    let pem = Signer::generate().policy_pem();
    format!(
        "defaults: {{{defaults}}}\n{rest}signers:\n  team:\n    transparencyLog: none\n    key:\n     \
         pem: |\n{pem}rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, \
         signatures: {{atLeast: 1, of: [team]}}{rule}}}\n"
    )
}

/// A mirror with an image that was admitted by `policy`, whose signatures cannot be looked for any more.
async fn admitted(policy: &str) -> (TestMirror, Digest) {
    let mirror = TestMirror::start_with(policy, |_| {}).await;
    let digest = mirror.upstream.push("lib/app", "1", &Image::new().layer("app").build());
    mirror.pull("lib/app", "1").await.assert_complete();
    no_signatures(&mirror);
    (mirror, digest)
}

fn no_signatures(mirror: &TestMirror) {
    mirror.upstream.fault(".sig", Fault::Status(500));
    mirror.upstream.fault("/referrers/", Fault::Status(500));
}

async fn undecided(mirror: &TestMirror, reference: impl std::fmt::Display) {
    let answer = mirror.manifest("lib/app", reference).await;
    assert_eq!(answer.status, 503, "{answer:?}");
}

async fn served_on(mirror: &TestMirror, reference: impl std::fmt::Display) {
    let pulled = mirror.pull("lib/app", reference).await;
    pulled.assert_complete();
    let warning = pulled.manifest.header("warning");
    assert!(warning.contains("served as admitted before, not confirmed since"), "{warning}");
}

async fn stale_rows(mirror: &TestMirror) -> usize {
    let rows = mirror.mirror().ledger().audit(1, 10_000).await.unwrap();
    rows.iter().filter(|row| row.event.kind == AuditKind::VerdictStale).count()
}

fn decision(mirror: &TestMirror, digest: Digest, expires: Option<Timestamp>) -> Decision {
    Decision {
        subject: Subject { name: "up.test/lib/app".parse().expect("a name"), digest },
        by: "alice".to_owned(),
        reason: "because".to_owned(),
        expires,
        request: None,
        policy: *mirror.mirror().policy().id(),
        voters: Vec::new(),
        seen: None,
    }
}

#[tokio::test]
async fn what_was_admitted_is_not_served_undecided_unless_the_policy_says_so() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("", "", ""), 2).await;
    undecided(&mirror, digest).await;
    mirror.set_policy(&signed("onError: stale", ", onError: deny", ""), 3).await;
    undecided(&mirror, digest).await;
    let closing = "overlays: [{id: o, match: [\"up.test/lib/*\"], onError: deny}]\n";
    mirror.set_policy(&signed("onError: stale", "", closing), 4).await;
    undecided(&mirror, digest).await;
    assert_eq!(stale_rows(&mirror).await, 0);
}

#[tokio::test]
async fn the_last_admission_is_served_on_with_a_word_about_it_and_for_no_longer() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    for reference in [digest.to_string(), "1".to_owned()] {
        served_on(&mirror, reference).await;
    }
    let text = mirror.mirror().metrics().render();
    assert!(text.contains("pratique_stale_verdicts_total 4"), "HEAD and GET of two: {text}");
    mirror.clock.advance(23 * HOUR);
    served_on(&mirror, digest).await;
    mirror.clock.advance(2 * HOUR);
    undecided(&mirror, digest).await;
    let layer = Image::new().layer("app").build().layer(0);
    assert_eq!(mirror.blob("lib/app", &layer).await.status, 403);
    assert_eq!(stale_rows(&mirror).await, 1, "told once");
}

#[tokio::test]
async fn what_can_be_decided_again_is() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    served_on(&mirror, digest).await;
    mirror.upstream.heal();
    mirror.clock.advance(Duration::from_secs(301));
    // The first pull after the pause is served beside the search, which finds no signature.
    let mut last = mirror.manifest("lib/app", digest).await;
    for _ in 0..200 {
        if last.status == 403 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        last = mirror.manifest("lib/app", digest).await;
    }
    assert_eq!(last.status, 403, "it is unsigned");
    no_signatures(&mirror);
    mirror.clock.advance(Duration::from_secs(61));
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn nothing_is_served_on_that_was_never_admitted() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    let new = mirror.upstream.push("lib/app", "2", &Image::new().layer("new").build());
    undecided(&mirror, new).await;
    undecided(&mirror, "2").await;
    mirror.upstream.push("lib/app", "prod", &Image::new().layer("app").build());
    undecided(&mirror, "prod").await;
    // Another repository that has the same content has its own verdict.
    mirror.upstream.push("lib/other", "1", &Image::new().layer("app").build());
    assert_eq!(mirror.manifest("lib/other", digest).await.status, 503);
}

#[tokio::test]
async fn what_is_known_against_it_is_an_answer() {
    let (mirror, digest) = admitted(OPEN).await;
    let deny = format!("floor: {{denyImages: [{{digest: \"{digest}\", reason: bad}}]}}\n");
    mirror.set_policy(&signed("onError: stale", "", &deny), 2).await;
    mirror.pull("lib/app", digest).await.assert_refused("Denied");

    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    served_on(&mirror, digest).await;
    mirror.mirror().ledger().revoke(decision(&mirror, digest, None)).await.unwrap();
    mirror.pull("lib/app", digest).await.assert_refused("Revoked");
    mirror.mirror().ledger().reinstate(decision(&mirror, digest, None)).await.unwrap();
    undecided(&mirror, digest).await;

    // Nobody approved it, and no signature changes that.
    let (mirror, digest) = admitted(OPEN).await;
    let asking = signed("onError: stale", "", "").replace("trust: allow", "trust: approve");
    mirror.set_policy(&asking, 2).await;
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn a_finding_that_is_known_is_an_answer_whatever_else_cannot_be_asked() {
    let gate = |condition: &str| format!("gates: {{s: {{deny: [{{{condition}}}]}}}}\n");
    let lenient = "severity: critical, fixable: false";
    let gated = OPEN.replace("trust: allow,", "trust: allow, gates: [s],");
    let mirror = TestMirror::start_with(&format!("{}{gated}", gate(lenient)), |_| {}).await;
    know(&mirror, &[openssl()]).await;
    let digest = mirror.upstream.push("lib/app", "1", &vulnerable());
    mirror.pull("lib/app", "1").await.assert_complete();
    no_signatures(&mirror);
    // However old the database is by now.
    mirror.clock.advance(240 * HOUR);
    let strict = signed("onError: stale", ", gates: [s]", &gate("severity: high"));
    mirror.set_policy(&strict, 2).await;
    undecided(&mirror, digest).await;
    let as_before = signed("onError: stale", ", gates: [s]", &gate(lenient));
    mirror.set_policy(&as_before, 3).await;
    served_on(&mirror, digest).await;
}

#[tokio::test]
async fn an_old_or_missing_database_is_no_answer() {
    let gated = |defaults: &str| {
        format!(
            "defaults: {{{defaults}}}\ngates: {{s: {{deny: [{{severity: critical}}]}}}}\n\
             rules:\n- {{id: a, match: [\"up.test/**\"], trust: allow, gates: [s]}}\n"
        )
    };
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&gated(""), 2).await;
    undecided(&mirror, digest).await;
    mirror.set_policy(&gated("onError: stale(<=2h)"), 3).await;
    served_on(&mirror, digest).await;
    mirror.clock.advance(3 * HOUR);
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn it_ends_with_the_approval_that_it_rested_on() {
    let asking = OPEN.replace("trust: allow", "trust: approve");
    let mirror = TestMirror::start_with(&asking, |_| {}).await;
    let digest = mirror.upstream.push("lib/app", "1", &Image::new().layer("app").build());
    mirror.pull("lib/app", digest).await.assert_refused("Pending");
    let expires = Some(mirror.clock.now().after(2 * HOUR));
    mirror.mirror().ledger().approve(decision(&mirror, digest, expires)).await.unwrap();
    mirror.pull("lib/app", digest).await.assert_complete();
    no_signatures(&mirror);
    // Nobody is asked any more: what it rested on ends all the same.
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    served_on(&mirror, digest).await;
    mirror.clock.advance(HOUR);
    served_on(&mirror, digest).await;
    mirror.clock.advance(HOUR);
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn neither_a_restart_nor_another_policy_nor_a_clock_that_is_set_back_lengthens_it() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    served_on(&mirror, digest).await;
    mirror.clock.advance(20 * HOUR);
    served_on(&mirror, digest).await;
    let late = mirror.clock.now();
    mirror.set_policy(&signed("onError: stale", "", ""), 3).await;
    let mirror = mirror.restart().await;
    no_signatures(&mirror);
    served_on(&mirror, digest).await;
    mirror.clock.set(late.before(19 * HOUR));
    let mirror = mirror.restart().await;
    served_on(&mirror, digest).await;
    mirror.clock.advance(3 * HOUR);
    served_on(&mirror, digest).await;
    mirror.clock.advance(2 * HOUR);
    undecided(&mirror, digest).await;
    let mirror = mirror.restart().await;
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn it_counts_from_when_the_verdict_was_last_in_force_and_not_from_the_first_pull() {
    let (mirror, digest) = admitted(OPEN).await;
    mirror.clock.advance(72 * HOUR);
    mirror.set_policy(&signed("onError: stale", "", ""), 2).await;
    mirror.clock.advance(20 * HOUR);
    mirror.set_policy(&signed("onError: stale", "", ""), 3).await;
    mirror.clock.advance(3 * HOUR);
    served_on(&mirror, digest).await;
    mirror.clock.advance(2 * HOUR);
    undecided(&mirror, digest).await;
}

#[tokio::test]
async fn nobody_waits_for_a_registry_that_says_nothing() {
    let short = |settings: &mut pratique::config::Settings| {
        settings.mirror.hold_timeout = Duration::from_millis(50);
    };
    let mirror = TestMirror::start_with(OPEN, short).await;
    let digest = mirror.upstream.push("lib/app", "1", &Image::new().layer("app").build());
    let new = mirror.upstream.push("lib/app", "2", &Image::new().layer("new").build());
    for _ in 0..500 {
        if mirror.manifest("lib/app", digest).await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let gate = Gate::closed();
    mirror.upstream.fault(".sig", Fault::Hold(gate.clone()));
    mirror.upstream.fault("/referrers/", Fault::Hold(gate.clone()));
    mirror.set_policy(&signed("", "", ""), 2).await;
    mirror.pull("lib/app", digest).await.assert_refused("Still checking");
    mirror.set_policy(&signed("onError: stale", "", ""), 3).await;
    let answer = mirror.manifest("lib/app", digest).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("warning").contains("still being checked"), "{answer:?}");
    assert_eq!(mirror.manifest("lib/app", new).await.status, 403, "never admitted");
    gate.open();
}
