//! Which records a package is compared with, and what is said where there are none.

use serde_json::{Value, json};

use super::{ids, kinds, npm, only, report, report_of};
use crate::scan::database::Database;
use crate::scan::database::testing::{NOW, builder, database, finished, record};
use crate::scan::{
    Distribution, Fix, GapKind, Inventory, Package, PackageKind, SourcePackage, UnmatchedKind,
};

/// Whether the report says that it is not whole, as an inventory does.
fn cut_off(report: &crate::scan::Report) -> bool {
    report.gaps.iter().any(|gap| gap.kind == GapKind::Limit && gap.text.contains("cut off at left"))
}

fn all(id: &str, ecosystem: &str, name: &str) -> Value {
    record(id, ecosystem, name, &json!([{ "introduced": "0" }, { "fixed": "2" }]))
}

fn built_from(kind: PackageKind, name: &str, source: (&str, &str)) -> Package {
    let mut package = Package::new(kind, name, "9", "status");
    package.source =
        Some(SourcePackage { name: source.0.to_owned(), version: source.1.to_owned() });
    package
}

#[test]
fn a_package_of_debian_or_alpine_is_compared_by_its_source() {
    for (kind, release, ecosystem) in [
        (PackageKind::Deb, ("debian", "12"), "Debian:12"),
        (PackageKind::Apk, ("alpine", "3.23.1"), "Alpine:v3.23"),
    ] {
        let records = [all("A-1", ecosystem, "expat"), all("A-2", ecosystem, "libexpat1")];
        let found =
            report_of(&records, release, vec![built_from(kind, "libexpat1", ("expat", "1"))]);
        assert_eq!(ids(&found), ["A-1"]);
        let fixed =
            report_of(&records, release, vec![built_from(kind, "libexpat1", ("expat", "2"))]);
        assert_eq!((ids(&fixed).len(), fixed.unmatched.len()), (0, 0));
        // Without a source it is its own.
        let own =
            report_of(&records, release, vec![Package::new(kind, "libexpat1", "1", "status")]);
        assert_eq!(ids(&own), ["A-2"]);
    }
}

#[test]
fn a_package_of_rpm_is_compared_by_either_name_and_its_own_counts_first() {
    for (release, ecosystem) in
        [(("rocky", "9"), "Rocky Linux:9"), (("almalinux", "9.4"), "AlmaLinux:9")]
    {
        let package = || built_from(PackageKind::Rpm, "curl-libs", ("curl", "1"));
        let by_source = [all("A-1", ecosystem, "curl"), all("A-2", ecosystem, "curl-minimal")];
        assert_eq!(ids(&report_of(&by_source, release, vec![package()])), ["A-1"]);
        // One record by the source, another one by the package, whose own version is fixed.
        let apart = [all("A-1", ecosystem, "curl"), all("A-2", ecosystem, "curl-libs")];
        assert_eq!(ids(&report_of(&apart, release, vec![package()])), ["A-1"]);
        let mut both = all("A-1", ecosystem, "curl");
        let own = all("A-1", ecosystem, "curl-libs")["affected"][0].clone();
        both["affected"].as_array_mut().unwrap().push(own);
        let report = report_of(&[both], release, vec![package()]);
        assert!(ids(&report).is_empty(), "its own version is fixed: {report:?}");
    }
}

#[test]
fn fixes_of_other_streams_of_a_module_do_not_count() {
    let records: Vec<Value> =
        [("A-20", "20.9-1.module_el9"), ("A-22", "22.1-1.module_el9"), ("A-0", "21.0-1.el9")]
            .iter()
            .map(|(id, fixed)| {
                record(
                    id,
                    "AlmaLinux:9",
                    "nodejs",
                    &json!([{ "introduced": "0" }, { "fixed": fixed }]),
                )
            })
            .collect();
    let mut package = Package::new(PackageKind::Rpm, "nodejs", "20.1-1.module_el9", "rpmdb.sqlite");
    package.module = Some("nodejs:20:1:2".to_owned());
    let (id, version) = ("almalinux".to_owned(), Some("9".to_owned()));
    let distribution = Some(Distribution { id, version, ..Distribution::default() });
    let inventory = Inventory { distribution, packages: vec![package], ..Inventory::default() };
    assert_eq!(ids(&database(&records).report(&inventory, NOW).unwrap()), ["A-20"]);
}

