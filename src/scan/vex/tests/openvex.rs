//! What documents of OpenVEX say.

use serde_json::{Value, json};

use super::super::{Format, Status, VexError};
use super::{OPENSSL, at, digest, finding, last, read, status, word};
use crate::scan::{Package, PackageKind};

const NS: &str = "https://openvex.dev/ns/v0.2.0";

/// A document with one statement that takes CVE-2026-1 away, changed as `with` says.
fn document(with: &Value) -> Value {
    let mut statement = json!({
        "vulnerability": {"name": "CVE-2026-1"},
        "products": [{"@id": OPENSSL}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    });
    for (key, value) in with.as_object().unwrap() {
        statement[key] = value.clone();
    }
    of(&[statement])
}

fn of(statements: &[Value]) -> Value {
    json!({
        "@context": NS, "@id": "https://acme.test/vex/1", "author": "acme", "version": 1,
        "timestamp": "2026-01-01T00:00:00Z", "statements": statements,
    })
}

fn said(with: &Value) -> Option<Status> {
    status(last(Format::OpenVex, &document(with)))
}

const YES: Option<Status> = Some(Status::NotAffected);

#[test]
fn a_statement_is_about_the_products_that_it_names_and_no_others() {
    assert_eq!(said(&json!({})), YES);
    let (own, other) = (digest().hex(), "0".repeat(64));
    let image = |hex: &str| format!("pkg:oci/app@sha256:{hex}");
    for (products, expected) in [
        (json!([{"@id": "pkg:deb/debian/openssl"}]), YES),
        (json!([{"@id": "pkg:deb/debian/openssl@3.0.12-1"}]), None),
        (json!([{"@id": "pkg:deb/debian/curl"}, {"@id": OPENSSL}]), YES),
        (json!([{"identifiers": {"purl": OPENSSL}}]), YES),
        // Every name that it goes by has to be right.
        (
            json!([{"@id": "pkg:deb/debian/openssl", "identifiers": {"purl": "pkg:deb/debian/curl"}}]),
            None,
        ),
        (json!([{"@id": image(&own)}]), YES),
        (json!([{"@id": image(&other)}]), None),
        (json!([{"@id": "pkg:oci/app"}]), None),
        (json!([{"@id": "pkg:oci/app@1.0"}]), None),
        (json!([{"hashes": {"sha-256": own}}]), YES),
        (json!([{"hashes": {"sha-256": other}}]), None),
        (json!([{"@id": image(&own), "hashes": {"sha-256": other}}]), None),
        (json!([{"@id": image(&own), "subcomponents": [{"@id": OPENSSL}]}]), YES),
        (json!([{"@id": image(&own), "subcomponents": [{"@id": "pkg:deb/debian/curl"}]}]), None),
        (json!([{"@id": image(&other), "subcomponents": [{"@id": OPENSSL}]}]), None),
        (json!([{"@id": "pkg:oci/app", "subcomponents": [{"@id": OPENSSL}]}]), None),
        // A part that cannot be read is a part all the same.
        (json!([{"@id": image(&own), "subcomponents": [{"@id": "pkg:deb"}]}]), None),
        (json!([{"@id": image(&own), "subcomponents": [{"@id": "urn:x"}]}]), None),
        (json!([{"@id": image(&own), "subcomponents": "x"}]), None),
        (json!([{"@id": image(&own), "subcomponents": []}]), YES),
        (json!([{"@id": "https://acme.test/app"}]), None),
        (json!([]), None),
        (json!("pkg:deb/debian/openssl"), None),
        (json!([1, null, [], {}]), None),
    ] {
        assert_eq!(said(&json!({"products": products})), expected, "{products}");
    }
    // What names no product is about what the document is attached to.
    let mut inherits = document(&json!({}));
    inherits["statements"][0].as_object_mut().unwrap().remove("products");
    assert_eq!(status(last(Format::OpenVex, &inherits)), YES);
    inherits["statements"][0]["subcomponents"] = json!(["pkg:deb/debian/curl"]);
    assert_eq!(status(last(Format::OpenVex, &inherits)), None);
}

#[test]
fn part_of_a_package_has_to_be_in_the_same_file() {
    let document = read(
        Format::OpenVex,
        &document(&json!({"products": [{
            "@id": "pkg:golang/github.com/acme/app",
            "subcomponents": [{"@id": "pkg:golang/helm.sh/helm/v3"}],
        }]})),
    );
    let go = |name: &str, file: &str| Package::new(PackageKind::Go, name, "v1.0.0", file);
    let helm = go("helm.sh/helm/v3", "usr/bin/app");
    let found = finding("CVE-2026-1", helm.clone());
    let asked =
        |packages: &[Package]| status(word(std::slice::from_ref(&document), &found, packages));
    assert_eq!(asked(&[helm.clone(), go("github.com/acme/app", "usr/bin/app")]), YES);
    assert_eq!(asked(&[helm.clone(), go("github.com/acme/app", "usr/bin/other")]), None);
    assert_eq!(asked(&[helm]), None);
}

#[test]
fn names_of_the_vulnerability_count_and_two_cves_are_two() {
    for (vulnerability, expected) in [
        (json!("CVE-2026-1"), YES),
        (json!({"name": "cve-2026-1"}), YES),
        (json!({"name": "GO-1", "aliases": ["CVE-2026-1"]}), YES),
        (json!({"@id": "CVE-2026-1"}), YES),
        (json!({"name": "DSA-1-1"}), YES),
        (json!({"name": "CVE-2026-2"}), None),
        // Both have the advisory, and are not each other.
        (json!({"name": "CVE-2026-2", "aliases": ["DSA-1-1"]}), None),
        (json!({"name": "CVE-2026-11"}), None),
        (json!({"@id": "https://acme.test/CVE-2026-1"}), None),
        (json!({"aliases": "CVE-2026-1"}), None),
        (json!({}), None),
        (json!(null), None),
        (json!(["CVE-2026-1"]), None),
    ] {
        assert_eq!(said(&json!({"vulnerability": vulnerability})), expected, "{vulnerability}");
    }
}

#[test]
fn what_is_not_understood_takes_nothing_away_and_is_told() {
    for (with, expected, told) in [
        (json!({"status": "unaffected"}), Some(Status::Unknown), "no known status: unaffected"),
        (json!({"status": null}), Some(Status::Unknown), "no known status: none"),
        (json!({"status": ["fixed"]}), Some(Status::Unknown), "no known status: none"),
        (json!({"timestamp": "yesterday"}), YES, "its timestamp is no time"),
        (json!({"justification": "because"}), YES, "no known justification: because"),
        (json!({"vulnerability": {}}), None, "names no vulnerability"),
        (json!({"products": []}), None, "names no product"),
        (json!({"products": [{"@id": "pkg:oci/app"}]}), None, "names an image without its digest"),
        (json!({"products": [{"@id": "pkg:deb"}]}), None, "a product that cannot be read: pkg:deb"),
        (json!({"products": [{"@id": "acme/app"}]}), None, "nothing is known by: acme/app"),
    ] {
        let document = document(&with);
        assert_eq!(status(last(Format::OpenVex, &document)), expected, "{with}");
        let problems = read(Format::OpenVex, &document).problems;
        assert_eq!(problems.len(), 1, "{with}: {problems:?}");
        assert!(problems[0].contains(told), "{with}: {problems:?}");
    }
    let unjustified = last(Format::OpenVex, &document(&json!({"justification": "because"})));
    assert!(!unjustified.unwrap().is_justified());
    let mut undated = document(&json!({}));
    undated.as_object_mut().unwrap().remove("timestamp");
    assert_eq!(last(Format::OpenVex, &undated), None);
    assert_eq!(
        read(Format::OpenVex, &undated).problems,
        ["statement 1 does not say when it was made"]
    );
    let odd = of(&[json!(1), json!([]), json!("x"), json!(null)]);
    assert_eq!(read(Format::OpenVex, &odd).problems.len(), 4);
    let many: Vec<Value> = (0..50)
        .map(|at| json!({"vulnerability": format!("CVE-{at}"), "status": format!("s{at}")}))
        .collect();
    let problems = read(Format::OpenVex, &of(&many)).problems;
    assert_eq!((problems.len(), problems[20].as_str()), (21, "30 more like these"));
    let shown = document(&json!({"status": "\u{202e}\n\u{1b}[31m"}));
    assert_eq!(
        read(Format::OpenVex, &shown).problems,
        ["statement 1 has no known status: ???[31m"]
    );
}

#[test]
fn what_is_no_such_document_is_none() {
    let good = document(&json!({})).to_string();
    let broken = |bytes: &str| Format::OpenVex.read(bytes.as_bytes()).unwrap_err();
    for (from, to) in [
        ("\"author\":", "\"version\":1,\"author\":"),
        ("\"statements\":[", "\"statements\":{}, \"x\":["),
        ("\"statements\":", "\"statement\":"),
        ("\"@context\":", "\"context\":"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(matches!(broken(&bad), VexError::Malformed(_)), "{bad}");
    }
    assert!(matches!(broken(&good.replace(NS, "https://openvex.dev/ns/v1")), VexError::Version(_)));
    assert!(matches!(broken(&good.replace(NS, "https://openvex.dev/nsx")), VexError::Version(_)));
    assert_eq!(broken(&good.replace(NS, "https://acme.test")), VexError::OtherFormat);
    assert!(matches!(broken("[]"), VexError::Malformed(_)));
    assert!(matches!(broken(&format!("{good} ")[..good.len() - 1]), VexError::Malformed(_)));
    assert_eq!(Format::of_document(b"{}"), Err(VexError::OtherFormat));
    let large = vec![b' '; 16 * 1024 * 1024 + 1];
    assert!(matches!(Format::of_document(&large), Err(VexError::TooLarge { what: "bytes", .. })));
    assert!(matches!(Format::OpenVex.read(&large), Err(VexError::TooLarge { .. })));
}

#[test]
fn more_than_is_read_is_none_at_all() {
    let many = vec![json!({"vulnerability": "CVE-1", "status": "fixed"}); 100_001];
    let error = Format::OpenVex.read(of(&many).to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, VexError::TooLarge { what: "statements", .. }), "{error}");
    let products = vec![json!("pkg:a/b"); 1_000];
    let parts = vec![json!("pkg:a/b"); 1_000];
    let shared = of(&[
        json!({"vulnerability": "CVE-1", "status": "fixed", "products": products, "subcomponents": parts}),
    ]);
    let error = Format::OpenVex.read(shared.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, VexError::TooLarge { .. }), "{error}");
    let aliases = vec![json!("CVE-1"); 500_001];
    let many = of(&[json!({"vulnerability": {"aliases": aliases}, "status": "fixed"})]);
    let error = Format::OpenVex.read(many.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, VexError::TooLarge { what: "names", .. }), "{error}");
}

