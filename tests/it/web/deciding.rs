//! Deciding on a page: what is said, what it changes, and that it holds for what was shown.

use std::time::Duration;

use pratique::ledger::{NewToken, Role};
use serde_json::json;

use super::{Browser, desk, hidden};
use crate::admin::Desk;
use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::mirror::TestMirror;

#[tokio::test]
async fn a_blocked_pull_is_approved_on_its_page_and_revoked_and_approved_again() {
    let desk = desk().await;
    let digest = desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-1");
    let browser = Browser::signed_in(&desk).await;
    let queue = browser.page("/").await;
    assert!(
        queue.contains("href=\"/requests/R-1\"") && queue.contains("1 open request"),
        "{queue}"
    );
    let page = browser.page("/requests/R-1").await;
    for said in
        ["up.test/asked/app:1", "What speaks against it", "It holds for this digest and no other"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(
        page.contains("data-verb=\"approve\"") && page.contains("data-verb=\"reject\""),
        "{page}"
    );
    let done = browser.send_form(&page, "approve", "base image,\r\n reviewed", "7").await;
    assert_eq!((done.status, done.header("location")), (303, "/requests/R-1?done=approved"));
    desk.mirror.pull("asked/app", "1").await.assert_complete();

    let page = browser.page("/requests/R-1?done=approved").await;
    for said in ["role=\"status\"", "base image, reviewed", "data-verb=\"revoke\"", "2026-11-28"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("data-verb=\"approve\""), "{page}");
    let revoked = browser.send_form(&page, "revoke", "key compromised", "").await;
    assert_eq!(revoked.status, 303, "{}", revoked.text());
    desk.mirror.pull("asked/app", "1").await.assert_refused("Revoked");
    let image = format!("/images/up.test/asked/app@{digest}");
    let again = browser.decide(&image, "approve", "a new key").await;
    assert_eq!(again.status, 303, "{}", again.text());
    desk.mirror.pull("asked/app", "1").await.assert_complete();

    let audit = browser.page("/audit").await;
    for said in ["approved", "revoked", "key compromised", "first-run"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
    desk.mirror.clock.advance(Duration::from_hours(1));
    assert!(browser.get("/audit").await.status == 303, "the session rested");
}

#[tokio::test]
async fn what_a_rule_admits_by_itself_is_revoked_and_reinstated() {
    let desk = desk().await;
    desk.push("open/app", "1", "content");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let browser = Browser::signed_in(&desk).await;
    let path = "/images/up.test/open/app:1";
    assert_eq!(browser.decide(path, "revoke", "malicious").await.status, 303);
    desk.mirror.pull("open/app", "1").await.assert_refused("Revoked");
    let back = browser.decide(path, "reinstate", "a mistake").await;
    assert_eq!(back.status, 303, "{}", back.text());
    desk.mirror.pull("open/app", "1").await.assert_complete();
}

#[tokio::test]
async fn the_same_form_sent_twice_decides_once_and_says_so() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    for expected in ["/requests/R-1?done=approved", "/requests/R-1?done=already"] {
        let reply = browser.send_form(&page, "approve", "fine", "30").await;
        assert_eq!((reply.status, reply.header("location")), (303, expected), "{}", reply.text());
    }
}

#[tokio::test]
async fn whoever_decides_on_what_somebody_else_decided_meanwhile_is_told() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    let body = json!({"target": "R-1", "reason": "not this one"});
    assert_eq!(desk.post("/api/v1/rejections", &body).await.status, 200);
    let reply = browser.send_form(&page, "approve", "looked <fine>", "90").await;
    let text = reply.text();
    assert_eq!(reply.status, 409, "{text}");
    assert!(text.contains("first-run rejected it: not this one"), "{text}");
    assert!(text.contains("the verdict is deny now, it was pending"), "{text}");
    // What was typed is kept, and the page shows what is so now.
    assert!(
        text.contains("looked &lt;fine&gt;") && text.contains("value=\"90\" selected"),
        "{text}"
    );
    desk.mirror.pull("asked/app", "1").await.assert_refused("Rejected");
    let reply = browser.send_form(&text, "approve", "now I know", "").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    desk.mirror.pull("asked/app", "1").await.assert_complete();
}

const SCANNED: &str = "gates: {strict: {deny: [{severity: critical, fixable: false}]}}\nrules:\n\
                       - {id: a, match: [\"up.test/**\"], trust: approve, gates: [strict]}\n";

