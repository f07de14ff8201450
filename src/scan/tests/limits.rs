//! Every bound: what is beyond it is a gap that names it, and reading ends in time.

use std::time::{Duration, Instant};

use super::super::layer::{Facts, read};
use super::super::{GapKind, Limits};
use super::image::{Compress, Header, Tar, gzip, zstd};
use super::images::{base, stanza};
use super::kinds::{TestKind, gaps, inventory_with, learn};
use crate::oci::Digest;

const STATUS: &str = "var/lib/dpkg/status";
const MIB: u64 = 1024 * 1024;

#[track_caller]
fn assert_limit(layer: &[u8], limits: &Limits, bound: &str) -> Facts<TestKind> {
    let facts = learn::<TestKind>(layer, limits);
    let inventory = inventory_with::<TestKind>(&[layer.to_vec()], limits);
    let found = gaps(&inventory);
    let is_it =
        |(kind, _, text): &(GapKind, &str, &str)| *kind == GapKind::Limit && text.contains(bound);
    assert!(found.iter().any(is_it), "{bound}: {found:?}");
    facts
}

/// The start of a file of `size` bytes and as many zeros, compressed without ever being in memory.
fn bomb(size: u64, compress: Compress) -> Vec<u8> {
    let tar = base().file(STATUS, &stanza("openssl", "1"));
    let head = tar.raw(Header::new(b"opt/zeros", b'0', size), b"").cut();
    let block = compress(&vec![0; 1024 * 1024]);
    let blocks = std::iter::repeat_n(block, usize::try_from(size / MIB).unwrap());
    [compress(&head)].into_iter().chain(blocks).flatten().collect()
}

#[test]
fn bombs_end_at_the_ratio_long_before_their_size() {
    let ways: [Compress; 2] = [gzip, zstd];
    for compress in ways {
        let layer = bomb(512 * MIB, compress);
        let limits = Limits { ratio_from_bytes: MIB, ratio: 10, ..Limits::default() };
        let facts = assert_limit(&layer, &limits, "ratio = 10");
        // What was read ahead of the compressed bytes counts as used.
        assert!(facts.inflated_bytes <= 3 * MIB, "{}", facts.inflated_bytes);
        assert_eq!(facts.diff_id, None, "what was not inflated has no digest");
        assert_eq!(facts.files.len(), 2, "what came before counts");
    }
}

#[test]
fn a_layer_ends_at_its_bytes() {
    let layer = bomb(64 * MIB, gzip);
    let limits = Limits { layer_bytes: MIB, ..Limits::default() };
    let facts = assert_limit(&layer, &limits, "layer_bytes");
    assert!(facts.inflated_bytes <= 2 * MIB);
    let exactly = base().end();
    let bytes = u64::try_from(exactly.len()).unwrap();
    let limits = Limits { layer_bytes: bytes, ..Limits::default() };
    assert_eq!(learn::<TestKind>(&gzip(&exactly), &limits).gaps, []);
    let limits = Limits { layer_bytes: bytes - 1, ..Limits::default() };
    assert_limit(&gzip(&exactly), &limits, "layer_bytes");
}

#[test]
fn zeros_behind_the_archive_count_as_its_bytes() {
    let layer = gzip(&base().plain(&vec![0; 2 * 1024 * 1024]).cut());
    let limits = Limits { layer_bytes: MIB, ..Limits::default() };
    assert_limit(&layer, &limits, "layer_bytes");
}

#[test]
fn a_window_that_would_take_too_much_memory_is_a_gap() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    std::io::Write::write_all(&mut encoder, &base().end()).unwrap();
    assert_limit(&encoder.finish().unwrap(), &Limits::default(), "2^27");
}

#[test]
fn entries_end_at_their_bound() {
    let many =
        |count: u32| (0..count).fold(base(), |tar, index| tar.file(&format!("f{index}"), "")).end();
    // With `etc` and its `os-release`.
    let limits = Limits { entries: 50, ..Limits::default() };
    assert_eq!(learn::<TestKind>(&many(48), &limits).gaps, []);
    let facts = assert_limit(&many(49), &limits, "entries = 50");
    assert!(facts.diff_id.is_some(), "it is hashed to its end all the same");
    let directories = base().file(&format!("{}x", "d/".repeat(60)), "").end();
    assert_limit(&directories, &limits, "entries = 50");
}

