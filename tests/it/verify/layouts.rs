//! OCI image layouts in a folder.

use pratique::oci::Digest;
use serde_json::json;

use super::{Ci, Ran};
use crate::support::layout::TestLayout;
use crate::support::upstream::{Artifact, Image, Index};

const NAME: &str = "up.test/signed/app";

impl Ci {
    async fn layout(&self, layout: &TestLayout, name: &str) -> Ran {
        let ran = self.verify(&[&layout.word(), "--name", name]).await;
        self.upstream.assert_untouched();
        ran
    }

    /// A layout with an index that is signed for `name`.
    fn signed(&self, name: &str) -> (TestLayout, Artifact) {
        let mut layout = TestLayout::new();
        let image = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
        let digest = layout.add("1.4", &image);
        let signature = self.signer.simple_signing(name, &digest);
        layout.add(&format!("sha256-{}.sig", digest.hex()), &signature);
        (layout, image)
    }
}

#[tokio::test]
async fn a_layout_is_judged_by_the_name_that_it_is_given_without_a_registry() {
    let ci = Ci::new().await;
    let (layout, image) = ci.signed(NAME);
    let ran = ci.layout(&layout, NAME).await;
    ran.assert(0, &["verdict    ADMIT", &image.digest().short(), "signature  pass"]);
    // As a folder, by its tag and by its digest.
    let folder = layout.path().to_str().unwrap();
    let by_digest = format!("{}@{}", layout.word(), image.digest());
    for word in [folder, &format!("{}:1.4", layout.word()), &by_digest] {
        ci.verify(&[word, "--name", NAME]).await.assert(0, &["verdict    ADMIT"]);
    }
    ci.verify(&[&format!("{}:2", layout.word()), "--name", NAME])
        .await
        .assert(2, &["tagged \"2\""]);
    // A signature names a repository, and it is not this one.
    ci.layout(&layout, "up.test/signed/other").await.assert(3, &["verdict    DENY"]);
    ci.layout(&layout, "up.test/nowhere/app").await.assert(3, &["no rule"]);
    ci.verify(&[&layout.word()]).await.assert(64, &["give --name, such as"]);
}

#[tokio::test]
async fn the_name_in_a_layout_is_a_claim_and_the_tag_is_what_the_caller_says() {
    let ci = Ci::new().await;
    let mut layout = TestLayout::new();
    let claims =
        [("io.containerd.image.name", NAME), ("org.opencontainers.image.ref.name", "1.4.0")];
    layout.add_as(&Image::new().layer("x").build(), &claims);
    ci.layout(&layout, "up.test/tagged/app").await.assert(3, &["no rule"]);
    ci.layout(&layout, "up.test/tagged/app:0.9.0").await.assert(3, &["no rule"]);
    ci.layout(&layout, "up.test/tagged/app:1.4.0")
        .await
        .assert(0, &["rule       tagged", "up.test/tagged/app:1.4.0"]);
}

#[tokio::test]
async fn signatures_are_found_as_referrers_and_as_cosign_saves_them() {
    let ci = Ci::new().await;
    let image = Image::new().layer("x").build();
    let mut referred = TestLayout::new();
    referred.add_as(&image, &[]);
    ci.layout(&referred, NAME).await.assert(3, &["referrers in the layout", "0 signatures"]);
    referred.add_as(&ci.signer.bundle(&image), &[]);
    ci.layout(&referred, NAME).await.assert(0, &["sigstore bundle"]);

    // As cosign 3 saves them: the blobs are there, and nothing lists them.
    let mut unlisted = TestLayout::new();
    unlisted.add_as(&image, &[]);
    unlisted.blobs_of(&ci.signer.bundle(&image));
    ci.layout(&unlisted, NAME).await.assert(0, &["sigstore bundle"]);

    let mut saved = TestLayout::new();
    let kind = |kind: &'static str| [("kind", kind)];
    saved.add_as(&image, &kind("dev.cosignproject.cosign/image"));
    let signature = ci.signer.simple_signing(NAME, &image.digest());
    saved.add_as(&signature, &kind("dev.cosignproject.cosign/sigs"));
    ci.layout(&saved, NAME).await.assert(0, &["verdict    ADMIT"]);

    let mut attested = TestLayout::new();
    attested.add_as(&image, &[]);
    let says = json!({"good": true});
    let (digest, kind) = (image.digest(), "https://slsa.dev/provenance/v1");
    attested
        .add(&format!("sha256-{}.att", digest.hex()), &ci.signer.attached(&digest, kind, &says));
    ci.layout(&attested, "up.test/attested/app").await.assert(0, &["verdict    ADMIT"]);
}

