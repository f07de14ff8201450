//! `user add`, `ls`, `show`, `set`, `reset`, `disable`, `enable`, `remove`.

use std::process::ExitCode;

use serde_json::json;

use super::client::encoded;
use super::text::printable;
use super::{connect, lists, offline};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::people::{InvitationView, PersonBody, PersonChangeBody, PersonView};

/// What to do about people who sign in.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user, and print the one-time secret that lets them in for the first time
    Add {
        /// The name that they sign in with: lower-case letters, digits, . _ - @
        name: String,
        /// What they may do: viewer (look), requester (ask for images), approver (decide about images),
        /// auditor (look, and have the audit signed), admin (everything)
        #[arg(long, default_value = "viewer")]
        role: String,
        /// A group that they are in, as approval policies name it; several may be given
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Work on the data directory, while the server is down
        #[arg(long)]
        offline: bool,
    },
    /// Keep a user out; their sessions end at once
    Disable(Who),
    /// Let a user in again who was kept out
    Enable(Who),
    /// List everybody who may sign in
    Ls,
    /// Remove a user; their sessions end at once
    Remove(Who),
    /// Forget a user's password and authenticator, and print a new one-time secret
    Reset {
        #[command(flatten)]
        who: Who,
        /// Work on the data directory, while the server is down
        #[arg(long)]
        offline: bool,
    },
    /// Change what a user may do, at once
    Set {
        #[command(flatten)]
        who: Who,
        /// The role instead of the one that was
        #[arg(long)]
        role: Option<String>,
        /// A group, instead of those that were; several may be given
        #[arg(long = "group", value_name = "GROUP", conflicts_with = "no_groups")]
        groups: Vec<String>,
        /// No groups any more
        #[arg(long)]
        no_groups: bool,
    },
    /// Show one user
    Show(Who),
}

/// Whom it is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Who {
    /// The name, or what the audit calls them (oidc:ISSUER#SUBJECT)
    user: String,
}

/// Runs a user command.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: UserCommand,
) -> Result<ExitCode, CliError> {
    match command {
        UserCommand::Add { name, role, groups, offline } => {
            let body = PersonBody { name, role, groups };
            let told: InvitationView = if offline {
                offline::new_person(connection, body).await?
            } else {
                connect::client(connection)?.post("/people", &body).await?
            };
            print_invitation(connection, &told)?;
        }
        UserCommand::Disable(who) => keep_out(connection, &who, true).await?,
        UserCommand::Enable(who) => keep_out(connection, &who, false).await?,
        UserCommand::Ls => {
            let views: Vec<PersonView> = connect::client(connection)?.get_all("/people").await?;
            if connection.json {
                output::print_json(&views)?;
            } else {
                output::print(&lists::people(&views, connect::times(connection)))?;
            }
        }
        UserCommand::Remove(who) => {
            connect::client(connection)?.delete(&path(&who)).await?;
            let text = format!("{} may not sign in any more", printable(&who.user));
            done(connection, &json!({"removed": who.user}), &text)?;
        }
        UserCommand::Reset { who, offline } => {
            let told: InvitationView = if offline {
                offline::reset_person(connection, &who.user).await?
            } else {
                let path = format!("{}/reset", path(&who));
                connect::client(connection)?.post(&path, &json!({})).await?
            };
            print_invitation(connection, &told)?;
        }
        UserCommand::Set { who, role, groups, no_groups } => {
            if role.is_none() && groups.is_empty() && !no_groups {
                return Err(CliError::misused(
                    "say what is to change: --role, --group, --no-groups",
                ));
            }
            let groups = (no_groups || !groups.is_empty()).then_some(groups);
            let change = PersonChangeBody { role, groups, disabled: None };
            let view = send(connection, &who, &change).await?;
            print_person(connection, &view)?;
        }
        UserCommand::Show(who) => {
            let view: PersonView = connect::client(connection)?.get(&path(&who)).await?;
            print_person(connection, &view)?;
        }
    }
    Ok(Exit::Done.into())
}

async fn keep_out(connection: &Connection, who: &Who, out: bool) -> Result<(), CliError> {
    let change = PersonChangeBody { disabled: Some(out), ..PersonChangeBody::default() };
    let view = send(connection, who, &change).await?;
    print_person(connection, &view)
}

async fn send(
    connection: &Connection,
    who: &Who,
    change: &PersonChangeBody,
) -> Result<PersonView, CliError> {
    connect::client(connection)?.post(&path(who), change).await
}

fn path(who: &Who) -> String {
    format!("/people/{}", encoded(&who.user))
}

fn done(connection: &Connection, json: &serde_json::Value, text: &str) -> Result<(), CliError> {
    if connection.json { output::print_json(json) } else { output::print(text) }
}

fn print_person(connection: &Connection, view: &PersonView) -> Result<(), CliError> {
    if connection.json {
        return output::print_json(view);
    }
    output::print(&lists::people(std::slice::from_ref(view), connect::times(connection)))
}

/// The secret alone goes to standard output, so that it can be handed on.
fn print_invitation(connection: &Connection, told: &InvitationView) -> Result<(), CliError> {
    if connection.json {
        return output::print_json(told);
    }
    output::message(&format!(
        "{} signs in with this instead of a password, until {}, and then chooses one and sets up an \
         authenticator; this is the only time it is shown:",
        printable(&told.name),
        told.until
    ));
    output::print(&told.secret)
}
