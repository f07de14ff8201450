//! How an adapter is asked, and what it may do to who asks it.

use std::time::{Duration, Instant};

use pratique::adapter::{HarborError, HarborScanner, HarborSettings};
use pratique::oci::{Digest, MediaType, Secret};
use pratique::scan::{Fix, HARBOR_REPORT_BYTES_MAX, Reported, Severity};
use pratique::tasks::Tasks;
use pratique::time::SystemClock;
use serde_json::{Value, json};

use super::fake::{
    FakeAdapter, IMAGE_LOGIN, LOGIN, METADATA, REPORT, REPORT_TYPE, SCAN, Says, job, metadata,
    report, scanner, settings,
};

fn digest() -> Digest {
    Digest::sha256(b"a manifest")
}

async fn adapter() -> FakeAdapter {
    FakeAdapter::start(&digest()).await
}

async fn scan(adapter: &FakeAdapter) -> Result<Reported, HarborError> {
    scanner(settings(adapter)).scan(&job(&digest())).await
}

/// An error with its causes, as a log shows it.
fn whole(error: &HarborError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn an_adapter_is_asked_as_harbor_asks_it() {
    let adapter = adapter().await;
    let found = json!([{"id": "CVE-2026-1", "package": "openssl", "version": "3.0.11-1",
        "fix_version": "3.0.13-1", "severity": "High"}]);
    let ready = Says::json(200, REPORT_TYPE, &report(&digest(), &found));
    adapter.say(REPORT, [Says::not_ready("1"), Says::not_ready("nonsense"), ready]);
    let reported = scan(&adapter).await.unwrap();
    assert_eq!(reported.scanner, "Trivy 0.76.0");
    assert_eq!(reported.database, Some("2026-11-20T06:00:00Z".parse().unwrap()));
    assert_eq!(reported.at, "2026-11-20T09:59:00Z".parse().unwrap());
    let [finding] = reported.findings.as_slice() else { panic!("{reported:?}") };
    assert_eq!((finding.id.as_str(), finding.severity), ("CVE-2026-1", Some(Severity::High)));
    assert_eq!(finding.fix, Fix::In("3.0.13-1".to_owned()));
    let got = adapter.got();
    let asked: Vec<&str> = got.iter().map(|got| got.what.as_str()).collect();
    assert_eq!(asked, [METADATA, SCAN, REPORT, REPORT, REPORT]);
    assert!(got.iter().all(|got| got.header("authorization") == LOGIN));
    assert!(got[2..].iter().all(|got| got.header("accept") == REPORT_TYPE));
    let media_type = "application/vnd.scanner.adapter.scan.request+json; version=1.0";
    assert_eq!(got[1].header("content-type"), media_type);
    let expected = json!({
        "registry": {"url": "https://mirror.test:5000", "authorization": IMAGE_LOGIN},
        "artifact": {
            "repository": "up.test/app",
            "digest": digest().to_string(),
            "mime_type": MediaType::OCI_MANIFEST,
        },
    });
    assert_eq!(adapter.scan_request().unwrap(), expected);
}

#[tokio::test]
async fn an_adapter_of_version_1_2_is_told_what_is_wanted() {
    let adapter = adapter().await;
    let mut able = metadata();
    able["capabilities"][0]["type"] = json!("vulnerability");
    adapter.say(METADATA, [Says::json(200, "application/json", &able)]);
    scan(&adapter).await.unwrap();
    let wanted = json!([{"type": "vulnerability", "produces_mime_types": [REPORT_TYPE]}]);
    assert_eq!(adapter.scan_request().unwrap()["enabled_capabilities"], wanted);
}

#[tokio::test]
async fn the_older_form_of_a_report_is_read_too() {
    let adapter = adapter().await;
    let older = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0";
    let mut able = metadata();
    able["capabilities"][0]["produces_mime_types"] = json!([older]);
    adapter.say(METADATA, [Says::json(200, "application/json", &able)]);
    adapter.say(REPORT, [Says::json(200, older, &report(&digest(), &json!(null)))]);
    assert!(scan(&adapter).await.unwrap().findings.is_empty());
    assert_eq!(adapter.got().last().unwrap().header("accept"), older);
}

#[tokio::test]
async fn an_adapter_that_leaves_something_out_never_says_that_an_image_is_clean() {
    let adapter = adapter().await;
    let mut narrow = metadata();
    narrow["properties"] = json!({"env.SCANNER_TRIVY_IGNORE_UNFIXED": "true"});
    adapter.say(METADATA, [Says::json(200, "application/json", &narrow)]);
    let reported = scan(&adapter).await.unwrap();
    assert_eq!(reported.database, None);
    assert_eq!(reported.gaps.len(), 1, "{:?}", reported.gaps);
}

#[tokio::test]
async fn what_never_becomes_ready_is_given_up_in_time() {
    for refresh_after in ["0", "1", "18446744073709551615", "-1", ""] {
        let adapter = adapter().await;
        adapter.say(REPORT, [Says::not_ready(refresh_after)]);
        let timeout = Duration::from_millis(300);
        let started = Instant::now();
        let impatient = HarborSettings { timeout, ..settings(&adapter) };
        let error = scanner(impatient).scan(&job(&digest())).await.unwrap_err();
        assert!(matches!(error, HarborError::TimedOut { .. }), "{error}");
        assert!(error.is_retryable() && started.elapsed() < Duration::from_secs(10));
        let polls = adapter.count(REPORT);
        assert!((1..=15).contains(&polls), "{refresh_after}: {polls} polls");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (adapter, elsewhere) = (adapter().await, adapter().await);
    let away = format!("{}/api/v1/scan/scan-1/report", elsewhere.url());
    let ready = Says::json(200, REPORT_TYPE, &report(&digest(), &json!([])));
    adapter.say(REPORT, [Says::not_ready("1").with("location", &away), ready]);
    scan(&adapter).await.unwrap();
    for (what, status) in [(METADATA, 302), (SCAN, 302), (SCAN, 308), (REPORT, 301), (REPORT, 307)]
    {
        let adapter = self::adapter().await;
        adapter.say(what, [Says::status(status).with("location", &away)]);
        let error = scan(&adapter).await.unwrap_err();
        assert!(matches!(error, HarborError::Answer { status: told, .. } if told == status));
    }
    assert!(elsewhere.got().is_empty(), "{:?}", elsewhere.got());
}

#[tokio::test]
async fn a_report_about_another_image_is_none() {
    let adapter = adapter().await;
    let other = report(&Digest::sha256(b"another"), &json!([]));
    adapter.say(REPORT, [Says::json(200, REPORT_TYPE, &other)]);
    let error = scan(&adapter).await.unwrap_err();
    assert!(matches!(error, HarborError::Report { .. }) && !error.is_retryable(), "{error}");
    assert!(whole(&error).contains("not about sha256:"), "{}", whole(&error));
}

#[tokio::test]
async fn what_an_adapter_says_of_its_trouble_is_told_without_what_it_must_not_repeat() {
    for (what, status) in [(SCAN, 422), (SCAN, 500), (SCAN, 200), (REPORT, 500), (REPORT, 404)] {
        let adapter = adapter().await;
        let message = format!("no\nroom for {IMAGE_LOGIN}, {LOGIN}, pratique-pass-canary");
        adapter.say(what, [Says::error(status, &message)]);
        let error = whole(&scan(&adapter).await.unwrap_err());
        assert!(error.contains(&format!("with status {status}: no room for ")), "{error}");
        for secret in ["pratique-pass", "adapter-secret", "cHJhdGlxdWU6"] {
            assert!(!error.contains(secret), "{error}");
        }
        assert!(error.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}");
        assert_eq!(adapter.count(what), 1, "a final answer is not asked for again");
    }
}

#[tokio::test]
async fn what_stands_before_an_adapter_may_fail_a_little() {
    let adapter = adapter().await;
    let ready = Says::json(200, REPORT_TYPE, &report(&digest(), &json!([])));
    adapter.say(REPORT, [Says::status(502), Says::status(503), ready]);
    scan(&adapter).await.unwrap();
    adapter.say(REPORT, [Says::status(502)]);
    let error = scan(&adapter).await.unwrap_err();
    assert!(matches!(error, HarborError::Answer { status: 502, .. }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(adapter.count(REPORT), 6);
}

#[tokio::test]
async fn an_adapter_that_does_not_do_what_is_wanted_is_asked_for_no_scan() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = metadata();
        change(&mut changed);
        Says::json(200, "application/json", &changed)
    };
    let newer = "application/vnd.scanner.adapter.metadata+json; version=2.0";
    for (says, expected) in [
        (with(&|it| it["capabilities"] = json!([])), "does not say that it reports"),
        (
            with(&|it| it["capabilities"][0]["consumes_mime_types"] = json!(["text/plain"])),
            "does not say that it reports",
        ),
        (with(&|it| it["capabilities"][0]["type"] = json!("sbom")), "does not say that it reports"),
        (with(&|it| it["capabilities"] = json!(null)), "not of Harbor's form"),
        (Says::json(200, newer, &metadata()), "version 2.0"),
        (Says::json(200, "application/json", &json!([])), "not of Harbor's form"),
        (Says::status(200), "not of Harbor's form"),
        (Says::status(401), "status 401"),
        (Says::error(500, "later"), "status 500: later"),
        (Says { padding: 300 * 1024, ..with(&|_| {}) }, "cannot be asked for metadata"),
    ] {
        let adapter = adapter().await;
        adapter.say(METADATA, [says]);
        let error = whole(&scan(&adapter).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(adapter.count(SCAN), 0, "{error}");
    }
}

#[tokio::test]
async fn what_is_no_scan_or_no_report_is_refused() {
    for says in [
        Says::json(202, "application/json", &json!({"id": ""})),
        Says::json(202, "application/json", &json!({"id": ".."})),
        Says::json(202, "application/json", &json!({"id": 7})),
        Says::json(202, "application/json", &json!({})),
        Says::status(202),
    ] {
        let adapter = adapter().await;
        adapter.say(SCAN, [says.clone()]);
        let error = scan(&adapter).await.unwrap_err();
        assert!(matches!(error, HarborError::Malformed { .. }), "{says:?}: {error}");
        assert_eq!(adapter.count(REPORT), 0);
    }
    let document = report(&digest(), &json!([]));
    for says in [
        Says::json(200, "application/vnd.scanner.adapter.vuln.report.raw", &document),
        Says::json(200, "application/vnd.security.sbom.report+json; version=1.0", &document),
        Says::json(200, REPORT_TYPE, &json!({"vulnerabilities": []})),
        Says::status(200),
        Says { padding: HARBOR_REPORT_BYTES_MAX, ..Says::json(200, REPORT_TYPE, &document) },
    ] {
        let adapter = adapter().await;
        adapter.say(REPORT, [says.clone()]);
        let error = scan(&adapter).await.unwrap_err();
        assert!(!error.is_retryable(), "{:?}: {error}", says.headers);
    }
}

#[tokio::test]
async fn an_adapter_that_is_away_is_an_error_that_passes() {
    let adapter = adapter().await;
    let away = settings(&adapter);
    drop(adapter);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = scanner(away).scan(&job(&digest())).await.unwrap_err();
    assert!(matches!(error, HarborError::Unreachable { .. }) && error.is_retryable(), "{error}");
}

#[test]
fn an_address_or_a_login_that_cannot_be_used_is_an_error_at_once() {
    let made = |settings: HarborSettings| {
        HarborScanner::new(settings, std::sync::Arc::new(SystemClock), Tasks::new())
    };
    for url in ["http://scanner.test:8080", "scanner.test", "https://u:p@scanner.test", ""] {
        let refused = made(HarborSettings::new(url));
        assert!(matches!(refused, Err(HarborError::Setting { setting: "url", .. })), "{url}");
    }
    let ca_file = Some("/nowhere/ca.pem".into());
    let settings = HarborSettings { ca_file, ..HarborSettings::new("https://scanner.test") };
    assert!(matches!(made(settings), Err(HarborError::Setting { setting: "ca_file", .. })));
    let plain = HarborSettings::new("http://scanner.test:8080");
    assert!(made(HarborSettings { danger_plain_http: true, ..plain }).is_ok());
    let login = Some(Secret::new("Bearer a\r\nb: c"));
    let settings = HarborSettings { authorization: login, ..HarborSettings::new("https://a.test") };
    assert!(!format!("{settings:?}").contains("Bearer"));
    assert!(matches!(made(settings), Err(HarborError::Setting { .. })));
}
