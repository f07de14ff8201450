//! Heads of answers, redirects, and TLS.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use pratique::time::SystemClock;
use pratique::upstream::{Error, Limits, ProxySettings, RegistrySettings};

use crate::support::client::{TestClient, name, registry};
use crate::support::hostile::rig::{PATIENCE, Rig};
use crate::support::hostile::{Fault, HostileUpstream, Tls};
use crate::support::upstream::Image;

/// Has every request for an image answered with `fault`, one kind of request after the other; the
/// image is another one for each `number`.
async fn everywhere(rig: &Rig, number: usize, fault: &Fault) {
    let repository = format!("open/app-{number}");
    let image = Image::new().layer(format!("{fault:.40?}")).build();
    rig.upstream.push(&repository, "1", &image);
    let needles = [
        format!("HEAD /v2/{repository}/manifests/"),
        format!("GET /v2/{repository}/manifests/"),
        format!("GET /v2/{repository}/blobs/{}", image.config()),
        format!("GET /v2/{repository}/blobs/{}", image.layer(0)),
    ];
    for needle in needles {
        rig.upstream.plan(&needle, fault.clone());
        assert!(!rig.pull(&repository, "1").await, "{needle}");
        rig.check().await;
        rig.upstream.heal();
        rig.later();
    }
    assert!(rig.pull(&repository, "1").await, "{fault:.40?} spoils later pulls");
    rig.check().await;
}

#[tokio::test]
async fn a_head_of_a_mebibyte_or_of_a_hundred_thousand_lines_is_a_failure() {
    let rig = Rig::start().await;
    everywhere(&rig, 0, &Fault::HugeHead(1 << 20)).await;
    everywhere(&rig, 1, &Fault::HugeHead(100 << 10)).await;
    everywhere(&rig, 2, &Fault::ManyHeaders(100_000)).await;
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let rig = Rig::start().await;
    everywhere(&rig, 0, &Fault::SlowHead(Duration::from_millis(100))).await;
}

#[tokio::test]
async fn redirects_without_end_or_to_where_nobody_may_go_are_refused() {
    let rig = Rig::start().await;
    let elsewhere = rig.elsewhere.host();
    let port = elsewhere.rsplit_once(':').expect("a port").1;
    let locations = [
        "/v2/open/app-0/manifests/1".to_owned(),
        format!("http://{elsewhere}/x"),
        format!("https://{elsewhere}/x"),
        format!("https://localhost:{port}/x"),
        format!("https://[::ffff:127.0.0.1]:{port}/x"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("https://user:pass@{elsewhere}/x"),
    ];
    for (number, location) in locations.into_iter().enumerate() {
        // Where it leads within the upstream, it is a loop: the plan answers there too.
        everywhere(&rig, number, &Fault::Redirect(location)).await;
    }
}

#[tokio::test]
async fn a_loop_of_redirects_costs_six_requests() {
    let rig = Rig::start().await;
    rig.upstream.push("open/app", "1", &Image::new().layer("x").build());
    rig.upstream.plan("/manifests/1", Fault::Redirect("/v2/open/app/manifests/1".to_owned()));
    let answer = rig.ask(Method::HEAD, "open/app/manifests/1", &[]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(rig.upstream.count("/open/app/manifests/1"), 6);
    rig.check().await;
}

#[tokio::test]
async fn tls_that_proves_nothing_gets_no_request_and_no_second_chance_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    for kind in [Tls::Good, Tls::Expired, Tls::WrongName, Tls::SelfSigned, Tls::Stalled] {
        let upstream = HostileUpstream::start_tls(kind).await;
        std::fs::write(&ca_file, upstream.ca_pem().unwrap()).unwrap();
        let client = TestClient {
            registry: RegistrySettings {
                ca_file: Some(ca_file.clone()),
                // Plain HTTP may be spoken where the address says so; here it says https.
                danger_plain_http: true,
                ..RegistrySettings::new(registry(), upstream.url())
            },
            proxy: ProxySettings::default(),
            limits: Limits {
                connect_timeout: PATIENCE,
                retry_delay: Duration::from_millis(1),
                ..Limits::default()
            },
            clock: Arc::new(SystemClock),
        };
        let answer = client.build().resolve_tag(&name(), &"1".parse().unwrap()).await;
        match (kind, answer) {
            (Tls::Good, Ok(None)) => assert_eq!(upstream.entries().len(), 1),
            (Tls::Expired | Tls::WrongName | Tls::SelfSigned, Err(Error::Tls { .. }))
            | (Tls::Stalled, Err(Error::TimedOut { stage: "connect", .. })) => {
                assert!(upstream.entries().is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_or_means_this_machine_is_a_failure_in_time() {
    for host in ["no-such-host.invalid", "0.0.0.0", "[::]"] {
        let client = TestClient {
            registry: RegistrySettings::new(registry(), format!("https://{host}:1")),
            proxy: ProxySettings::default(),
            limits: Limits {
                connect_timeout: PATIENCE,
                retry_delay: Duration::from_millis(1),
                ..Limits::default()
            },
            clock: Arc::new(SystemClock),
        };
        let error = client.build().resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap_err();
        let failed = matches!(error, Error::Connect { .. } | Error::TimedOut { .. });
        assert!(failed, "{host}: {error}");
    }
}
