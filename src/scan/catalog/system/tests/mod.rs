//! Files as real images have them, where they are at hand (`PRATIQUE_TEST_DATA`), and how files are
//! told by their paths.

mod fixture;
mod images;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::scan::GapKind;
use crate::scan::catalog::FileKind;

/// Tests that were skipped because there were no data.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// A file of the shared data, inflated; `None`, with a line that says so, when it is not at hand.
pub(super) fn shared(file: &str) -> Option<Vec<u8>> {
    let data = std::env::var_os("PRATIQUE_TEST_DATA").map(PathBuf::from);
    let Some(bytes) = data.and_then(|data| fs::read(data.join("scan").join(file)).ok()) else {
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        println!("skipped: PRATIQUE_TEST_DATA has no scan/{file} ({skipped} skipped so far)");
        return None;
    };
    let mut inflated = Vec::new();
    let ending = file.rsplit('.').next().unwrap();
    if ending == "zst" {
        zstd::Decoder::new(bytes.as_slice()).unwrap().read_to_end(&mut inflated).unwrap();
    } else if ending == "gz" {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut inflated).unwrap();
    } else {
        return Some(bytes);
    }
    Some(inflated)
}

/// The regular files of a plain tar archive.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut rest = tar;
    while let Some((header, after)) = rest.split_at_checked(512) {
        let text = |at: std::ops::Range<usize>| {
            let field = header[at].split(|&byte| byte == 0).next().unwrap();
            std::str::from_utf8(field).unwrap().trim().to_owned()
        };
        if header[0] == 0 {
            break;
        }
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        if matches!(header[156], b'0' | 0) {
            files.insert(text(0..100), after[..size].to_vec());
        }
        rest = &after[size.div_ceil(512) * 512..];
    }
    files
}

/// Reads a file as the scanner does.
pub(super) fn read(path: &str, bytes: &[u8]) -> FileFacts {
    let kind = FileKind::of(path, bytes).unwrap_or_else(|| panic!("{path} is of no kind"));
    let size = u64::try_from(bytes.len()).unwrap();
    kind.read(path, size, &mut &*bytes, &Limits::default()).unwrap()
}

