//! The scan gate: what is in an image is known before a byte of it is served.

use std::path::PathBuf;
use std::time::Duration;

use pratique::oci::Digest;
use serde_json::{Value, json};

use crate::support::archive::{CRITICAL, DEBIAN, debian, record, tar, write_database};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::{Artifact, Fault, Image, Index};

const NOW: &str = "2026-11-20T09:00:00Z";
pub(crate) const OPENSSL: &str = "CVE-2026-1";

fn policy(gate: &str, rest: &str) -> String {
    format!(
        "gates: {{strict: {{deny: [{{severity: high}}]{gate}}}}}\n{rest}\nrules:\n\
         - {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}\n"
    )
}

async fn mirror(gate: &str) -> TestMirror {
    let mirror = TestMirror::start_with(&policy(gate, ""), |_| {}).await;
    know(&mirror, &[openssl()]).await;
    mirror
}

pub(crate) fn openssl() -> Value {
    record(OPENSSL, "Debian:12", "openssl", "3.0.13-1", CRITICAL)
}

/// Some record, so that a database knows the ecosystem and nothing against what is scanned.
pub(crate) fn other() -> Value {
    record("CVE-2020-1", "Debian:12", "other", "1", CRITICAL)
}

fn database(mirror: &TestMirror) -> PathBuf {
    mirror.folder().join("vulnerabilities.db")
}

