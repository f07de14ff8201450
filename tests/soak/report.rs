//! The run from beginning to end, and the page that comes of it.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pratique::tasks::Tasks;

use crate::support::hostile::Seed;
use crate::support::hostile::invariants;
use crate::support::mirror::TestMirror;
use crate::watch::{self, Watch, median};
use crate::world::{SLOTS, World, lock};
use crate::{chaos, clients};

/// Clients at a time.
const CLIENTS: u64 = 16;
/// Descriptors that may be open at the end beyond those at the beginning.
const DESCRIPTORS_MORE: usize = 8;
/// Parts of a run whose memory is printed.
const MEMORY_PARTS: usize = 10;

/// Runs by the command line's words.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1))
    };
    let number =
        |name: &str, otherwise: f64| value(name).map_or(Ok(otherwise), |value| value.parse());
    let (Ok(minutes), Ok(seed), Ok(quota)) = (
        number("--minutes", 1.0),
        number("--seed", 1.0),
        value("--quota-mib").map(|it| it.parse::<u64>()).transpose(),
    ) else {
        eprintln!(
            "usage: cargo test --test soak -- [--minutes N] [--seed N] [--quota-mib N] [--log FILE]"
        );
        return ExitCode::from(64);
    };
    let quota = quota.map(|mebibytes| mebibytes << 20);
    watch::listen(value("--log"));
    invariants::watch_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let broken = runtime.expect("a runtime").block_on(soak(minutes, seed.to_bits(), quota));
    for broken in &broken {
        println!("BROKEN  {broken}");
    }
    println!("{}", if broken.is_empty() { "no promise was broken" } else { "FAILED" });
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn soak(minutes: f64, number: u64, quota: Option<u64>) -> Vec<String> {
    let began = Instant::now();
    let mut seed = Seed::new(number);
    let (world, mirror) = World::new(&mut seed, quota).await;
    let mut watch = Watch::default();
    let tasks = Tasks::new();
    let mirror = rest(&world, mirror, &tasks).await;
    let descriptors_before = watch::descriptors();
    let nodes: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let seed = Seed::new(number ^ (client + 1).rotate_left(32));
            tasks.spawn(clients::node(world.clone(), seed, tasks.clone()))
        })
        .collect();
    let until = began + Duration::from_secs_f64(minutes * 60.0);
    let mirror = chaos::make(&world, mirror, &mut watch, &mut seed, until).await;
    world.is_over.store(true, Ordering::SeqCst);
    for node in nodes {
        if let Err(error) = node.await {
            world.broke([format!("a client ended: {error}")]);
        }
    }
    let mirror = rest(&world, mirror, &tasks).await;
    watch.look(&world, &mirror).await;
    let descriptors = watch::descriptors();
    if descriptors > descriptors_before + DESCRIPTORS_MORE {
        world.broke([format!("{descriptors_before} descriptors became {descriptors}")]);
    }
    world.broke(watch.growth());
    let audit = mirror.mirror().ledger().verify_audit().await.expect("an audit chain");
    if !audit.is_whole() {
        world.broke([format!("the audit chain is not whole: {audit:?}")]);
    }
    print(&world, &watch, began.elapsed(), (descriptors_before, descriptors));
    lock(&world.broken).clone()
}

/// Lets everything come to rest; then whatever is admitted must come, and nothing else.
async fn rest(world: &World, mirror: TestMirror, tasks: &Tasks) -> TestMirror {
    let mirror = chaos::restart(world, mirror).await;
    mirror.clock.advance(Duration::from_hours(2));
    for slot in 0..SLOTS {
        let open = format!("open/app-{slot}");
        if !clients::whole(world, tasks, &open, "1").await {
            world.broke([format!("{open} does not come although all is well")]);
        }
        let asked = format!("asked/app-{slot}");
        let digest = world.image(&asked).digest().to_string();
        let (came, approved) =
            (clients::whole(world, tasks, &asked, &digest).await, world.decision(&asked) % 2 == 1);
        if came != approved {
            world.broke([format!("{asked}: approved {approved}, came {came}")]);
        }
    }
    for _ in 0..3_000 {
        let flights = mirror.mirror().metrics().flights.value();
        if flights == 0 && invariants::partials(mirror.folder()).is_empty() {
            // Kept connections have their time, too.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return mirror;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.broke(["a fetch is still under way, or left a partial file".to_owned()]);
    mirror
}

fn print(world: &World, watch: &Watch, took: Duration, descriptors: (usize, usize)) {
    let counts = &world.counts;
    let mib = |bytes: u64| bytes / 1024 / 1024;
    println!("soak of {} s, {CLIENTS} clients", took.as_secs());
    for (what, counter) in [
        ("pulls begun", &counts.pulls),
        ("  that came whole", &counts.whole),
        ("  answers refused", &counts.refused),
        ("  answers 503", &counts.undecided),
        ("  bodies cut", &counts.cut),
        ("  manifests with a warning", &counts.stale),
        ("ranges compared", &counts.ranges),
        ("clients that hung up", &counts.hung_up),
        ("faults planned", &counts.faults),
        ("requests upstream", &counts.upstream_requests),
        ("decisions of people", &counts.decisions),
        ("blobs evicted by hand", &counts.evictions),
        ("tags moved", &counts.moves),
        ("absences of the upstream", &counts.absences),
        ("changes of its password", &counts.passwords),
    ] {
        println!("{what:<28}{:>9}", counter.load(Ordering::Relaxed));
    }
    println!("{:<28}{:>9}", "restarts", world.restarts.load(Ordering::SeqCst) / 2);
    println!(
        "memory (anonymous)          {:>9} MiB at most",
        mib(watch.memory.iter().copied().max().unwrap_or(0))
    );
    let parts = watch.memory.chunks(watch.memory.len().div_ceil(MEMORY_PARTS).max(1));
    let medians: Vec<_> = parts.filter_map(median).map(|bytes| mib(bytes).to_string()).collect();
    println!("  in each {MEMORY_PARTS}th of the run  {} MiB", medians.join(", "));
    let most = watch.descriptors.iter().max().copied().unwrap_or(0);
    println!(
        "descriptors                 {:>9} before, {} after, {most} at most",
        descriptors.0, descriptors.1
    );
    println!("livez at the slowest        {:>9} ms", watch.livez_max.as_millis());
}
