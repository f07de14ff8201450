//! Who gets to see a secret: the host it is for, and nobody else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pratique::oci::{Digest, Name};
use pratique::tasks::Tasks;
use pratique::time::{ManualClock, SystemClock, Timestamp};
use pratique::upstream::{
    Client, CredentialSettings, CredentialSource, Error, Limits, ProxySettings, RegistrySettings,
    Settings,
};
use serde_json::json;

use crate::support::client::{REPOSITORY, TestClient, name, pull, registry};
use crate::support::logs;
use crate::support::upstream::{Auth, FakeUpstream, Fault, Image, TokenService};

const USER: &str = "robot";
const PASSWORD: &str = "canary-pa55word";

/// Login files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(user: &str, password: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write(user, password);
        files
    }

    fn write(&self, user: &str, password: &str) {
        std::fs::write(self.user(), format!("{user}\n")).unwrap();
        std::fs::write(self.password(), format!("{password}\r\n")).unwrap();
    }

    fn user(&self) -> PathBuf {
        self.0.path().join("user")
    }

    fn password(&self) -> PathBuf {
        self.0.path().join("password")
    }
}

async fn with_image() -> (FakeUpstream, Digest) {
    let upstream = FakeUpstream::start().await;
    let image = Image::new().layer("layer").build();
    upstream.push(REPOSITORY, "1", &image);
    upstream.push("lib/other", "1", &image);
    (upstream, image.layer(0))
}

async fn resolve(client: &Client, name: &Name) -> Result<(), Error> {
    let resolved = client.resolve_tag(name, &"1".parse().unwrap()).await?;
    assert!(resolved.is_some());
    Ok(())
}

fn other_name() -> Name {
    Name::new(registry(), "lib/other".parse().unwrap())
}

#[tokio::test]
async fn a_basic_login_is_shown_after_the_challenge_and_then_at_once() {
    let (upstream, layer) = with_image().await;
    upstream.set_auth(Auth::Basic(USER, PASSWORD));
    let files = Files::new(USER, PASSWORD);
    let client = TestClient::of(&upstream).login(None, files.user(), files.password()).build();
    resolve(&client, &name()).await.unwrap();
    assert_eq!(pull(&client, &layer).await.unwrap(), b"layer");
    let shown: Vec<_> =
        upstream.requests().iter().map(|seen| seen.authorization().is_some()).collect();
    assert_eq!(shown, [false, true, true]);
}

#[tokio::test]
async fn an_open_upstream_never_sees_the_login() {
    let (upstream, layer) = with_image().await;
    let files = Files::new(USER, PASSWORD);
    let client = TestClient::of(&upstream).login(None, files.user(), files.password()).build();
    assert_eq!(pull(&client, &layer).await.unwrap(), b"layer");
    upstream.assert_no_credentials_seen();
}

#[tokio::test]
async fn a_token_is_fetched_once_for_twenty_callers_and_per_scope() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let client = TestClient::of(&upstream).build();
    let (here, other) = (name(), other_name());
    let all = (0..20).map(|_| resolve(&client, &here));
    for resolved in futures_util::future::join_all(all).await {
        resolved.unwrap();
    }
    assert_eq!(upstream.count("GET /token"), 1);
    resolve(&client, &other).await.unwrap();
    resolve(&client, &other).await.unwrap();
    let scopes: Vec<_> =
        upstream.requests_of("GET /token").into_iter().map(|seen| seen.query.unwrap()).collect();
    assert_eq!(
        scopes,
        [
            "service=fake%2Cregistry&scope=repository%3Alib%2Fapp%3Apull",
            "service=fake%2Cregistry&scope=repository%3Alib%2Fother%3Apull",
        ]
    );
    upstream.requests_of("GET /token").iter().for_each(|seen| assert!(!seen.carries_credentials()));
}

#[tokio::test]
async fn a_token_is_renewed_at_four_fifths_of_its_life_and_when_it_is_refused() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let mut client = TestClient::of(&upstream);
    client.clock = Arc::new(clock.clone());
    let client = client.build();
    for (seconds, fetches) in [(0, 1), (239, 1), (2, 2)] {
        clock.advance(Duration::from_secs(seconds));
        resolve(&client, &name()).await.unwrap();
        assert_eq!(upstream.count("GET /token"), fetches, "after {seconds} s more");
    }
    upstream.revoke_tokens();
    resolve(&client, &name()).await.unwrap();
    assert_eq!(upstream.count("GET /token"), 3);
}

