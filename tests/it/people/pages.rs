//! People on the page: what administrators do about them, and what everybody does about themselves.

use std::time::Duration;

use pratique::ledger::{NewToken, PersonId, Role};

use super::{CODE_LIFE, PASSWORD, Person, by_password, is_in, person, send_code};
use crate::admin::{Desk, Reply};
use crate::support::logs;
use crate::web::{Browser, desk, hidden};

const OTHER: &str = "quite another sentence";

/// Sends `fields` to `path` with the token of the forms of this session.
async fn post(browser: &Browser<'_>, path: &str, fields: &[(&str, &str)]) -> Reply {
    let form_token = hidden(&browser.page("/").await, "form_token");
    let mut all = vec![("form_token", form_token.as_str())];
    all.extend(fields);
    browser.post(path, &all).await
}

async fn act(browser: &Browser<'_>, id: &str, act: &str) -> Reply {
    post(browser, "/people/act", &[("id", id), ("act", act)]).await
}

async fn change(browser: &Browser<'_>, old: &str, new: &str) -> Reply {
    post(browser, "/account/password", &[("old", old), ("password", new), ("again", new)]).await
}

async fn invite(browser: &Browser<'_>, name: &str, role: &str, groups: &str) -> Reply {
    post(browser, "/people", &[("name", name), ("role", role), ("groups", groups)]).await
}

/// The one-time secret on a page.
fn secret_on(page: &str) -> String {
    let (_, rest) = page.split_once("class=\"secret\"><code>").expect("a secret");
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_administrator_lets_somebody_in_changes_them_and_takes_them_out_again() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk).await;
    assert!(admin.page("/people").await.contains("Nobody signs in with a name yet."));
    let reply = invite(&admin, "alice", "approver", "security, leads").await;
    let told = reply.text();
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{told}");
    let secret = secret_on(&told);
    let entered = by_password(&Browser::new(&desk), "alice", &secret).await;
    assert_eq!(entered.header("location"), "/login/enrol", "{entered:?}");
    let list = admin.page("/people").await;
    for said in ["alice", "approver", "leads, security", "invited"] {
        assert!(list.contains(said), "{said}: {list}");
    }
    assert!(!list.contains(&secret), "it is shown once");
    let again = invite(&admin, "alice", "viewer", "<b>").await;
    let text = again.text();
    assert!(again.status >= 400 && text.contains("role=\"alert\""), "{text}");
    assert!(text.contains("value=\"alice\"") && text.contains("value=\"&lt;b&gt;\""), "{text}");

    let fields = [("id", "user:alice"), ("act", "change"), ("role", "viewer"), ("groups", "dev")];
    let changed = post(&admin, "/people/act", &fields).await;
    assert_eq!(changed.header("location"), "/people?id=user%3Aalice&done=changed", "{changed:?}");
    let page = admin.page("/people?id=user%3Aalice&done=changed").await;
    for said in ["Changed.", ">viewer<", "dev", "data-act=\"reset\"", "data-act=\"disable\""] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(act(&admin, "user:alice", "disable").await.status, 303);
    assert!(admin.page("/people?id=user%3Aalice").await.contains("data-act=\"enable\""));
    assert_eq!(act(&admin, "user:alice", "enable").await.status, 303);
    let reset = act(&admin, "user:alice", "reset").await;
    assert_ne!(secret_on(&reset.text()), secret);
    let removed = act(&admin, "user:alice", "remove").await;
    assert_eq!(removed.header("location"), "/people?done=removed");
    assert_eq!(admin.get("/people?id=user%3Aalice").await.status, 404);
    assert_eq!(act(&admin, "user:alice", "remove").await.status, 404);
    for bad in ["explode", ""] {
        assert_eq!(act(&admin, "user:alice", bad).await.status, 400, "{bad}");
    }
    let audit = desk.get("/api/v1/audit").await.text();
    for kind in
        ["person-created", "person-changed", "person-disabled", "person-reset", "person-removed"]
    {
        assert!(audit.contains(kind), "{kind}: {audit}");
    }
}

#[tokio::test]
async fn nobody_else_sees_or_changes_people_and_no_form_of_another_does() {
    let desk = desk().await;
    let admin = Browser::signed_in(&desk).await;
    let ledger = desk.mirror.mirror().ledger();
    let token = ledger.create_token(NewToken::new("bob", Role::Approver), "test").await.unwrap();
    let bob = Browser::new(&desk);
    bob.sign_in(token.expose()).await;
    assert!(!bob.page("/").await.contains("href=\"/people\""));
    assert!(admin.page("/").await.contains("href=\"/people\""));
    assert_eq!(bob.get("/people").await.status, 403);
    assert_eq!(invite(&bob, "mallory", "admin", "").await.status, 403);
    assert_eq!(act(&bob, "user:alice", "remove").await.status, 403);
    let own = hidden(&admin.page("/people").await, "form_token");
    let form =
        |token: &'static str| [("form_token", token), ("name", "mallory"), ("role", "admin")];
    assert_eq!(admin.post("/people", &form("wrong")).await.status, 403);
    let whole = [("form_token", own.as_str()), ("name", "mallory"), ("role", "admin")];
    for site in ["cross-site", "same-site", "none"] {
        let reply = admin.post_from("/people", &whole, &[("sec-fetch-site", site)]).await;
        assert_eq!(reply.status, 403, "{site}");
    }
    assert_eq!(desk.get("/api/v1/people").await.text(), "[]");
}

