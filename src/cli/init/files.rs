//! What is written: settings, policy, certificates, and what nodes need.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::answers::{Answers, Place, Trust};
use super::{CliError, certificates};
use crate::upstream::RegistrySettings;

/// Where nodes have the authority.
pub(super) const AUTHORITY_ON_NODES: &str = "/etc/containerd/pratique-ca.crt";
/// This very program.
const OWN: &str = "/proc/self/exe";
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) folder: PathBuf,
}

/// Writes everything beside the folder, and puts that in its place.
///
/// # Errors
/// When it cannot be written; nothing is left then.
pub(super) fn write(answers: &Answers) -> Result<Written, CliError> {
    let failed = |error: io::Error| {
        let text = format!("{} cannot be written", answers.output.display());
        CliError::failed(text).caused_by(error)
    };
    let above = answers.output.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(above).map_err(failed)?;
    let beside = tempfile::Builder::new().prefix(".pratique-init-").tempdir_in(above);
    let beside = beside.map_err(failed)?;
    let folder = beside.path().join("folder");
    DirBuilder::new().mode(0o755).create(&folder).map_err(failed)?;
    let put = |name: &str, mode, text: &str| place(&folder.join(name), mode, text).map_err(failed);
    put("pratique.toml", PUBLIC, &settings(answers))?;
    put("policy.yaml", PUBLIC, &policy(answers))?;
    if let Trust::Signed(pem) = &answers.trust {
        put("signer.pub", PUBLIC, pem)?;
    }
    if !answers.node.is_plain() || !answers.admin.is_plain() {
        let made = certificates::make(names(answers)).map_err(|error| {
            CliError::misused("no certificate can be made for these names").caused_by(error)
        })?;
        put("ca.crt", PUBLIC, &made.authority)?;
        put("ca.key", SECRET, &made.authority_key)?;
        put("tls.crt", PUBLIC, &made.certificate)?;
        put("tls.key", SECRET, &made.key)?;
    }
    for_nodes(answers, &folder)?;
    // An empty folder gives way; one that something came into meanwhile does not.
    fs::rename(&folder, &answers.output).map_err(failed)?;
    Ok(Written { folder: answers.output.clone() })
}

fn place(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What nodes need, by the command of this program that makes it.
fn for_nodes(answers: &Answers, folder: &Path) -> Result<(), CliError> {
    for (runtime, place) in [("containerd", "nodes/containerd"), ("crio", "nodes/containers")] {
        let mut command = Command::new(OWN);
        command.arg("--config").arg(folder.join("pratique.toml"));
        command.args(["node", "render", "--runtime", runtime, "--mirror", &answers.node.url]);
        if !answers.node.is_plain() {
            command.args(["--ca", AUTHORITY_ON_NODES]);
        }
        if answers.trust == Trust::Watch {
            command.arg("--open");
        }
        command.arg("--output").arg(folder.join(place));
        let made = command.output().map_err(|error| {
            CliError::failed("the files for nodes cannot be made").caused_by(error)
        })?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(CliError::failed(format!("no files for nodes: {}", said.trim())));
        }
    }
    Ok(())
}

/// Every name and address that somebody may come by.
fn names(answers: &Answers) -> Vec<String> {
    let mut names = vec![answers.node.host.clone()];
    for more in [answers.admin.host.as_str(), "localhost", "127.0.0.1", "::1"] {
        if names.iter().all(|name| name != more) {
            names.push(more.to_owned());
        }
    }
    names
}

/// The settings file. What does not stand in it has its default.
fn settings(answers: &Answers) -> String {
    let at = answers.served_from();
    let mut text = String::from(
        "# Written by `pratique init`. Every key with its default: config/pratique.toml.\n",
    );
    line(&mut text, &format!("data_dir = {}", quoted(&answers.data)));
    line(&mut text, &format!("policy = {}", quoted(&at.join("policy.yaml"))));
    listener(&mut text, "node", &answers.node, at, None);
    let public = (!answers.admin.is_plain()).then_some(answers.admin.url.as_str());
    listener(&mut text, "admin", &answers.admin, at, public);
    let built_in = RegistrySettings::built_in();
    for upstream in &answers.registries {
        let is_built_in = built_in.iter().any(|it| it.registry == upstream.registry);
        if is_built_in && upstream.url.is_none() {
            continue;
        }
        line(&mut text, "\n[[upstream]]");
        line(&mut text, &format!("registry = {}", quoted(Path::new(upstream.registry.as_str()))));
        if let Some(url) = &upstream.url {
            line(&mut text, &format!("url = {}", quoted(Path::new(url))));
            if url.starts_with("http://") {
                line(&mut text, "danger_plain_http = true");
            }
        }
    }
    text
}

fn listener(text: &mut String, name: &str, place: &Place, at: &Path, public: Option<&str>) {
    line(text, &format!("\n[{name}]\nlisten = \"{}\"", place.listen));
    if let Some(public) = public {
        line(text, &format!("public_url = {}", quoted(Path::new(public))));
    }
    if !place.is_plain() {
        let (cert, key) = (quoted(&at.join("tls.crt")), quoted(&at.join("tls.key")));
        line(text, &format!("[{name}.tls]\ncert = {cert}\nkey = {key}"));
    }
}

/// The policy: one rule for all that is named.
fn policy(answers: &Answers) -> String {
    let mut text = String::from(
        "# Written by `pratique init`; docs/policy.md has the rest. Raise the revision with each change.\n\
         apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: site, revision: 1}\n",
    );
    if answers.trust == Trust::Watch {
        line(
            &mut text,
            "# The first days: nothing is refused, what would be is written down. Then `enforce`.\n\
             defaults: {mode: audit}",
        );
    }
    if matches!(answers.trust, Trust::Signed(_)) {
        line(&mut text, "signers:\n  site: {key: {pem: file:signer.pub}, transparencyLog: none}");
    }
    line(&mut text, "floor:\n  registries:");
    for upstream in &answers.registries {
        line(&mut text, &format!("  - {:?}", upstream.registry.as_str()));
    }
    let rule = match answers.trust {
        Trust::Watch | Trust::Approve => "trust: approve",
        Trust::Signed(_) => "trust: allow, signatures: {atLeast: 1, of: [site]}",
    };
    line(&mut text, &format!("rules:\n- {{id: everything, match: [\"**\"], {rule}}}"));
    text
}

/// As TOML writes it.
fn quoted(path: &Path) -> String {
    toml::Value::from(path.display().to_string()).to_string()
}

fn line(text: &mut String, line: &str) {
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
