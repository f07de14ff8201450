//! The admin commands: clients of the admin API of a running server, and those that work on the data
//! directory.
//!
//! Results go to standard output as tables or, with `--json`, as the API's own JSON.

mod act;
mod adopt;
pub(super) mod allow_rollback;
mod approval;
mod audit;
mod break_glass;
mod cache;
mod client;
mod connect;
mod exception;
mod expiry;
mod explain;
mod fetch;
mod inventory;
mod keys;
pub(super) mod learn;
mod lists;
mod look;
mod manifests;
pub(super) mod nodes;
mod offline;
mod outdated;
pub(super) mod propose;
mod reevaluate;
mod rejudge;
pub(super) mod release;
mod remark;
mod rollback;
pub(super) mod simulate;
pub(super) mod table;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod user;
mod webhook;
mod whereabouts;

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CliError, Connection};
use crate::mirror::desk::view::ExplainView;

/// What an admin asks a running server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AdminCommand {
    /// Have what runs in a cluster fetched, judged and asked for, by how much there is to be seen to
    #[command(after_help = adopt::EXAMPLES)]
    Adopt(adopt::AdoptArguments),
    /// Answer what was asked about a request
    Answer(remark::RemarkArguments),
    /// Say yes to a digest where its rule asks for it
    Approve(act::ApproveArguments),
    /// Say yes or no in a signed file: draft, sign, verify, and see what became of it
    #[command(subcommand, after_help = approval::EXAMPLES)]
    Approval(approval::ApprovalCommand),
    /// List the audit chain, check it, export it, or tell from it why an image ran
    Audit(audit::AuditArguments),
    /// Write a backup of the trust ledger to a new file
    Backup {
        /// The file to write; it must not exist
        file: PathBuf,
    },
    /// Have something served in an emergency that nothing admitted; see, end and review that
    #[command(subcommand, after_help = break_glass::EXAMPLES)]
    BreakGlass(break_glass::BreakGlassCommand),
    /// See to the cache: how it is, what is pinned, whether it is whole
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Have one finding not count for a while: ask, grant, refuse, end, list
    #[command(subcommand)]
    Exception(exception::ExceptionCommand),
    /// Tell which rule applies to an image, what each gate found, and what would have to change
    Explain {
        /// The image, by tag or digest
        image: String,
    },
    /// Tell the server what runs in a cluster, or list the clusters that it was told of
    #[command(subcommand, after_help = inventory::EXAMPLES)]
    Inventory(inventory::InventoryCommand),
    /// List what audit mode served and enforcing would have refused
    Observed {
        /// Show at most so many
        #[arg(long, value_name = "COUNT")]
        limit: Option<u32>,
    },
    /// List the images that were served lately and could be newer: how newer versions of their line stand
    /// here, and which findings they end
    Outdated(outdated::OutdatedArguments),
    /// Bring admitted images into the cache before a node asks for them
    Prefetch(fetch::PrefetchArguments),
    /// Print the key that verifies what this mirror says about admitted images
    #[command(after_help = keys::EXAMPLES)]
    PublicKey(keys::PublicKeyArguments),
    /// Ask what a request is for, before anybody decides about it
    Question(remark::RemarkArguments),
    /// Undo a rejection or revocation where the rule asks for no approval
    Reinstate(act::DecisionArguments),
    /// Show what rests on signatures that upstream lost, or take it back
    #[command(after_help = reevaluate::EXAMPLES)]
    Reevaluate(reevaluate::ReevaluateArguments),
    /// Show what this version would decide differently from the one before, or have it decided
    Rejudge(rejudge::RejudgeArguments),
    /// Say no to something that waits
    Reject(act::DecisionArguments),
    /// Ask for images before a node does, so that people can decide about them
    #[command(after_help = manifests::EXAMPLES)]
    Request(fetch::RequestArguments),
    /// List the requests that wait or were denied
    Requests(look::RequestsArguments),
    /// Put a backup in the place of the trust ledger, while the server is down
    Restore(offline::RestoreArguments),
    /// Say no to something that was admitted
    #[command(after_help = act::REVOKE_EXAMPLES)]
    Revoke(act::RevokeArguments),
    /// Go back to a snapshot of the trust ledger from before an upgrade, while the server is down
    Rollback(rollback::RollbackArguments),
    /// Show one request
    Show {
        /// The request, for example R-42
        request: String,
    },
    /// Tell how the server is
    Status,
    /// Make, list and end tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List webhooks, and try whether one arrives
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Make, list and change the people who sign in with a password
    #[command(subcommand)]
    User(user::UserCommand),
    /// Tell where an image, a finding or what somebody signed runs: cluster, namespace, workload, nodes
    #[command(after_help = whereabouts::EXAMPLES)]
    Where(whereabouts::WhereArguments),
}

