//! What a break-glass must not do, and who must not use one.

use super::*;
use crate::scanning::{know, openssl, other};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::upstream::Image;

#[tokio::test]
async fn without_the_block_nobody_may_and_with_it_only_who_is_named() {
    let office = Office::open("").await;
    office.push("shut/app", "x");
    for who in ["alice", "dave"] {
        let reply = office.break_for(who, "up.test/shut/app:1").await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "decision-refused"), "{who}");
        assert!(reply.text().contains("breakGlass: {who"), "{reply:?}");
    }
    let office = Office::open(BLOCK).await;
    office.push("shut/app", "x");
    for who in ["dave", "robot"] {
        let reply = office.break_for(who, "up.test/shut/app:1").await;
        assert_eq!(reply.status, 403, "{who}");
        assert!(reply.text().contains("breakGlass.who"), "{reply:?}");
    }
    assert_eq!(office.break_for("pager", "up.test/shut/app:1").await.status, 201, "named itself");
}

#[tokio::test]
async fn what_has_no_reason_ticket_or_bounds_is_refused() {
    let block = BLOCK.replace("maxTTL", "match: [\"up.test/shut/**\"], maxTTL");
    let office = Office::open(&block).await;
    office.push("shut/app", "x");
    office.push("asked/app", "x");
    let base =
        json!({"image": "up.test/shut/app:1", "reason": "down", "ticket": "INC-7", "ttl": "4h"});
    let with = |key: &str, value: Value| {
        let mut body = base.clone();
        body[key] = value;
        body
    };
    for (body, status) in [
        (with("ttl", json!("241m")), 400),
        (with("ttl", json!("5h")), 400),
        (with("ttl", json!("0m")), 400),
        (with("ttl", json!("for ever")), 400),
        (with("ticket", Value::Null), 400),
        (with("ticket", json!("")), 400),
        (with("ticket", json!("x".repeat(201))), 400),
        (with("ticket", json!("a\nb")), 400),
        (with("reason", json!(" ")), 400),
        (with("reason", json!("x".repeat(5_000))), 400),
        (with("repository", json!("up.test/shut/app")), 400),
        (json!({"reason": "down", "ticket": "INC-7"}), 400),
        (json!({"repository": "no repository", "reason": "down", "ticket": "INC-7"}), 400),
        (json!({"repository": "up.test/shut/*", "reason": "down", "ticket": "INC-7"}), 400),
        (with("image", json!("up.test/asked/app:1")), 403),
        (with("image", json!("other.test/app:1")), 403),
    ] {
        let reply = office.post("alice", "", &body).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    assert!(office.ledger().emergencies_held().is_empty());
    assert_eq!(office.post("alice", "", &base).await.status, 201);
}

#[tokio::test]
async fn the_floor_and_what_people_refused_stay_closed() {
    let office = Office::open(BLOCK).await;
    let denied = office.push("shut/app", "denied");
    let child = Image::new().layer("denied").build().digest();
    assert_eq!(denied, child);
    let block = format!(
        "floor: {{registries: [up.test], denyImages: [{{digest: \"{denied}\", reason: backdoor}}]}}\n{BLOCK}{RULES}"
    );
    // In force before the list was, and before people refused something else.
    let other = office.push("asked/app", "revoked");
    for repository in ["shut/app", "asked/app"] {
        assert_eq!(office.break_for("alice", &format!("up.test/{repository}:1")).await.status, 201);
    }
    assert!(office.is_served_by("shut/app", &denied, "B-1").await);
    assert!(office.is_served_by("asked/app", &other, "B-2").await);
    office.desk.mirror.set_policy(&block, 2).await;
    assert_eq!(office.manifest("shut/app", &denied).await.status, 403);
    let listed =
        office.desk.mirror.upstream.push("shut/app", "1", &Image::new().layer("denied").build());
    let blob = office.desk.mirror.blob("shut/app", &listed).await;
    assert_eq!(blob.status, 403, "nor as a blob: {blob:?}");
    let target = format!("up.test/asked/app@{other}");
    assert_eq!(office.desk.decide("/api/v1/revocations", &target).await.status, 200);
    assert_eq!(office.manifest("asked/app", &other).await.status, 403);
    for image in [format!("up.test/shut/app@{denied}"), target] {
        let reply = office.break_for("alice", &image).await;
        assert_eq!(reply.status, 403, "{reply:?}");
        assert!(reply.text().contains("no break-glass overrides"), "{reply:?}");
    }
}

#[tokio::test]
async fn malware_is_not_served_and_what_the_floor_could_not_scan_neither() {
    let floor = "floor: {registries: [up.test], vulnerabilities: {denyMalware: true}}\n";
    let policy = format!("{floor}{BLOCK}{RULES}");
    let office = Office::of(TestMirror::start_with(&policy, |_| {}).await).await;
    let image = Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build();
    let digest = office.desk.mirror.upstream.push("shut/app", "1", &image);
    assert_eq!(office.break_for("alice", "up.test/shut/app:1").await.status, 201);
    let answer = office.manifest("shut/app", &digest).await;
    assert_eq!(answer.status, 503, "there is no database yet: {answer:?}");
    let malware = record("MAL-2026-1", "Debian:12", "openssl", "9", CRITICAL);
    know(&office.desk.mirror, &[malware]).await;
    office.advance(6);
    let answer = office.manifest("shut/app", &digest).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.phrase.contains("malware MAL-2026-1"), "{answer:?}");
    // What is only vulnerable is what emergencies are for.
    know(&office.desk.mirror, &[openssl(), other()]).await;
    for _ in 0..500 {
        if office.is_served_by("shut/app", &digest, "B-1").await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", office.manifest("shut/app", &digest).await);
}

#[tokio::test]
async fn nothing_of_another_image_or_repository_comes_with_it() {
    let office = Office::open(BLOCK).await;
    let open = Image::new().layer("one").build();
    let shut = Image::new().layer("two").build();
    let digest = office.desk.mirror.upstream.push("shut/app", "1", &open);
    let other = office.desk.mirror.upstream.push("shut/app", "2", &shut);
    office.desk.mirror.upstream.push("shut/other", "1", &open);
    assert_eq!(office.break_for("alice", &format!("up.test/shut/app@{digest}")).await.status, 201);
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    office.desk.mirror.pull("shut/app", "1").await.assert_complete();
    assert_eq!(office.manifest("shut/app", &other).await.status, 403);
    office.desk.mirror.pull("shut/app", "2").await.assert_refused("");
    for listed in pratique::oci::Manifest::parse(&shut.manifest, None).expect("one").listed() {
        assert_eq!(office.desk.mirror.blob("shut/app", &listed.digest).await.status, 403);
    }
    assert_eq!(office.manifest("shut/other", &digest).await.status, 403, "another repository");
    for listed in pratique::oci::Manifest::parse(&open.manifest, None).expect("one").listed() {
        assert_eq!(office.desk.mirror.blob("shut/app", &listed.digest).await.status, 200);
        assert_eq!(office.desk.mirror.blob("shut/other", &listed.digest).await.status, 403);
    }
    office.end("alice", "B-1").await;
    for listed in pratique::oci::Manifest::parse(&open.manifest, None).expect("one").listed() {
        assert_eq!(office.desk.mirror.blob("shut/app", &listed.digest).await.status, 403);
    }
}

#[tokio::test]
async fn it_ends_with_its_time_also_after_a_start_with_the_block_and_with_who_used_it() {
    let mut office = Office::open(BLOCK).await;
    let digest = office.push("shut/app", "x");
    office.break_for("alice", "up.test/shut/app:1").await;
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    office.desk.mirror = office.desk.mirror.restart().await;
    assert!(office.is_served_by("shut/app", &digest, "B-1").await, "it survives a start");
    office.advance(59);
    assert!(office.is_served_by("shut/app", &digest, "B-1").await);
    office.advance(1);
    office.desk.mirror = office.desk.mirror.restart().await;
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403, "and its end does, too");
    // A policy without the block.
    office.break_for("alice", "up.test/shut/app:1").await;
    assert!(office.is_served_by("shut/app", &digest, "B-2").await);
    office.desk.mirror.set_policy(&policy(""), 2).await;
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
    office.settle().await;
    office.desk.mirror.set_policy(&policy(BLOCK), 3).await;
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403, "it is over for good");
    let ended = office.show("B-2").await["ended"]["why"].clone();
    assert_eq!(ended, "the policy does not allow it any more");
    // Out of the group: it goes on, but none is begun. Kept out: it ends.
    office.break_for("bob", "up.test/shut/app:1").await;
    let moved = office.ledger().vouch(vouched("bob", Role::Approver, &["others"])).await;
    moved.expect("moved");
    assert!(office.is_served_by("shut/app", &digest, "B-3").await);
    assert_eq!(office.break_for("bob", "up.test/shut/app:1").await.status, 403);
    let change = pratique::ledger::PersonChange { is_disabled: Some(true), ..Default::default() };
    office.ledger().change_person(&person("bob"), change, "test").await.expect("kept out");
    assert_eq!(office.manifest("shut/app", &digest).await.status, 403);
}

#[tokio::test]
async fn where_nothing_is_enforced_it_changes_nothing() {
    let policy = format!("mode: audit\n{}", policy(BLOCK));
    let office = Office::of(TestMirror::start_with(&policy, |_| {}).await).await;
    let digest = office.push("shut/app", "x");
    assert_eq!(office.break_for("alice", "up.test/shut/app:1").await.status, 201);
    for _ in 0..3 {
        let answer = office.manifest("shut/app", &digest).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.header("warning").contains("break-glass"), "{answer:?}");
    }
    assert_eq!(office.desk.mirror.mirror().metrics().emergency_manifests.value(), 0);
}
