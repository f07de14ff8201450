//! `pratique trust-root`: what stands in a trust root, whether it can be used, and putting a newer one
//! in its place. Only `refresh` fetches anything, and nobody but a person runs it.

mod difference;
mod import;
mod place;
mod refresh;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::admin::table::{Column, Table};
use super::{CliError, Connection, output};
use crate::config;
use crate::mirror::load_policy;
use crate::oci::Digest;
use crate::policy::{self, TrustRootKind};
use crate::signature::{Part, TRUST_ROOT_BYTES_MAX, TrustRoot, mistakes_in};
use crate::time::{Clock as _, SystemClock, Timestamp, Window};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique trust-root show                       the root that comes with the program
  pratique trust-root show corp --config /etc/pratique/pratique.toml
  pratique trust-root check trusted_root.json
  pratique trust-root import trusted_root.json --name corp --to /etc/pratique/corp_root.json
  pratique trust-root refresh --to /etc/pratique/public_good.json

A newer root comes from the TUF repository of its instance (refresh; where there is no network, by
cosign elsewhere and import), or from `cosign trusted-root create`. Nothing is refreshed by itself.

Exit codes: 0 done, 1 failed, 2 not readable, 3 not taken, 64 with mistakes or wrong use.";

/// What can be done with a trust root.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrustRootCommand {
    /// Name every mistake in a trust root, and what its keeper should know
    Check {
        /// The file: a `trusted_root.json`
        file: PathBuf,
    },
    /// Put a checked trust root in its place, in one step
    Import(import::ImportArguments),
    /// Fetch a newer trust root from a TUF repository, verify it, and put it in its place
    #[command(after_help = refresh::EXAMPLES)]
    Refresh(refresh::RefreshArguments),
    /// Tell what stands in a trust root: authorities, logs, when they count
    Show {
        /// A name of the policy of --config, public-good, staging, or a file
        #[arg(value_name = "NAME|FILE", default_value = policy::TrustRoot::PUBLIC_GOOD)]
        which: String,
    },
}

/// Runs `command`.
///
/// # Errors
/// When a file cannot be read or fetched, has mistakes, or is not taken.
pub(crate) fn run(command: TrustRootCommand, connection: &Connection) -> Result<(), CliError> {
    let Connection { config, json, utc, .. } = connection;
    match command {
        TrustRootCommand::Check { file } => check(&file, *json),
        TrustRootCommand::Import(arguments) => import::run(&arguments, *json),
        TrustRootCommand::Refresh(arguments) => {
            super::client_runtime()?.block_on(refresh::run(&arguments, connection))
        }
        TrustRootCommand::Show { which } => show(&found(&which, config.as_deref())?, *json, *utc),
    }
}

/// A trust root as it was found.
struct Found {
    name: String,
    /// Where it comes from, in words.
    source: String,
    text: String,
    root: TrustRoot,
}

impl Found {
    fn new(name: &str, source: String, text: String) -> Result<Self, CliError> {
        let root = TrustRoot::from_json(&text)
            .map_err(|error| CliError::misused(format!("{name} {error}")))?;
        Ok(Self { name: name.to_owned(), source, text, root })
    }

    fn shipped(name: &str, text: &str) -> Result<Self, CliError> {
        let version = env!("CARGO_PKG_VERSION");
        let source = format!("shipped with pratique {version}, as of {}", TrustRoot::SHIPPED);
        Self::new(name, source, text.to_owned())
    }
}

/// The trust root that `which` means: by its name in the policy, by that of a shipped one, by its path.
fn found(which: &str, settings: Option<&Path>) -> Result<Found, CliError> {
    if let Some(found) = settings.map(|file| in_policy(which, file)).transpose()?.flatten() {
        return Ok(found);
    }
    match which {
        policy::TrustRoot::PUBLIC_GOOD => Found::shipped(which, TrustRoot::PUBLIC_GOOD),
        "staging" => Found::shipped(which, TrustRoot::STAGING),
        file if Path::new(file).exists() => {
            let path = Path::new(file);
            Found::new(file, "file".to_owned(), text_of(path)?)
        }
        _ => {
            let hint = "give a name of the policy with --config, public-good, staging, or a file";
            Err(CliError::misused(format!("there is no trust root {which}; {hint}")))
        }
    }
}

fn in_policy(which: &str, settings: &Path) -> Result<Option<Found>, CliError> {
    let settings = config::load_for_client(Some(settings)).map_err(|error| {
        CliError::misused("no settings to take the policy from").caused_by(error)
    })?;
    let Some(path) = settings.policy else { return Ok(None) };
    let policy = load_policy(Some(&path)).map_err(|error| CliError::misused(error.to_string()))?;
    let Some(root) = policy.trust_roots().iter().find(|root| root.name() == which) else {
        return Ok(None);
    };
    match root.kind() {
        TrustRootKind::Sigstore { json, .. } => {
            let source = format!("trustRoots.{which} of {}", path.display());
            Found::new(which, source, json.clone()).map(Some)
        }
        TrustRootKind::Notation(_) => Err(CliError::misused(format!(
            "{which} is a trust root of notation: certificates, which openssl x509 -text shows"
        ))),
    }
}

