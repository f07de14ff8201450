//! Databases of real images, where they are at hand.

use crate::scan::catalog::FileFacts;
use crate::scan::catalog::system::tests::{owned, packages, read, shared};

/// A line as `rpm -qa --qf '%{name} %{evr} %{arch} %{sourcerpm}\n'` prints it, for one package.
fn said(facts: &FileFacts, name: &str) -> String {
    let package = facts.packages.iter().find(|it| it.name == name);
    let package = package.unwrap_or_else(|| panic!("no {name} in {:?}", packages(facts)));
    let architecture = package.architecture.as_deref().unwrap_or("(none)");
    let (source, version) = (package.source_name(), package.source_version());
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    format!("{name} {} {architecture} {source}-{version}.src.rpm", package.version)
}

/// What `rpm -qa` says of it, by the digest of its lines, sorted.
#[test]
fn a_sqlite_database_of_cbl_mariner() {
    let Some(bytes) = shared("fixtures/cbl-mariner-2.0_rpmdb.sqlite.zst") else { return };
    let facts = read("var/lib/rpm/rpmdb.sqlite", &bytes);
    println!("{} packages, {} files", facts.packages.len(), owned(&facts).len());
    assert_eq!((facts.gaps.len(), facts.packages.len()), (0, 129), "{:?}", facts.gaps);
    let mut all = String::new();
    let mut names: Vec<_> = facts.packages.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    for name in names {
        all += &said(&facts, name);
        all.push('\n');
    }
    assert!(all.contains("\naudit-libs 3.0.6-1.cm2 x86_64 audit-3.0.6-1.cm2.src.rpm\n"), "{all}");
    assert_eq!(
        crate::oci::Digest::sha256(all.as_bytes()).hex(),
        "37c2e575e33be305e719c252ca378e38f51c3d8b005340a816924b9158b0f5a5",
        "{all}"
    );
    assert!(owned(&facts).contains(&"usr/bin/curl"));
}

#[test]
fn a_berkeley_database_of_one_package() {
    let Some(bytes) = shared("fixtures/libuuid_bdb_Packages.zst") else { return };
    let facts = read("var/lib/rpm/Packages", &bytes);
    println!("{} packages, {} files", facts.packages.len(), owned(&facts).len());
    assert_eq!((facts.gaps.as_slice(), facts.packages.len()), (&[][..], 1));
    let expected = "libuuid 2.32.1-42.el8_8 x86_64 util-linux-2.32.1-42.el8_8.src.rpm";
    assert_eq!(said(&facts, "libuuid"), expected);
}

/// By the list that go-rpmdb has of it.
#[test]
fn a_database_in_rpms_own_format_of_sles_15() {
    let Some(bytes) = shared("fixtures/sle15-bci_Packages.db.zst") else { return };
    let facts = read("usr/lib/sysimage/rpm/Packages.db", &bytes);
    println!("{} packages, {} files", facts.packages.len(), owned(&facts).len());
    assert_eq!((facts.gaps.len(), facts.packages.len()), (0, 35), "{:?}", facts.gaps);
    for expected in [
        "system-user-root 20190513-3.3.1 noarch system-user-root-20190513-3.3.1.src.rpm",
        "libgcc_s1 11.2.1+git610-1.3.9 x86_64 gcc11-11.2.1+git610-1.3.9.src.rpm",
        "rpm-ndb 4.14.3-40.1 x86_64 rpm-ndb-4.14.3-40.1.src.rpm",
    ] {
        assert_eq!(said(&facts, expected.split(' ').next().unwrap()), expected);
    }
}