/// Gives the mirror a database of `records`, and waits until it is in force.
pub(crate) async fn know(mirror: &TestMirror, records: &[Value]) {
    write_database(&database(mirror), NOW, records);
    let written = Digest::sha256(&std::fs::read(database(mirror)).unwrap());
    for _ in 0..1000 {
        let now = mirror.mirror().scanner().database();
        if now.is_ok_and(|database| database.id().digest == written) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the database did not come into force");
}

pub(crate) fn vulnerable() -> Artifact {
    Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build()
}

fn patched() -> Artifact {
    Image::new().layer(debian(&[("openssl", "3.0.13-1")])).build()
}

#[tokio::test]
async fn a_vulnerable_image_is_refused_before_a_byte_of_it_is_served() {
    let mirror = mirror("").await;
    let image = vulnerable();
    mirror.upstream.push("app", "1", &image);
    let pulled = mirror.pull("app", "1").await;
    let phrase = "Denied by rule a: CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1";
    pulled.assert_refused(phrase);
    for digest in [image.layer(0), image.config()] {
        assert_eq!(mirror.blob("app", &digest).await.status, 403);
    }
    let message = pulled.manifest.error()["message"].to_string();
    assert!(message.contains("built with openssl 3.0.13-1 or later"), "{message}");
}

#[tokio::test]
async fn what_was_scanned_while_it_was_fetched_is_not_fetched_again() {
    let mirror = mirror("").await;
    let image = patched();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    assert_eq!(mirror.upstream.count(&format!("blobs/{}", image.layer(0))), 1);
    // Another image with the same layer reads nothing.
    let again = Image::new().layer(debian(&[("openssl", "3.0.13-1")])).platform("linux/arm64");
    mirror.upstream.push("app", "2", &again.build());
    mirror.pull("app", "2").await.assert_complete();
    assert_eq!(mirror.mirror().metrics().layers_scanned.value(), 1);
}

#[tokio::test]
async fn without_a_database_nothing_is_decided() {
    let mirror = TestMirror::start_with(&policy("", ""), |_| {}).await;
    mirror.upstream.push("app", "1", &patched());
    let answer = mirror.manifest("app", "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.phrase.contains("vulnerability database"), "{}", answer.phrase);
    know(&mirror, &[openssl()]).await;
    mirror.clock.advance(Duration::from_mins(6));
    mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn an_old_database_admits_nothing_new_and_takes_nothing_back() {
    let mirror = mirror("").await;
    mirror.upstream.push("app", "1", &patched());
    mirror.pull("app", "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(121));
    mirror.pull("app", "1").await.assert_complete();
    mirror.upstream.push("other", "1", &patched());
    let answer = mirror.manifest("other", "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.phrase.contains("vulnerability database is"), "{}", answer.phrase);
    // Not even a new policy takes back what passed the same gates.
    mirror.set_policy(&policy("", "tagMove: strict"), 2).await;
    mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_database_that_cannot_be_used_changes_nothing() {
    let mirror = mirror("").await;
    let mut damaged = std::fs::read(database(&mirror)).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(database(&mirror), damaged).unwrap();
    let metrics = mirror.mirror().metrics();
    for _ in 0..1000 {
        if metrics.database_rejected.value() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metrics.database_rejected.value(), 1);
    mirror.upstream.push("app", "1", &vulnerable());
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-1");
}

#[tokio::test]
async fn what_is_found_later_is_served_on_unless_the_gate_revokes_it() {
    for (gate, status) in [("", 200), (", onNewFinding: revoke", 403)] {
        let mirror = mirror(gate).await;
        know(&mirror, &[other()]).await;
        let image = vulnerable();
        mirror.upstream.push("app", "1", &image);
        mirror.pull("app", "1").await.assert_complete();
        // The layer is nowhere to be read again.
        mirror.mirror().store().remove(&image.layer(0)).await.unwrap();
        mirror.upstream.go_away();
        know(&mirror, &[other(), openssl()]).await;
        let expected = match status {
            200 => "served on with 1 found since it was admitted",
            _ => "1 of them refused",
        };
        wait_until_explained(&mirror, &image.digest(), expected).await;
        assert_eq!(mirror.manifest("app", image.digest()).await.status, status);
    }
}

#[tokio::test]
async fn what_passed_goes_on_when_something_is_attached_to_an_image_of_it() {
    let mirror = mirror("").await;
    know(&mirror, &[other()]).await;
    mirror.upstream.set_referrers_api(true);
    let index = Index::new().child(vulnerable()).build();
    mirror.upstream.push("app", "1", &index);
    let child = &index.children[0];
    let notes = Image::artifact("application/vnd.test.notes").layer("notes").subject(child).build();
    mirror.upstream.attach_referrer("app", &child.digest(), &notes);
    mirror.pull("app", "1").await.assert_complete();
    assert_eq!(mirror.get(&format!("app/referrers/{}", child.digest())).await.status, 200);
    mirror.pull("app", notes.digest()).await.assert_complete();
    know(&mirror, &[other(), openssl()]).await;
    let expected = "served on with 1 found since it was admitted";
    wait_until_explained(&mirror, &index.digest(), expected).await;
    assert_eq!(mirror.manifest("app", index.digest()).await.status, 200);
}

async fn wait_until_explained(mirror: &TestMirror, digest: &Digest, expected: &str) {
    let desk = pratique::mirror::desk::Desk::new(mirror.mirror().clone());
    let target = format!("{REGISTRY}/app@{digest}");
    for _ in 0..500 {
        let explained = serde_json::to_string(&desk.explain(&target).await.unwrap()).unwrap();
        if explained.contains(expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never explained as {expected:?}");
}

async fn wait_until_judged(mirror: &TestMirror, repository: &str, digest: &Digest, status: u16) {
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if mirror.manifest(repository, digest).await.status == status {
            return;
        }
    }
    panic!("{repository} was not judged again");
}

#[tokio::test]
async fn a_grace_ends_by_itself() {
    let later = ", onNewFinding: {action: revoke, grace: {critical: 24h}}";
    let mirror = mirror(later).await;
    know(&mirror, &[other()]).await;
    let image = vulnerable();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    know(&mirror, &[other(), openssl()]).await;
    wait_until_explained(&mirror, &image.digest(), "1 found since it was admitted").await;
    mirror.clock.advance(Duration::from_hours(23));
    mirror.pull("app", "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(1));
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-1 in openssl");
}

#[tokio::test]
async fn the_floor_refuses_what_is_exploited_under_a_rule_without_gates() {
    let policy = "floor: {vulnerabilities: {denyMalware: true}}\n\
                  rules:\n- {id: a, match: [\"up.test/**\"], trust: allow}\n";
    let mirror = TestMirror::start_with(policy, |_| {}).await;
    mirror.upstream.push("app", "1", &patched());
    let answer = mirror.manifest("app", "1").await;
    assert_eq!(answer.status, 503, "without a database nothing is decided: {answer:?}");
    know(&mirror, &[record("MAL-2026-1", "Debian:12", "openssl", "9", CRITICAL)]).await;
    mirror.clock.advance(Duration::from_mins(6));
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: malware MAL-2026-1");
    // One that is vulnerable, and no malware, passes: no gate of a rule asks.
    know(&mirror, &[openssl()]).await;
    mirror.upstream.push("other", "1", &vulnerable());
    mirror.pull("other", "1").await.assert_complete();
}

#[tokio::test]
async fn a_gate_lets_more_of_a_large_image_be_read() {
    let mirror = TestMirror::start_with(&policy("", ""), |settings| {
        settings.scan.limits.entries = 2;
    })
    .await;
    know(&mirror, &[other()]).await;
    let image = vulnerable();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: could not be read completely");
    assert_eq!(mirror.mirror().metrics().layers_scanned.value(), 1);
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: could not be read completely");
    assert_eq!(
        mirror.mirror().metrics().layers_scanned.value(),
        1,
        "that is no reason to look again"
    );
    mirror.set_policy(&policy(", limits: {entries: 1000}", ""), 2).await;
    mirror.pull("app", "1").await.assert_complete();
    assert_eq!(mirror.mirror().metrics().layers_scanned.value(), 2);
}

#[tokio::test]
async fn that_reading_took_too_long_is_not_kept_of_a_layer() {
    let mirror = TestMirror::start_with(&policy("", ""), |settings| {
        settings.scan.limits.time = Duration::ZERO;
    })
    .await;
    know(&mirror, &[other()]).await;
    mirror.upstream.push("app", "1", &patched());
    let phrase = "Denied by rule a: could not be read completely";
    mirror.pull("app", "1").await.assert_refused(phrase);
    let again = Image::new().layer(debian(&[("openssl", "3.0.13-1")])).platform("linux/arm64");
    mirror.upstream.push("app", "2", &again.build());
    mirror.pull("app", "2").await.assert_refused(phrase);
    let read = mirror.mirror().metrics().layers_scanned.value();
    assert_eq!(read, 2, "another image reads the same layer again");
}

#[tokio::test]
async fn malware_is_never_served_on() {
    let mirror = mirror("").await;
    let image = patched();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    let mut malware = record("MAL-2026-1", "Debian:12", "openssl", "9", CRITICAL);
    malware["severity"] = json!([]);
    know(&mirror, &[openssl(), malware]).await;
    wait_until_judged(&mirror, "app", &image.digest(), 403).await;
    let phrase = "Denied by rule a: malware MAL-2026-1: openssl 3.0.13-1";
    mirror.pull("app", "1").await.assert_refused(phrase);
}

#[tokio::test]
async fn a_change_that_would_take_back_much_waits_for_a_person() {
    let mirror = mirror(", onNewFinding: revoke").await;
    know(&mirror, &[other()]).await;
    for repository in ["a", "b", "c"] {
        mirror.upstream.push(repository, "1", &vulnerable());
        mirror.pull(repository, "1").await.assert_complete();
    }
    know(&mirror, &[openssl()]).await;
    for _ in 0..1000 {
        if mirror.mirror().metrics().scans_held.value() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for repository in ["a", "b", "c"] {
        mirror.pull(repository, "1").await.assert_complete();
    }
    // What is new is judged by it all the same.
    mirror.upstream.push("d", "1", &vulnerable());
    mirror.pull("d", "1").await.assert_refused("Denied by rule a: CVE-2026-1");
    let done = mirror.mirror().rejudge_scanned(true).await.unwrap();
    assert_eq!((done.revoked, done.changed, done.held), (3, 3, false));
    for repository in ["a", "b", "c"] {
        mirror.pull(repository, "1").await.assert_refused("Denied by rule a: CVE-2026-1");
    }
    assert_eq!(mirror.mirror().metrics().scans_held.value(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_known_is_never_clean() {
    let mirror = mirror("").await;
    let status = b"Package: openssl\nStatus: install ok installed\nVersion: 3.0.13-1\n\n";
    let mut truncated = debian(&[("openssl", "3.0.13-1")]);
    truncated.truncate(1_600);
    let wrong_diff_id = json!({
        "os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(b"other")]},
    });
    let alien = b"ID=acme\nVERSION_ID=1\n";
    let cases: [(&str, Image, &str); 7] = [
        (
            "stripped",
            Image::new().layer(tar(&[("etc/os-release", DEBIAN)])),
            "nothing is known about the packages of debian 12",
        ),
        ("truncated", Image::new().layer(truncated), "could not be read completely"),
        ("noise", Image::new().layer(vec![0x42; 4096]), "could not be read completely"),
        (
            "diff-id",
            Image::new()
                .layer(debian(&[("openssl", "3.0.13-1")]))
                .config("application/vnd.oci.image.config.v1+json", wrong_diff_id.to_string()),
            "could not be read completely",
        ),
        (
            "nameless",
            Image::new().layer(tar(&[("var/lib/dpkg/status", status)])),
            "nothing is known about",
        ),
        (
            "alien",
            Image::new().layer(tar(&[("etc/os-release", alien), ("var/lib/dpkg/status", status)])),
            "nothing is known about",
        ),
        (
            "versionless",
            Image::new().layer(tar(&[
                ("etc/os-release", DEBIAN),
                ("var/lib/dpkg/status", b"Package: a\nStatus: install ok installed\n\n"),
            ])),
            "could not be read completely",
        ),
    ];
    for (name, image, expected) in cases {
        mirror.upstream.push(name, "1", &image.build());
        let pulled = mirror.pull(name, "1").await;
        assert_eq!(pulled.manifest.status, 403, "{name}: {:?}", pulled.manifest);
        assert!(pulled.manifest.phrase.contains(expected), "{name}: {}", pulled.manifest.phrase);
    }
}

#[tokio::test]
async fn a_layer_that_cannot_be_had_leaves_it_open() {
    let mirror = mirror("").await;
    let image = patched();
    mirror.upstream.push("app", "1", &image);
    let blob = format!("blobs/{}", image.layer(0));
    mirror.upstream.fault(&blob, Fault::Status(500));
    let answer = mirror.manifest("app", "1").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    mirror.upstream.heal();
    mirror.clock.advance(Duration::from_mins(6));
    mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn of_an_index_what_is_served_is_scanned() {
    let policy = policy("", "floor: {platforms: [linux/amd64, linux/arm64]}");
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    know(&mirror, &[openssl()]).await;
    let arm = |packages| Image::new().platform("linux/arm64").layer(debian(packages)).build();
    let other = Image::new().platform("linux/s390x").layer(debian(&[("openssl", "3.0.11-1")]));
    let other = other.build();
    let good = Index::new()
        .child(patched())
        .child(arm(&[("openssl", "3.0.14-1")]))
        .child(other.clone())
        .build();
    mirror.upstream.push("good", "1", &good);
    assert_eq!(mirror.manifest("good", "1").await.status, 200);
    assert_eq!(mirror.upstream.count(&format!("blobs/{}", other.layer(0))), 0);
    let bad = Index::new().child(patched()).child(arm(&[("openssl", "3.0.11-1")])).build();
    mirror.upstream.push("bad", "1", &bad);
    let answer = mirror.manifest("bad", "1").await;
    assert_eq!(answer.status, 403);
    assert!(answer.phrase.contains("linux/arm64: CVE-2026-1 in openssl"), "{}", answer.phrase);
}

#[tokio::test]
async fn what_is_no_image_is_refused_unless_the_gate_allows_it() {
    for (gate, status) in [("", 403), (", notApplicable: allow", 200)] {
        let mirror = mirror(gate).await;
        let chart = Image::artifact("application/vnd.cncf.helm.config.v1+json").layer("chart");
        mirror.upstream.push("chart", "1", &chart.build());
        assert_eq!(mirror.manifest("chart", "1").await.status, status, "{gate}");
    }
}

#[tokio::test]
async fn an_exception_lets_one_finding_pass_until_its_day() {
    let mirror = mirror("").await;
    mirror.upstream.push("app", "1", &vulnerable());
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-1");
    let exception = format!(
        "exceptions: [{{id: W-1, match: up.test/app, check: {{vulnerability: {OPENSSL}}}, \
         reason: not reachable, expires: 2026-11-21T00:00:00Z}}]"
    );
    mirror.set_policy(&policy("", &exception), 2).await;
    mirror.pull("app", "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(15));
    mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-1");
}

#[tokio::test]
async fn what_was_learnt_survives_a_restart() {
    let mirror = mirror("").await;
    let image = patched();
    mirror.upstream.push("app", "1", &image);
    mirror.pull("app", "1").await.assert_complete();
    let mirror = mirror.restart().await;
    mirror.set_policy(&policy(", unrated: high", ""), 2).await;
    mirror.pull("app", "1").await.assert_complete();
    assert_eq!(mirror.mirror().metrics().layers_scanned.value(), 0);
    assert_eq!(mirror.upstream.count(&format!("blobs/{}", image.layer(0))), 1);
}
