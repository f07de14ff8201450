//! The whole program against a page of a model: whatever is done in whatever order, what is not
//! admitted is not served (I1), what people decided stays decided (I4), and what is admitted and was
//! pulled once is served without upstream (I6).

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};

use pratique::gate::{Standing, Subject};
use pratique::ledger::Decision;
use pratique::oci::Digest;

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image};

const REPOSITORY: &str = "lib/app";
const IMAGES: usize = 3;
/// Longer than any failure or absence is held against an upstream that came back.
const LONG: Duration = Duration::from_mins(10);

/// What is done to the mirror.
#[derive(Debug, Clone, Copy)]
enum Step {
    Approve(usize),
    Evict(usize),
    Policy(Trust),
    Pull(usize),
    Reinstate(usize),
    Reject(usize),
    Restart,
    Revoke(usize),
    Upstream(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Allow,
    Approve,
    Deny,
}

/// What people said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Said {
    No,
    #[default]
    Nothing,
    Yes,
}

/// What has to be true of one image.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    said: Said,
    /// It was pulled whole, and is on disk since.
    cached: bool,
    /// It was served once, so that its grants are on record.
    listed: bool,
}

/// The model.
#[derive(Debug)]
struct Model {
    trust: Trust,
    upstream: bool,
    images: [State; IMAGES],
}

