//! By name: the first time, every time, and never for whoever only tries.

use std::time::{Duration, Instant};

use hyper::Method;
use pratique::ledger::{AuditKind, PersonChange, Role};

use super::{
    CODE_LIFE, PASSWORD, begin_enrolment, by_password, enrol, invited, is_in, person, send_code,
};
use crate::support::logs;
use crate::web::{Browser, desk, hidden};

#[tokio::test]
async fn whoever_has_a_one_time_secret_chooses_a_password_and_an_authenticator_before_anything_else()
 {
    let desk = desk().await;
    assert!(!Browser::new(&desk).page("/login").await.contains("Password"), "nobody has one");
    let secret = invited(&desk, "alice", Role::Approver).await;
    let browser = Browser::new(&desk);
    let key = begin_enrolment(&browser, "alice", &secret.to_uppercase().replace('-', " ")).await;
    for path in ["/", "/audit", "/requests/R-1", "/policy"] {
        assert_eq!(browser.get(path).await.status, 303, "{path} is open before the enrolment");
    }
    assert_eq!(browser.get("/login/code").await.header("location"), "/login/enrol");
    let picture = browser.get("/login/enrol/key.svg").await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(picture.header("cache-control"), "no-store");
    let page = browser.page("/login/enrol").await;
    assert!(page.contains("otpauth://totp/Pratique:alice?secret="), "{page}");
    let now = pratique::time::Clock::now(&desk.mirror.clock);
    let code = key.code_at(now).expose().to_owned();
    for (password, again, code, told) in [
        ("short", "short", &*code, "at least 12 characters"),
        ("alice alice alice", "alice alice alice", &code, "must not be the name"),
        ("qwertyuiop123", "qwertyuiop123", &code, "tried first"),
        (PASSWORD, "another password", &code, "not the same"),
        (PASSWORD, PASSWORD, "000000", "no code of now"),
        (PASSWORD, PASSWORD, "", "no code of now"),
    ] {
        let reply = enrol(&browser, password, again, code).await;
        let text = reply.text();
        assert!(reply.status == 400 && text.contains(told), "{password}: {text}");
        assert!(!text.contains(&format!("value=\"{password}\"")), "the password is told again");
        assert!(!is_in(&browser).await);
    }
    let reply = enrol(&browser, PASSWORD, PASSWORD, &code).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/"), "{}", reply.text());
    assert!(browser.page("/").await.contains("alice"));
    let late = Browser::new(&desk);
    assert_eq!(by_password(&late, "alice", &secret).await.status, 403, "the secret is over");
}

