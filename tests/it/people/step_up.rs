//! Break-glass on the page takes more than a session: whoever stole one gets nowhere with it.

use std::time::Duration;

use pratique::ledger::{AuditKind, NewToken, Role};
use pratique::time::Clock as _;
use serde_json::json;

use super::provider::Script;
use super::{CODE_LIFE, by_password, person, send_code, sign_on};
use crate::admin::{Desk, Reply};
use crate::support::mirror::TestMirror;
use crate::web::{Browser, hidden};

const RULES: &str = "rules:\n- {id: shut, match: [\"up.test/**\"], trust: deny}\n";
const PATH: &str = "/break-glass";

fn policy(who: &str, quorum: u64) -> String {
    format!("breakGlass: {{who: [{who}], quorum: {quorum}}}\n{RULES}")
}

async fn desk(who: &str, quorum: u64) -> Desk {
    Desk::of(TestMirror::start_with(&policy(who, quorum), |_| {}).await)
}

async fn use_one(browser: &Browser<'_>, proof: &str) -> Reply {
    let token = hidden(&browser.page(PATH).await, "form_token");
    let fields = [
        ("form_token", token.as_str()),
        ("what", "up.test/app"),
        ("whole", "yes"),
        ("reason", "prod is down"),
        ("ticket", "INC-7"),
        ("ttl", "30m"),
        ("proof", proof),
    ];
    browser.post(PATH, &fields).await
}

async fn act(browser: &Browser<'_>, verb: &str, proof: &str) -> Reply {
    let token = hidden(&browser.page(PATH).await, "form_token");
    let fields = [
        ("form_token", token.as_str()),
        ("id", "B-1"),
        ("verb", verb),
        ("reason", "seen it"),
        ("proof", proof),
    ];
    browser.post(&format!("{PATH}/act"), &fields).await
}

/// How many there are.
fn count(desk: &Desk) -> usize {
    desk.mirror.mirror().ledger().emergencies_held().len()
}

/// What the records of `kind` say of what was shown.
async fn proved_by(desk: &Desk, kind: AuditKind) -> Vec<String> {
    let rows = desk.mirror.mirror().ledger().audit(1, 1_000).await.expect("the audit");
    let of_kind = rows.iter().filter(|row| row.event.kind == kind);
    of_kind.map(|row| row.event.details["proved_by"].clone()).collect()
}

#[tokio::test]
async fn a_code_of_the_authenticator_opens_one_once_and_a_session_alone_none() {
    let desk = desk("\"user:alice\", \"user:bob\"", 2).await;
    let alice = person(&desk, "alice", Role::Requester).await;
    let bob = person(&desk, "bob", Role::Requester).await;
    let (hers, his) = (Browser::new(&desk), Browser::new(&desk));
    alice.sign_in(&hers).await;
    let page = hers.page(PATH).await;
    assert!(page.contains("Code of your authenticator"), "{page}");
    // Nothing, what was used to sign in, and somebody else's.
    for wrong in [String::new(), alice.code(&desk), bob.code(&desk), "1".repeat(200)] {
        let reply = use_one(&hers, &wrong).await;
        let text = reply.text();
        assert!(reply.status == 403 && text.contains("no code of now"), "{wrong}: {text}");
        assert!(text.contains("prod is down"), "what was typed stays: {text}");
        assert!(wrong.is_empty() || !text.contains(&wrong), "and the code does not: {text}");
        desk.mirror.clock.advance(Duration::from_mins(11));
    }
    assert_eq!(count(&desk), 0);
    let code = alice.code(&desk);
    let used = use_one(&hers, &code).await;
    assert_eq!((used.status, used.header("location")), (303, PATH), "{}", used.text());
    assert_eq!(use_one(&hers, &code).await.status, 403, "it was good for one");
    let other = Browser::new(&desk);
    by_password(&other, "alice", super::PASSWORD).await;
    assert_eq!(send_code(&other, &code).await.status, 403, "and for no sign-in");
    assert_eq!(count(&desk), 1);

    bob.sign_in(&his).await;
    assert!(his.page(PATH).await.contains("Code of your authenticator"));
    for wrong in [String::new(), bob.code(&desk), alice.code(&desk)] {
        let reply = act(&his, "vote", &wrong).await;
        assert!(reply.status == 403 && reply.text().contains("no code of now"), "{reply:?}");
    }
    desk.mirror.clock.advance(CODE_LIFE);
    assert_eq!(act(&his, "vote", &bob.code(&desk)).await.status, 303);
    assert_eq!(proved_by(&desk, AuditKind::BreakGlassUsed).await, ["authenticator"]);
    assert_eq!(proved_by(&desk, AuditKind::BreakGlassVoted).await, ["authenticator"]);
    assert_eq!(act(&hers, "end", "").await.status, 303, "less is served: a session will do");
    assert!(desk.get("/api/v1/audit/verify").await.json()["intact"] == true);
}