#[test]
fn parts_that_products_share_are_bounded_by_what_they_come_to() {
    let products = vec![json!("pkg:a/b"); 500];
    let parts = vec![json!(format!("pkg:a/{}", "x".repeat(1_900))); 500];
    let shared = of(&[
        json!({"vulnerability": "CVE-1", "status": "fixed", "products": products, "subcomponents": parts}),
    ]);
    let error = Format::OpenVex.read(shared.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, VexError::TooLarge { what: "bytes of products", .. }), "{error}");
}

#[test]
fn a_document_that_says_it_is_two_things_is_neither() {
    let mut both = document(&json!({}));
    both["bomFormat"] = json!("CycloneDX");
    both["specVersion"] = json!("1.5");
    for (other, is_none) in [(json!("CycloneDX"), false), (json!(1), false), (json!(null), true)] {
        both["bomFormat"] = other;
        let bytes = both.to_string();
        let told = Format::of_document(bytes.as_bytes());
        assert_eq!(told, if is_none { Ok(Format::OpenVex) } else { Err(VexError::OtherFormat) });
        let read = Format::OpenVex.read(bytes.as_bytes());
        assert_eq!(read.is_ok(), is_none, "{read:?}");
    }
    both["bomFormat"] = json!("CycloneDX");
    let read = Format::CycloneDx.read(both.to_string().as_bytes());
    assert_eq!(read, Err(VexError::OtherFormat));
}

