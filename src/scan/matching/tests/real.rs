//! Real images and real records, where they are at hand (`PRATIQUE_TEST_DATA`). Every outcome is held
//! against the tool that decides by these versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::Command;

use serde_json::Value;

use crate::scan::database::testing::{NOW, finished, shared};
use crate::scan::database::{Builder, Database, names};
use crate::scan::version::{Scheme, Version};
use crate::scan::{
    Distribution, Fix, Inventory, Package, PackageKind, Report, SourcePackage, UnmatchedKind,
};

/// A database of these archives; `None`, and a word about it, where they are not at hand.
fn database(archives: &[&str]) -> Option<Database> {
    let mut builder = Builder::at(NOW);
    for name in archives {
        let Some(path) = shared(&format!("scan/osv/{name}.zip")) else {
            println!("skipped: PRATIQUE_TEST_DATA has no {name}.zip");
            return None;
        };
        builder.add_osv_zip(File::open(path).unwrap(), name, None).unwrap();
    }
    Some(Database::open(finished(builder).unwrap().0.into()).unwrap())
}

fn distribution(id: &str, version: &str) -> Distribution {
    let (id, version) = (id.to_owned(), Some(version.to_owned()));
    Distribution { id, version, ..Distribution::default() }
}

/// Debian 12 as `dpkg-query` lists it: source, source's version, name, version.
fn bookworm() -> Option<Inventory> {
    let list = fs::read_to_string(shared("scan/fixtures/bookworm-rootfs.dpkg-query.txt")?).unwrap();
    let package = |line: &str| {
        let cells: Vec<&str> = line.split(' ').collect();
        let mut package = Package::new(PackageKind::Deb, cells[2], cells[3], "var/lib/dpkg/status");
        package.source = Some(source(&cells));
        package
    };
    let packages: Vec<Package> = list.lines().map(package).collect();
    Some(Inventory { distribution: Some(distribution("debian", "12")), packages, gaps: Vec::new() })
}

fn source(cells: &[&str]) -> SourcePackage {
    SourcePackage { name: cells[0].to_owned(), version: cells[1].to_owned() }
}

/// What the records in an archive say: id, ecosystem, package, where it is introduced, where fixed.
fn said(archive: &str) -> Vec<(String, Value)> {
    let path = shared(&format!("scan/osv/{archive}.zip")).unwrap();
    let listed = Command::new("unzip").arg("-p").arg(path).output().unwrap();
    let records = serde_json::Deserializer::from_slice(&listed.stdout).into_iter::<Value>();
    let records = records.map(|record| record.unwrap());
    records.map(|record| (record["upstream"][0].as_str().unwrap().to_owned(), record)).collect()
}

/// Whether dpkg says that `a` is before `b`.
fn is_before(a: &str, b: &str) -> bool {
    let said = Command::new("dpkg").args(["--compare-versions", a, "lt", b]).status().unwrap();
    said.success()
}

fn has(tool: &str) -> bool {
    let there = Command::new(tool).arg("--help").output().is_ok();
    if !there {
        println!("skipped: {tool} is not here");
    }
    there
}

fn pairs(report: &Report) -> BTreeSet<(String, String)> {
    let pair = |finding: &crate::scan::Finding| (finding.package.name.clone(), finding.id.clone());
    report.findings.iter().map(pair).collect()
}

#[test]
fn what_is_found_in_debian_is_what_dpkg_says() {
    const ARCHIVE: &str = "Debian-derived-from-changelogs";
    let Some((database, inventory)) = database(&[ARCHIVE]).zip(bookworm()) else { return };
    let report = database.report(&inventory, NOW).unwrap();
    assert!(report.unmatched.is_empty(), "{:?}", report.unmatched);
    let distinct: BTreeSet<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
    println!(
        "{} packages, {} findings, {} ids",
        inventory.packages.len(),
        report.findings.len(),
        distinct.len()
    );
    if has("dpkg") && has("unzip") {
        let mut by_source: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in &inventory.packages {
            by_source.entry(package.source_name()).or_default().push(package);
        }
        let mut expected = BTreeSet::new();
        for (cve, record) in said(ARCHIVE) {
            let affected = &record["affected"][0];
            let fixed = affected["ranges"][0]["events"][1]["fixed"].as_str().unwrap();
            let packages = by_source.get(affected["package"]["name"].as_str().unwrap());
            for package in packages.into_iter().flatten() {
                if is_before(package.source_version(), fixed) {
                    expected.insert((package.name.clone(), cve.clone()));
                }
            }
        }
        assert!(expected.len() > 50, "the records are about this image");
        assert_eq!(pairs(&report), expected);
    }
    let mut patched = inventory;
    while let Some(worst) = patched_up(&database, &patched) {
        patched = worst;
    }
    assert!(database.report(&patched, NOW).unwrap().findings.is_empty());
}

/// The inventory with every affected package at the version that is said to be fixed; `None` where there
/// is nothing to fix.
fn patched_up(database: &Database, inventory: &Inventory) -> Option<Inventory> {
    let report = database.report(inventory, NOW).unwrap();
    let mut patched = inventory.clone();
    for finding in &report.findings {
        let Fix::In(fixed) = &finding.fix else { panic!("{finding:?}") };
        let at = patched.packages.iter_mut().find(|package| package.name == finding.package.name);
        let source = at.unwrap().source.as_mut().unwrap();
        if is_before(&source.version, fixed) {
            source.version.clone_from(fixed);
        }
    }
    (!report.findings.is_empty()).then_some(patched)
}

