//! Reports of Trivy.

use serde_json::{Value, json};

use super::{ids, image, only, read, time};
use crate::oci::Digest;
use crate::scan::{Fix, PackageKind, ReportError, Reported, Severity, SourcePackage};

/// A report over a Debian image with one package and one finding.
pub(super) fn report() -> Value {
    json!({
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "CreatedAt": "2026-11-20T10:00:00.5+01:00",
        "ArtifactName": "/tmp/layout",
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12.5"},
            "ImageID": image().config.to_string(),
            "ImageConfig": {"architecture": "amd64", "config": {}}
        },
        "Results": [{
            "Target": "/tmp/layout (debian 12.5)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Packages": [{
                "ID": "libssl3@3.0.11-1", "Name": "libssl3", "Arch": "amd64",
                "Identifier": {"PURL": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5", "UID": "u1"},
                "Version": "3.0.11", "Release": "1", "SrcName": "openssl", "SrcVersion": "3.0.11", "SrcRelease": "1"
            }],
            "Vulnerabilities": [detected()]
        }]
    })
}

pub(super) fn detected() -> Value {
    json!({
        "VulnerabilityID": "CVE-2026-1",
        "VendorIDs": ["DSA-1-1"],
        "PkgID": "libssl3@3.0.11-1",
        "PkgName": "libssl3",
        "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5", "UID": "u1"},
        "InstalledVersion": "3.0.11-1",
        "FixedVersion": "3.0.13-1~deb12u1",
        "Status": "fixed",
        "Severity": "HIGH",
        "CVSS": {
            "nvd": {"V2Vector": "AV:N/AC:L/Au:N/C:N/I:N/A:P", "V2Score": 5, "V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8},
            "redhat": {"V3Score": 7.5}
        },
        "PublishedDate": "2026-01-05T08:00:00Z"
    })
}

fn trivy(report: &Value) -> Result<Reported, ReportError> {
    read(Reported::from_trivy, report)
}

/// The report with `value` at a pointer into it.
fn with(pointer: &str, value: Value) -> Value {
    let mut report = report();
    *report.pointer_mut(pointer).unwrap() = value;
    report
}

/// The finding of the only vulnerability with `key` in it.
fn finding_with(key: &str, value: Value) -> crate::scan::Finding {
    let mut report = report();
    report["Results"][0]["Vulnerabilities"][0][key] = value;
    only(&trivy(&report).unwrap()).clone()
}

#[test]
fn a_finding_has_all_that_the_report_knows_of_it() {
    let reported = trivy(&report()).unwrap();
    assert_eq!(reported.scanner, "Trivy 0.76.0");
    assert_eq!(reported.at, time("2026-11-20T09:00:00.5Z"));
    assert_eq!(reported.database, None, "the report does not know it");
    assert!(reported.gaps.is_empty() && reported.unknown.is_empty(), "{reported:?}");
    let finding = only(&reported);
    assert_eq!(finding.id, "CVE-2026-1");
    assert!(finding.aliases.is_empty(), "an advisory over several is a name of none");
    assert_eq!(finding.advisories, ["DSA-1-1"]);
    assert_eq!((finding.severity, finding.score), (Some(Severity::High), Some(98)));
    assert_eq!(finding.fix, Fix::In("3.0.13-1~deb12u1".to_owned()));
    assert_eq!(finding.published, Some(time("2026-01-05T08:00:00Z")));
    let package = &finding.package;
    assert_eq!((package.kind, package.name.as_str()), (PackageKind::Deb, "libssl3"));
    assert_eq!(
        (package.version.as_str(), package.architecture.as_deref()),
        ("3.0.11-1", Some("amd64"))
    );
    let source = SourcePackage { name: "openssl".to_owned(), version: "3.0.11-1".to_owned() };
    assert_eq!(package.source, Some(source));
    assert_eq!(package.found_in, "", "a list of the distribution is not said to be in a file");
}

#[test]
fn a_server_says_how_old_its_database_is() {
    let server = json!({"Version": "0.76.0", "Server": {"Version": "0.75.0",
        "VulnerabilityDB": {"Version": 2, "UpdatedAt": "2026-11-19T00:00:00Z"}}});
    let reported = trivy(&with("/Trivy", server)).unwrap();
    assert_eq!(reported.database, Some(time("2026-11-19T00:00:00Z")));
    let never = json!({"Server": {"VulnerabilityDB": {"UpdatedAt": "0001-01-01T00:00:00Z"}}});
    assert_eq!(trivy(&with("/Trivy", never)).unwrap().database, None);
    assert_eq!(trivy(&with("/Trivy", Value::Null)).unwrap().scanner, "Trivy");
}

