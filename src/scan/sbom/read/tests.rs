//! Bills of others: every package counts or is told, nothing is taken away, and everything is bounded.

use std::io::Read as _;

use serde_json::{Value, json};

use super::*;
use crate::oci::Digest;
use crate::scan::database::testing::shared;
use crate::scan::{Gap, GapKind, Sbom, SourcePackage};
use crate::time::Timestamp;

const LABEL: &str = "a bill of materials";
const PACKAGES_MAX: usize = 20;

fn limits() -> Limits {
    Limits { packages: PACKAGES_MAX, ..Limits::default() }
}

fn read(format: SbomFormat, document: &Value) -> Result<AttestedBill, BillError> {
    AttestedBill::read(format, &document.to_string(), LABEL, &limits())
}

fn component(url: &str) -> Value {
    json!({"type": "library", "name": "x", "purl": url})
}

#[track_caller]
fn cyclonedx(components: &[Value]) -> AttestedBill {
    read(SbomFormat::CycloneDx, &json!({"bomFormat": "CycloneDX", "components": components}))
        .expect("a bill")
}

/// The one package that a bill of `component` lists.
#[track_caller]
fn package(component: &Value) -> Package {
    let bill = cyclonedx(std::slice::from_ref(component));
    assert_eq!((bill.listed.len(), &bill.unreadable[..]), (1, &[][..]), "{component}");
    bill.listed[0].package.clone()
}

fn debian() -> Inventory {
    let distribution = Distribution {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        ..Distribution::default()
    };
    let packages = vec![Package::new(PackageKind::Deb, "openssl", "3.0.11-1", "status")];
    Inventory { distribution: Some(distribution), packages, gaps: Vec::new() }
}

#[track_caller]
fn joined(bill: &AttestedBill, mut inventory: Inventory) -> (Inventory, Attested) {
    let mut attested = Attested::default();
    bill.add_to(&mut inventory, &mut attested, "team", &limits());
    (inventory, attested)
}

#[test]
fn what_is_written_is_read_again() {
    use PackageKind::{Apk, Cargo, Composer, Deb, Gem, Go, Maven, Npm, Nuget, Python, Rpm};
    let named = [
        (Cargo, "serde", "1.0.0"),
        (Composer, "Symfony/Console", "v5.4.1"),
        (Gem, "nokogiri", "1.13.10"),
        (Go, "github.com/BurntSushi/toml", "v1.2.0+incompatible"),
        (Go, "stdlib", "1.22.3"),
        (Maven, "org.acme:core", "1.0"),
        (Maven, "core", "1.0"),
        (Npm, "@angular/animation", "12.3.1"),
        (Npm, "JSONStream", "1.3.5"),
        (Nuget, "Newtonsoft.Json", "13.0.1"),
        (Python, "ruamel-yaml", "1!0.17.21"),
    ];
    let language =
        named.map(|(kind, name, version)| Package::new(kind, name, version, LABEL)).to_vec();
    let of = |kind, name: &str, version: &str, source: Option<(&str, &str)>| {
        let mut package = Package::new(kind, name, version, LABEL);
        package.architecture = Some("x86_64".to_owned());
        package.source = source.map(|(name, version)| SourcePackage {
            name: name.to_owned(),
            version: version.to_owned(),
        });
        package
    };
    let mut module = of(Rpm, "nodejs", "1:18.0-3.el9", Some(("node-js", "18.1-3.el9")));
    module.module = Some("nodejs:18:9:rhel".to_owned());
    let systems = [
        ("debian", of(Deb, "attr", "1:2.4.47-2+b1", Some(("attr", "1:2.4.47-2")))),
        ("debian", of(Deb, "libc6", "2.36-9~deb12u1", Some(("glibc", "2.36-9~deb12u1")))),
        ("debian", of(Deb, "openssl", "3.0.11-1", None)),
        ("alpine", of(Apk, "musl-utils", "1.2.5-r0", Some(("musl", "1.2.5-r0")))),
        ("rhel", module),
        ("rhel", of(Rpm, "libs", "1:3.0.7-1.el9", Some(("openssl", "1:3.0.7-1.el9")))),
    ];
    let bills = systems.map(|(id, package)| (Some(id), vec![package]));
    for (id, packages) in bills.into_iter().chain([(None, language)]) {
        let distribution = id.map(|id| Distribution {
            id: id.to_owned(),
            version: Some("1".to_owned()),
            ..Distribution::default()
        });
        let inventory = Inventory { distribution, packages, gaps: Vec::new() };
        let (name, digest) = ("up.test/app".parse().unwrap(), Digest::sha256(b"x"));
        let at = Timestamp::from_milliseconds(0);
        let inventory = &inventory;
        let sbom = Sbom { name: Some(&name), digest, platform: None, inventory, at };
        for format in SbomFormat::ALL {
            let bytes = sbom.to_bytes(format, 1 << 20).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let bill = AttestedBill::read(format, &text, LABEL, &limits()).unwrap();
            assert_eq!(bill.unreadable, Vec::<String>::new());
            let mut read: Vec<_> = bill.listed.iter().map(|it| it.package.clone()).collect();
            read.sort_unstable();
            let mut expected = inventory.packages.clone();
            expected.sort_unstable();
            assert_eq!(read, expected, "{format:?} of {id:?}");
            // And nothing of it is news.
            let (joined, attested) = joined(&bill, inventory.clone());
            assert_eq!((&joined.packages, attested), (&expected, Attested::default()), "{id:?}");
        }
    }
}

