//! Observe mode: everything is served at once, and what would have been refused is written down.

use crate::support::mirror::TestMirror;
use crate::support::upstream::{Fault, Image};

const AUDIT: &str =
    "mode: audit\nrules:\n- {id: asked, match: [\"up.test/asked/**\"], trust: approve}\n";

#[tokio::test]
async fn observe_mode_refuses_nothing_and_remembers_what_it_would_have() {
    let mirror = TestMirror::start_with(AUDIT, |_| {}).await;
    let image = Image::new().layer("x").build();
    for repository in ["asked/app", "unlisted/app"] {
        mirror.upstream.push(repository, "1", &image);
        mirror.pull(repository, "1").await.assert_complete();
    }
    let name = "up.test/asked/app".parse().unwrap();
    let subject = pratique::gate::Subject { name, digest: image.digest() };
    for _ in 0..500 {
        if let Ok(Some(record)) = mirror.mirror().ledger().record(&subject).await
            && let Some(judgement) = &record.judgement
        {
            assert!(!judgement.enforced && !judgement.admits(), "{judgement:?}");
            let again = mirror.manifest("asked/app", "1").await;
            assert_eq!(again.status, 200);
            assert!(again.header("warning").contains("would be refused"), "{again:?}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the pull was not judged beside");
}

#[tokio::test]
async fn observe_mode_does_not_serve_wrong_bytes_either() {
    let mirror = TestMirror::start_with(AUDIT, |_| {}).await;
    let image = Image::new().layer(vec![1; 300_000]).build();
    mirror.upstream.push("asked/app", "1", &image);
    let needle = format!("GET /v2/asked/app/blobs/{}", image.layer(0));
    mirror.upstream.fault(&needle, Fault::Body(vec![2; 300_000].into()));
    let lied = mirror.blob("asked/app", &image.layer(0)).await;
    assert!(lied.status != 200 || lied.body.is_none(), "{lied:?}");
}
