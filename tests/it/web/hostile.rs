//! What others write is shown as what it is: text (CWE-79).

use pratique::gate::{Reason, ReasonCode};
use pratique::ledger::{Filing, RequestState};
use pratique::oci::Digest;
use serde_json::json;

use super::{Browser, RULES, desk};
use crate::admin::Desk;
use crate::scanning::{know, other};
use crate::support::archive::{CRITICAL, debian, record};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// What would act in a page if it were not escaped, and what would deceive the eye if it were shown.
pub(super) const HOSTILE: &str =
    "\"'></td></main><script>alert(1)</script><img src=x onerror=alert(2)>&lt;\u{202e}gpj\u{200b}";

/// The tags that pages are made of.
const TAGS: [&str; 61] = [
    "html",
    "head",
    "meta",
    "title",
    "link",
    "script",
    "body",
    "a",
    "header",
    "main",
    "nav",
    "ul",
    "ol",
    "li",
    "form",
    "label",
    "input",
    "button",
    "span",
    "bdi",
    "h1",
    "h2",
    "h3",
    "p",
    "div",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "kbd",
    "time",
    "section",
    "details",
    "summary",
    "textarea",
    "select",
    "option",
    "strong",
    "q",
    "blockquote",
    "br",
    "dialog",
    "article",
    "meter",
    "em",
    "b",
    "i",
    "u",
    "s",
    "sub",
    "sup",
    "small",
    "hr",
    "pre",
];

/// Panics where `page` has a tag or attribute that none of ours has.
pub(super) fn assert_harmless(page: &str, what: &str) {
    assert!(!page.contains(HOSTILE), "{what}: it is shown as it came");
    for deceptive in ['\u{202e}', '\u{200b}', '\u{1b}'] {
        assert!(!page.contains(deceptive), "{what}: {deceptive:?} is shown as it is");
    }
    let mut scripts = 0;
    for rest in page.split('<').skip(1) {
        let (tag, _) =
            rest.split_once('>').unwrap_or_else(|| panic!("{what}: a tag without end: {rest}"));
        if tag.starts_with("!DOCTYPE") {
            continue;
        }
        let name: String =
            tag.chars().skip_while(|c| *c == '/').take_while(char::is_ascii_alphanumeric).collect();
        assert!(TAGS.contains(&name.as_str()), "{what}: <{tag}>");
        scripts += u32::from(tag.starts_with("script"));
        // Values are in double quotes; what is outside of them are names.
        let names: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
        for name in names.split_whitespace() {
            assert!(!name.starts_with("on") && !name.starts_with("style"), "{what}: <{tag}>");
        }
        assert!(!tag.to_lowercase().contains("javascript:"), "{what}: <{tag}>");
    }
    assert_eq!(scripts, 1, "{what}: only our own script");
}

