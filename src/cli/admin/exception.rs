//! `exception`: ask for one, grant, refuse, end, list and show them.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::client::encoded;
use super::explain::line;
use super::table::{Column, Table};
use super::text::{Times, printable};
use super::{connect, expiry, lists};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::exceptions::{
    ExceptionAskedView, ExceptionBody, ExceptionDecidedView, ExceptionEndBody, ExceptionView,
    ExceptionVoteBody,
};
use crate::time::{Clock as _, SystemClock};

/// What `ask --help` ends with.
const EXAMPLES: &str = "Examples:
  pratique exception ask docker.io/library/redis:7.4 CVE-2026-1234 --package openssl \\
      --until 14d --reason \"not reachable, the fix is in work\" --ticket SEC-123
  pratique exception ask docker.io/library/redis CVE-2026-1234 --repository --until 2026-12-31 \\
      --reason \"only in the tests\" --justification vulnerable_code_not_in_execute_path

Who may grant it says exceptionApproval in the policy. What waits and what is in force:
  pratique exception ls";

/// What is asked about exceptions.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ExceptionCommand {
    /// Ask that one finding does not count for a while, of one image or of a repository
    #[command(after_help = EXAMPLES)]
    Ask(AskArguments),
    /// End an exception that is in force, or take back what waits; in force with the next pull
    End(WordArguments),
    /// Say yes to an exception that waits; in force with the yes that was missing
    Grant(GrantArguments),
    /// List exceptions: those that wait or are in force, unless --state says otherwise
    Ls(LsArguments),
    /// Say no to an exception that waits
    Refuse(WordArguments),
    /// Show one exception: who asked, what it takes out, how the votes stand
    Show {
        /// The exception, for example X-7
        exception: String,
    },
}

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArguments {
    /// The image, by tag or digest: what the tag means now
    image: String,
    /// The vulnerability, by any of its names
    vulnerability: String,
    /// Only where it is in this package
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// For every image of the repository, and not for this one only
    #[arg(long)]
    repository: bool,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when: a length (12h, 14d, 2w) or a date (2026-12-31)
    #[arg(long, value_name = "WHEN")]
    until: String,
    /// Where else it is written down
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// Why the finding does no harm, in a word of OpenVEX
    #[arg(long, value_name = "WORD")]
    justification: Option<String>,
}

/// Which exception, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct WordArguments {
    /// The exception, for example X-7
    exception: String,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What is granted, why, and until when.
#[derive(Debug, clap::Args)]
pub(crate) struct GrantArguments {
    #[command(flatten)]
    word: WordArguments,
    /// Until when at most, where that is sooner than it was asked for: 12h, 14d, 2026-12-31
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// Which exceptions to list.
#[derive(Debug, clap::Args)]
pub(crate) struct LsArguments {
    /// Only those in this state: asked, granted, refused, ended, or all
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only those of this repository
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

/// Runs `command`.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: ExceptionCommand,
) -> Result<ExitCode, CliError> {
    match command {
        ExceptionCommand::Ask(arguments) => ask(connection, arguments).await,
        ExceptionCommand::End(WordArguments { exception, reason }) => {
            let path = format!("/exceptions/{}/end", encoded(&exception));
            decide(connection, &path, &ExceptionEndBody { reason }).await
        }
        ExceptionCommand::Grant(GrantArguments { word, until }) => {
            let expires = until.map(|until| moment(&until)).transpose()?;
            vote(connection, word, "grant", expires).await
        }
        ExceptionCommand::Ls(arguments) => list(connection, arguments).await,
        ExceptionCommand::Refuse(word) => vote(connection, word, "refuse", None).await,
        ExceptionCommand::Show { exception } => show(connection, &exception).await,
    }
}

fn moment(text: &str) -> Result<crate::time::Timestamp, CliError> {
    expiry::parse(text, SystemClock.now())
        .map_err(|error| CliError::misused(error.to_string().replace("--expires", "--until")))
}

async fn ask(connection: &Connection, arguments: AskArguments) -> Result<ExitCode, CliError> {
    let AskArguments { image, vulnerability, package, reason, ticket, justification, .. } =
        arguments;
    let scope = if arguments.repository { "repository" } else { "image" }.to_owned();
    let expires = moment(&arguments.until)?;
    let body = ExceptionBody {
        image,
        scope,
        vulnerability,
        package,
        reason,
        ticket,
        expires,
        justification,
    };
    let view: ExceptionAskedView = connect::client(connection)?.post("/exceptions", &body).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        let already = if view.already { "already " } else { "" };
        let head = format!("{already}asked for {}\n", view.exception.id);
        output::print(&(head + &card(&view.exception, connect::times(connection))))?;
    }
    Ok(Exit::Done.into())
}

async fn vote(
    connection: &Connection,
    WordArguments { exception, reason }: WordArguments,
    decision: &str,
    expires: Option<crate::time::Timestamp>,
) -> Result<ExitCode, CliError> {
    let path = format!("/exceptions/{}/votes", encoded(&exception));
    let body = ExceptionVoteBody { decision: decision.to_owned(), reason, expires };
    decide(connection, &path, &body).await
}

