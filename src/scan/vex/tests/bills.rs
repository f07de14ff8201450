//! What bills of materials of CycloneDX say of vulnerabilities.

use serde_json::{Value, json};

use super::super::{Format, Status, VexError};
use super::{OPENSSL, at, digest, last, read, status};

/// A bill of materials of the image with one analysis, changed as `with` says.
fn bill(with: &Value) -> Value {
    let mut vulnerability = json!({
        "id": "CVE-2026-1",
        "analysis": {"state": "not_affected", "justification": "code_not_reachable", "detail": "x"},
        "affects": [{"ref": "part"}],
    });
    for (key, value) in with.as_object().unwrap() {
        vulnerability[key] = value.clone();
    }
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 3,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {
            "timestamp": "2026-01-01T00:00:00Z",
            "component": {"bom-ref": "root", "type": "container", "name": "app", "version": digest()},
        },
        "components": [
            {"bom-ref": "outer", "type": "application", "name": "x", "components": [
                {"bom-ref": "part", "type": "library", "name": "openssl", "purl": OPENSSL},
            ]},
            {"bom-ref": "curl", "type": "library", "name": "curl", "purl": "pkg:deb/debian/curl@1"},
        ],
        "vulnerabilities": [vulnerability],
    })
}

fn said(with: &Value) -> Option<Status> {
    status(last(Format::CycloneDx, &bill(with)))
}

const YES: Option<Status> = Some(Status::NotAffected);

#[test]
fn states_are_those_of_vex() {
    for (state, expected) in [
        ("not_affected", Status::NotAffected),
        ("false_positive", Status::NotAffected),
        ("resolved", Status::Fixed),
        ("resolved_with_pedigree", Status::Fixed),
        ("exploitable", Status::Affected),
        ("in_triage", Status::UnderInvestigation),
        ("fine", Status::Unknown),
    ] {
        assert_eq!(said(&json!({"analysis": {"state": state}})), Some(expected), "{state}");
    }
    let problems = read(Format::CycloneDx, &bill(&json!({"analysis": {"state": "fine"}}))).problems;
    assert_eq!(problems, ["vulnerability 1 has no known state: fine"]);
    assert_eq!(said(&json!({"analysis": null})), None, "it only lists what is known");
    let statement = last(Format::CycloneDx, &bill(&json!({}))).unwrap();
    assert_eq!(statement.justification.as_deref(), Some("code_not_reachable"));
    assert_eq!(statement.at, Some(at("2026-01-01T00:00:00Z")));
    let dated = json!({"analysis": {
        "state": "resolved", "firstIssued": "2026-02-01T00:00:00Z", "lastUpdated": "2026-03-01T00:00:00Z",
        "justification": "because", "response": ["update", "rollback"],
    }});
    let statement = last(Format::CycloneDx, &bill(&dated)).unwrap();
    assert_eq!(statement.at, Some(at("2026-03-01T00:00:00Z")));
    assert_eq!((statement.is_justified(), statement.why()), (false, Some("update, rollback")));
}

#[test]
fn references_lead_to_what_is_affected() {
    const OWN: &str = "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/3#part";
    for (affects, expected) in [
        (json!([{"ref": "part"}]), YES),
        (json!([{"ref": "root"}]), YES),
        (json!([{"ref": "curl"}]), None),
        (json!([{"ref": "curl"}, {"ref": "part"}]), YES),
        (json!([{"ref": "outer"}]), None),
        (json!([{"ref": "nowhere"}]), None),
        (json!([{"ref": OPENSSL}]), YES),
        (json!([{"ref": OWN}]), YES),
        (json!([{"ref": OWN.replace('3', "4")}]), None),
        (json!([{"ref": "urn:cdx:x"}]), None),
        (json!([{"ref": 1}, 2, null]), None),
        (json!([]), None),
        (json!(null), None),
    ] {
        assert_eq!(said(&json!({"affects": affects})), expected, "{affects}");
    }
    let mut twice = bill(&json!({}));
    twice["components"][1]["bom-ref"] = json!("part");
    assert_eq!(status(last(Format::CycloneDx, &twice)), None, "two of one reference are neither");
    let mut without = bill(&json!({}));
    without.as_object_mut().unwrap().remove("components");
    let problems = read(Format::CycloneDx, &without).problems;
    assert_eq!(problems, ["vulnerability 1 affects what cannot be told: part"]);
}

#[test]
fn the_bill_has_to_be_that_of_the_image() {
    let with_root = |root: &Value| {
        let mut bill = bill(&json!({}));
        bill["metadata"]["component"] = root.clone();
        status(last(Format::CycloneDx, &bill))
    };
    let other = "sha256:".to_owned() + &"0".repeat(64);
    for (root, expected) in [
        (json!(null), YES),
        (json!({"name": "app"}), YES),
        (json!({"name": "app", "version": "1.0"}), YES),
        (json!({"name": "app", "version": other}), None),
        (json!({"purl": format!("pkg:oci/app@{}", digest())}), YES),
        (json!({"purl": format!("pkg:oci/app@{other}")}), None),
        (json!({"purl": "pkg:oci/app"}), None),
        (json!({"purl": "nonsense"}), None),
        (json!({"purl": "pkg:golang/acme.test/app"}), None),
    ] {
        assert_eq!(with_root(&root), expected, "{root}");
    }
}

