//! `policy diff`: what differs between two policies, or what one would change about what was pulled.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, Connection, Exit, history, load, output, refused};
use crate::cli::admin::printable;
use crate::gate::ReadyPolicy;
use crate::mirror::desk::simulate::SimulateBody;
use crate::mirror::{PolicyError, PolicyOnDisk, of_one_moment};
use crate::policy::{Change, ChangeKind, Document, PolicySource, changes};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy diff /etc/pratique/policy.yaml policy.yaml
      What differs by what they say: rules by id, lists without order, files by content.
      Either may be a directory.
  pratique policy diff policy.yaml --against-history
      Asks a running mirror what would become of everything that it has on record: what would be
      refused, what would be served, and what hangs on something that nobody has gathered yet.
      Nothing changes. A token with role viewer does.
  pratique policy diff policy.yaml --against-history --days 7 --exit-code && deploy
      Ends with 3 when an image that is served now would be refused, or may be.

Exit codes: 0 told, 3 with --exit-code where something differs (of the history: would be refused or is
unknown), 64 wrong use or mistakes, 2 not readable or reachable.";

/// What is compared.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArguments {
    /// The old policy and the new one; with --against-history the new one alone
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Compare with what a running mirror has on record
    #[arg(long)]
    against_history: bool,
    /// In how many of the last days pulls count
    #[arg(long, value_name = "COUNT", requires = "against_history",
        default_value_t = SimulateBody::DAYS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SimulateBody::DAYS_MAX)))]
    days: u32,
    /// End with 3 when something differs
    #[arg(long)]
    exit_code: bool,
}

/// Two policies, and what differs.
#[derive(Debug, Serialize)]
struct View<'a> {
    old: Named<'a>,
    new: Named<'a>,
    changes: Vec<Change>,
}

/// Which policy it is.
#[derive(Debug, Serialize)]
struct Named<'a> {
    name: &'a str,
    revision: u64,
    id: String,
}

/// Compares, prints what differs and gives the code.
///
/// # Errors
/// When a file cannot be used, or the server cannot be reached or says no.
pub(super) async fn run(
    arguments: &DiffArguments,
    connection: &Connection,
) -> Result<Exit, CliError> {
    let differs = match (arguments.files.as_slice(), arguments.against_history) {
        ([new], true) => history::run(new, arguments.days, connection).await?,
        ([old, new], false) => between(old, new, connection.json)?,
        ([_], _) => {
            let text = "compare with what? give the old policy first, or --against-history";
            return Err(CliError::misused(text));
        }
        _ => {
            let text = "--against-history compares one policy with what was pulled; give it alone";
            return Err(CliError::misused(text));
        }
    };
    Ok(if differs && arguments.exit_code { Exit::Refused } else { Exit::Done })
}

fn between(old: &Path, new: &Path, json: bool) -> Result<bool, CliError> {
    let (before, after) = (load(old, json)?, load(new, json)?);
    let of = |path: &Path, disk: &PolicyOnDisk, other: &PolicyOnDisk| {
        let (read, read_other) =
            (|file: &Path| disk.read_file(file), |file: &Path| other.read_file(file));
        let wrong = |problems| PolicyError::Problems { path: path.to_owned(), problems };
        changes(&documents(disk, &read), &documents(other, &read_other)).map_err(wrong)
    };
    let changes = of_one_moment(old, |old| of_one_moment(new, |other| of(new, old, other)));
    let changes = changes.map_err(|error| refused(error, json))?;
    let view = View { old: named(&before), new: named(&after), changes };
    if json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view))?;
    }
    Ok(!view.changes.is_empty())
}

fn documents<'a>(
    disk: &'a PolicyOnDisk,
    read_file: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Vec<Document<'a>> {
    let of =
        |source: PolicySource<'a>| Document { path: source.path, text: source.text, read_file };
    disk.sources().into_iter().map(of).collect()
}

fn named(policy: &ReadyPolicy) -> Named<'_> {
    Named { name: policy.name(), revision: policy.revision(), id: policy.id().to_string() }
}

fn render(view: &View<'_>) -> String {
    let (old, new) = (&view.old, &view.new);
    let mut lines = vec![format!(
        "policy {} revision {} -> {} revision {}",
        old.name, old.revision, new.name, new.revision
    )];
    for Change { kind, key, old, new } in &view.changes {
        let (old, new) = (old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
        lines.push(match kind {
            ChangeKind::Added => format!("+ {key}  {new}"),
            ChangeKind::Changed => format!("~ {key}  {old} -> {new}"),
            ChangeKind::Removed => format!("- {key}  {old}"),
        });
    }
    lines.push(match (view.changes.len(), new.revision > old.revision) {
        (0, _) => "They say the same.".to_owned(),
        (_, false) => "The new one does not have a higher revision; raise it.".to_owned(),
        (count, true) => format!("{count} differences."),
    });
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}
