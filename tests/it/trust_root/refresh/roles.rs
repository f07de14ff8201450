//! Who may sign what: the four roles, and those that targets are handed on to.

use serde_json::{Value, json};

use super::{Bench, newer_root};
use crate::support::tuf::{Answer, EXPIRED, Key, LATER, TARGET, signed};

#[test]
fn each_role_is_signed_by_its_own_keys_only() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut bench = Bench::refreshed();
        bench.offer(&newer_root());
        let stranger = Key::ecdsa();
        let named_alike = stranger.called(&bench.tuf.timestamp_key.id);
        for wrong in [bench.tuf.root_keys[0].clone(), stranger, named_alike] {
            let tuf = &mut bench.tuf;
            match role {
                "timestamp" => {
                    let bytes = signed(&tuf.timestamp, &[&wrong, &tuf.snapshot_key]);
                    tuf.server.put("/timestamp.json", bytes);
                }
                "snapshot" => {
                    tuf.timestamp["meta"] = json!({"snapshot.json": {"version": 2}});
                    tuf.publish_timestamp();
                    let bytes = signed(&tuf.snapshot, &[&wrong, &tuf.timestamp_key]);
                    tuf.server.put("/2.snapshot.json", bytes);
                }
                _ => {
                    let bytes = signed(&tuf.targets, &[&wrong, &tuf.snapshot_key]);
                    tuf.put_targets("targets", &bytes);
                    tuf.publish_snapshot();
                }
            }
            bench.refuses(&format!(
                "signature threshold not met for role {role}: 0/1 valid signatures"
            ));
        }
    }
}

#[test]
fn a_role_that_nobody_has_to_sign_is_signed_by_nobody() {
    for (threshold, text) in [
        (json!(0), "role timestamp declares signature threshold 0"),
        (json!(2), "signature threshold not met for role timestamp: 1/2"),
        (json!(-1), "2.root.json is no TUF metadata"),
        (json!(1.5), "2.root.json is no TUF metadata"),
    ] {
        let mut bench = Bench::refreshed();
        bench.tuf.root = bench.tuf.root_of(2);
        bench.tuf.root["roles"]["timestamp"]["threshold"] = threshold;
        let bytes = if text.contains("2.root.json") {
            json!({"signatures": [], "signed": bench.tuf.root}).to_string().into_bytes()
        } else {
            bench.tuf.signed_root()
        };
        bench.tuf.server.put("/2.root.json", bytes);
        bench.offer(&newer_root());
        bench.refuses(text);
    }
    let mut bench = Bench::refreshed();
    bench.tuf.root = bench.tuf.root_of(2);
    bench.tuf.root["roles"].as_object_mut().unwrap().remove("snapshot");
    bench.tuf.server.put("/2.root.json", bench.tuf.signed_root());
    bench.refuses("unknown role: snapshot");
}

#[test]
fn one_role_does_not_stand_for_another() {
    let mut bench = Bench::refreshed();
    bench.tuf.rotate(|tuf| tuf.snapshot_key = tuf.timestamp_key.clone());
    bench.offer(&newer_root());
    // The key is right, and what it signed is something else.
    let bytes = signed(&bench.tuf.snapshot, &[&bench.tuf.timestamp_key]);
    bench.tuf.server.put("/timestamp.json", bytes);
    bench.refuses("expected _type \"timestamp\", found \"snapshot\"");
}

/// Hands the trust root on to roles: name, keys of it, patterns of paths.
fn delegate(bench: &mut Bench, roles: &[(&str, &Key, &str)]) {
    bench.tuf.advance();
    let keys: serde_json::Map<_, _> =
        roles.iter().map(|(_, key, _)| (key.id.clone(), key.public.clone())).collect();
    let roles: Vec<Value> = roles
        .iter()
        .map(|(name, key, path)| {
            json!({"name": name, "keyids": [key.id], "threshold": 1, "terminating": false, "paths": [path]})
        })
        .collect();
    bench.tuf.targets["targets"] = json!({});
    bench.tuf.targets["delegations"] = json!({"keys": keys, "roles": roles});
}

/// Targets of a role below, with the newer root in them.
fn below(bench: &Bench) -> Value {
    let content = newer_root().to_string();
    let pin = crate::support::tuf::pinned(content.as_bytes());
    bench.tuf.serve_target(pin["hashes"]["sha256"].as_str().unwrap(), content.as_bytes());
    json!({"_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": LATER, "targets": {TARGET: pin}})
}

/// Serves the role `name` below, as `content` signed by `key`.
fn serve(bench: &mut Bench, name: &str, content: &Value, key: &Key) {
    bench.tuf.advance();
    bench.tuf.put_targets(name, &signed(content, &[key]));
    bench.tuf.publish();
}