#[test]
fn the_first_versions_are_read_too() {
    let old = json!({
        "@context": "https://openvex.dev/ns", "@id": "x", "author": "acme", "role": "x", "version": "1",
        "timestamp": "2023-01-16T19:07:16.853479631-06:00",
        "statements": [{
            "vulnerability": "CVE-2026-1", "status": "fixed",
            "products": [format!("pkg:oci/app@{}", digest())], "subcomponents": [OPENSSL],
        }],
    });
    let statement = last(Format::OpenVex, &old).unwrap();
    assert_eq!(statement.status, Status::Fixed);
    assert_eq!(statement.at, Some(at("2023-01-17T01:07:16.853Z")));
    assert_eq!(read(Format::OpenVex, &old).version, 1);
}

#[test]
fn why_is_told_by_label_or_in_words() {
    let whole =
        last(Format::OpenVex, &document(&json!({"impact_statement": "not\nbuilt in"}))).unwrap();
    assert!(whole.is_justified());
    assert_eq!(whole.why(), Some("vulnerable_code_not_present"));
    assert_eq!(whole.impact.as_deref(), Some("not built in"));
    let words = json!({"justification": "", "impact_statement": "x".repeat(10_000)});
    let words = last(Format::OpenVex, &document(&words)).unwrap();
    assert_eq!(words.why().map(str::len), Some(300));
    let neither = json!({"justification": null, "impact_statement": "  "});
    assert!(!last(Format::OpenVex, &document(&neither)).unwrap().is_justified());
}
