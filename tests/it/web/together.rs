//! Several requests in one form: each decision is one of its own, and holds for what was shown of it.

use pratique::ledger::{NewToken, Role};
use serde_json::json;

use super::hostile::assert_harmless;
use super::{Browser, desk, hidden};
use crate::admin::{Desk, Reply};
use crate::scanning::{know, openssl, other, vulnerable};
use crate::support::mirror::TestMirror;

/// Files so many requests for images that wait.
async fn file(desk: &Desk, number: usize) {
    for one in 1..=number {
        let tag = one.to_string();
        desk.push("asked/app", &tag, &format!("content {one}"));
        desk.mirror.pull("asked/app", &tag).await.assert_refused("Pending approval");
    }
}

/// What `page` shows of each request, as its form has it.
fn shown(page: &str) -> Vec<String> {
    let fields = page.split("name=\"shown\" value=\"").skip(1);
    fields.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// Sends the form on `page` with `picked`.
async fn send(browser: &Browser<'_>, page: &str, verb: &str, picked: &[&str]) -> Reply {
    let (token, shown) = (hidden(page, "form_token"), shown(page));
    let mut fields = vec![("form_token", token.as_str()), ("verb", verb), ("term", "30")];
    fields.push(("reason", "the release, reviewed"));
    fields.extend(picked.iter().map(|id| ("pick", *id)));
    fields.extend(shown.iter().map(|text| ("shown", text.as_str())));
    browser.post("/together", &fields).await
}

#[tokio::test]
async fn those_that_were_chosen_are_approved_each_on_its_own_and_the_others_wait() {
    let desk = desk().await;
    file(&desk, 3).await;
    let browser = Browser::signed_in(&desk).await;
    let queue = browser.page("/").await;
    assert_eq!(queue.matches("type=\"checkbox\" name=\"id\"").count(), 3, "{queue}");
    let page = browser.page("/together?id=R-1&id=R-2&id=R-2&id=R-3").await;
    assert_eq!(page.matches("name=\"pick\"").count(), 3, "{page}");
    let reply = send(&browser, &page, "approve", &["R-1", "R-3"]).await;
    let text = reply.text();
    assert_eq!(reply.status, 200, "{text}");
    assert!(text.contains("2 of 2 requests") && !text.contains("Not done"), "{text}");
    for (tag, is_served) in [("1", true), ("2", false), ("3", true)] {
        let pulled = desk.mirror.pull("asked/app", tag).await;
        if is_served { pulled.assert_complete() } else { pulled.assert_refused("Pending") }
    }
    let audit = desk.get("/api/v1/audit").await.json();
    let records = audit["records"].as_array().unwrap().iter();
    let approved: Vec<_> = records.filter(|record| record["action"] == "approved").collect();
    assert_eq!(approved.len(), 2, "{audit}");
    assert!(
        approved.iter().all(|it| it["reason"]
            .as_str()
            .is_some_and(|it| it.starts_with("the release, reviewed,"))),
        "{audit}"
    );
    // The same form again changes nothing and says so.
    let again = send(&browser, &page, "approve", &["R-1"]).await;
    assert!(again.text().contains("decided before"), "{}", again.text());
}

#[tokio::test]
async fn what_somebody_else_decided_meanwhile_is_left_alone_and_the_rest_is_done() {
    let desk = desk().await;
    file(&desk, 2).await;
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/together?id=R-1&id=R-2").await;
    let body = json!({"target": "R-1", "reason": "not <this> one"});
    assert_eq!(desk.post("/api/v1/rejections", &body).await.status, 200);
    let reply = send(&browser, &page, "approve", &["R-1", "R-2"]).await;
    let text = reply.text();
    assert_eq!(reply.status, 200, "{text}");
    for said in ["1 of 2 requests", "Not done", "not what you were shown", "not &lt;this&gt; one"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("/together?id=R-1"), "{text}");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Rejected");
    desk.mirror.pull("asked/app", "2").await.assert_complete();
}

const SCANNED: &str = "gates: {strict: {deny: [{severity: critical, fixable: false}]}}\nrules:\n\
                       - {id: a, match: [\"up.test/**\"], trust: approve, gates: [strict]}\n";

#[tokio::test]
async fn what_has_other_findings_by_now_is_left_alone() {
    let desk = Desk::of(TestMirror::start_with(SCANNED, |_| {}).await);
    know(&desk.mirror, &[other()]).await;
    desk.mirror.upstream.push("app", "1", &vulnerable());
    desk.mirror.pull("app", "1").await.assert_refused("Pending");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/together?id=R-1").await;
    know(&desk.mirror, &[other(), openssl()]).await;
    let reply = send(&browser, &page, "approve", &["R-1"]).await;
    let text = reply.text();
    assert_eq!(reply.status, 409, "{text}");
    assert!(text.contains("the findings are others: critical 0 to 1"), "{text}");
    desk.mirror.pull("app", "1").await.assert_refused("Pending");
    let page = browser.page("/together?id=R-1").await;
    assert!(page.contains("1 critical"), "{page}");
    assert_eq!(send(&browser, &page, "approve", &["R-1"]).await.status, 200);
    desk.mirror.pull("app", "1").await.assert_complete();
}

#[tokio::test]
async fn a_group_is_looked_at_and_rejected_in_one_go() {
    let desk = desk().await;
    file(&desk, 1).await;
    for place in ["web", "db"] {
        desk.push(&format!("asked/{place}"), "1", place);
    }
    let body = json!({
        "images": ["up.test/asked/web:1", "up.test/asked/db:1"], "group": "shop 2.4",
    });
    assert_eq!(desk.post("/api/v1/requests", &body).await.status, 200);
    let browser = Browser::signed_in(&desk).await;
    let queue = browser.page("/?group=shop+2.4").await;
    assert!(queue.contains("Decide about all that wait of it"), "{queue}");
    assert!(!queue.contains("/requests/R-1\""), "{queue}");
    let page = browser.page("/together?group=shop+2.4").await;
    assert_eq!(page.matches("name=\"pick\"").count(), 2, "{page}");
    let reply = send(&browser, &page, "reject", &["R-2", "R-3"]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for place in ["asked/web", "asked/db"] {
        desk.mirror.pull(place, "1").await.assert_refused("Rejected");
    }
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let empty = browser.page("/together?group=shop+2.4").await;
    assert!(empty.contains("Nothing is chosen."), "{empty}");
}

#[tokio::test]
async fn the_form_is_bounded_of_this_session_and_for_those_who_decide() {
    let desk = desk().await;
    file(&desk, 1).await;
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/together?id=R-1").await;
    let (token, shown) = (hidden(&page, "form_token"), shown(&page).remove(0));
    let base = [("form_token", token.as_str()), ("verb", "approve"), ("reason", "x"), ("term", "")];
    let with = |extra: &[(&'static str, String)]| {
        let fields = base.iter().map(|(key, value)| (*key, (*value).to_owned()));
        fields.chain(extra.iter().cloned()).collect::<Vec<_>>()
    };
    let pick = |id: &str| ("pick", id.to_owned());
    let many: Vec<_> = (1..=51).map(|number| pick(&format!("R-{number}"))).collect();
    for (fields, status) in [
        (with(&[]), 400),
        (with(&many), 400),
        (with(&[pick("R-1"), ("more", "1".to_owned())]), 400),
        (with(&[pick("R-1"), ("shown", "R-1".to_owned())]), 400),
        (with(&[pick("R-1"), ("shown", "R-1:bm90aGluZw".to_owned())]), 400),
        (with(&[pick("R-1"), ("verb", "revoke".to_owned())]), 400),
        // What was shown of one is not what was shown of another.
        (with(&[pick("R-1"), ("shown", shown.replacen("R-1", "R-2", 1))]), 409),
        (with(&[pick("R-1")]), 409),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let reply = browser.post("/together", &fields).await;
        assert_eq!(reply.status, status, "{fields:?} {}", reply.text());
    }
    let stranger = [("form_token", "wrong"), ("verb", "approve"), ("reason", "x"), ("pick", "R-1")];
    assert_eq!(browser.post("/together", &stranger).await.status, 403);
    let elsewhere = [("sec-fetch-site", "cross-site")];
    assert_eq!(browser.post_from("/together", &base, &elsewhere).await.status, 403);
    let ids: Vec<String> = (1..=51).map(|number| format!("id=R-{number}")).collect();
    for (query, status) in
        [(ids.join("&"), 400), ("what=1".to_owned(), 400), ("id=R-9".to_owned(), 404)]
    {
        assert_eq!(browser.get(&format!("/together?{query}")).await.status, status, "{query}");
    }
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let ledger = desk.mirror.mirror().ledger();
    let viewer = ledger.create_token(NewToken::new("eve", Role::Viewer), "test").await.unwrap();
    let eve = Browser::new(&desk);
    eve.sign_in(viewer.expose()).await;
    assert_eq!(eve.get("/together?id=R-1").await.status, 403);
    assert!(!eve.page("/").await.contains("checkbox"));
    assert_harmless(&page, "together");
}

#[tokio::test]
async fn the_command_decides_about_several_and_tells_those_that_were_not() {
    let desk = desk().await;
    file(&desk, 3).await;
    let both = desk.run(&["approve", "R-1", "R-2", "--reason", "fine", "--json"]).await;
    assert_eq!((both.code, both.json().as_array().map(Vec::len)), (0, Some(2)), "{both:?}");
    let some = desk.run(&["reject", "R-1", "R-3", "--reason", "no"]).await;
    assert_eq!(some.code, 1, "{some:?}");
    assert!(some.stderr.starts_with("R-1: ") && some.stdout.contains("rejected"), "{some:?}");
    desk.mirror.pull("asked/app", "1").await.assert_complete();
    desk.mirror.pull("asked/app", "3").await.assert_refused("Rejected");
}
