//! What the parts cost by themselves: parsing, matching, deciding, looking up, storing, reading.
//!
//! `cargo bench` runs all of it in under three minutes. It uses the library's public face only, so
//! that it measures what the program does. The disk is that of `TMPDIR`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared has to end")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use futures_util::FutureExt as _;
use pratique::gate::{
    Context, Evidence, Gathered, ManifestFacts, Outcome, ReadyPolicy, Scans, Subject, decide,
};
use pratique::ledger::{Ledger, New, NewGrants};
use pratique::metrics::Metrics;
use pratique::oci::{ByteRange, Digest, Manifest, Name, Platform, Registry, check_strict};
use pratique::policy::{Artifact, Policy};
use pratique::store::{ReadMode, Settings, Store};
use pratique::tasks::Tasks;
use pratique::time::{Clock, SystemClock};
use tokio::runtime::Runtime;

/// Rules of the large policy.
const RULES: usize = 1_000;
/// Layers of the manifest that is parsed.
const LAYERS: usize = 12;
const MEBIBYTE: usize = 1024 * 1024;
const INGEST_BYTES: usize = 16 * MEBIBYTE;
const READ_BYTES: usize = 64 * MEBIBYTE;
/// As much as comes from a socket in one piece.
const CHUNK_BYTES: usize = 64 * 1024;

fn manifest_parts(criterion: &mut Criterion) {
    let text = manifest();
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Bytes(length_of(&text)));
    group.bench_function("strict JSON", |bencher| {
        bencher.iter(|| check_strict(black_box(&text)).expect("it is strict"));
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Manifest::parse(black_box(&text), None).expect("it is a manifest"));
    });
    group.finish();
}

fn policy_parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    for rules in [1, RULES] {
        let policy = policy(rules);
        let subject = subject();
        group.bench_function(format!("match among {rules}"), |bencher| {
            bencher.iter(|| {
                let rule = policy.rule_for(black_box(&subject.name), Artifact::Image, &[]);
                black_box(rule).expect("one matches").id();
            });
        });
        let evidence = evidence();
        let (contents, scans) = (BTreeMap::new(), Scans::default());
        let context = Context {
            first_seen: None,
            waited: false,
            policy: &policy,
            tags: &[],
            elsewhere: &[],
            emergency: None,
            standing: None,
            address: None,
            now: SystemClock.now(),
            before: &[],
            line: &[],
            contents: &contents,
            scans: &scans,
            passed: None,
            silenced: &[],
            unseen: &BTreeMap::new(),
            granted: &[],
        };
        group.bench_function(format!("decide among {rules}"), |bencher| {
            bencher.iter(|| decide(black_box(&subject), black_box(&evidence), &context));
        });
    }
    group.finish();
}

fn ledger_lookup(criterion: &mut Criterion) {
    let (runtime, tasks) = (runtime(), Tasks::new());
    let directory = tempfile::tempdir().expect("a directory for the ledger");
    let (policy, subject, evidence) = (policy(1), subject(), evidence());
    let now = SystemClock.now();
    let (contents, scans) = (BTreeMap::new(), Scans::default());
    let context = Context {
        first_seen: None,
        waited: false,
        policy: &policy,
        tags: &[],
        elsewhere: &[],
        emergency: None,
        standing: None,
        address: None,
        now,
        before: &[],
        line: &[],
        contents: &contents,
        scans: &scans,
        passed: None,
        silenced: &[],
        unseen: &BTreeMap::new(),
        granted: &[],
    };
    let Outcome::Decided(judgement) = decide(&subject, &evidence, &context) else {
        unreachable!("everything was gathered")
    };
    let ledger = runtime.block_on(async {
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
        let ledger = Ledger::open(directory.path(), clock, tasks.clone(), metrics).await;
        let ledger = ledger.expect("a new ledger");
        let new = New {
            subject: subject.clone(),
            evidence: evidence.clone(),
            judgement,
            policy: *policy.id(),
            standing: None,
            tags: 0,
            exceptions: 0,
            grants: NewGrants::default(),
            now,
        };
        ledger.record_judgement(new).await.expect("a verdict on record");
        ledger
    });
    criterion.bench_function("ledger/verdict in memory", |bencher| {
        bencher.iter(|| {
            let record = ledger.record(black_box(&subject)).now_or_never();
            let record =
                record.expect("memory does not wait").expect("no disk").expect("it is there");
            assert!(record.judgement_in_force(policy.id(), 0, now).is_some());
        });
    });
    runtime.block_on(async {
        ledger.close().await;
        tasks.shut_down(Duration::from_secs(10)).await;
    });
}

fn store_ingest(criterion: &mut Criterion) {
    let (runtime, tasks) = (runtime(), Tasks::new());
    let directory = tempfile::tempdir().expect("a directory for the store");
    let store = runtime.block_on(open_store(directory.path(), &tasks));
    let content = content(INGEST_BYTES);
    let digest = Digest::sha256(&content);

    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).throughput(Throughput::Bytes(length_of(&content)));
    group.bench_function("ingest 16 MiB, synced", |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let begin = Instant::now();
                runtime.block_on(ingest(&store, &digest, &content));
                spent += begin.elapsed();
                runtime.block_on(store.remove(&digest)).expect("it can be removed");
            }
            spent
        });
    });
    group.finish();
    drop(store);
    runtime.block_on(tasks.shut_down(Duration::from_secs(10)));
}

