//! `reevaluate`: what rests on signatures that upstream lost, and is held until a person has seen it.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::connect;
use super::text::{count, printable};
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::{ReevaluatedView, RejudgeBody};

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Where an approval policy says reEvaluate: {every: 24h}, signatures and attestations of what it lets pass are
looked for again upstream after that time. What is gone takes the image back, unless that would be more of
what is in use than the brake allows: then all of it is served on and held, for a person to see.

  pratique reevaluate                                          what is held
  pratique reevaluate --apply --reason \"the vendor left\"       take it back, if it is still gone

Do nothing while the registry has a bad day: what is there again is held no more by itself.";

/// Whether to look or to do it.
#[derive(Debug, clap::Args)]
pub(crate) struct ReevaluateArguments {
    /// Take back what is held, if what it rests on is still gone upstream
    #[arg(long, requires = "reason")]
    apply: bool,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT", requires = "apply")]
    reason: Option<String>,
}

/// Shows or does it.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    connection: &Connection,
    arguments: ReevaluateArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let view: ReevaluatedView = match arguments.reason.filter(|_| arguments.apply) {
        Some(reason) => client.post("/reevaluations", &RejudgeBody { reason }).await?,
        None => client.get("/reevaluations").await?,
    };
    if connection.json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view))?;
    }
    Ok(Exit::Done.into())
}

fn render(view: &ReevaluatedView) -> String {
    let mut out = String::new();
    let looked = count(view.looked, "image");
    let (revoked, failed, overdue) = (view.revoked, view.failed, view.overdue);
    let what = if view.applied { "looked at" } else { "looked at in the last pass" };
    let _infallible = writeln!(
        out,
        "{looked} {what}: {revoked} taken back, {failed} could not be looked for; {overdue} overdue."
    );
    if view.held.is_empty() {
        let _infallible = writeln!(out, "Nothing is held.");
        return out;
    }
    let held = count(u64::try_from(view.held.len()).unwrap_or(u64::MAX), "image");
    let _infallible = writeln!(
        out,
        "{held} held: upstream lost what they rest on. They are served on; pratique reevaluate --apply \
         --reason TEXT takes them back."
    );
    for image in &view.held {
        let _infallible = writeln!(out, "  {}", printable(image));
    }
    out
}