#[tokio::test]
async fn changed_content_is_noticed_wherever_it_is() {
    let ci = Ci::new().await;
    let (_, image) = ci.signed(NAME);
    let child = &image.children[0];
    for changed in [image.digest(), child.digest(), child.config(), child.layer(0)] {
        let (layout, _) = ci.signed(NAME);
        let path = layout.blob(&changed);
        let mut content = std::fs::read(&path).unwrap();
        content[0] ^= 1;
        std::fs::write(&path, content).unwrap();
        let ran = ci.layout(&layout, NAME).await;
        ran.assert(2, &["other content than its name says"]);
        assert!(!ran.stdout.contains("ADMIT"), "{ran:?}");
    }
    // What is not there is somebody else's to bring, and is said.
    let (layout, _) = ci.signed(NAME);
    std::fs::remove_file(layout.blob(&child.layer(0))).unwrap();
    ci.layout(&layout, NAME).await.assert(0, &["1 of ", "not in the layout"]);
    std::fs::remove_file(layout.blob(&image.digest())).unwrap();
    ci.layout(&layout, NAME).await.assert(2, &["the layout does not have sha256:"]);
}

#[tokio::test]
async fn a_bad_signature_in_a_layout_hides_no_good_one_and_is_never_an_absence() {
    let ci = Ci::new().await;
    let image = Image::new().layer("x").build();
    let mut layout = TestLayout::new();
    layout.add("1", &image);
    let bad = layout.add_as(&ci.signer.bundle(&image), &[]);
    std::fs::write(layout.blob(&bad), "{}").unwrap();
    ci.layout(&layout, NAME).await.assert(2, &["verdict    UNDECIDED", "other content"]);
    layout.add_as(&ci.signer.bundle(&image), &[]);
    let other = ci.signer.simple_signing(NAME, &image.digest());
    layout.add(&format!("sha256-{}.sig", image.digest().hex()), &other);
    std::fs::write(layout.blob(&bad), "{}").unwrap();
    ci.layout(&layout, NAME).await.assert(0, &["verdict    ADMIT"]);
}

#[tokio::test]
async fn nothing_outside_of_a_layout_is_read() {
    let ci = Ci::new().await;
    let outside = TestLayout::new();
    let secret = outside.path().join("secret");
    let (layout, image) = ci.signed(NAME);
    for digest in ["sha256:../../../etc/passwd", "../../x:0", "sha256:%2e%2e"] {
        let index = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1},
        ]});
        layout.write("index.json", &index.to_string());
        ci.layout(&layout, NAME).await.assert(2, &["index.json cannot be used"]);
    }
    // Links in the place of a blob, of the folders above it, and of the list.
    for link in ["manifest", "sha256", "blobs", "index.json"] {
        let (layout, _) = ci.signed(NAME);
        let path = match link {
            "manifest" => layout.blob(&image.digest()),
            "sha256" => layout.path().join("blobs/sha256"),
            other => layout.path().join(other),
        };
        drop(std::fs::remove_file(&secret));
        drop(std::fs::remove_dir_all(&secret));
        std::fs::rename(&path, &secret).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        ci.layout(&layout, NAME).await.assert(2, &["a link or no regular file"]);
    }
    // A pipe is not waited for.
    let (layout, _) = ci.signed(NAME);
    let path = layout.blob(&image.digest());
    std::fs::remove_file(&path).unwrap();
    let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    ci.layout(&layout, NAME).await.assert(2, &["a link or no regular file"]);
}

#[tokio::test]
async fn what_is_no_layout_or_not_one_image_is_told() {
    let ci = Ci::new().await;
    let mut layout = TestLayout::new();
    ci.layout(&layout, NAME).await.assert(2, &["lists no image"]);
    let one = layout.add("one", &Image::new().layer("1").build());
    layout.add("two", &Image::new().layer("2").build());
    ci.layout(&layout, NAME).await.assert(2, &["more than one image: :one, :two", "@DIGEST"]);
    let word = format!("{}@{one}", layout.word());
    ci.verify(&[&word, "--name", NAME]).await.assert(3, &[&one.short()]);
    let none = format!("{}@{}", layout.word(), Digest::sha256(b"none"));
    ci.verify(&[&none, "--name", NAME]).await.assert(2, &["does not have"]);

    for (file, content, why) in [
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "version is not 1"),
        ("oci-layout", "{", "not well formed"),
        (
            "index.json",
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            "index.json cannot be used",
        ),
        ("index.json", &" ".repeat(5 << 20), "larger than"),
    ] {
        let layout = TestLayout::new();
        layout.write(file, content);
        ci.layout(&layout, NAME).await.assert(2, &[why]);
    }
    let empty = tempfile::tempdir().unwrap();
    let word = format!("oci:{}", empty.path().display());
    ci.verify(&[&word, "--name", NAME]).await.assert(2, &["is not an OCI image layout"]);
}