#[tokio::test]
async fn an_approval_of_what_has_other_findings_by_now_is_refused_and_names_them() {
    let desk = Desk::of(TestMirror::start_with(SCANNED, |_| {}).await);
    know(&desk.mirror, &[other()]).await;
    desk.mirror.upstream.push("app", "1", &vulnerable());
    desk.mirror.pull("app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    assert!(page.contains("Nothing is known against its packages."), "{page}");
    know(&desk.mirror, &[other(), openssl()]).await;
    let reply = browser.send_form(&page, "approve", "clean", "").await;
    let text = reply.text();
    assert_eq!(reply.status, 409, "{text}");
    assert!(text.contains("the findings are others: critical 0 to 1"), "{text}");
    assert!(text.contains("new finding: CVE-2026-1 (critical) in openssl 3.0.11-1"), "{text}");
    desk.mirror.pull("app", "1").await.assert_refused("Pending");
    // Shown as it is now, it may be approved: this gate lets pass what can be fixed.
    assert!(text.contains("3.0.13-1"), "{text}");
    assert_eq!(browser.send_form(&text, "approve", "fix is scheduled", "7").await.status, 303);
    desk.mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn what_the_policy_denies_offers_no_approval_and_takes_none() {
    let desk = desk().await;
    desk.push("never/app", "1", "content");
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("never/app", "1").await.assert_refused("Denied by rule never");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending approval R-2");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    assert!(!page.contains("data-verb=\"approve\""), "{page}");
    assert!(page.contains("Denied") || page.contains("denied"), "{page}");
    // By a form that was made for another.
    let other = browser.page("/requests/R-2").await;
    let (token, shown) = (hidden(&other, "form_token"), hidden(&other, "shown"));
    let fields = [
        ("form_token", token.as_str()),
        ("verb", "approve"),
        ("target", "R-1"),
        ("reason", "x"),
        ("shown", &shown),
    ];
    let reply = browser.post("/decisions", &fields).await;
    assert!(matches!(reply.status, 403 | 409), "{reply:?}");
    desk.mirror.pull("never/app", "1").await.assert_refused("Denied by rule never");
}

#[tokio::test]
async fn refusing_works_while_upstream_is_away_and_what_was_kept_is_shown() {
    let desk = desk().await;
    let digest = desk.push("open/app", "1", "content");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    desk.mirror.upstream.go_away();
    let browser = Browser::signed_in(&desk).await;
    let path = format!("/images/up.test/open/app@{digest}");
    let reply = browser.decide(&path, "revoke", "malicious").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    desk.mirror.pull("open/app", digest).await.assert_refused("Revoked");
}

#[tokio::test]
async fn a_decision_without_a_reason_is_refused_and_keeps_what_was_chosen() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    let reply = browser.send_form(&page, "approve", " \r\n ", "30").await;
    let text = reply.text();
    assert_eq!(reply.status, 400, "{text}");
    assert!(text.contains("needs a reason") && text.contains("value=\"30\" selected"), "{text}");
    assert!(text.contains("data-verb=\"approve\" open"), "{text}");
}

const TWO: &str = "approvalPolicies: {eyes: {approvers: [\"token:alice\", \"token:bob\"], quorum: 2, \
                   distinctGroups: true}}\n\
                   rules:\n\
                   - {id: asked, match: [\"up.test/**\"], trust: approve, approval: {policy: eyes}}\n";

#[tokio::test]
async fn where_several_are_asked_each_says_yes_on_the_page_and_sees_who_is_missing() {
    let desk = Desk::of(TestMirror::start_with(TWO, |_| {}).await);
    desk.push("app", "1", "content");
    desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");
    let mut browsers = Vec::new();
    for name in ["alice", "bob", "dave"] {
        let new = NewToken::new(name, Role::Approver);
        let token = desk.mirror.mirror().ledger().create_token(new, "test").await.unwrap();
        let browser = Browser::new(&desk);
        browser.sign_in(token.expose()).await;
        browsers.push(browser);
    }
    let [alice, bob, dave] = browsers.as_slice() else { panic!("three") };
    let page = bob.page("/requests/R-1").await;
    for said in ["0 of 2 said yes", "2 more of token:alice, token:bob", "one of several"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let voted = alice.decide("/requests/R-1", "approve", "looks <good>").await;
    assert_eq!(voted.header("location"), "/requests/R-1?done=voted", "{}", voted.text());
    desk.mirror.pull("app", "1").await.assert_refused("Pending approval R-1");
    let page = alice.page("/requests/R-1?done=voted").await;
    for said in ["Your yes is on record", "1 of 2 said yes", "1 more of", "looks &lt;good&gt;"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let refused = dave.decide("/requests/R-1", "approve", "me too").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("none of those whom rule asked asks"), "{}", refused.text());
    let last = bob.decide("/requests/R-1", "approve", "fine").await;
    assert_eq!(last.header("location"), "/requests/R-1?done=approved", "{}", last.text());
    desk.mirror.pull("app", "1").await.assert_complete();
}