#[test]
fn whether_there_is_a_fix_is_what_version_and_status_say() {
    let fix = |version: &str, status: &str| {
        let mut report = report();
        let detected = &mut report["Results"][0]["Vulnerabilities"][0];
        detected["FixedVersion"] = json!(version);
        detected["Status"] = json!(status);
        only(&trivy(&report).unwrap()).fix.clone()
    };
    assert_eq!(fix("", "affected"), Fix::None);
    assert_eq!(fix("", "fix_deferred"), Fix::None);
    assert_eq!(fix("", "under_investigation"), Fix::None);
    assert_eq!(fix("", "a word of tomorrow"), Fix::None);
    assert_eq!(fix("", "will_not_fix"), Fix::WillNot);
    assert_eq!(fix("", "end_of_life"), Fix::WillNot);
    assert_eq!(fix("3.0.12-1", "will_not_fix"), Fix::In("3.0.12-1".to_owned()));
    // The lowest above the package's own, by the rules of its kind.
    assert_eq!(fix("1.1.1-1, 3.0.100-1, 3.0.20-1", ""), Fix::In("3.0.20-1".to_owned()));
    assert_eq!(fix("nonsense", "fixed"), Fix::In("nonsense".to_owned()));
}

#[test]
fn what_nobody_rated_has_no_severity_and_what_has_a_score_has_its() {
    let mut report = report();
    let detected = &mut report["Results"][0]["Vulnerabilities"][0];
    detected["Severity"] = json!("UNKNOWN");
    assert_eq!(only(&trivy(&report).unwrap()).severity, Some(Severity::Critical));
    let detected = &mut report["Results"][0]["Vulnerabilities"][0];
    detected["CVSS"] = Value::Null;
    let reported = trivy(&report).unwrap();
    assert_eq!((only(&reported).severity, only(&reported).score), (None, None));
    assert_eq!(finding_with("CVSS", json!({"x": {"V3Score": 7.5}})).score, Some(75));
    assert_eq!(finding_with("CVSS", json!({"x": {"V3Score": 99.0}})).score, None);
    // Half a vector is no vector, and the score beside it stands.
    let half = json!({"x": {"V3Vector": "CVSS:3.1/AV:N", "V3Score": 7.5}});
    assert_eq!(finding_with("CVSS", half).score, Some(75));
    assert_eq!(finding_with("PublishedDate", json!("soon")).published, None);
}

#[test]
fn an_advisory_of_a_language_is_known_by_its_cve() {
    let finding = |id: &str, vendor: Value| {
        let mut report = report();
        let detected = &mut report["Results"][0]["Vulnerabilities"][0];
        (detected["VulnerabilityID"], detected["VendorIDs"]) = (json!(id), vendor);
        let reported = trivy(&report).unwrap();
        let names =
            |it: &crate::scan::Finding| (it.id.clone(), it.aliases.to_vec(), it.advisories.clone());
        reported.findings.iter().map(names).collect::<Vec<_>>()
    };
    let own = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        finding("GHSA-1", json!(["CVE-2026-2", "PYSEC-1"])),
        [("CVE-2026-2".to_owned(), own(&["GHSA-1", "PYSEC-1"]), vec![])]
    );
    assert_eq!(finding("GHSA-1", json!(null)), [("GHSA-1".to_owned(), vec![], vec![])]);
    // One that is over two vulnerabilities is two findings, and a name of neither.
    assert_eq!(
        finding("ALAS-1", json!(["CVE-2026-3", "CVE-2026-4"])),
        [
            ("CVE-2026-3".to_owned(), vec![], own(&["ALAS-1"])),
            ("CVE-2026-4".to_owned(), vec![], own(&["ALAS-1"])),
        ]
    );
}

