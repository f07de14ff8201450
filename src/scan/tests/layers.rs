//! One layer: what it is compressed with, and what its archive says.

use std::io::{self, Read};

use super::super::layer::read;
use super::super::{GapKind, Inventory, Limits};
use super::image::{Compress, Header, Tar, gzip, skippable, zstd};
use super::images::{base, catalogue, stanza};
use super::kinds::{TestKind, gaps, inventory, learn};
use crate::oci::Digest;

const STATUS: &str = "var/lib/dpkg/status";

fn status() -> String {
    stanza("openssl", "3.0.1-1")
}

/// How many packages an image of one layer has, and its gaps as text.
fn one(layer: &[u8]) -> (usize, Vec<String>) {
    let inventory = inventory::<TestKind>(&[layer.to_vec()]);
    let gaps = gaps(&inventory).into_iter();
    let gaps = gaps.map(|(kind, path, text)| format!("{kind:?} {path}: {text}")).collect();
    (inventory.packages.len(), gaps)
}

#[track_caller]
fn assert_gap(layer: &[u8], packages: usize, kind: GapKind, part: &str) {
    let (found, gaps) = one(layer);
    assert_eq!(found, packages, "{gaps:?}");
    let is_it = |gap: &String| gap.starts_with(&format!("{kind:?} ")) && gap.contains(part);
    assert!(gaps.iter().any(is_it), "{kind:?} {part}: {gaps:?}");
}

#[test]
fn the_catalogue_gives_its_numbers_however_its_layers_are_compressed() {
    let mut count = 0;
    for case in catalogue() {
        let compressed: [Compress; 3] = [<[u8]>::to_vec, gzip, zstd];
        for compress in compressed {
            let layers: Vec<_> = case.layers.iter().map(|layer| compress(layer)).collect();
            let inventory = inventory::<TestKind>(&layers);
            assert_eq!(inventory.packages.len(), case.packages, "{}", case.name);
            assert_eq!(gaps(&inventory), [], "{}", case.name);
            assert_eq!(inventory.distribution.is_some(), case.has_distribution, "{}", case.name);
        }
        count += 1;
    }
    assert_eq!(count, 19, "images of the catalogue");
}

#[test]
fn an_image_without_anything_known_is_empty_and_complete() {
    let program = Tar::new().file("app", "\u{1}binary").directory("tmp").end();
    let inventory = inventory::<TestKind>(&[program]);
    assert_eq!(inventory, Inventory::default());
}

#[test]
fn a_layer_without_a_byte_is_an_empty_one() {
    let facts = learn::<TestKind>(b"", &Limits::default());
    assert_eq!((facts.gaps.len(), facts.diff_id), (0, Some(Digest::sha256(b""))));
}

#[test]
fn every_member_and_frame_is_read() {
    let tar = base().file(STATUS, &status()).end();
    for split in [0, 1, 511, 512, 700, tar.len() - 1] {
        let (front, back) = tar.split_at(split);
        let members = [gzip(front), gzip(b""), gzip(back)].concat();
        let skipped = skippable(b"of no interest");
        let frames = [skipped.clone(), zstd(front), skipped.clone(), zstd(back), skipped].concat();
        for layer in [members, frames] {
            let facts = learn::<TestKind>(&layer, &Limits::default());
            assert_eq!(facts.diff_id, Some(Digest::sha256(&tar)), "split at {split}");
            assert_eq!(one(&layer), (1, vec![]), "split at {split}");
        }
    }
}

#[test]
fn what_nodes_do_not_inflate_is_a_gap() {
    assert_gap(b"BZh91AY&SY and more", 0, GapKind::Unsupported, "bzip2");
    assert_gap(b"\xfd7zXZ\0 and more", 0, GapKind::Unsupported, "xz");
    assert_gap(b"PK\x03\x04 and more", 0, GapKind::Unsupported, "zip");
    assert_gap(&[7; 4096], 0, GapKind::Malformed, "tar archive");
    assert_gap(b"short", 0, GapKind::Malformed, "in the middle");
}

