//! Records and grants.

use super::*;
use crate::ledger::writer::Writing;
use crate::ledger::{AuditEvent, AuditKind, Error};

#[tokio::test]
async fn a_judgement_is_on_record_with_what_it_rests_on_after_a_restart() {
    let mut bench = Bench::new().await;
    let new = new(1, Verdict::Admit);
    let recorded = bench.ledger.record_judgement(new.clone()).await.unwrap();
    bench.reopen().await;
    let record = bench.ledger.record(&subject(1)).await.unwrap().unwrap();
    assert_eq!(record, recorded);
    assert_eq!(record.evidence, new.evidence);
    assert_eq!(record.judgement, Some(new.judgement));
    assert_eq!((record.size, record.first_seen), (Some(500), at("2026-11-20T10:00:00Z")));
    assert_eq!(bench.ledger.record(&subject(2)).await.unwrap(), None);
    let elsewhere = Subject { name: "up.test/lib/other".parse().unwrap(), digest: digest(1) };
    assert_eq!(bench.ledger.record(&elsewhere).await.unwrap(), None);
}

#[tokio::test]
async fn grants_hold_in_their_own_repository_and_go_when_they_are_replaced() {
    let mut bench = Bench::new().await;
    let other: Name = "up.test/lib/other".parse().unwrap();
    for number in [1, 2] {
        let mut new = new(number, Verdict::Admit);
        let mut shared = layer(50);
        shared.platform = None;
        new.grants = granting(vec![layer(50), shared, layer(50), layer(60 + number)]);
        bench.ledger.record_judgement(new).await.unwrap();
    }
    for _ in 0..2 {
        let granted = bench.ledger.granted(&name(), &digest(50)).await.unwrap();
        let of: Vec<Digest> = granted.iter().map(|granted| granted.subject).collect();
        assert_eq!(of.iter().filter(|of| **of == digest(1)).count(), 2, "each platform once");
        assert_eq!(of.iter().filter(|of| **of == digest(2)).count(), 2);
        assert!(bench.ledger.granted(&other, &digest(50)).await.unwrap().is_empty());
        bench.reopen().await;
    }
    let mut less = new(1, Verdict::Admit);
    less.grants = granting(Vec::new());
    bench.ledger.record_judgement(less).await.unwrap();
    let mut same = new(2, Verdict::Admit);
    same.grants = NewGrants::default();
    bench.ledger.record_judgement(same).await.unwrap();
    for _ in 0..2 {
        let granted = bench.ledger.granted(&name(), &digest(50)).await.unwrap();
        assert!(granted.iter().all(|granted| granted.subject == digest(2)));
        assert_eq!(granted.len(), 2);
        assert!(bench.ledger.granted(&name(), &digest(61)).await.unwrap().is_empty());
        assert!(bench.ledger.grants_of(&subject(1)).await.unwrap().is_empty());
        assert_eq!(bench.ledger.grants_of(&subject(2)).await.unwrap().len(), 3);
        bench.reopen().await;
    }
}

