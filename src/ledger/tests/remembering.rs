//! What is known without the disk, that there is nothing included.

use std::io::Write as _;

use super::*;

/// Overwrites the database with noise.
fn ruin(bench: &Bench) {
    let connection = Connection::open(bench.database()).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let length = usize::try_from(std::fs::metadata(bench.database()).unwrap().len()).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(bench.database()).unwrap();
    file.write_all(&vec![0x5a; length]).unwrap();
}

/// The verdict on an index, number `number`, with the child `child`.
fn index(number: u64, child: u64) -> New {
    let of_child = Grant { kind: GrantKind::Manifest, ..layer(child) };
    New { grants: granting(vec![of_child, layer(1000 + number)]), ..new(number, Verdict::Admit) }
}

#[tokio::test]
async fn that_there_is_nothing_needs_no_disk_the_second_time() {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    for is_ruined in [false, true] {
        if is_ruined {
            ruin(&bench);
        }
        assert_eq!(bench.ledger.record(&subject(7)).await.unwrap(), None);
        assert!(bench.ledger.granted(&name(), &digest(7)).await.unwrap().is_empty());
        assert_eq!(bench.ledger.admitted_tag(&name(), &tag("7")).await.unwrap(), None);
    }
    assert!(bench.ledger.record(&subject(8)).await.is_err(), "nobody asked before");
}

#[tokio::test]
async fn what_is_written_is_seen_where_there_was_nothing_before() {
    let bench = Bench::new().await;
    assert_eq!(bench.ledger.record(&subject(1)).await.unwrap(), None);
    assert!(bench.ledger.granted(&name(), &digest(1001)).await.unwrap().is_empty());
    assert_eq!(bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), None);
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    assert!(bench.ledger.record(&subject(1)).await.unwrap().is_some());
    assert_eq!(bench.ledger.granted(&name(), &digest(1001)).await.unwrap().len(), 1);
    assert_eq!(bench.ledger.admitted_tag(&name(), &tag("1")).await.unwrap(), Some(digest(1)));
    let fewer = New { grants: granting(Vec::new()), ..new(1, Verdict::Admit) };
    bench.ledger.record_judgement(fewer).await.unwrap();
    assert!(bench.ledger.granted(&name(), &digest(1001)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_index_and_its_children_are_known_without_the_disk_once_it_was_judged() {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(index(1, 2)).await.unwrap();
    ruin(&bench);
    assert!(bench.ledger.record(&subject(1)).await.unwrap().is_some());
    assert_eq!(bench.ledger.granted(&name(), &digest(2)).await.unwrap().len(), 1);
    assert_eq!(bench.ledger.record(&subject(2)).await.unwrap(), None, "nobody judged the child");
}

#[tokio::test]
async fn an_index_and_its_children_are_known_without_the_disk_after_a_start() {
    let mut bench = Bench::new().await;
    bench.ledger.record_judgement(index(1, 2)).await.unwrap();
    bench.ledger.record_judgement(index(3, 4)).await.unwrap();
    bench.ledger.revoke(decision(4, "alice")).await.unwrap();
    bench.reopen().await;
    bench.ledger.warm().await.unwrap();
    ruin(&bench);
    assert_eq!(bench.ledger.record(&subject(2)).await.unwrap(), None);
    let revoked = bench.ledger.record(&subject(4)).await.unwrap().expect("a record");
    assert!(matches!(revoked.standing, Some(Standing::Revoked { .. })));
}

#[tokio::test]
async fn a_decision_about_a_child_counts_where_there_was_nothing_before() {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(index(1, 2)).await.unwrap();
    assert_eq!(bench.ledger.record(&subject(2)).await.unwrap(), None);
    bench.ledger.revoke(decision(2, "alice")).await.unwrap();
    let revoked = bench.ledger.record(&subject(2)).await.unwrap().expect("a record");
    assert!(matches!(revoked.standing, Some(Standing::Revoked { .. })));
    bench.ledger.record_judgement(index(1, 2)).await.unwrap();
    assert!(bench.ledger.record(&subject(2)).await.unwrap().is_some(), "it stays");
}
