//! What a long audit costs; run by hand.

use std::time::Instant;

use super::*;
use crate::ledger::{Archiving, AuditEvent, AuditKind, Trust, verify_audit};

/// Records in one transaction.
const GROUP: u64 = 10_000;

/// Memory that this process has now, and has had at most, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn told(what: &str, since: Instant) {
    let (now, most) = memory();
    println!("{what}: {:.1} s, {now} MiB now, {most} MiB at most", since.elapsed().as_secs_f64());
}

/// `PRATIQUE_RECORDS` says how many, a million without it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of minutes: cargo test --release --lib measuring -- --ignored --nocapture"]
async fn a_million_records_are_made_verified_archived_and_verified_again() {
    let wanted = std::env::var_os("PRATIQUE_RECORDS");
    let wanted = wanted.and_then(|text| text.to_str()?.parse::<u64>().ok()).unwrap_or(1_000_000);
    let bench = Bench::new().await;
    let since = Instant::now();
    for group in 0..wanted / GROUP {
        let work = bench.ledger.write(move |writing| {
            for number in 0..GROUP {
                let number = group * GROUP + number;
                let event = AuditEvent::new(AuditKind::Judged, "gate")
                    .about(&subject(number % 20_000))
                    .with("verdict", "admit")
                    .with("enforced", "true")
                    .with("rule", "signed")
                    .with("checks", "floor pass: linux/amd64; signatures pass: 1 of 1 by release")
                    .with("policy", policy());
                writing.audit(&event)?;
            }
            Ok(())
        });
        work.await.unwrap();
        bench.clock.advance(MINUTE);
    }
    told(&format!("{wanted} records made"), since);
    let since = Instant::now();
    bench.ledger.checkpoint().await.unwrap();
    told("first checkpoint", since);
    let verify = || verify_audit(bench.dir.path(), &Trust::default()).unwrap();
    let since = Instant::now();
    assert_eq!(verify().problem, None);
    told("verified in the database", since);
    let before = bench.ledger.now().after(MINUTE);
    let since = Instant::now();
    let wish = Archiving { before, by: "alice".to_owned(), reason: None };
    let segments = bench.ledger.archive(wish).await.unwrap().segments;
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let database = std::fs::metadata(bench.database()).unwrap().len();
    told(
        &format!(
            "archived in {} segments of {} MiB together; the database has {} MiB",
            segments.len(),
            bytes >> 20,
            database >> 20
        ),
        since,
    );
    let since = Instant::now();
    let report = verify();
    assert_eq!((report.problem, report.read), (None, report.records));
    told("verified in segments", since);
    let since = Instant::now();
    let trail = bench.ledger.trail("\"kind\":\"restored\"", |_| true).await.unwrap();
    assert_eq!(trail.rows.len(), 0);
    told("searched in segments", since);
    std::fs::remove_dir_all(crate::ledger::archive::directory(bench.dir.path())).unwrap();
    let since = Instant::now();
    assert_eq!(verify().problem, None);
    told("verified without segments", since);
}