#[tokio::test]
async fn grants_of_kinds_that_were_not_gathered_stay() {
    let bench = Bench::new().await;
    bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap();
    for number in [70, 71] {
        let referrer = Grant { kind: GrantKind::Referrer, ..layer(number) };
        let grants = NewGrants { given: vec![referrer], gathered: Vec::new() };
        let more = New { grants, ..new(1, Verdict::Admit) };
        bench.ledger.record_judgement(more).await.unwrap();
    }
    assert_eq!(bench.ledger.grants_of(&subject(1)).await.unwrap().len(), 3);
    let manifest = New { grants: granting(vec![layer(2)]), ..new(1, Verdict::Admit) };
    bench.ledger.record_judgement(manifest).await.unwrap();
    assert!(bench.ledger.granted(&name(), &digest(1001)).await.unwrap().is_empty());
    assert_eq!(bench.ledger.grants_of(&subject(1)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn sixty_four_writers_lose_nothing_and_the_chain_stays_whole() {
    let mut bench = Bench::new().await;
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let ledger = bench.ledger.clone();
            bench.tasks.spawn(async move {
                for step in 0..4 {
                    let number = number * 4 + step;
                    ledger.record_judgement(new(number, denied())).await.unwrap();
                    ledger.approve(decision(number, "alice")).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    bench.reopen().await;
    for number in 0..256 {
        let record = bench.ledger.record(&subject(number)).await.unwrap().unwrap();
        assert_eq!(approved_by(record.standing.as_ref()), Some("alice"), "{number}");
    }
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.records, report.problem), (512, None));
}

#[tokio::test]
async fn only_a_changed_verdict_or_rule_makes_an_audit_row() {
    let bench = Bench::new().await;
    for verdict in [pending(), pending(), Verdict::Admit, Verdict::Admit, denied()] {
        bench.ledger.record_judgement(new(1, verdict)).await.unwrap();
    }
    let rows = bench.ledger.audit(0, 100).await.unwrap();
    let verdicts: Vec<&str> =
        rows.iter().map(|row| row.event.details["verdict"].as_str()).collect();
    assert_eq!(verdicts, ["pending", "admit", "deny"]);
    assert_eq!(rows[2].event.subject, Some(subject(1)));
}

#[tokio::test]
async fn an_edited_row_is_named_and_never_served() {
    for edit in [
        "UPDATE records SET body = replace(body, 'deny', 'admit')",
        "UPDATE records SET seal = x'00'",
        "UPDATE records SET body = 'x'",
        "INSERT INTO repositories (id, name) VALUES (99, 'up.test/x');
         UPDATE repositories SET name = 'up.test/y' WHERE id = 1;
         UPDATE repositories SET name = 'up.test/lib/alpine' WHERE id = 99;
         UPDATE grants SET repository = 99; UPDATE records SET repository = 99;
         UPDATE records SET body = replace(body, 'Unsigned', 'unsigned')",
    ] {
        let mut bench = Bench::new().await;
        bench.ledger.record_judgement(new(1, denied())).await.unwrap();
        bench.tamper(edit).await;
        let error = bench.ledger.record(&subject(1)).await.unwrap_err();
        assert!(matches!(error, Error::CorruptRow { table: "records", .. }), "{edit}: {error}");
        assert!(error.to_string().contains(&subject(1).to_string()), "{error}");
        assert_eq!(bench.ledger.subjects(None, 10).await.unwrap(), [], "left out of the list");
        let again = bench.ledger.record_judgement(new(1, Verdict::Admit)).await;
        assert!(matches!(again, Err(Error::CorruptRow { .. })), "a lost standing is not guessed");
    }
}

#[tokio::test]
async fn an_edited_grant_opens_nothing() {
    for edit in [
        format!("UPDATE grants SET digest = '{}'", digest(77)),
        "UPDATE grants SET body = replace(body, '\"size\":7', '\"size\":8')".to_owned(),
        "UPDATE grants SET record = (SELECT max(id) FROM records)".to_owned(),
    ] {
        let mut bench = Bench::new().await;
        bench.ledger.record_judgement(new(1, denied())).await.unwrap();
        let mut other = new(2, Verdict::Admit);
        other.grants = NewGrants::default();
        bench.ledger.record_judgement(other).await.unwrap();
        bench.tamper(&edit).await;
        for number in [1001, 77] {
            match bench.ledger.granted(&name(), &digest(number)).await {
                Ok(granted) => assert!(granted.is_empty(), "{edit}"),
                Err(Error::CorruptRow { table: "grants", .. }) => {}
                Err(error) => panic!("{edit}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_failing_write_harms_none_of_its_neighbours() {
    let bench = Bench::new().await;
    let write = |number: u64| {
        let ledger = bench.ledger.clone();
        async move {
            match number % 3 {
                0 => ledger.record_judgement(new(number, denied())).await.map(drop),
                1 => ledger.reinstate(decision(number, "eve")).await.map(drop),
                _ => {
                    let half_done = move |writing: &mut Writing<'_>| -> Result<(), Error> {
                        let record = writing.record_or_blank(&subject(number))?;
                        writing.save_record(&Arc::new(record))?;
                        writing.audit(&AuditEvent::new(AuditKind::Started, "test"))?;
                        panic!("on purpose")
                    };
                    ledger.write(half_done).await
                }
            }
        }
    };
    let outcomes = futures_util::future::join_all((0..60).map(write)).await;
    for (number, outcome) in (0..).zip(outcomes) {
        match (number % 3, outcome) {
            (0, Ok(())) | (1, Err(Error::NothingToReinstate(_))) | (2, Err(Error::Panicked)) => {}
            (_, outcome) => panic!("{number}: {outcome:?}"),
        }
        let record = bench.ledger.record(&subject(number)).await.unwrap();
        assert_eq!(record.is_some(), number % 3 == 0, "{number}");
    }
    let report = bench.ledger.verify_audit().await.unwrap();
    assert_eq!((report.records, report.problem), (20, None));
}

#[tokio::test]
async fn records_are_paged_in_the_order_they_came() {
    let mut bench = Bench::new().await;
    let all = (0..25).map(|number| bench.ledger.record_judgement(new(number, denied())));
    futures_util::future::try_join_all(all).await.unwrap();
    bench.reopen().await;
    let (mut seen, mut last) = (Vec::new(), None);
    loop {
        let page = bench.ledger.subjects(last.as_ref(), 10).await.unwrap();
        let Some(record) = page.last() else { break };
        last = Some(record.subject.clone());
        seen.extend(page.iter().map(|record| record.subject.digest));
    }
    seen.sort_unstable();
    let mut expected: Vec<Digest> = (0..25).map(digest).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn two_thousand_records_are_in_memory_once_warm() {
    let mut bench = Bench::new().await;
    for group in 0..8 {
        let group = (0..250)
            .map(|step| bench.ledger.record_judgement(new(group * 250 + step, Verdict::Admit)));
        futures_util::future::try_join_all(group).await.unwrap();
    }
    bench.ledger.record_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    bench.reopen().await;
    bench.ledger.warm().await.unwrap();
    let memory = &bench.ledger.inner.memory;
    assert_eq!((memory.records.count(), memory.grants.count()), (2_000, 2_000));
    assert_eq!(memory.tags.count(), 1);
}

#[tokio::test]
async fn memory_is_bounded_and_the_rest_is_read_when_asked_for() {
    let settings = Settings { record_memory_bytes: 64 << 10, ..Settings::default() };
    let bench = Bench::with(settings).await;
    let all = (0..500).map(|number| bench.ledger.record_judgement(new(number, denied())));
    futures_util::future::try_join_all(all).await.unwrap();
    let held = bench.ledger.inner.memory.records.count();
    assert!((1..300).contains(&held), "{held}");
    for number in 0..500 {
        assert!(bench.ledger.record(&subject(number)).await.unwrap().is_some(), "{number}");
    }
    assert!(bench.ledger.inner.memory.records.count() < 300);
}

#[tokio::test]
async fn a_verdict_that_does_not_know_of_a_tag_is_none() {
    let mut bench = Bench::new().await;
    let judged = |record: &crate::ledger::Record| record.judgement.is_some();
    assert!(judged(&bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap()));
    // The tag comes after the verdict,
    assert!(bench.ledger.record_tag(&name(), &tag("1"), &digest(1)).await.unwrap());
    assert!(!judged(&bench.ledger.record(&subject(1)).await.unwrap().unwrap()));
    // while it is being reached,
    assert!(!judged(&bench.ledger.record_judgement(new(1, Verdict::Admit)).await.unwrap()));
    bench.reopen().await;
    assert!(!judged(&bench.ledger.record(&subject(1)).await.unwrap().unwrap()));
    // or before it; a move to and fro brings nothing new.
    let knowing = New { tags: 1, ..new(1, Verdict::Admit) };
    assert!(judged(&bench.ledger.record_judgement(knowing).await.unwrap()));
    bench.ledger.record_tag(&name(), &tag("1"), &digest(2)).await.unwrap();
    bench.ledger.record_tag(&name(), &tag("1"), &digest(1)).await.unwrap();
    assert!(judged(&bench.ledger.record(&subject(1)).await.unwrap().unwrap()));
    // Unless it stood for something else that was served in between.
    let moved = async |number| {
        bench.ledger.record_tag(&name(), &tag("1"), &digest(number)).await.unwrap();
    };
    moved(2).await;
    bench.ledger.record_admitted_tag(&name(), &tag("1"), &digest(2)).await.unwrap();
    let predecessor =
        async |number| bench.ledger.predecessor(&name(), &tag("1"), &digest(number)).await.unwrap();
    assert_eq!((predecessor(1).await, predecessor(2).await), (None, None));
    moved(1).await;
    assert!(!judged(&bench.ledger.record(&subject(1)).await.unwrap().unwrap()));
    assert_eq!((predecessor(1).await, predecessor(2).await), (Some(digest(2)), None));
}
