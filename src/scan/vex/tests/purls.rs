//! Which packages a package URL names.

use proptest::prelude::*;

use super::super::Purl;
use super::{debian, openssl};
use crate::oci::Digest;
use crate::scan::{Distribution, Package, PackageKind, SourcePackage};

fn names(purl: &str, package: &Package) -> bool {
    let purl: Purl = purl.parse().unwrap();
    purl.names(package, Some(&debian()))
}

#[test]
fn type_namespace_name_and_version_have_to_be_the_same() {
    let openssl = Package { architecture: Some("amd64".to_owned()), ..openssl() };
    for good in [
        "pkg:deb/debian/openssl",
        "pkg:deb/debian/openssl@3.0.11-1",
        "pkg:DEB//debian/openssl@3.0.11-1",
        "pkg:deb/debian/openssl@3.0.11%2D1?arch=amd64",
        "pkg:deb/debian/openssl@0:3.0.11-1?distro=debian-12",
        "pkg:deb/debian/openssl@3.0.11-1?distro=debian-12.5&arch=amd64",
        "pkg:deb/debian/openssl?distro=bookworm",
        "pkg:deb/debian/openssl?distro=debian",
        "pkg:deb/debian/openssl?arch=&distro=",
    ] {
        assert!(names(good, &openssl), "{good}");
    }
    for bad in [
        "pkg:rpm/debian/openssl",
        "pkg:deb/openssl",
        "pkg:deb/ubuntu/openssl",
        "pkg:deb/debian/x/openssl",
        "pkg:deb/debian/libssl3",
        "pkg:deb/debian/OpenSSL",
        "pkg:deb/debian/openssl@3.0.11",
        "pkg:deb/debian/openssl@3.0.11-1~deb12u1",
        "pkg:deb/debian/openssl@1:3.0.11-1",
        "pkg:deb/debian/openssl@3.0.11-1?epoch=1",
        "pkg:deb/debian/openssl@3.0.11-1?arch=arm64",
        "pkg:deb/debian/openssl@3.0.11-1?distro=debian-1",
        "pkg:deb/debian/openssl@3.0.11-1?distro=debian-13",
        "pkg:deb/debian/openssl@3.0.11-1?distro=ubuntu-12",
        "pkg:deb/debian/openssl@3.0.11-1?distro=trixie",
        "pkg:deb/debian/openssl@3.0.11-1#libcrypto",
        "pkg:generic/openssl@3.0.11-1",
        "pkg:oci/openssl@3.0.11-1",
    ] {
        assert!(!names(bad, &openssl), "{bad}");
    }
    let nowhere: Purl = "pkg:deb/debian/openssl".parse().unwrap();
    assert!(!nowhere.names(&openssl, None), "of no known distribution");
}

#[test]
fn a_source_is_named_as_such_only() {
    let source = SourcePackage { name: "openssl".to_owned(), version: "3.0.11-1".to_owned() };
    let package = Package {
        source: Some(source),
        architecture: Some("amd64".to_owned()),
        ..Package::new(PackageKind::Deb, "libssl3", "3.0.11-1+b1", "var/lib/dpkg/status")
    };
    assert!(names("pkg:deb/debian/openssl@3.0.11-1?arch=source", &package));
    assert!(!names("pkg:deb/debian/openssl@3.0.11-1", &package));
    assert!(!names("pkg:deb/debian/libssl3@3.0.11-1+b1?arch=source", &package));
    assert!(names("pkg:deb/debian/libssl3@3.0.11-1+b1", &package));
}

