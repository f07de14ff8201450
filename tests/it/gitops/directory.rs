//! A policy of several files: whose rule it was, what one bad file does, and what may become older.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hyper::Method;
use pratique::config::Settings;
use pratique::ledger::{AuditKind, NewToken, Role};
use serde_json::json;

use crate::admin::Desk;
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;
use crate::web::Browser;

const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\n";
const BASE: &str = "approvalPolicies: {eyes: {approvers: [\"group:security\"]}}\n\
    rules: [{id: general, match: [\"up.test/other/**\"], trust: allow, signatures: {none: ours}}]\n";

fn base(revision: u64) -> String {
    format!("{HEAD}metadata: {{name: site, revision: {revision}}}\n{BASE}")
}

fn shop(revision: u64, trust: &str) -> String {
    format!(
        "{HEAD}metadata: {{name: team-shop, owner: \"group:shop\", scope: [\"up.test/shop/**\"], revision: {revision}}}\n\
         rules: [{{id: shop-apps, match: [\"up.test/shop/*\"], trust: {trust}}}]\n"
    )
}

fn folder_of(settings: &Settings) -> PathBuf {
    settings.data_dir.parent().expect("a folder").join("policies")
}

/// A mirror whose policy is the directory `policies`.
async fn start() -> (Desk, PathBuf) {
    let mirror = TestMirror::start_with("", |settings| {
        let folder = folder_of(settings);
        fs::create_dir_all(folder.join("teams")).expect("a folder");
        fs::write(folder.join("base.yaml"), base(5)).expect("a file");
        fs::write(folder.join("teams/shop.yaml"), shop(7, "deny")).expect("a file");
        settings.policy = Some(folder);
    })
    .await;
    let folder = mirror.folder().join("policies");
    (Desk::of(mirror), folder)
}