#[test]
fn damaged_compression_is_a_gap_and_what_came_before_it_counts() {
    let noise: Vec<u8> =
        (0..80_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let tar = base().file(STATUS, &status()).bytes("noise", &noise).end();
    for whole in [gzip(&tar), zstd(&tar)] {
        let cut = &whole[..whole.len() - 100];
        assert_gap(cut, 1, GapKind::Malformed, "compression is damaged");
        let mut flipped = whole.clone();
        let at = whole.len() - 5;
        flipped[at] ^= 0xff;
        let facts = learn::<TestKind>(&flipped, &Limits::default());
        assert!(facts.diff_id != Some(Digest::sha256(&tar)) || !facts.gaps.is_empty());
    }
    let trailing = [gzip(&tar), b"trailing".to_vec()].concat();
    assert_gap(&trailing, 1, GapKind::Malformed, "compression is damaged");
}

#[test]
fn the_end_of_an_archive_is_where_nodes_see_it() {
    let tar = || base().file(STATUS, &status());
    assert_eq!(one(&tar().cut()), (1, vec![]), "no end at all");
    assert_eq!(one(&tar().plain(&[0; 512]).cut()), (1, vec![]), "half an end");
    assert_eq!(one(&tar().plain(&[0; 10_240]).cut()), (1, vec![]), "padded");
    let second = [base().end(), Tar::new().file(STATUS, &status()).end()].concat();
    assert_gap(&second, 0, GapKind::Malformed, "follow the end");
    let facts = learn::<TestKind>(&second, &Limits::default());
    assert_eq!(facts.diff_id, Some(Digest::sha256(&second)), "all bytes are hashed");
    let between = base().plain(&[0; 512]).file(STATUS, &status()).end();
    assert_gap(&between, 0, GapKind::Malformed, "block of zeros");
}

#[test]
fn a_truncated_archive_is_a_gap() {
    let tar = base().file(STATUS, &status()).cut();
    let contents_end = tar.len() - 512 + status().len();
    assert_eq!(one(&tar[..contents_end]), (1, vec![]), "nodes do not mind missing padding");
    assert_gap(&tar[..contents_end - 1], 0, GapKind::Malformed, "in the middle");
    assert_gap(&tar[..tar.len() - 512 - 100], 0, GapKind::Malformed, "in the middle");
}

#[test]
fn a_header_with_a_wrong_checksum_ends_the_archive() {
    let mut tar = base().file(STATUS, &status()).file("opt/x", "").end();
    let last = tar.len() - 1024 - 512;
    tar[last] ^= 1;
    assert_gap(&tar, 1, GapKind::Malformed, "not all of it");
}

#[test]
fn an_extended_header_says_the_size_and_contents_are_never_headers() {
    // Readers that go by the plain header's size take the contents for entries, or the reverse.
    let hidden = Tar::new().file(STATUS, &status()).cut();
    let size = hidden.len().to_string();
    let nested =
        base().pax(&[("size", &size)]).raw(Header::new(b"opt/nested.tar", b'0', 0), &hidden).end();
    assert_eq!(one(&nested), (0, vec![]), "the contents of a file are no entries");
    let entry = base()
        .pax(&[("size", "0")])
        .raw(Header::of(b"opt/nested.tar", b'0', &hidden), &hidden)
        .end();
    assert_eq!(one(&entry), (1, vec![]), "entries behind an empty file are");
}

#[test]
fn headers_reach_the_entry_that_nodes_give_them_to() {
    let path = [("path", STATUS)];
    assert_eq!(one(&base().pax(&path).file("x", &status()).end()), (1, vec![]));
    let twice = base().pax(&[("path", STATUS), ("path", "opt/other")]).file("x", &status()).end();
    assert_eq!(one(&twice), (0, vec![]), "the last record wins");
    let replaced = base().pax(&path).pax(&[("mtime", "1")]).file("x", &status()).end();
    assert_eq!(one(&replaced), (0, vec![]), "the last header wins, whole");
    let global = base().pax(&path).raw(Header::new(b"pax_global_header", b'g', 0), b"");
    assert_eq!(one(&global.file("x", &status()).end()), (0, vec![]), "a global one comes between");
    let record = super::image::record("path", STATUS);
    let header = Header::of(b"pax_global_header", b'g', record.as_bytes());
    let global = base().raw(header, record.as_bytes()).file("x", &status()).end();
    assert_eq!(one(&global), (0, vec![]), "a global header says nothing about entries");
    let long = format!("{STATUS}\0");
    let long =
        |tar: Tar| tar.raw(Header::of(b"././@LongLink", b'L', long.as_bytes()), long.as_bytes());
    assert_eq!(one(&long(base()).file("x", &status()).end()), (1, vec![]), "GNU's long name");
    let both = long(base()).pax(&[("path", "opt/other")]).file("x", &status()).end();
    assert_eq!(one(&both), (1, vec![]), "GNU's name counts before the extended header's");
    let link = b"opt/real\0";
    let linked = base()
        .file("opt/real", &status())
        .raw(Header::of(b"././@LongLink", b'K', link), link)
        .hard_link(STATUS, "opt/wrong");
    assert_eq!(one(&linked.end()), (1, vec![]), "GNU's long link");
    assert_gap(
        &base().pax(&[("size", "-1")]).file("x", "").end(),
        0,
        GapKind::Malformed,
        "negative",
    );
    let malformed = base().raw(Header::new(b"x", b'x', 9), b"12 path=x").end();
    assert_gap(&malformed, 0, GapKind::Malformed, "extended header");
}

#[test]
fn names_and_sizes_are_read_in_every_dialect() {
    let contents = status();
    let size = u64::try_from(contents.len()).unwrap();
    let tar = |header: &Header| base().raw(header.clone(), contents.as_bytes()).end();
    let mut prefixed = Header::new(b"dpkg/status", b'0', size);
    assert_eq!(one(&tar(prefixed.set(345, b"var/lib"))), (1, vec![]), "ustar");
    assert_eq!(one(&tar(prefixed.set(508, b"tar\0"))), (1, vec![]), "star");
    assert_eq!(
        one(&tar(prefixed.set(257, b"ustar  \0").set(508, &[0; 4]))),
        (1, vec![]),
        "as Go did"
    );
    let (count, gaps) = one(&tar(prefixed.set(257, &[0; 8])));
    assert_eq!(count, 0, "the first tar has no prefix");
    assert!(gaps[0].contains("dpkg/status: it lists packages"), "{gaps:?}");
    let mut old = Header::new(STATUS.as_bytes(), 0, size);
    assert_eq!(one(&tar(old.set(257, &[0; 8]))), (1, vec![]), "a file without a typeflag");
    let mut binary = Header::new(STATUS.as_bytes(), b'0', 0);
    binary.set(124, &[0x80, 0, 0, 0]).set(128, &size.to_be_bytes());
    assert_eq!(one(&tar(&binary)), (1, vec![]), "a size in base 256");
    assert_gap(&tar(binary.set(124, &[0xff; 12])), 0, GapKind::Malformed, "no valid size");
    assert_gap(&tar(binary.set(124, b"00000000x00\0")), 0, GapKind::Malformed, "no valid size");
}

#[test]
fn directories_and_links_have_no_contents_whatever_their_size() {
    for typeflag in [b'1', b'2', b'3', b'4', b'5', b'6'] {
        let sized =
            base().raw(Header::new(b"opt/x", typeflag, 4096), b"").file(STATUS, &status()).end();
        assert_eq!(one(&sized).0, 1, "{}", char::from(typeflag));
    }
}

#[test]
fn kinds_of_entries_that_are_not_read_are_gaps_and_what_follows_them_is_read() {
    let pax = base()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "opt/holes"),
        ])
        .file("GNUSparseFile.0/holes", "1\n0\n0\n")
        .file(STATUS, &status())
        .end();
    assert_gap(&pax, 1, GapKind::Unsupported, "opt/holes: it is stored as a sparse file");
    let mut old = Header::new(b"opt/holes", b'S', 512);
    old.set(257, b"ustar  \0").set(482, b"\x01");
    let mut map = [0; 512];
    map[504] = 1;
    let old =
        base().raw(old, &[&map[..], &[0; 512], &[1; 512]].concat()).file(STATUS, &status()).end();
    assert_gap(&old, 1, GapKind::Unsupported, "opt/holes: it is stored as a sparse file");
    let unknown =
        base().raw(Header::new(b"opt/x", b'Z', 100), &[1; 100]).file(STATUS, &status()).end();
    assert_gap(&unknown, 1, GapKind::Unsupported, "kind 'Z'");
    let special =
        base().special("dev/null", b'3').special("run/pipe", b'6').file(STATUS, &status());
    assert_eq!(one(&special.end()), (1, vec![]), "devices and pipes are ordinary");
}

