//! What runs and could be newer.

use std::time::Duration;

use serde_json::{Value, json};

use super::Desk;
use crate::support::mirror::TestMirror;
use crate::support::upstream::Fault;
use crate::web::Browser;

/// The newer versions that are told of the image `tag`: step, tag and state.
fn newer(view: &Value, tag: &str) -> Vec<(String, String, String)> {
    let images = view["images"].as_array().expect("images");
    let image = images.iter().find(|image| image["tag"] == tag);
    let versions = image.map_or(&[][..], |image| image["newer"].as_array().expect("versions"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let told = versions.iter().map(|it| (text(&it["step"]), text(&it["tag"]), text(&it["state"])));
    told.collect()
}

fn told(step: &str, tag: &str, state: &str) -> (String, String, String) {
    (step.to_owned(), tag.to_owned(), state.to_owned())
}

#[tokio::test]
async fn what_was_served_is_compared_with_what_upstream_has_in_its_line() {
    let desk = Desk::start().await;
    for tag in ["1.4.2", "1.4.9", "1.4.10", "1.5.0", "2.0.0", "1.6.0-rc.1", "1.4.11-alpine"] {
        desk.push("open/app", tag, tag);
    }
    desk.push("open/app", "latest", "latest");
    desk.push("asked/app", "7.4", "old");
    desk.push("asked/app", "7.5", "new");
    desk.mirror.pull("open/app", "1.4.2").await.assert_complete();
    desk.mirror.pull("open/app", "latest").await.assert_complete();
    desk.mirror.pull("asked/app", "7.4").await.assert_refused("Pending");
    assert_eq!(desk.decide("/api/v1/approvals", "up.test/asked/app:7.4").await.status, 200);
    desk.mirror.pull("asked/app", "7.4").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;

    let view = desk.get("/api/v1/outdated").await.json();
    assert_eq!((&view["in_use"], &view["without_version"]), (&json!(3), &json!(1)), "{view}");
    let expected = [
        told("patch", "1.4.10", "unseen"),
        told("minor", "1.5.0", "unseen"),
        told("major", "2.0.0", "unseen"),
    ];
    assert_eq!(newer(&view, "1.4.2"), expected);
    assert_eq!(newer(&view, "7.4"), [told("minor", "7.5", "unseen")]);
    assert_eq!(desk.mirror.mirror().metrics().outdated_images.value(), 2);

    // What is asked for is known the next time, and upstream is not asked for its tags again.
    desk.mirror.pull("open/app", "1.4.10").await.assert_complete();
    desk.mirror.pull("asked/app", "7.5").await.assert_refused("Pending");
    let before = desk.mirror.upstream.requests().len();
    let view = desk.get("/api/v1/outdated?days=7").await.json();
    assert_eq!(desk.mirror.upstream.requests().len(), before);
    assert_eq!(newer(&view, "1.4.2")[0], told("patch", "1.4.10", "admitted"));
    assert_eq!(newer(&view, "7.4"), [told("minor", "7.5", "pending")]);
    let command = desk.run(&["outdated", "--exit-code"]).await;
    assert_eq!(command.code, 3, "{command:?}");
    for said in ["up.test/asked/app:7.4", "pending R-2", "1.4.10", "2 of 3 images"] {
        assert!(command.stdout.contains(said), "{said}: {command:?}");
    }
    let page = Browser::signed_in(&desk).await.page("/outdated").await;
    for said in ["up.test/asked/app:7.4", "/requests/R-2", "1.4.10", "2 of 3 images"] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn a_tag_that_moved_on_is_newer_than_what_still_runs_and_what_rests_is_not_told() {
    let desk = Desk::start().await;
    let old = desk.push("open/app", "1.0.0", "old");
    desk.mirror.pull("open/app", "1.0.0").await.assert_complete();
    desk.push("open/app", "1.0.0", "new");
    desk.mirror.clock.advance(Duration::from_mins(2));
    desk.mirror.pull("open/app", "1.0.0").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    let view = desk.get("/api/v1/outdated").await.json();
    assert_eq!(view["images"].as_array().map(Vec::len), Some(1), "{view}");
    assert_eq!(view["images"][0]["digest"], old.to_string());
    assert_eq!(newer(&view, "1.0.0"), [told("same-tag", "1.0.0", "admitted")]);
    desk.mirror.clock.advance(Duration::from_hours(24 * 40));
    let view = desk.get("/api/v1/outdated").await.json();
    assert_eq!((&view["in_use"], &view["images"]), (&json!(0), &json!([])), "{view}");
    for days in ["0", "366", "x", "-1"] {
        assert_eq!(desk.get(&format!("/api/v1/outdated?days={days}")).await.status, 400, "{days}");
    }
}

#[tokio::test]
async fn a_registry_that_lists_no_tags_is_told_and_the_rest_is_there() {
    let desk = Desk::start().await;
    desk.push("open/app", "1.0.0", "one");
    desk.mirror.pull("open/app", "1.0.0").await.assert_complete();
    desk.mirror.mirror().ledger().flush().await;
    desk.mirror.upstream.fault("tags/list", Fault::Status(500));
    let view = desk.get("/api/v1/outdated").await.json();
    assert_eq!(view["not_listed"].as_array().map(Vec::len), Some(1), "{view}");
    assert!(view["not_listed"][0].as_str().is_some_and(|it| it.contains("up.test/open/app")));
}

#[tokio::test]
async fn what_runs_of_a_line_that_ends_is_told_and_nothing_is_refused_for_it() {
    let line = |pattern: &str, line: &str, ends: &str| {
        let ends = format!("{ends}T00:00:00Z").parse().unwrap();
        pratique::mirror::LineEnd::new(pattern.parse().unwrap(), line, ends).unwrap()
    };
    // The clock of the tests begins on 2026-11-20.
    let lifecycle = vec![
        line("up.test/open/*", "6.2", "2026-11-19"),
        line("up.test/open/app", "7", "2026-11-20"),
        line("up.test/open/app", "8", "2027-02-01"),
        line("up.test/open/app", "9", "2028-01-01"),
    ];
    let policy = format!("rules:\n{}", super::RULES);
    let mirror = TestMirror::start_with(&policy, |settings| settings.mirror.lifecycle = lifecycle);
    let desk = Desk::of(mirror.await);
    for tag in ["6.2.14-alpine", "7.0", "8.1", "9.0"] {
        desk.push("open/app", tag, tag);
        desk.mirror.pull("open/app", tag).await.assert_complete();
    }
    desk.mirror.mirror().ledger().flush().await;
    let view = desk.get("/api/v1/outdated").await.json();
    let told: Vec<_> = view["ending"].as_array().expect("lines").iter().collect();
    let told: Vec<_> = told.iter().map(|it| (&it["tag"], &it["line"], &it["ended"])).collect();
    let expected = [
        (&json!("6.2.14-alpine"), &json!("6.2"), &json!(true)),
        (&json!("7.0"), &json!("7"), &json!(false)),
        (&json!("8.1"), &json!("8"), &json!(false)),
    ];
    assert_eq!(told, expected, "{view}");
    assert_eq!(desk.mirror.mirror().metrics().ended_images.value(), 1);
    let command = desk.run(&["outdated", "--exit-code"]).await;
    assert_eq!(command.code, 3, "{command:?}");
    for said in ["line 6.2 is mended no more since 2026-11-19", "line 8 is mended until 2027-02-01"]
    {
        assert!(command.stdout.contains(said), "{said}: {command:?}");
    }
    let page = Browser::signed_in(&desk).await.page("/outdated").await;
    for said in ["Lines at their end", "up.test/open/app:6.2.14-alpine", "2027-02-01"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    desk.mirror.pull("open/app", "6.2.14-alpine").await.assert_complete();
}
