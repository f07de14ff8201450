//! Bills: the same bytes for the same image, honest about gaps, bounded, and packages named right.

use serde_json::Value;

use super::super::{Distribution, Gap, GapKind, Inventory, Package, PackageKind, SourcePackage};
use super::{GAPS_MAX, Sbom, SbomFormat, package_url};
use crate::oci::{Digest, Name, Platform};
use crate::time::Timestamp;

const FORMATS: [SbomFormat; 2] = SbomFormat::ALL;
const PLENTY: usize = 1 << 20;

fn distribution(id: &str, version: Option<&str>, codename: Option<&str>) -> Distribution {
    Distribution {
        id: id.to_owned(),
        version: version.map(str::to_owned),
        codename: codename.map(str::to_owned),
        ..Distribution::default()
    }
}

fn debian() -> Distribution {
    distribution("debian", Some("12"), Some("bookworm"))
}

fn built_from(mut package: Package, name: &str, version: &str) -> Package {
    package.source = Some(SourcePackage { name: name.to_owned(), version: version.to_owned() });
    package
}

fn on(mut package: Package, architecture: &str) -> Package {
    package.architecture = Some(architecture.to_owned());
    package
}

fn package(kind: PackageKind, name: &str, version: &str) -> Package {
    Package::new(kind, name, version, "var/lib/somewhere")
}

fn inventory() -> Inventory {
    let libssl = on(package(PackageKind::Deb, "libssl3", "3.0.11-1~deb12u2"), "amd64");
    Inventory {
        distribution: Some(debian()),
        packages: vec![
            built_from(libssl, "openssl", "3.0.11-1~deb12u2"),
            package(PackageKind::Maven, "org.apache.logging.log4j:log4j-core", "2.14.1"),
            package(PackageKind::Python, "requests", "2.28.1"),
            Package::new(PackageKind::Python, "requests", "2.28.1", "opt/other"),
        ],
        gaps: Vec::new(),
    }
}

fn gap(path: &str) -> Gap {
    Gap {
        kind: GapKind::Malformed,
        path: Some(path.to_owned()),
        layer: Some(Digest::sha256(b"layer")),
        text: "no archive".to_owned(),
    }
}

/// The bill of `inventory`, read as the JSON that it is.
#[track_caller]
fn written(inventory: &Inventory, format: SbomFormat) -> Value {
    serde_json::from_slice(&bytes(inventory, format, PLENTY).expect("it fits")).expect("JSON")
}

fn bytes(inventory: &Inventory, format: SbomFormat, bytes_max: usize) -> Option<Vec<u8>> {
    let name: Name = "docker.io/library/debian".parse().unwrap();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let at = "2026-11-20T09:00:00.123Z".parse().unwrap();
    let digest = Digest::sha256(b"manifest");
    let platform = Some(&platform);
    Sbom { name: Some(&name), digest, platform, inventory, at }.to_bytes(format, bytes_max)
}

