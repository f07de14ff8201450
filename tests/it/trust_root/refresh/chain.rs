//! From one root of a repository to the next: who signed it, and that none is left out or taken back.

use serde_json::json;

use super::{Bench, newer_root, root};
use crate::support::tuf::{EXPIRED, Key, signed};

#[test]
fn a_root_is_signed_by_enough_of_those_before_it_and_of_its_own() {
    let old = |bench: &Bench| bench.tuf.root_keys.clone();
    let newer = [Key::ecdsa(), Key::ed25519(), Key::ecdsa()];
    for (by_old, by_new, role_text) in [(1, 3, "1/2"), (0, 3, "0/2"), (2, 1, "1/2"), (3, 0, "0/2")]
    {
        let mut bench = Bench::refreshed();
        let before = old(&bench);
        bench.tuf.root_keys = newer.to_vec();
        bench.tuf.root = bench.tuf.root_of(2);
        let by: Vec<&Key> = before.iter().take(by_old).chain(newer.iter().take(by_new)).collect();
        bench.tuf.server.put("/2.root.json", signed(&bench.tuf.root, &by));
        bench.offer(&newer_root());
        bench.refuses(&format!(
            "signature threshold not met for role root: {role_text} valid signatures"
        ));
    }
    // The same with enough of both is taken.
    let mut bench = Bench::refreshed();
    bench.tuf.rotate(|tuf| tuf.root_keys = newer.to_vec());
    bench.offer(&newer_root());
    bench.takes(&newer_root());
}

#[test]
fn one_key_counts_once_whatever_it_is_called() {
    // Two names in one role, written the same way or in another.
    for alias in [
        |key: &Key| key.called("another"),
        |key: &Key| key.in_pem_called("another"),
        |key: &Key| key.called(&key.id.to_uppercase()),
    ] {
        let mut bench = Bench::refreshed();
        let twice = bench.tuf.root_keys[1].clone();
        bench.tuf.rotate(|tuf| tuf.root_keys = vec![twice.clone(), alias(&twice)]);
        bench.offer(&newer_root());
        bench.refuses("2.root.json lists one key twice for the role \"root\", as ");
    }
    // Also in what trust would begin with.
    let mut bench = Bench::new();
    let key = Key::ed25519();
    bench.tuf.root_keys = vec![key.clone(), key.called("another")];
    bench.tuf.root = bench.tuf.root_of(1);
    bench.trust(&bench.tuf.signed_root());
    bench.fails(64, &["root.json is no root to begin with: it lists one key twice"]);
    // Two signatures by one key are one at most.
    let mut bench = Bench::refreshed();
    let (one, two) = (&bench.tuf.root_keys[0], &bench.tuf.root_keys[1]);
    let next = bench.tuf.root_of(2);
    bench.tuf.server.put("/2.root.json", signed(&next, &[one, one, two]));
    bench.refuses("duplicate signature key id");
    bench.tuf.server.put("/2.root.json", signed(&next, &[one, &one.called("another")]));
    bench.refuses("signature threshold not met for role root: 1/2 valid signatures");
    // In different roles a key may be the same.
    bench.tuf.server.remove("/2.root.json");
    bench.tuf.rotate(|tuf| tuf.snapshot_key = tuf.timestamp_key.clone());
    bench.offer(&newer_root());
    bench.takes(&newer_root());
}

#[test]
fn names_of_keys_are_whatever_the_repository_says() {
    let mut bench = Bench::new();
    let odd = ["0", "not a hash", "../../etc/passwd", "ß\u{202e}"];
    bench.tuf.root_keys =
        bench.tuf.root_keys.iter().zip(odd).map(|(key, id)| key.called(id)).collect();
    bench.tuf.timestamp_key = bench.tuf.timestamp_key.called(odd[3]);
    bench.tuf.root = bench.tuf.root_of(1);
    bench.trust(&bench.tuf.signed_root());
    bench.tuf.publish();
    bench.takes(&root());
}

#[test]
fn no_root_is_left_out() {
    let bench = Bench::refreshed();
    let keys: Vec<&Key> = bench.tuf.root_keys.iter().collect();
    for version in [1, 3] {
        bench.tuf.server.put("/2.root.json", signed(&bench.tuf.root_of(version), &keys));
        bench.refuses(&format!("root version must increment by one: trusted 1, got {version}"));
    }
    bench.tuf.server.put("/2.root.json", signed(&bench.tuf.root_of(u64::MAX), &keys));
    bench.refuses("2.root.json has the version 18446744073709551615");
}

#[test]
fn a_root_that_was_seen_is_not_taken_back() {
    let mut bench = Bench::refreshed();
    let before = bench.tuf.root_keys.clone();
    bench.tuf.rotate(|tuf| tuf.root_keys = vec![Key::ecdsa(), Key::ecdsa(), Key::ecdsa()]);
    bench.takes(&root());
    // Whoever had the keys of root 1 makes another root 2, and goes on to 3.
    let next = std::mem::replace(&mut bench.tuf.root_keys, before);
    bench.tuf.root = bench.tuf.root_of(2);
    let fork: Vec<&Key> = bench.tuf.root_keys.iter().collect();
    bench.tuf.server.put("/2.root.json", signed(&bench.tuf.root, &fork));
    bench.tuf.server.put("/3.root.json", signed(&bench.tuf.root_of(3), &fork));
    bench.offer(&newer_root());
    bench.refuses("signature threshold not met for role root: 0/2 valid signatures");
    // Nor by beginning elsewhere.
    bench.trust(&bench.tuf.signed_root());
    bench.fails(3, &["corp.json.tuf has seen root 2, which ", "root.json does not lead to"]);
    bench.tuf.root_keys = next;
}

#[test]
fn what_was_verified_of_a_chain_stays_even_where_the_rest_fails() {
    let mut bench = Bench::refreshed();
    bench.tuf.rotate(|tuf| tuf.timestamp_key = Key::ecdsa());
    bench.tuf.server.put("/timestamp.json", b"{}".to_vec());
    bench.refuses("timestamp.json is no TUF metadata");
    // From now on root 1 counts no more, though root 2 is not shown again.
    bench.tuf.server.remove("/2.root.json");
    bench.tuf.server.asked();
    bench.tuf.publish_timestamp();
    bench.takes(&root());
    assert_eq!(bench.tuf.server.asked()[0], "/3.root.json");
}

#[test]
fn only_the_last_root_has_to_be_in_time() {
    let mut bench = Bench::new();
    bench.tuf.root["expires"] = json!(EXPIRED);
    bench.trust(&bench.tuf.signed_root());
    bench.refuses("root metadata expired at 2020-01-01T00:00:00Z");
    bench.tuf.rotate(|_| {});
    bench.takes(&root());
}

#[test]
fn a_chain_without_end_is_left_at_a_bound_and_taken_up_again() {
    let mut bench = Bench::refreshed();
    for _ in 0..70 {
        bench.tuf.rotate(|_| {});
    }
    bench.offer(&newer_root());
    bench.fails(1, &["more than 64 newer roots in one go; those that were verified are kept"]);
    bench.tuf.server.asked();
    bench.takes(&newer_root());
    assert_eq!(bench.tuf.server.asked()[0], "/66.root.json");
}
