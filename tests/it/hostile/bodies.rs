//! Blobs that do not come as they should.

use std::time::Duration;

use bytes::Bytes;
use pratique::oci::Digest;

use crate::support::hostile::rig::Rig;
use crate::support::hostile::{Fault, Seed};
use crate::support::upstream::{Artifact, Image};

/// Bytes of the layer that the faults are about: more than what is held back to the end.
const LENGTH: usize = 200_000;
/// Most that an upstream may send into the mirror beyond what was asked for: buffers on the way.
const BUFFERS: u64 = 16 * 1024 * 1024;

/// Pushes an image whose layer is `seed`'s and nobody else's.
fn push(rig: &Rig, repository: &str, seed: u64) -> Artifact {
    let layer = Seed::new(seed).bytes(LENGTH);
    let image = Image::new().layer(layer).build();
    rig.upstream.push(repository, "1", &image);
    image
}

fn needle(repository: &str, digest: &Digest) -> String {
    format!("GET /v2/{repository}/blobs/{digest}")
}

/// Pulls an image while its layer has `fault`, and again when it has none. Gives whether the first
/// pull came whole.
async fn pull_through(rig: &Rig, number: u64, fault: Fault, times: u64) -> bool {
    let repository = format!("open/fault-{number}");
    let image = push(rig, &repository, number);
    rig.upstream.plan_times(&needle(&repository, &image.layer(0)), times, fault.clone());
    let first = rig.pull(&repository, "1").await;
    rig.check().await;
    rig.upstream.heal();
    rig.later();
    assert!(rig.pull(&repository, "1").await, "{fault:?} spoils later pulls");
    rig.check().await;
    first
}

#[tokio::test]
async fn a_blob_that_ends_or_resets_anywhere_is_taken_up_again_or_cut() {
    let rig = Rig::start().await;
    for (number, at) in (0..).zip([0, 1, 65_536, LENGTH / 2, LENGTH - 1]) {
        assert!(pull_through(&rig, 2 * number, Fault::FinAt(at), 1).await, "FIN at {at}");
        assert!(pull_through(&rig, 2 * number + 1, Fault::ResetAt(at), 1).await, "RST at {at}");
    }
}

#[tokio::test]
async fn a_blob_that_stalls_is_taken_up_again() {
    let rig = Rig::start().await;
    assert!(pull_through(&rig, 0, Fault::StallAt(LENGTH / 2), 1).await);
    assert!(!pull_through(&rig, 1, Fault::Silence, u64::MAX).await);
}

#[tokio::test]
async fn a_blob_that_drips_is_given_up() {
    let rig = Rig::start().await;
    let drip = Fault::SlowBody(1_000, Duration::from_millis(100));
    assert!(!pull_through(&rig, 0, drip, u64::MAX).await);
}

#[tokio::test]
async fn wrong_bytes_of_the_right_length_are_cut_and_not_kept() {
    let rig = Rig::start().await;
    assert!(!pull_through(&rig, 0, Fault::WrongBytes, 1).await);
}

#[tokio::test]
async fn a_blob_longer_or_shorter_than_its_descriptor_is_cut_and_not_kept() {
    let rig = Rig::start().await;
    for (number, by) in (0..).zip([1, -1, 100_000, -100_000]) {
        assert!(!pull_through(&rig, number, Fault::LengthOff(by), 1).await, "{by}");
    }
}

#[tokio::test]
async fn an_endless_blob_is_read_to_its_descriptors_size_and_no_further() {
    let rig = Rig::start().await;
    for (number, fault) in (0..).zip([Fault::EndlessBody, Fault::EndlessChunkExtension]) {
        assert!(!pull_through(&rig, number, fault, u64::MAX).await);
        let image = push(&rig, &format!("open/fault-{number}"), number);
        for entry in rig.upstream.entries_of(&image.layer(0).to_string()) {
            assert!(entry.bytes_sent() < BUFFERS, "{}", entry.bytes_sent());
        }
    }
}