#[tokio::test]
async fn the_last_one_who_administers_stays() {
    let desk = desk().await;
    let root = person(&desk, "root", Role::Admin).await;
    let browser = Browser::new(&desk);
    root.sign_in(&browser).await;
    let revoked =
        desk.send(hyper::Method::DELETE, "/api/v1/tokens/first-run", Some(&desk.token), None, &[]);
    let revoked = revoked.await;
    assert!([204, 409].contains(&revoked.status), "{revoked:?}");
    if revoked.status == 204 {
        for what in ["disable", "remove", "reset"] {
            let reply = act(&browser, "user:root", what).await;
            let text = reply.text();
            assert_eq!(reply.status, 409, "{what}: {text}");
            assert!(text.contains("Nothing was changed") && text.contains("last one"), "{text}");
        }
    }
    assert!(is_in(&browser).await);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_ends_every_other_session() {
    let desk = desk().await;
    let alice = person(&desk, "alice", Role::Approver).await;
    let (here, there) = (Browser::new(&desk), Browser::new(&desk));
    alice.sign_in(&here).await;
    alice.sign_in(&there).await;
    let page = here.page("/account").await;
    for said in ["user:alice", "approver", "this browser", "another browser", "Another password"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // A sign-in that is half done with the password of now.
    let half = Browser::new(&desk);
    desk.mirror.clock.advance(CODE_LIFE);
    assert_eq!(by_password(&half, "alice", PASSWORD).await.header("location"), "/login/code");
    for (old, new, again, status, told) in [
        ("a wrong password", OTHER, OTHER, 403, "not the password of now"),
        (PASSWORD, "short", "short", 400, "at least 12 characters"),
        (PASSWORD, "qwertyuiop123", "qwertyuiop123", 400, "tried first"),
        (PASSWORD, OTHER, PASSWORD, 400, "not the same"),
    ] {
        let fields = [("old", old), ("password", new), ("again", again)];
        let reply = post(&here, "/account/password", &fields).await;
        let text = reply.text();
        assert!(reply.status == status && text.contains(told), "{old} {new}: {text}");
        assert!(!text.contains(OTHER) && !text.contains(PASSWORD), "a password is told again");
    }
    let done = change(&here, PASSWORD, OTHER).await;
    assert_eq!(done.header("location"), "/account?done=password", "{}", done.text());
    assert!(is_in(&here).await && !is_in(&there).await);
    assert_eq!(
        half.get("/login/code").await.status,
        403,
        "the old password opens nothing any more"
    );
    desk.mirror.clock.advance(CODE_LIFE);
    assert_eq!(by_password(&there, "alice", PASSWORD).await.status, 403);
    assert_eq!(by_password(&there, "alice", OTHER).await.header("location"), "/login/code");
    assert_eq!(send_code(&there, &alice.code(&desk)).await.status, 303);
    let audit = desk.get("/api/v1/audit").await;
    assert!(audit.text().contains("password-changed"));
    assert_eq!(desk.get("/api/v1/audit/verify").await.json()["intact"], true);
}

#[tokio::test]
async fn whoever_guesses_the_password_of_an_open_session_waits() {
    let desk = desk().await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    let browser = Browser::new(&desk);
    alice.sign_in(&browser).await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(change(&browser, "a wrong password", OTHER).await.status);
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429]);
    assert_eq!(change(&browser, PASSWORD, OTHER).await.status, 429, "or a guess would count");
    desk.mirror.clock.advance(Duration::from_mins(10));
    assert_eq!(change(&browser, PASSWORD, OTHER).await.status, 303);
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_of_one_person_and_nobody_else() {
    let desk = desk().await;
    let (alice, bob) =
        (person(&desk, "alice", Role::Viewer).await, person(&desk, "bob", Role::Viewer).await);
    let browsers = [Browser::new(&desk), Browser::new(&desk), Browser::new(&desk)];
    alice.sign_in(&browsers[0]).await;
    alice.sign_in(&browsers[1]).await;
    bob.sign_in(&browsers[2]).await;
    assert_eq!(browsers[0].post("/account/out", &[("form_token", "wrong")]).await.status, 403);
    let out = post(&browsers[0], "/account/out", &[]).await;
    assert_eq!((out.status, out.header("location")), (303, "/login"), "{out:?}");
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert!(!is_in(&browsers[0]).await && !is_in(&browsers[1]).await);
    assert!(is_in(&browsers[2]).await);
}

#[tokio::test]
async fn who_holds_a_token_has_an_account_and_no_password() {
    let log = logs::capture();
    let desk = desk().await;
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/account").await;
    assert!(page.contains("with a token") && !page.contains("/account/password"), "{page}");
    assert_eq!(change(&browser, "canary-old-password", OTHER).await.status, 403);
    let told = invite(&browser, "alice", "viewer", "").await.text();
    let written = log.text();
    for secret in ["canary-old-password", OTHER, &secret_on(&told)] {
        assert!(!written.contains(secret), "the log tells {secret}");
    }
    assert_tokens_of(&desk, &browser).await;
}

/// Whose token it is sees it on their page.
async fn assert_tokens_of(desk: &Desk, browser: &Browser<'_>) {
    let bob: Person = person(desk, "bob", Role::Approver).await;
    let ledger = desk.mirror.mirror().ledger();
    let id = PersonId::Local { name: "bob".to_owned() };
    assert_eq!(bob.id(), id);
    let new = NewToken { owner: Some(id), ..NewToken::new("bob-laptop", Role::Approver) };
    ledger.create_token(new, "test").await.unwrap();
    let own = Browser::new(desk);
    bob.sign_in(&own).await;
    assert!(own.page("/account").await.contains("bob-laptop"));
    assert!(!browser.page("/account").await.contains("bob-laptop"), "they are another's");
}
