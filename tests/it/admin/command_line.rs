//! The admin commands, as processes against a running mirror.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use super::{Desk, RULES};
use crate::support::mirror::TestMirror;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(super) async fn run(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
    let Output { status, stdout, stderr } = command.args(arguments).output().await.expect("a run");
    Ran {
        code: status.code().expect("an exit code"),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

impl Desk {
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let (url, token) = (self.mirror.admin_url(), self.mirror.folder().join("data/admin.token"));
        let token = token.to_str().expect("a path");
        run(&[arguments, &["--admin-url", &url, "--token-file", token]].concat()).await
    }

    /// A settings file for the same server, whose keys the commands find it by.
    pub(super) fn settings_file(&self) -> String {
        let (path, url) = (self.mirror.folder().join("pratique.toml"), self.mirror.admin_url());
        let listen = url.strip_prefix("http://").expect("plain HTTP");
        let data = self.mirror.folder().join("data");
        let text = format!("data_dir = {data:?}\n[admin]\nlisten = \"{listen}\"\n");
        std::fs::write(&path, text).expect("a settings file");
        path.to_str().expect("a path").to_owned()
    }
}

#[tokio::test]
async fn requests_are_listed_approved_and_gone() {
    let desk = Desk::start().await;
    let empty = desk.run(&["requests"]).await;
    assert_eq!((empty.code, empty.stdout.contains("Nothing waits")), (0, true), "{empty:?}");
    let digest = desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let listed = desk.run(&["requests", "--utc"]).await;
    assert!(listed.stdout.starts_with("ID   STATE    IMAGE "), "{listed:?}");
    assert!(listed.stdout.contains(&digest.short()), "{listed:?}");
    assert!(listed.stdout.lines().all(|line| line.len() <= 100), "{listed:?}");
    let json = desk.run(&["requests", "--json"]).await.json();
    assert_eq!(json[0]["digest"], digest.to_string());
    let shown = desk.run(&["show", "R-1"]).await;
    assert!(shown.stdout.contains(&digest.to_string()), "{shown:?}");

    let explained = desk.run(&["explain", "up.test/asked/app:1"]).await;
    assert_eq!(explained.code, 3, "{explained:?}");
    assert!(explained.stdout.contains("verdict    PENDING"), "{explained:?}");
    let approved =
        desk.run(&["approve", "R-1", "--reason", "reviewed", "--expires", "2099-01-01"]).await;
    let expected = format!(
        "approved up.test/asked/app@{digest} by first-run until 2099-01-01\n\
                            1 node is waiting; it retries within 5 minutes.\n"
    );
    assert_eq!((approved.code, approved.stdout.as_str()), (0, expected.as_str()), "{approved:?}");
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    assert_eq!(desk.run(&["explain", "up.test/asked/app:1"]).await.code, 0);
    let audit = desk.run(&["audit"]).await;
    assert!(audit.stdout.contains("approved") && audit.stdout.contains("first-run"), "{audit:?}");
    let verified = desk.run(&["audit", "verify"]).await;
    assert!(verified.stdout.starts_with("audit intact: "), "{verified:?}");
    let status = desk.run(&["status"]).await;
    assert!(status.stdout.contains("policy     test"), "{status:?}");
}

#[tokio::test]
async fn exit_codes_tell_no_from_could_not_from_wrong_use() {
    let desk = Desk::start().await;
    let refused = desk.run(&["approve", "up.test/never/x:1", "--reason", "please"]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.stderr.contains("trust: approve"), "{refused:?}");
    let unknown = desk.run(&["show", "R-99"]).await;
    assert_eq!((unknown.code, unknown.stderr.as_str()), (1, "there is no request R-99\n"));
    for wrong in [
        &["approve", "R-1"][..],
        &["approve", "R-1", "--reason", "x", "--expires", "soon"],
        &["approve", "R-1", "--reason", " "],
        &["token", "new", "alice", "--role", "king"],
        &["explain", "UPPER/CASE"],
    ] {
        assert_eq!(desk.run(wrong).await.code, 64, "{wrong:?}");
    }
    let token = desk.mirror.folder().join("data/admin.token");
    let token = token.to_str().expect("a path");
    let nobody = ["status", "--admin-url", "http://127.0.0.1:1", "--token-file", token];
    assert_eq!(run(&nobody).await.code, 2);
    let url = desk.mirror.admin_url();
    let missing = run(&["status", "--admin-url", &url, "--token-file", "/nonexistent"]).await;
    assert_eq!(missing.code, 2, "{missing:?}");
    let other = desk.mirror.folder().join("other.token");
    std::fs::write(&other, "not-a-token\n").expect("a file");
    let other = other.to_str().expect("a path");
    let stranger = run(&["status", "--admin-url", &url, "--token-file", other]).await;
    assert_eq!(stranger.code, 2, "{stranger:?}");
    assert!(!stranger.stderr.contains("not-a-token"), "{stranger:?}");
}

#[tokio::test]
async fn the_server_is_found_by_its_settings_file() {
    let desk = Desk::start().await;
    let config = desk.settings_file();
    let status = run(&["status", "--config", &config, "--json"]).await;
    assert_eq!(status.code, 0, "{status:?}");
    assert_eq!(status.json()["policy"]["name"], "test");
}

#[tokio::test]
async fn waiting_ends_when_people_have_decided() {
    let desk = Desk::start().await;
    desk.push("asked/app", "1", "content");
    let image = "up.test/asked/app:1";
    let filed = desk.run(&["request", image, "--json"]).await;
    assert_eq!((filed.code, filed.json()[0]["state"].as_str()), (0, Some("pending")), "{filed:?}");
    let late = desk.run(&["request", image, "--wait", "--timeout", "0"]).await;
    assert_eq!(late.code, 1, "{late:?}");
    let waiting = ["request", image, "--wait", "--json"];
    let (waited, _) = tokio::join!(desk.run(&waiting), desk.decide("/api/v1/approvals", "R-1"));
    assert_eq!(
        (waited.code, waited.json()[0]["state"].as_str()),
        (0, Some("admitted")),
        "{waited:?}"
    );
    desk.decide("/api/v1/revocations", image).await;
    assert_eq!(desk.run(&["request", image, "--wait"]).await.code, 3);
}

#[tokio::test]
async fn prefetching_fills_the_cache_and_tells_how_each_image_ended() {
    let desk = Desk::start().await;
    desk.push("open/app", "1", "content");
    let done = desk.run(&["prefetch", "up.test/open/app:1"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("done     up.test/open/app:1  2 blobs, "), "{done:?}");
    desk.mirror.upstream.clear_requests();
    desk.mirror.pull("open/app", "1").await.assert_complete();
    assert_eq!(desk.mirror.upstream.count("/blobs/"), 0);
    let mixed = desk.run(&["prefetch", "up.test/never/app:1", "up.test/open/app:1"]).await;
    assert_eq!(mixed.code, 3, "{mixed:?}");
    assert!(mixed.stdout.starts_with("refused  up.test/never/app:1  "), "{mixed:?}");
    assert_eq!(desk.run(&["prefetch", "up.test/open/app:none"]).await.code, 1);
}

#[tokio::test]
async fn observed_lists_what_enforcing_would_have_refused() {
    let policy = format!("mode: audit\nrules:{RULES}");
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    desk.push("asked/app", "1", "content");
    desk.push("open/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let mut observed = desk.run(&["observed", "--json"]).await.json();
    for _ in 0..200 {
        if observed["examined"] == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        observed = desk.run(&["observed", "--json"]).await.json();
    }
    assert_eq!(observed["refused"].as_array().map(Vec::len), Some(1), "{observed}");
    assert_eq!(observed["refused"][0]["name"], "up.test/asked/app");
    let text = desk.run(&["observed"]).await.stdout;
    assert!(text.ends_with("1 of 2 images would have been refused.\n"), "{text}");
}

#[tokio::test]
async fn a_backup_is_taken_from_a_running_server_and_restored_into_an_empty_folder() {
    let desk = Desk::start().await;
    let digest = desk.push("asked/app", "1", "content");
    let image = format!("up.test/asked/app@{digest}");
    assert_eq!(desk.decide("/api/v1/approvals", &image).await.status, 200);
    let file = desk.mirror.folder().join("ledger.backup");
    let file = file.to_str().expect("a path");
    let taken = desk.run(&["backup", file]).await;
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(desk.run(&["backup", file]).await.code, 1, "a backup was overwritten");
    assert!(!Path::new(&desk.mirror.folder().join("data/backup.partial")).exists());

    let config = desk.settings_file();
    let running = run(&["restore", file, "--config", &config, "--replace"]).await;
    assert_eq!(running.code, 1, "restored under a running server: {running:?}");
    let offline = run(&["token", "new", "late", "--offline", "--config", &config]).await;
    assert_eq!(offline.code, 2, "made a token under a running server: {offline:?}");

    let elsewhere = desk.mirror.folder().join("elsewhere");
    let settings = desk.mirror.folder().join("elsewhere.toml");
    std::fs::write(&settings, format!("data_dir = {elsewhere:?}\n")).expect("a settings file");
    let settings = settings.to_str().expect("a path");
    let restored = run(&["restore", file, "--config", settings]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(run(&["restore", file, "--config", settings]).await.code, 1);
    let made = run(&["token", "new", "late", "--offline", "--config", settings]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let clock = std::sync::Arc::new(pratique::time::SystemClock);
    let (tasks, metrics) = (pratique::tasks::Tasks::new(), std::sync::Arc::default());
    let ledger =
        pratique::ledger::Ledger::open(&elsewhere, clock, tasks, metrics).await.expect("a ledger");
    assert_eq!(ledger.authenticate(made.stdout.trim()).expect("a token").name, "late");
    assert_eq!(ledger.authenticate(&desk.token).expect("a token").name, "first-run");
}

#[tokio::test]
async fn tokens_are_managed_from_the_command_line() {
    let desk = Desk::start().await;
    let made = desk.run(&["token", "new", "renovate", "--role", "discover"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let secret = made.stdout.trim();
    let role = desk.mirror.mirror().ledger().authenticate(secret).expect("a token").role;
    assert_eq!(role, pratique::ledger::Role::Discover);
    assert!(!made.stderr.contains(secret), "{made:?}");
    let listed = desk.run(&["token", "ls"]).await;
    assert!(listed.stdout.contains("renovate   discover"), "{listed:?}");
    assert_eq!(desk.run(&["token", "revoke", "renovate"]).await.code, 0);
    assert!(desk.mirror.mirror().ledger().authenticate(secret).is_none());
    assert_eq!(desk.run(&["token", "revoke", "first-run"]).await.code, 1);
}

#[tokio::test]
async fn the_cache_is_looked_after_in_words() {
    let desk = Desk::start().await;
    let digest = desk.push("open/app", "1", "content");
    let expected = format!("pinned   up.test/open/app@{digest}  3 of 3 contents in the cache");
    let mut prefetched = desk.run(&["prefetch", "--pin", "up.test/open/app:1"]).await;
    // What has arrived whole has its place in the cache when the disk has it, a moment later.
    for _ in 0..100 {
        assert_eq!(prefetched.code, 0, "{prefetched:?}");
        if prefetched.stdout.contains(&expected) {
            break;
        }
        prefetched = desk.run(&["prefetch", "--pin", "up.test/open/app:1"]).await;
    }
    assert!(prefetched.stdout.contains(&expected), "{prefetched:?}");
    let pins = desk.run(&["cache", "pins"]).await;
    assert!(pins.stdout.contains(&digest.short()) && pins.stdout.contains("3/3"), "{pins:?}");
    assert!(pins.stdout.lines().all(|line| line.len() <= 100), "{pins:?}");
    let status = desk.run(&["cache", "status"]).await;
    assert!(status.stdout.contains("pinned    3 contents"), "{status:?}");
    assert!(status.stdout.contains("quota     none; set cache.quota"), "{status:?}");
    assert_eq!(desk.run(&["cache", "status", "--json"]).await.json()["pinned_contents"], 3);
    let scrubbed = desk.run(&["cache", "scrub", "--quiet", "--rate", "1000"]).await;
    assert_eq!(scrubbed.code, 0, "{scrubbed:?}");
    assert!(scrubbed.stdout.contains("3 blobs hashed") && scrubbed.stdout.contains("all whole"));
    let tidied = desk.run(&["cache", "gc"]).await;
    assert!(tidied.stdout.starts_with("nothing had to go; "), "{tidied:?}");
    let unpinned = desk.run(&["cache", "unpin", &format!("up.test/open/app@{digest}")]).await;
    assert_eq!(unpinned.stdout, format!("unpinned up.test/open/app@{digest}\n"), "{unpinned:?}");
    let again = desk.run(&["cache", "unpin", "up.test/open/app:1"]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("is not pinned; `pratique cache pins` lists"), "{again:?}");
    let help = desk.run(&["cache", "pin", "--help"]).await;
    assert!(help.stdout.contains("It fetches nothing and admits nothing"), "{help:?}");
}