#[test]
fn a_component_that_cannot_be_read_is_told_and_never_passed_over() {
    for (url, why) in [
        ("pkg:generic/openssl@3.0.11", "is of a type for which nothing is known"),
        ("pkg:hex/phoenix@1.0", "is of a type for which nothing is known"),
        ("pkg:npm/left-pad", "has no version"),
        ("pkg:npm/%40angular/core", "has no version"),
        ("pkg:npm/@angular/core", "has no version"),
        ("npm/left-pad@1", "is no package URL"),
        ("pkg:cargo/evil/serde@1", "has a namespace, and its type has none"),
        ("pkg:maven/:org.acme/core@1", "has a colon where Maven has none"),
        ("pkg:maven/org.acme/core:jar@1", "has a colon where Maven has none"),
        ("pkg:maven/a:b:c@1", "has a colon where Maven has none"),
        ("pkg:maven/:core@1", "has a colon where Maven has none"),
        ("pkg:maven/org.acme%3A@1", "has a colon where Maven has none"),
        ("pkg:npm/a%2F%2Fb@1", "is no package URL"),
        ("pkg:npm/%2F@1", "is no package URL"),
        ("pkg:npm", "is no package URL"),
        ("pkg:npm/", "is no package URL"),
        ("pkg:npm/a%2@1", "is no package URL"),
        ("pkg:npm/a%zz@1", "is no package URL"),
        ("pkg:npm/a%00@1", "is no package URL"),
        ("pkg:npm/a%FF@1", "is no package URL"),
        ("pkg:npm/a@1?arch", "is no package URL"),
        ("pkg:deb/debian/a@1?arch=x&ARCH=y", "is no package URL"),
        ("pkg:rpm/fedora/a@1-1?upstream=nonsense", "has a source that is no source package"),
        ("", "is no package URL"),
        (&format!("pkg:npm/{}@1", "x".repeat(5000)), "has too long a package URL"),
    ] {
        let bill = cyclonedx(&[component(url), component("pkg:npm/good@1")]);
        assert_eq!((bill.listed.len(), bill.unreadable.len()), (1, 1), "{url}");
        assert!(bill.unreadable[0].contains(why), "{url}: {:?}", bill.unreadable);
        assert!(bill.unreadable[0].len() <= 200 && bill.unreadable[0].is_ascii());
    }
    let nameless = [
        json!({"type": "library", "name": "x"}),
        json!({"name": "x"}),
        json!({"type": "application", "name": "x", "version": "1"}),
        json!({"type": "framework", "name": "x", "purl": null}),
        json!({}),
    ];
    let bill = cyclonedx(&nameless);
    assert_eq!((bill.listed.len(), bill.unreadable.len()), (0, nameless.len()));
    let documents = json!({"spdxVersion": "SPDX-2.3", "packages": [
        {"SPDXID": "SPDXRef-a", "name": "a", "versionInfo": "1"},
        {"SPDXID": "SPDXRef-b", "name": "b", "versionInfo": "1",
         "primaryPackagePurpose": "APPLICATION"},
        {"SPDXID": "SPDXRef-c", "name": "c", "externalRefs": [
            {"referenceType": "purl", "referenceLocator": "pkg:nothing/x@1"}]},
    ]});
    assert_eq!(read(SbomFormat::Spdx, &documents).unwrap().unreadable.len(), 3);
}

#[test]
fn what_is_no_package_by_the_form_itself_is_none() {
    let bill = cyclonedx(&[
        json!({"type": "operating-system", "name": "debian", "version": "12"}),
        json!({"type": "file", "name": "/etc/passwd"}),
        json!({"type": "application", "name": "app/package-lock.json"}),
        component("pkg:oci/app@sha256:aa?arch=amd64"),
    ]);
    assert_eq!(bill, AttestedBill::default());
    let document = json!({
        "spdxVersion": "SPDX-2.2",
        "documentDescribes": ["SPDXRef-a"],
        "packages": [
            {"SPDXID": "SPDXRef-a", "name": "app"},
            {"SPDXID": "SPDXRef-b", "name": "app", "versionInfo": "1"},
            {"SPDXID": "SPDXRef-c", "name": "debian", "primaryPackagePurpose": "OPERATING-SYSTEM"},
            {"SPDXID": "SPDXRef-d", "name": "lock", "primaryPackagePurpose": "APPLICATION"},
        ],
        "relationships": [{
            "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-b",
        }],
    });
    assert_eq!(read(SbomFormat::Spdx, &document).unwrap(), AttestedBill::default());
}

