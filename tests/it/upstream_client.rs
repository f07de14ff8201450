//! What the registry client gives back for what an upstream sends.

use bytes::Bytes;
use pratique::oci::{Digest, MANIFEST_BYTES_MAX, MediaType, Reference, Tag};
use pratique::upstream::Error;

use crate::support::client::{REPOSITORY, TestClient, name, pull};
use crate::support::upstream::{FakeUpstream, Fault, Image, Index};

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().expect("a tag"))
}

#[tokio::test]
async fn manifests_and_blobs_arrive_as_they_are() {
    let upstream = FakeUpstream::start().await;
    let image = Image::new().layer("layer").build();
    let digest = upstream.push(REPOSITORY, "1", &image);
    let client = TestClient::of(&upstream).build();

    let resolved = client.resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(resolved.digest, Some(digest));
    for reference in [tag("1"), Reference::Digest(digest)] {
        let manifest = client.fetch_manifest(&name(), &reference).await.unwrap().unwrap();
        assert_eq!(manifest.bytes, image.manifest);
        assert_eq!(manifest.digest, digest);
        assert_eq!(manifest.media_type, Some(MediaType::new(MediaType::OCI_MANIFEST)));
    }
    assert_eq!(pull(&client, &image.layer(0)).await.unwrap(), b"layer");
    for seen in upstream.requests() {
        assert_eq!(seen.header("accept-encoding"), Some("identity"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_manifest_is_handed_on_byte_for_byte_whatever_it_says() {
    let upstream = FakeUpstream::start().await;
    let elsewhere = FakeUpstream::start().await;
    let image = Image::new()
        .docker()
        .layer("layer")
        .describe_last(|layer| layer.urls.push(format!("{}/layer", elsewhere.url())));
    let image = image.build();
    let digest = upstream.push(REPOSITORY, "1", &image);
    let client = TestClient::of(&upstream).build();
    let manifest = client.fetch_manifest(&name(), &Reference::Digest(digest)).await.unwrap();
    let manifest = manifest.unwrap();
    assert_eq!(manifest.bytes, image.manifest);
    assert_eq!(manifest.media_type, Some(MediaType::new(MediaType::DOCKER_MANIFEST)));
    elsewhere.assert_untouched();
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let upstream = FakeUpstream::start().await;
    let index = Index::for_platforms(&["linux/amd64", "linux/arm64"]).build();
    let digest = upstream.push(REPOSITORY, "1", &index);
    let client = TestClient::of(&upstream).build();
    for _ in 0..10 {
        client.resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap().unwrap();
        client.fetch_manifest(&name(), &Reference::Digest(digest)).await.unwrap().unwrap();
        assert!(client.resolve_tag(&name(), &"2".parse().unwrap()).await.unwrap().is_none());
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn only_a_404_is_absence() {
    let upstream = FakeUpstream::start().await;
    upstream.push(REPOSITORY, "1", &Image::new().build());
    let client = TestClient::of(&upstream).build();
    let absent = Digest::sha256(b"absent");
    assert!(client.resolve_tag(&name(), &"2".parse().unwrap()).await.unwrap().is_none());
    assert!(client.fetch_manifest(&name(), &tag("2")).await.unwrap().is_none());
    assert!(client.fetch_blob(&name(), &absent).await.unwrap().is_none());
    for status in [301, 400, 403, 410, 500] {
        upstream.fault("/v2/", Fault::Status(status));
        let client =
            TestClient::of(&upstream).limits(|limits| limits.breaker_failures = 99).build();
        let resolved = client.resolve_tag(&name(), &"1".parse().unwrap()).await;
        assert!(resolved.is_err(), "{status} {resolved:?}");
        assert!(client.fetch_manifest(&name(), &tag("1")).await.is_err(), "{status}");
        assert!(client.fetch_blob(&name(), &absent).await.is_err(), "{status}");
        assert!(client.list_tags(&name()).await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_what_was_asked_for_is_an_error() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.push(REPOSITORY, "1", &Image::new().build());
    let client = TestClient::of(&upstream).build();
    let manifests = "/manifests/";

    upstream.fault(manifests, Fault::Body(Bytes::from_static(b"{}")));
    for reference in [Reference::Digest(digest), tag("1")] {
        let error = client.fetch_manifest(&name(), &reference).await.unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    }
    upstream.heal();
    let lie = Digest::sha256(b"lie").to_string();
    upstream.fault(manifests, Fault::Header("docker-content-digest", lie));
    let error = client.fetch_manifest(&name(), &tag("1")).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    // By digest the header has no say.
    let manifest = client.fetch_manifest(&name(), &Reference::Digest(digest)).await.unwrap();
    assert_eq!(manifest.unwrap().digest, digest);
}

#[tokio::test]
async fn a_manifest_may_have_four_mebibytes_and_no_byte_more() {
    let upstream = FakeUpstream::start().await;
    let client = TestClient::of(&upstream).build();
    for (length, fits) in [(MANIFEST_BYTES_MAX, true), (MANIFEST_BYTES_MAX + 1, false)] {
        let digest = upstream.put_manifest(REPOSITORY, "a/b", vec![b' '; length]);
        for fault in [None, Some(Fault::NoLength)] {
            upstream.heal();
            if let Some(fault) = fault {
                upstream.fault("/manifests/", fault);
            }
            let fetched = client.fetch_manifest(&name(), &Reference::Digest(digest)).await;
            match fetched {
                Ok(manifest) => assert!(fits && manifest.unwrap().bytes.len() == length),
                Err(Error::TooLarge { .. }) => assert!(!fits, "{length}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn encoded_content_is_refused() {
    let upstream = FakeUpstream::start().await;
    let image = Image::new().layer("layer").build();
    let digest = upstream.push(REPOSITORY, "1", &image);
    upstream.fault("GET ", Fault::Header("content-encoding", "gzip".to_owned()));
    let client = TestClient::of(&upstream).build();
    let error = client.fetch_manifest(&name(), &Reference::Digest(digest)).await.unwrap_err();
    assert!(matches!(error, Error::ContentEncoded { .. }), "{error}");
    let error = client.fetch_blob(&name(), &image.layer(0)).await.unwrap_err();
    assert!(matches!(error, Error::ContentEncoded { .. }), "{error}");
}

#[tokio::test]
async fn heads_of_answers_are_bounded() {
    let upstream = FakeUpstream::start().await;
    upstream.push(REPOSITORY, "1", &Image::new().build());
    upstream.fault("/manifests/", Fault::Header("x-long", "x".repeat(70 * 1024)));
    let client = TestClient::of(&upstream).build();
    let error = client.resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::HeadersTooLarge { .. }), "{error}");
}

#[tokio::test]
async fn referrers_come_from_all_pages() {
    let upstream = FakeUpstream::start().await;
    let image = Image::new().build();
    let subject = upstream.push(REPOSITORY, "1", &image);
    let attached: Vec<_> = (0..5)
        .map(|number| {
            let artifact = Image::artifact("a/b").layer(format!("{number}")).subject(&image);
            upstream.attach_referrer(REPOSITORY, &subject, &artifact.build())
        })
        .collect();
    let client = TestClient::of(&upstream).build();
    assert_eq!(client.fetch_referrers(&name(), &subject).await.unwrap(), None, "not offered");

    upstream.set_referrers_api(true);
    upstream.set_page_length(2);
    let found = client.fetch_referrers(&name(), &subject).await.unwrap().unwrap();
    let found: Vec<_> = found.iter().map(|descriptor| descriptor.digest).collect();
    assert_eq!(found, attached);
    let none = client.fetch_referrers(&name(), &Digest::sha256(b"other")).await.unwrap();
    assert_eq!(none, Some(Vec::new()));
}

#[tokio::test]
async fn a_failure_is_never_an_empty_list_of_referrers() {
    let upstream = FakeUpstream::start().await;
    let subject = upstream.push(REPOSITORY, "1", &Image::new().build());
    upstream.set_referrers_api(true);
    for (fault, offered) in [
        (Fault::Status(500), true),
        (Fault::Status(401), true),
        (Fault::Status(403), true),
        (Fault::CutAfter(5), true),
        (Fault::Body(Bytes::from_static(b"{}")), true),
        (Fault::Status(404), false),
        (Fault::Status(405), false),
        (Fault::Redirect(303, "/login".to_owned()), false),
        (Fault::Header("content-type", "text/html".to_owned()), false),
    ] {
        upstream.heal();
        upstream.fault("/referrers/", fault);
        let client = TestClient::of(&upstream).build();
        match client.fetch_referrers(&name(), &subject).await {
            Ok(found) => assert_eq!((found, offered), (None, false)),
            Err(error) => assert!(offered, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_list_that_never_ends_is_an_error() {
    let upstream = FakeUpstream::start().await;
    let subject = upstream.push(REPOSITORY, "1", &Image::new().build());
    upstream.set_referrers_api(true);
    upstream.fault("/referrers/", Fault::Header("link", "<?page=0>; rel=next".to_owned()));
    upstream.fault("/tags/", Fault::Header("link", "<?page=0>; rel=next".to_owned()));
    let client = TestClient::of(&upstream).build();
    let error = client.fetch_referrers(&name(), &subject).await.unwrap_err();
    assert!(matches!(error, Error::TooManyPages { limit: 10, .. }), "{error}");
    assert_eq!(upstream.count("/referrers/"), 10);
    let error = client.list_tags(&name()).await.unwrap_err();
    assert!(matches!(error, Error::TooManyPages { limit: 100, .. }), "{error}");
}

#[tokio::test]
async fn tags_come_from_all_pages_and_bad_ones_are_left_out() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.push(REPOSITORY, "a", &Image::new().build());
    for tag in ["b", "-bad", "c", "d"] {
        upstream.tag(REPOSITORY, tag, &[digest]);
    }
    upstream.set_page_length(2);
    let client = TestClient::of(&upstream).build();
    let tags = client.list_tags(&name()).await.unwrap().unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn tls_upstreams_need_an_authority_that_is_trusted() {
    let upstream = FakeUpstream::start_tls().await;
    upstream.push(REPOSITORY, "1", &Image::new().build());
    let error = TestClient::of(&upstream).build().resolve_tag(&name(), &"1".parse().unwrap()).await;
    assert!(matches!(error, Err(Error::Tls { .. })), "{error:?}");
    upstream.assert_untouched();

    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, upstream.ca_pem().unwrap()).unwrap();
    let client =
        TestClient::of(&upstream).with(|registry| registry.ca_file = Some(ca_file)).build();
    assert!(client.resolve_tag(&name(), &"1".parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused() {
    let upstream = FakeUpstream::start().await;
    let built = |change: fn(&mut pratique::upstream::RegistrySettings)| {
        TestClient::of(&upstream).with(change).try_build().map(drop)
    };
    assert!(built(|_| {}).is_ok());
    assert!(built(|registry| registry.danger_plain_http = false).is_err());
    assert!(built(|registry| registry.url = "ftp://x".to_owned()).is_err());
    assert!(built(|registry| registry.url = "https://user:pass@x".to_owned()).is_err());
    assert!(built(|registry| registry.token_hosts = vec!["https://x".to_owned()]).is_err());
    assert!(built(|registry| registry.ca_file = Some("/nowhere/ca.pem".into())).is_err());
}

#[test]
fn the_client_may_be_used_on_any_worker() {
    fn is_send<T: Send>(_: &T) {}
    fn check(client: &pratique::upstream::Client, digest: &Digest) {
        is_send(&client.fetch_manifest(&name(), &tag("1")));
        is_send(&client.fetch_blob(&name(), digest));
        is_send(&client.fetch_referrers(&name(), digest));
        is_send(&client.list_tags(&name()));
    }
    let _: fn(&_, &_) = check;
}
