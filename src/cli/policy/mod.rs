//! `pratique policy`: what can be done with a policy file before it is put in force: checked, tested,
//! explained, learnt from what was pulled, compared with another one and with that.

mod diff;
mod explain;
mod history;
mod import;
mod learn;
mod propose;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::admin::allow_rollback;
use super::{CliError, Connection, Exit, output};
use crate::gate::ReadyPolicy;
use crate::mirror::{PolicyError, load_policy};
use crate::policy::{Problem, SCHEMA};

const EXAMPLES: &str = "\
Examples:
  pratique policy check policy.yaml
  pratique policy check policies/
      A directory: one base file, and files with a scope and an owner each (docs/gitops.md).
  pratique policy check --json policy.yaml

Exit codes: 0 good, 64 with mistakes, 2 not readable.";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  git revert HEAD && git push
  pratique policy allow-rollback --reason \"revision 43 refuses what is signed by the new CI\"
      A policy with a lower revision than the one in force is refused, so that nobody brings an old one
      back unseen. This lets the next one in, once, within ten minutes; who said so and why is on
      record. It takes role admin, and a restart ends it.
      Raising the revision with the change, as with any other change, needs nothing of this.

Exit codes: 0 allowed, 1 failed, 2 not reachable, 3 not for this token.";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  pratique policy schema > policy.schema.json
      Put this line at the top of a policy, and editors with the YAML language server complete keys,
      show what they mean and underline what is no policy:
      # yaml-language-server: $schema=./policy.schema.json

What it cannot know is for pratique policy check to say: whether names refer to something, whether
rules tie, whether a key is one.";

/// What can be done with a policy file.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyCommand {
    /// Let the next policy of a running mirror have a lower revision, once
    #[command(after_help = ROLLBACK_EXAMPLES)]
    AllowRollback {
        /// Why; whoever reads the audit sees it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Name every mistake in a policy file, and in the key files that it names
    #[command(after_help = EXAMPLES)]
    Check {
        /// The policy file, or the directory
        file: PathBuf,
    },
    /// Tell what differs between two policies, or what a policy would change about what was pulled
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArguments),
    /// Tell which rule applies to an image, why, and what it asks for, without any network
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArguments),
    /// Print the policy that says what policies of other tools say
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArguments),
    /// Propose a policy from what a running mirror has on record of the last days
    #[command(after_help = learn::EXAMPLES)]
    Learn(learn::LearnArguments),
    /// Tell what the policy could say, so that nobody would have had to decide about a request
    #[command(after_help = propose::EXAMPLES)]
    Propose(propose::ProposeArguments),
    /// Print the JSON Schema of policies, for editors
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Try a policy on a table of images and expected verdicts
    #[command(after_help = test::EXAMPLES)]
    Test {
        /// The policy file, or the directory
        policy: PathBuf,
        /// The file with the tests
        tests: PathBuf,
    },
}

/// A policy file without mistakes.
#[derive(Debug, Serialize)]
struct Good<'a> {
    file: &'a Path,
    name: &'a str,
    revision: u64,
    rules: usize,
    /// Its files with a scope.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<GoodFile<'a>>,
}

/// One of its files, with whose it is and what of.
#[derive(Debug, Serialize)]
struct GoodFile<'a> {
    file: &'a str,
    name: &'a str,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    scope: Vec<String>,
}

/// One mistake.
#[derive(Debug, Serialize)]
struct Mistake<'a> {
    /// The file of a directory.
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    line: usize,
    column: usize,
    key: &'a str,
    text: &'a str,
}

impl<'a> From<&'a Problem> for Mistake<'a> {
    fn from(problem: &'a Problem) -> Self {
        let Problem { file, line, column, key, text, .. } = problem;
        Self { file, line: *line, column: *column, key, text }
    }
}