#[test]
fn attributes_that_overlayfs_takes_as_orders_are_gaps() {
    for key in ["SCHILY.xattr.trusted.overlay.redirect", "SCHILY.xattr.user.overlay.opaque"] {
        let layer = base().pax(&[(key, "y")]).directory("var").end();
        assert_gap(&layer, 0, GapKind::Unsupported, "var: it has an attribute");
    }
    let ordinary = base().pax(&[("SCHILY.xattr.security.capability", "y")]).file("bin/ping", "");
    assert_eq!(one(&ordinary.end()), (0, vec![]));
}

#[test]
fn a_cataloger_that_fails_costs_its_own_file_only() {
    for (path, text) in
        [("opt/panicking", "the scanner failed"), ("opt/faulty", "a cataloger's own error")]
    {
        let layer = base().file(path, "contents").file(STATUS, &status()).end();
        assert_gap(&layer, 1, GapKind::Malformed, &format!("{path}: {text}"));
        let replaced = base().file(path, "contents").special(path, b'6').file(STATUS, &status());
        assert_eq!(one(&replaced.end()).0, 1);
    }
}

#[test]
fn a_gap_of_a_file_that_did_not_survive_is_none_of_the_image() {
    let below = base().file("opt/faulty", "contents").file(STATUS, &status()).end();
    let above = Tar::new().file("opt/.wh.faulty", "").end();
    let inventory = inventory::<TestKind>(&[below, above]);
    assert_eq!((inventory.packages.len(), gaps(&inventory)), (1, vec![]));
}

#[test]
fn a_failing_reader_is_an_error_and_never_a_gap() {
    struct Failing(Vec<u8>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled"));
            }
            let count = self.0.len().min(buffer.len()).min(7);
            buffer[..count].copy_from_slice(&self.0.drain(..count).collect::<Vec<_>>());
            Ok(count)
        }
    }
    let tar = base().file(STATUS, &status()).end();
    let blob = Digest::sha256(b"");
    for whole in [tar.clone(), gzip(&tar), zstd(&tar), Vec::new()] {
        for length in [0, 3, whole.len() / 2, whole.len()] {
            let reader = Failing(whole[..length.min(whole.len())].to_vec());
            let read = read::<TestKind>(&blob, reader, &Limits::default());
            assert_eq!(read.unwrap_err().to_string(), "cancelled", "after {length}");
        }
    }
}