/// Name and version of each package, sorted.
pub(super) fn packages(facts: &FileFacts) -> Vec<String> {
    let all = facts.packages.iter().map(|it| format!("{} {}", it.name, it.version));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

#[test]
fn a_bookworm_has_what_dpkg_query_says() {
    let Some(tar) = shared("bookworm/bookworm-pkgdb-only.tar.zst") else { return };
    let Some(query) = shared("fixtures/bookworm-rootfs.dpkg-query.txt") else { return };
    let files = files(&tar);
    let facts = read("var/lib/dpkg/status", &files["var/lib/dpkg/status"]);
    assert_eq!(facts.gaps, vec![]);
    let rows =
        || std::str::from_utf8(&query).unwrap().lines().map(|it| it.split(' ').collect::<Vec<_>>());
    let mut expected: Vec<_> = rows().map(|row| format!("{} {}", row[2], row[3])).collect();
    let mut sources: Vec<_> = rows().map(|row| format!("{} {}", row[0], row[1])).collect();
    expected.sort();
    sources.sort();
    println!("{} packages", facts.packages.len());
    assert_eq!((packages(&facts).len(), packages(&facts)), (135, expected));
    assert_eq!(facts.strangers, Vec::<String>::new());
    let found = facts.packages.iter();
    let found = found.map(|it| format!("{} {}", it.source_name(), it.source_version()));
    let mut found: Vec<_> = found.collect();
    found.sort();
    assert_eq!(found, sources);

    let release = read("usr/lib/os-release", &files["usr/lib/os-release"]).distribution.unwrap();
    assert_eq!((release.id.as_str(), release.version.as_deref()), ("debian", Some("12")));
}

#[test]
fn an_alpine_has_fourteen_packages_and_their_files() {
    let Some(archive) = shared("fixtures/alpine-310.tar.gz") else { return };
    let files_of = |tar: &[u8], ending: &str| {
        let file = files(tar).into_iter().find(|(path, _)| path.ends_with(ending));
        file.unwrap_or_else(|| panic!("no {ending}")).1
    };
    let layer = files_of(&archive, "layer.tar");
    let facts = read("lib/apk/db/installed", &files_of(&layer, "lib/apk/db/installed"));
    assert_eq!(facts.gaps, vec![]);
    let expected = [
        "alpine-baselayout 3.1.2-r0",
        "alpine-keys 2.1-r2",
        "apk-tools 2.10.4-r2",
        "busybox 1.30.1-r3",
        "ca-certificates-cacert 20190108-r0",
        "libc-utils 0.7.1-r0",
        "libcrypto1.1 1.1.1d-r2",
        "libssl1.1 1.1.1d-r2",
        "libtls-standalone 2.9.1-r0",
        "musl 1.1.22-r3",
        "musl-utils 1.1.22-r3",
        "scanelf 1.2.3-r0",
        "ssl_client 1.30.1-r3",
        "zlib 1.2.11-r1",
    ];
    assert_eq!(packages(&facts), expected);
    let source = |name: &str| {
        let package = facts.packages.iter().find(|it| it.name == name).unwrap();
        format!("{} {}", package.source_name(), package.source_version())
    };
    assert_eq!(source("libssl1.1"), "openssl 1.1.1d-r2");
    assert_eq!(source("ssl_client"), "busybox 1.30.1-r3");
    assert!(facts.owns.contains(&"bin/busybox".to_owned()));
    assert!(facts.owns.contains(&"lib/libcrypto.so.1.1".to_owned()));
    let release = read("etc/os-release", &files_of(&layer, "etc/os-release")).distribution.unwrap();
    assert_eq!((release.id.as_str(), release.version.as_deref()), ("alpine", Some("3.10.4")));
}

#[test]
fn the_status_file_of_trivys_tests() {
    let Some(archive) = shared("fixtures/valid.txtar") else { return };
    let text = std::str::from_utf8(&archive).unwrap();
    let (_, status) = text.split_once("-- var/lib/dpkg/status --\n").unwrap();
    let status = status.split("\n-- ").next().unwrap();
    let status_stanzas = format!("\n{status}").matches("\nPackage:").count();
    let facts = read("var/lib/dpkg/status", status.as_bytes());
    assert_eq!(facts.gaps, vec![]);
    println!("{} packages", facts.packages.len());
    // All but `git`, which was removed and left its configuration.
    assert_eq!((facts.packages.len(), status_stanzas), (90, 91));
    let shown = packages(&facts);
    for package in ["fdisk 2.31.1-0.4ubuntu3.1", "bsdutils 1:2.31.1-0.4ubuntu3.1"] {
        assert!(shown.contains(&package.to_owned()), "{package}: {shown:?}");
    }
    let lzma = facts.packages.iter().find(|it| it.name == "liblzma5").unwrap();
    assert_eq!(lzma.source_version(), "5.1.1alpha+20120614-2");
}

/// What the fuzz target begins with is read, or it would begin with nothing.
#[test]
fn the_seeds_of_the_fuzz_target_are_databases() {
    let seeds: [(&str, &[u8]); 4] = [
        ("var/lib/rpm/Packages", include_bytes!("../../../../../fuzz/seeds/system/berkeley")),
        ("var/lib/rpm/Packages", include_bytes!("../../../../../fuzz/seeds/system/berkeley-big")),
        ("var/lib/rpm/Packages.db", include_bytes!("../../../../../fuzz/seeds/system/ndb")),
        ("var/lib/rpm/rpmdb.sqlite", include_bytes!("../../../../../fuzz/seeds/system/sqlite")),
    ];
    for (path, seed) in seeds {
        // Its first byte says which kind of file it is.
        let facts = read(path, &seed[1..]);
        assert_eq!(
            (packages(&facts), facts.gaps.len()),
            (vec!["a 1:1.2-3.el9".into(), "b 1:1.2-3.el9".into()], 0)
        );
        assert_eq!(facts.owns, ["usr/lib/x/METADATA"; 2]);
    }
}

#[test]
fn files_are_told_by_their_last_folders() {
    for (path, file) in [
        ("lib/apk/db/installed", File::ApkInstalled),
        ("usr/lib/apk/db/installed", File::ApkInstalled),
        ("elsewhere/apk/db/installed", File::ApkInstalled),
        ("var/lib/dpkg/status", File::DpkgStatus),
        ("dpkg/status", File::DpkgStatus),
        ("var/lib/dpkg/status.d/libc6", File::DpkgStatusPart),
        ("var/lib/dpkg/status.d/libc6.md5sums", File::DpkgChecksums),
        ("var/lib/dpkg/info/libc6:amd64.list", File::DpkgList),
        ("var/lib/dpkg/info/libc6.md5sums", File::DpkgChecksums),
        ("etc/os-release", File::OsRelease),
        ("usr/lib/os-release", File::OsRelease),
        ("var/lib/rpm/Packages", File::RpmBerkeley),
        ("usr/lib/sysimage/rpm/Packages.db", File::RpmNdb),
        ("usr/share/rpm/rpmdb.sqlite", File::RpmSqlite),
        ("var/lib/rpm/rpmdb.sqlite-wal", File::RpmJournal),
        ("var/lib/rpmmanifest/container-manifest-2", File::RpmManifest),
    ] {
        assert_eq!(File::of(path), Some(file), "{path}");
    }
    for path in [
        "",
        "status",
        "installed",
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/info/libc6.postinst",
        "var/lib/apk/installed",
        "var/lib/rpm/Name",
        "var/lib/rpm/rpmdb.sqlite-shm",
        "usr/share/os-release",
    ] {
        assert_eq!(File::of(path), None, "{path}");
    }
}

/// Wherever a file counts, it is known by its path there.
#[test]
fn what_counts_is_told() {
    for file in File::PLACED.iter().copied() {
        let paths: Vec<String> = match file.place() {
            Place::At(paths) | Place::FirstOf(paths) => paths.iter().map(|&it| it.into()).collect(),
            Place::In(folders) => {
                let name = match file {
                    File::DpkgChecksums => "a.md5sums",
                    File::DpkgList => "a.list",
                    _ => "a",
                };
                folders.iter().map(|folder| format!("{folder}/{name}")).collect()
            }
            Place::Anywhere => panic!("{file:?} would count anywhere"),
        };
        assert!(!paths.is_empty());
        for path in paths {
            assert_eq!(File::of(&path), Some(file), "{path}");
        }
    }
}

#[test]
fn a_file_beyond_its_bound_is_a_gap() {
    let limits = Limits { database_bytes: 9, file_bytes: 9, ..Limits::default() };
    for path in ["lib/apk/db/installed", "var/lib/dpkg/status", "etc/os-release", "rpm/Packages"] {
        let kind = FileKind::of(path, &[]).unwrap();
        let facts = kind.read(path, 10, &mut &[b'x'; 10][..], &limits).unwrap();
        assert!(matches!(facts.gaps.as_slice(), [(GapKind::Limit, _)]), "{path}: {facts:?}");
        assert_eq!(facts.packages, vec![]);
    }
}

#[test]
fn more_packages_than_the_bound_are_a_gap_and_the_rest_is_kept() {
    let limits = Limits { packages: 2, ..Limits::default() };
    let stanza =
        |name: u8| format!("Package: a{name}\nStatus: install ok installed\nVersion: 1\n\n");
    let status: String = (0..5).map(stanza).collect();
    let facts = File::DpkgStatus.read_bytes("var/lib/dpkg/status", status.as_bytes(), &limits);
    assert_eq!(packages(&facts), ["a0 1", "a1 1"]);
    assert_eq!(facts.gaps, [(GapKind::Limit, "more than packages = 2".to_owned())]);
}

#[test]
fn the_gaps_of_one_file_are_bounded() {
    let lines = "no field\n".repeat(100_000);
    let facts = read("var/lib/dpkg/status", lines.as_bytes());
    assert_eq!(facts.gaps.len(), 65);
    assert!(facts.gaps.iter().all(|(_, text)| text.len() < 200 && text.is_ascii()));
}

#[cfg(feature = "fuzzing")]
proptest::proptest! {
    /// The fuzz target takes whatever the other tests make.
    #[test]
    fn the_fuzz_target_finds_nothing(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3_000)) {
        crate::scan::fuzzing::fuzz_system(&bytes);
    }
}
