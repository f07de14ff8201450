//! `webhook ls`, `webhook test`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::client::encoded;
use super::connect;
use super::table::{Column, Table};
use super::text::{Times, count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::notify::{WebhookTestView, WebhookView};

/// What to do about webhooks.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum WebhookCommand {
    /// List the webhooks: how each is, what it delivered last, and how far it is behind
    Ls,
    /// Send a test event now and tell what came back; one that is paused goes on if it arrives
    Test {
        /// The webhook
        name: String,
    },
}

/// Runs a webhook command.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    command: WebhookCommand,
) -> Result<ExitCode, CliError> {
    match command {
        WebhookCommand::Ls => {
            let views: Vec<WebhookView> = connect::client(connection)?.get("/webhooks").await?;
            if connection.json {
                output::print_json(&views)?;
            } else {
                output::print(list(&views, connect::times(connection)).trim_end())?;
            }
            Ok(Exit::Done.into())
        }
        WebhookCommand::Test { name } => {
            let path = format!("/webhooks/{}/test", encoded(&name));
            let nothing = serde_json::json!({});
            let view: WebhookTestView = connect::client(connection)?.post(&path, &nothing).await?;
            if connection.json {
                output::print_json(&view)?;
            } else {
                output::print(&tested(&view))?;
            }
            Ok(if view.delivered { Exit::Done } else { Exit::Failed }.into())
        }
    }
}

/// `webhook ls`
fn list(views: &[WebhookView], times: Times) -> String {
    if views.is_empty() {
        return "No webhooks. Add [[notify.webhook]] to the settings; see docs/notifications.md."
            .to_owned();
    }
    let mut table = Table::new([
        Column::Fixed("NAME"),
        Column::Fixed("STATE"),
        Column::Name("TO"),
        Column::Fixed("DELIVERED"),
        Column::Fixed("BEHIND"),
        Column::Text("NOTE"),
    ]);
    for view in views {
        let delivered = view.last_delivery.as_ref().map(|it| times.past(it.at));
        table.row([
            view.name.clone(),
            view.state.clone(),
            view.to.clone(),
            delivered.unwrap_or_else(|| "never".to_owned()),
            behind(view, times),
            note(view, times),
        ]);
    }
    table.render()
}

/// How far it is behind: since when its oldest event waits.
fn behind(view: &WebhookView, times: Times) -> String {
    match view.waiting_since {
        Some(since) => format!("since {}", times.past(since)),
        None => "nothing".to_owned(),
    }
}

fn note(view: &WebhookView, times: Times) -> String {
    let mut notes = Vec::new();
    if let Some(since) = view.paused_since {
        let since = times.past(since);
        notes.push(format!("its receiver said {since} that it is gone; pratique webhook test"));
    }
    if let (Some(failure), true) = (&view.last_failure, view.waiting_since.is_some()) {
        notes.push(failure.error.clone());
    }
    if let Some(at) = view.next_try {
        notes.push(format!("next try {}", times.until(at)));
    }
    if view.given_up > 0 {
        notes.push(format!("{} given up", count(view.given_up, "event")));
    }
    notes.join("; ")
}

/// `webhook test`
fn tested(view: &WebhookTestView) -> String {
    let name = printable(&view.name);
    let status = view.status.map(|status| format!(" with {status}")).unwrap_or_default();
    let mut text = match &view.error {
        None => format!("{name}: took {} after {} ms{status}", view.event, view.milliseconds),
        Some(error) => {
            format!("{name}: did not take it after {} ms: {}", view.milliseconds, printable(error))
        }
    };
    if let Some(answer) = &view.answer {
        _ = write!(text, "\nit said: {}", printable(answer));
    }
    if view.resumed {
        text.push_str("\nit was paused and goes on");
    }
    text
}