#[tokio::test]
async fn a_password_and_a_code_open_the_page_and_each_alone_does_not() {
    let desk = desk().await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    desk.mirror.clock.advance(CODE_LIFE);
    let browser = Browser::new(&desk);
    let page = browser.page("/login?next=%2Faudit").await;
    assert!(page.contains("for=\"name\"") && page.contains("for=\"password\""), "{page}");
    let fields = [("name", " Alice "), ("password", PASSWORD), ("next", "/audit")];
    let reply = browser.post("/login", &fields).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/login/code"), "{reply:?}");
    assert!(!is_in(&browser).await, "a password alone opens nothing");
    let half = browser.cookie();
    let code = alice.code(&desk);
    for wrong in ["", "123456", "abcdef", &code[..5]] {
        let reply = send_code(&browser, wrong).await;
        assert!(reply.status == 403 && reply.text().contains("no code of now"), "{reply:?}");
    }
    let reply = send_code(&browser, &code).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/audit"), "{}", reply.text());
    assert!(is_in(&browser).await);
    assert_ne!(half, browser.cookie(), "the id of half a sign-in is not that of the session");
    // The same code a second time, and what was left of the first sign-in.
    let other = Browser::new(&desk);
    by_password(&other, "alice", PASSWORD).await;
    assert_eq!(send_code(&other, &code).await.status, 403);
    *other.cookie.lock().unwrap() = Some(half);
    assert_eq!(other.get("/login/code").await.status, 403);
    for path in ["/api/v1/status", "/api/v1/people"] {
        assert_eq!(browser.get(path).await.status, 401, "a session opens no route of the API");
    }
    let form_token = hidden(&browser.page("/").await, "form_token");
    let out = browser.post("/logout", &[("form_token", &form_token)]).await;
    assert_eq!(out.header("location"), "/login");
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn a_wrong_name_is_told_as_a_wrong_password_and_takes_as_long() {
    let desk = desk().await;
    person(&desk, "alice", Role::Viewer).await;
    let mut pages = Vec::new();
    let mut times = [Duration::MAX, Duration::MAX];
    for round in 0..3 {
        for (place, name) in ["alice", "nobody"].into_iter().enumerate() {
            desk.mirror.clock.advance(Duration::from_mins(11));
            let browser = Browser::new(&desk);
            let begun = Instant::now();
            let reply = by_password(&browser, name, "a wrong password").await;
            times[place] = times[place].min(begun.elapsed());
            assert_eq!(reply.status, 403, "{round}");
            assert!(reply.headers.get("set-cookie").is_none());
            pages.push(reply.text());
        }
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert!(times[0] < times[1] * 3 && times[1] < times[0] * 3, "{times:?}");
}

#[tokio::test]
async fn whoever_guesses_waits_and_keeps_nobody_out_for_good() {
    let desk = desk().await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    let own = Browser::new(&desk);
    alice.sign_in(&own).await;
    let browser = Browser::new(&desk);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(by_password(&browser, "alice", "a wrong password").await.status);
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429, 429]);
    let refused = by_password(&browser, "alice", PASSWORD).await;
    assert_eq!(refused.status, 429, "not even the right one, or a guess would count");
    assert!(!refused.header("retry-after").is_empty());
    // Neither a token is held up, nor the browser that she signs in with; and the wait ends.
    Browser::new(&desk).sign_in(&desk.token).await;
    for _ in 0..20 {
        by_password(&browser, "nobody", "a wrong password").await;
    }
    assert_eq!(by_password(&browser, "nobody", "x").await.status, 429);
    alice.sign_in(&own).await;
    desk.mirror.clock.advance(Duration::from_mins(10));
    alice.sign_in(&Browser::new(&desk)).await;
    // And codes are counted by themselves, by whoever knows the password.
    desk.mirror.clock.advance(Duration::from_mins(11));
    let browser = Browser::new(&desk);
    by_password(&browser, "alice", PASSWORD).await;
    let form_token = hidden(&browser.page("/login/code").await, "form_token");
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let fields = [("form_token", &*form_token), ("code", "000000")];
        statuses.push(browser.post("/login/code", &fields).await.status);
    }
    assert_eq!(statuses, [403; 6]);
    assert_eq!(browser.get("/login/code").await.status, 403, "it begins again with the password");
    let again = Browser::new(&desk);
    by_password(&again, "alice", PASSWORD).await;
    let form_token = hidden(&again.page("/login/code").await, "form_token");
    let fields = [("form_token", &*form_token), ("code", "000000")];
    assert_eq!(again.post("/login/code", &fields).await.status, 429);
}

#[tokio::test]
async fn whoever_has_a_one_time_secret_is_not_kept_out_by_those_who_guess() {
    let desk = desk().await;
    let secret = invited(&desk, "alice", Role::Approver).await;
    let browser = Browser::new(&desk);
    for _ in 0..8 {
        by_password(&browser, "alice", "a guess").await;
    }
    assert_eq!(by_password(&browser, "alice", "a guess").await.status, 429);
    let reply = by_password(&browser, "alice", &secret).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/login/enrol"), "{}", reply.text());
}