#[test]
fn packages_are_named_as_their_kind_has_it() {
    use PackageKind::{Apk, Cargo, Composer, Deb, Gem, Go, Maven, Npm, Nuget, Python, Rpm};
    let plain = [
        (package(Cargo, "serde", "1.0.0"), "pkg:cargo/serde@1.0.0"),
        (package(Composer, "Symfony/Console", "v5.4.1"), "pkg:composer/symfony/console@v5.4.1"),
        (package(Gem, "nokogiri", "1.13.10"), "pkg:gem/nokogiri@1.13.10"),
        (
            package(Go, "github.com/BurntSushi/toml", "v1.2.0"),
            "pkg:golang/github.com/burntsushi/toml@v1.2.0",
        ),
        (
            package(Go, "github.com/x/y", "v2.0.0+incompatible"),
            "pkg:golang/github.com/x/y@v2.0.0%2Bincompatible",
        ),
        (package(Go, "stdlib", "1.22.3"), "pkg:golang/stdlib@1.22.3"),
        (package(Maven, "org.acme:core", "1.0"), "pkg:maven/org.acme/core@1.0"),
        (package(Maven, "core", "1.0"), "pkg:maven/core@1.0"),
        (package(Npm, "@angular/animation", "12.3.1"), "pkg:npm/%40angular/animation@12.3.1"),
        (package(Npm, "JSONStream", "1.3.5"), "pkg:npm/jsonstream@1.3.5"),
        (package(Nuget, "Newtonsoft.Json", "13.0.1"), "pkg:nuget/Newtonsoft.Json@13.0.1"),
        (package(Python, "ruamel-yaml", "1!0.17.21"), "pkg:pypi/ruamel-yaml@1%210.17.21"),
        (package(Deb, "openssl", "3.0.11-1"), "pkg:deb/openssl@3.0.11-1"),
        (package(Cargo, "a b/ü#?", "1%2"), "pkg:cargo/a%20b%2F%C3%BC%23%3F@1%252"),
        (package(Npm, "left-pad", ""), "pkg:npm/left-pad"),
    ];
    for (package, url) in plain {
        assert_eq!(package_url(&package, None).as_deref(), Some(url));
        assert!(package_url(&package, Some(&debian())).is_some(), "{url}");
    }
    for nameless in ["", "/", "//"] {
        assert_eq!(package_url(&package(Npm, nameless, "1"), None), None, "{nameless}");
    }
    let alpine = distribution("alpine", Some("3.20.1"), None);
    let rhel = distribution("rhel", Some("9.4"), None);
    let trixie = distribution("debian", None, Some("trixie"));
    let mut nodejs = on(package(Rpm, "nodejs", "1:18.0-3.el9"), "x86_64");
    nodejs.module = Some("nodejs:18:9:rhel".to_owned());
    let ours = |package, distribution: &Distribution| package_url(&package, Some(distribution));
    let libs = on(package(Rpm, "openssl-libs", "1:3.0.7-1.el9"), "x86_64");
    for (url, wanted) in [
        (
            ours(on(package(Deb, "attr", "1:2.4.47-2+b1"), "amd64"), &debian()),
            "pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64&distro=debian-12",
        ),
        (
            ours(built_from(package(Deb, "libc6", "2.36-9"), "glibc", "2.36-9"), &debian()),
            "pkg:deb/debian/libc6@2.36-9?distro=debian-12&upstream=glibc",
        ),
        (
            ours(built_from(package(Deb, "perl", "5.36+b1"), "perl", "5.36"), &trixie),
            "pkg:deb/debian/perl@5.36%2Bb1?distro=debian-trixie&upstream=perl%405.36",
        ),
        (
            ours(on(package(Apk, "musl", "1.2.5-r0"), "x86_64"), &alpine),
            "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1",
        ),
        (
            ours(built_from(libs, "openssl", "1:3.0.7-1.el9"), &rhel),
            "pkg:rpm/redhat/openssl-libs@3.0.7-1.el9?arch=x86_64&distro=rhel-9.4&epoch=1\
             &upstream=openssl-3.0.7-1.el9.src.rpm",
        ),
        (
            ours(nodejs, &rhel),
            "pkg:rpm/redhat/nodejs@18.0-3.el9?arch=x86_64&distro=rhel-9.4&epoch=1\
             &rpmmod=nodejs:18:9:rhel",
        ),
        // What a distribution's package manager did not put there is of no distribution.
        (ours(package(Python, "requests", "2.28.1"), &debian()), "pkg:pypi/requests@2.28.1"),
    ] {
        assert_eq!(url.as_deref(), Some(wanted));
    }
}

#[test]
fn the_same_image_gives_the_same_bytes_and_every_change_another_name() {
    let plain = inventory();
    let mut other = inventory();
    other.packages[0].version.push('1');
    let name = |inventory: &Inventory, format| match format {
        SbomFormat::CycloneDx => written(inventory, format)["serialNumber"].clone(),
        SbomFormat::Spdx => written(inventory, format)["documentNamespace"].clone(),
    };
    for format in FORMATS {
        assert_eq!(bytes(&plain, format, PLENTY), bytes(&inventory(), format, PLENTY));
        assert_ne!(name(&plain, format), name(&other, format));
    }
    let serial = name(&plain, SbomFormat::CycloneDx);
    let uuid = serial.as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!((&uuid[14..15], "89ab".contains(&uuid[19..20])), ("8", true), "{uuid}");
    assert!(!name(&plain, SbomFormat::Spdx).as_str().unwrap().contains(uuid), "two documents");
}