#[tokio::test]
async fn what_people_and_clients_write_is_text() {
    let desk = desk().await;
    let digest = desk.push("asked/app", "1", "content");
    let filing = Filing {
        name: "up.test/asked/app".parse().unwrap(),
        reference: "1".parse().unwrap(),
        digest: Some(digest),
        tag: Some("1".parse().unwrap()),
        state: RequestState::Pending,
        rule: Some(HOSTILE.to_owned()),
        reasons: vec![Reason {
            code: ReasonCode::ApprovalNeeded,
            text: HOSTILE.to_owned(),
            remedy: HOSTILE.to_owned(),
        }],
        client: HOSTILE.to_owned(),
        note: Some(HOSTILE.to_owned()),
        requester: None,
        group: None,
        ticket: None,
    };
    desk.mirror.mirror().ledger().file_request(filing).await.unwrap();
    let image = format!("up.test/asked/app@{digest}");
    for path in ["/api/v1/approvals", "/api/v1/revocations"] {
        let reply = desk.post(path, &json!({"target": image, "reason": HOSTILE})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let browser = Browser::signed_in(&desk).await;
    for path in ["/", "/?state=all", "/requests/R-1", "/audit", &format!("/images/{image}")] {
        let page = browser.page(path).await;
        assert_harmless(&page, path);
        let is_told =
            page.contains("&lt;script&gt;alert(1)") && page.contains("[U+202E]gpj[U+200B]");
        assert!(is_told || path == "/", "{path}: {page}");
    }
    let page = browser.decide("/requests/R-1", "approve", HOSTILE).await;
    assert_eq!(page.status, 303, "{}", page.text());
    // A refused form shows again what was typed.
    let shown = browser.page("/requests/R-1").await;
    assert_eq!(desk.decide("/api/v1/rejections", &image).await.status, 200);
    let refused = browser.send_form(&shown, "revoke", HOSTILE, HOSTILE).await;
    assert_eq!(refused.status, 400, "no such term");
    assert_harmless(&refused.text(), "a wrong term");
    let refused = browser.send_form(&shown, "revoke", HOSTILE, "").await;
    assert_eq!(refused.status, 409);
    assert_harmless(&refused.text(), "a refused decision");
    assert!(refused.text().contains("&lt;script&gt;alert(1)"), "{}", refused.text());
}

#[tokio::test]
async fn what_addresses_say_is_text() {
    let desk = desk().await;
    let browser = Browser::signed_in(&desk).await;
    let hostile = super::encoded(&[("", HOSTILE)]).split_off(1);
    for path in [
        format!("/?q={hostile}"),
        format!("/?state={hostile}"),
        format!("/?before={hostile}"),
        format!("/requests/{hostile}"),
        format!("/images/up.test/{hostile}"),
        format!("/audit?before={hostile}"),
        format!("/login?next={hostile}"),
        format!("/requests/R-1?done={hostile}"),
        format!("/{hostile}"),
    ] {
        let reply = browser.get(&path).await;
        if reply.header("content-type").starts_with("text/html") {
            assert_harmless(&reply.text(), &path);
        } else {
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(reply.header("content-type"), "application/problem+json", "{path}");
        }
    }
    let searched = browser.page(&format!("/?q={hostile}&state=all")).await;
    assert!(searched.contains("&lt;script&gt;alert(1)"), "{searched}");
}

#[tokio::test]
async fn what_images_say_is_text() {
    let policy = "gates: {strict: {deny: [{severity: critical}], incomplete: allow, unknown: allow}}\n\
                  rules:\n- {id: a, match: [\"up.test/**\"], trust: approve, gates: [strict]}\n";
    let desk = Desk::of(TestMirror::start_with(policy, |_| {}).await);
    let hostile = HOSTILE.replace(['\u{202e}', '\u{200b}'], "");
    let advisory = record("CVE-2026-1", "Debian:12", "openssl", &hostile, CRITICAL);
    know(&desk.mirror, &[other(), advisory]).await;
    let layer = debian(&[("openssl", "3.0.11-1"), (hostile.as_str(), hostile.as_str())]);
    let config = json!({
        "architecture": "amd64", "os": "linux", "author": HOSTILE,
        "config": {
            "User": HOSTILE, "Env": [format!("{HOSTILE}=x")], "ExposedPorts": {HOSTILE: {}},
            "Labels": {HOSTILE: HOSTILE},
        },
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]},
    });
    let image = Image::new()
        .layer(layer)
        .config("application/vnd.oci.image.config.v1+json", config.to_string())
        .build();
    let digest = desk.mirror.upstream.push("app", "1", &image);
    let artifact = Image::artifact("text/x-script").layer("x").build();
    desk.mirror.upstream.push("artifact", "1", &artifact);
    assert_ne!(desk.mirror.manifest("app", "1").await.status, 200);
    let browser = Browser::signed_in(&desk).await;
    for path in [
        "/".to_owned(),
        format!("/images/up.test/app@{digest}"),
        "/images/up.test/app:1".to_owned(),
        "/images/up.test/artifact:1".to_owned(),
    ] {
        let page = browser.page(&path).await;
        assert_harmless(&page, &path);
    }
    let page = browser.page("/images/up.test/app:1").await;
    // User, port, variable, label.
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 4, "{page}");
}

#[tokio::test]
async fn what_the_policy_says_is_text() {
    let hostile = HOSTILE.replace(['\u{202e}', '\u{200b}', '\''], "");
    let policy = format!(
        "rules:\n{RULES}- {{id: b, match: [\"up.test/b\"], trust: approve, signatures: {{none: '{hostile}'}}}}\n"
    );
    let started = TestMirror::start_with(&policy, |_| {});
    let desk = Desk::of(started.await);
    let page = Browser::signed_in(&desk).await.page("/policy").await;
    assert_harmless(&page, "/policy");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
}
