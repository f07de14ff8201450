//! What comes is what was signed: size, hash, shape, and the name by which it is asked for.

use serde_json::{Value, json};

use super::{Bench, newer_root, root};
use crate::support::tuf::{Answer, Key, TARGET, pinned, signed};

fn hash_of(bytes: &[u8]) -> String {
    pinned(bytes)["hashes"]["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn the_trust_root_has_the_size_and_the_hash_that_were_signed() {
    let newer = newer_root().to_string().into_bytes();
    let mut changed = newer.clone();
    *changed.last_mut().unwrap() = b' ';
    let offered = || {
        let mut bench = Bench::refreshed();
        bench.offer(&newer_root());
        bench
    };
    let bench = offered();
    bench.tuf.serve_target(&hash_of(&newer), &changed);
    bench.refuses("integrity check failed: trusted_root.json: sha256 mismatch");
    let bench = offered();
    bench.tuf.serve_target(&hash_of(&newer), &newer[..newer.len() - 1]);
    bench.refuses("integrity check failed: trusted_root.json: length ");
    let bench = offered();
    bench.tuf.serve_target(&hash_of(&newer), &[newer.as_slice(), b" "].concat());
    bench.refuses(&format!("more than {} bytes", newer.len()));

    for (pin, text) in [
        (json!({"length": newer.len(), "hashes": {}}), "no hash to locate consistent target"),
        (json!({"length": newer.len(), "hashes": {"md5": "00"}}), "no supported hash algorithm"),
        (json!({"length": newer.len()}), "is no TUF metadata"),
        (json!({"length": -1, "hashes": {"sha256": hash_of(&newer)}}), "is no TUF metadata"),
        (
            json!({"length": 9_999_999, "hashes": {"sha256": hash_of(&newer)}}),
            "exceeds configured max 262144",
        ),
        (
            json!({"length": newer.len(), "hashes": {"sha256": hash_of(&newer), "sha512": "00"}}),
            "sha512 mismatch",
        ),
    ] {
        let mut bench = offered();
        bench.tuf.server.put(&format!("/targets/00.{TARGET}"), newer.clone());
        bench.tuf.targets["targets"][TARGET] = pin;
        bench.tuf.advance();
        bench.tuf.publish();
        bench.refuses(text);
    }
    let mut bench = offered();
    bench.tuf.targets["targets"] = json!({"other.json": pinned(&newer)});
    bench.tuf.advance();
    bench.tuf.publish();
    bench.refuses("target \"trusted_root.json\" is not listed by any trusted targets role");
}

#[test]
fn snapshot_and_targets_have_the_size_and_the_hash_that_were_signed() {
    for name in ["snapshot", "targets"] {
        let mut bench = Bench::refreshed();
        bench.offer(&newer_root());
        let path = format!("/2.{name}.json");
        let Some(Answer::File(bytes)) = bench.tuf.server.files().remove(&path) else { panic!() };
        // Another signature over the same, or another byte of white space: not what was listed.
        let key = if name == "snapshot" { &bench.tuf.snapshot_key } else { &bench.tuf.targets_key };
        let content: Value = serde_json::from_slice(&bytes).unwrap();
        let more = signed(&content["signed"], &[key, &Key::ecdsa()]);
        bench.tuf.server.put(&path, more);
        bench.refuses(&format!("integrity check failed: {name}.json: length "));
        let at = bytes.iter().position(|byte| *byte == b'0').unwrap();
        let mut other = bytes.clone();
        other[at] = b'1';
        bench.tuf.server.put(&path, other);
        bench.refuses(&format!("integrity check failed: {name}.json: sha256 mismatch"));
    }
}

#[test]
fn names_that_the_repository_makes_up_lead_nowhere() {
    // CVE-2026-24137 and the like: parts of the name that is asked for are the repository's.
    for hash in
        ["../../admin", "x/../../y", "..", "a?b=", "a#", "\u{1b}[2J", "a b", ".hidden", "%2e%2e/x"]
    {
        let mut bench = Bench::refreshed();
        bench.tuf.server.asked();
        bench.tuf.targets["targets"][TARGET] = json!({"length": 10, "hashes": {"sha256": hash}});
        bench.tuf.advance();
        bench.tuf.publish();
        bench.refuses("which is no plain name");
        let asked = bench.tuf.server.asked();
        assert_eq!(asked.last().map(String::as_str), Some("/2.targets.json"), "{asked:?}");
        let stderr = bench.refresh(&[]).stderr;
        assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    }
}

#[test]
fn what_is_no_metadata_is_said_to_be_none() {
    let good = Bench::new();
    let root = good.tuf.signed_root();
    let text = String::from_utf8(root.clone()).unwrap();
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for bad in [
        b"".to_vec(),
        b"null".to_vec(),
        b"<html>sign in</html>".to_vec(),
        b"[]".to_vec(),
        b"{\"signed\": [], \"signatures\": []}".to_vec(),
        b"{\"signed\": {}, \"signatures\": []}".to_vec(),
        b"{\"signed\": null, \"signatures\": null}".to_vec(),
        b"{\"signed\": {\"_type\": 7}, \"signatures\": [7]}".to_vec(),
        text.replace("\"_type\":\"root\"", "\"_type\":\"Root\"").into_bytes(),
        text.replacen('{', "{\"signed\":{},", 1).into_bytes(),
        text.replace("\"version\":1", "\"version\":1,\"version\":2").into_bytes(),
        text.replace("\"version\":1", "\"version\":1.0").into_bytes(),
        text.replace("\"version\":1", "\"version\":99999999999999999999").into_bytes(),
        text.replace("\"version\":1", &format!("\"x\":{deep},\"version\":1")).into_bytes(),
        text.replace("\"spec_version\":\"1.0.31\"", "\"spec_version\":\"2.0\"").into_bytes(),
        text.replace("2999-01-01T00:00:00Z", "tomorrow").into_bytes(),
        [root.as_slice(), b"{}"].concat(),
        [b"\xef\xbb\xbf".as_slice(), &root].concat(),
        text.replace("ecdsa", "\u{0}\\uD800").into_bytes(),
    ] {
        let bench = Bench::refreshed();
        for path in ["/2.root.json", "/timestamp.json"] {
            bench.tuf.server.put(path, bad.clone());
            let ran = bench.refresh(&[]);
            let shown = String::from_utf8_lossy(&bad);
            assert_eq!((ran.code, bench.folder.placed()), (3, super::root()), "{shown} {ran:?}");
            assert!(ran.stderr.contains("nothing was taken from "), "{shown} {ran:?}");
            assert!(!ran.stderr.contains("panicked") && ran.stderr.lines().count() == 1, "{ran:?}");
            if path == "/2.root.json" {
                bench.tuf.server.remove(path);
            }
        }
    }
    let bench = Bench::refreshed();
    bench.tuf.server.put("/2.root.json", text.replacen('{', "{\"signed\":{},", 1).into_bytes());
    bench.refuses("2.root.json is no TUF metadata: unexpected content at line 1");
    bench.tuf.server.put("/2.root.json", b"<html>".to_vec());
    bench.refuses("2.root.json is no TUF metadata: no strict JSON at line 1 column 1");
}

#[test]
fn nothing_is_read_without_end() {
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    let newer = hash_of(newer_root().to_string().as_bytes());
    let target = format!("/targets/{newer}.{TARGET}");
    for (path, most) in [
        ("/2.root.json", 512 << 10),
        ("/timestamp.json", 16 << 10),
        ("/2.snapshot.json", 1 << 20),
        ("/2.targets.json", 1 << 20),
        (&target, newer_root().to_string().len()),
    ] {
        let files = bench.tuf.server.files();
        bench.tuf.server.say(path, Answer::Endless);
        bench.refuses(&format!("more than {most} bytes"));
        bench.tuf.server.put(path, vec![b' '; most + 1]);
        bench.refuses(&format!("more than {most} bytes"));
        bench.tuf.server.restore(files);
    }
    bench.takes(&newer_root());
    assert_ne!(bench.folder.placed(), root());
}
