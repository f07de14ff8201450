//! How it is told what nobody was shown: by the commands, the API and the page.

use std::time::Duration;

use serde_json::json;

use super::{ASKED_AGAIN, HOLD, NAME, approve, approved, wait_until_found};
use crate::admin::Desk;
use crate::scanning::{know, openssl, other};
use crate::web::Browser;

const MARK: &str = "<strong>found since it was approved</strong>";

#[tokio::test]
async fn commands_and_the_page_mark_what_was_found_since_until_it_is_approved_again() {
    let (mirror, digest) = approved(HOLD).await;
    know(&mirror, &[openssl(), other()]).await;
    wait_until_found(&mirror, &digest).await;
    mirror.clock.advance(Duration::from_hours(2));
    let desk = Desk::of(mirror);
    let image = format!("{NAME}:1");

    let told = desk.run(&["explain", &image, "--utc"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let line = told.stdout.lines().find(|line| line.contains("not shown")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..6], ["new", "not", "shown", "CVE-2026-1", "openssl,", "since"], "{line}");
    assert!(told.stdout.contains("served on with CVE-2026-1 in openssl"), "{told:?}");

    let told = desk.run(&["explain", &image, "--json"]).await;
    let view: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    let since = view["unseen"][0]["since"].clone();
    assert_eq!(view["unseen"], json!([{"finding": "CVE-2026-1 openssl", "since": since}]));
    assert!(since.as_str().is_some_and(|it| it.ends_with('Z')), "{view}");

    let browser = Browser::signed_in(&desk).await;
    for path in [format!("/images/{image}"), "/requests/R-1".to_owned()] {
        let page = browser.page(&path).await;
        assert_eq!(page.matches(MARK).count(), 1, "{page}");
        let (before, _) = page.split_once(MARK).expect("the mark");
        let row = before.rsplit("<tr>").next().expect("its row");
        assert!(row.contains("CVE-2026-1"), "{path}: {row}");
    }

    // The request that is filed when the grace is over names it.
    desk.mirror.clock.advance(Duration::from_hours(24));
    desk.mirror.pull("lib/app", &digest).await.assert_refused(ASKED_AGAIN);
    let shown = desk.run(&["show", "R-2"]).await;
    let why = shown.stdout.lines().find(|line| line.starts_with("why")).expect("a reason");
    assert!(why.contains("found-since-approval") && why.contains("CVE-2026-1"), "{shown:?}");

    approve(&desk.mirror, &format!("{NAME}@{digest}")).await.expect("a second approval");
    desk.mirror.pull("lib/app", &digest).await.assert_complete();
    let told = desk.run(&["explain", &image]).await;
    assert!(!told.stdout.contains("not shown"), "{told:?}");
    let told = desk.run(&["explain", &image, "--json"]).await;
    assert!(!told.stdout.contains("unseen"), "{told:?}");
    let page = Browser::signed_in(&desk).await.page(&format!("/images/{image}")).await;
    assert!(page.contains("CVE-2026-1") && !page.contains(MARK), "{page}");
}

#[tokio::test]
async fn nothing_is_marked_where_the_policy_does_not_ask() {
    let (mirror, digest) = approved("quorum: 1").await;
    know(&mirror, &[openssl(), other()]).await;
    mirror.mirror().rejudge_scanned(true).await.expect("judged again");
    let desk = Desk::of(mirror);
    let image = format!("{NAME}@{digest}");
    let told = desk.run(&["explain", &image]).await;
    assert!(told.code == 0 && !told.stdout.contains("not shown"), "{told:?}");
    let page = Browser::signed_in(&desk).await.page(&format!("/images/{image}")).await;
    assert!(page.contains("CVE-2026-1") && !page.contains(MARK), "{page}");
}
