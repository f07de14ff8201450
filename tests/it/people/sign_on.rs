//! At a provider: what it says counts as far as it goes, and nobody else's word does.

use std::time::Duration;

use pratique::http::OidcSettings;
use pratique::ledger::{PersonChange, PersonId, Role};
use pratique::people::oidc::Settings;
use pratique::upstream::ProxySettings;
use serde_json::{Value, json};

use super::provider::{CLIENT_ID, CLIENT_SECRET, Provider, Script};
use super::{is_in, person};
use crate::admin::{Desk, Reply};
use crate::support::logs;
use crate::support::mirror::TestMirror;
use crate::web::{Browser, hidden};

const RULES: &str = "rules:\n- {id: asked, match: [\"up.test/asked/**\"], trust: approve}\n";

/// A desk whose people may sign in at a provider in this process.
pub(super) async fn desk() -> (Desk, Provider) {
    let clock = pratique::time::ManualClock::at("2026-11-20T10:00:00Z".parse().unwrap());
    let provider = Provider::start(clock).await;
    let desk = Desk::of(mirror_of(&provider, |_| {}).await);
    provider.follow(&desk.mirror.clock);
    (desk, provider)
}

async fn mirror_of(provider: &Provider, change: impl FnOnce(&mut OidcSettings)) -> TestMirror {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("{CLIENT_SECRET}\n")).unwrap();
    let (_, path) = secret.keep().unwrap();
    let mut oidc = OidcSettings {
        provider: Settings {
            issuer: provider.url.clone(),
            client_id: CLIENT_ID.to_owned(),
            client_secret_file: Some(path),
            scopes: vec!["profile".to_owned()],
            groups_claim: "groups".to_owned(),
            name_claim: "name".to_owned(),
            redirect_uri: "http://desk.test/login/oidc/callback".to_owned(),
            endpoint_hosts: Vec::new(),
            ca_file: None,
            danger_plain_http: false,
            proxy: ProxySettings::default(),
        },
        roles: vec![
            ("admins".to_owned(), Role::Admin),
            ("security".to_owned(), Role::Approver),
            ("staff".to_owned(), Role::Viewer),
        ],
        label: "the <house>".to_owned(),
    };
    change(&mut oidc);
    TestMirror::start_with(RULES, |settings| settings.admin.oidc = Some(oidc)).await
}

/// Leaves for the provider; gives where to.
async fn leave(browser: &Browser<'_>, next: &str) -> String {
    let reply = browser.get(&format!("/login/oidc?next={next}")).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    reply.header("location").to_owned()
}

pub(super) async fn sign_in(browser: &Browser<'_>, provider: &Provider) -> Reply {
    let back = provider.signs_in(&leave(browser, "/audit").await);
    browser.get(&back).await
}

fn id(provider: &Provider, subject: &str) -> PersonId {
    PersonId::Oidc { issuer: provider.url.clone(), subject: subject.to_owned() }
}

#[tokio::test]
async fn the_provider_lets_somebody_in_as_what_their_groups_say() {
    let (desk, provider) = desk().await;
    let browser = Browser::new(&desk);
    let page = browser.page("/login").await;
    assert!(page.contains("Sign in with the &lt;house&gt;") && page.contains("Token"), "{page}");
    let left = browser.get("/login/oidc?next=%2Faudit").await;
    let cookie = left.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("pratique-provider=") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let back = provider.signs_in(left.header("location"));
    let reply = browser.get(&back).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("refresh"), "0; url=/audit");
    let page = browser.page("/audit").await;
    assert!(page.contains("Alice") && page.contains("approver"), "{page}");
    let name = format!("oidc:{}#u-1", provider.url);
    let audit = desk.get("/api/v1/audit").await.text();
    assert!(audit.contains("signed-in") && audit.contains(&name), "{audit}");
    let caller = desk.mirror.mirror().ledger().caller(&id(&provider, "u-1")).unwrap();
    assert_eq!(caller.role, Role::Approver, "the first line of the table that fits");
    assert_eq!(Vec::from_iter(caller.groups), ["security", "staff"], "groups are passed on");
    let form_token = hidden(&browser.page("/").await, "form_token");
    browser.post("/logout", &[("form_token", &form_token)]).await;
    assert!(!is_in(&browser).await);
    // Once more: what was asked of the provider about itself is still known.
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    assert_eq!(provider.count("/.well-known/openid-configuration"), 1);
    assert_eq!(provider.count("/keys"), 1);
}