impl Model {
    fn admits(&self, image: usize) -> bool {
        let said = self.images[image].said;
        match self.trust {
            Trust::Allow => said != Said::No,
            Trust::Approve => said == Said::Yes,
            Trust::Deny => false,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let image = 0..IMAGES;
    let trust = prop_oneof![Just(Trust::Allow), Just(Trust::Approve), Just(Trust::Deny)];
    let step = prop_oneof![
        8 => image.clone().prop_map(Step::Pull),
        3 => image.clone().prop_map(Step::Approve),
        2 => image.clone().prop_map(Step::Revoke),
        1 => image.clone().prop_map(Step::Reject),
        1 => image.clone().prop_map(Step::Reinstate),
        2 => image.prop_map(Step::Evict),
        2 => trust.prop_map(Step::Policy),
        2 => any::<bool>().prop_map(Step::Upstream),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..24)
}

fn policy(trust: Trust) -> String {
    let trust = match trust {
        Trust::Allow => "allow",
        Trust::Approve => "approve",
        Trust::Deny => "deny",
    };
    format!("rules:\n- {{id: only, match: [\"up.test/lib/**\"], trust: {trust}}}\n")
}

/// The images; all list one layer, and each has one of its own.
fn images() -> [Artifact; IMAGES] {
    [0_u8, 1, 2]
        .map(|number| Image::new().layer("shared by all").layer(vec![number; 100_000]).build())
}

/// The mirror and the model side by side.
struct Bench {
    mirror: TestMirror,
    model: Model,
    images: [Artifact; IMAGES],
    revision: u64,
}

type Outcome = Result<(), TestCaseError>;

impl Bench {
    async fn start() -> Self {
        let mirror = TestMirror::start_with(&policy(Trust::Approve), |_| {}).await;
        let images = images();
        for image in &images {
            mirror.upstream.push_untagged(REPOSITORY, image);
        }
        let model =
            Model { trust: Trust::Approve, upstream: true, images: [State::default(); IMAGES] };
        Self { mirror, model, images, revision: 1 }
    }

    fn subject(&self, image: usize) -> Subject {
        let name = format!("up.test/{REPOSITORY}").parse().expect("a name");
        Subject { name, digest: self.images[image].digest() }
    }

    fn decision(&self, image: usize) -> Decision {
        Decision {
            subject: self.subject(image),
            by: "alice".to_owned(),
            reason: "the model says so".to_owned(),
            expires: None,
            request: None,
            policy: *self.mirror.mirror().policy().id(),
            voters: Vec::new(),
            seen: None,
        }
    }

    async fn take(mut self, step: Step) -> Result<Self, TestCaseError> {
        let ledger = self.mirror.mirror().ledger().clone();
        match step {
            Step::Approve(image) => {
                ledger.approve(self.decision(image)).await.expect("an approval");
                self.model.images[image].said = Said::Yes;
            }
            Step::Reject(image) => {
                ledger.reject(self.decision(image)).await.expect("a rejection");
                self.model.images[image].said = Said::No;
            }
            Step::Revoke(image) => {
                ledger.revoke(self.decision(image)).await.expect("a revocation");
                self.model.images[image].said = Said::No;
            }
            Step::Reinstate(image) => {
                let outcome = ledger.reinstate(self.decision(image)).await;
                prop_assert_eq!(outcome.is_ok(), self.model.images[image].said == Said::No);
                if outcome.is_ok() {
                    self.model.images[image].said = Said::Nothing;
                }
            }
            Step::Evict(image) => self.evict(image).await,
            Step::Policy(trust) => {
                self.revision += 1;
                self.mirror.set_policy(&policy(trust), self.revision).await;
                self.model.trust = trust;
            }
            Step::Pull(image) => self.pull(image).await?,
            Step::Restart => self.mirror = self.mirror.restart().await,
            Step::Upstream(here) => {
                if here {
                    self.mirror.upstream.come_back();
                    self.mirror.clock.advance(LONG);
                } else {
                    self.mirror.upstream.go_away();
                }
                self.model.upstream = here;
            }
        }
        self.check().await?;
        Ok(self)
    }

    async fn evict(&mut self, image: usize) {
        let store = self.mirror.mirror().store().clone();
        let artifact = &self.images[image];
        for digest in [artifact.digest(), artifact.config(), artifact.layer(0), artifact.layer(1)] {
            store.remove(&digest).await.expect("a removal");
        }
        // The layer that all list is gone for all.
        self.model.images.iter_mut().for_each(|state| state.cached = false);
    }

    async fn pull(&mut self, image: usize) -> Outcome {
        let pulled = self.mirror.pull(REPOSITORY, self.images[image].digest()).await;
        let complete = pulled.manifest.status == 200
            && pulled.blobs.iter().all(|blob| blob.status == 200 && blob.body.is_some());
        let status = pulled.manifest.status;
        let (admits, state) = (self.model.admits(image), self.model.images[image]);
        if !admits {
            prop_assert!(matches!(status, 403 | 503), "I1: {} although refused", status);
        }
        if admits && (self.model.upstream || (state.cached && state.listed)) {
            prop_assert!(complete, "I6: {:?}", pulled);
        }
        if self.model.upstream {
            prop_assert_eq!(status, if admits { 200 } else { 403 });
        }
        if complete {
            self.model.images[image].cached = true;
            self.model.images[image].listed = true;
        }
        Ok(())
    }

    /// What has to hold after each step.
    async fn check(&self) -> Outcome {
        for image in 0..IMAGES {
            let record = self.mirror.mirror().ledger().record(&self.subject(image)).await;
            let standing = record.expect("a look").and_then(|record| record.standing.clone());
            let said = match standing {
                Some(Standing::Approved { .. }) => Said::Yes,
                Some(Standing::Rejected { .. } | Standing::Revoked { .. }) => Said::No,
                None => Said::Nothing,
            };
            prop_assert_eq!(said, self.model.images[image].said, "I4");
            let own = self.blob(self.images[image].layer(1)).await;
            may_be(own, self.model.admits(image), "I1: a layer of its own")?;
        }
        let any = (0..IMAGES).any(|image| self.model.admits(image));
        let shared = self.blob(self.images[0].layer(0)).await;
        may_be(shared, any, "I1: the layer that all list")
    }

    async fn blob(&self, digest: Digest) -> u16 {
        let answer = self.mirror.head(&format!("{REPOSITORY}/blobs/{digest}")).await;
        answer.status
    }
}

/// What is not admitted is refused, or nothing can be said of it.
fn may_be(status: u16, admitted: bool, what: &str) -> Outcome {
    prop_assert!(admitted || matches!(status, 403 | 503), "{}: {}", what, status);
    Ok(())
}

async fn run(steps: Vec<Step>) -> Outcome {
    let mut bench = Bench::start().await;
    for step in steps {
        bench = Box::pin(bench.take(step)).await?;
    }
    Ok(())
}

/// Few in each run of the tests; more by `PROPTEST_CASES`.
#[expect(
    clippy::disallowed_methods,
    reason = "proptest's own variable, which a setting here would hide"
)]
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

proptest! {
    #![proptest_config(Config { cases: cases(), max_shrink_iters: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_done_in_whatever_order_the_promises_hold(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(run(steps))?;
    }
}