#[test]
fn packages_of_languages_are_named_as_ours_are() {
    let package = |kind: &str, name: &str, purl: Option<&str>| {
        let report = with(
            "/Results",
            json!([
                {"Class": "os-pkgs", "Type": "debian", "Packages": [{"ID": "a@1"}]},
                {"Target": "app/lock", "Class": "lang-pkgs", "Type": kind, "Vulnerabilities": [{
                    "VulnerabilityID": "CVE-2026-1", "PkgName": name, "InstalledVersion": "1.0.0",
                    "PkgPath": "/opt/x/METADATA", "PkgIdentifier": {"PURL": purl}, "Severity": "LOW"
                }]},
            ]),
        );
        let package = only(&trivy(&report).unwrap()).package.as_ref().clone();
        assert_eq!(package.found_in, "opt/x/METADATA");
        (package.kind, package.name)
    };
    let is = |kind, name: &str| (kind, name.to_owned());
    let with_url = |kind, name, url| package(kind, name, Some(url));
    assert_eq!(
        with_url("python-pkg", "My_Lib", "pkg:pypi/my-lib@1.0.0"),
        is(PackageKind::Python, "my-lib")
    );
    assert_eq!(
        with_url("jar", "org.x:core", "pkg:maven/org.x/core@1.0.0"),
        is(PackageKind::Maven, "org.x:core")
    );
    assert_eq!(
        with_url("gobinary", "github.com/A/b", "pkg:golang/github.com/a/b@v1.0.0"),
        is(PackageKind::Go, "github.com/A/b")
    );
    assert_eq!(package("node-pkg", "@acme/x", None), is(PackageKind::Npm, "@acme/x"));
    assert_eq!(package("julia", "X", Some("pkg:julia/X@1")), is(PackageKind::Other, "X"));
    assert_eq!(package("", "X", Some("no url")), is(PackageKind::Other, "X"));
}

#[test]
fn an_rpm_has_its_epoch_and_its_module() {
    let report = with(
        "/Results",
        json!([{
            "Class": "os-pkgs", "Type": "rocky",
            "Packages": [{
                "ID": "p@1", "Identifier": {"UID": "u"}, "Arch": "x86_64", "Modularitylabel": "perl:5.26:8:ab",
                "SrcName": "perl", "SrcVersion": "5.26.3", "SrcRelease": "419.el8", "SrcEpoch": 4
            }],
            "Vulnerabilities": [{
                "VulnerabilityID": "CVE-2026-1", "VendorIDs": ["RLSA-2026:1"], "PkgName": "perl-libs",
                "PkgIdentifier": {"PURL": "pkg:rpm/rocky/perl-libs@5.26.3-419.el8?arch=x86_64&epoch=4", "UID": "u"},
                "InstalledVersion": "4:5.26.3-419.el8", "FixedVersion": "4:5.26.3-420.el8", "Severity": "MEDIUM"
            }]
        }]),
    );
    let package = only(&trivy(&report).unwrap()).package.as_ref().clone();
    assert_eq!((package.kind, package.version.as_str()), (PackageKind::Rpm, "4:5.26.3-419.el8"));
    assert_eq!(package.module.as_deref(), Some("perl:5.26:8:ab"));
    let source = SourcePackage { name: "perl".to_owned(), version: "4:5.26.3-419.el8".to_owned() };
    assert_eq!(package.source, Some(source));
}

#[test]
fn silence_about_the_distribution_is_unknown() {
    let unknown = |report: &Value| trivy(report).unwrap().unknown;
    let nothing = Vec::<String>::new();
    assert_eq!(unknown(&report()), nothing);
    let over = json!({"Family": "debian", "Name": "9.13", "EOSL": true});
    assert_eq!(unknown(&with("/Metadata/OS", over)), ["debian 9.13 gets no fixes any more"]);
    // Packages without a distribution, a distribution that is not supported, and one without packages.
    let none = json!({"Family": "none", "Name": ""});
    assert_eq!(unknown(&with("/Metadata/OS", none)).len(), 1);
    let of_language = json!([{"Class": "lang-pkgs", "Type": "gobinary", "Target": "app",
        "Packages": [{"ID": "x@1"}]}]);
    assert_eq!(
        unknown(&with("/Results", of_language.clone())),
        ["Trivy compares nothing with what it has of debian 12.5"]
    );
    let without = json!([{"Class": "os-pkgs", "Type": "debian", "Target": "x (debian 12.5)"}]);
    assert_eq!(
        unknown(&with("/Results", without)),
        ["the packages of debian 12.5, which Trivy does not list"]
    );
    // Nothing at all, in every way in which Go leaves things out.
    for results in [json!([]), Value::Null] {
        let mut report = with("/Metadata", json!({}));
        report["Results"] = results;
        assert_eq!(unknown(&report).len(), 1);
        report.as_object_mut().unwrap().remove("Metadata");
        report.as_object_mut().unwrap().remove("Results");
        assert_eq!(unknown(&report).len(), 1);
    }
    // One program in an image without a distribution was looked at.
    let mut scratch = with("/Metadata/OS", Value::Null);
    scratch["Results"] = of_language;
    assert_eq!(unknown(&scratch), nothing);
    scratch["Results"] = json!([{"Class": "lang-pkgs", "Type": "gobinary", "Target": "app"}]);
    assert_eq!(unknown(&scratch).len(), 1);
}

