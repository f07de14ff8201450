//! Token services that do not do their service.

use std::time::Duration;

use bytes::Bytes;
use pratique::upstream::{CredentialSettings, CredentialSource, RegistrySettings};
use tempfile::TempDir;

use crate::support::hostile::rig::{PASSWORD, Rig};
use crate::support::hostile::{Auth, Fault};
use crate::support::upstream::Image;

/// Configures the login `user` with `password` for the repositories of `pattern`.
pub(super) fn login(
    registry: &mut RegistrySettings,
    folder: &TempDir,
    pattern: &str,
    password: &str,
) {
    let number = registry.credentials.len();
    let file = |name: &str| folder.path().join(format!("{name}-{number}"));
    std::fs::write(file("user"), "user\n").expect("a file");
    std::fs::write(file("password"), password).expect("a file");
    registry.credentials.push(CredentialSettings {
        pattern: Some(pattern.to_owned()),
        source: CredentialSource::Files { username: file("user"), password: file("password") },
    });
}

/// A rig whose upstream wants tokens, for `open/private/**` with a login.
async fn with_tokens(folder: &TempDir) -> Rig {
    let rig = Rig::start_with(|_, registry| {
        login(registry, folder, "open/private/**", PASSWORD);
    })
    .await;
    rig.upstream.set_auth(Auth::Token(rig.upstream.realm()));
    rig.upstream.set_logins(&[("user", PASSWORD)]);
    rig
}

/// Pulls an image while the token service has `fault`; it has to fail, and to work later.
async fn fails_with(rig: &Rig, number: usize, fault: Fault) {
    let repository = format!("open/private/app-{number}");
    rig.upstream.push(&repository, "1", &Image::new().layer(repository.clone()).build());
    rig.upstream.plan("/token", fault.clone());
    assert!(!rig.pull(&repository, "1").await, "{fault:.60?}");
    rig.check().await;
    rig.upstream.heal();
    rig.later();
    assert!(rig.pull(&repository, "1").await, "{fault:.60?} spoils later pulls");
    rig.check().await;
}

#[tokio::test]
async fn a_token_service_that_fails_stalls_drips_or_floods_is_a_failure_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_tokens(&folder).await;
    let faults = [
        Fault::Status(500, None),
        Fault::Status(429, Some("3".to_owned())),
        Fault::Silence,
        Fault::SlowBody(1, Duration::from_millis(200)),
        Fault::SlowHead(Duration::from_millis(200)),
        Fault::Body(format!(r#"{{"token":"{}"}}"#, "x".repeat(10 << 20)).into()),
        Fault::EndlessBody,
        Fault::GzipBomb,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        fails_with(&rig, number, fault).await;
    }
}

#[tokio::test]
async fn a_token_that_is_no_token_reaches_no_header() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_tokens(&folder).await;
    let bodies = [
        "<html>sign in</html>",
        "",
        "{}",
        r#"{"token":"x\r\nX-Evil: 1"}"#,
        r#"{"token":"x","token":"y"}"#,
        r#"{"token":["x"]}"#,
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        fails_with(&rig, number, Fault::Body(Bytes::from_static(body.as_bytes()))).await;
    }
    assert!(rig.upstream.entries().iter().all(|entry| entry.header("x-evil").is_none()));
}

#[tokio::test]
async fn a_login_goes_nowhere_that_the_token_service_or_the_challenge_points_to() {
    let leads: [fn(&Rig) -> String; 5] = [
        |rig| rig.elsewhere.realm(),
        |rig| rig.elsewhere.realm().replace("127.0.0.1", "localhost"),
        |rig| rig.elsewhere.realm().replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        |_| "http://169.254.169.254/token".to_owned(),
        |rig| format!("{}@{}/token", rig.upstream.url(), rig.elsewhere.host()),
    ];
    for lead in leads {
        let folder = tempfile::tempdir().unwrap();
        let rig = with_tokens(&folder).await;
        let image = Image::new().layer("led").build();
        rig.upstream.push("open/private/led", "1", &image);
        rig.upstream.set_auth(Auth::Token(lead(&rig)));
        assert!(!rig.pull("open/private/led", "1").await);
        rig.check().await;
        rig.upstream.set_auth(Auth::Token(rig.upstream.realm()));
        fails_with(&rig, 0, Fault::Redirect(lead(&rig))).await;
        for entry in rig.upstream.entries() {
            let shown = entry.authorization().unwrap_or_default();
            let is_token = entry.target.starts_with("/token?");
            assert!(is_token || !shown.starts_with("Basic "), "shown to {}", entry.line());
        }
    }
}

#[tokio::test]
async fn no_secret_of_an_upstream_comes_out_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_tokens(&folder).await;
    let (good, bad) = ("open/private/good", "open/private/bad");
    for repository in [good, bad] {
        rig.upstream.push(repository, "1", &Image::new().layer(repository).build());
    }
    assert!(rig.pull(good, "1").await);
    rig.upstream.set_logins(&[("user", "changed")]);
    rig.later();
    assert!(!rig.pull(bad, "1").await);
    let token = std::fs::read_to_string(rig.mirror.folder().join("data/admin.token")).unwrap();
    let mut said = vec![rig.log()];
    for path in
        ["/metrics", "/api/v1/status", "/api/v1/audit", "/api/v1/requests", "/api/v1/policy"]
    {
        let text = super::admin(&rig, path, &token).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
        said.push(text);
    }
    said.push(format!("{:?}", rig.mirror.mirror().client().status()));
    let shown = rig.upstream.entries();
    let shown: Vec<_> = shown.iter().filter_map(|entry| entry.authorization()).collect();
    assert!(shown.iter().any(|it| it.starts_with("Basic ")) && shown.len() > 2, "{shown:?}");
    let secrets = shown.iter().filter_map(|it| it.split_once(' ')).map(|(_, secret)| secret);
    for secret in secrets.chain([PASSWORD, token.trim()]) {
        assert!(said.iter().all(|said| !said.contains(secret)), "{secret} came out");
    }
    rig.check().await;
}

#[tokio::test]
async fn the_lifetime_of_a_token_may_be_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let rig = with_tokens(&folder).await;
    for (number, lifetime) in
        ["-1", "1000000000000000000", "1e400", "\"x\"", "0"].iter().enumerate()
    {
        let repository = format!("open/private/app-{number}");
        rig.upstream.push(&repository, "1", &Image::new().layer(repository.clone()).build());
        let token = format!("token.{}.1", hex::encode(&repository));
        let body = format!(r#"{{"token":"{token}","expires_in":{lifetime}}}"#);
        rig.upstream.plan("/token", Fault::Body(body.into()));
        let came = rig.pull(&repository, "1").await;
        assert!(came || *lifetime == "1e400", "{lifetime}");
        rig.upstream.heal();
        rig.check().await;
    }
}
