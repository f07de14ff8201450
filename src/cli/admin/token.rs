//! `token new`, `token ls`, `token revoke`.

use std::process::ExitCode;

use super::client::encoded;
use super::{connect, expiry, lists, offline};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{NewTokenView, TokenBody, TokenView};
use crate::time::{Clock as _, SystemClock};

/// What to do about tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// List the tokens, without their secrets
    Ls,
    /// Make a token and print its secret, this once
    New {
        /// Its name, which the audit will carry
        name: String,
        /// What it may do: admin (everything), approver (decide about images), requester (ask for them),
        /// auditor (look, and have the audit signed), viewer (look), discover (list upstream tags), node (report what
        /// the doctor of a node found)
        #[arg(long, default_value = "admin")]
        role: String,
        /// A group that whoever holds it is in, as approval policies name it; several may be given
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// When it ends by itself: a length (12h, 90d, 8w) or a date (2027-02-21); without it, never
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Repositories that it may ask for and see, as a policy's match has them
        /// ('docker.io/library/*'); several may be given; without it, all
        #[arg(long = "repository", value_name = "PATTERN")]
        repositories: Vec<String>,
        /// Whose it is: what is done with it is done by that user, as far as the role goes
        #[arg(long, value_name = "USER", conflicts_with_all = ["groups", "offline"])]
        of: Option<String>,
        /// Work on the data directory, while the server is down
        #[arg(long)]
        offline: bool,
    },
    /// End a token
    Revoke {
        /// Its name
        name: String,
    },
}

/// Runs a token command.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: TokenCommand,
) -> Result<ExitCode, CliError> {
    match command {
        TokenCommand::Ls => {
            let views: Vec<TokenView> = connect::client(connection)?.get_all("/tokens").await?;
            if connection.json {
                output::print_json(&views)?;
            } else {
                output::print(&lists::tokens(&views, connect::times(connection)))?;
            }
        }
        TokenCommand::New { name, role, groups, expires, repositories, of, offline } => {
            let parse = |text: String| expiry::parse(&text, SystemClock.now());
            let expires_at = expires.map(parse).transpose();
            let expires_at = expires_at.map_err(|error| CliError::misused(error.to_string()))?;
            let body = TokenBody { name, role, groups, expires_at, repositories, of };
            let token: NewTokenView = if offline {
                offline::new_token(connection, body).await?
            } else {
                connect::client(connection)?.post("/tokens", &body).await?
            };
            print_new(connection, &token)?;
        }
        TokenCommand::Revoke { name } => {
            let client = connect::client(connection)?;
            client.delete(&format!("/tokens/{}", encoded(&name))).await?;
            if connection.json {
                output::print_json(&serde_json::json!({"revoked": name}))?;
            } else {
                output::print(&format!("token {name} no longer works"))?;
            }
        }
    }
    Ok(Exit::Done.into())
}

/// The secret alone goes to standard output, so that it can be redirected into a file.
fn print_new(connection: &Connection, token: &NewTokenView) -> Result<(), CliError> {
    if connection.json {
        return output::print_json(token);
    }
    output::message(&format!(
        "token {} with role {}; this is the only time it is shown:",
        token.name, token.role
    ));
    output::print(&token.token)
}