#[tokio::test]
async fn an_answer_counts_once_for_whoever_asked_for_it() {
    let (desk, provider) = desk().await;
    let (alice, mallory) = (Browser::new(&desk), Browser::new(&desk));
    let back = provider.signs_in(&leave(&alice, "/").await);
    // Somebody else's browser, with nothing begun, or with something else begun.
    assert_eq!(mallory.get(&back).await.status, 403);
    leave(&mallory, "/").await;
    assert_eq!(mallory.get(&back).await.status, 403, "signed in by somebody else's link");
    assert!(!is_in(&mallory).await);
    let with_other_state = |back: &str| {
        let (head, rest) = back.split_once("state=").unwrap();
        format!("{head}state=x{}", &rest[1..])
    };
    assert_eq!(alice.get(&with_other_state(&back)).await.status, 403);
    assert_eq!(alice.get(&back).await.status, 403, "a wrong answer ends it");
    let back = provider.signs_in(&leave(&alice, "/").await);
    let cookie = alice.cookie();
    assert_eq!(alice.get(&back).await.status, 200);
    *alice.cookie.lock().unwrap() = Some(cookie);
    assert_eq!(alice.get(&back).await.status, 403, "a second time");
    let back = provider.signs_in(&leave(&alice, "/").await);
    desk.mirror.clock.advance(Duration::from_mins(10));
    assert_eq!(alice.get(&back).await.status, 403, "too late");
    for path in [
        "/login/oidc/callback",
        "/login/oidc/callback?code=x",
        "/login/oidc/callback?state=&code=",
        "/login/oidc/callback?error=access_denied",
    ] {
        leave(&alice, "/").await;
        assert_eq!(alice.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn another_provider_answers_for_nobody() {
    let (desk, provider) = desk().await;
    let browser = Browser::new(&desk);
    for change in ["iss=https%3A%2F%2Fevil.test", "x=1"] {
        let back = provider.signs_in(&leave(&browser, "/").await);
        let (head, rest) = back.split_once("iss=").unwrap();
        let (_, tail) = rest.split_once('&').unwrap();
        let reply = browser.get(&format!("{head}{change}&{tail}")).await;
        assert_eq!(reply.status, 403);
        assert!(reply.text().contains("another provider"), "{}", reply.text());
    }
    assert_eq!(provider.count("/token"), 0, "the code goes nowhere");
    let back = provider.signs_in(&leave(&browser, "/").await);
    let (head, _) = back.split_once("code=").unwrap();
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let reply = browser.get(&format!("{head}error=%3Cscript%3Eno&state={state}")).await;
    let text = reply.text();
    assert!(reply.status == 403 && text.contains("refused: scriptno"), "{text}");
}

#[tokio::test]
async fn tokens_that_prove_nothing_let_nobody_in() {
    let (desk, provider) = desk().await;
    let other = Provider::start(desk.mirror.clock.clone()).await;
    let (long, past) = (json!(10_000_000_000_i64), json!(1));
    let claims = |claims: Value| Script { claims, ..Script::default() };
    let header = |header: Value| Script { header: Some(header), ..Script::default() };
    let answer = |answer: Value| Script { answer: Some(answer), ..Script::default() };
    for (what, script) in [
        ("another issuer", claims(json!({"iss": other.url}))),
        ("another audience", claims(json!({"aud": "other"}))),
        ("no nonce", claims(json!({"nonce": null}))),
        ("another nonce", claims(json!({"nonce": "n"}))),
        ("expired", claims(json!({"exp": past}))),
        ("of the future", claims(json!({"iat": long}))),
        ("nobody", claims(json!({"sub": null}))),
        ("alg none", header(json!({"alg": "none"}))),
        ("HS256", header(json!({"alg": "HS256", "kid": "k1"}))),
        ("an unknown kid", header(json!({"alg": "ES256", "kid": "../k1"}))),
        ("no token", answer(json!({"access_token": "a", "token_type": "Bearer"}))),
        ("another type", answer(json!({"id_token": "a.b.c", "token_type": "mac"}))),
        ("no JSON object", answer(json!([]))),
        ("huge", answer(json!({"token_type": "Bearer", "id_token": "a".repeat(300_000)}))),
    ] {
        provider.set(script);
        let browser = Browser::new(&desk);
        let reply = sign_in(&browser, &provider).await;
        assert!(reply.status == 403 || reply.status == 503, "{what}: {reply:?}");
        assert!(!is_in(&browser).await, "{what}");
    }
    // Keys that a token brings along, signed by them.
    let jwk = other.jwk();
    other.set(Script::default());
    provider.set(header(json!({"alg": "ES256", "jwk": jwk, "jku": format!("{}/keys", other.url)})));
    let browser = Browser::new(&desk);
    assert_eq!(
        sign_in(&browser, &provider).await.status,
        200,
        "the key is not read: it is its own"
    );
    assert_eq!(other.count("/keys"), 0);
    assert!(desk.mirror.mirror().ledger().people().len() == 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_document_of_keys_is_bounded() {
    let (desk, provider) = desk().await;
    let browser = Browser::new(&desk);
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    provider.rotate("k2");
    assert_eq!(sign_in(&browser, &provider).await.status, 403, "it was asked a moment ago");
    desk.mirror.clock.advance(Duration::from_secs(31));
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    assert_eq!(provider.count("/keys"), 2, "asked again, once");
    for _ in 0..5 {
        sign_in(&browser, &provider).await;
    }
    assert_eq!(provider.count("/keys"), 2, "and not for every token");
    let twins = json!({"keys": [provider.jwk(), provider.jwk()]}).to_string();
    let huge = vec![b' '; 300_000];
    for (what, keys) in [
        ("twins", twins.into_bytes()),
        ("huge", huge),
        ("many", json!({"keys": vec![json!({}); 200]}).to_string().into_bytes()),
        ("none", b"<html>".to_vec()),
    ] {
        desk.mirror.clock.advance(Duration::from_mins(11));
        provider.set(Script { keys: Some(keys), ..Script::default() });
        let reply = browser.get("/login/oidc").await;
        let refused = match reply.status {
            303 => browser.get(&provider.signs_in(reply.header("location"))).await.status,
            status => status,
        };
        assert!(refused == 403 || refused == 503, "{what}: {refused}");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_out_who_has_another_way() {
    let (desk, provider) = desk().await;
    let alice = person(&desk, "alice", Role::Viewer).await;
    for (what, script) in [
        ("fails", Script { status: Some(500), ..Script::default() }),
        (
            "other issuer",
            Script { metadata: json!({"issuer": "https://evil.test"}), ..Script::default() },
        ),
        (
            "elsewhere",
            Script {
                metadata: json!({"token_endpoint": "http://169.254.169.254/"}),
                ..Script::default()
            },
        ),
        (
            "no PKCE",
            Script {
                metadata: json!({"code_challenge_methods_supported": ["plain"]}),
                ..Script::default()
            },
        ),
        ("endless", Script { metadata: json!({"x": "y".repeat(200_000)}), ..Script::default() }),
    ] {
        desk.mirror.clock.advance(Duration::from_mins(11));
        provider.set(script);
        let reply = Browser::new(&desk).get("/login/oidc").await;
        let text = reply.text();
        assert_eq!(reply.status, 503, "{what}: {text}");
        assert!(
            text.contains("cannot be asked at the moment") && text.contains("for=\"token\""),
            "{text}"
        );
        let asked = provider.count("/.well-known/openid-configuration");
        Browser::new(&desk).get("/login/oidc").await;
        assert_eq!(provider.count("/.well-known/openid-configuration"), asked, "it is left alone");
    }
    alice.sign_in(&Browser::new(&desk)).await;
    Browser::new(&desk).sign_in(&desk.token).await;
    desk.mirror.clock.advance(Duration::from_secs(6));
    provider.set(Script::default());
    leave(&Browser::new(&desk), "/").await;
}

#[tokio::test]
async fn whose_groups_have_no_role_or_whom_an_admin_keeps_out_stays_out() {
    let (desk, provider) = desk().await;
    let browser = Browser::new(&desk);
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    assert!(is_in(&browser).await);
    let groups =
        |groups: Value| Script { claims: json!({ "groups": groups }), ..Script::default() };
    provider.set(groups(json!(["staff"])));
    let again = Browser::new(&desk);
    assert_eq!(sign_in(&again, &provider).await.status, 200);
    assert!(browser.page("/").await.contains("viewer"), "the other session hears of it at once");
    for none in [json!(["Staff"]), json!([]), Value::Null, json!("staff,security")] {
        provider.set(groups(none.clone()));
        let reply = sign_in(&again, &provider).await;
        assert_eq!(reply.status, 403, "{none}");
        assert!(reply.text().contains("none of your groups"), "{}", reply.text());
        assert!(!is_in(&browser).await, "and what they had is over");
    }
    provider.set(Script::default());
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    let ledger = desk.mirror.mirror().ledger();
    let out = PersonChange { is_disabled: Some(true), ..PersonChange::default() };
    ledger.change_person(&id(&provider, "u-1"), out, "test").await.unwrap();
    assert!(!is_in(&browser).await);
    let reply = sign_in(&browser, &provider).await;
    assert!(reply.status == 403 && reply.text().contains("keeps you out"), "{}", reply.text());
}

#[tokio::test]
async fn a_name_proves_nothing_and_is_shown_escaped() {
    let (desk, provider) = desk().await;
    let name = "<script>alert(1)</script>\u{202e}first-run";
    provider.set(Script {
        claims: json!({"name": name, "sub": "u-2", "email": "admin@example.test"}),
        ..Script::default()
    });
    let browser = Browser::new(&desk);
    assert_eq!(sign_in(&browser, &provider).await.status, 200);
    let page = browser.page("/").await;
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!page.contains('\u{202e}'), "{page}");
    assert!(desk.mirror.mirror().ledger().caller(&id(&provider, "u-2")).is_some());
}

#[tokio::test]
async fn it_leads_nowhere_else_and_begins_from_no_other_site() {
    let (desk, provider) = desk().await;
    for next in ["//evil.test", "https://evil.test", "/logout", "/\\evil.test"] {
        let browser = Browser::new(&desk);
        let next = next.replace(':', "%3A").replace('/', "%2F").replace('\\', "%5C");
        let back = provider.signs_in(&leave(&browser, &next).await);
        assert_eq!(browser.get(&back).await.header("refresh"), "0; url=/", "{next}");
    }
    let browser = Browser::new(&desk);
    for site in ["cross-site", "same-site"] {
        let headers = [("sec-fetch-site", site)];
        let reply = browser.send(hyper::Method::GET, "/login/oidc", None, &headers).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/login"));
        assert!(reply.headers.get("set-cookie").is_none());
    }
    let none = Desk::start().await;
    assert_eq!(Browser::new(&none).get("/login/oidc").await.status, 404);
    assert_eq!(Browser::new(&none).get("/login/oidc/callback?code=a&state=b").await.status, 404);
}

#[tokio::test]
async fn no_secret_of_a_sign_in_is_in_a_log_or_a_page() {
    let log = logs::capture();
    let (desk, provider) = desk().await;
    let browser = Browser::new(&desk);
    let back = provider.signs_in(&leave(&browser, "/").await);
    let mut said = browser.get(&back).await.text();
    provider.set(Script { status: Some(400), ..Script::default() });
    let other = Browser::new(&desk);
    said.push_str(&sign_in(&other, &provider).await.text());
    said.push_str(&browser.page("/").await);
    let written = log.text();
    assert!(written.contains("signed in"), "{written}");
    let part = |name: &str| back.split(name).nth(1).unwrap().split('&').next().unwrap().to_owned();
    for secret in [part("code="), part("state="), CLIENT_SECRET.to_owned()] {
        assert!(!written.contains(&secret), "the log tells {secret}");
        assert!(!said.contains(&secret), "a page tells {secret}");
    }
}
