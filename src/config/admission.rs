//! `[admission]`: where API servers are answered, and what.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Given;
use super::listeners::Common;
use super::section::Section;
use crate::admission::{Check, Checks, Rules, Strictness, Unknown};
use crate::http::AdmissionSettings;
use crate::oci::Registry;

/// Most namespaces, and most names of the mirror.
const ENTRIES_MAX: usize = 100;
/// Longest name of a namespace, in bytes (RFC 1123).
const NAMESPACE_BYTES_MAX: usize = 63;

/// What `[admission]` says.
pub(super) struct AdmissionBlock {
    pub(super) settings: AdmissionSettings,
    pub(super) danger_plain_http: bool,
}

/// The settings of the listener; `None` where the file has none. The addresses in `taken` are of others.
pub(super) fn read(
    block: Section<'_>,
    given: &Given<'_>,
    taken: [SocketAddr; 2],
) -> Option<AdmissionBlock> {
    let is_present = block.is_present();
    let common = Common::read(&block, given, None, "", "API servers");
    if is_present && common.listen.is_none() && !block.has("listen") {
        block.problem("listen", "is missing; write an address such as \"0.0.0.0:8443\"");
    }
    if let Some(listen) = common.listen
        && listen.port() != 0
        && taken.contains(&listen)
    {
        block.problem(
            "listen",
            format!("\"{listen}\" is where others are served; choose another port"),
        );
    }
    let unknown = block.parsed("unknown", unknown).map_or(Unknown::default(), |found| found.value);
    let exempt = entries(&block, "exempt_namespaces", namespace);
    let hosts = entries(&block, "hosts", |text| {
        text.parse::<Registry>()
            .map_err(|_| format!("{text:?} is no name of a host, such as \"mirror.corp:5443\""))
    });
    let checks = checks(block.section("pods"));
    block.finish();
    let listen = common.listen?;
    let default = AdmissionSettings::at(listen);
    let settings = AdmissionSettings {
        tls: common.tls,
        connections_max: common.connections_max.unwrap_or(default.connections_max),
        hosts,
        rules: Rules { unknown, checks, exempt },
        ..default
    };
    Some(AdmissionBlock { settings, danger_plain_http: common.danger_plain_http })
}

fn unknown(text: &str) -> Result<Unknown, String> {
    let all = [Unknown::Deny, Unknown::Warn];
    all.into_iter()
        .find(|it| it.as_str() == text)
        .ok_or_else(|| format!("{text:?} is not one of \"warn\", \"deny\""))
}

fn namespace(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let is_name = bytes.len() <= NAMESPACE_BYTES_MAX
        && bytes.first().is_some_and(|b| plain(*b))
        && bytes.last().is_some_and(|b| plain(*b))
        && bytes.iter().all(|b| plain(*b) || *b == b'-');
    is_name.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no name of a namespace"))
}

fn entries<T: Ord>(
    block: &Section<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> BTreeSet<T> {
    let texts = block.list(key).unwrap_or_default();
    if texts.len() > ENTRIES_MAX {
        block.problem(key, format!("has more than {ENTRIES_MAX} entries"));
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    for text in texts {
        match read(text) {
            Ok(entry) => drop(found.insert(entry)),
            Err(why) => block.problem(key, why),
        }
    }
    found
}

fn checks(block: Section<'_>) -> Checks {
    let mut checks = Checks::default();
    for check in Check::ALL {
        let strictness = block.parsed(check.key(), |text| {
            Strictness::ALL
                .into_iter()
                .find(|it| it.as_str() == text)
                .ok_or_else(|| format!("{text:?} is not one of \"off\", \"warn\", \"deny\""))
        });
        if let Some(found) = strictness {
            checks.set(check, found.value);
        }
    }
    block.finish();
    checks
}
