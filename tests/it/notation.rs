//! Images signed with notation, and what happens to them as time goes by.

use std::time::Duration;

use crate::support::mirror::TestMirror;
use crate::support::notation::Authority;
use crate::support::upstream::{Artifact, Image};

const REPOSITORY: &str = "lib/app";
const NOTATION: &str = "application/vnd.cncf.notary.signature";
const JWS: &str = "application/jose+json";

/// A mirror that serves what the builder of the authority has signed, of an upstream that has `image`.
async fn mirror_of(authority: &Authority, image: &Artifact) -> TestMirror {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let policy = format!(
        "trustRoots: {{acme: {{notation: {{ca: [\"file:{}\"]}}}}}}\n\
         signers: {{builder: {{notation: {{root: acme, \
         identity: \"x509.subject: C=US, ST=WA, O=acme, CN=builder\"}}}}}}\n\
         rules: [{{id: signed, match: [\"up.test/lib/*\"], trust: allow, \
         signatures: {{atLeast: 1, of: [builder]}}}}]\n",
        file.display()
    );
    let mirror = TestMirror::start_with(&policy, |_| {}).await;
    mirror.upstream.push(REPOSITORY, "1", image);
    mirror
}

#[tokio::test]
async fn an_image_is_served_until_its_signature_expires() {
    let authority = Authority::new();
    let image = Image::new().layer("content").build();
    let mirror = mirror_of(&authority, &image).await;
    mirror
        .pull(REPOSITORY, "1")
        .await
        .assert_refused("Denied by rule signed: not signed by builder");
    let now = mirror.mirror().clock().now();
    let end = now.after(Duration::from_hours(24));
    let envelope = authority.envelope("builder", &image.digest(), now, Some(end));
    let signature = Image::artifact(NOTATION).layer_of(JWS, envelope, &[]).subject(&image).build();
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &signature);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    // Whoever pulls through the mirror can verify it there.
    let hex = image.digest().hex();
    let listed = mirror.get(&format!("{REPOSITORY}/referrers/sha256:{hex}")).await;
    let listed = String::from_utf8_lossy(listed.bytes()).into_owned();
    assert!(listed.contains(NOTATION), "{listed}");
    mirror.clock.advance(Duration::from_hours(23));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
    mirror.clock.advance(Duration::from_hours(1));
    let pulled = mirror.pull(REPOSITORY, "1").await;
    pulled.assert_refused("Denied by rule signed: not signed by builder");
    let message = pulled.manifest.error()["message"].to_string();
    assert!(message.contains("signature expired at"), "{message}");
}

#[tokio::test]
async fn somebody_else_of_the_same_authority_is_somebody_else() {
    let authority = Authority::new();
    let image = Image::new().layer("content").build();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let other = Image::new().layer("other content").build();
    let mut last = None;
    for (who, about, why) in [
        ("tester", &image, "signed by CN=tester"),
        ("builder", &other, "signed for another digest"),
    ] {
        let envelope = authority.envelope(who, &about.digest(), now, None);
        let signature =
            Image::artifact(NOTATION).layer_of(JWS, envelope, &[]).subject(&image).build();
        let mirror = mirror_of(&authority, &image).await;
        mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &signature);
        let pulled = mirror.pull(REPOSITORY, "1").await;
        pulled.assert_refused("Denied by rule signed: not signed by builder");
        let message = pulled.manifest.error()["message"].to_string();
        assert!(message.contains(why), "{message}");
        last = Some(mirror);
    }
    // What is wrong beside a good signature harms nothing.
    let mirror = last.unwrap();
    let envelope = authority.envelope("builder", &image.digest(), now, None);
    let signature = Image::artifact(NOTATION).layer_of(JWS, envelope, &[]).subject(&image).build();
    mirror.upstream.attach_by_fallback_tag(REPOSITORY, &image.digest(), &signature);
    mirror.clock.advance(Duration::from_mins(2));
    mirror.pull(REPOSITORY, "1").await.assert_complete();
}
