//! `policy import`: policies of other tools, as a policy of ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, Exit, output, read_text};
use crate::policy::{Import, ImportFormat, ImportSource, Lost, Policy, Problem, is_plain_name};

/// Largest file in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files of one certificate store.
const STORE_FILES_MAX: usize = 1_000;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy import --from cip cips/*.yaml > policy.yaml
  pratique policy import --from policy.json /etc/containers/policy.json > policy.yaml
  pratique policy import --from trustpolicy ~/.config/notation/trustpolicy.json \\
      --trust-store ~/.config/notation/truststore > policy.yaml

What cannot be said exactly is refused, with file, line and what. With --allow-lossy a denial stands in
its place, and the policy says so in comments. docs/policy.md lists what becomes of what.

Exit codes: 0 printed, 64 what is refused or wrong use, 2 not readable.";

/// What is to be imported.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArguments {
    /// Whose policies the files are
    #[arg(long, value_enum)]
    from: From,
    /// Put a denial in the place of what cannot be said
    #[arg(long)]
    allow_lossy: bool,
    /// The name of the policy
    #[arg(long, default_value = "imported")]
    name: String,
    /// The folder with x509/ca/NAME and the like, for stores that a trustpolicy.json names
    #[arg(long, value_name = "FOLDER", default_value = "/etc/notation/truststore")]
    trust_store: PathBuf,
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// The tools whose policies are understood.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum From {
    /// `ClusterImagePolicy` of the Sigstore policy controller
    Cip,
    /// policy.json of podman, skopeo and CRI-O
    #[value(name = "policy.json")]
    PolicyJson,
    /// trustpolicy.json of the Notary Project
    Trustpolicy,
}

/// What came of it, with `--json`.
#[derive(Debug, Serialize)]
struct View<'a> {
    policy: &'a str,
    lost: Vec<String>,
}

/// Imports, prints, and gives the code.
///
/// # Errors
/// When a file cannot be read, or something in it cannot be said.
pub(super) fn run(arguments: &ImportArguments, json: bool) -> Result<Exit, CliError> {
    if !is_plain_name(&arguments.name) {
        return Err(CliError::misused(format!("{:?} is no name for a policy", arguments.name)));
    }
    let mut sources = Vec::new();
    for file in &arguments.files {
        let (name, text) = (file.display().to_string(), read_text(file, FILE_BYTES_MAX)?);
        sources.push(ImportSource { name, text });
    }
    let format = match arguments.from {
        From::Cip => ImportFormat::ClusterImagePolicy,
        From::PolicyJson => ImportFormat::Containers,
        From::Trustpolicy => ImportFormat::TrustPolicy,
    };
    let store = |kind: &str, name: &str| certificates(&arguments.trust_store, kind, name);
    let (name, lossy) = (arguments.name.as_str(), arguments.allow_lossy);
    let imported = Import { format, name, lossy, store: &store }.run(&sources);
    let imported = imported.map_err(|refused| refusal(&refused, lossy))?;
    contradictions(&imported.policy)?;
    if json {
        let lost = imported.lost.iter().map(ToString::to_string).collect();
        output::print_json(&View { policy: &imported.policy, lost })?;
    } else {
        output::print(imported.policy.trim_end())?;
    }
    Ok(Exit::Done)
}

fn refusal(refused: &[Lost], lossy: bool) -> CliError {
    let mut lines = vec![format!("{} things cannot be taken over:", refused.len())];
    lines.extend(refused.iter().map(|lost| format!("  {lost}")));
    if !lossy {
        lines
            .push("With --allow-lossy a denial stands in the place of what cannot be said.".into());
    }
    CliError::misused(lines.join("\n"))
}

/// Refuses a policy that contradicts itself, as two scopes for one repository do. The files that it names
/// need not be on this machine.
fn contradictions(policy: &str) -> Result<(), CliError> {
    const UNREADABLE: &str = "cannot read ";
    let problems = Policy::parse(policy, &|path| fs::read(path)).err().unwrap_or_default();
    let told = |problem: &&Problem| !problem.text.starts_with(UNREADABLE);
    let told: Vec<String> = problems.iter().filter(told).map(|it| format!("  {it}")).collect();
    if told.is_empty() {
        return Ok(());
    }
    let text = format!("what they say together is no policy:\n{}\n{policy}", told.join("\n"));
    Err(CliError::misused(text))
}

/// The certificates of the store `name` of that kind. Links in it are refused, as notation does.
fn certificates(store: &Path, kind: &str, name: &str) -> Result<Vec<String>, String> {
    if !is_plain_name(name) || name.starts_with('.') {
        return Err(format!("{name:?} is no name of a store"));
    }
    let folder = store.join("x509").join(kind).join(name);
    let failed = |error: std::io::Error| {
        format!("{} cannot be read: {error}; name the store with --trust-store", folder.display())
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if !entry.file_type().map_err(failed)?.is_file() {
            return Err(format!("{} is no plain file", path.display()));
        }
        let text = path.to_str().ok_or_else(|| format!("{} is no text", path.display()))?;
        files.push(text.to_owned());
        if files.len() > STORE_FILES_MAX {
            return Err(format!("{} has more than {STORE_FILES_MAX} files", folder.display()));
        }
    }
    files.sort();
    Ok(files)
}
