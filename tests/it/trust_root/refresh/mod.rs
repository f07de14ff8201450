//! `pratique trust-root refresh`, against repositories that a test makes and serves.

mod chain;
mod content;
mod floors;
mod roles;
mod wire;

use std::fs;

use serde_json::{Value, json};

use super::{Folder, Ran, newer_root, root, run, run_with};
use crate::support::tuf::Tuf;

/// A repository, its first root, and a place for what it has.
struct Bench {
    tuf: Tuf,
    folder: Folder,
}

impl Bench {
    /// The first root is in the folder, and nothing has been fetched.
    fn new() -> Self {
        let bench = Self { tuf: Tuf::new(root().to_string().as_bytes()), folder: Folder::new() };
        bench.trust(&bench.tuf.signed_root());
        bench
    }

    /// Begins with the root `bytes` from now on.
    fn trust(&self, bytes: &[u8]) {
        self.folder.put("root.json", bytes);
    }

    /// One that has been refreshed once.
    fn refreshed() -> Self {
        let bench = Self::new();
        bench.takes(&root());
        bench
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(name).to_str().unwrap().to_owned()
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let (url, root, to) =
            (self.tuf.server.url(), self.path("root.json"), self.path("corp.json"));
        let all = ["refresh", "--name", "corp", "--url", &url, "--root", &root, "--to", &to];
        all.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    }