/// Runs `command`.
///
/// # Errors
/// When the file has mistakes or cannot be read; what else, each command says.
pub(crate) async fn run(
    command: PolicyCommand,
    connection: &Connection,
) -> Result<ExitCode, CliError> {
    let json = connection.json;
    let exit = match command {
        PolicyCommand::AllowRollback { reason } => {
            return allow_rollback::run(connection, reason).await;
        }
        PolicyCommand::Check { file } => check(&file, json)?,
        PolicyCommand::Diff(arguments) => diff::run(&arguments, connection).await?,
        PolicyCommand::Explain(arguments) => explain::run(&arguments, json)?,
        PolicyCommand::Import(arguments) => import::run(&arguments, json)?,
        PolicyCommand::Learn(arguments) => {
            learn::run(&arguments, connection).await?;
            Exit::Done
        }
        PolicyCommand::Propose(arguments) => {
            propose::run(arguments, connection).await?;
            Exit::Done
        }
        PolicyCommand::Schema => {
            output::print(SCHEMA)?;
            Exit::Done
        }
        PolicyCommand::Test { policy, tests } => test::run(&policy, &tests, json)?,
    };
    Ok(exit.into())
}

fn check(file: &Path, json: bool) -> Result<Exit, CliError> {
    let policy = load(file, json)?;
    let (name, revision, rules) = (policy.name(), policy.revision(), policy.rules().len());
    let files = policy.files().iter().filter_map(|part| {
        let owner = part.owner()?.to_string();
        let scope = part.scope().iter().map(ToString::to_string).collect();
        let (file, name, revision) = (part.path(), part.name(), part.revision());
        Some(GoodFile { file, name, owner, revision, scope })
    });
    let files: Vec<GoodFile<'_>> = files.collect();
    if json {
        output::print_json(&Good { file, name, revision, rules, files })?;
        return Ok(Exit::Done);
    }
    let plural = if rules == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "{}: no problems (policy {name}, revision {revision}, {rules} rule{plural})",
        file.display()
    )];
    for part in files {
        let revision = part.revision.map(|it| format!(", revision {it}")).unwrap_or_default();
        let (owner, scope) = (part.owner, part.scope.join(", "));
        lines.push(format!("  {}: {owner} for {scope}{revision}", part.file));
    }
    output::print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

/// The policy in `file`.
///
/// # Errors
/// When it has mistakes or cannot be read.
fn load(file: &Path, json: bool) -> Result<ReadyPolicy, CliError> {
    load_policy(Some(file)).map_err(|error| refused(error, json))
}

/// The text of `file`, which has at most `bytes_max` bytes.
///
/// # Errors
/// When it cannot be read, or is longer.
fn read_text(file: &Path, bytes_max: u64) -> Result<String, CliError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        CliError::unreachable(format!("{} cannot be read", file.display())).caused_by(error)
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(bytes_max.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes_max {
        let text = format!("{} has more than {bytes_max} bytes", file.display());
        return Err(CliError::misused(text));
    }
    Ok(text)
}

/// What to say of a policy that is not taken; with `json`, its mistakes are printed as such.
pub(super) fn refused(error: PolicyError, json: bool) -> CliError {
    match error {
        PolicyError::Problems { path, problems } => mistaken(&path, problems, json),
        error @ (PolicyError::Changing(_)
        | PolicyError::Ledger { .. }
        | PolicyError::Read { .. }) => CliError::unreachable("no policy").caused_by(error),
    }
}

/// What to say of the mistakes in `file`; with `json`, they are printed as such.
fn mistaken(file: &Path, problems: Vec<Problem>, json: bool) -> CliError {
    if !json {
        let error = PolicyError::Problems { path: file.to_owned(), problems };
        return CliError::misused(error.to_string());
    }
    let mistakes: Vec<_> = problems.iter().map(Mistake::from).collect();
    match output::print_json(&serde_json::json!({ "file": file, "problems": mistakes })) {
        Ok(()) => CliError::misused("the file has mistakes"),
        Err(error) => error,
    }
}