#[test]
fn paths_end_at_their_bytes_and_depth() {
    let limits = Limits { path_bytes: 64, path_depth: 8, ..Limits::default() };
    let long = "n".repeat(65);
    let named = base().pax(&[("path", &long)]).file("x", "").file(STATUS, &stanza("openssl", "1"));
    let facts = assert_limit(&named.end(), &limits, "path_bytes");
    assert_eq!(facts.files.len(), 2, "what follows is read");
    assert_limit(&base().symlink("x", &long).end(), &limits, "path_bytes");
    assert_eq!(learn::<TestKind>(&base().file("1/2/3/4/5/6/7/8", "").end(), &limits).gaps, []);
    assert_limit(&base().file("1/2/3/4/5/6/7/8/9", "").end(), &limits, "path_depth");
    let through = base().symlink("a", "1/2/3/4/5").symlink("b", "a/1/2/3").file("b/x/y", "");
    assert_limit(&through.end(), &limits, "path_depth");
}

#[test]
fn names_and_links_end_at_their_bytes() {
    let long = "t/".repeat(2_000);
    let many = |count: u32| {
        (0..count)
            .fold(base(), |tar, n| tar.pax(&[("linkpath", &long)]).symlink(&n.to_string(), ""))
    };
    assert_eq!(learn::<TestKind>(&many(11_000).end(), &Limits::default()).gaps, []);
    assert_limit(&many(13_000).end(), &Limits::default(), "names and links");
}

#[test]
fn extended_headers_end_at_their_bytes() {
    let limits = Limits { header_bytes: 1000, ..Limits::default() };
    let value = "v".repeat(980);
    assert_eq!(learn::<TestKind>(&base().pax(&[("comment", &value)]).end(), &limits).gaps, []);
    let value = "v".repeat(1000);
    assert_limit(&base().pax(&[("comment", &value)]).end(), &limits, "header_bytes");
    for typeflag in [b'L', b'K', b'x', b'g'] {
        let endless = base().raw(Header::new(b"x", typeflag, 8 * 1024 * MIB - 1), b"").cut();
        assert_limit(&endless, &limits, "header_bytes");
    }
}

#[test]
fn links_are_followed_as_often_as_allowed() {
    let limits = Limits { links: 5, ..Limits::default() };
    let chain = |count: u32| {
        let real = base()
            .file("opt/0", &stanza("openssl", "1"))
            .symlink(STATUS, &format!("/opt/{}", count - 1));
        (1..count).fold(real, |tar, n| tar.symlink(&format!("opt/{n}"), &(n - 1).to_string())).end()
    };
    let inventory = inventory_with::<TestKind>(&[chain(5)], &limits);
    assert_eq!((inventory.packages.len(), gaps(&inventory)), (1, vec![]));
    assert_limit(&chain(6), &limits, "links");
    let own = (0..6)
        .fold(base().directory("0"), |tar, n| tar.symlink(&format!("{}", n + 1), &n.to_string()));
    assert_limit(&own.file("6/x", "").end(), &limits, "links");
}

#[test]
fn a_layer_that_takes_too_long_is_a_gap_also_where_nothing_is_inflated() {
    let limits = Limits { time: Duration::from_millis(20), ..Limits::default() };
    let members = gzip(b"").repeat(1_000_000);
    let frames = super::image::skippable(b"").repeat(40_000_000);
    for layer in [members, frames] {
        let began = Instant::now();
        let facts: Facts<TestKind> = read(&Digest::sha256(b""), layer.as_slice(), &limits).unwrap();
        assert!(facts.gaps.iter().any(|gap| gap.text.contains("time")), "{:?}", facts.gaps);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn waiting_for_bytes_is_not_a_layers_fault() {
    struct Slow<'a>(&'a [u8]);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let until = Instant::now() + Duration::from_millis(30);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let count = buffer.len().min(1000);
            std::io::Read::read(&mut self.0, &mut buffer[..count])
        }
    }
    let tar = base().plain(&[0; 10_240]).cut();
    let limits = Limits { time: Duration::from_millis(200), ..Limits::default() };
    let facts: Facts<TestKind> = read(&Digest::sha256(&tar), Slow(&tar), &limits).unwrap();
    assert_eq!(facts.gaps, []);
}

