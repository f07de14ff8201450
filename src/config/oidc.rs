//! `[admin.oidc]`: the provider that people sign in at, and what its groups mean here.

use std::path::PathBuf;

use serde::Serialize;

use super::section::Section;
use super::{Given, address};
use crate::http::OidcSettings;
use crate::ledger::Role;
use crate::people::oidc::{CALLBACK_PATH, Settings};
use crate::upstream::ProxySettings;

/// Asked for beside `openid` unless the settings say otherwise: a name to show.
const SCOPES: [&str; 1] = ["profile"];
/// The claim with the groups unless the settings say otherwise.
const GROUPS_CLAIM: &str = "groups";
/// The claim with the name unless the settings say otherwise.
const NAME_CLAIM: &str = "name";
/// What the provider is called unless the settings say otherwise.
const LABEL: &str = "single sign-on";
/// Most lines of the table of roles.
const ROLES_MAX: usize = 200;

/// What the block says; `None` when it is not there, or has no provider.
pub(super) fn read(
    block: Section<'_>,
    public_url: Option<&str>,
    given: &Given<'_>,
) -> Option<OidcSettings> {
    let present = block.is_present();
    let danger_plain_http = block.flag("danger_plain_http");
    let issuer = block.parsed("issuer", issuer).map(|found| found.value);
    let client_id = block.parsed("client_id", |text| match text {
        "" => Err("is empty; write what the provider calls this server"),
        text => Ok(text.to_owned()),
    });
    let files = ["client_secret_file", "ca_file"].map(|key| {
        let file = block.file(key);
        given.must_be_readable(&block, key, file.as_ref());
        file.map(|found| found.value)
    });
    let texts = |key, usual: &[&str]| {
        let listed = block.list(key).unwrap_or_else(|| usual.to_vec());
        listed.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let claim = |key, usual: &str| block.text(key).map_or(usual, |found| found.value).to_owned();
    let (groups_claim, name_claim) =
        (claim("groups_claim", GROUPS_CLAIM), claim("name_claim", NAME_CLAIM));
    let (label, scopes) = (claim("label", LABEL), texts("scopes", &SCOPES));
    let endpoint_hosts = texts("endpoint_hosts", &[]);
    if let Some(error) = endpoint_hosts.iter().find_map(|host| address::host(host).err()) {
        block.problem("endpoint_hosts", error);
    }
    let roles = roles(&block);
    for (key, is_missing) in [("issuer", issuer.is_none()), ("client_id", client_id.is_none())] {
        if present && is_missing && !block.has(key) {
            block.problem(key, "is missing; the provider tells it");
        }
    }
    if present && public_url.is_none() {
        block.problem_here(
            "needs admin.public_url: that is where the provider sends people back to",
        );
    }
    let in_clear = issuer.as_deref().filter(|it| it.starts_with("http://"));
    if in_clear.is_some_and(|it| !address::is_loopback(it)) && !danger_plain_http {
        let text = "is plain http: whoever is on the way can sign in as anybody; use https or set danger_plain_http = true";
        block.problem("issuer", text);
    }
    block.finish();
    let [client_secret_file, ca_file] = files;
    let provider = Settings {
        issuer: issuer?,
        client_id: client_id?.value,
        client_secret_file,
        scopes,
        groups_claim,
        name_claim,
        redirect_uri: format!("{}{CALLBACK_PATH}", public_url?),
        endpoint_hosts,
        ca_file,
        danger_plain_http,
        proxy: ProxySettings::default(),
    };
    Some(OidcSettings { provider, roles, label })
}

/// An issuer, to the letter: it is compared so.
fn issuer(text: &str) -> Result<String, String> {
    address::registry(text).map(|_| text.to_owned())
}

fn roles(block: &Section<'_>) -> Vec<(String, Role)> {
    let lines = block.sections("role");
    if block.is_present() && lines.is_empty() && !block.has("role") {
        let text = "is missing; without a table that gives a group a role, nobody may sign in";
        block.problem("role", text);
    }
    if lines.len() > ROLES_MAX {
        block.problem("role", format!("has more than {ROLES_MAX} tables"));
    }
    let line = |line: Section<'_>| {
        let group = line.text("group").map(|found| found.value.to_owned());
        let role = line.parsed("role", |text| match text.parse::<Role>() {
            Ok(role) if role.is_for_tokens() => {
                Err("roles discover and node are for tokens, not for people")
            }
            parsed => parsed,
        });
        for (key, is_missing) in [("group", group.is_none()), ("role", role.is_none())] {
            if is_missing && !line.has(key) {
                line.problem(key, "is missing");
            }
        }
        line.finish();
        Some((group?, role?.value))
    };
    lines.into_iter().filter_map(line).collect()
}

/// The block as it is in force.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    issuer: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_file: Option<PathBuf>,
    label: String,
    scopes: Vec<String>,
    groups_claim: String,
    name_claim: String,
    endpoint_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    danger_plain_http: bool,
    role: Vec<ShownRole>,
}

#[derive(Debug, Serialize)]
struct ShownRole {
    group: String,
    role: String,
}

impl From<&OidcSettings> for Shown {
    fn from(settings: &OidcSettings) -> Self {
        let OidcSettings { provider, roles, label } = settings.clone();
        let shown = |(group, role): (String, Role)| ShownRole { group, role: role.to_string() };
        Self {
            issuer: provider.issuer,
            client_id: provider.client_id,
            client_secret_file: provider.client_secret_file,
            label,
            scopes: provider.scopes,
            groups_claim: provider.groups_claim,
            name_claim: provider.name_claim,
            endpoint_hosts: provider.endpoint_hosts,
            ca_file: provider.ca_file,
            danger_plain_http: provider.danger_plain_http,
            role: roles.into_iter().map(shown).collect(),
        }
    }
}
