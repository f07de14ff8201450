//! Break-glass on the page: used, shown loudly, ended and reviewed.

use pratique::ledger::{NewToken, Role};

use super::{Browser, hidden};
use crate::admin::Desk;
use crate::support::mirror::TestMirror;

const POLICY: &str = "\
breakGlass: {who: [\"token:alice\"]}
rules:
- {id: shut, match: [\"up.test/**\"], trust: deny}
";
const HOSTILE: &str = "<script>alert(1)</script>";

/// Somebody who signed in with a token, and that.
async fn signed_in<'a>(desk: &'a Desk, name: &str, role: Role) -> (Browser<'a>, String) {
    let new = NewToken::new(name, role);
    let secret = desk.mirror.mirror().ledger().create_token(new, "test").await.expect("a token");
    let browser = Browser::new(desk);
    browser.sign_in(secret.expose()).await;
    (browser, secret.expose().to_owned())
}

#[tokio::test]
async fn it_is_used_told_on_every_page_ended_and_reviewed_by_somebody_else() {
    let desk = Desk::of(TestMirror::start_with(POLICY, |_| {}).await);
    let digest = desk.push("app", "1", "content");
    let (alice, secret) = signed_in(&desk, "alice", Role::Approver).await;
    let (dave, _) = signed_in(&desk, "dave", Role::Approver).await;
    let (eve, _) = signed_in(&desk, "eve", Role::Requester).await;
    assert!(!dave.page("/break-glass").await.contains("name=\"what\""), "nobody named dave");
    let page = alice.page("/break-glass").await;
    assert!(!page.contains("glass-banner"), "{page}");
    let token = hidden(&page, "form_token");
    let form = |reason: &'static str, ticket: &'static str| {
        let token = token.clone();
        [
            ("form_token", token),
            ("what", "up.test/app:1".to_owned()),
            ("reason", reason.to_owned()),
            ("ticket", ticket.to_owned()),
            ("ttl", "30m".to_owned()),
            ("proof", secret.clone()),
        ]
    };
    let send = async |browser: &Browser<'_>, path: &str, fields: &[(&str, String)]| {
        let fields: Vec<_> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        browser.post(path, &fields).await
    };
    let lacking = send(&alice, "/break-glass", &form(HOSTILE, "")).await;
    assert_eq!(lacking.status, 400, "{lacking:?}");
    assert!(lacking.text().contains("a ticket is one line"), "{lacking:?}");
    assert!(!lacking.text().contains(HOSTILE), "what was sent is escaped");
    let used = send(&alice, "/break-glass", &form(HOSTILE, "INC-7")).await;
    assert_eq!((used.status, used.header("location")), (303, "/break-glass"), "{used:?}");
    assert_eq!(desk.mirror.manifest("app", &digest).await.status, 200);
    for path in ["/", "/audit", "/policy", "/health", "/break-glass"] {
        let page = eve.page(path).await;
        assert!(
            page.contains("glass-banner") && page.contains("Break-glass B-1"),
            "{path}: {page}"
        );
        assert!(!page.contains(HOSTILE), "{path}");
    }
    let act = async |browser: &Browser<'_>, verb: &str| {
        let page = browser.page("/break-glass").await;
        let fields = [
            ("form_token", hidden(&page, "form_token")),
            ("id", "B-1".to_owned()),
            ("verb", verb.to_owned()),
            ("reason", "because".to_owned()),
        ];
        send(browser, "/break-glass/act", &fields).await
    };
    assert_eq!(act(&eve, "end").await.status, 403, "it is of somebody else");
    assert_eq!(act(&alice, "end").await.status, 303);
    assert_eq!(desk.mirror.manifest("app", &digest).await.status, 403);
    assert!(!dave.page("/").await.contains("glass-banner"));
    assert!(dave.page("/").await.contains("Break-glass to be reviewed"));
    assert!(!eve.page("/").await.contains("Break-glass to be reviewed"), "eve does not decide");
    assert_eq!(act(&eve, "justified").await.status, 403);
    assert_eq!(act(&alice, "justified").await.status, 403, "it is her own");
    assert_eq!(act(&dave, "opened").await.status, 400);
    assert_eq!(act(&dave, "not-justified").await.status, 303);
    assert!(!dave.page("/").await.contains("Break-glass to be reviewed"));
    assert!(dave.page("/break-glass").await.contains("not-justified"));
    // A form of another session does nothing.
    let stolen = send(&dave, "/break-glass", &form("x", "INC-7")).await;
    assert_eq!(stolen.status, 403, "{stolen:?}");
}