#[test]
fn a_role_below_counts_for_what_was_handed_to_it_and_by_the_keys_that_were_named() {
    let (good, other) = (Key::ecdsa(), Key::ed25519());
    let bench = || {
        let mut bench = Bench::refreshed();
        delegate(&mut bench, &[("signers", &good, "trusted_*.json")]);
        bench
    };
    let mut fine = bench();
    let content = below(&fine);
    serve(&mut fine, "signers", &content, &good);
    fine.takes(&newer_root());

    let mut wrong = bench();
    serve(&mut wrong, "signers", &content, &other);
    wrong.refuses("signature threshold not met for role signers: 0/1 valid signatures");
    let forged = other.called(&good.id);
    serve(&mut wrong, "signers", &content, &forged);
    wrong.refuses("signature threshold not met for role signers: 0/1 valid signatures");
    // Those that may sign for the whole are not those that may sign for this.
    let above = wrong.tuf.targets_key.clone();
    serve(&mut wrong, "signers", &content, &above);
    wrong.refuses("signature threshold not met for role signers: 0/1 valid signatures");

    let mut late = bench();
    let mut content = below(&late);
    content["expires"] = json!(EXPIRED);
    serve(&mut late, "signers", &content, &good);
    late.refuses("signers metadata expired at 2020-01-01T00:00:00Z");

    // Not handed to it: another path, a folder above, or no word of it in the snapshot.
    for path in ["*.txt", "other/trusted_root.json", "x*/../trusted_root.json", "*/*"] {
        let mut outside = Bench::refreshed();
        delegate(&mut outside, &[("signers", &good, path)]);
        let content = below(&outside);
        serve(&mut outside, "signers", &content, &good);
        outside.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
    }
    let mut unlisted = bench();
    let content = below(&unlisted);
    serve(&mut unlisted, "signers", &content, &good);
    unlisted.tuf.snapshot["meta"].as_object_mut().unwrap().remove("signers.json");
    unlisted.tuf.publish_snapshot();
    unlisted.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
}

#[test]
fn a_role_that_ends_the_search_ends_it() {
    // CVE-2024-47534: what a later role says must not count once an earlier one had the last word.
    let (first, second) = (Key::ecdsa(), Key::ecdsa());
    let mut bench = Bench::refreshed();
    delegate(&mut bench, &[("first", &first, "*.json"), ("second", &second, "*.json")]);
    let content = below(&bench);
    let mut nothing = content.clone();
    nothing["targets"] = json!({});
    serve(&mut bench, "first", &nothing, &first);
    serve(&mut bench, "second", &content, &second);
    let ends = bench.tuf.targets.clone();
    bench.tuf.targets["delegations"]["roles"][0]["terminating"] = json!(true);
    bench.tuf.publish();
    bench.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
    bench.tuf.targets = ends;
    bench.tuf.advance();
    bench.tuf.publish();
    bench.takes(&newer_root());
}

#[test]
fn roles_below_cannot_take_the_names_or_the_places_of_others() {
    let key = Key::ecdsa();
    for name in ["root", "timestamp", "snapshot", "targets"] {
        let mut bench = Bench::refreshed();
        delegate(&mut bench, &[(name, &key, "*")]);
        bench.tuf.publish();
        bench.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
    }
    // CVE-2026-24686: a name that is a path leads nowhere else, neither there nor here.
    for (name, path) in [("../../x", "/1...%2F..%2Fx.json"), ("a/b?c#d", "/1.a%2Fb%3Fc%23d.json")] {
        let mut bench = Bench::refreshed();
        delegate(&mut bench, &[(name, &key, "*")]);
        let content = below(&bench);
        let bytes = signed(&content, &[&key]);
        bench.tuf.put_targets(name, &bytes);
        bench.tuf.server.put(path, bytes);
        bench.tuf.publish();
        bench.takes(&newer_root());
        assert!(bench.tuf.server.asked().iter().any(|it| it == path), "{name}");
        let left = std::fs::read_dir(bench.folder.path("")).unwrap();
        let mut left: Vec<_> =
            left.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["corp.json", "corp.json.tuf", "root.json"], "{name}");
    }
}

#[test]
fn a_key_with_two_names_is_one_below_too_and_circles_end() {
    let key = Key::ecdsa();
    let mut bench = Bench::refreshed();
    delegate(&mut bench, &[("signers", &key, "*"), ("more", &key.called("another"), "*")]);
    bench.tuf.targets["delegations"]["roles"][0]["keyids"] = json!([key.id, "another"]);
    bench.tuf.publish();
    bench.refuses("2.targets.json lists one key twice for the role \"signers\", as ");

    // Roles that hand it to each other, and more of them than anybody asks.
    let mut bench = Bench::refreshed();
    delegate(&mut bench, &[("a0", &key, "*")]);
    let nothing = |next: &str| {
        let role = json!({"name": next, "keyids": [key.id], "threshold": 1, "terminating": false, "paths": ["*"]});
        json!({
            "_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": LATER,
            "targets": {}, "delegations": {"keys": {&key.id: key.public}, "roles": [role]},
        })
    };
    for number in 0..20 {
        let content = nothing(&format!("a{}", (number + 1) % 20));
        bench.tuf.put_targets(&format!("a{number}"), &signed(&content, &[&key]));
    }
    bench.tuf.publish();
    bench.tuf.server.asked();
    bench.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
    let asked = bench.tuf.server.asked();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/1.a")).count(), 7, "{asked:?}");
    bench.tuf.put_targets("a0", &signed(&nothing("a0"), &[&key]));
    bench.tuf.advance();
    bench.tuf.publish();
    bench.tuf.server.say("/1.a1.json", Answer::Status("500 Oh", "X: y".to_owned()));
    bench.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
}