#[test]
fn alpine_is_judged_at_its_boundaries() {
    let Some(database) = database(&["Alpine-secdb-2020"]) else { return };
    let found = |release: &str, source: &str, version: &str| {
        let package = Package::new(PackageKind::Apk, source, version, "lib/apk/db/installed");
        let inventory = Inventory {
            distribution: Some(distribution("alpine", release)),
            packages: vec![package],
            gaps: Vec::new(),
        };
        let report = database.report(&inventory, NOW).unwrap();
        assert!(
            report.unmatched.iter().all(|one| one.kind == UnmatchedKind::EndOfLife),
            "{report:?}"
        );
        report.findings.iter().map(|finding| finding.id.clone()).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    // As the image of Alpine 3.10 has them.
    assert_eq!(found("3.10.2", "busybox", "1.30.1-r3"), none);
    assert_eq!(found("3.10.2", "openssl", "1.1.1d-r2"), none);
    assert_eq!(found("3.10.2", "openssl", "1.1.1d-r0"), none);
    assert_eq!(found("3.10.2", "busybox", "1.29.3-r10"), none);
    // And lowered.
    assert_eq!(found("3.10.2", "busybox", "1.29.3-r9"), ["CVE-2018-20679"]);
    assert_eq!(found("3.10.2", "openssl", "1.1.1c-r0").len(), 3);
    assert_eq!(found("3.10.2", "openssl", "1.1.1_pre9-r0").len(), 5);
    // At the boundary, in two releases with a fix each.
    for (release, last, fixed) in
        [("3.9.4", "1.1.20-r4", "1.1.20-r5"), ("3.11.0", "1.1.23-r1", "1.1.23-r2")]
    {
        assert_eq!(found(release, "musl", fixed), none);
        assert_eq!(found(release, "musl", last), ["CVE-2019-14697"]);
    }
}

/// What cannot be compared makes every image with the package unknown: it has to be rare, and known here.
#[test]
fn versions_of_real_records_can_be_compared() {
    let mut told = Vec::new();
    let archives = ["AlmaLinux", "Alpine-secdb-2020", "Debian-DSA-DLA-to-2023-03", "Go", "PyPI"];
    for archive in archives {
        let Some(path) = shared(&format!("scan/osv/{archive}.zip")).filter(|_| has("unzip")) else {
            println!("skipped: {archive}");
            continue;
        };
        let listed = Command::new("unzip").arg("-p").arg(path).output().unwrap();
        let (mut read, mut not) = (0, BTreeSet::new());
        for record in serde_json::Deserializer::from_slice(&listed.stdout).into_iter::<Value>() {
            for affected in record.unwrap()["affected"].as_array().unwrap() {
                let Some(kind) = affected["package"]["ecosystem"].as_str().and_then(names::kind_of)
                else {
                    continue;
                };
                let ranges = affected["ranges"].as_array().into_iter().flatten();
                for event in ranges
                    .filter(|range| range["type"] != "GIT")
                    .flat_map(|range| range["events"].as_array().unwrap())
                {
                    for version in
                        event.as_object().unwrap().values().map(|version| version.as_str().unwrap())
                    {
                        read += 1;
                        if Version::parse(Scheme::of(kind), version).is_err() {
                            not.insert(format!("{} {version}", affected["package"]["name"]));
                        }
                    }
                }
            }
        }
        println!("{archive}: {read} versions, {} cannot be compared: {not:?}", not.len());
        told.push((archive, not.len()));
    }
    assert!(told.iter().all(|(_, not)| *not <= 20), "{told:?}");
}

#[test]
fn every_version_that_records_list_or_begin_with_is_found() {
    let Some(database) = database(&["PyPI", "Go"]) else { return };
    let (mut tried, mut missed) = (0, Vec::new());
    let mut packages = Vec::new();
    for (archive, kind) in [("PyPI", PackageKind::Python), ("Go", PackageKind::Go)] {
        if !has("unzip") {
            return;
        }
        let path = shared(&format!("scan/osv/{archive}.zip")).unwrap();
        let listed = Command::new("unzip").arg("-p").arg(path).output().unwrap();
        for record in serde_json::Deserializer::from_slice(&listed.stdout).into_iter::<Value>() {
            let record = record.unwrap();
            if record.get("withdrawn").is_some() {
                continue;
            }
            for affected in record["affected"].as_array().unwrap() {
                let listed = affected["versions"].as_array().into_iter().flatten().last();
                let events = affected["ranges"].as_array().into_iter().flatten();
                let events = events.filter(|range| range["type"] != "GIT");
                let mut begin = events.flat_map(|range| range["events"].as_array().unwrap());
                let begin = begin.find_map(|event| event.get("introduced").filter(|at| *at != "0"));
                for version in [listed, begin].into_iter().flatten() {
                    let name = affected["package"]["name"].as_str().unwrap();
                    let package = Package::new(kind, name, version.as_str().unwrap(), "x");
                    packages.push((record["id"].as_str().unwrap().to_owned(), package));
                }
            }
        }
    }
    // Every third of them: the order is that of the archives, and has nothing to do with the outcome.
    for (id, package) in packages.into_iter().step_by(3) {
        tried += 1;
        let inventory = Inventory { packages: vec![package.clone()], ..Inventory::default() };
        let report = database.report(&inventory, NOW).unwrap();
        let is_it =
            |finding: &crate::scan::Finding| finding.id == id || finding.aliases.contains(&id);
        if !report.findings.iter().any(is_it) {
            missed
                .push(format!("{id} {} {} {:?}", package.name, package.version, report.unmatched));
        }
    }
    println!("{tried} versions, {} missed", missed.len());
    assert!(tried > 1_000 && missed.is_empty(), "{missed:#?}");
}
