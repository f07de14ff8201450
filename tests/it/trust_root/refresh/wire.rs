//! The way there: addresses, time, proxies, TLS.

use std::time::{Duration, Instant};

use super::{Bench, newer_root, root, run_with};
use crate::support::certs::{Authority, Validity};
use crate::support::proxy::FakeProxy;
use crate::support::tuf::Answer;

#[test]
fn a_repository_that_does_not_answer_is_not_waited_for() {
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    bench.tuf.server.say("/timestamp.json", Answer::Stalled(b"{".to_vec()));
    let since = Instant::now();
    bench.fails(2, &["did not answer in time (body)"]);
    assert!(since.elapsed() < Duration::from_mins(1), "{:?}", since.elapsed());
}

#[test]
fn what_is_not_an_answer_is_no_news() {
    let mut bench = Bench::refreshed();
    bench.offer(&newer_root());
    let status = |status, header: &str| Answer::Status(status, header.to_owned());
    for (path, answer, text) in [
        ("/2.root.json", status("500 Oh", "X: y"), "its answer to 2.root.json is 500"),
        ("/2.root.json", status("429 Slow", "X: y"), "its answer to 2.root.json is 429"),
        ("/timestamp.json", status("403 No", "X: y"), "its answer to timestamp.json is 403"),
        (
            "/timestamp.json",
            status("302 Found", "Location: http://169.254.169.254/latest"),
            "its answer to timestamp.json is 302 Found, and redirects are not followed",
        ),
        ("/2.snapshot.json", status("404 No", "X: y"), "it has no 2.snapshot.json"),
        ("/timestamp.json", status("200 OK", "Content-Encoding: gzip"), "sent encoded content"),
    ] {
        let files = bench.tuf.server.files();
        bench.tuf.server.say(path, answer);
        bench.fails(2, &["nothing was taken from ", text]);
        bench.tuf.server.restore(files);
    }
    // Storage services say 403 of what they do not have: no newer root.
    bench.tuf.server.say("/2.root.json", status("403 Forbidden", "X: y"));
    bench.takes(&newer_root());
    let url = bench.tuf.server.url();
    drop(std::mem::replace(&mut bench.tuf.server, crate::support::tuf::Server::start()));
    let to = bench.path("other.json");
    let ran = super::run(&["refresh", "--url", &url, "--to", &to]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("nothing was taken from {url}: connection to")),
        "{ran:?}"
    );
}

#[test]
fn what_is_not_sigstores_is_not_sigstores_wherever_it_comes_from() {
    let bench = Bench::new();
    let (url, to) = (bench.tuf.server.url(), bench.path("public.json"));
    for instance in ["public-good", "staging"] {
        let ran = super::run(&["refresh", instance, "--url", &url, "--to", &to]);
        assert_eq!(ran.code, 3, "{ran:?}");
        let expected = "signature threshold not met for role timestamp: 0/1 valid signatures";
        assert!(ran.stderr.contains(expected), "{ran:?}");
        assert!(!bench.folder.path("public.json").exists());
        std::fs::remove_file(bench.folder.path("public.json.tuf")).unwrap();
    }
}

/// Runs it in the background, so that what it talks to can answer.
async fn refreshed(
    bench: &Bench,
    url: &str,
    more: &[&str],
    variables: &[(&str, &str)],
) -> super::Ran {
    let mut arguments = bench.arguments(more);
    arguments[4] = url.to_owned();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run_with(&arguments, &variables)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn https_is_spoken_to_who_has_a_certificate_of_an_authority_that_is_believed() {
    let bench = Bench::new();
    let (authority, other) = (Authority::generate(), Authority::generate());
    let address = bench.tuf.server.url().replace("http://", "");
    let server =
        crate::support::tls::Front::start(&authority.sign("tuf", Validity::Now), &address).await;
    let url = format!("https://{}", server.address());
    let ca = bench.folder.put("ca.pem", authority.pem());
    let wrong = bench.folder.put("other.pem", other.pem());
    for (more, code) in [(vec![], 2), (vec!["--ca-file", &wrong], 2), (vec!["--ca-file", &ca], 0)] {
        let ran = refreshed(&bench, &url, &more, &[]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        let refused = ran.stderr.contains("TLS connection to upstream");
        assert_eq!(
            (refused, bench.folder.path("corp.json").exists()),
            (code != 0, code == 0),
            "{ran:?}"
        );
    }
    let nothing = bench.folder.put("none.pem", "no certificate");
    let ran = refreshed(&bench, &url, &["--ca-file", &nothing], &[]).await;
    assert_eq!(ran.code, 64, "{ran:?}");
    assert_eq!(bench.folder.placed(), root());
}

#[tokio::test]
async fn proxies_of_the_environment_and_of_the_settings_are_used() {
    let bench = Bench::new();
    let authority = Authority::generate();
    let address = bench.tuf.server.url().replace("http://", "");
    let server =
        crate::support::tls::Front::start(&authority.sign("tuf", Validity::Now), &address).await;
    let proxy = FakeProxy::start(server.address().to_string()).await;
    let ca = bench.folder.put("ca.pem", authority.pem());
    let through = format!("http://{}", proxy.address());
    let url = "https://localhost:9";
    let ran = refreshed(&bench, url, &["--ca-file", &ca], &[("HTTPS_PROXY", &through)]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let heads = proxy.heads();
    assert!(
        !heads.is_empty() && heads.iter().all(|it| it.starts_with("CONNECT localhost:9 ")),
        "{heads:?}"
    );
    let settings = bench.folder.put("pratique.toml", format!("[proxy]\nhttps = {through:?}\n"));
    let ran = refreshed(&bench, url, &["--ca-file", &ca, "--config", &settings], &[]).await;
    assert_eq!((ran.code, proxy.heads().len() > heads.len()), (0, true), "{ran:?}");
    let direct = [("HTTPS_PROXY", through.as_str()), ("NO_PROXY", "localhost")];
    let ran = refreshed(&bench, url, &["--ca-file", &ca], &direct).await;
    assert_eq!(ran.code, 2, "{ran:?}");
}
