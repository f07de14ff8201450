//! Everybody else: the upstream's moods, people, the disk, the operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pratique::gate::Subject;
use pratique::ledger::Decision;
use pratique::mirror::Mirror;
use pratique::oci::Digest;

use crate::support::hostile::rig::PASSWORD;
use crate::support::hostile::{Fault, Seed};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::watch::Watch;
use crate::world::{OTHER_PASSWORD, SLOTS, World, count, lock};

/// Real time between two steps.
const STEP: Duration = Duration::from_millis(50);
/// How much faster the mirror's clock goes.
const SPEED: u32 = 20;
/// Steps between two looks at all promises.
const LOOK_EVERY: u64 = 200;
/// Steps between two restarts.
const RESTART_EVERY: u64 = 500;
/// Longest that stopping may take.
const STOP_MAX: Duration = Duration::from_mins(1);

/// Makes trouble for so many steps; gives the mirror as it is then.
pub(crate) async fn make(
    world: &Arc<World>,
    mut mirror: TestMirror,
    watch: &mut Watch,
    seed: &mut Seed,
    until: std::time::Instant,
) -> TestMirror {
    let mut step = 0_u64;
    while std::time::Instant::now() < until {
        step += 1;
        tokio::time::sleep(STEP).await;
        mirror.clock.advance(STEP * SPEED);
        fault(world, seed);
        if step.is_multiple_of(5) {
            decide(world, mirror.mirror(), seed).await;
            evict(world, mirror.mirror(), seed).await;
        }
        if step.is_multiple_of(20) {
            move_tag(world, mirror.mirror(), seed).await;
            moods(world, seed).await;
        }
        if step.is_multiple_of(LOOK_EVERY) {
            watch.look(world, &mirror).await;
        }
        if step.is_multiple_of(RESTART_EVERY) {
            mirror = restart(world, mirror).await;
        }
    }
    world.upstream.heal();
    world.upstream.set_logins(&[("user", PASSWORD)]);
    world.upstream.come_back();
    mirror
}

/// One more thing goes wrong with some repository.
fn fault(world: &World, seed: &mut Seed) {
    if seed.chance(40) {
        world.upstream.heal();
    }
    if !seed.chance(3) {
        return;
    }
    count(&world.counts.faults);
    let kind = ["open", "asked", "closed"][seed.below(3)];
    let repository = format!("/v2/{kind}/app-{}", seed.below(SLOTS));
    let times = u64::try_from(1 + seed.below(3)).unwrap_or(1);
    if seed.chance(3) {
        let fault = Fault::of_manifest(seed);
        world.upstream.plan_times(&format!("{repository}/manifests/"), times, fault);
    } else if seed.chance(20) {
        let fault =
            [Fault::Status(500, None), Fault::Silence, Fault::EndlessBody][seed.below(3)].clone();
        world.upstream.plan_times("/token", times, fault);
    } else {
        let fault = Fault::of_blob(seed, 20_000);
        world.upstream.plan_times(&format!("{repository}/blobs/"), times, fault);
    }
}

/// Somebody says yes or no to something under `asked/`.
async fn decide(world: &World, mirror: &Mirror, seed: &mut Seed) {
    let repository = format!("asked/app-{}", seed.below(SLOTS));
    let digest = world.image(&repository).digest();
    let decision = Decision {
        subject: Subject {
            name: format!("{REGISTRY}/{repository}").parse().expect("a name"),
            digest,
        },
        by: "soak".to_owned(),
        reason: "by lot".to_owned(),
        expires: None,
        request: None,
        policy: *mirror.policy().id(),
    };
    count(&world.counts.decisions);
    let before = world.decision(&repository);
    if before.is_multiple_of(2) {
        // Counted before it is in force: from now on it may come.
        world.decided(&repository, before + 1);
        mirror.ledger().approve(decision).await.expect("an approval");
    } else {
        mirror.ledger().revoke(decision).await.expect("a revocation");
        // Counted after it is in force: from now on it must not come.
        world.decided(&repository, before + 1);
    }
}

async fn evict(world: &World, mirror: &Mirror, seed: &mut Seed) {
    let digests: Vec<Digest> = lock(&world.contents).keys().copied().collect();
    let digest = digests[seed.below(digests.len())];
    if mirror.store().remove(&digest).await.is_ok_and(|was_there| was_there) {
        count(&world.counts.evictions);
    }
}

/// New content in the place of old, under the same tag; what was cached of the old one goes.
async fn move_tag(world: &World, mirror: &Mirror, seed: &mut Seed) {
    let kind = ["open", "asked", "closed"][seed.below(3)];
    let repository = format!("{kind}/app-{}", seed.below(SLOTS));
    count(&world.counts.moves);
    let old = world.push(seed, &repository);
    // Nobody has said anything about this one.
    let before = world.decision(&repository);
    world.decided(&repository, before + before % 2 + 2);
    for digest in old {
        // What could not be removed stays, and is as good as evicted later.
        drop(mirror.store().remove(&digest).await);
    }
}

/// The upstream goes away for a moment, or wants another password for a moment.
async fn moods(world: &World, seed: &mut Seed) {
    if seed.chance(15) {
        count(&world.counts.absences);
        world.upstream.go_away();
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.upstream.come_back();
    }
    if seed.chance(20) {
        count(&world.counts.passwords);
        world.upstream.set_logins(&[("user", OTHER_PASSWORD)]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.upstream.set_logins(&[("user", PASSWORD)]);
    }
    let entries = world.upstream.entries().len();
    world
        .counts
        .upstream_requests
        .fetch_add(u64::try_from(entries).unwrap_or(0), Ordering::Relaxed);
    world.upstream.clear_entries();
}

/// Stops the mirror under its clients, and starts it again.
pub(crate) async fn restart(world: &World, mirror: TestMirror) -> TestMirror {
    world.restarts.fetch_add(1, Ordering::SeqCst);
    let mirror = mirror.restart_within(STOP_MAX, |_data| {}).await;
    *lock(&world.address) = mirror.node_address();
    world.restarts.fetch_add(1, Ordering::SeqCst);
    mirror
}
