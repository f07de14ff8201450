//! Databases of all kinds, small ones made here and real ones where they are at hand.

mod hostile;
mod made;
mod real;

use self::made::{MD5, Rpm, berkeley, ndb, sqlite};
use crate::scan::catalog::FileFacts;
use crate::scan::catalog::system::tests::{owned, packages, read};

/// Makes a database of these headers.
type Maker = fn(&[Vec<u8>]) -> Vec<u8>;

/// Where each kind of database is, and what makes one.
const KINDS: [(&str, Maker); 4] = [
    ("var/lib/rpm/rpmdb.sqlite", sqlite),
    ("var/lib/rpm/Packages.db", ndb),
    ("var/lib/rpm/Packages", |blobs| berkeley(blobs, false)),
    ("usr/lib/sysimage/rpm/Packages", |blobs| berkeley(blobs, true)),
];

/// What each kind of database says of these packages: the same.
fn read_all(rpms: &[Rpm]) -> FileFacts {
    let blobs: Vec<_> = rpms.iter().map(Rpm::blob).collect();
    let all = KINDS.map(|(path, make)| {
        let mut facts = read(path, &make(&blobs));
        for package in &facts.packages {
            assert_eq!(package.found_in, "", "it is in the file itself");
        }
        facts.packages.sort();
        facts.owns.sort_by(|one, other| one.package.cmp(&other.package));
        facts.gaps.sort();
        facts
    });
    let [first, rest @ ..] = all;
    for (facts, (path, _)) in rest.iter().zip(&KINDS[1..]) {
        assert_eq!(*facts, first, "{path}");
    }
    first
}

#[test]
fn all_kinds_of_database_say_the_same() {
    // Enough of them for several pages and for long values.
    let mut rpms: Vec<_> =
        (0..40).map(|index| Rpm::new(&format!("a{index}"), "1.2", "3.el9")).collect();
    rpms.push(Rpm { summary: "x".repeat(70_000), ..Rpm::new("long", "1", "1") });
    rpms.push(Rpm::new("gpg-pubkey", "d4082792", "5b32db75"));
    let facts = read_all(&rpms);
    assert_eq!((facts.gaps.len(), facts.packages.len()), (0, 41), "{:?}", facts.gaps);
    assert!(packages(&facts).contains(&"a17 1.2-3.el9".to_owned()));
    assert!(packages(&facts).contains(&"long 1-1".to_owned()));
}

#[test]
fn a_database_without_packages_has_none() {
    assert_eq!(read_all(&[]), FileFacts::default());
}

#[test]
fn all_that_is_said_of_a_package_is_kept() {
    let rpm = Rpm {
        epoch: Some(1),
        architecture: "x86_64",
        source: Some("nodejs-18.0.0-1.module_el8.src.rpm"),
        module: Some("nodejs:18:8090020240101:a75119d5"),
        ..Rpm::new("nodejs-libs", "18.0.0", "1.module_el8")
    };
    let facts = read_all(&[rpm]);
    assert_eq!(facts.gaps, vec![]);
    let [package] = facts.packages.as_slice() else { panic!("{facts:?}") };
    assert_eq!(package.version, "1:18.0.0-1.module_el8");
    assert_eq!(package.source_name(), "nodejs");
    assert_eq!(package.source_version(), "1:18.0.0-1.module_el8");
    assert_eq!(package.architecture.as_deref(), Some("x86_64"));
    assert_eq!(package.module.as_deref(), Some("nodejs:18:8090020240101:a75119d5"));
}