#[test]
fn names_of_languages_are_compared_as_their_registries_do() {
    let records = [
        all("PY", "PyPI", "Zope.Interface"),
        all("GO", "Go", "github.com/Azure/sdk"),
        all("STD", "Go", "stdlib"),
        all("PHP", "Packagist", "Symfony/HTTP"),
        all("DOTNET", "NuGet", "Newtonsoft.Json"),
        all("DRUPAL", "Packagist:https://packages.drupal.org/8", "drupal/core"),
        all("MAVEN", "Maven", "org.a:b"),
        all("GEM", "RubyGems", "rack"),
        all("RUST", "crates.io", "time"),
        all("NPM", "npm", "JSONStream"),
    ];
    let found = |kind, name: &str| -> Vec<String> {
        let version = if kind == PackageKind::Go { "v1.0.0" } else { "1" };
        let report = report(&records, vec![Package::new(kind, name, version, "x")]);
        ids(&report).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(found(PackageKind::Python, "zope_interface"), ["PY"]);
    assert_eq!(found(PackageKind::Go, "github.com/!azure/sdk"), ["GO"]);
    assert_eq!(found(PackageKind::Go, "stdlib"), ["STD"]);
    assert_eq!(found(PackageKind::Composer, "symfony/http"), ["PHP"]);
    assert_eq!(found(PackageKind::Composer, "drupal/core"), ["DRUPAL"]);
    assert_eq!(found(PackageKind::Nuget, "newtonsoft.json"), ["DOTNET"]);
    assert_eq!(found(PackageKind::Maven, "org.a:b"), ["MAVEN"]);
    assert_eq!(found(PackageKind::Gem, "rack"), ["GEM"]);
    assert_eq!(found(PackageKind::Cargo, "time"), ["RUST"]);
    assert_eq!(found(PackageKind::Npm, "JSONStream"), ["NPM"]);
    assert!(found(PackageKind::Npm, "jsonstream").is_empty());
    assert!(found(PackageKind::Gem, "time").is_empty(), "a name counts in its own ecosystem only");
}

#[test]
fn another_release_is_another_feed_and_one_for_all_counts_too() {
    let records = [
        all("A-11", "Debian:11", "expat"),
        all("A-1", "Debian:1", "expat"),
        all("A", "Debian", "expat"),
        all("A-12", "Debian:12", "other"),
    ];
    let package = || Package::new(PackageKind::Deb, "expat", "1", "status");
    assert_eq!(ids(&report_of(&records, ("debian", "12"), vec![package()])), ["A"]);
    // A record for all releases is no feed for one.
    let thirteen = report_of(&records, ("debian", "13"), vec![package()]);
    assert_eq!(kinds(&thirteen), [UnmatchedKind::NoFeed]);
}

#[test]
fn a_record_of_another_feed_that_names_an_ecosystem_too_is_no_feed_for_it() {
    let mut both = all("GHSA-1", "npm", "left");
    let python = all("GHSA-1", "PyPI", "grpcio")["affected"][0].clone();
    both["affected"].as_array_mut().unwrap().push(python);
    let records = [both, all("GHSA-2", "npm", "left")];
    let python = |name| Package::new(PackageKind::Python, name, "1", "METADATA");
    assert_eq!(kinds(&report(&records, vec![python("requests")])), [UnmatchedKind::NoFeed]);
    assert_eq!(kinds(&report(&records, vec![python("grpcio")])), [UnmatchedKind::NoFeed]);
    assert_eq!(ids(&report(&records, vec![npm("1")])), ["GHSA-1", "GHSA-2"]);
    // Unless whoever makes the database says so.
    let mut builder = builder();
    let named = records.iter().map(|it| Ok(("x".to_owned(), it.to_string().into_bytes())));
    builder.add_osv_records(named, "npm", None).unwrap();
    builder.declare("PyPI").unwrap();
    for unknown in ["Go", "pypi", "Bitnami", ""] {
        assert!(builder.declare(unknown).is_err(), "{unknown}");
    }
    let database = Database::open(finished(builder).unwrap().0.into()).unwrap();
    let inventory = Inventory { packages: vec![python("grpcio")], ..Inventory::default() };
    let declared = database.report(&inventory, NOW).unwrap();
    assert_eq!((ids(&declared), kinds(&declared)), (vec!["GHSA-1"], vec![]));
}

#[test]
fn a_repository_of_a_language_is_not_its_registry() {
    let drupal = "Packagist:https://packages.drupal.org/8";
    let php = || Package::new(PackageKind::Composer, "symfony/http", "1.0.0", "installed.json");
    let alone = report(&[all("SA-1", drupal, "drupal/x")], vec![php()]);
    assert_eq!(kinds(&alone), [UnmatchedKind::NoFeed]);
}

#[test]
fn an_archive_of_java_without_a_group_may_be_of_any() {
    let records = [
        all("A-1", "Maven", "org.springframework:spring-core"),
        all("A-2", "Maven", "com.other:spring-core"),
        all("A-3", "Maven", "spring-core:spring"),
        all("A-4", "Maven", "org.springframework:spring-core-test"),
    ];
    let found = |name: &str| {
        let report = report(&records, vec![Package::new(PackageKind::Maven, name, "1", "x.jar")]);
        assert!(report.unmatched.is_empty(), "{report:?}");
        ids(&report).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found("spring-core"), ["A-1", "A-2"]);
    assert_eq!(found("org.springframework:spring-core"), ["A-1"]);
    assert_eq!(found("spring"), ["A-3"]);
    assert_eq!(found("core"), [""; 0]);
    // Its own name in full counts, too.
    assert_eq!(found("spring-core:spring"), ["A-3"]);
}

#[test]
fn a_signed_kernel_is_compared_as_the_kernel_that_was_signed() {
    let events = json!([{ "introduced": "0" }, { "fixed": "6.1.90-1" }]);
    let records = [record("CVE-2026-1", "Debian:12", "linux", &events)];
    let image = |version: &str| {
        let source = ("linux-signed-amd64", version.replace('-', "+"));
        let mut package =
            built_from(PackageKind::Deb, "linux-image-amd64", (source.0, source.1.as_str()));
        version.clone_into(&mut package.version);
        report_of(&records, ("debian", "12"), vec![package])
    };
    assert_eq!(only(&image("6.1.76-1")).fix, Fix::In("6.1.90-1".to_owned()));
    assert_eq!(ids(&image("6.1.90-1")), [""; 0]);
}

#[test]
fn what_there_is_no_feed_for_is_said_once_with_a_count() {
    let records = [all("A-1", "Debian:12", "expat")];
    let packages = || {
        vec![
            npm("1"),
            npm("2"),
            Package::new(PackageKind::Deb, "x", "1", "status"),
            Package::new(PackageKind::Rpm, "x", "1", "rpmdb"),
        ]
    };
    let report = report_of(&records, ("debian", "12"), packages());
    assert_eq!(kinds(&report), [UnmatchedKind::NoFeed, UnmatchedKind::NoFeed]);
    assert!(report.unmatched[0].text.contains("2 packages of npm"), "{report:?}");
    assert!(
        report.unmatched[1].text.contains("1 packages of rpm"),
        "packages of another kind: {report:?}"
    );
}

#[test]
fn an_unknown_distribution_is_unknown_when_it_has_packages() {
    let records = [all("A-1", "Debian:12", "expat"), all("A-2", "npm", "left")];
    let deb = || Package::new(PackageKind::Deb, "expat", "1", "status");
    assert_eq!(kinds(&report(&records, vec![deb(), deb()])), [UnmatchedKind::UnknownDistribution]);
    let made_up = report_of(&records, ("my\u{1b}linux", "1"), vec![deb(), npm("1")]);
    assert_eq!(kinds(&made_up), [UnmatchedKind::UnknownDistribution]);
    assert!(made_up.unmatched[0].text.contains("my?linux 1"), "{made_up:?}");
    assert_eq!(ids(&made_up), ["A-2"]);
    assert_eq!(only(&report(&records, vec![npm("1")])).id, "A-2");
}

#[test]
fn a_release_that_has_ended_is_said_to_be_beside_what_is_found() {
    let records = [all("A-1", "Debian:7", "expat")];
    let deb = Package::new(PackageKind::Deb, "expat", "1", "status");
    let report = report_of(&records, ("debian", "7"), vec![deb]);
    assert_eq!((ids(&report), kinds(&report)), (vec!["A-1"], vec![UnmatchedKind::EndOfLife]));
}

#[test]
fn an_advisory_over_several_is_a_finding_for_each_and_a_name_of_none() {
    let mut dsa = all("DSA-1", "Debian:12", "expat");
    dsa["upstream"] = json!(["CVE-2026-1", "CVE-2026-2"]);
    let mut own = all("DEBIAN-CVE-2026-1", "Debian:12", "expat");
    own["upstream"] = json!(["CVE-2026-1"]);
    let deb = Package::new(PackageKind::Deb, "expat", "1", "status");
    let report = report_of(&[dsa, own], ("debian", "12"), vec![deb]);
    assert_eq!(ids(&report), ["CVE-2026-1", "CVE-2026-2"]);
    // Its name is none of either: an exception for it would be one for both.
    assert_eq!(report.findings[0].aliases[..], ["DEBIAN-CVE-2026-1".to_owned()]);
    assert_eq!(
        (&report.findings[1].aliases[..], &report.findings[1].advisories),
        (&[][..], &vec!["DSA-1".to_owned()])
    );
    assert_eq!(report.findings[0].advisories, ["DSA-1"]);
}

#[test]
fn headers_of_the_kernel_are_flagged() {
    let records = [all("CVE-2026-1", "Debian:12", "linux")];
    let built = |name| built_from(PackageKind::Deb, name, ("linux", "1"));
    let packages = vec![built("linux-image-6.1.0-18-amd64"), built("linux-libc-dev")];
    let report = report_of(&records, ("debian", "12"), packages);
    let flags: Vec<bool> = report.findings.iter().map(|finding| finding.kernel_headers).collect();
    assert_eq!(flags, [false, true]);
}

#[test]
fn a_flood_of_findings_is_cut_off_and_said_to_be() {
    let records: Vec<Value> = (0..1_001).map(|n| all(&format!("A-{n}"), "npm", "left")).collect();
    let report = report(&records, (0..110).map(|_| npm("1")).collect());
    assert_eq!(report.findings.len(), 100_000);
    assert_eq!((kinds(&report), cut_off(&report)), (vec![], true));
}

#[test]
fn an_image_of_endless_comparisons_is_cut_off_and_said_to_be() {
    let mut record = all("A-1", "npm", "left");
    record["affected"][0]["ranges"] = json!([]);
    record["affected"][0]["versions"] = (0..100_000).map(|n| json!(n.to_string())).collect();
    let packages = |count| (0..count).map(|_| npm("7.7")).collect();
    let report_on = |count| report(&[record.clone()], packages(count));
    let report = report_on(501);
    assert_eq!((report.findings.len(), kinds(&report), cut_off(&report)), (0, vec![], true));
    assert!(!cut_off(&report_on(20)), "a few are not too many");
}

#[test]
fn a_distribution_without_a_list_of_its_packages_is_unknown() {
    let records = [all("A-1", "Debian:12", "expat"), all("A-2", "npm", "left")];
    for packages in [Vec::new(), vec![npm("9")]] {
        let found = report_of(&records, ("debian", "12"), packages);
        assert_eq!(kinds(&found), [UnmatchedKind::NoPackages], "{found:?}");
        assert_eq!(found.unmatched[0].text, "the packages of debian 12, which it does not list");
    }
    let listed = vec![Package::new(PackageKind::Deb, "libc6", "1", "status")];
    assert_eq!(kinds(&report_of(&records, ("debian", "12"), listed)), []);
    // An image that says nothing of itself, a single program perhaps, has nothing left out.
    assert_eq!(kinds(&report(&records, Vec::new())), []);
}