    fn refresh(&self, more: &[&str]) -> Ran {
        let arguments = self.arguments(more);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The next version of everything, with another trust root.
    fn offer(&mut self, root: &Value) {
        self.tuf.advance();
        self.tuf.set_target(root.to_string().as_bytes());
        self.tuf.publish();
    }

    /// Refreshes, which has to go well and leave `root` in its place.
    #[track_caller]
    fn takes(&self, root: &Value) {
        let ran = self.refresh(&[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(self.folder.placed(), *root);
    }

    /// Refreshes, which has to be refused with `code` and every one of `texts`, and to leave what was
    /// there as it was.
    #[track_caller]
    fn fails(&self, code: i32, texts: &[&str]) {
        let to = self.folder.path("corp.json");
        let before = fs::read(&to).ok();
        let ran = self.refresh(&[]);
        assert_eq!(ran.code, code, "{ran:?}");
        for text in texts {
            assert!(ran.stderr.contains(text), "{text:?} is not in {ran:?}");
        }
        assert_eq!(fs::read(&to).ok(), before, "what was there");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }

    /// The same with exit code 3, which says that the repository does not prove what it says.
    #[track_caller]
    fn refuses(&self, text: &str) {
        let url = self.tuf.server.url();
        self.fails(3, &[&format!("nothing was taken from {url}: "), text]);
    }
}

#[test]
fn a_newer_root_is_fetched_verified_and_put_in_its_place() {
    let mut bench = Bench::new();
    let first = bench.refresh(&[]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(bench.folder.placed(), root());
    let url = bench.tuf.server.url();
    let head = format!(
        "corp  {url}\n  root       1, until 2999-01-01\n  timestamp  1, until 2999-01-01\n  \
         snapshot   1, until 2999-01-01\n  targets    1, until 2999-01-01\n  trusted_root.json "
    );
    assert!(first.stdout.starts_with(&head), "{first:?}");
    assert!(first.stdout.contains("corp: {sigstore: {trustedRoot: \"file:"), "{first:?}");
    let asked = bench.tuf.server.asked();
    assert_eq!(
        asked[..4],
        ["/2.root.json", "/timestamp.json", "/1.snapshot.json", "/1.targets.json"]
    );
    assert!(asked[4].starts_with("/targets/") && asked.len() == 5, "{asked:?}");

    // Nothing is new: a look at the timestamp, and what is in the file.
    let again = bench.refresh(&[]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("timestamp  1, as before, until"), "{again:?}");
    assert!(again.stdout.contains("corp.json has it already"), "{again:?}");
    assert_eq!(bench.tuf.server.asked()[..2], ["/2.root.json", "/timestamp.json"]);

    // Keys change twice, and there is a newer root behind the new ones.
    bench.tuf.rotate(|tuf| tuf.timestamp_key = crate::support::tuf::Key::ed25519());
    bench.tuf.rotate(|tuf| tuf.root_keys[0] = crate::support::tuf::Key::ecdsa());
    bench.offer(&newer_root());
    let json = bench.refresh(&["--json"]);
    assert_eq!(json.code, 0, "{json:?}");
    assert_eq!(bench.folder.placed(), newer_root());
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let seen = |role: &str, version: u64, before: u64| json!({"role": role, "version": version, "before": before, "expires": "2999-01-01T00:00:00Z"});
    let metadata = [
        seen("root", 3, 1),
        seen("timestamp", 2, 1),
        seen("snapshot", 2, 1),
        seen("targets", 2, 1),
    ];
    assert_eq!(json["metadata"], json!(metadata));
    assert_eq!((&json["repository"], &json["name"]), (&json!(url), &json!("corp")));
    assert_eq!(
        (&json["changed"], &json["state"]),
        (&json!(true), &json!(bench.path("corp.json.tuf")))
    );
    assert!(json["changes"].to_string().contains("+ transparency log https://new.test"), "{json}");
    // Trust goes on where it was, not from the beginning.
    bench.tuf.server.asked();
    bench.takes(&newer_root());
    assert_eq!(bench.tuf.server.asked()[0], "/4.root.json");
}

#[test]
fn a_repository_may_name_its_files_without_versions() {
    let mut bench = Bench::new();
    bench.tuf.root["consistent_snapshot"] = json!(false);
    bench.trust(&bench.tuf.signed_root());
    for (from, to) in [("/1.snapshot.json", "/snapshot.json"), ("/1.targets.json", "/targets.json")]
    {
        let mut files = bench.tuf.server.files();
        let file = files.remove(from).unwrap();
        files.insert(to.to_owned(), file);
        bench.tuf.server.restore(files);
    }
    bench.tuf.server.put("/targets/trusted_root.json", root().to_string().into_bytes());
    bench.takes(&root());
    bench.offer(&newer_root());
    bench.refuses("integrity check failed: snapshot.json: sha256 mismatch");
}

#[test]
fn what_it_has_goes_through_the_checks_of_an_import() {
    let mut bench = Bench::new();
    bench.tuf.set_target(newer_root().to_string().as_bytes());
    bench.tuf.publish();
    bench.takes(&newer_root());
    bench.offer(&root());
    bench.fails(
        3,
        &[
            "was not replaced: the new root is not a newer one",
            "transparency log https://new.test is missing",
            "its newest part begins at",
            "transparency log https://rekor.sigstore.test would count longer than it does",
            "say --force",
        ],
    );
    // Said again, it is the same again, and --force means this and nothing else.
    bench.fails(3, &["was not replaced: the new root is not a newer one"]);
    let forced = bench.refresh(&["--force"]);
    assert_eq!((forced.code, bench.folder.placed()), (0, root()), "{forced:?}");
    bench.tuf.timestamp["version"] = json!(1);
    bench.tuf.publish_timestamp();
    let forced = bench.refresh(&["--force"]);
    assert_eq!(forced.code, 3, "{forced:?}");
    assert!(forced.stderr.contains("rollback detected for timestamp"), "{forced:?}");

    for (content, text) in [
        (b"{}".to_vec(), "its trusted_root.json has mistakes"),
        (b"\xff\xfe".to_vec(), "its trusted_root.json has mistakes\n  it is not text"),
        (signed_root(), "take the trusted_root.json that the repository has"),
    ] {
        let mut bench = Bench::refreshed();
        bench.tuf.advance();
        bench.tuf.set_target(&content);
        bench.tuf.publish();
        bench.refuses(text);
    }
}

fn signed_root() -> Vec<u8> {
    json!({"signatures": [], "signed": {"_type": "root"}}).to_string().into_bytes()
}

#[test]
fn wrong_use_is_told_before_anything_is_fetched() {
    let bench = Bench::refreshed();
    bench.tuf.server.asked();
    let (url, to, root) = (bench.tuf.server.url(), bench.path("x.json"), bench.path("root.json"));
    let text = bench.folder.put("text.json", "{}");
    let unsigned = json!({"signatures": [], "signed": bench.tuf.root}).to_string();
    let unsigned = bench.folder.put("unsigned.json", unsigned);
    let corp = |root: &str| {
        ["--name", "corp", "--url", &url, "--root", root, "--to", &to].map(str::to_owned)
    };
    for (arguments, code, expected) in [
        (vec![], 64, "--to"),
        (
            vec!["nobody", "--to", &to],
            64,
            "no instance \"nobody\" is known; give public-good or staging",
        ),
        (vec!["--url", &url, "--root", &root, "--to", &to], 64, "--name"),
        (vec!["--name", "corp", "--root", &root, "--to", &to], 64, "--url"),
        (
            vec!["staging", "--name", "c", "--url", &url, "--root", &root, "--to", &to],
            64,
            "cannot be used with",
        ),
        (
            vec!["--name", "a b", "--url", &url, "--root", &root, "--to", &to],
            64,
            "is not a plain name",
        ),
        (vec!["--url", "http://tuf.test", "--to", &to], 64, "or http:// on this machine"),
        (vec!["--url", "http://127.0.0.1.nip.test", "--to", &to], 64, "or http:// on this machine"),
        (vec!["--url", "ftp://tuf.test", "--to", &to], 64, "cannot be asked"),
        (
            corp("/nowhere.json").iter().map(String::as_str).collect(),
            2,
            "cannot read /nowhere.json",
        ),
        (
            corp(&text).iter().map(String::as_str).collect(),
            64,
            "text.json is no root to begin with",
        ),
        (
            corp(&unsigned).iter().map(String::as_str).collect(),
            64,
            "signature threshold not met for role root: 0/2 valid signatures",
        ),
    ] {
        let ran = run(&[&["refresh"], arguments.as_slice()].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected:?} {ran:?}");
    }
    assert_eq!((bench.tuf.server.asked(), bench.folder.path("x.json").exists()), (vec![], false));
}

#[test]
fn help_says_where_trust_begins_and_what_force_does_not_do() {
    let help = run(&["refresh", "--help"]);
    assert_eq!(help.code, 0, "{help:?}");
    for expected in [
        "https://tuf-repo-cdn.sigstore.dev",
        "begins there, so get it by another way than from that address",
        "--force does not change what the repository has to prove",
        "only when this is called",
        "Exit codes: 0 done",
    ] {
        assert!(help.stdout.contains(expected), "{expected:?} {help:?}");
    }
    assert!(help.stdout.lines().all(|line| line.len() <= 100), "{help:?}");
}