/// `text` on one line without characters that could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text::printable(text)
}

/// An explanation as people read it.
pub(super) fn explanation(view: &ExplainView, connection: &Connection) -> String {
    explain::render(view, connect::times(connection))
}

/// Runs `command` against the server that `connection` leads to.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(crate) async fn run(
    command: AdminCommand,
    connection: Connection,
) -> Result<ExitCode, CliError> {
    match command {
        AdminCommand::Adopt(arguments) => adopt::run(&connection, arguments).await,
        AdminCommand::Answer(arguments) => remark::send(&connection, "answers", arguments).await,
        AdminCommand::Approval(command) => approval::run(&connection, command).await,
        AdminCommand::Approve(arguments) => act::approve(&connection, arguments).await,
        AdminCommand::Audit(arguments) => audit::run(&connection, arguments).await,
        AdminCommand::Backup { file } => offline::backup(&connection, &file).await,
        AdminCommand::BreakGlass(command) => break_glass::run(&connection, command).await,
        AdminCommand::Cache(command) => cache::run(&connection, command).await,
        AdminCommand::Exception(command) => exception::run(&connection, command).await,
        AdminCommand::Explain { image } => look::explain(&connection, &image).await,
        AdminCommand::Inventory(command) => inventory::run(&connection, command).await,
        AdminCommand::Observed { limit } => look::observed(&connection, limit).await,
        AdminCommand::Outdated(arguments) => outdated::run(&connection, arguments).await,
        AdminCommand::Prefetch(arguments) => fetch::prefetch(&connection, arguments).await,
        AdminCommand::PublicKey(arguments) => keys::public_key(&connection, &arguments).await,
        AdminCommand::Question(arguments) => {
            remark::send(&connection, "questions", arguments).await
        }
        AdminCommand::Reinstate(arguments) => {
            act::decide(&connection, "/reinstatements", arguments).await
        }
        AdminCommand::Reject(arguments) => act::decide(&connection, "/rejections", arguments).await,
        AdminCommand::Reevaluate(arguments) => reevaluate::run(&connection, arguments).await,
        AdminCommand::Rejudge(arguments) => rejudge::run(&connection, arguments).await,
        AdminCommand::Request(arguments) => fetch::request(&connection, arguments).await,
        AdminCommand::Requests(arguments) => look::requests(&connection, arguments).await,
        AdminCommand::Restore(arguments) => offline::restore(&connection, &arguments),
        AdminCommand::Revoke(arguments) => act::revoke(&connection, arguments).await,
        AdminCommand::Rollback(arguments) => rollback::run(&connection, &arguments),
        AdminCommand::Show { request } => look::show(&connection, &request).await,
        AdminCommand::Status => look::status(&connection).await,
        AdminCommand::Token(command) => token::run(&connection, command).await,
        AdminCommand::Webhook(command) => webhook::run(&connection, command).await,
        AdminCommand::User(command) => user::run(&connection, command).await,
        AdminCommand::Where(arguments) => whereabouts::run(&connection, arguments).await,
    }
}