#[test]
fn nested_components_and_several_package_urls_count_each() {
    let nested = json!({
        "type": "application", "name": "outer", "components": [
            {"type": "library", "name": "a", "purl": "pkg:npm/a@1",
             "components": [component("pkg:npm/b@1")]},
        ],
    });
    let document = json!({
        "bomFormat": "CycloneDX",
        "metadata": {"component": {
            "type": "container", "name": "app", "components": [component("pkg:npm/c@1")],
        }},
        "components": [nested],
        "unheard": {"of": [1, 2.5, null]},
    });
    assert_eq!(read(SbomFormat::CycloneDx, &document).unwrap().packages(), 3);
    let reference = |url: &str| json!({"referenceType": "purl", "referenceLocator": url});
    let document = json!({"spdxVersion": "SPDX-2.3", "packages": [{
        "name": "a", "externalRefs": [
            {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a"},
            reference("pkg:npm/a@1"), reference("pkg:npm/b@1"),
        ],
    }]});
    assert_eq!(read(SbomFormat::Spdx, &document).unwrap().packages(), 2);
}

#[test]
fn what_others_write_is_understood() {
    let source = |component: &Value| package(component).source.map(|it| (it.name, it.version));
    let said = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
    let property = |key: &str, value: &str| json!({"name": format!("aquasecurity:trivy:{key}"), "value": value});
    let trivy = json!({
        "type": "library", "name": "libssl3", "version": "3.0.11-1",
        "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5",
        "properties": [property("SrcName", "openssl"), property("SrcVersion", "3.0.11"),
            property("SrcRelease", "1"), property("SrcEpoch", "2")],
    });
    assert_eq!(source(&trivy), said("openssl", "2:3.0.11-1"));
    let syft = component("pkg:deb/debian/libc6@2.36-9?arch=amd64&upstream=glibc%402.36-8");
    assert_eq!(source(&syft), said("glibc", "2.36-8"));
    let rpm =
        component("pkg:rpm/redhat/libs@3.0-1.el9?epoch=1&upstream=open-ssl-3.0-1.el9.src.rpm");
    assert_eq!(source(&rpm), said("open-ssl", "1:3.0-1.el9"));
    assert_eq!(package(&rpm).version, "1:3.0-1.el9");
    assert_eq!(package(&component("pkg:rpm/redhat/a@1-1?epoch=0")).version, "1-1");
    assert_eq!(package(&component("PKG:NPM/%40a/b@1#sub/path")).name, "@a/b");
    assert_eq!(package(&component("pkg://npm/@a/b@1")).name, "@a/b");
    assert_eq!(package(&component("pkg:pypi/Ruamel_.Yaml@1")).name, "ruamel-yaml");
    assert_eq!(package(&component("pkg:maven/org.a/b@1?type=jar")).name, "org.a:b");
    let document = json!({"spdxVersion": "SPDX-2.3", "packages": [{
        "name": "libssl3", "sourceInfo": "built package from: openssl 3.0.11-2",
        "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:deb/debian/libssl3@3"}],
    }]});
    let bill = read(SbomFormat::Spdx, &document).unwrap();
    let source = bill.listed[0].package.source.clone().unwrap();
    assert_eq!((source.name.as_str(), source.version.as_str()), ("openssl", "3.0.11-2"));
}

#[test]
fn a_bill_adds_and_never_takes_away() {
    let mut image = debian();
    let gap = Gap { kind: GapKind::Malformed, path: None, layer: None, text: "x".to_owned() };
    image.gaps.push(gap.clone());
    let bill = cyclonedx(&[
        component("pkg:deb/debian/openssl@3.0.11-1?arch=arm64"),
        component("pkg:deb/debian/curl@7.88-1"),
        component("pkg:deb/curl@7.88-1"),
        component("pkg:npm/left-pad@1.3.0"),
        component("pkg:deb/ubuntu/bash@5"),
        component("pkg:generic/x@1"),
    ]);
    let (joined, attested) = joined(&bill, image.clone());
    assert_eq!((joined.distribution, joined.gaps), (image.distribution, vec![gap]));
    let names: Vec<&str> = joined.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["curl", "openssl", "left-pad"]);
    assert_eq!(joined.packages[1], image.packages[0], "what the image says stays");
    let added: Vec<(&str, &str)> =
        attested.by.iter().map(|(package, by)| (package.name.as_str(), by.as_str())).collect();
    assert_eq!(added, [("curl", "team"), ("left-pad", "team")]);
    assert_eq!(
        attested.unknown,
        [
            "pkg:generic/x@1 (is of a type for which nothing is known) in the bill of materials by \
             team",
            "packages of ubuntu, which the image is not, in the bill of materials by team",
        ]
    );
}

