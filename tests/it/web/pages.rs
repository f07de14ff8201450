//! The other pages: one image, audit, policy, health.

use hyper::Method;

use super::{Browser, desk};
use crate::admin::Desk;
use crate::scanning::{know, openssl, vulnerable};
use crate::support::mirror::TestMirror;
use crate::support::signer::Signer;

#[tokio::test]
async fn the_page_of_an_image_tells_verdict_checks_findings_and_contents() {
    let policy = "gates: {strict: {deny: [{severity: critical}]}}\nrules:\n\
                  - {id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}\n";
    let desk = Desk::of(TestMirror::start_with(policy, |_| {}).await);
    know(&desk.mirror, &[openssl()]).await;
    desk.mirror.upstream.push("app", "1", &vulnerable());
    desk.mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-1");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/images/up.test/app:1").await;
    for said in [
        "CVE-2026-1 in openssl 3.0.11-1, fixed in 3.0.13-1",
        "built with openssl 3.0.13-1 or later",
        ">denied<",
        "scan",
        "1 package",
        "<strong>1</strong> critical",
        "none is named, so root",
        "linux/amd64",
        "1 layer",
        "Who pulled it",
        "request-filed",
    ] {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
    let absent = browser.get("/images/up.test/app:none").await;
    assert_eq!(absent.status, 404, "{absent:?}");
    let unknown = browser.page("/images/nowhere.test/app:1").await;
    assert!(unknown.contains("There is nothing to decide on."), "{unknown}");
}

#[tokio::test]
async fn who_pulled_is_told_by_client() {
    let desk = desk().await;
    desk.push("open/app", "1", "content");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    let page = Browser::signed_in(&desk).await.page("/images/up.test/open/app:1").await;
    assert!(page.contains("<bdi>127.0.0.1</bdi>"), "{page}");
}

#[tokio::test]
async fn the_trail_is_paged_and_checked() {
    let desk = desk().await;
    let ledger = desk.mirror.mirror().ledger();
    for number in 0..120 {
        ledger
            .create_token(
                pratique::ledger::NewToken::new(
                    format!("t{number}"),
                    pratique::ledger::Role::Viewer,
                ),
                "test",
            )
            .await
            .unwrap();
    }
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/audit?check=now").await;
    assert!(page.contains("each is as it was written"), "{page}");
    assert!(page.contains("token t119") && !page.contains("token t1<"), "{page}");
    let (_, older) = page.split_once("rel=\"next\" href=\"").expect("older ones");
    let older = browser.page(older.split('"').next().unwrap()).await;
    assert!(older.contains("token t0") && older.contains("Newest"), "{older}");
    assert!(!older.contains("rel=\"next\""), "{older}");
    let rows = |page: &str| page.matches("<td class=\"number\"").count();
    assert_eq!(rows(&page), 100);
    let report = desk.get("/api/v1/audit/verify").await.json();
    assert_eq!(
        u64::try_from(rows(&page) + rows(&older)).unwrap(),
        report["records"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn the_policy_is_told_in_words() {
    let policy = format!(
        "signers:\n  team:\n    transparencyLog: none\n    key:\n     pem: |\n{}\
         floor: {{registries: [up.test], platforms: [linux/amd64]}}\n\
         gates: {{strict: {{deny: [{{severity: high, fixable: true}}], user: {{nonRoot: true}}}}}}\n\
         rules:\n- {{id: ours, match: [\"up.test/**\"], trust: approve, gates: [strict],\n   \
         signatures: {{atLeast: 1, of: [team]}}}}\n",
        Signer::generate().policy_pem()
    );
    let desk = Desk::of(TestMirror::start_with(&policy, |_| {}).await);
    let page = Browser::signed_in(&desk).await.page("/policy").await;
    for said in [
        "Revision 1",
        "Only up.test may be served from.",
        "Layers are served for linux/amd64 only.",
        "A person has to approve each digest.",
        "Has to be signed by team.",
        "Has to pass strict.",
        "Refuses findings that are high or worse, with a fix.",
        "Refuses images that run as root.",
        "a public key, without a transparency log",
    ] {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
}

#[tokio::test]
async fn health_tells_registries_cache_disk_and_database() {
    let desk = desk().await;
    desk.push("open/app", "1", "content");
    desk.mirror.pull("open/app", "1").await.assert_complete();
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/health").await;
    for said in ["up.test", ">ok<", "well <time", "left,", "None: ", "Version 0."] {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
    know(&desk.mirror, &[openssl()]).await;
    let page = browser.page("/health").await;
    assert!(page.contains("as of <time"), "{page}");
    let head = browser.send(Method::HEAD, "/health", None, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn nodes_that_reported_are_on_the_health_page_and_what_they_are_called_is_text() {
    let desk = desk().await;
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/health").await;
    assert!(!page.contains("The ways around") && !page.contains("worker-1"), "{page}");
    let finding = serde_json::json!(
        {"way": "unlisted", "by": "cri", "about": "a", "state": "open", "saw": "it"}
    );
    let report = serde_json::json!(
        {"node": "worker-1", "at": "2026-11-20T10:00:00Z", "every_seconds": 60, "findings": [finding]}
    );
    assert_eq!(desk.post("/api/v1/nodes", &report).await.status, 200);
    desk.mirror.clock.advance(std::time::Duration::from_secs(181));
    let page = browser.page("/health").await;
    for said in ["worker-1", "silent since", "A node says it of itself"] {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
}

#[tokio::test]
async fn the_last_day_is_drawn_and_told_in_a_table() {
    let desk = desk().await;
    desk.push("open/app", "1", "content");
    desk.push("never/app", "1", "content");
    for _ in 0..3 {
        desk.mirror.pull("open/app", "1").await.assert_complete();
    }
    desk.mirror.pull("never/app", "1").await.assert_refused("Denied");
    desk.mirror.mirror().ledger().flush().await;
    let page = Browser::signed_in(&desk).await.page("/health").await;
    let (_, chart) = page.split_once("<figure class=\"chart\">").expect("a chart");
    let (chart, _) = chart.split_once("</figure>").expect("its end");
    for said in ["role=\"img\"", "manifests in an hour", "refused or waiting", "As a table"] {
        assert!(chart.contains(said), "{said}: {chart}");
    }
    assert_eq!(
        chart.matches("<rect").count(),
        1,
        "what was refused without a look is counted nowhere: {chart}"
    );
    assert_eq!(chart.matches("<th scope=\"row\">").count(), 24, "{chart}");
    // Each pull asks for the tag, and then for the digest.
    assert!(chart.contains("data-label=\"served\">6</td>"), "{chart}");
    let x = chart.split_once("<rect class=\"series-0\" x=\"").expect("a bar").1;
    let x: u64 = x.split('"').next().and_then(|x| x.parse().ok()).expect("a place");
    assert!((580..=624).contains(&x), "the hour of now is within the picture: {chart}");
    assert!(!page.contains("style="), "{page}");
    // Pulls of yesterday are not those of the last day.
    desk.mirror.clock.advance(std::time::Duration::from_hours(25));
    let page = Browser::signed_in(&desk).await.page("/health").await;
    assert!(!page.contains("<rect"), "{page}");
}
