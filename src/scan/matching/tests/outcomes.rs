//! Which records a package is compared with, and what is said where there are none.

use serde_json::{Value, json};

use super::{ids, kinds, npm, only, report, report_of};
use crate::scan::database::testing::{NOW, database, record};
use crate::scan::{Distribution, Inventory, Package, PackageKind, SourcePackage, UnmatchedKind};

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
        let report = report(&records, vec![Package::new(kind, name, "v1", "x")]);
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
fn an_advisory_over_several_is_a_finding_for_each_and_goes_by_its_own_name_too() {
    let mut dsa = all("DSA-1", "Debian:12", "expat");
    dsa["upstream"] = json!(["CVE-2026-1", "CVE-2026-2"]);
    let mut own = all("DEBIAN-CVE-2026-1", "Debian:12", "expat");
    own["upstream"] = json!(["CVE-2026-1"]);
    let deb = Package::new(PackageKind::Deb, "expat", "1", "status");
    let report = report_of(&[dsa, own], ("debian", "12"), vec![deb]);
    assert_eq!(ids(&report), ["CVE-2026-1", "CVE-2026-2"]);
    assert_eq!(report.findings[0].aliases, ["DEBIAN-CVE-2026-1", "DSA-1"]);
    assert_eq!(report.findings[1].aliases, ["DSA-1"]);
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
    assert_eq!(kinds(&report), [UnmatchedKind::Limit]);
}

#[test]
fn an_image_of_endless_comparisons_is_cut_off_and_said_to_be() {
    let mut record = all("A-1", "npm", "left");
    record["affected"][0]["ranges"] = json!([]);
    record["affected"][0]["versions"] = (0..100_000).map(|n| json!(n.to_string())).collect();
    let report = report(&[record], (0..51).map(|_| npm("7.7")).collect());
    assert_eq!((report.findings.len(), kinds(&report)), (0, vec![UnmatchedKind::Limit]));
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