/// The text of a file that may be a trust root.
fn text_of(path: &Path) -> Result<String, CliError> {
    String::from_utf8(bytes_of(path)?)
        .map_err(|_| CliError::misused(format!("{} is not text", path.display())))
}

/// What is in a file that may be a trust root, and a byte more than one can have at most.
fn bytes_of(path: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = || CliError::unreachable(format!("cannot read {}", path.display()));
    let most = u64::try_from(TRUST_ROOT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut content))
        .map_err(|error| unreadable().caused_by(error))?;
    Ok(content)
}

/// A trust root, for programs.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    source: &'a str,
    /// The day as of which it is, for those that come with the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<&'a str>,
    digest: Digest,
    distinct_logs: usize,
    parts: Vec<ShownPart>,
    warnings: Vec<String>,
}

/// One part of it.
#[derive(Debug, Serialize)]
struct ShownPart {
    kind: String,
    name: String,
    key: String,
    fingerprint: Digest,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    certificates_end: Option<Timestamp>,
}

impl From<Part> for ShownPart {
    fn from(part: Part) -> Self {
        let Part { kind, name, key, fingerprint, window, certificates_end } = part;
        let Window { start: from, end: until } = window;
        Self { kind: kind.to_string(), name, key, fingerprint, from, until, certificates_end }
    }
}

fn show(found: &Found, json: bool, utc: bool) -> Result<(), CliError> {
    let Found { name, source, text, root } = found;
    let digest = Digest::sha256(text.as_bytes());
    let warnings = root.warnings(SystemClock.now());
    let is_shipped = text == TrustRoot::PUBLIC_GOOD || text == TrustRoot::STAGING;
    if json {
        return output::print_json(&Shown {
            name,
            source,
            as_of: is_shipped.then_some(TrustRoot::SHIPPED),
            digest,
            distinct_logs: root.log_count(),
            parts: root.parts().into_iter().map(ShownPart::from).collect(),
            warnings,
        });
    }
    let mut table = Table::new([
        Column::Fixed("WHAT"),
        Column::Name("NAME"),
        Column::Fixed("KEY"),
        Column::Fixed("FROM"),
        Column::Fixed("UNTIL"),
    ]);
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| moment(at, utc));
    for Part { kind, name, key, window, .. } in root.parts() {
        table.row([kind.to_string(), name, key, time(window.start), time(window.end)]);
    }
    let said = warnings.iter().fold(String::new(), |text, it| text + "warning: " + it + "\n");
    let head = format!("{name}  {source}\n{digest}\n\n");
    output::print(&format!(
        "{head}{}{}{said}",
        table.render(),
        if said.is_empty() { "" } else { "\n" }
    ))
}

/// `at` as a day, or with the time.
fn moment(at: Timestamp, utc: bool) -> String {
    let text = at.to_string();
    if utc {
        return text;
    }
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}

/// A trust root that was looked at, for programs.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    file: &'a Path,
    digest: Digest,
    mistakes: Vec<String>,
    warnings: Vec<String>,
}

fn check(file: &Path, json: bool) -> Result<(), CliError> {
    let text = text_of(file)?;
    let mistakes = mistakes_in(&text);
    let warnings =
        TrustRoot::from_json(&text).map_or_else(|_| Vec::new(), |it| warnings_of(&it, &text));
    let has_mistakes = !mistakes.is_empty();
    let said = mistakes_text(file, &mistakes);
    if json {
        let digest = Digest::sha256(text.as_bytes());
        output::print_json(&Checked { file, digest, mistakes, warnings })?;
        return if has_mistakes { Err(CliError::misused("it has mistakes")) } else { Ok(()) };
    }
    if has_mistakes {
        return Err(CliError::misused(said));
    }
    let count = match warnings.len() {
        0 => "no problems".to_owned(),
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    };
    output::print(&format!("{}: {count}{}", file.display(), indented(&warnings)))
}

/// What the keeper of `root` should know, and what of its text is not acted on.
fn warnings_of(root: &TrustRoot, text: &str) -> Vec<String> {
    let known = ["mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"];
    let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let members = read.unwrap_or_default();
    let others = members.keys().filter(|name| !known.contains(&name.as_str()));
    let ignored = others.map(|name| {
        let name: String = name.chars().take(40).flat_map(char::escape_default).collect();
        format!("has the member \"{name}\", which nothing acts on")
    });
    ignored.chain(root.warnings(SystemClock.now())).collect()
}

fn mistakes_text(file: &Path, mistakes: &[String]) -> String {
    let count = match mistakes.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    format!("{}: {count}{}", file.display(), indented(mistakes))
}

/// Each of `lines` on a line of its own below what stands before.
fn indented(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  " + line)
}
