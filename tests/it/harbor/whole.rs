//! From the pass to the report: an adapter that reads the image here while nodes may not.

use std::time::Duration;

use hyper::Method;
use pratique::adapter::HarborJob;
use pratique::oci::{Digest, Manifest, Name};
use pratique::scan::{PackageKind, Severity};
use serde_json::json;

use super::fake::{FakeAdapter, REPORT, REPORT_TYPE, Says, report, scanner, settings};
use crate::support::mirror::{REGISTRY, TestMirror};
use crate::support::upstream::Image;

/// What the adapter was told: where to read what, and with which login.
struct Told {
    login: String,
    manifest: String,
    repository: String,
}

/// Waits until the adapter is asked for a scan.
async fn told(adapter: &FakeAdapter) -> Told {
    for _ in 0..1_000 {
        if let Some(request) = adapter.scan_request() {
            let text =
                |pointer: &str| request.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            let repository = text("/artifact/repository");
            let digest = text("/artifact/digest");
            let manifest = format!("/v2/{repository}/manifests/{digest}");
            return Told { login: text("/registry/authorization"), manifest, repository };
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the adapter was never asked for a scan");
}

#[tokio::test]
async fn an_adapter_reads_the_image_by_the_pass_and_reports_and_nobody_else_reads_a_byte() {
    let rules = "- {id: asked, match: [\"up.test/**\"], trust: approve}\n";
    let mirror = TestMirror::start(rules).await;
    let image = Image::new().layer("the packages").build();
    let digest = image.digest();
    mirror.upstream.push("team/app", "1", &image);
    let adapter = FakeAdapter::start(&digest).await;
    adapter.say(REPORT, [Says::not_ready("0")]);

    let name: Name = format!("{REGISTRY}/team/app").parse().unwrap();
    let pass = mirror.mirror().give_pass(&name, &digest, Duration::from_mins(5)).await.unwrap();
    let job = HarborJob {
        registry_url: format!("http://{}", mirror.node_address()),
        authorization: pass.authorization(),
        repository: pass.repository(),
        digest: *pass.digest(),
        media_type: pass.media_type().clone(),
    };
    let scanner = scanner(settings(&adapter));
    let scanning = mirror.mirror().tasks().spawn(async move {
        let reported = scanner.scan(&job).await;
        drop(pass);
        reported
    });

    // What the adapter does: it reads manifest and layers with the login that it was given.
    let Told { login, manifest: path, repository } = told(&adapter).await;
    let with = [("authorization", login.as_str())];
    let manifest = mirror.ask(Method::GET, &path, &with).await;
    assert_eq!((manifest.status, manifest.bytes()), (200, &image.manifest));
    let listed = Manifest::parse(manifest.bytes(), None).unwrap();
    let listed: Vec<Digest> = listed.listed().map(|listed| listed.digest).collect();
    assert_eq!(listed, [image.config(), image.layer(0)]);
    let blobs: Vec<String> =
        listed.iter().map(|digest| format!("/v2/{repository}/blobs/{digest}")).collect();
    for (path, content) in blobs.iter().zip(&image.blobs) {
        let blob = mirror.ask(Method::GET, path, &with).await;
        assert_eq!((blob.status, blob.bytes()), (200, content));
    }
    // Meanwhile a node gets nothing of it, by any name.
    mirror.pull("team/app", "1").await.assert_refused("Pending approval");
    mirror.pull("team/app", digest).await.assert_refused("Pending approval");
    for path in blobs.iter().chain([&path]) {
        assert_eq!(mirror.ask(Method::GET, path, &[]).await.status, 403, "{path}");
    }

    let found = json!([
        {"id": "CVE-2026-2", "package": "zlib", "version": "1", "severity": "Negligible"},
        {"id": "CVE-2026-1", "package": "openssl", "version": "3.0.11-1", "fix_version": "3.0.13-1",
         "severity": "Critical", "vendor_attributes": {"package_type": "deb"}},
    ]);
    adapter.say(REPORT, [Says::json(200, REPORT_TYPE, &report(&digest, &found))]);
    let reported = scanning.await.unwrap().unwrap();
    let told: Vec<_> =
        reported.findings.iter().map(|it| (it.id.as_str(), it.package.kind, it.severity)).collect();
    assert_eq!(
        told,
        [
            ("CVE-2026-1", PackageKind::Deb, Some(Severity::Critical)),
            ("CVE-2026-2", PackageKind::Other, Some(Severity::Low)),
        ]
    );
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty(), "{reported:?}");

    // The scan is over, and so is what it opened; nothing of it is open to nodes.
    for path in blobs.iter().chain([&path]) {
        assert_eq!(mirror.ask(Method::GET, path, &with).await.status, 401, "{path}");
        assert_eq!(mirror.ask(Method::GET, path, &[]).await.status, 403, "{path}");
    }
    let restarted = mirror.restart().await;
    restarted.pull("team/app", digest).await.assert_refused("Pending approval");
}
