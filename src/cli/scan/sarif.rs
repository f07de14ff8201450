//! Findings as SARIF, which code hosts show beside the code.
//!
//! Spec: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shown::ScanView;
use super::vex::Suppressed;
use crate::scan::{Finding, Fix, Severity, package_url};

/// One log with one run.
pub(super) fn log(view: &ScanView) -> Value {
    let mut rules = BTreeMap::new();
    for finding in view.findings().chain(view.suppressed().map(|it| &it.finding)) {
        rules.entry(finding.id.clone()).or_insert_with(|| rule(finding));
    }
    let mut results: Vec<Value> = view.findings().map(|finding| result(view, finding)).collect();
    results.extend(view.suppressed().map(|it| suppressed(view, it)));
    let incomplete = view.images.iter().any(|image| !image.is_complete());
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pratique",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": !incomplete}],
            "results": results,
            "properties": {"target": view.target, "digest": view.digest},
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    let score = finding.score.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10));
    json!({
        "id": finding.id,
        "shortDescription": {"text": finding.id},
        "properties": {"security-severity": score, "tags": ["security", "vulnerability"]},
    })
}

fn result(view: &ScanView, finding: &Finding) -> Value {
    let package = &finding.package;
    let fix = match &finding.fix {
        Fix::In(version) => format!("fixed in {version}"),
        Fix::None => "no fix yet".to_owned(),
        Fix::WillNot => "will not be fixed".to_owned(),
    };
    let url = package_url(package, None).unwrap_or_default();
    let text = format!("{} in {} {}, {fix}", finding.id, package.name, package.version);
    json!({
        "ruleId": finding.id,
        "level": level(finding),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": package.found_in},
                "region": {"startLine": 1},
            },
            "logicalLocations": [{"fullyQualifiedName": url}],
        }],
        "partialFingerprints": {
            "pratique/v1": format!("{}|{}|{url}", view.target, finding.id),
        },
    })
}

/// A finding that does not count; a reader leaves it out, or shows it apart.
fn suppressed(view: &ScanView, suppressed: &Suppressed) -> Value {
    let mut result = result(view, &suppressed.finding);
    let justification = suppressed.vex.to_string();
    if let Some(result) = result.as_object_mut() {
        let suppressions =
            json!([{"kind": "external", "status": "accepted", "justification": justification}]);
        result.insert("suppressions".to_owned(), suppressions);
    }
    result
}

fn level(finding: &Finding) -> &'static str {
    match finding.severity {
        _ if finding.malware => "error",
        None | Some(Severity::Critical | Severity::High) => "error",
        Some(Severity::Medium) => "warning",
        Some(Severity::Low | Severity::None) => "note",
    }
}