/// Maps hand out windows and touch no byte: that the socket does. Copies are read into memory.
fn store_read(criterion: &mut Criterion) {
    let (runtime, tasks) = (runtime(), Tasks::new());
    let directory = tempfile::tempdir().expect("a directory for the store");
    let store = runtime.block_on(open_store(directory.path(), &tasks));
    let content = content(READ_BYTES);
    let digest = Digest::sha256(&content);
    runtime.block_on(ingest(&store, &digest, &content));

    let mut group = criterion.benchmark_group("store");
    group.sample_size(20).throughput(Throughput::Bytes(length_of(&content)));
    for (name, mode) in [("map", ReadMode::Map), ("copy", ReadMode::Copy)] {
        group.bench_function(format!("read 64 MiB, {name}"), |bencher| {
            bencher.iter(|| {
                let read = runtime.block_on(read(&store, &digest, mode));
                assert_eq!(read, READ_BYTES);
            });
        });
    }
    group.finish();
    drop(store);
    runtime.block_on(tasks.shut_down(Duration::from_secs(10)));
}

async fn open_store(directory: &Path, tasks: &Tasks) -> Store {
    let settings = Settings { dir: directory.to_owned(), ..Settings::default() };
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
    Store::open(settings, clock, tasks.clone(), metrics).await.expect("a new store")
}

async fn ingest(store: &Store, digest: &Digest, content: &Bytes) {
    let mut ingest = store.ingest(digest, length_of(content)).expect("there is room");
    for start in (0..content.len()).step_by(CHUNK_BYTES) {
        let end = content.len().min(start + CHUNK_BYTES);
        ingest.write(content.slice(start..end)).await.expect("it can be written");
    }
    ingest.commit().await.expect("it has its digest");
}

async fn read(store: &Store, digest: &Digest, mode: ReadMode) -> usize {
    let blob = store.open_blob(digest, None).await.expect("the disk works");
    let blob = blob.expect("it is stored");
    let mut reader = blob.reader(ByteRange::whole(blob.size()), mode);
    let mut length = 0;
    while let Some(chunk) = reader.next().await.expect("it can be read") {
        length += black_box(chunk).len();
    }
    length
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// Bytes in which no two pages are the same.
fn content(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(length);
    while content.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        content.extend_from_slice(&state.to_be_bytes());
    }
    content.truncate(length);
    content.into()
}

fn length_of(content: &[u8]) -> u64 {
    u64::try_from(content.len()).expect("a length fits into 64 bits")
}

/// A manifest as build tools make it.
fn manifest() -> Vec<u8> {
    let layers: Vec<_> = (0..LAYERS)
        .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer))
        .collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", LAYERS),
        "layers": layers,
        "annotations": {"org.opencontainers.image.title": "bench"},
    });
    serde_json::to_vec_pretty(&manifest).expect("it can be written as JSON")
}

fn descriptor(media_type: &str, number: usize) -> serde_json::Value {
    let digest = Digest::sha256(&number.to_be_bytes()).to_string();
    serde_json::json!({"mediaType": media_type, "digest": digest, "size": 1_000_000 + number})
}

/// A policy with that many rules; the last one is for the subject.
fn policy(rules: usize) -> ReadyPolicy {
    use std::fmt::Write as _;

    let mut text = String::from(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: bench, revision: 1}\n\
         floor: {registries: [bench.test], platforms: [linux/amd64]}\nrules:\n",
    );
    for rule in 0..rules {
        let team = if rule + 1 == rules { String::from("bench") } else { format!("team-{rule}") };
        writeln!(text, "- {{id: r{rule}, match: [\"bench.test/{team}/**\"], trust: allow}}")
            .expect("text can be added to");
    }
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let policy = Policy::parse(&text, &no_files).and_then(ReadyPolicy::new);
    policy.expect("a right policy")
}

fn subject() -> Subject {
    let name = Name::from_path("bench.test/bench/app", &Registry::docker_hub());
    Subject { name: name.expect("a right name"), digest: Digest::sha256(b"subject") }
}

fn evidence() -> Evidence {
    let manifest = Manifest::parse(&manifest(), None).expect("it is a manifest");
    let platform: Platform =
        serde_json::from_str(r#"{"architecture": "amd64", "os": "linux"}"#).expect("a platform");
    let facts = ManifestFacts {
        media_type: manifest.media_type().clone(),
        size: length_of(&self::manifest()),
        artifact_type: None,
        is_index: false,
        platforms: vec![platform],
        children: Vec::new(),
        images: None,
        layers: 12,
        image_bytes: 12_000_000,
        foreign_layer: None,
        malformed: None,
    };
    let gathered_at = Some(SystemClock.now());
    Evidence { manifest: Gathered::Found(facts), gathered_at, ..Evidence::default() }
}

/// Few samples, so that the whole stays short: what is looked for are factors, not percents.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

fn main() {
    let mut criterion = short().configure_from_args();
    for parts in [manifest_parts, policy_parts, ledger_lookup, store_ingest, store_read] {
        parts(&mut criterion);
    }
    criterion.final_summary();
}