#[tokio::test]
async fn a_login_goes_to_the_token_service_and_only_the_token_to_the_registry() {
    for post_only in [false, true] {
        let (upstream, layer) = with_image().await;
        let service = FakeUpstream::start().await;
        service.set_token_service(TokenService {
            login: Some((USER, PASSWORD)),
            field: "access_token",
            post_only,
            ..TokenService::default()
        });
        upstream.set_auth(Auth::Token { realm: service.realm() });
        let files = Files::new(USER, PASSWORD);
        let client = TestClient::of(&upstream)
            .with(|it| it.token_hosts = vec![service.host()])
            .login(None, files.user(), files.password())
            .build();
        assert_eq!(pull(&client, &layer).await.unwrap(), b"layer");
        assert_eq!(service.count("POST /token"), usize::from(post_only));
        for seen in upstream.requests() {
            assert!(seen.authorization().is_none_or(|value| value.starts_with("Bearer ")));
        }
    }
}

#[tokio::test]
async fn a_refresh_token_from_a_helper_goes_by_post() {
    let (upstream, layer) = with_image().await;
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let helper = Helper::new("<token>", "refresh-me");
    let client = TestClient::of(&upstream).with(|it| helper.configure(&mut it.credentials)).build();
    assert_eq!(pull(&client, &layer).await.unwrap(), b"layer");
    let body = upstream.requests_of("POST /token")[0].body.clone();
    assert!(
        body.contains("grant_type=refresh_token&") && body.contains("refresh_token=refresh-me")
    );
    assert_eq!(upstream.count("GET /token"), 0);
}

#[tokio::test]
async fn a_realm_elsewhere_gets_no_request() {
    let (upstream, layer) = with_image().await;
    let thief = FakeUpstream::start().await;
    let files = Files::new(USER, PASSWORD);
    let port = thief.host().rsplit_once(':').unwrap().1.to_owned();
    for realm in [
        thief.realm(),
        format!("https://{}/token", upstream.host()),
        format!("http://localhost:{port}/token"),
        "http://169.254.169.254/token".to_owned(),
        format!("http://{}@{}/token", upstream.host(), thief.host()),
        "/token".to_owned(),
        String::new(),
    ] {
        upstream.set_auth(Auth::Token { realm: realm.clone() });
        let client = TestClient::of(&upstream).login(None, files.user(), files.password()).build();
        let error = client.fetch_blob(&name(), &layer).await.unwrap_err();
        assert!(matches!(error, Error::RealmRefused { .. }), "{realm}: {error}");
    }
    assert_eq!(thief.connections(), 0);
    upstream.assert_no_credentials_seen();
}

#[tokio::test]
async fn a_token_host_by_plain_http_needs_the_dangerous_setting() {
    let upstream = FakeUpstream::start_tls().await;
    let service = FakeUpstream::start().await;
    upstream.set_auth(Auth::Token { realm: service.realm() });
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, upstream.ca_pem().unwrap()).unwrap();
    let client = TestClient::of(&upstream)
        .with(|it| {
            it.ca_file = Some(ca_file);
            it.token_hosts = vec![service.host()];
        })
        .build();
    let error = client.resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::RealmRefused { .. }), "{error}");
    assert_eq!(service.connections(), 0);
}

#[tokio::test]
async fn a_next_page_elsewhere_gets_no_request() {
    let (upstream, _) = with_image().await;
    let thief = FakeUpstream::start().await;
    upstream.set_auth(Auth::Basic(USER, PASSWORD));
    upstream.fault("/tags/list", Fault::Header("link", format!("<{}/x>; rel=next", thief.url())));
    let files = Files::new(USER, PASSWORD);
    let client = TestClient::of(&upstream).login(None, files.user(), files.password()).build();
    let error = client.list_tags(&name()).await.unwrap_err();
    assert!(matches!(error, Error::LinkElsewhere { .. }), "{error}");
    assert_eq!(thief.connections(), 0);
}

#[tokio::test]
async fn tokens_that_cannot_be_headers_are_refused() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let huge = json!({"token": "x".repeat(70 * 1024)}).to_string();
    for answer in ["{\"token\":\"a\\r\\nX-Evil: 1\"}", "<html>", "{}", "", huge.as_str()] {
        let answer = Some(answer.to_owned());
        upstream.set_token_service(TokenService { answer, ..TokenService::default() });
        let error = resolve(&TestClient::of(&upstream).build(), &name()).await.unwrap_err();
        let refused = matches!(error, Error::Malformed { .. } | Error::TooLarge { .. });
        assert!(refused, "{error}");
    }
    upstream.assert_no_credentials_seen();
}

#[tokio::test]
async fn credentials_belong_to_their_repositories() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let (narrow, wide) = (Files::new("narrow", "n"), Files::new("wide", "w"));
    let client = TestClient::of(&upstream)
        .login(Some("up.test/lib/app"), narrow.user(), narrow.password())
        .login(Some("lib/*"), wide.user(), wide.password())
        .build();
    resolve(&client, &name()).await.unwrap();
    resolve(&client, &other_name()).await.unwrap();
    let users: Vec<_> = upstream
        .requests_of("GET /token")
        .iter()
        .map(|seen| seen.authorization().unwrap().to_owned())
        .collect();
    assert_eq!(users, ["Basic bmFycm93Om4=", "Basic d2lkZTp3"]);
}