#[tokio::test]
async fn many_guesses_at_once_are_worth_no_more_than_one_after_the_other() {
    let desk = desk().await;
    person(&desk, "alice", Role::Viewer).await;
    let guesses = (0..16).map(|_| async {
        by_password(&Browser::new(&desk), "alice", "a wrong password").await.status
    });
    let mut statuses = futures_util::future::join_all(guesses).await;
    // Where two hashes take the machine long, whoever waits too long for a place is told nothing either (503).
    assert!(statuses.iter().all(|status| [403, 429, 503].contains(status)), "{statuses:?}");
    while statuses.last() != Some(&429) && statuses.len() < 32 {
        let browser = Browser::new(&desk);
        statuses.push(by_password(&browser, "alice", "a wrong password").await.status);
    }
    let told = statuses.iter().filter(|status| **status == 403).count();
    assert!((5..=6).contains(&told), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[tokio::test]
async fn failures_are_on_record_once_and_secrets_nowhere() {
    let log = logs::capture();
    let desk = desk().await;
    let secret = invited(&desk, "bob", Role::Viewer).await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    let typed_as_name = "canary of a password";
    let mut said = String::new();
    for number in 0..30 {
        desk.mirror.clock.advance(Duration::from_mins(61));
        let browser = Browser::new(&desk);
        let name = if number % 2 == 0 { "alice" } else { typed_as_name };
        said.push_str(&by_password(&browser, name, "canary of a guess").await.text());
    }
    alice.sign_in(&Browser::new(&desk)).await;
    let desk = crate::admin::Desk::of(desk.mirror.restart().await);
    let rows = desk.mirror.mirror().ledger().audit(1, 1_000).await.unwrap();
    let failed: Vec<_> =
        rows.iter().filter(|row| row.event.kind == AuditKind::SignInFailed).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    for row in &failed {
        assert_eq!(row.event.details["times"], "15", "{row:?}");
        assert_eq!(row.event.details["factor"], "password");
    }
    let who: Vec<&str> = failed.iter().map(|row| row.event.details["person"].as_str()).collect();
    assert!(who.contains(&"user:alice") && who.contains(&"nobody known"), "{who:?}");
    let audit = serde_json::to_string(&rows).unwrap();
    let written = log.text();
    let key = alice.key.text();
    for canary in [typed_as_name, "canary of a guess", PASSWORD, &secret, key.expose()] {
        assert!(!written.contains(canary), "the log tells {canary}");
        assert!(!audit.contains(canary), "the audit tells {canary}");
        assert!(!said.contains(canary), "a page tells {canary}");
    }
    assert!(written.contains("sign-in failed") && written.contains("signed in"), "{written}");
}

#[tokio::test]
async fn what_is_changed_about_somebody_is_so_at_their_next_request() {
    let desk = desk().await;
    desk.push("asked/app", "1", "content");
    desk.mirror.pull("asked/app", "1").await.assert_refused("Pending");
    let alice = person(&desk, "alice", Role::Viewer).await;
    let browser = Browser::new(&desk);
    alice.sign_in(&browser).await;
    let ledger = desk.mirror.mirror().ledger();
    let can_decide = async || browser.page("/requests/R-1").await.contains("action=\"/decisions\"");
    assert!(!can_decide().await);
    let change = PersonChange { role: Some(Role::Approver), ..PersonChange::default() };
    ledger.change_person(&alice.id(), change, "test").await.unwrap();
    assert!(can_decide().await, "as of the next request");
    let reply = browser.decide("/requests/R-1", "approve", "reviewed").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    assert!(desk.get("/api/v1/audit").await.text().contains("user:alice"));
    let out =
        |is_disabled| PersonChange { is_disabled: Some(is_disabled), ..PersonChange::default() };
    ledger.change_person(&alice.id(), out(true), "test").await.unwrap();
    assert!(!is_in(&browser).await, "at once");
    assert_eq!(by_password(&Browser::new(&desk), "alice", PASSWORD).await.status, 403);
    ledger.change_person(&alice.id(), out(false), "test").await.unwrap();
    assert!(!is_in(&browser).await, "the old session does not come back");
    alice.sign_in(&browser).await;
    ledger.reset_person("alice", "test").await.unwrap();
    assert!(!is_in(&browser).await, "a reset ends it");
    assert_eq!(by_password(&Browser::new(&desk), "alice", PASSWORD).await.status, 403);
    let half = Browser::new(&desk);
    let secret = ledger.reset_person("alice", "test").await.unwrap().0;
    let key = begin_enrolment(&half, "alice", secret.expose()).await;
    ledger.remove_person(&alice.id(), "test").await.unwrap();
    let code = key.code_at(pratique::time::Clock::now(&desk.mirror.clock));
    assert_eq!(enrol(&half, PASSWORD, PASSWORD, code.expose()).await.status, 403);
}

#[tokio::test]
async fn forms_of_another_site_and_of_another_sign_in_do_nothing() {
    let desk = desk().await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    desk.mirror.clock.advance(CODE_LIFE);
    let browser = Browser::new(&desk);
    let fields = [("name", "alice"), ("password", PASSWORD)];
    let cross = [("sec-fetch-site", "cross-site")];
    let reply = browser.post_from("/login", &fields, &cross).await;
    assert_eq!(reply.status, 403, "signing somebody in from elsewhere");
    assert!(reply.headers.get("set-cookie").is_none());
    by_password(&browser, "alice", PASSWORD).await;
    let code = alice.code(&desk);
    let own = hidden(&browser.page("/login/code").await, "form_token");
    let other = Browser::new(&desk);
    by_password(&other, "alice", PASSWORD).await;
    let fields = [("form_token", &*own), ("code", &*code)];
    assert_eq!(other.post("/login/code", &fields).await.status, 403);
    assert_eq!(browser.post_from("/login/code", &fields, &cross).await.status, 403);
    for path in ["/login/enrol", "/login/code"] {
        let nobody = Browser::new(&desk);
        assert_eq!(nobody.get(path).await.status, 403, "{path}");
        assert_eq!(
            nobody.post(path, &fields).await.status,
            if path.ends_with("code") { 403 } else { 400 }
        );
    }
    for fields in [
        &[("name", "alice")][..],
        &[("name", "alice"), ("password", PASSWORD), ("token", "x")],
        &[("name", "alice"), ("name", "bob"), ("password", PASSWORD)],
        &[("password", PASSWORD)],
        &[],
    ] {
        assert_eq!(browser.post("/login", fields).await.status, 400, "{fields:?}");
    }
    let reply = browser
        .post("/login", &[("name", "alice"), ("password", PASSWORD), ("next", "//evil.test")]);
    assert_eq!(reply.await.header("location"), "/login/code");
    let reply = send_code(&browser, &code).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
}

#[tokio::test]
async fn no_page_of_signing_in_has_a_script_a_style_or_anything_from_elsewhere() {
    let desk = desk().await;
    let secret = invited(&desk, "alice", Role::Viewer).await;
    let browser = Browser::new(&desk);
    by_password(&browser, "alice", &secret).await;
    let mut replies = vec![browser.get("/login").await, browser.get("/login/enrol").await];
    replies.push(browser.get("/login/enrol/key.svg").await);
    person(&desk, "bob", Role::Viewer).await;
    desk.mirror.clock.advance(CODE_LIFE);
    by_password(&browser, "bob", PASSWORD).await;
    replies.push(browser.get("/login/code").await);
    for reply in replies {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"));
        let text = reply.text();
        for part in ["style=", "onclick", "onload", "javascript:", "<style"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        // Every field has a label.
        for field in text.split("<input ").skip(1) {
            let field = field.split('>').next().unwrap();
            let is_told = field.contains("type=\"hidden\"") || field.contains(" hidden");
            let id = field.split_once("id=\"").and_then(|(_, rest)| rest.split('"').next());
            let labelled = id.is_some_and(|id| text.contains(&format!("for=\"{id}\"")));
            assert!(is_told || labelled, "{field}");
        }
    }
    let twisted = browser.send(Method::DELETE, "/login/code", None, &[]).await;
    assert_eq!(twisted.status, 405);
}
