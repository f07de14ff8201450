//! Exceptions on the page: asked for from a finding, granted by another in two clicks, and ended.

use pratique::ledger::{NewToken, Role};

use super::{Browser, hidden};
use crate::admin::Desk;
use crate::scanning::{OPENSSL, know, openssl, other};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

/// What a link of the page at `html` that begins with `begin` leads to.
fn link(html: &str, begin: &str) -> String {
    let (_, rest) = html.split_once(&format!("href=\"{begin}")).expect("a link");
    let rest = rest.split('"').next().expect("its end").replace("&amp;", "&");
    format!("{begin}{rest}")
}

/// A desk where alice grants exceptions; `more` is what else the approval policy says.
async fn desk(more: &str) -> Desk {
    let policy = format!(
        "gates: {{strict: {{deny: [{{severity: critical}}]}}}}\n\
         approvalPolicies: {{one: {{approvers: [\"token:alice\"]{more}}}}}\n\
         rules: [{{id: app, match: [\"up.test/lib/*\"], trust: allow, gates: [strict], \
         exceptionApproval: {{policy: one, longest: 14d}}}}]\n"
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    know(&mirror, &[openssl(), other()]).await;
    let image = Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build();
    mirror.upstream.push("lib/app", "1", &image);
    mirror.pull("lib/app", "1").await.assert_refused("Denied by rule app");
    Desk::of(mirror)
}

/// The token `name` with `role`.
async fn somebody(desk: &Desk, name: &str, role: Role) -> String {
    let ledger = desk.mirror.mirror().ledger();
    let new = NewToken::new(name, role);
    ledger.create_token(new, "test").await.expect("a token").expose().to_owned()
}

/// The fields of the form `data-verb="VERB"` on `html` with a reason.
async fn send(
    browser: &Browser<'_>,
    html: &str,
    verb: &str,
    more: &[(&str, &str)],
) -> (u16, String) {
    let (_, form) = html.split_once(&format!("data-verb=\"{verb}\"")).expect("the form");
    let (form, _) = form.split_once("</form>").expect("its end");
    let names = ["form_token", "exception", "verb", "seen", "image", "vulnerability", "package"];
    let values = names.map(|name| (name, hidden(form, name)));
    let mut fields: Vec<(&str, &str)> = values
        .iter()
        .filter(|(name, _)| form.contains(&format!("name=\"{name}\"")))
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    fields.extend(more);
    let path = match verb {
        "ask" => "/exceptions",
        "end" => "/exceptions/endings",
        _ => "/exceptions/decisions",
    };
    let reply = browser.post(path, &fields).await;
    (
        reply.status,
        if reply.status == 303 { reply.header("location").to_owned() } else { reply.text() },
    )
}

const ASKING: [(&str, &str); 5] = [
    ("scope", "image"),
    ("term", "7"),
    ("reason", "not\r\nreachable"),
    ("ticket", "SEC-1"),
    ("justification", "vulnerable_code_not_in_execute_path"),
];

#[tokio::test]
async fn a_finding_of_a_blocked_image_is_excepted_on_its_page_and_the_exception_ended() {
    let desk = desk("").await;
    let (asking, granting) = (Browser::new(&desk), Browser::new(&desk));
    asking.sign_in(&somebody(&desk, "developer", Role::Requester).await).await;
    granting.sign_in(&somebody(&desk, "alice", Role::Approver).await).await;
    let image = asking.page("/images/up.test/lib/app:1").await;
    let form = asking.page(&link(&image, "/exceptions/new?")).await;
    assert!(form.contains("CVE-2026-1 in openssl: critical, fixed in 3.0.13-1"), "{form}");
    assert!(form.contains("With it the image is served"), "{form}");
    assert!(form.contains("for 14 days") && !form.contains("for 30 days"), "as long as may be");
    let (status, path) = send(&asking, &form, "ask", &ASKING).await;
    assert_eq!((status, path.as_str()), (303, "/exceptions/X-1?done=asked"));
    let own = asking.page("/exceptions/X-1").await;
    assert!(own.contains("not reachable") && own.contains("SEC-1"), "{own}");
    assert!(!own.contains("data-verb=\"grant\"") && own.contains("data-verb=\"end\""), "{own}");

    // Whoever grants sees it in the queue, on the page of the image and in the list.
    for path in ["/", "/images/up.test/lib/app:1", "/exceptions"] {
        assert!(granting.page(path).await.contains("/exceptions/X-1"), "{path}");
    }
    let page = granting.page("/exceptions/X-1").await;
    let granted = send(&granting, &page, "grant", &[("reason", "looked at it")]).await;
    assert_eq!(granted, (303, "/exceptions/X-1?done=granted".to_owned()));
    desk.mirror.pull("lib/app", "1").await.assert_complete();
    let image = granting.page("/images/up.test/lib/app:1").await;
    assert!(image.contains("does not count until") && image.contains("granted by"), "{image}");
    // The same form once more changes nothing, and says so.
    let (status, text) = send(&granting, &page, "grant", &[("reason", "again")]).await;
    assert_eq!(status, 412, "{text}");
    assert!(text.contains("Nothing was changed"), "{text}");

    let page = granting.page("/exceptions/X-1?done=granted").await;
    let ended = send(&granting, &page, "end", &[("reason", "fixed")]).await;
    assert_eq!(ended, (303, "/exceptions/X-1?done=ended".to_owned()));
    desk.mirror.pull("lib/app", "1").await.assert_refused("Denied by rule app");
    assert!(granting.page("/exceptions?state=ended").await.contains("withdrawn by"));
    assert!(granting.page("/exceptions").await.contains("There is none."));
}

#[tokio::test]
async fn an_approver_grants_at_once_only_where_who_asks_may_grant() {
    for (more, at_once) in [("", false), (", selfApproval: true", true)] {
        let desk = desk(more).await;
        let browser = Browser::new(&desk);
        browser.sign_in(&somebody(&desk, "alice", Role::Approver).await).await;
        let image = browser.page("/images/up.test/lib/app:1").await;
        let form = browser.page(&link(&image, "/exceptions/new?")).await;
        assert_eq!(form.contains("Ask and grant"), at_once, "{form}");
        let fields: Vec<(&str, &str)> = ASKING.into_iter().chain([("then", "grant")]).collect();
        let (status, told) = send(&browser, &form, "ask", &fields).await;
        assert_eq!(status == 303, at_once, "{told}");
        let pulled = desk.mirror.pull("lib/app", "1").await;
        if at_once {
            pulled.assert_complete();
        } else {
            pulled.assert_refused("Denied by rule app");
        }
    }
}

#[tokio::test]
async fn what_people_wrote_of_an_exception_is_only_text_and_what_is_wrong_is_told_with_what_was_typed()
 {
    let desk = desk("").await;
    let browser = Browser::new(&desk);
    browser.sign_in(&somebody(&desk, "alice", Role::Approver).await).await;
    let image = browser.page("/images/up.test/lib/app:1").await;
    let form = browser.page(&link(&image, "/exceptions/new?")).await;
    let hostile = "<script>alert(1)</script> \"quoted\"";
    let typed = |term: &'static str| {
        [
            ("scope", "repository"),
            ("term", term),
            ("reason", hostile),
            ("ticket", "<b>"),
            ("justification", ""),
        ]
    };
    let (status, text) = send(&browser, &form, "ask", &typed("30")).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("14 days at most") && text.contains("&lt;script&gt;"), "{text}");
    let (status, path) = send(&browser, &form, "ask", &typed("7")).await;
    assert_eq!(status, 303, "{path}");
    let page = browser.page("/exceptions/X-1").await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    assert!(!page.contains("<b>"), "{page}");
    // An image of which nothing would be taken out, and one that is none.
    let path =
        format!("/exceptions/new?image=up.test/lib/app:1&vulnerability={OPENSSL}&package=none");
    assert!(browser.page(&path).await.contains("nothing to except"));
    assert_eq!(browser.get("/exceptions/X-9").await.status, 404);
    assert_eq!(browser.get("/exceptions/9").await.status, 404);
    // A form that no page of this session made.
    let fields = [("form_token", "x"), ("exception", "X-1"), ("reason", "no")];
    assert_eq!(browser.post("/exceptions/endings", &fields).await.status, 403);
}
