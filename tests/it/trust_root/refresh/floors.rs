//! Going back and standing still: rollback, freeze, and the way out after somebody ran ahead.

use std::fs;

use serde_json::json;

use super::{Bench, newer_root, root};
use crate::support::tuf::{EXPIRED, Key, pinned_as, signed};

/// One that has been refreshed with version 2 of everything and has the newer root.
fn ahead() -> Bench {
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    bench.takes(&newer_root());
    bench
}

#[test]
fn an_older_timestamp_is_a_rollback() {
    let mut bench = Bench::refreshed();
    let old = bench.tuf.server.files();
    bench.offer(&newer_root());
    bench.takes(&newer_root());
    // All of it as it was: every file is genuine.
    bench.tuf.server.restore(old);
    bench.refuses("rollback detected for timestamp: trusted version 2 > new version 1");
    // What was seen counts by itself: that the file is gone changes nothing.
    fs::remove_file(bench.folder.path("corp.json")).unwrap();
    bench.refuses("rollback detected for timestamp: trusted version 2 > new version 1");
}

#[test]
fn an_older_snapshot_below_a_newer_timestamp_is_a_rollback() {
    let mut bench = ahead();
    bench.tuf.timestamp["version"] = json!(3);
    bench.tuf.snapshot["version"] = json!(1);
    bench.tuf.publish_snapshot();
    bench.refuses(
        "rollback detected for snapshot (via timestamp): trusted version 2 > new version 1",
    );
}

#[test]
fn older_targets_below_a_newer_snapshot_are_a_rollback() {
    let mut bench = ahead();
    for role in [&mut bench.tuf.timestamp, &mut bench.tuf.snapshot] {
        role["version"] = json!(3);
    }
    bench.tuf.targets["version"] = json!(1);
    bench.tuf.set_target(root().to_string().as_bytes());
    bench.tuf.publish();
    let text =
        "rollback detected for targets.json (via snapshot): trusted version 2 > new version 1";
    bench.refuses(text);
    // Nor are they, once the snapshot in between could not be had for a while.
    let snapshot = bench.tuf.server.files().remove("/3.snapshot.json").unwrap();
    bench.tuf.server.remove("/3.snapshot.json");
    bench.fails(2, &["it has no 3.snapshot.json"]);
    bench.tuf.server.say("/3.snapshot.json", snapshot);
    bench.refuses(text);
    // And leaving them out is none either.
    bench.tuf.snapshot["meta"] = json!({"other.json": {"version": 1}});
    bench.tuf.publish_snapshot();
    bench.refuses("snapshot removes targets.json, which the trusted snapshot pins");
}

#[test]
fn what_has_expired_is_not_taken_whoever_signed_it() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut bench = Bench::refreshed();
        let tuf = &mut bench.tuf;
        match role {
            "timestamp" => tuf.timestamp["expires"] = json!(EXPIRED),
            "snapshot" => tuf.snapshot["expires"] = json!(EXPIRED),
            _ => tuf.targets["expires"] = json!(EXPIRED),
        }
        bench.offer(&newer_root());
        bench.refuses(&format!("{role} metadata expired at 2020-01-01T00:00:00Z"));
    }
}

#[test]
fn a_repository_that_stands_still_is_noticed_when_its_time_is_over() {
    // The last that was seen, shown again: what was in time when it came is not for ever.
    let mut bench = Bench::refreshed();
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    bench.tuf.timestamp["expires"] = json!(expires.to_string());
    bench.offer(&newer_root());
    bench.takes(&newer_root());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while jiff::Timestamp::now() <= expires && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    bench.refuses("timestamp metadata expired at ");
    // The floor stays where it was.
    bench.tuf.timestamp["version"] = json!(1);
    bench.tuf.timestamp["expires"] = json!("2999-01-01T00:00:00Z");
    bench.tuf.publish_timestamp();
    bench.refuses("rollback detected for timestamp: trusted version 2 > new version 1");
}

