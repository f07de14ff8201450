//! `[admission]` as it would be written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::show::Tls;
use crate::admission::Check;
use crate::http::AdmissionSettings;

#[derive(Debug, Serialize)]
pub(super) struct Admission {
    listen: String,
    danger_plain_http: bool,
    max_connections: usize,
    unknown: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exempt_namespaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    pods: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
}

impl Admission {
    /// `settings` as they would be written; whether they are of a listener that is said to be `in_clear`.
    pub(super) fn new(settings: &AdmissionSettings, in_clear: bool) -> Self {
        let AdmissionSettings { listen, tls, connections_max, hosts, rules } = settings;
        let checks = Check::ALL.map(|check| (check.key(), rules.checks.of(check).as_str()));
        Self {
            listen: listen.to_string(),
            danger_plain_http: in_clear,
            max_connections: *connections_max,
            unknown: rules.unknown.as_str(),
            exempt_namespaces: rules.exempt.iter().cloned().collect(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            pods: checks.into_iter().collect(),
            tls: tls.as_ref().map(Tls::from),
        }
    }
}
