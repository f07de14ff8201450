//! The fuzz targets, for a few seconds each: on their seeds, on mutated seeds, on noise.
//!
//! `fuzz/run.sh` runs the same targets for as long as one likes.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use pratique::fuzzing::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Inputs of a target, and of one that does much for each; and when to stop before that.
const CASES: u32 = 4_000;
const CASES_SLOW: u32 = 250;
const TIME: Duration = Duration::from_secs(10);
/// Longest input of noise alone, in bytes.
const NOISE_BYTES: usize = 200;

fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let seed = |path: std::path::PathBuf| (path.display().to_string(), fs::read(path).unwrap());
    let mut seeds: Vec<_> = entries.map(|entry| seed(entry.unwrap().path())).collect();
    seeds.sort();
    seeds
}

/// An input that a report can show.
#[derive(Clone)]
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change of an input; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Change {
    Cut(usize, usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize, usize),
    Splice(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..1_000_000_usize;
    let words: Vec<&[u8]> = vec![
        b"\0",
        b"\n",
        b"\r\n\r\n",
        b"\"",
        b"\\u0000",
        b"%00",
        b"%2f",
        b"..",
        b"//",
        b":",
        b"@",
        b",",
        b"{",
        b"[",
        b"null",
        b"-1",
        b"18446744073709551616",
        b"1e999",
        b"\xff",
        "\u{202e}".as_bytes(),
        b"*",
        b"**",
        b"&",
        b"=",
        b"[[[[[[[[",
        b"docker.io",
        b"localhost",
        b"sha256:",
        b"+",
    ];
    let inserted =
        prop_oneof![prop::sample::select(words).prop_map(<[u8]>::to_vec), vec(any::<u8>(), 1..4),];
    prop_oneof![
        (place.clone(), 1..40_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (place.clone(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        (place.clone(), inserted).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place.clone(), 1..20_usize, 1..200_usize).prop_map(|(at, l, n)| Change::Repeat(at, l, n)),
        (place.clone(), place, 1..60_usize).prop_map(|(from, to, l)| Change::Splice(from, to, l)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len();
        let part = |at: usize, count: usize| {
            let start = at % (length + 1);
            start..(start + count).min(length)
        };
        match change {
            Change::Cut(at, count) => drop(bytes.drain(part(*at, *count))),
            Change::Flip(at, mask) => {
                bytes.get_mut(at % length.max(1)).into_iter().for_each(|byte| *byte ^= mask);
            }
            Change::Insert(at, inserted) => {
                let at = at % (length + 1);
                drop(bytes.splice(at..at, inserted.iter().copied()));
            }
            Change::Repeat(at, count, times) => {
                let part = part(*at, *count);
                let repeated = bytes[part.clone()].repeat(*times);
                drop(bytes.splice(part, repeated));
            }
            Change::Splice(from, to, count) => {
                let copied = bytes[part(*from, *count)].to_vec();
                let to = to % (length + 1);
                drop(bytes.splice(to..to, copied));
            }
        }
    }
    bytes
}

/// The same in each run, so that a change is judged by itself alone; `PRATIQUE_FUZZ_SEED=7` is for other inputs,
/// as `fuzz/run.sh` is for many more.
#[expect(clippy::disallowed_methods, reason = "how the tests are run, no setting")]
fn rng_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let number = std::env::var("PRATIQUE_FUZZ_SEED")
        .map_or(0, |text| text.parse::<u64>().expect("PRATIQUE_FUZZ_SEED is a number"));
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for (path, seed) in &seeds {
        assert!(catch_unwind(|| (target.run)(seed)).is_ok(), "{path}");
    }
    let inputs: Vec<_> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let mutated = (prop::sample::select(inputs), vec(change(), 1..6))
        .prop_map(|(seed, changes)| changed(seed, &changes));
    let input = prop_oneof![9 => mutated, 1 => vec(any::<u8>(), 0..NOISE_BYTES)].prop_map(Input);
    let cases = if target.slow { CASES_SLOW } else { CASES };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let begin = Instant::now();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &rng_seed());
    let outcome = TestRunner::new_with_rng(config, rng).run(&input, |Input(bytes)| {
        let passed = begin.elapsed() > TIME || catch_unwind(|| (target.run)(&bytes)).is_ok();
        prop_assert!(passed, "a promise is broken, see above");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_target_is_here_and_in_the_fuzzer() {
            let here = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), here);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            for name in here {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                let text = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs")));
                assert!(text.unwrap().contains(&format!("run(\"{name}\", bytes)")), "{name}");
            }
        }
    };
}

targets! { admin admission approval audit backup condition database import kubernetes language layer manifest node notation policies policy request row sbom settings signature system upstream vex }