#[test]
fn both_forms_name_the_image_its_distribution_and_every_package_once() {
    let inventory = inventory();
    let cyclonedx = written(&inventory, SbomFormat::CycloneDx);
    assert_eq!(cyclonedx["specVersion"], "1.6");
    assert_eq!(cyclonedx["metadata"]["timestamp"], "2026-11-20T09:00:00Z");
    let digest = Digest::sha256(b"manifest");
    let image = &cyclonedx["metadata"]["component"];
    assert_eq!(
        image["purl"],
        format!("pkg:oci/debian@{digest}?arch=amd64&repository_url=docker.io%2Flibrary%2Fdebian")
    );
    let components = cyclonedx["components"].as_array().unwrap();
    assert_eq!(components.len(), 5);
    assert_eq!(
        (&components[0]["type"], &components[0]["name"], &components[0]["version"]),
        (&"operating-system".into(), &"debian".into(), &"12".into())
    );
    // Trivy takes a package for its own source where its own words do not say otherwise.
    let for_trivy = components[1]["properties"].as_array().unwrap().iter();
    let for_trivy: Vec<_> = for_trivy.map(|it| (&it["name"], &it["value"])).collect();
    assert_eq!(
        for_trivy,
        [
            (&"aquasecurity:trivy:SrcName".into(), &"openssl".into()),
            (&"aquasecurity:trivy:SrcVersion".into(), &"3.0.11-1~deb12u2".into()),
        ]
    );
    assert_eq!(components[3].get("properties"), None);
    let log4j = &components[2];
    assert_eq!(log4j["group"], "org.apache.logging.log4j");
    assert_eq!(log4j["name"], "log4j-core");
    assert_eq!(components[4]["evidence"]["occurrences"][0]["location"], "opt/other");
    let mut references: Vec<_> = components.iter().map(|it| it["bom-ref"].as_str()).collect();
    references.push(image["bom-ref"].as_str());
    references.sort_unstable();
    references.dedup();
    assert_eq!(references.len(), 6, "references are unique");
    let below = |at: usize| cyclonedx["dependencies"][at]["dependsOn"].as_array().unwrap().len();
    assert_eq!((below(0), below(1)), (4, 1), "the system has the one deb");

    let spdx = written(&inventory, SbomFormat::Spdx);
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert_eq!(spdx["creationInfo"]["created"], "2026-11-20T09:00:00Z");
    let packages = spdx["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 6);
    let locators = |at: usize| packages[at]["externalRefs"][0]["referenceLocator"].clone();
    assert_eq!(locators(0), image["purl"]);
    for (at, component) in components.iter().enumerate().take(5).skip(1) {
        assert_eq!(locators(at + 1), component["purl"]);
    }
    assert_eq!(spdx["relationships"].as_array().unwrap().len(), 6);
}

#[test]
fn what_has_no_distribution_and_no_repository_is_told_all_the_same() {
    let inventory = Inventory { distribution: None, ..inventory() };
    let digest = Digest::sha256(b"manifest");
    let at = Timestamp::from_milliseconds(0);
    let bill = Sbom { name: None, digest, platform: None, inventory: &inventory, at };
    for format in FORMATS {
        let bytes = bill.to_bytes(format, PLENTY).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(value.to_string().contains(&format!("pkg:oci/image@{digest}\"")), "{value}");
        assert!(!value.to_string().to_lowercase().contains("operating-system"), "{value}");
    }
}

#[test]
fn gaps_are_told_and_a_whole_image_is_not_said_to_be_all_there_is() {
    let whole = inventory();
    let aggregate = |bill: &Value| bill["compositions"][0]["aggregate"].clone();
    let cyclonedx = written(&whole, SbomFormat::CycloneDx);
    assert_eq!(aggregate(&cyclonedx), "unknown");
    assert!(cyclonedx.get("annotations").is_none());
    let comment = |bill: &Value| bill["comment"].as_str().unwrap().to_owned();
    assert!(!comment(&written(&whole, SbomFormat::Spdx)).contains("could not be read"));

    let holed = Inventory { gaps: vec![gap("opt/a.jar")], ..inventory() };
    let cyclonedx = written(&holed, SbomFormat::CycloneDx);
    assert_eq!(aggregate(&cyclonedx), "incomplete");
    let layer = Digest::sha256(b"layer");
    let text = format!("not read: opt/a.jar: no archive (layer {layer})");
    assert_eq!(cyclonedx["annotations"][0]["text"], text);
    let spdx = written(&holed, SbomFormat::Spdx);
    assert!(comment(&spdx).contains("could not be read completely"));
    assert_eq!(spdx["packages"][0]["annotations"][0]["comment"], text);

    let gaps = (0..GAPS_MAX + 7).map(|number| gap(&number.to_string())).collect();
    let riddled = Inventory { gaps, ..inventory() };
    let cyclonedx = written(&riddled, SbomFormat::CycloneDx);
    let told = cyclonedx["annotations"].as_array().unwrap();
    assert_eq!(told.len(), GAPS_MAX + 1);
    assert_eq!(told[GAPS_MAX]["text"], "not read: 7 more like these");
}

#[test]
fn a_bill_beyond_its_bound_is_none_and_never_a_part() {
    for format in FORMATS {
        let whole = bytes(&inventory(), format, PLENTY).unwrap();
        assert_eq!(bytes(&inventory(), format, whole.len()).unwrap(), whole);
        assert_eq!(bytes(&inventory(), format, whole.len() - 1), None);
        assert_eq!(bytes(&inventory(), format, 0), None);
    }
}
