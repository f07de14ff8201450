//! What a change of the policy would do, on a page: typed, tried, and never in force.

use super::{Browser, desk, hidden};

const HEAD: &str =
    "apiVersion: pratique.dev/v1\r\nkind: Policy\r\nmetadata: {name: draft, revision: 9}\r\n";

#[tokio::test]
async fn a_draft_is_compared_and_tried_and_what_was_typed_is_kept() {
    let desk = desk().await;
    let digest = desk.push("open/a", "1", "a");
    desk.mirror.pull("open/a", "1").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/policy").await;
    assert!(page.contains("What would a change do"), "{page}");
    let token = hidden(&page, "form_token");
    let send = async |token: &str, policy: &str| {
        let fields = [("form_token", token), ("policy", policy), ("days", "7")];
        browser.post("/policy/draft", &fields).await
    };
    let draft =
        format!("{HEAD}rules:\r\n- {{id: shut, match: [\"up.test/open/**\"], trust: deny}}\r\n");
    let told = send(&token, &draft).await;
    assert_eq!(told.status, 200, "{}", told.text());
    for expected in [
        "New: <code><bdi>rules.shut</bdi></code>",
        "Gone: <code><bdi>rules.open</bdi></code>",
        "would not be served any more",
        &digest.short(),
        "admitted 1 -&gt; 0 images",
        "{id: shut, match:",
    ] {
        assert!(told.text().contains(expected), "{expected}\n{}", told.text());
    }
    // Every mistake with its place, and nothing that was typed is lost.
    let wrong = format!(
        "{HEAD}rules:\r\n- {{id: a, match: [\"**\"], trust: maybe}}\r\n- {{id: <b>, trust: deny}}\r\n"
    );
    let refused = send(&token, &wrong).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let text = refused.text();
    for expected in ["Line 5, column ", "Line 6, column ", "trust: maybe", "&lt;b&gt;"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("<b>"), "{text}");
    assert_eq!(send("other", &draft).await.status, 403);
    let large = "x".repeat(5 << 20);
    assert_eq!(send(&token, &large).await.status, 413);
    desk.mirror.pull("open/a", "1").await.assert_complete();
}

#[tokio::test]
async fn the_page_of_a_request_says_what_could_be_made_a_rule() {
    let desk = desk().await;
    desk.push("other/tool", "1", "a");
    desk.mirror.pull("other/tool", "1").await.assert_refused("Denied: no rule lists");
    let browser = Browser::signed_in(&desk).await;
    let page = browser.page("/requests/R-1").await;
    for expected in
        ["Make this a rule", "People are asked about each digest", "+- {id: other-tool,"]
    {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    assert!(!page.contains("Of what was pulled in"), "{page}");
    let counted = browser.page("/requests/R-1?figures=7").await;
    assert!(counted.contains("Of what was pulled in 7 days"), "{counted}");
}
