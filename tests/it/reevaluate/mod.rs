//! What is attached to approved images is looked for again (`reEvaluate.every`): what is gone takes an image back,
//! what cannot be looked for does not, and a registry that loses much takes nothing back by itself.

mod told;

use std::time::Duration;

use pratique::ledger::{AuditKind, PersonId, Role};
use pratique::mirror::LookedAgain;
use pratique::mirror::desk::{Desk, Verb, Wish};
use pratique::oci::Digest;

use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;
use crate::support::upstream::{Fault, Image};

const DAY: Duration = Duration::from_hours(24);
const NAME: &str = "up.test/lib/app";
const UNSIGNED: &str = "Denied by rule a: not signed";

struct Registry {
    mirror: TestMirror,
    team: Signer,
    digests: Vec<Digest>,
}

fn policy(team: &Signer, again: &str) -> String {
    let pem = team.policy_pem();
    format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{pem}\
         approvalPolicies: {{eyes: {{approvers: [\"token:alice\"]{again}}}}}\nrules:\n\
         - {{id: a, match: [\"up.test/lib/*\"], trust: approve, signatures: {{atLeast: 1, of: [team]}},\n\
         \x20  approval: {{policy: eyes}}}}\n"
    )
}

fn signature_tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

impl Registry {
    /// A mirror that serves as many signed images, approved by alice.
    async fn with(images: usize, again: &str) -> Self {
        let team = Signer::generate();
        let mirror = TestMirror::start_with(&policy(&team, again), |_| {}).await;
        let mut registry = Self { mirror, team, digests: Vec::new() };
        for number in 0..images {
            let tag = format!("1.{number}");
            let image = Image::new().layer(tag.clone()).build();
            let digest = registry.mirror.upstream.push("lib/app", &tag, &image);
            registry.sign(&digest);
            registry.mirror.pull("lib/app", &tag).await.assert_refused("Pending approval");
            registry.approve(&digest).await;
            registry.mirror.pull("lib/app", &digest).await.assert_complete();
            registry.digests.push(digest);
        }
        registry.mirror.mirror().ledger().flush().await;
        registry
    }

    fn sign(&self, digest: &Digest) {
        let signature = self.team.simple_signing(NAME, digest);
        self.mirror.upstream.attach_by_sig_tag("lib/app", digest, &signature);
    }

    async fn approve(&self, digest: &Digest) {
        let desk = Desk::new(self.mirror.mirror().clone());
        let id = PersonId::Token { name: "alice".to_owned() };
        let by = match self.mirror.mirror().ledger().caller(&id) {
            Some(alice) => alice,
            None => self.mirror.holder_of("alice", Role::Approver).await,
        };
        let (target, reason) = (format!("{NAME}@{digest}"), "looked at it".to_owned());
        let (expires, seen, shown) = (None, None, None);
        let wish = Wish { verb: Verb::Approve, target, by, reason, expires, seen, shown };
        Box::pin(desk.decide(&wish)).await.expect("an approval");
    }

    fn lose(&self, digest: &Digest) {
        self.mirror.upstream.untag("lib/app", &signature_tag(digest));
    }

    async fn pass(&self) -> LookedAgain {
        Box::pin(self.mirror.mirror().look_again(false)).await.expect("a pass")
    }

    async fn served(&self) -> usize {
        let mut served = 0;
        for digest in &self.digests {
            served += usize::from(self.mirror.manifest("lib/app", digest).await.status == 200);
        }
        served
    }

    async fn audited(&self, kind: AuditKind) -> usize {
        let rows = self.mirror.mirror().ledger().audit(1, 10_000).await.expect("the audit");
        rows.iter().filter(|row| row.event.kind == kind).count()
    }
}

const EVERY: &str = ", reEvaluate: {every: 24h, on: [signer-revoked]}";

#[tokio::test]
async fn a_signature_that_is_gone_takes_the_image_back_and_one_that_comes_back_serves_it() {
    let registry = Registry::with(1, EVERY).await;
    let (mirror, digest) = (&registry.mirror, registry.digests[0]);
    registry.lose(&digest);
    assert_eq!(registry.pass().await.looked, 0, "it is not old enough");
    mirror.pull("lib/app", &digest).await.assert_complete();
    mirror.clock.advance(DAY);
    mirror.pull("lib/app", &digest).await.assert_complete();
    let done = registry.pass().await;
    assert_eq!((done.looked, done.revoked, done.failed, done.held), (1, 1, 0, 0), "{done:?}");
    mirror.pull("lib/app", &digest).await.assert_refused(UNSIGNED);
    assert_eq!(mirror.mirror().metrics().looked_again_lost.value(), 1);
    registry.sign(&digest);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull("lib/app", &digest).await.assert_complete();
}

#[tokio::test]
async fn nothing_is_looked_for_where_the_policy_does_not_say_so() {
    for again in ["", ", reEvaluate: {on: [new-cve, signer-revoked]}"] {
        let registry = Registry::with(1, again).await;
        registry.lose(&registry.digests[0]);
        registry.mirror.clock.advance(DAY * 30);
        assert_eq!(registry.pass().await, LookedAgain::default(), "{again}");
        assert_eq!(registry.served().await, 1);
    }
}

#[tokio::test]
async fn what_cannot_be_looked_for_takes_nothing_back() {
    for away in ["gone", "errors", "forbidden"] {
        let registry = Registry::with(2, EVERY).await;
        let upstream = &registry.mirror.upstream;
        for digest in &registry.digests {
            registry.lose(digest);
        }
        registry.mirror.clock.advance(DAY);
        match away {
            "gone" => upstream.go_away(),
            "errors" => upstream.fault("lib/app", Fault::Status(500)),
            _ => upstream.fault("lib/app", Fault::Status(403)),
        }
        let done = registry.pass().await;
        assert_eq!((done.looked, done.failed, done.revoked, done.held), (2, 2, 0, 0), "{away}");
        assert_eq!(registry.served().await, 2, "{away}");
        assert_eq!(registry.pass().await.looked, 0, "{away}: it is left alone for a while");
        registry.mirror.clock.advance(DAY);
        let done = registry.pass().await;
        assert_eq!((done.looked, done.overdue), (2, 2), "{away}: that is told");
        assert_eq!(registry.mirror.mirror().metrics().looked_again_failed.value(), 4);
    }
}

#[tokio::test]
async fn a_registry_that_loses_all_signatures_waits_for_a_person() {
    let registry = Registry::with(3, EVERY).await;
    for digest in &registry.digests {
        registry.lose(digest);
    }
    registry.mirror.clock.advance(DAY);
    let done = registry.pass().await;
    assert_eq!((done.looked, done.revoked, done.held), (3, 0, 3), "{done:?}");
    assert_eq!(registry.served().await, 3);
    assert_eq!(registry.mirror.mirror().metrics().looked_again_held.value(), 3);
    registry.mirror.clock.advance(Duration::from_hours(2));
    assert_eq!(registry.pass().await.held, 3);
    assert_eq!(registry.audited(AuditKind::ReevaluationHeld).await, 1, "it is told once");
    // What is there again is held no more; the rest is what a person says.
    registry.sign(&registry.digests[0]);
    let desk = Desk::new(registry.mirror.mirror().clone());
    assert_eq!(desk.reevaluated().held.len(), 3);
    registry.mirror.clock.advance(Duration::from_mins(5));
    let view = desk.release_reevaluation("alice", "the vendor left").await.expect("released");
    assert_eq!((view.revoked, view.held.len(), view.applied), (2, 0, true), "{view:?}");
    assert_eq!(registry.served().await, 1);
    assert_eq!(registry.audited(AuditKind::ReevaluationReleased).await, 1);
    assert_eq!(registry.mirror.mirror().metrics().looked_again_held.value(), 0);
}

#[tokio::test]
async fn one_after_the_other_is_no_way_around_the_brake_not_even_by_restarts() {
    let mut registry = Registry::with(3, EVERY).await;
    registry.mirror.clock.advance(DAY);
    registry.lose(&registry.digests[0]);
    assert_eq!(registry.pass().await.revoked, 1, "one is always allowed");
    registry.lose(&registry.digests[1]);
    registry.mirror.clock.advance(Duration::from_mins(23 * 60 + 55));
    let Registry { mirror, team, digests } = registry;
    registry = Registry { mirror: mirror.restart().await, team, digests };
    let done = registry.pass().await;
    assert_eq!((done.revoked, done.held), (0, 1), "{done:?}");
    assert_eq!(registry.served().await, 2);
}

#[tokio::test]
async fn a_pass_is_bounded_and_a_restart_brings_nothing_forward() {
    let registry = Registry::with(2, EVERY).await;
    registry.mirror.clock.advance(Duration::from_hours(12));
    let Registry { mirror, team, digests } = registry;
    let registry = Registry { mirror: mirror.restart().await, team, digests };
    assert_eq!(registry.pass().await.looked, 0, "half of the time is over");
    registry.mirror.clock.advance(Duration::from_hours(12));
    let before = registry.mirror.mirror().metrics().upstream_requests.value();
    let done = registry.pass().await;
    assert_eq!((done.looked, done.revoked), (2, 0));
    assert!(registry.mirror.mirror().metrics().upstream_requests.value() > before);
    assert_eq!(registry.pass().await.looked, 0, "it was looked for a moment ago");
    assert_eq!(registry.served().await, 2);
}