/// CVE-2026-103868, CVE-2019-10214: what one registry is shown, another never sees, not even for a
/// repository of the same name, behind a realm of the other, or under a name that begins alike.
#[tokio::test]
async fn each_of_two_registries_sees_its_own_login_and_its_own_tokens_only() {
    let (one, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let logins = [Files::new("one", "first-word"), Files::new("other", "second-word")];
    let registries = ["up.test", "up.test.other"];
    let image = Image::new().layer("layer").build();
    let mut settings = Vec::new();
    for ((upstream, files), registry) in [&one, &other].into_iter().zip(&logins).zip(registries) {
        upstream.push(REPOSITORY, "1", &image);
        upstream.set_auth(Auth::Token { realm: upstream.realm() });
        let source = CredentialSource::Files { username: files.user(), password: files.password() };
        let mut registry = RegistrySettings::new(registry.parse().unwrap(), upstream.url());
        registry.danger_plain_http = true;
        registry.credentials = vec![CredentialSettings { pattern: None, source }];
        settings.push(registry);
    }
    // A token that nobody could take for one of the other service.
    let token = format!("fake.7.{}", hex::encode(format!("repository:{REPOSITORY}:pull")));
    let answer = Some(json!({"token": token}).to_string());
    other.set_token_service(TokenService { answer, ..TokenService::default() });
    let build = |registries: Vec<RegistrySettings>| {
        let settings = Settings {
            registries,
            proxy: ProxySettings::default(),
            limits: Limits { retry_delay: Duration::from_millis(1), ..Limits::default() },
        };
        Client::new(settings, Arc::new(SystemClock), Tasks::new(), Arc::default()).unwrap()
    };
    let client = build(settings.clone());
    let names = registries.map(|it| Name::new(it.parse().unwrap(), REPOSITORY.parse().unwrap()));
    for name in names.iter().chain(&names) {
        resolve(&client, name).await.unwrap();
    }
    // Now one sends its clients to the token service of the other.
    one.set_auth(Auth::Token { realm: other.realm() });
    one.revoke_tokens();
    let error = resolve(&build(settings), &names[0]).await.unwrap_err();
    assert!(matches!(error, Error::RealmRefused { .. }), "{error}");

    let words = |upstream: &FakeUpstream| {
        let mut words: Vec<_> = upstream
            .requests()
            .iter()
            .filter_map(|seen| seen.authorization().map(str::to_owned))
            .collect();
        words.sort();
        words.dedup();
        words
    };
    let basic = |text: &str| {
        let coded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
        format!("Basic {coded}")
    };
    let (ours, theirs) = (words(&one), words(&other));
    assert!(ours.contains(&basic("one:first-word")), "{ours:?}");
    assert!(theirs.contains(&basic("other:second-word")), "{theirs:?}");
    assert!(ours.len() == 2 && theirs.len() == 2, "a login and a token each: {ours:?} {theirs:?}");
    assert!(ours.iter().all(|word| !theirs.contains(word)), "{ours:?} {theirs:?}");
}

#[tokio::test]
async fn a_refused_login_rests_alone_until_its_file_changes() {
    for by_token in [false, true] {
        let (upstream, _) = with_image().await;
        if by_token {
            let login = Some((USER, PASSWORD));
            upstream.set_token_service(TokenService { login, ..TokenService::default() });
            upstream.set_auth(Auth::Token { realm: upstream.realm() });
        } else {
            upstream.set_auth(Auth::Basic(USER, PASSWORD));
        }
        let (wrong, right) = (Files::new(USER, "wrong"), Files::new(USER, PASSWORD));
        let client = TestClient::of(&upstream)
            .login(Some("lib/app"), wrong.user(), wrong.password())
            .login(Some("lib/other"), right.user(), right.password())
            .build();
        for _ in 0..5 {
            let error = resolve(&client, &name()).await.unwrap_err();
            assert!(matches!(error, Error::LoginRefused { .. }), "{error}");
        }
        let shown = upstream
            .requests()
            .into_iter()
            .filter(|seen| seen.authorization().is_some_and(|value| value.starts_with("Basic ")));
        assert_eq!(shown.count(), 1, "a wrong password is shown once");
        resolve(&client, &other_name()).await.unwrap();
        wrong.write(USER, PASSWORD);
        resolve(&client, &name()).await.unwrap();
    }
}

#[tokio::test]
async fn changed_files_are_used_when_the_old_login_is_refused() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Basic(USER, PASSWORD));
    let files = Files::new(USER, PASSWORD);
    let client = TestClient::of(&upstream).login(None, files.user(), files.password()).build();
    resolve(&client, &name()).await.unwrap();
    upstream.set_auth(Auth::Basic(USER, "next-pa55word"));
    files.write(USER, "next-pa55word");
    resolve(&client, &name()).await.unwrap();
}