#[tokio::test]
async fn what_goes_on_with_other_bytes_than_it_began_with_is_cut() {
    let rig = Rig::start().await;
    let other = |name, value: &str| Fault::Header(name, value.to_owned());
    for (number, (fault, is_whole)) in (0..).zip([
        (Fault::IgnoreRange, Some(true)),
        (Fault::WrongRange, Some(false)),
        (other("etag", "\"other\""), Some(false)),
        (other("content-range", "bytes 0-9/200000"), Some(false)),
        (other("content-range", "bytes 70000-199999/200001"), Some(false)),
        (other("content-range", "nonsense"), Some(false)),
        (Fault::WrongBytes, Some(false)),
        (Fault::LengthOff(-1), None),
        (Fault::Status(416, None), Some(false)),
    ]) {
        let repository = format!("open/again-{number}");
        let image = push(&rig, &repository, 100 + number);
        let needle = needle(&repository, &image.layer(0));
        rig.upstream.plan(&needle, fault.clone());
        rig.upstream.plan_times(&needle, 1, Fault::FinAt(70_000));
        let came = rig.pull(&repository, "1").await;
        assert!(is_whole.is_none_or(|is_whole| came == is_whole), "{fault:?}: {came}");
        rig.check().await;
        rig.upstream.heal();
        rig.later();
        assert!(rig.pull(&repository, "1").await, "{fault:?} spoils later pulls");
    }
    rig.check().await;
}

#[tokio::test]
async fn a_large_blob_is_right_or_cut_whatever_upstream_makes_of_ranges() {
    let rig = Rig::start().await;
    for (number, fault) in (0..).zip([
        Fault::IgnoreRange,
        Fault::WrongRange,
        Fault::Header("etag", "\"other\"".to_owned()),
        Fault::FinAt(1_000_000),
        Fault::Status(503, None),
    ]) {
        let repository = format!("open/large-{number}");
        let image = Image::new().layer(Seed::new(number).bytes(20 << 20)).build();
        rig.upstream.push(&repository, "1", &image);
        rig.upstream.plan(&needle(&repository, &image.layer(0)), fault.clone());
        rig.pull(&repository, "1").await;
        rig.check().await;
        rig.upstream.heal();
        rig.later();
        assert!(rig.pull(&repository, "1").await, "{fault:?} spoils later pulls");
    }
    rig.check().await;
}

#[tokio::test]
async fn odd_framing_of_right_bytes_does_no_harm() {
    let rig = Rig::start().await;
    assert!(pull_through(&rig, 0, Fault::NoLength, 1).await);
    pull_through(&rig, 1, Fault::LengthAndChunks, u64::MAX).await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_failure_like_any_other() {
    let rig = Rig::start().await;
    let bodies: [&[u8]; 8] = [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 999 \xff\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for (number, bytes) in (0..).zip(bodies) {
        let fault = Fault::Raw(Bytes::from_static(bytes));
        assert!(!pull_through(&rig, number, fault, u64::MAX).await, "{number}");
    }
}

#[tokio::test]
async fn a_compressed_blob_is_not_unpacked() {
    let rig = Rig::start().await;
    assert!(!pull_through(&rig, 0, Fault::GzipBomb, u64::MAX).await);
}

#[tokio::test]
async fn a_hundred_seeded_faults_break_no_promise() {
    let rig = Rig::start().await;
    let mut seed = Seed::new(3);
    for number in 0..100 {
        let repository = format!("open/seeded-{number}");
        let image = push(&rig, &repository, 1_000 + number);
        let fault = if seed.chance(4) {
            let fault = Fault::of_manifest(&mut seed);
            let needle = format!("/v2/{repository}/manifests/");
            rig.upstream.plan_times(&needle, 1, fault.clone());
            fault
        } else {
            let fault = Fault::of_blob(&mut seed, LENGTH);
            let times = u64::try_from(1 + seed.below(2)).expect("small");
            let needle = needle(&repository, &image.layer(0));
            rig.upstream.plan_times(&needle, times, fault.clone());
            fault
        };
        rig.pull(&repository, "1").await;
        rig.settled().await;
        rig.upstream.heal();
        rig.later();
        assert!(rig.pull(&repository, "1").await, "{number} {fault:?} spoils later pulls");
    }
    rig.check().await;
}