#[test]
fn every_kind_is_named_as_its_type_has_it() {
    use PackageKind::{Apk, Cargo, Composer, Gem, Go, Maven, Npm, Nuget, Python, Rpm};
    for (kind, name, purl, other) in [
        (Npm, "@acme/app", "pkg:npm/%40acme/app@1.0", "pkg:npm/acme/app@1.0"),
        (Npm, "@acme/app", "pkg:npm/@acme/app", "pkg:npm/app"),
        (Python, "zope-interface", "pkg:pypi/Zope.Interface@1.0", "pkg:pypi/zope/interface@1.0"),
        (Maven, "org.acme:app", "pkg:maven/org.acme/app@1.0", "pkg:maven/org.acme.app@1.0"),
        (Go, "github.com/Acme/app", "pkg:golang/github.com/acme/app@v1.0", "pkg:golang/app@v1.0"),
        (
            Go,
            "github.com/Acme/app",
            "pkg:golang/github.com/Acme/app@1.0",
            "pkg:golang/github.com/acme/app/v2",
        ),
        (Go, "stdlib", "pkg:golang/stdlib@1.0", "pkg:golang/stdlib@1.0#net/http"),
        (Cargo, "serde", "pkg:cargo/serde@1.0", "pkg:cargo/x/serde@1.0"),
        (Gem, "rack", "pkg:gem/rack@1.0", "pkg:gem/rack@1.0.0"),
        (Nuget, "newtonsoft.json", "pkg:nuget/Newtonsoft.Json@1.0", "pkg:nuget/Newtonsoft@1.0"),
        (Composer, "symfony/http", "pkg:composer/Symfony/http@1.0", "pkg:composer/http@1.0"),
    ] {
        let package = Package::new(kind, name, "1.0", "app");
        assert!(names(purl, &package), "{purl}");
        assert!(!names(other, &package), "{other}");
    }
    for (id, kind, purl) in [
        ("alpine", Apk, "pkg:apk/alpine/x@1.0?distro=alpine-3.18"),
        ("wolfi", Apk, "pkg:apk/wolfi/x@1.0"),
        ("rhel", Rpm, "pkg:rpm/redhat/x@1.0"),
        ("sles", Rpm, "pkg:rpm/suse/x@1.0"),
    ] {
        let version = Some("3.18.4".to_owned());
        let distribution = Distribution { id: id.to_owned(), version, ..Distribution::default() };
        let package = Package::new(kind, "x", "1.0", "db");
        assert!(purl.parse::<Purl>().unwrap().names(&package, Some(&distribution)), "{purl}");
    }
    let rpm = Package::new(Rpm, "x", "2:1.0-3", "db");
    let distribution = Distribution { id: "rhel".to_owned(), ..Distribution::default() };
    for (purl, expected) in
        [("pkg:rpm/redhat/x@1.0-3?epoch=2", true), ("pkg:rpm/redhat/x@1.0-3", false)]
    {
        assert_eq!(purl.parse::<Purl>().unwrap().names(&rpm, Some(&distribution)), expected);
    }
}

#[test]
fn images_are_named_by_digest_only() {
    let digest = Digest::sha256(b"x");
    let hex = digest.hex();
    for purl in [
        format!("pkg:oci/app@sha256:{hex}"),
        format!("pkg:oci/app@sha256%3A{hex}?repository_url=ghcr.io/acme/app&tag=1"),
        format!("pkg:docker/acme/app@sha256:{hex}"),
    ] {
        let purl: Purl = purl.parse().unwrap();
        assert_eq!((purl.is_image(), purl.image_digest()), (true, Some(digest)));
    }
    for purl in ["pkg:oci/app", "pkg:oci/app@1.0", "pkg:oci/app@sha256:12"] {
        let purl: Purl = purl.parse().unwrap();
        assert_eq!((purl.is_image(), purl.image_digest()), (true, None));
    }
    let other: Purl = format!("pkg:generic/app@sha256:{hex}").parse().unwrap();
    assert_eq!((other.is_image(), other.image_digest()), (false, None));
}

#[test]
fn what_is_no_package_url_is_none() {
    let long = format!("pkg:deb/debian/{}", "x".repeat(2_000));
    for bad in [
        "",
        "pkg:",
        "pkg:deb",
        "pkg:deb/",
        "pkg:/openssl",
        "deb/debian/openssl",
        "pkg:d b/openssl",
        "pkg:deb/debian/%ff",
        "pkg:deb/debian/a%00",
        "pkg:deb/debian/a%0ab",
        "pkg:deb/debian/a?arch",
        "pkg:deb/debian/a?arch=b&ARCH=c",
        "pkg:deb/debian/@1",
        "pkg:deb/debian/a@",
        "pkg:deb/debian/a\u{0}",
        long.as_str(),
    ] {
        assert!(bad.parse::<Purl>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_is_read_into_a_panic_or_names_what_it_does_not(text in "pkg:[a-z/@?#=&%0-9.:-]{0,60}") {
        if let Ok(purl) = text.parse::<Purl>() {
            let package = Package::new(PackageKind::Deb, "no such name", "1", "x");
            prop_assert!(!purl.names(&package, Some(&debian())));
        }
    }
}
