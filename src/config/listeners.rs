//! `[node]` and `[admin]`: where the two listeners are, and how they are protected.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::Given;
use super::section::{Found, Section};
use super::{address, oidc};
use crate::http::{AdminSettings, ClientCertificates, NodeSettings, RefuseAt, TlsSettings};
use crate::oci::Registry;
use crate::people::oidc::ServiceAccountSettings;

/// Connections of one listener: at least a few, at most what file descriptors usually allow.
const CONNECTIONS: RangeInclusive<u64> = 8..=1_000_000;
/// How long a client may be silent.
const HEADER_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Newer containerd gives up after 30 s without an answer's head; the answer must be there before.
const HOLD_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(25);

/// For whom pods' tokens are, unless the settings say otherwise.
const AUDIENCE: &str = "pratique";

/// What `[node]` says.
pub(super) struct NodeBlock {
    pub(super) settings: NodeSettings,
    pub(super) hold_timeout: Option<Duration>,
    pub(super) danger_plain_http: bool,
}

/// What `[admin]` says.
pub(super) struct AdminBlock {
    pub(super) settings: AdminSettings,
    pub(super) public_url: Option<Arc<str>>,
    pub(super) danger_plain_http: bool,
}

pub(super) fn node(block: Section<'_>, given: &Given<'_>) -> NodeBlock {
    let default = NodeSettings::default();
    let common = Common::read(&block, given, given.overrides.listen, "--listen", "nodes");
    let registry = |text: &str| text.parse::<Registry>();
    let settings = NodeSettings {
        listen: common.listen.unwrap_or(default.listen),
        tls: common.tls,
        default_registry: block
            .parsed("default_registry", registry)
            .map_or(default.default_registry, |found| found.value),
        connections_max: common.connections_max.unwrap_or(default.connections_max),
        header_timeout: block
            .duration("header_timeout", HEADER_TIMEOUT)
            .unwrap_or(default.header_timeout),
        idle_timeout: block
            .duration("idle_timeout", HEADER_TIMEOUT)
            .unwrap_or(default.idle_timeout),
        refuse_at: block
            .parsed("refuse_at", refuse_at)
            .map_or(default.refuse_at, |found| found.value),
        public_url: None,
        pods: pods(block.section("pods"), given),
    };
    let hold_timeout = block.duration("hold_timeout", HOLD_TIMEOUT);
    block.finish();
    NodeBlock { settings, hold_timeout, danger_plain_http: common.danger_plain_http }
}

/// `[node.pods]`: the cluster whose pods are told apart.
fn pods(block: Section<'_>, given: &Given<'_>) -> Option<ServiceAccountSettings> {
    let present = block.is_present();
    let issuer = block.parsed("issuer", |text| match text {
        "" => Err("is empty; write what --service-account-issuer of the API server says"),
        text => Ok(text.to_owned()),
    });
    let keys = block.file("keys");
    given.must_be_readable(&block, "keys", keys.as_ref());
    let audience = block.parsed("audience", |text| match text {
        "" => Err("is empty; leave the key out for \"pratique\""),
        text => Ok(text.to_owned()),
    });
    for (key, hint) in [
        ("issuer", "is missing; the API server's --service-account-issuer"),
        ("keys", "is missing; kubectl get --raw /openid/v1/jwks writes such a file"),
    ] {
        if present && !block.has(key) {
            block.problem(key, hint);
        }
    }
    block.finish();
    Some(ServiceAccountSettings {
        issuer: issuer?.value,
        keys: keys?.value,
        audience: audience.map_or_else(|| AUDIENCE.to_owned(), |found| found.value),
    })
}