/// A source has no epoch in its name. Whoever is built from it and has its version has its epoch.
#[test]
fn a_source_has_the_epoch_of_a_package_with_its_version() {
    let of = |name: &str, version: &str, epoch, source| Rpm {
        epoch,
        source: Some(source),
        ..Rpm::new(name, version, "9")
    };
    let facts = read_all(&[
        of("perl-Errno", "1.30", None, "perl-5.32-9.src.rpm"),
        of("perl-libs", "5.32", Some(4), "perl-5.32-9.src.rpm"),
        of("perl", "5.32", Some(4), "perl-5.32-9.src.rpm"),
        of("odd", "2", Some(3), "other-1-9.src.rpm"),
        of("zero", "1", Some(0), "zero-1-9.nosrc.rpm"),
    ]);
    assert_eq!(facts.gaps, vec![]);
    let said = facts.packages.iter().map(|it| {
        let source = it.source.as_ref().map(|it| format!("{} {}", it.name, it.version));
        format!("{} {} from {}", it.name, it.version, source.unwrap_or_default())
    });
    let expected = [
        "odd 3:2-9 from other 1-9",
        "perl 4:5.32-9 from ",
        "perl-Errno 1.30-9 from perl 4:5.32-9",
        "perl-libs 4:5.32-9 from perl 4:5.32-9",
        "zero 1-9 from ",
    ];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn only_what_a_distribution_made_is_the_distributions() {
    let files =
        || vec![("/usr/lib/python3.9/site-packages/x.dist-info/", "METADATA"), ("/usr/bin/", "x")];
    for (vendor, release, is_distribution) in [
        ("Red Hat, Inc.", "1.el9", true),
        ("AlmaLinux", "1.el9", true),
        ("SUSE LLC <https://www.suse.com/>", "1", true),
        ("Microsoft Corporation", "1.cm2", true),
        ("Microsoft Corporation", "1.el9", false),
        ("NodeSource", "1nodesource", false),
        ("", "1", false),
    ] {
        let rpm = Rpm { vendor, files: files(), ..Rpm::new("x", "1", release) };
        let mut expected =
            vec!["usr/bin/x", "usr/lib/python3.9/site-packages/x.dist-info/METADATA"];
        expected.retain(|_| is_distribution);
        let facts = read_all(&[rpm]);
        let mut found = owned(&facts);
        found.sort_unstable();
        assert_eq!(found, expected, "{vendor} {release}");
        assert_eq!((facts.packages.len(), facts.gaps.len()), (1, 0));
    }
    // What is no package owns nothing.
    for name in ["gpg-pubkey", "b a d"] {
        let rpm = Rpm { vendor: "AlmaLinux", files: files(), ..Rpm::new(name, "1", "1") };
        let facts = read_all(&[rpm]);
        assert_eq!((facts.packages.len(), facts.owns.len()), (0, 0), "{name}");
    }
}

#[test]
fn files_belong_to_a_package_by_checksums_of_its_kind() {
    const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (algorithm, digest, count) in [
        (None, MD5, 1),
        (Some(1), MD5, 1),
        (Some(2), SHA1, 1),
        (Some(8), SHA256, 1),
        (Some(8), MD5, 0),
        (None, SHA256, 0),
        (Some(10), SHA256, 0),
        (Some(8), "", 0),
    ] {
        let files = vec![("/usr/bin/", "x")];
        let digests = (algorithm, digest);
        let rpm = Rpm { vendor: "AlmaLinux", files, digests, ..Rpm::new("x", "1", "1") };
        let facts = read_all(&[rpm]);
        assert_eq!((facts.gaps.len(), owned(&facts).len()), (0, count), "{digests:?}");
    }
}

#[test]
fn what_cannot_be_a_package_is_a_gap_and_the_others_are_kept() {
    let long = "1".repeat(300);
    let good = || Rpm::new("good", "1", "1");
    for bad in [
        Rpm::new("", "1", "1"),
        Rpm::new("b a d", "1", "1"),
        Rpm::new("bad", "", "1"),
        Rpm::new("bad", "1-2", "1"),
        Rpm::new("bad", "1", ""),
        Rpm::new("bad", "1:2", "1"),
        Rpm::new("bad", &long, "1"),
        Rpm { source: Some("bad"), ..good() },
        Rpm { source: Some("bad-1.src.rpm"), ..good() },
        Rpm { source: Some("-1-1.src.rpm"), ..good() },
        Rpm { architecture: "x 86", ..good() },
        Rpm { module: Some("\u{1}"), ..good() },
        Rpm { twice: true, ..good() },
    ] {
        let facts = read_all(&[Rpm::new("a", "1", "1"), bad, Rpm::new("z", "1", "1")]);
        assert_eq!(packages(&facts), ["a 1-1", "z 1-1"]);
        let kinds: Vec<_> = facts.gaps.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [crate::scan::GapKind::Malformed], "{:?}", facts.gaps);
        assert!(facts.gaps[0].1.is_ascii() && facts.gaps[0].1.len() < 250);
    }
}

#[test]
fn a_journal_that_is_not_empty_is_a_gap() {
    for path in ["var/lib/rpm/rpmdb.sqlite-wal", "usr/share/rpm/rpmdb.sqlite-journal"] {
        assert_eq!(read(path, b""), FileFacts::default());
        assert_eq!(read(path, &[0; 512]), FileFacts::default());
        assert_eq!(read(path, b"\x37\x7f\x06\x82").gaps.len(), 1);
    }
}

#[test]
fn the_list_of_an_image_without_rpm() {
    let text = "openssl-libs\t1.1.1k-1.cm2\t1\t2\tMicrosoft Corporation\t(none)\t9\tx86_64\t0\topenssl-1.1.1k-1.cm2.src.rpm\n\
                perl\t5.34-1.cm2\t1\t2\tMicrosoft Corporation\t4\t9\tx86_64\t4\tperl-5.34-1.cm2.src.rpm\n\
                gpg-pubkey\t1-2\t1\t2\t(none)\t(none)\t0\t(none)\t0\t(none)\n\
                short\t1-2\n\
                bad\t1\t1\t2\tM\t(none)\t9\tx86_64\t0\t(none)\n";
    let facts = read("var/lib/rpmmanifest/container-manifest-2", text.as_bytes());
    assert_eq!(packages(&facts), ["openssl-libs 1.1.1k-1.cm2", "perl 4:5.34-1.cm2"]);
    assert_eq!(facts.packages[0].source_name(), "openssl");
    assert_eq!(facts.packages[1].source, None);
    assert_eq!(facts.gaps.len(), 2, "{:?}", facts.gaps);
}