#[test]
fn everything_is_bounded() {
    let many = |count: usize| -> Vec<Value> {
        (0..count).map(|number| component(&format!("pkg:npm/a{number}@1"))).collect()
    };
    let document = |count| json!({"bomFormat": "CycloneDX", "components": many(count)});
    assert_eq!(read(SbomFormat::CycloneDx, &document(20)).unwrap().packages(), 20);
    let refused = read(SbomFormat::CycloneDx, &document(21)).unwrap_err();
    assert_eq!(refused.to_string(), "lists more than 20 packages");
    // With what the image has, they are more than an image may have.
    let (joined, attested) = joined(&cyclonedx(&many(20)), debian());
    assert_eq!((joined.packages.len(), attested.by.len()), (20, 19));
    assert!(attested.unknown[0].starts_with("what is beyond 20 packages"), "{attested:?}");
    let deep = format!("{}{}", r#"{"components":["#.repeat(400), "]}".repeat(400));
    let text = format!(r#"{{"bomFormat":"CycloneDX","components":[{deep}]}}"#);
    let refused = AttestedBill::read(SbomFormat::CycloneDx, &text, LABEL, &limits()).unwrap_err();
    assert!(matches!(refused, BillError::Malformed { .. }), "{refused}");
}

#[test]
fn what_is_no_bill_is_refused_by_name() {
    for (format, text, expected) in [
        (SbomFormat::CycloneDx, "", "is no CycloneDX as JSON"),
        (SbomFormat::CycloneDx, "[]", "is no CycloneDX as JSON"),
        (SbomFormat::CycloneDx, "\"<bom>\"", "is no CycloneDX as JSON"),
        (SbomFormat::CycloneDx, r#"{"components":[]}"#, "bomFormat"),
        (SbomFormat::CycloneDx, r#"{"bomFormat":"SPDX"}"#, "its bomFormat is SPDX"),
        (SbomFormat::CycloneDx, r#"{"bomFormat":"CycloneDX","components":{}}"#, "is no CycloneDX"),
        (SbomFormat::Spdx, r#"{"spdxVersion":"SPDX-3.0"}"#, "its spdxVersion is SPDX-3.0"),
        (SbomFormat::Spdx, "\"SPDXVersion: SPDX-2.3\"", "is no SPDX 2 as JSON"),
    ] {
        let refused = AttestedBill::read(format, text, LABEL, &limits()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
    let of = SbomFormat::of_predicate_type;
    assert_eq!(of("https://cyclonedx.org/bom"), Some(SbomFormat::CycloneDx));
    assert_eq!(of("https://cyclonedx.org/bom/v1.6"), Some(SbomFormat::CycloneDx));
    assert_eq!(of("https://spdx.dev/Document/v2.3"), Some(SbomFormat::Spdx));
    for other in ["https://cyclonedx.org/bomb", "https://spdx.dev/", "https://slsa.dev/provenance"]
    {
        assert_eq!(of(other), None, "{other}");
    }
}

#[test]
fn a_real_bill_by_syft_lists_exactly_what_dpkg_does() {
    let Some(fixtures) = shared("scan/fixtures") else {
        println!("skipped: 1 bill, PRATIQUE_TEST_DATA has no scan/fixtures");
        return;
    };
    let file = std::fs::read(fixtures.join("bookworm-rootfs.cdx.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
    let read = AttestedBill::read(SbomFormat::CycloneDx, &text, LABEL, &Limits::default());
    let bill = read.unwrap();
    assert_eq!(bill.unreadable, Vec::<String>::new());
    let of = |wanted: PackageKind| {
        bill.listed.iter().map(|it| &it.package).filter(move |it| it.kind == wanted)
    };
    assert_eq!(of(PackageKind::Python).count(), 10);
    let line = |package: &Package| {
        let (name, version) = (&package.name, &package.version);
        format!("{} {} {name} {version}", package.source_name(), package.source_version())
    };
    let listed: BTreeSet<String> = of(PackageKind::Deb).map(line).collect();
    let truth = std::fs::read_to_string(fixtures.join("bookworm-rootfs.dpkg-query.txt")).unwrap();
    let truth: BTreeSet<String> = truth.lines().map(str::to_owned).collect();
    assert_eq!((listed.len(), truth.len()), (135, 135));
    assert_eq!(listed, truth);
}