/// Waits until the policy in force says `trust` of the shop's images.
async fn until_trust(desk: &Desk, trust: &str) {
    for _ in 0..1_000 {
        let reply = desk.send(Method::GET, "/api/v1/policy", Some(&desk.token), None, &[]).await;
        let rules = reply.json()["rules"].clone();
        let rule =
            rules.as_array().expect("rules").iter().find(|it| it["id"] == "shop-apps").cloned();
        if rule.is_some_and(|it| it["trust"] == trust) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no policy came into force that says {trust}");
}

/// Waits until a policy was refused once more than `before` times.
async fn until_refused(desk: &Desk, before: u64) {
    let refused = || desk.mirror.mirror().metrics().policy_rejected.value();
    for _ in 0..1_000 {
        if refused() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no policy was refused");
}

fn refusals(desk: &Desk) -> u64 {
    desk.mirror.mirror().metrics().policy_rejected.value()
}

#[tokio::test]
async fn whoever_is_refused_reads_whose_rule_it_was() {
    let (desk, _) = start().await;
    let image = Image::new().layer("x").build();
    desk.mirror.upstream.push("shop/web", "1", &image);
    let refused = desk.mirror.pull("shop/web", "1").await;
    refused.assert_refused("Denied by rule shop-apps of group:shop: ");
    let body = refused.manifest.error()["message"].to_string();
    assert!(body.contains("by rule shop-apps of group:shop"), "{body}");
    let path = format!("/api/v1/explain?image=up.test/shop/web@{}", image.digest());
    let explained = desk.send(Method::GET, &path, Some(&desk.token), None, &[]).await.json();
    assert_eq!(explained["rule"]["owner"], "group:shop", "{explained}");
    assert_eq!(explained["rule"]["file"], "teams/shop.yaml");
    let policy =
        desk.send(Method::GET, "/api/v1/policy", Some(&desk.token), None, &[]).await.json();
    let rules = policy["rules"].as_array().expect("rules");
    let of = |id: &str| rules.iter().find(|it| it["id"] == id).expect("a rule").clone();
    assert_eq!(of("shop-apps")["owner"], "group:shop");
    assert_eq!(
        (of("general")["file"].as_str(), of("general").get("owner")),
        (Some("base.yaml"), None)
    );
}

#[tokio::test]
async fn the_page_says_who_answers_for_a_scope_and_whose_each_rule_is() {
    let (desk, _) = start().await;
    let browser = Browser::new(&desk);
    browser.sign_in(&desk.token).await;
    let page = browser.page("/policy").await;
    assert!(page.contains("group:shop answers for it."), "{page}");
    assert!(page.contains("Speaks of up.test/shop/** only."), "{page}");
    assert!(page.contains("In <bdi>teams/shop.yaml of group:shop</bdi>"), "{page}");
    assert!(page.contains("In <bdi>base.yaml</bdi>"), "nobody in particular: {page}");
}

#[tokio::test]
async fn one_bad_file_leaves_all_of_the_old_policy_in_force() {
    let (desk, folder) = start().await;
    let in_force = *desk.mirror.mirror().policy().id();
    for (file, text) in [
        ("teams/shop.yaml", shop(8, "perhaps")),
        ("teams/pay.yaml", shop(1, "deny").replace("team-shop", "team-pay")),
        (
            "teams/pay.yaml",
            shop(1, "deny").replace("team-shop", "pay").replace("shop/**", "pay/**"),
        ),
        ("other.yaml", base(9)),
    ] {
        let before = refusals(&desk);
        let path = folder.join(file);
        let old = fs::read(&path).ok();
        // Something that would be good by itself comes with it.
        fs::write(folder.join("base.yaml"), base(6)).expect("a file");
        fs::write(&path, text).expect("a file");
        desk.mirror.mirror().reload_policy_soon();
        until_refused(&desk, before).await;
        assert_eq!(*desk.mirror.mirror().policy().id(), in_force, "{file}");
        match old {
            Some(old) => fs::write(&path, old).expect("a file"),
            None => fs::remove_file(&path).expect("a file"),
        }
        fs::write(folder.join("base.yaml"), base(5)).expect("a file");
    }
    fs::write(folder.join("teams/shop.yaml"), shop(8, "approve")).expect("a file");
    until_trust(&desk, "approve").await;
}

#[tokio::test]
async fn an_older_file_is_refused_until_somebody_allows_it_once() {
    let (desk, folder) = start().await;
    let file = folder.join("teams/shop.yaml");
    fs::write(&file, shop(6, "allow, signatures: {none: ours}")).expect("a file");
    desk.mirror.mirror().reload_policy_soon();
    until_refused(&desk, 0).await;
    until_trust(&desk, "deny").await;
    // Who may not, and who gives no reason.
    let body = |reason: &str| Some(json!({"reason": reason}).to_string());
    let approver = NewToken::new("approver", Role::Approver);
    let ledger = desk.mirror.mirror().ledger().clone();
    let approver = ledger.create_token(approver, "test").await.expect("a token");
    let path = "/api/v1/policy/rollbacks";
    let reply = desk.send(Method::POST, path, Some(approver.expose()), body("x"), &[]).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    let reply = desk.send(Method::POST, path, Some(&desk.token), body(" "), &[]).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    until_trust(&desk, "deny").await;
    let allowed = desk.run(&["policy", "allow-rollback", "--reason", "a bad merge"]).await.stdout;
    assert!(allowed.contains("may be older than site revision 5: once"), "{allowed}");
    until_trust(&desk, "allow").await;
    let rows = ledger.audit(0, 100).await.expect("the audit");
    let of = |kind| rows.iter().find(|row| row.event.kind == kind).expect("a record").event.clone();
    assert_eq!(of(AuditKind::PolicyRollbackAllowed).reason.as_deref(), Some("a bad merge"));
    let rolled = of(AuditKind::PolicyRolledBack);
    assert_eq!(rolled.details["files"], "team-shop 6");
    assert_eq!(
        (rolled.details["allowed_by"].as_str(), rolled.reason.as_deref()),
        ("first-run", Some("a bad merge"))
    );
    // Once was once.
    let before = refusals(&desk);
    fs::write(&file, shop(5, "deny")).expect("a file");
    until_refused(&desk, before).await;
    until_trust(&desk, "allow").await;
    // And what was allowed ends.
    fs::write(&file, shop(7, "deny")).expect("a file");
    until_trust(&desk, "deny").await;
    assert_eq!(desk.run(&["policy", "allow-rollback", "--reason", "perhaps"]).await.code, 0);
    desk.mirror.clock.advance(Duration::from_secs(601));
    let before = refusals(&desk);
    fs::write(&file, shop(2, "approve")).expect("a file");
    until_refused(&desk, before).await;
    until_trust(&desk, "deny").await;
}

#[test]
fn the_tools_take_a_directory_where_they_take_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pratique"))
            .arg("policy")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("a run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let put = |path: &str, text: String| {
        let path: &Path = &folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    put("old/base.yaml", base(5));
    put("old/teams/shop.yaml", shop(7, "deny"));
    put("new/base.yaml", base(6));
    put("new/teams/shop.yaml", shop(8, "approve"));
    let (code, out, _) = policy(&["check", "old"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("teams/shop.yaml: group:shop for up.test/shop/**, revision 7"), "{out}");
    let (_, out, _) = policy(&["diff", "old", "new"]);
    assert!(out.contains("~ rules.shop-apps.trust  deny -> approve"), "{out}");
    let (_, out, _) = policy(&["explain", "new", "up.test/shop/web:1"]);
    assert!(
        out.contains("shop-apps of group:shop") && out.contains("(teams/shop.yaml line 4)"),
        "{out}"
    );
    put("tests.yaml", "apiVersion: pratique.dev/v1\nkind: PolicyTests\ncases:\n- {image: \"up.test/shop/web:1\", expect: deny, rule: shop-apps}\n".to_owned());
    assert_eq!(policy(&["test", "old", "tests.yaml"]).0, Some(0));
    put("new/teams/shop.yaml", shop(8, "perhaps"));
    let (code, _, error) = policy(&["check", "new"]);
    assert_eq!(code, Some(64), "{error}");
    assert!(error.contains("teams/shop.yaml line 4:"), "{error}");
    let (_, out, _) = policy(&["check", "new", "--json"]);
    assert!(out.contains("\"file\": \"teams/shop.yaml\""), "{out}");
}

#[test]
fn an_exception_takes_from_what_its_own_file_asks_for_and_from_nothing_else() {
    const GATE: &str =
        "gates: {strict: {deny: [{severity: high}], unknown: allow, incomplete: allow}}\n";
    const OVERLAY: &str = "overlays: [{id: everywhere, match: [\"**\"], gates: [strict]}]\n";
    let own = "rules: [{id: shop-apps, match: [\"up.test/shop/*\"], trust: allow, gates: [strict]}]\n\
               exceptions: [{id: E-1, match: \"up.test/shop/*\", reason: later, expires: 2026-12-30T00:00:00Z, check: {vulnerability: CVE-2026-1}}]\n";
    let head = "metadata: {name: team-shop, owner: \"group:shop\", scope: [\"up.test/shop/**\"]}\n";
    let theirs =
        "- {id: theirs, match: [\"up.test/shop/theirs\"], trust: allow, gates: [strict]}\n";
    let site = format!("{HEAD}metadata: {{name: site, revision: 1}}\n{GATE}");
    for (base, repository, expected) in [
        // The gate is the base file's, and only the file's own rule asks for it.
        (site.clone(), "web", "admit"),
        // An overlay of the base file asks for it too: from that nothing is taken.
        (format!("{site}{OVERLAY}"), "web", "deny"),
        // A rule of the base file within the scope decides.
        (format!("{site}rules:\n{theirs}"), "theirs", "deny"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let put =
            |path: &str, text: String| fs::write(folder.path().join(path), text).expect("a file");
        fs::create_dir(folder.path().join("policy")).expect("a folder");
        put("policy/base.yaml", base.clone());
        put("policy/shop.yaml", format!("{HEAD}{head}{own}"));
        put(
            "tests.yaml",
            format!(
                "apiVersion: pratique.dev/v1\nkind: PolicyTests\nnow: 2026-11-30T00:00:00Z\ncases:\n\
                 - {{image: \"up.test/shop/{repository}:1\", expect: {expected}, \
                 findings: [{{id: CVE-2026-1, package: openssl, severity: high}}]}}\n"
            ),
        );
        let output = Command::new(env!("CARGO_BIN_EXE_pratique"))
            .args(["policy", "test", "policy", "tests.yaml"])
            .current_dir(folder.path())
            .output()
            .expect("a run");
        assert_eq!(output.status.code(), Some(0), "{base}{repository}: {output:?}");
    }
}