#[tokio::test]
async fn a_stolen_session_guesses_no_more_codes_than_a_sign_in() {
    let desk = desk("\"user:alice\"", 1).await;
    let alice = person(&desk, "alice", Role::Requester).await;
    let hers = Browser::new(&desk);
    alice.sign_in(&hers).await;
    let thief = Browser::new(&desk);
    *thief.cookie.lock().unwrap() = Some(hers.cookie());
    let mut statuses = Vec::new();
    for guess in 0..7 {
        statuses.push(use_one(&thief, &format!("{guess:06}")).await.status);
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429]);
    desk.mirror.clock.advance(CODE_LIFE);
    assert_eq!(use_one(&thief, &alice.code(&desk)).await.status, 429, "nor is a right one heard");
    assert_eq!(act(&thief, "vote", &alice.code(&desk)).await.status, 429);
    assert_eq!(count(&desk), 0);
    let failed = desk.mirror.restart().await;
    let rows = failed.mirror().ledger().audit(1, 1_000).await.unwrap();
    let failed = rows.iter().find(|row| row.event.kind == AuditKind::SignInFailed).unwrap();
    assert_eq!(failed.event.details["factor"], "code", "and it is on record");
}

#[tokio::test]
async fn two_at_once_with_one_code_open_one() {
    let desk = desk("\"user:alice\"", 1).await;
    let alice = person(&desk, "alice", Role::Requester).await;
    let browser = Browser::new(&desk);
    alice.sign_in(&browser).await;
    desk.mirror.clock.advance(CODE_LIFE);
    let code = alice.code(&desk);
    let both = futures_util::future::join_all((0..4).map(|_| use_one(&browser, &code))).await;
    let mut statuses: Vec<u16> = both.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403, 403, 403]);
    assert_eq!(count(&desk), 1);
}

#[tokio::test]
async fn whoever_signed_in_with_a_token_shows_it_again() {
    let desk = desk("\"token:pager\"", 1).await;
    let ledger = desk.mirror.mirror().ledger();
    let new = |name| ledger.create_token(NewToken::new(name, Role::Requester), "test");
    let (pager, other) = (new("pager").await.unwrap(), new("other").await.unwrap());
    let browser = Browser::new(&desk);
    browser.sign_in(pager.expose()).await;
    assert!(browser.page(PATH).await.contains("Your token, once more"));
    for wrong in ["", "x", other.expose(), &desk.token] {
        let reply = use_one(&browser, wrong).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert!(reply.text().contains("not the token that you signed in with"), "{reply:?}");
    }
    assert_eq!(count(&desk), 0);
    assert_eq!(use_one(&browser, pager.expose()).await.status, 303);
    assert_eq!(proved_by(&desk, AuditKind::BreakGlassUsed).await, ["token"]);
}

#[tokio::test]
async fn the_provider_has_to_ask_anew_and_say_so() {
    let (desk, provider) = sign_on::desk().await;
    desk.mirror.set_policy(&policy("\"group:security\"", 1), 2).await;
    let browser = Browser::new(&desk);
    assert_eq!(sign_on::sign_in(&browser, &provider).await.status, 200);
    let again = "/login/oidc?next=%2Fbreak-glass&amp;again=yes";
    let page = browser.page(PATH).await;
    assert!(page.contains(again), "{page}");
    let reply = use_one(&browser, "").await;
    assert!(reply.status == 403 && reply.text().contains("Sign in once more"), "{reply:?}");
    let seconds = || desk.mirror.clock.now().milliseconds() / 1_000;
    let leave = async || {
        let left = browser.get(&again.replace("&amp;", "&")).await.header("location").to_owned();
        assert!(left.contains("prompt=login&max_age=0"), "{left}");
        provider.signs_in(&left)
    };
    desk.mirror.clock.advance(Duration::from_mins(5));
    for claims in [json!({}), json!({"auth_time": seconds() - 299}), json!({"auth_time": "now"})] {
        provider.set(Script { claims: claims.clone(), ..Script::default() });
        let reply = browser.get(&leave().await).await;
        assert_eq!(reply.status, 403, "{claims}: {}", reply.text());
        assert!(reply.text().contains("does not count"), "{claims}: {}", reply.text());
    }
    // A sign-in as any other is none, though the provider says when it was.
    let claims = json!({"auth_time": seconds()});
    provider.set(Script { claims, ..Script::default() });
    assert_eq!(sign_on::sign_in(&browser, &provider).await.status, 200);
    assert_eq!(use_one(&browser, "").await.status, 403);
    assert_eq!(count(&desk), 0);

    let reply = browser.get(&leave().await).await;
    assert_eq!((reply.status, reply.header("refresh")), (200, "0; url=/break-glass"));
    assert!(browser.page(PATH).await.contains("You signed in once more just now."));
    assert_eq!(use_one(&browser, "").await.status, 303);
    assert_eq!(proved_by(&desk, AuditKind::BreakGlassUsed).await, ["provider"]);
    desk.mirror.clock.advance(Duration::from_mins(5));
    assert_eq!(use_one(&browser, "").await.status, 403, "that was a moment ago");
}