pub(super) fn admin(block: Section<'_>, given: &Given<'_>, node: SocketAddr) -> AdminBlock {
    let default = AdminSettings::default();
    let common =
        Common::read(&block, given, given.overrides.admin_listen, "--admin-listen", "admins");
    let public_url =
        block.parsed("public_url", address::public).map(|found| Arc::from(found.value));
    let listen = common.listen.unwrap_or(default.listen);
    if listen.port() != 0 && listen == node {
        block.problem(
            "listen",
            format!("\"{listen}\" is where nodes are served; choose another port"),
        );
    }
    let oidc = oidc::read(block.section("oidc"), public_url.as_deref(), given);
    block.finish();
    let settings = AdminSettings {
        oidc,
        listen,
        tls: common.tls,
        connections_max: common.connections_max.unwrap_or(default.connections_max),
        ..default
    };
    AdminBlock { settings, public_url, danger_plain_http: common.danger_plain_http }
}

/// What all listeners have.
pub(super) struct Common {
    pub(super) listen: Option<SocketAddr>,
    pub(super) tls: Option<TlsSettings>,
    pub(super) connections_max: Option<usize>,
    pub(super) danger_plain_http: bool,
}

impl Common {
    pub(super) fn read(
        block: &Section<'_>,
        given: &Given<'_>,
        flag: Option<SocketAddr>,
        flag_name: &str,
        clients: &str,
    ) -> Self {
        let written = block.parsed("listen", listen_address).map(|found| found.value);
        let danger_plain_http = block.flag("danger_plain_http");
        let tls_block = block.section("tls");
        let has_tls = tls_block.is_present();
        let tls = tls(tls_block, given);
        let connections_max = block
            .number("max_connections", CONNECTIONS)
            .and_then(|number| usize::try_from(number).ok());
        if has_tls && danger_plain_http {
            let table = block.path_of("tls");
            block
                .problem("danger_plain_http", format!("contradicts [{table}]; remove one of them"));
        }
        let listen = flag.or(written);
        let exposed = listen.filter(|address| !address.ip().is_loopback());
        if let Some(address) = exposed.filter(|_| !has_tls && !danger_plain_http) {
            let text = format!(
                "\"{address}\" without tls: {clients} would be served in clear; add [{}] or set danger_plain_http = true",
                block.path_of("tls")
            );
            match flag {
                Some(_) => given.report.add(None, flag_name, text),
                None => block.problem("listen", text),
            }
        }
        Self { listen, tls, connections_max, danger_plain_http }
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address with a port; write one such as \"127.0.0.1:5000\" or \"[::]:5000\"")
    })
}

fn refuse_at(text: &str) -> Result<RefuseAt, String> {
    match text {
        "get" => Ok(RefuseAt::Get),
        "head" => Ok(RefuseAt::Head),
        _ => Err(format!("{text:?} is not one of \"head\", \"get\"")),
    }
}

fn tls(block: Section<'_>, given: &Given<'_>) -> Option<TlsSettings> {
    let present = block.is_present();
    let cert = block.file("cert");
    let key = block.file("key");
    let client_ca = block.file("client_ca");
    let needed = block.parsed("client_certificates", client_certificates);
    for (name, found) in [("cert", &cert), ("key", &key), ("client_ca", &client_ca)] {
        given.must_be_readable(&block, name, found.as_ref());
    }
    if present {
        for (name, found) in [("cert", &cert), ("key", &key)] {
            if found.is_none() && !block.has(name) {
                block.problem(name, "is missing; name a PEM file");
            }
        }
    }
    if needed.is_some() && client_ca.is_none() && !block.has("client_ca") {
        block.problem("client_certificates", "needs client_ca, the PEM file of who may sign them");
    }
    block.finish();
    let needed = needed.map_or(ClientCertificates::Required, |Found { value, .. }| value);
    Some(TlsSettings {
        cert: cert?.value,
        key: key?.value,
        client_ca: client_ca.map(|ca| (ca.value, needed)),
    })
}

fn client_certificates(text: &str) -> Result<ClientCertificates, String> {
    match text {
        "optional" => Ok(ClientCertificates::Optional),
        "required" => Ok(ClientCertificates::Required),
        _ => Err(format!("{text:?} is not one of \"required\", \"optional\"")),
    }
}