#[test]
fn packages_end_at_their_number_in_a_layer_and_in_an_image() {
    let limits = Limits { packages: 10, ..Limits::default() };
    let status = |from: u32, to: u32| -> String {
        (from..to).map(|n| stanza(&format!("p{n}"), "1")).collect()
    };
    let layer = base().file(STATUS, &status(0, 10)).end();
    assert_eq!(gaps(&inventory_with::<TestKind>(std::slice::from_ref(&layer), &limits)), []);
    assert_limit(&base().file(STATUS, &status(0, 11)).end(), &limits, "packages = 10");
    let more = Tar::new().file("var/lib/dpkg/status.d/more", &status(10, 12)).end();
    let inventory = inventory_with::<TestKind>(&[layer, more], &limits);
    assert_eq!(inventory.packages.len(), 10);
    assert!(gaps(&inventory).iter().any(|(kind, ..)| *kind == GapKind::Limit));
}

#[test]
fn gaps_are_told_up_to_a_number_and_never_forgotten() {
    let layer = (0..1000).fold(base(), |tar, n| tar.special(&format!("opt/{n}"), b'Z')).end();
    let facts = learn::<TestKind>(&layer, &Limits::default());
    assert_eq!(facts.gaps.len(), 101);
    assert!(facts.gaps[100].text.contains("more gaps"));
}

#[test]
fn links_that_lead_on_and_on_end() {
    // Each of many links leads through forty others, through directories of many layers.
    let hops = (1..39).fold(Tar::new().directory("d0"), |tar, n| {
        tar.symlink(&format!("d{n}"), &format!("d{}", n - 1))
    });
    let many = (0..30_000).fold(hops, |tar, n| tar.symlink(&format!("l{n}"), "d38/./././../d38"));
    let mut layers = vec![many.end()];
    layers.extend((0..20).map(|_| Tar::new().directory("d0").end()));
    let began = Instant::now();
    let inventory = inventory_with::<TestKind>(&layers, &Limits::default());
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    assert!(
        gaps(&inventory).iter().any(|(_, _, text)| text.contains("steps")),
        "{:?}",
        gaps(&inventory)
    );
}

#[test]
fn links_to_all_there_is_end_too() {
    let root = (0..3000).fold(base(), |tar, n| tar.symlink(&format!("l{n}"), "/"));
    let layers: Vec<_> =
        std::iter::repeat_with(|| Tar::new().directory("d").end()).take(4).collect();
    let layers = [vec![root.end()], layers].concat();
    let began = Instant::now();
    let inventory = inventory_with::<TestKind>(&layers, &Limits::default());
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    assert!(
        gaps(&inventory).iter().any(|(_, _, text)| text.contains("steps")),
        "{:?}",
        gaps(&inventory)
    );
}

#[test]
fn files_that_links_make_interesting_end_at_a_number() {
    let many = (0..10_050).fold(Tar::new(), |tar, n| {
        tar.file(&format!("f{n}"), "")
            .symlink(&format!("{n}.dist-info/METADATA"), &format!("/f{n}"))
    });
    let inventory = inventory_with::<TestKind>(&[many.end()], &Limits::default());
    assert_eq!(gaps(&inventory).len(), 1);
    assert!(gaps(&inventory)[0].2.contains("more than 10000 files"), "{:?}", gaps(&inventory));
}

#[test]
fn gaps_of_an_image_are_told_up_to_a_number() {
    let many = (0..5_000).fold(Tar::new(), |tar, n| tar.hard_link(&format!("h/{n}"), "no/such"));
    let inventory = inventory_with::<TestKind>(&[many.end()], &Limits::default());
    assert_eq!(inventory.gaps.len(), 1_001);
    assert!(inventory.gaps[0].text.contains("more gaps"), "{:?}", inventory.gaps[0]);
}
