//! Gates that ask a scanner elsewhere, beside the one inside or alone.

use std::time::Duration;

use hyper::StatusCode;
use pratique::adapter::{AdapterKind, AdapterSettings};
use serde_json::{Value, json};

use super::fake::{FakeAdapter, METADATA, REPORT, REPORT_TYPE, SCAN, Says, report, settings};
use crate::scanning::{know, other};
use crate::support::archive::debian;
use crate::support::mirror::TestMirror;
use crate::support::upstream::{Artifact, Image};

const HOUR: Duration = Duration::from_hours(1);

struct Case {
    mirror: TestMirror,
    adapter: FakeAdapter,
    image: Artifact,
}

/// A mirror whose gate asks `scanner`, with a fake adapter by the name `desk`, and an image that the
/// scanner inside knows nothing against.
async fn case(scanner: &str, gate: &str) -> Case {
    let image = Image::new().layer(debian(&[("openssl", "3.0.11-1")])).build();
    let adapter = FakeAdapter::start(&image.digest()).await;
    let policy = format!(
        "gates: {{strict: {{deny: [{{severity: high}}], scanner: {{{scanner}}}{gate}}}}}\nrules:\n\
         - {{id: a, match: [\"up.test/**\"], trust: allow, gates: [strict]}}\n"
    );
    let mut asked = settings(&adapter);
    asked.timeout = Duration::from_secs(5);
    asked.authorization = None;
    let kind = AdapterKind::Harbor {
        settings: asked,
        registry_url: "http://127.0.0.1:1".to_owned(),
        authorization_file: None,
    };
    let named = AdapterSettings { name: "desk".to_owned(), kind };
    let mirror = TestMirror::start_with(&policy, |settings| settings.adapters = vec![named]).await;
    know(&mirror, &[other()]).await;
    mirror.upstream.push("app", "1", &image);
    Case { mirror, adapter, image }
}

fn high() -> Value {
    json!([{"id": "CVE-2026-9", "package": "openssl", "version": "3.0.11-1",
            "fix_version": "3.0.14-1", "severity": "High",
            "vendor_attributes": {"package_type": "deb"}}])
}

impl Case {
    fn finds(&self, found: &Value) {
        let report = report(&self.image.digest(), found);
        self.adapter.say(REPORT, [Says::json(200, REPORT_TYPE, &report)]);
    }

    fn is_ill(&self) {
        self.adapter.say(METADATA, [Says::error(500, "out of memory at 10.1.2.3")]);
    }

    fn is_well(&self) {
        self.adapter.say(METADATA, [Says::json(200, "application/json", &super::fake::metadata())]);
    }

    async fn assert_served(&self) {
        self.mirror.pull("app", "1").await.assert_complete();
    }
}

#[tokio::test]
async fn what_another_scanner_finds_refuses_the_first_pull_and_says_who_found_it() {
    let case = case("all: [pratique, desk]", "").await;
    case.finds(&high());
    let pulled = case.mirror.pull("app", "1").await;
    let phrase =
        "Denied by rule a: CVE-2026-9 in openssl 3.0.11-1, fixed in 3.0.14-1, found by desk";
    pulled.assert_refused(phrase);
    for digest in [case.image.layer(0), case.image.config()] {
        assert_eq!(case.mirror.blob("app", &digest).await.status, 403);
    }
    let asked = case.adapter.scan_request().unwrap();
    let digest = asked.pointer("/artifact/digest").unwrap().as_str().unwrap();
    assert_eq!(digest, case.image.digest().to_string());
}

#[tokio::test]
async fn a_scanner_that_is_ill_or_not_set_up_decides_nothing_and_is_not_quoted() {
    let case = case("all: [pratique, desk]", "").await;
    case.is_ill();
    let answer = case.mirror.manifest("app", "1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    let said = String::from_utf8_lossy(answer.bytes()).into_owned() + &answer.phrase;
    assert!(said.contains("desk: gave no report"), "{said}");
    for quoted in ["10.1.2.3", "out of memory", "127.0.0.1"] {
        assert!(!said.contains(quoted), "{said}");
    }
    case.is_well();
    case.mirror.clock.advance(Duration::from_mins(6));
    case.assert_served().await;
}

#[tokio::test]
async fn one_that_is_not_in_the_settings_is_told_by_name() {
    let case = case("all: [pratique, tribunal]", "").await;
    let answer = case.mirror.manifest("app", "1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    let said = answer.error().to_string();
    assert!(said.contains("tribunal: no scanner of that name is set up"), "{said}");
}

#[tokio::test]
async fn where_any_is_enough_one_that_is_ill_stops_nothing() {
    let case = case("any: [desk, pratique]", "").await;
    case.is_ill();
    case.assert_served().await;
    assert_eq!(case.mirror.mirror().metrics().other_scans_failed.value(), 1);
}

#[tokio::test]
async fn a_report_about_another_image_is_no_report() {
    let case = case("all: [desk]", "").await;
    let another = Image::new().layer("another").build().digest();
    case.adapter.say(REPORT, [Says::json(200, REPORT_TYPE, &report(&another, &json!([])))]);
    assert_eq!(case.mirror.manifest("app", "1").await.status, 503);
}

#[tokio::test]
async fn a_database_that_is_too_old_over_there_admits_nothing() {
    let case = case("all: [desk], maxDbAge: 6d", "").await;
    // As of 20 November.
    case.mirror.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(case.mirror.manifest("app", "1").await.status, 503);
}

#[tokio::test]
async fn a_report_is_used_for_every_name_of_the_image_and_after_a_restart() {
    let mut case = case("all: [desk]", "").await;
    case.assert_served().await;
    case.mirror.upstream.push("app", "2", &case.image);
    case.mirror.upstream.push("other", "1", &case.image);
    case.mirror.pull("app", "2").await.assert_complete();
    case.mirror.pull("other", "1").await.assert_complete();
    assert_eq!(case.adapter.count(SCAN), 1);
    case.mirror = case.mirror.restart().await;
    case.is_ill();
    case.mirror.pull("app", "1").await.assert_complete();
    assert_eq!(case.adapter.count(SCAN), 1);
}

#[tokio::test]
async fn what_is_served_is_asked_about_again_when_the_report_is_old_and_served_on_while_it_cannot()
{
    for (gate, refuses) in [("", false), (", onNewFinding: revoke", true)] {
        let case = case("all: [pratique, desk], maxReportAge: 24h", gate).await;
        case.assert_served().await;
        let mirror = case.mirror.mirror();
        case.mirror.clock.advance(23 * HOUR);
        assert_eq!(mirror.renew_reports().await.unwrap().examined, 0, "young enough");
        case.mirror.clock.advance(2 * HOUR);
        case.finds(&high());
        case.is_ill();
        let done = mirror.renew_reports().await.unwrap();
        assert_eq!((done.examined, done.left, done.revoked), (1, 1, 0));
        case.assert_served().await;
        case.is_well();
        let done = mirror.renew_reports().await.unwrap();
        assert_eq!((done.examined, done.left, done.revoked), (1, 0, u64::from(refuses)));
        assert_eq!(case.adapter.count(SCAN), 2);
        if refuses {
            case.mirror.pull("app", "1").await.assert_refused("Denied by rule a: CVE-2026-9");
        } else {
            case.assert_served().await;
        }
        assert_eq!(mirror.renew_reports().await.unwrap().examined, 0, "renewed");
    }
}