async fn decide<B: serde::Serialize>(
    connection: &Connection,
    path: &str,
    body: &B,
) -> Result<ExitCode, CliError> {
    let view: ExceptionDecidedView = connect::client(connection)?.post(path, body).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        let done = if view.decision == "voted" { "voted for" } else { view.decision.as_str() };
        let head = format!("{done} {}\n", view.exception.id);
        output::print(&(head + &card(&view.exception, connect::times(connection))))?;
    }
    Ok(Exit::Done.into())
}

async fn list(connection: &Connection, arguments: LsArguments) -> Result<ExitCode, CliError> {
    let LsArguments { state, repository, limit } = arguments;
    let is_bounded = limit.is_some();
    let query = [
        state.map(|state| format!("state={}", encoded(&state))),
        repository.map(|name| format!("repository={}", encoded(&name))),
        limit.map(|limit| format!("limit={limit}")),
    ];
    let query: Vec<String> = query.into_iter().flatten().collect();
    let path = format!("/exceptions?{}", query.join("&"));
    let client = connect::client(connection)?;
    let views: Vec<ExceptionView> =
        if is_bounded { client.get(&path).await? } else { client.get_all(&path).await? };
    if connection.json {
        output::print_json(&views)?;
    } else {
        output::print(&table(&views, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}

async fn show(connection: &Connection, exception: &str) -> Result<ExitCode, CliError> {
    let path = format!("/exceptions/{}", encoded(exception));
    let view: ExceptionView = connect::client(connection)?.get(&path).await?;
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&card(&view, connect::times(connection)))?;
    }
    Ok(Exit::Done.into())
}

/// `exception ls`
fn table(views: &[ExceptionView], times: Times) -> String {
    if views.is_empty() {
        return "No exception waits or is in force. Ask for one: pratique exception ask --help\n"
            .to_owned();
    }
    let mut table = Table::new([
        Column::Fixed("ID"),
        Column::Fixed("STATE"),
        Column::Fixed("FINDING"),
        Column::Name("IMAGE"),
        Column::Fixed("UNTIL"),
        Column::Text("BY"),
    ]);
    for view in views {
        let finding = match &view.package {
            Some(package) => format!("{} in {package}", view.vulnerability),
            None => view.vulnerability.clone(),
        };
        let digest = view.digest.as_ref().map(|digest| format!("@{}", digest.short()));
        table.row([
            view.id.to_string(),
            view.state.clone(),
            finding,
            format!("{}{}", view.name, digest.unwrap_or_default()),
            times.until(ends(view)),
            who(view),
        ]);
    }
    table.render()
}

fn ends(view: &ExceptionView) -> crate::time::Timestamp {
    view.granted.as_ref().map_or(view.expires, |granted| granted.expires)
}

/// Who closed it, granted it or asked for it, whichever came last.
fn who(view: &ExceptionView) -> String {
    if let Some(closed) = &view.closed {
        return format!("{} by {}", closed.how, closed.by);
    }
    if let Some(granted) = &view.granted {
        return format!("granted by {}", granted.by.join(", "));
    }
    let asked: Vec<&str> = view.asked.iter().map(|asker| asker.display.as_str()).collect();
    format!("asked by {}", asked.join(", "))
}

/// `exception show`
fn card(view: &ExceptionView, times: Times) -> String {
    let package = view.package.as_ref().map(|package| format!(" in {package}"));
    let finding = format!("{}{}", view.vulnerability, package.unwrap_or_default());
    let mut out = format!("{}  {}  {}\n", view.id, view.state, printable(&finding));
    let _infallible = writeln!(out, "{:<11}{}", "image", view.name);
    let digest = view.digest.map(|digest| digest.to_string());
    let digest = digest.unwrap_or_else(|| "every one of the repository".to_owned());
    let _infallible = writeln!(out, "{:<11}{digest}", "digest");
    line(&mut out, "until", "", &format!("{} ({})", times.until(ends(view)), ends(view)));
    if let Some(word) = &view.justification {
        line(&mut out, "because", "", word);
    }
    for asker in &view.asked {
        let ticket = asker.ticket.as_ref().map(|ticket| format!(" ({ticket})"));
        let text =
            format!("{}: {}{}", times.past(asker.at), asker.reason, ticket.unwrap_or_default());
        line(&mut out, "asked by", &asker.display, &text);
    }
    for finding in &view.finding {
        line(&mut out, "takes out", "", finding);
    }
    for reason in &view.still_refused {
        line(&mut out, "still", "refused", reason);
    }
    if let Some(votes) = &view.votes {
        out.push_str(&lists::votes_text(votes, times));
    }
    if let Some(why) = &view.not_votable {
        line(&mut out, "votes", "none", why);
    }
    if let Some(granted) = &view.granted {
        let by = granted.by.join(", ");
        let text = format!("{}: {}", times.past(granted.at), granted.reason);
        line(&mut out, "granted by", &by, &text);
        line(&mut out, "rule", &granted.rule, &format!("by approval policy {}", granted.approval));
    }
    if let Some(closed) = &view.closed {
        let text = format!("by {} {}: {}", closed.by, times.past(closed.at), closed.reason);
        line(&mut out, "closed", &closed.how, &text);
    }
    let next = match view.state.as_str() {
        "asked" if view.votes.is_some() => Some("grant"),
        "granted" => Some("end"),
        _ => None,
    };
    if let Some(next) = next {
        let _infallible =
            writeln!(out, "{:<11}pratique exception {next} {} --reason TEXT", "next", view.id);
    }
    out
}
