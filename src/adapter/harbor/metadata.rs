//! What an adapter says of itself.
//!
//! Spec: <https://github.com/goharbor/pluggable-scanner-spec/blob/master/api/spec/scanner-adapter-openapi-v1.2.yaml>
//! (`ScannerAdapterMetadata`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::oci::MediaType;
use crate::time::Timestamp;

/// As of when the scanner's database is.
const DATABASE: &str = "harbor.scanner-adapter/vulnerability-database-updated-at";
/// The kind of capability that is asked for.
pub(super) const VULNERABILITY: &str = "vulnerability";
/// How far ahead of the clock here a database may be; one that is further ahead would never grow old.
const AHEAD_MAX: Duration = Duration::from_hours(24);
/// What Trivy's adapter is told to leave out, by its own settings: the name, and what has to be among the
/// words of it for nothing to be left out.
const NARROWING: [(&str, &[&str]); 3] = [
    ("env.SCANNER_TRIVY_SECURITY_CHECKS", &["vuln"]),
    ("env.SCANNER_TRIVY_SEVERITY", &["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]),
    ("env.SCANNER_TRIVY_VULN_TYPE", &["os", "library"]),
];
/// The same for settings that have it leave something out when they are anything but these.
const SUPPRESSING: [(&str, &[&str]); 2] =
    [("env.SCANNER_TRIVY_IGNORE_UNFIXED", &["false"]), ("env.SCANNER_TRIVY_VEX_SOURCE", &[])];

/// The forms of reports that are read, the best first, to the letter: adapters compare them so.
pub(super) const FORMS: [&str; 2] = [
    "application/vnd.security.vulnerability.report; version=1.1",
    "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0",
];

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    scanner: Option<Scanner>,
    capabilities: Vec<Capability>,
    properties: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Scanner {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Capability {
    /// Since version 1.2; without it, vulnerabilities are meant.
    #[serde(rename = "type")]
    kind: Option<String>,
    consumes_mime_types: Vec<String>,
    produces_mime_types: Vec<String>,
}

/// How an adapter reports vulnerabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// One of [`FORMS`].
    pub(super) media_type: &'static str,
    /// Whether it has to be told which capability is asked for (since version 1.2).
    pub(super) has_kinds: bool,
}

impl Metadata {
    /// What it calls its scanner.
    pub(super) fn scanner(&self) -> Option<String> {
        let Scanner { name, version } = self.scanner.as_ref()?;
        let name = name.as_deref().filter(|name| !name.trim().is_empty())?;
        Some(format!("{name} {}", version.as_deref().unwrap_or_default()))
    }

    /// The best form in which it reports vulnerabilities of images with such a manifest.
    pub(super) fn form_for(&self, image: &MediaType) -> Option<Form> {
        let able = self.capabilities.iter().filter(|capability| {
            let is_wanted = capability.kind.as_deref().is_none_or(|kind| kind == VULNERABILITY);
            let is_image = |text: &String| MediaType::new(text).is_same(image);
            is_wanted && capability.consumes_mime_types.iter().any(is_image)
        });
        let able: Vec<&Capability> = able.collect();
        FORMS.iter().find_map(|form| {
            let produces = |it: &&&Capability| {
                it.produces_mime_types.iter().any(|text| Mime::of(text) == Mime::of(form))
            };
            let capability = able.iter().find(produces)?;
            Some(Form { media_type: form, has_kinds: capability.kind.is_some() })
        })
    }

    /// As of when its database is; `None` when it does not say in a way that could be true at `now`.
    pub(super) fn database(&self, now: Timestamp) -> Option<Timestamp> {
        let text = self.properties.as_ref()?.get(DATABASE)?.as_str()?;
        let at: Timestamp = text.parse().ok()?;
        (at <= now.after(AHEAD_MAX)).then_some(at)
    }

    /// What its own settings have it leave out, so that no report of it is complete.
    pub(super) fn left_out(&self) -> Vec<String> {
        let Some(properties) = &self.properties else { return Vec::new() };
        let said = |name: &str| properties.get(name).map(|it| it.as_str().unwrap_or("?").trim());
        let is_narrow = |(name, all): &(&'static str, &[&str])| {
            let has = |text: &str, word: &str| {
                text.split(',').any(|given| given.trim().eq_ignore_ascii_case(word))
            };
            let narrow = |text: &str| !text.is_empty() && !all.iter().all(|word| has(text, word));
            said(name).is_some_and(narrow).then_some(*name)
        };
        let suppresses = |(name, none): &(&'static str, &[&str])| {
            let matters = |text: &str| !text.is_empty() && !none.contains(&text);
            said(name).is_some_and(matters).then_some(*name)
        };
        let narrow = NARROWING.iter().filter_map(is_narrow);
        let names = narrow.chain(SUPPRESSING.iter().filter_map(suppresses));
        names
            .map(|name| {
                let name = name.trim_start_matches("env.");
                format!("its adapter is set to leave something out: {name}")
            })
            .collect()
    }
}

/// A media type with the version that it is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mime {
    pub(super) essence: String,
    pub(super) version: Option<String>,
}

impl Mime {
    /// The media type in `text`, whatever the spaces, the letter case and the quotes.
    pub(super) fn of(text: &str) -> Self {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let version = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let is_version = name.trim().eq_ignore_ascii_case("version");
            is_version.then(|| value.trim().trim_matches('"').to_owned())
        });
        Self { essence, version }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(capabilities: &Value, properties: &Value) -> Metadata {
        let document = json!({"capabilities": capabilities, "properties": properties});
        serde_json::from_value(document).unwrap()
    }

    fn form(capabilities: &Value) -> Option<(&'static str, bool)> {
        let image = MediaType::new(MediaType::OCI_MANIFEST);
        let form = metadata(capabilities, &json!(null)).form_for(&image)?;
        Some((form.media_type, form.has_kinds))
    }

    #[test]
    fn the_best_form_is_chosen_of_those_that_vulnerabilities_of_images_are_reported_in() {
        let (oci, docker) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
        let [new, old] = FORMS;
        let able = |kind: &Value, from: &str, to: &[&str]| json!({"type": kind, "consumes_mime_types": [from], "produces_mime_types": to});
        let none = json!(null);
        let odd = "Application/vnd.security.vulnerability.report ;charset=utf-8;VERSION=\"1.1\"";
        for (capabilities, expected) in [
            (json!([able(&none, oci, &[old, new])]), Some((new, false))),
            (json!([able(&none, oci, &[odd])]), Some((new, false))),
            (json!([able(&none, oci, &[old])]), Some((old, false))),
            (json!([able(&json!("vulnerability"), oci, &[new])]), Some((new, true))),
            (json!([able(&none, docker, &[new]), able(&none, oci, &[old])]), Some((old, false))),
            (json!([able(&json!("sbom"), oci, &[new])]), None),
            (json!([able(&none, docker, &[new])]), None),
            (
                json!([able(
                    &none,
                    oci,
                    &["application/vnd.security.vulnerability.report; version=2.0"]
                )]),
                None,
            ),
            (json!([able(&none, oci, &["application/vnd.security.vulnerability.report"])]), None),
            (json!([able(&none, oci, &["application/vnd.scanner.adapter.vuln.report.raw"])]), None),
            (json!([]), None),
        ] {
            assert_eq!(form(&capabilities), expected, "{capabilities}");
        }
    }

    #[test]
    fn a_database_is_as_old_as_it_says_unless_it_will_never_be() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (said, expected) in [
            (json!("2019-08-13T08:16:33.345Z"), Some("2019-08-13T08:16:33.345Z")),
            (json!("2026-11-20T22:00:00+01:00"), Some("2026-11-20T21:00:00Z")),
            (json!("2026-11-22T10:00:00Z"), None),
            (json!("today"), None),
            (json!(1_574_000_000), None),
            (json!(null), None),
        ] {
            let database = metadata(&json!([]), &json!({DATABASE: said})).database(now);
            assert_eq!(database, expected.map(|it| it.parse().unwrap()), "{said}");
        }
        assert_eq!(metadata(&json!([]), &json!(null)).database(now), None);
    }

    #[test]
    fn an_adapter_that_is_set_to_leave_something_out_says_so() {
        let all = json!({
            "env.SCANNER_TRIVY_SEVERITY": "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL",
            "env.SCANNER_TRIVY_VULN_TYPE": "os,library",
            "env.SCANNER_TRIVY_SECURITY_CHECKS": "vuln,secret",
            "env.SCANNER_TRIVY_IGNORE_UNFIXED": "false",
            "env.SCANNER_TRIVY_VEX_SOURCE": "",
        });
        assert_eq!(metadata(&json!([]), &all).left_out(), Vec::<String>::new());
        for (name, value) in [
            ("env.SCANNER_TRIVY_SEVERITY", json!("HIGH,CRITICAL")),
            ("env.SCANNER_TRIVY_VULN_TYPE", json!("os")),
            ("env.SCANNER_TRIVY_SECURITY_CHECKS", json!("secret")),
            ("env.SCANNER_TRIVY_IGNORE_UNFIXED", json!("true")),
            ("env.SCANNER_TRIVY_IGNORE_UNFIXED", json!(true)),
            ("env.SCANNER_TRIVY_VEX_SOURCE", json!("repo")),
        ] {
            let mut properties = all.clone();
            properties[name] = value;
            let left_out = metadata(&json!([]), &properties).left_out();
            assert_eq!(left_out.len(), 1, "{name}");
            assert!(left_out[0].ends_with(name.trim_start_matches("env.")), "{left_out:?}");
        }
    }
}
