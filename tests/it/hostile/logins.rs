//! Passwords that are wrong, or right for something else.

use futures_util::future::join_all;
use std::time::Duration;

use hyper::Method;
use tempfile::TempDir;

use super::tokens::login;
use crate::support::hostile::rig::{PASSWORD, Rig};
use crate::support::hostile::{Auth, Fault};
use crate::support::upstream::Image;

/// What the upstream takes instead.
const RIGHT: &str = "another-password";

/// A rig with a wrong login for `open/private/**` and a right one for `open/other/**`.
async fn with_wrong_login(folder: &TempDir, is_token: bool) -> Rig {
    let rig = Rig::start_with(|_, registry| {
        login(registry, folder, "open/private/**", PASSWORD);
        login(registry, folder, "open/other/**", RIGHT);
    })
    .await;
    require(&rig, is_token, RIGHT);
    rig
}

fn require(rig: &Rig, is_token: bool, password: &'static str) {
    if is_token {
        rig.upstream.set_auth(Auth::Token(rig.upstream.realm()));
        rig.upstream.set_logins(&[("user", password)]);
    } else {
        rig.upstream.set_auth(Auth::Basic("open/", "user", password));
    }
}

/// How often a login was shown.
fn logins_shown(rig: &Rig) -> usize {
    let entries = rig.upstream.entries();
    let basic = |shown: &str| shown.starts_with("Basic ");
    entries.iter().filter(|entry| entry.authorization().is_some_and(basic)).count()
}

fn push(rig: &Rig, repository: &str) {
    rig.upstream.push(repository, "1", &Image::new().layer(repository.to_owned()).build());
}

#[tokio::test]
async fn a_wrong_password_is_shown_once_however_many_ask() {
    for is_token in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let rig = with_wrong_login(&folder, is_token).await;
        let repositories: Vec<_> = (0..40).map(|it| format!("open/private/app-{it}")).collect();
        for repository in &repositories {
            push(&rig, repository);
        }
        let pulls = repositories.iter().map(|repository| rig.pull(repository, "1"));
        assert!(join_all(pulls).await.iter().all(|came| !came));
        assert_eq!(logins_shown(&rig), 1, "with tokens: {is_token}");
        assert_eq!(rig.mirror.mirror().client().status()[0].credentials_refused, 1);
        push(&rig, "open/other/app");
        assert!(rig.pull("open/other/app", "1").await, "the other credential is not touched");
        rig.check().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_ever_more_rarely_and_a_changed_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_wrong_login(&folder, true).await;
    push(&rig, "open/private/app");
    for _ in 0..60 {
        rig.ask(Method::HEAD, "open/private/app/manifests/1", &[]).await;
        rig.mirror.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(logins_shown(&rig), 4, "at 0, 5, 15 and 35 minutes");
    for _ in 0..24 * 6 {
        rig.ask(Method::HEAD, "open/private/app/manifests/1", &[]).await;
        rig.mirror.clock.advance(Duration::from_mins(10));
    }
    assert!(logins_shown(&rig) <= 4 + 24, "{}", logins_shown(&rig));
    std::fs::write(folder.path().join("password-0"), RIGHT).unwrap();
    assert!(rig.pull("open/private/app", "1").await);
    rig.check().await;
}

#[tokio::test]
async fn asking_for_what_is_not_ours_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_wrong_login(&folder, true).await;
    rig.upstream.set_logins(&[("user", PASSWORD)]);
    push(&rig, "open/private/secret");
    push(&rig, "open/private/app");
    let secret = "scope=repository%3Aopen%2Fprivate%2Fsecret%3Apull";
    rig.upstream.plan(secret, Fault::Status(403, None));
    for _ in 0..10 {
        assert!(!rig.pull("open/private/secret", "1").await);
    }
    assert_eq!(rig.upstream.count(secret), 1, "the repository rests");
    assert!(rig.pull("open/private/app", "1").await, "and nobody else");
    for _ in 0..10 {
        assert!(!rig.pull("open/private/secret", "1").await);
        rig.mirror.clock.advance(Duration::from_mins(2));
        assert!(rig.pull("open/private/app", "1").await);
        push(&rig, "open/private/app");
    }
    rig.check().await;
}

#[tokio::test]
async fn what_is_cached_serves_on_while_the_password_is_wrong_and_says_so() {
    for is_token in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let rig = with_wrong_login(&folder, is_token).await;
        require(&rig, is_token, PASSWORD);
        push(&rig, "open/private/app");
        assert!(rig.pull("open/private/app", "1").await);
        // The password expires upstream; tokens run out.
        require(&rig, is_token, RIGHT);
        rig.later();
        for _ in 0..5 {
            assert!(rig.pull("open/private/app", "1").await, "with tokens: {is_token}");
            let answer = rig.manifest("open/private/app", "1").await;
            assert!(answer.header("warning").contains("as last known"), "{answer:?}");
        }
        rig.check().await;
    }
}