#[tokio::test]
async fn a_missing_login_file_is_an_error_and_not_anonymous_access() {
    let (upstream, _) = with_image().await;
    let client =
        TestClient::of(&upstream).login(None, "/nowhere/u".into(), "/nowhere/p".into()).build();
    let error = resolve(&client, &name()).await.unwrap_err();
    assert!(matches!(error, Error::Credentials { .. }), "{error}");
    upstream.assert_untouched();
}

/// A credential helper that counts its calls.
struct Helper(tempfile::TempDir);

impl Helper {
    fn new(user: &str, secret: &str) -> Self {
        Self::script(&format!(
            "cat > \"$0.asked\"; echo x >> \"$0.calls\"\n\
             echo '{{\"ServerURL\":\"x\",\"Username\":\"{user}\",\"Secret\":\"{secret}\"}}'"
        ))
    }

    fn script(body: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let helper = Self(tempfile::tempdir().unwrap());
        std::fs::write(helper.path(), format!("#!/bin/sh\n{body}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(helper.path(), mode).unwrap();
        helper
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("docker-credential-test")
    }

    fn side_file(&self, name: &str) -> String {
        let path = Path::new(&self.path()).with_extension(name);
        std::fs::read_to_string(path).unwrap_or_default()
    }

    fn configure(&self, credentials: &mut Vec<CredentialSettings>) {
        let source = CredentialSource::Helper(self.path().display().to_string());
        credentials.push(CredentialSettings { pattern: None, source });
    }
}

#[tokio::test]
async fn a_helper_is_asked_once_in_a_while() {
    let (upstream, _) = with_image().await;
    upstream.set_auth(Auth::Basic(USER, PASSWORD));
    let helper = Helper::new(USER, PASSWORD);
    let clock = ManualClock::at(Timestamp::from_milliseconds(0));
    let mut client = TestClient::of(&upstream).with(|it| helper.configure(&mut it.credentials));
    client.clock = Arc::new(clock.clone());
    let client = client.build();
    let here = name();
    for resolved in futures_util::future::join_all((0..10).map(|_| resolve(&client, &here))).await {
        resolved.unwrap();
    }
    assert_eq!(helper.side_file("calls").lines().count(), 1);
    assert_eq!(helper.side_file("asked"), "up.test");
    clock.advance(Duration::from_secs(61));
    resolve(&client, &here).await.unwrap();
    assert_eq!(helper.side_file("calls").lines().count(), 2);
}

#[tokio::test]
async fn a_helper_that_fails_hangs_or_floods_is_an_error_in_time() {
    let (upstream, _) = with_image().await;
    for script in ["exit 1", "sleep 100", "exec cat /dev/zero", "echo '{}'", "echo nonsense"] {
        let helper = Helper::script(script);
        let client = TestClient::of(&upstream)
            .with(|it| helper.configure(&mut it.credentials))
            .limits(|limits| limits.helper_timeout = Duration::from_millis(300))
            .build();
        let error = resolve(&client, &name()).await.unwrap_err();
        assert!(matches!(error, Error::Credentials { .. }), "{script}: {error}");
    }
    upstream.assert_untouched();
}

#[tokio::test]
async fn no_secret_and_no_query_is_logged_or_shown() {
    let log = logs::capture();
    let (upstream, layer) = with_image().await;
    let cdn = FakeUpstream::start().await;
    cdn.put_file("/x", "layer");
    let login = Some((USER, PASSWORD));
    upstream.set_token_service(TokenService { login, ..TokenService::default() });
    upstream.set_auth(Auth::Token { realm: upstream.realm() });
    let signed = format!("{}/x?signature=canary-signature", cdn.url());
    upstream.fault("/blobs/", Fault::Redirect(307, signed));
    cdn.fault_times("/x", 1, Fault::CutAfter(2));
    let files = Files::new(USER, PASSWORD);
    let settings = || TestClient::of(&upstream).login(None, files.user(), files.password());
    let client = settings().with(|it| it.redirect_hosts = vec![cdn.host()]).build();
    assert_eq!(pull(&client, &layer).await.unwrap(), b"layer");
    let refused = settings().build().fetch_blob(&name(), &layer).await.unwrap_err();
    files.write(USER, "canary-wrong");
    upstream.revoke_tokens();
    let login = resolve(&client, &name()).await.unwrap_err();
    let shown = format!("{}{client:?}{refused:?}{refused}{login:?}{login}", log.text());
    assert!(log.text().contains("credentials were refused"), "the log is captured");
    for canary in [PASSWORD, "canary", "fake.1."] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}
