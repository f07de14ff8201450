//! The soak: everything at once against a hostile upstream, for as long as it is told.
//!
//! `cargo test --test soak -- --minutes 30 --seed 7 --log soak.log`. Not part of `cargo test`. Clients pull good,
//! refused and waiting images, whole and in ranges, and hang up; people approve and revoke; content is
//! evicted; tags move; the upstream misbehaves by seeded plan, goes away, and changes its password; the
//! mirror is restarted. Promises are checked all along and at the end, and memory and descriptors have
//! to stay flat. The seed brings back what is asked for and what goes wrong, not the order in which
//! tasks run.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod report;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod world;

#[cfg(test)]
#[allow(dead_code, reason = "shared with the behaviour tests, which use more of it")]
#[path = "../it/support/mod.rs"]
mod support;

/// What keeps the allocator from keeping: with its own moving thresholds it holds on to whatever lies
/// between two buffers, and memory that is held by nobody looks like growth.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

fn main() -> std::process::ExitCode {
    use std::os::unix::process::CommandExt as _;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_set = |(name, _): &(&str, &str)| std::env::var_os(name).is_some();
    if ALLOCATOR.iter().all(is_set) {
        return report::run(&arguments);
    }
    // The allocator reads them once, when a program starts.
    let program = std::env::args_os().next().unwrap_or_default();
    let error = std::process::Command::new(program).args(&arguments).envs(ALLOCATOR).exec();
    unreachable!("cannot start again with the allocator's settings: {error}")
}
