//! `pratique db`: the vulnerability database, made of files that somebody fetched, or fetched itself.
//!
//! Only `update` fetches anything: all else works behind an air gap just as before it.

mod import;
mod place;
mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::admin::table::{Column, Table};
use super::{CliError, Connection, Exit, admin, client_runtime, output, server_runtime};
use crate::config;
use crate::mirror::load_database;
use crate::oci::Digest;
use crate::scan::database::{Database, FeedKind, Status};
use crate::time::{Clock as _, SystemClock, Timestamp};

pub(super) const EXAMPLES: &str = "\
Examples:
  curl -O https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip
  pratique db import Debian/all.zip Alpine/all.zip PyPI/all.zip \\
      known_exploited_vulnerabilities.json epss_scores-current.csv.gz
  pratique db update --feed https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip \\
      --feed https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json
  pratique db update --from registry.corp/security/vulnerabilities:latest --key database.pub
      What somebody made once for all, put into the registry as an artifact and signed with cosign
  pratique db status
  pratique db apply --reason SEC-991              what the brake holds, taken back
  pratique db import --to /var/lib/pratique/vulnerabilities.db feeds/*.zip

A running mirror takes the new database within seconds, and judges again what it has scanned.

Exit codes: 0 done, 1 failed, 2 not readable, 3 not taken, 64 wrong use.";

/// What can be done with the vulnerability database.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DbCommand {
    /// Let a running mirror take back what its database refuses, although that is much
    Apply {
        /// Why; kept in the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Make the database of feeds: OSV's all.zip, CISA's KEV catalogue, EPSS scores
    Import(import::ImportArguments),
    /// Make it of feeds that are fetched, or fetch a finished one that is signed
    Update(update::UpdateArguments),
    /// Tell what the database is made of, and how old it is
    Status {
        /// The database [default: that of the settings]
        file: Option<PathBuf>,
    },
}

/// Runs `command`.
///
/// # Errors
/// When a file cannot be read, is not taken, or cannot be written; when the server says no.
pub(crate) fn run(command: DbCommand, connection: &Connection) -> Result<ExitCode, CliError> {
    let (settings, json) = (connection.config.as_deref(), connection.json);
    let done = match command {
        DbCommand::Apply { reason } => {
            return client_runtime()?.block_on(admin::release::run(connection, reason));
        }
        DbCommand::Import(arguments) => {
            let to = place(arguments.to.as_deref(), settings)?;
            import::run(&arguments, &to, json)
        }
        DbCommand::Update(arguments) => {
            let to = place(arguments.to.as_deref(), settings)?;
            server_runtime()?.block_on(update::run(&arguments, connection, &to))
        }
        DbCommand::Status { file } => status(&place(file.as_deref(), settings)?, json),
    };
    done.map(|()| Exit::Done.into())
}

/// The file that is meant: the one that is given, or that of the settings.
fn place(given: Option<&Path>, settings: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let settings = config::load_for_client(settings)
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    settings.scan.database.ok_or_else(|| CliError::misused("no database is set; name a file"))
}

/// What a database is, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    path: &'a Path,
    digest: Digest,
    #[serde(flatten)]
    status: &'a Status,
}

fn status(path: &Path, json: bool) -> Result<(), CliError> {
    let database = load_database(path)
        .map_err(|trouble| CliError::unreachable("no database").caused_by(trouble))?;
    show(path, &database, json)
}

fn show(path: &Path, database: &Database, json: bool) -> Result<(), CliError> {
    let (digest, status) = (database.id().digest, database.status());
    if json {
        return output::print_json(&Shown { path, digest, status });
    }
    let now = SystemClock.now();
    let mut text = format!(
        "{}  {}\nmade {} by pratique {}, {} records about {} vulnerabilities, as of {} ({})\n\n",
        path.display(),
        digest.short(),
        status.built,
        status.importer,
        status.records,
        status.vulnerabilities,
        status.as_of,
        age(status.as_of, now)
    );
    let columns = ["FEED", "KIND", "RECORDS", "WITHDRAWN", "UNREADABLE", "AS OF"];
    let mut table = Table::new(
        columns.map(
            |title| {
                if title == "FEED" { Column::Name(title) } else { Column::Fixed(title) }
            },
        ),
    );
    for feed in &status.feeds {
        let kind = match feed.kind {
            FeedKind::Epss => "EPSS",
            FeedKind::Kev => "KEV",
            FeedKind::Osv => "OSV",
        };
        let as_of = feed.as_of.map_or("-".to_owned(), |as_of| as_of.to_string());
        table.row([
            feed.label.clone(),
            kind.to_owned(),
            feed.records.to_string(),
            feed.withdrawn.to_string(),
            feed.unreadable.len().to_string(),
            as_of,
        ]);
    }
    text.push_str(&table.render());
    text.push('\n');
    let mut ecosystems = Table::new([Column::Name("ECOSYSTEM"), Column::Fixed("STATEMENTS")]);
    for (ecosystem, count) in &status.ecosystems {
        ecosystems.row([ecosystem.clone(), count.to_string()]);
    }
    text.push_str(&ecosystems.render());
    for feed in status.feeds.iter().filter(|feed| !feed.unreadable.is_empty()) {
        for unreadable in &feed.unreadable {
            let line = format!("\n{}: {}: {}", feed.label, unreadable.name, unreadable.reason);
            text.push_str(&line);
        }
    }
    output::print(&text)
}

/// How long ago that is, for people.
fn age(then: Timestamp, now: Timestamp) -> String {
    match now.since(then).as_secs() / 3600 {
        0 => "less than an hour ago".to_owned(),
        hours @ 1..48 => format!("{hours} h ago"),
        hours => format!("{} days ago", hours / 24),
    }
}