#[test]
fn versions_have_to_be_named_to_take_something_away() {
    let with = |state: &str, versions: &Value| {
        said(
            &json!({"analysis": {"state": state}, "affects": [{"ref": "pkg:deb/debian/openssl", "versions": versions}]}),
        )
    };
    let (own, affected) = ("3.0.11-1", Some(Status::Affected));
    for (state, versions, expected) in [
        ("not_affected", json!([{"version": own}]), YES),
        ("not_affected", json!([{"version": own, "status": "unaffected"}]), YES),
        ("not_affected", json!([{"version": "3.0.12-1", "status": "unaffected"}]), None),
        ("not_affected", json!([{"version": own, "status": "affected"}]), affected),
        ("not_affected", json!([{"version": own, "status": "unknown"}]), Some(Status::Unknown)),
        ("not_affected", json!([{"range": "vers:deb/>=1", "status": "unaffected"}]), None),
        ("not_affected", json!([{}]), None),
        ("not_affected", json!([]), None),
        ("exploitable", json!([{"range": "vers:deb/>=1"}]), affected),
        ("exploitable", json!([{"version": own, "status": "unaffected"}]), affected),
    ] {
        assert_eq!(with(state, &versions), expected, "{state} {versions}");
    }
    let contradicts = json!({"affects": [{"ref": "part", "versions": [{"version": "9"}]}]});
    assert_eq!(said(&contradicts), None, "the component has another version");
}

#[test]
fn what_is_no_such_document_is_none() {
    let good = bill(&json!({})).to_string();
    let broken = |text: String| Format::CycloneDx.read(text.as_bytes()).unwrap_err();
    assert_eq!(broken(good.replace("\"CycloneDX\"", "\"SPDX\"")), VexError::OtherFormat);
    assert!(matches!(broken(good.replace("\"1.5\"", "\"2.0\"")), VexError::Version(_)));
    assert!(matches!(
        broken(good.replace("\"version\":3", "\"version\":3,\"version\":4")),
        VexError::Malformed(_)
    ));
    let parts = vec![json!({"bom-ref": "a"}); 500_001];
    let many = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": parts});
    assert!(matches!(broken(many.to_string()), VexError::TooLarge { what: "names", .. }));
}

#[test]
fn many_names_of_many_versions_are_kept_once_for_each_status() {
    let names: Vec<Value> = (0..2_000).map(|at| json!({"id": format!("GHSA-{at}")})).collect();
    let statuses = ["affected", "unaffected", "unknown"];
    let versions: Vec<Value> = (0..2_000)
        .map(|at| json!({"version": at.to_string(), "status": statuses[at % 3]}))
        .collect();
    let affects = json!([{"ref": "pkg:deb/debian/openssl", "versions": versions}, {"ref": "part"}]);
    let document =
        read(Format::CycloneDx, &bill(&json!({"references": names, "affects": affects})));
    let kept: usize = document.statements.iter().map(|it| it.vulnerability.len()).sum();
    assert_eq!(kept, 3 * 2_001);
    let products = document.statements.iter().filter_map(|it| it.products.as_ref());
    assert_eq!(products.map(Vec::len).sum::<usize>(), 2_001, "nothing is lost");
}

#[test]
fn names_count_for_each_statement_that_has_them() {
    let names: Vec<Value> = (0..1_000).map(|at| json!({"id": format!("GHSA-{at}")})).collect();
    let many = |statuses: &[&str]| {
        let versions: Vec<Value> = statuses.iter().map(|it| json!({"status": it})).collect();
        let affects = json!([{"ref": "part", "versions": versions}]);
        let one = &bill(
            &json!({"analysis": {"state": "exploitable"}, "references": names, "affects": affects}),
        );
        let mut all = one.clone();
        all["vulnerabilities"] = json!(vec![&one["vulnerabilities"][0]; 300]);
        Format::CycloneDx.read(all.to_string().as_bytes())
    };
    assert!(many(&["affected"]).is_ok());
    let error = many(&["affected", "unknown"]).unwrap_err();
    assert!(matches!(error, VexError::TooLarge { what: "names", .. }), "{error}");
}

#[test]
fn what_is_repeated_of_a_product_is_bounded() {
    let long = format!("pkg:deb/debian/{}", "x".repeat(1_900));
    for affects in [
        json!(vec![json!({"ref": "part"}); 50_000]),
        json!([{"ref": "part", "versions": vec![json!({"version": "1"}); 50_000]}]),
        json!([{"ref": "part", "versions": vec![json!({"status": "affected"}); 50_000]}]),
    ] {
        let mut bill = bill(&json!({"affects": affects}));
        bill["components"] = json!([{"bom-ref": "part", "purl": long}]);
        let error = Format::CycloneDx.read(bill.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, VexError::TooLarge { what: "bytes of products", .. }), "{error}");
    }
}
