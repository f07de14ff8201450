//! `[[scan.adapter]]`, as it is in force.

use std::path::PathBuf;

use serde::Serialize;

use super::units::{show_duration, show_size};
use crate::adapter::{
    AdapterKind, AdapterSettings, HarborSettings, ScannerInput, ScannerKind, ScannerSettings,
};

/// One block.
#[derive(Debug, Serialize)]
pub(super) struct Adapter {
    name: String,
    kind: &'static str,
    #[serde(flatten)]
    way: Way,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Way {
    Command(Command),
    Harbor(Harbor),
}

#[derive(Debug, Serialize)]
struct Command {
    program: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<PathBuf>,
    input: &'static str,
    timeout: String,
    memory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    danger_plain_http: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Harbor {
    url: String,
    registry: String,
    danger_plain_http: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_file: Option<PathBuf>,
    timeout: String,
}

impl From<&AdapterSettings> for Adapter {
    fn from(AdapterSettings { name, kind }: &AdapterSettings) -> Self {
        let name = name.clone();
        match kind {
            AdapterKind::Command { settings, token_file, danger_plain_http } => {
                let kind = match settings.kind {
                    ScannerKind::Grype => "grype",
                    ScannerKind::Trivy => "trivy",
                };
                let way = Way::Command(Command {
                    danger_plain_http: settings.server.as_ref().map(|_| *danger_plain_http),
                    ..command(settings, token_file.clone())
                });
                Self { name, kind, way }
            }
            AdapterKind::Harbor { settings, registry_url, authorization_file } => {
                let HarborSettings { url, ca_file, danger_plain_http, timeout, .. } = settings;
                let way = Way::Harbor(Harbor {
                    url: url.clone(),
                    registry: registry_url.clone(),
                    danger_plain_http: *danger_plain_http,
                    ca_file: ca_file.clone(),
                    authorization_file: authorization_file.clone(),
                    timeout: show_duration(*timeout),
                });
                Self { name, kind: "harbor", way }
            }
        }
    }
}

fn command(settings: &ScannerSettings, token_file: Option<PathBuf>) -> Command {
    let ScannerSettings { program, server, cache, timeout, memory, input, .. } = settings;
    Command {
        program: program.clone(),
        cache: cache.clone(),
        input: match input {
            ScannerInput::Layout => "layout",
            ScannerInput::Sbom => "sbom",
        },
        timeout: show_duration(*timeout),
        memory: show_size(*memory),
        server: server.clone(),
        token_file,
        danger_plain_http: None,
    }
}