#[test]
fn what_was_ignored_is_a_finding_all_the_same() {
    let mut report = report();
    let mut hidden = detected();
    hidden["VulnerabilityID"] = json!("CVE-2026-9");
    report["Results"][0]["ExperimentalModifiedFindings"] = json!([
        {"Type": "vulnerability", "Status": "not_affected", "Statement": "", "Source": "vex.json", "Finding": hidden},
        {"Type": "secret", "Status": "ignored", "Finding": {"RuleID": "x"}},
    ]);
    let reported = trivy(&report).unwrap();
    assert_eq!(ids(&reported), ["CVE-2026-1", "CVE-2026-9"]);
    assert!(reported.gaps.is_empty());
    for broken in [json!({"VulnerabilityID": 7}), Value::Null] {
        report["Results"][0]["ExperimentalModifiedFindings"][0]["Finding"] = broken;
        assert_eq!(trivy(&report).unwrap().gaps.len(), 1);
    }
}

#[test]
fn results_of_an_unknown_class_are_read_and_a_gap() {
    let report = with("/Results/0/Class", json!("firmware"));
    let reported = trivy(&report).unwrap();
    assert_eq!(ids(&reported), ["CVE-2026-1"]);
    assert_eq!(reported.gaps, ["results of the class \"firmware\", which is not known"]);
    assert_eq!(reported.unknown.len(), 1, "no list of the distribution's packages was compared");
    let mut secrets = super::trivy::report();
    let of_secrets = json!({"Target": "/key", "Class": "secret", "Secrets": [{"RuleID": "x"}]});
    secrets["Results"].as_array_mut().unwrap().push(of_secrets);
    assert!(trivy(&secrets).unwrap().gaps.is_empty(), "secrets are nothing that is asked for");
}

#[test]
fn only_reports_of_version_2_over_images_are_read() {
    for version in [json!(1), json!(3), Value::Null] {
        let error = trivy(&with("/SchemaVersion", version)).unwrap_err();
        assert!(matches!(error, ReportError::UnknownVersion { .. }), "{error}");
    }
    for kind in ["filesystem", "repository", "vm"] {
        let error = trivy(&with("/ArtifactType", json!(kind))).unwrap_err();
        assert_eq!(error, ReportError::NotAnImage { kind: kind.to_owned() });
    }
    assert!(trivy(&with("/ArtifactType", Value::Null)).is_err());
    assert!(trivy(&with("/ArtifactType", json!("cyclonedx"))).is_ok());
}

#[test]
fn a_report_of_another_image_is_refused() {
    let other = Digest::sha256(b"other").to_string();
    let named = |id: Value, digests: Value| {
        let mut report = report();
        report["Metadata"]["ImageID"] = id;
        report["Metadata"]["RepoDigests"] = digests;
        trivy(&report)
    };
    let (own, index) = (image().manifest.to_string(), image().index[0].to_string());
    let config = || json!(image().config.to_string());
    assert!(named(config(), json!([format!("x/y@{other}")])).is_ok(), "its config is ours");
    assert!(named(Value::Null, json!([format!("x/y@{other}"), format!("x@{own}")])).is_ok());
    assert!(named(json!(other), json!([format!("x/y@{index}")])).is_ok());
    assert!(named(json!(own), Value::Null).is_ok(), "containerd calls the manifest the image");
    assert!(named(Value::Null, Value::Null).is_ok());
    for (id, digests) in [
        (json!(other), json!([])),
        (json!(other), json!([format!("x/y@{other}")])),
        (Value::Null, json!([format!("x/y@{other}")])),
    ] {
        let error = named(id, digests).unwrap_err();
        assert!(matches!(error, ReportError::OtherImage { .. }), "{error}");
    }
    // Where nobody knows the config, an id says nothing.
    let image = image();
    let asked = super::Asked { config: None, ..image.asked() };
    let report = with("/Metadata/ImageID", json!(other)).to_string();
    assert!(Reported::from_trivy(report.as_bytes(), &asked, None).is_ok());
}

#[test]
fn somebody_has_to_say_when_it_was() {
    let mut report = report();
    report.as_object_mut().unwrap().remove("CreatedAt");
    assert_eq!(trivy(&report), Err(ReportError::NoTime));
    let at = time("2026-11-21T00:00:00Z");
    let told = Reported::from_trivy(report.to_string().as_bytes(), &image().asked(), Some(at));
    assert_eq!(told.unwrap().at, at);
}