#[test]
fn after_somebody_ran_ahead_new_keys_lead_back() {
    // Whoever has the keys of timestamp and snapshot writes the highest numbers there are.
    let mut bench = Bench::refreshed();
    bench.tuf.timestamp["version"] = json!(u64::MAX);
    bench.tuf.snapshot["version"] = json!(u64::MAX);
    bench.tuf.publish_snapshot();
    bench.takes(&root());
    for role in [&mut bench.tuf.timestamp, &mut bench.tuf.snapshot] {
        role["version"] = json!(1);
    }
    bench.offer(&newer_root());
    bench.refuses("rollback detected for timestamp: trusted version 18446744073709551615");
    // The root says that these keys count no more, and so does not what they signed.
    bench.tuf.rotate(|tuf| {
        tuf.timestamp_key = Key::ecdsa();
        tuf.snapshot_key = Key::ecdsa();
    });
    bench.tuf.publish();
    bench.takes(&newer_root());
}

#[test]
fn a_snapshot_of_another_time_does_not_fit_its_timestamp() {
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    let file = |bench: &Bench, name: &str| bench.tuf.server.files().remove(name).unwrap();
    // Genuine, and not the one that is meant.
    let older = file(&bench, "/1.snapshot.json");
    bench.tuf.server.say("/2.snapshot.json", older);
    bench.refuses("snapshot.json: ");
    // Even where nothing but the version tells them apart.
    let older = signed(&bench.tuf.snapshot, &[&bench.tuf.snapshot_key]);
    bench.tuf.snapshot["version"] = json!(3);
    bench.tuf.timestamp["version"] = json!(3);
    bench.tuf.timestamp["meta"] = json!({"snapshot.json": {"version": 3}});
    bench.tuf.publish_timestamp();
    bench.tuf.server.put("/3.snapshot.json", older);
    bench.refuses("snapshot version 2 does not match timestamp pin 3");
    // The same for targets.
    let mut bench = Bench::refreshed();
    let older = signed(&bench.tuf.targets, &[&bench.tuf.targets_key]);
    bench.offer(&newer_root());
    bench.tuf.snapshot["meta"] = json!({"targets.json": pinned_as(&json!(2), &older)});
    bench.tuf.publish_snapshot();
    bench.tuf.server.put("/2.targets.json", older);
    bench.refuses("targets.json version 1 does not match snapshot pin 2");
}

#[test]
fn what_was_seen_is_believed_whole_or_not_at_all() {
    let bench = Bench::refreshed();
    let state = bench.folder.path("corp.json.tuf");
    let good = fs::read_to_string(&state).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&good).unwrap();
    let timestamp = document["files"]["timestamp.json"].as_str().unwrap().to_owned();
    for (bad, text) in [
        (good.replace("\"format\": 1", "\"format\": 2"), "format 2 is not known"),
        (good[..good.len() / 2].to_owned(), "EOF"),
        (good.replacen('{', "{\"format\": 1,", 1), "duplicate"),
        (good.replace("timestamp.json", "timestamp2.json"), "timestamp2.json is no TUF metadata"),
        (good.replace("1.root.json", "2.root.json"), "root_history/2.root.json"),
        (" ".repeat((16 << 20) + 1), "file too large"),
        (
            {
                document["files"]["snapshot.json"] = json!(timestamp);
                document.to_string()
            },
            "snapshot.json is no TUF metadata",
        ),
    ] {
        fs::write(&state, &bad).unwrap();
        bench.fails(2, &["cannot read what was seen before in ", text]);
        assert_eq!(fs::read_to_string(&state).unwrap(), bad, "left for a person to look at");
    }
    fs::write(&state, good).unwrap();
    bench.takes(&root());
    // What it says is verified like anything else: who writes there may forget, and nothing more.
    document["files"]["snapshot.json"] = serde_json::Value::Null;
    let mut forged = bench.tuf.timestamp.clone();
    forged["version"] = json!(9);
    let forged = signed(&forged, &[&Key::ecdsa()]);
    document["files"] = json!({
        "root_history/1.root.json": String::from_utf8(bench.tuf.signed_root()).unwrap(),
        "timestamp.json": String::from_utf8(forged).unwrap(),
    });
    let own = bench.folder.put("own.tuf", document.to_string());
    let ran = bench.refresh(&["--state", &own]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("timestamp  1, was 9, until"), "{ran:?}");
    // Where it cannot be kept, nothing is taken.
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    let ran = bench.refresh(&["--state", &bench.path("no/such/folder/state")]);
    assert_eq!((ran.code, bench.folder.placed()), (1, root()), "{ran:?}");
    assert!(ran.stderr.contains("no/such/folder/state was not written"), "{ran:?}");
}
