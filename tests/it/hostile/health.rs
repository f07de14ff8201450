//! Upstreams that are away or ration what they give.

use std::time::Duration;

use crate::support::hostile::Fault;
use crate::support::hostile::rig::Rig;
use crate::support::upstream::Image;
use hyper::Method;

/// What `GET /metrics` says.
async fn metrics(rig: &Rig) -> String {
    super::admin(rig, "/metrics", "").await
}

#[tokio::test]
async fn an_upstream_away_for_an_hour_is_asked_every_ten_seconds_and_missed_by_nobody() {
    let rig = Rig::start_with(|settings, _| settings.upstream.limits.breaker_failures = 5).await;
    rig.upstream.push("open/new", "1", &Image::new().layer("new").build());
    rig.upstream.go_away();
    let mut opened = None;
    for second in (0..3_600).step_by(5) {
        let warm = rig.manifest("open/warm", "1").await;
        assert_eq!(warm.status, 200, "at {second} s");
        assert!(warm.header("warning").contains("as last known"), "{warm:?}");
        assert_eq!(rig.manifest("open/new", "1").await.status, 503);
        let is_open =
            metrics(&rig).await.contains("pratique_upstream_resting{registry=\"up.test\"} 1");
        if is_open && opened.is_none() {
            opened = Some((second, rig.upstream.connections()));
        }
        rig.mirror.clock.advance(Duration::from_secs(5));
    }
    let (since, before) = opened.expect("an upstream that failed so often is given a rest");
    assert!(since <= 5, "after {since} s");
    let probes = rig.upstream.connections() - before;
    assert!(probes <= 360, "{probes} connections in an hour");
    assert!(probes >= 350, "{probes} connections: it must not be forgotten either");
    let stale = rig.mirror.mirror().metrics().stale_tags.value();
    assert!(stale >= 720, "{stale} stale answers were counted");
    rig.check().await;
    rig.upstream.come_back();
    rig.later();
    assert!(rig.pull("open/new", "1").await);
    let warm = rig.manifest("open/warm", "1").await;
    assert!(warm.headers.get("warning").is_none(), "{warm:?}");
    rig.check().await;
}

#[tokio::test]
async fn asking_again_for_a_tag_uses_up_no_pull() {
    let rig = Rig::start().await;
    for _ in 0..20 {
        assert!(rig.pull("open/warm", "1").await);
    }
    assert_eq!(rig.upstream.count("GET /v2/open/warm/manifests/"), 1, "Docker Hub counts these");
    assert!(rig.upstream.count("HEAD /v2/open/warm/manifests/1") >= 20, "and not these");
}

#[tokio::test]
async fn a_rate_limit_is_shown_with_the_time_at_which_it_runs_out() {
    let rig = Rig::start().await;
    rig.upstream.set_header("ratelimit-limit", "100;w=21600");
    for pull in 0..30 {
        rig.upstream.set_header("ratelimit-remaining", &format!("{};w=21600", 99 - pull));
        let repository = format!("open/app-{pull}");
        rig.upstream.push(&repository, "1", &Image::new().layer(repository.clone()).build());
        assert!(rig.pull(&repository, "1").await);
        rig.mirror.clock.advance(Duration::from_mins(1));
    }
    let status = &rig.mirror.mirror().client().status()[0];
    let limit = status.rate_limit.expect("a limit");
    assert_eq!((limit.limit, limit.remaining), (100, 70));
    let now = pratique::time::Clock::now(&rig.mirror.clock);
    let left = status.rate_exhausted_at.expect("a forecast").since(now);
    let (least, most) = (Duration::from_mins(65), Duration::from_mins(80));
    assert!(least < left && left < most, "70 at one a minute, not {left:?}");
    let text = metrics(&rig).await;
    for line in [
        "pratique_upstream_rate_limit{registry=\"up.test\"} 100\n",
        "pratique_upstream_rate_remaining{registry=\"up.test\"} 70\n",
        "pratique_upstream_rate_window_seconds{registry=\"up.test\"} 21600\n",
        "pratique_upstream_rate_exhausted_in_seconds{registry=\"up.test\"} 4",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_told_to_nodes_and_what_is_cached_serves_on() {
    for after in ["5", "1000000000", "Fri, 20 Nov 2026 10:30:00 GMT"] {
        let rig = Rig::start().await;
        rig.upstream.push("open/new", "1", &Image::new().layer("new").build());
        rig.upstream.plan("/v2/", Fault::Status(429, Some(after.to_owned())));
        for _ in 0..10 {
            let answer = rig.manifest("open/new", "1").await;
            assert_eq!(
                (answer.status, answer.error()["code"].as_str()),
                (503, Some("TOOMANYREQUESTS"))
            );
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=900).contains(&wait), "{after}: {wait}");
            assert_eq!(rig.ask(Method::HEAD, "open/warm/manifests/1", &[]).await.status, 200);
        }
        assert_eq!(rig.upstream.entries_of("/v2/").iter().filter(|it| it.is_faulted).count(), 1);
        rig.check().await;
        rig.upstream.heal();
        rig.later();
        assert!(rig.pull("open/new", "1").await);
        rig.check().await;
    }
}

#[tokio::test]
async fn an_upstream_that_flaps_is_tried_three_times_and_one_that_is_broken_rests() {
    let rig = Rig::start_with(|settings, _| settings.upstream.limits.breaker_failures = 6).await;
    rig.upstream.push("open/new", "1", &Image::new().layer("new").build());
    rig.upstream.plan_times("HEAD /v2/open/new/", 2, Fault::Status(503, None));
    assert!(rig.pull("open/new", "1").await, "two failures are no failure");
    rig.upstream.push("open/other", "1", &Image::new().layer("other").build());
    rig.upstream.plan("/v2/", Fault::Status(503, None));
    for _ in 0..20 {
        assert!(!rig.pull("open/other", "1").await);
    }
    let asked = rig.upstream.entries_of("/v2/open/other").len();
    assert_eq!(asked, 6, "then it rests");
    rig.check().await;
}
