//! `[[scan.adapter]]`: scanners beside the one inside.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::{Given, address};
use crate::adapter::{
    AdapterKind, AdapterSettings, HarborSettings, ScannerInput, ScannerKind, ScannerSettings,
};
use crate::policy::{Scanners, is_plain_name};
use crate::upstream::ProxySettings;

/// How long one image may take.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// How long one may take, and how much memory a program has, unless the settings say otherwise.
const TIME: Duration = Duration::from_mins(5);
const MEMORY_USUAL: u64 = 2 << 30;
const MEMORY: std::ops::RangeInclusive<u64> = 64 << 20..=1 << 40;

/// `path` for a program with another working directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// What all blocks say.
pub(super) fn read(
    blocks: Vec<Section<'_>>,
    proxy: &ProxySettings,
    given: &Given<'_>,
) -> Vec<AdapterSettings> {
    let mut names = BTreeSet::new();
    let one = |block: Section<'_>| {
        let name = name(&block, &mut names);
        let kind = match block.text("kind").map(|found| found.value) {
            Some("trivy") => command(&block, ScannerKind::Trivy, given),
            Some("grype") => command(&block, ScannerKind::Grype, given),
            Some("harbor") => harbor(&block, proxy, given),
            Some(other) => {
                let text = format!("{other:?} is not one of \"trivy\", \"grype\", \"harbor\"");
                block.problem("kind", text);
                // What else it says depends on what it is.
                return None;
            }
            None => {
                if !block.has("kind") {
                    block.problem("kind", "is missing; write \"trivy\", \"grype\" or \"harbor\"");
                }
                return None;
            }
        };
        block.finish();
        Some(AdapterSettings { name: name?, kind: kind? })
    };
    blocks.into_iter().filter_map(one).collect()
}

fn name(block: &Section<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let Some(found) = block.text("name") else {
        if !block.has("name") {
            block.problem("name", "is missing; it is what policies call the scanner");
        }
        return None;
    };
    let name = found.value.to_owned();
    if !is_plain_name(&name) {
        block.problem("name", format!("{name:?} is not a plain name: letters, digits, . _ -"));
    } else if Scanners::RESERVED.contains(&name.as_str()) {
        block.problem("name", format!("{name:?} is taken; call it something else"));
    } else if names.insert(name.clone()) {
        return Some(name);
    } else {
        block.problem("name", format!("{name:?} has a block already; keep one of them"));
    }
    None
}

fn command(block: &Section<'_>, kind: ScannerKind, given: &Given<'_>) -> Option<AdapterKind> {
    let program = block.file("program");
    given.must_be_readable(block, "program", program.as_ref());
    let program = program.map(|found| found.value);
    if program.as_ref().is_some_and(|program| !program.is_absolute()) {
        block.problem("program", "is not an absolute path; write where the program is");
    } else if program.is_none() && !block.has("program") {
        let text = format!("is missing; write where {} is, as an absolute path", kind.name());
        block.problem("program", text);
    }
    let cache = block.file("cache").map(|found| found.value);
    let input = block.parsed("input", |text| match text {
        "layout" => Ok(ScannerInput::Layout),
        "sbom" => Ok(ScannerInput::Sbom),
        _ => Err(format!("{text:?} is not one of \"layout\", \"sbom\"")),
    });
    let timeout = block.duration("timeout", TIMES);
    let memory = block.size("memory", MEMORY);
    let (mut server, mut token_file, mut danger_plain_http) = (None, None, false);
    if kind == ScannerKind::Trivy {
        token_file = block.file("token_file");
        given.must_be_readable(block, "token_file", token_file.as_ref());
        server = block.parsed("server", address::registry).map(|found| found.value);
        danger_plain_http = block.flag("danger_plain_http");
        if let Some(server) = &server {
            must_be_closed(block, "server", server, danger_plain_http);
        }
    }
    let settings = ScannerSettings {
        kind,
        program: program?,
        server,
        cache: cache.map(absolute),
        // Below the data directory of whoever runs it.
        scratch: PathBuf::new(),
        timeout: timeout.unwrap_or(TIME),
        memory: memory.unwrap_or(MEMORY_USUAL),
        input: input.map_or(ScannerInput::Layout, |found| found.value),
        environment: Vec::new(),
    };
    let token_file = token_file.map(|found| found.value);
    Some(AdapterKind::Command { settings, token_file, danger_plain_http })
}

/// Notes a problem where `url` leads over the network in the clear and nobody said that it may.
fn must_be_closed(block: &Section<'_>, key: &'static str, url: &str, danger_plain_http: bool) {
    if url.starts_with("http://") && !danger_plain_http && !address::is_loopback(url) {
        block.problem(
            key,
            "is plain http: what is sent can be read and changed on the way; use https or set danger_plain_http = true",
        );
    }
}

fn harbor(block: &Section<'_>, proxy: &ProxySettings, given: &Given<'_>) -> Option<AdapterKind> {
    let must = |key: &'static str, example: &str| {
        let found = block.parsed(key, address::registry).map(|found| found.value);
        if found.is_none() && !block.has(key) {
            block.problem(key, format!("is missing; write an address like \"{example}\""));
        }
        found
    };
    let url = must("url", "https://scanner.corp:8443");
    let registry_url = must("registry", "https://mirror.corp:5000");
    let danger_plain_http = block.flag("danger_plain_http");
    let ca_file = block.file("ca_file");
    given.must_be_readable(block, "ca_file", ca_file.as_ref());
    let authorization_file = block.file("authorization_file");
    given.must_be_readable(block, "authorization_file", authorization_file.as_ref());
    let timeout = block.duration("timeout", TIMES);
    let url = url?;
    must_be_closed(block, "url", &url, danger_plain_http);
    let default = HarborSettings::new(url);
    let settings = HarborSettings {
        ca_file: ca_file.map(|found| found.value),
        danger_plain_http,
        proxy: proxy.clone(),
        timeout: timeout.unwrap_or(default.timeout),
        ..default
    };
    Some(AdapterKind::Harbor {
        settings,
        registry_url: registry_url?,
        authorization_file: authorization_file.map(|found| found.value),
    })
}
