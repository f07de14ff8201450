//! `[[upstream]]`: the registries, where they are and who we are there.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Given;
use super::address;
use super::section::Section;
use crate::oci::Registry;
use crate::upstream::{CredentialSettings, CredentialSource, RegistrySettings};

/// How long a registry's answer about a tag may be taken for fresh.
const TAG_TTL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);
/// What the names of credential helpers begin with.
const HELPER_PREFIX: &str = "docker-credential-";

/// What all `[[upstream]]` blocks say.
pub(super) struct Upstreams {
    /// The built-in ones that no block replaces, then those of the blocks.
    pub(super) registries: Vec<RegistrySettings>,
    pub(super) tag_ttl: HashMap<Registry, Duration>,
}

pub(super) fn read(blocks: Vec<Section<'_>>, given: &Given<'_>) -> Upstreams {
    let mut written: Vec<RegistrySettings> = Vec::new();
    let mut tag_ttl = HashMap::new();
    for block in blocks {
        let registry = block.parsed("registry", str::parse::<Registry>);
        if registry.is_none() && !block.has("registry") {
            block.problem("registry", "is missing; name the registry as image references do");
        }
        let registry = registry.map(|found| found.value);
        if registry.as_ref().is_some_and(|name| written.iter().any(|other| other.registry == *name))
        {
            block.problem("registry", "has a block already; keep one of them");
        }
        let ttl = block.duration("tag_ttl", TAG_TTL);
        if let Some(upstream) = one(block, registry, given) {
            tag_ttl.extend(ttl.map(|ttl| (upstream.registry.clone(), ttl)));
            written.push(upstream);
        }
    }
    let mut registries = RegistrySettings::built_in();
    registries.retain(|built_in| written.iter().all(|other| other.registry != built_in.registry));
    registries.extend(written);
    Upstreams { registries, tag_ttl }
}

/// One block. A built-in registry keeps what is known of it unless the block says where it is.
fn one(
    block: Section<'_>,
    registry: Option<Registry>,
    given: &Given<'_>,
) -> Option<RegistrySettings> {
    let url = block.parsed("url", address::registry).map(|found| found.value);
    let danger_plain_http = block.flag("danger_plain_http");
    let token_hosts = hosts(&block, "token_hosts");
    let redirect_hosts = hosts(&block, "redirect_hosts");
    let ca_file = block.file("ca_file");
    given.must_be_readable(&block, "ca_file", ca_file.as_ref());
    if url.as_ref().is_some_and(|url| url.starts_with("http://")) && !danger_plain_http {
        block.problem(
            "url",
            "is plain http: what is sent can be read and changed on the way; use https or set danger_plain_http = true",
        );
    }
    let credentials = credentials(&block, registry.as_ref(), given);
    block.finish();
    let registry = registry?;
    let built_in =
        RegistrySettings::built_in().into_iter().find(|known| known.registry == registry);
    let known = match (url, built_in) {
        (Some(url), _) => RegistrySettings::new(registry, url),
        (None, Some(built_in)) => built_in,
        (None, None) => {
            let url = format!("https://{registry}");
            RegistrySettings::new(registry, url)
        }
    };
    Some(RegistrySettings {
        token_hosts: token_hosts.unwrap_or(known.token_hosts),
        redirect_hosts: redirect_hosts.unwrap_or(known.redirect_hosts),
        credentials,
        ca_file: ca_file.map(|found| found.value),
        danger_plain_http,
        registry: known.registry,
        url: known.url,
    })
}

fn hosts(block: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let mut good = Vec::new();
    for text in block.list(key)? {
        match address::host(text) {
            Ok(host) => good.push(host),
            Err(problem) => block.problem(key, problem),
        }
    }
    Some(good)
}

fn credentials(
    block: &Section<'_>,
    registry: Option<&Registry>,
    given: &Given<'_>,
) -> Vec<CredentialSettings> {
    let whole = source(block, given).map(|source| CredentialSettings { pattern: None, source });
    let mut credentials = Vec::from_iter(whole);
    for login in block.sections("credential") {
        let pattern = login.parsed("match", |text| pattern(text, registry));
        if pattern.is_none() && !login.has("match") {
            login.problem("match", "is missing; name repositories, such as \"ghcr.io/team-a/**\"");
        }
        let pattern = pattern.map(|found| found.value);
        let twice = credentials.iter().any(|other| pattern.is_some() && other.pattern == pattern);
        if twice {
            login.problem("match", "is the same as that of another credential; keep one of them");
        }
        let source = source(&login, given);
        if source.is_none()
            && !["username_file", "password_file", "helper"].iter().any(|key| login.has(key))
        {
            login.problem_here("has no login; name username_file and password_file, or a helper");
        }
        login.finish();
        credentials.extend(
            pattern
                .zip(source)
                .map(|(pattern, source)| CredentialSettings { pattern: Some(pattern), source }),
        );
    }
    credentials
}

/// The login of a block: two files or a helper.
fn source(block: &Section<'_>, given: &Given<'_>) -> Option<CredentialSource> {
    let username = block.file("username_file");
    let password = block.file("password_file");
    let helper = block.parsed("helper", helper);
    for (key, found) in [("username_file", &username), ("password_file", &password)] {
        given.must_be_readable(block, key, found.as_ref());
    }
    for secret in ["username", "password"] {
        if block.has(secret) {
            block.problem(
                secret,
                format!(
                    "does not belong in this file; put it in a file and name that as {secret}_file"
                ),
            );
        }
    }
    let (has_username, has_password) = (block.has("username_file"), block.has("password_file"));
    if block.has("helper") && (has_username || has_password) {
        block.problem("helper", "stands beside files; keep the helper or the files");
        return None;
    }
    match (has_username, has_password) {
        (true, false) => block.problem("password_file", "is missing; username_file needs it"),
        (false, true) => block.problem("username_file", "is missing; password_file needs it"),
        (true, true) | (false, false) => {}
    }
    if let Some(helper) = helper {
        return Some(CredentialSource::Helper(helper.value));
    }
    Some(CredentialSource::Files { username: username?.value, password: password?.value })
}

fn helper(text: &str) -> Result<String, String> {
    let name = text.rsplit('/').next().unwrap_or(text);
    if (text.starts_with('/') || !text.contains('/'))
        && name.len() > HELPER_PREFIX.len()
        && name.starts_with(HELPER_PREFIX)
    {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a credential helper; write {HELPER_PREFIX}NAME or an absolute path to one"
    ))
}

/// The part of `ghcr.io/team-a/**` after the registry, which must be the block's own.
fn pattern(text: &str, registry: Option<&Registry>) -> Result<String, String> {
    let Some(registry) = registry else { return Ok(text.to_owned()) };
    let wrong =
        || format!("{text:?} is not a pattern of this registry; begin it with \"{registry}/\"");
    let (written, repositories) = text.split_once('/').ok_or_else(wrong)?;
    if written.parse::<Registry>().ok().as_ref() != Some(registry) {
        return Err(wrong());
    }
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-*".contains(&byte);
    let good =
        repositories.split('/').all(|segment| !segment.is_empty() && segment.bytes().all(is_plain));
    if good {
        Ok(repositories.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a pattern; write repositories with * within a segment and ** for segments"
        ))
    }
}
