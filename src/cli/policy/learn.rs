//! `policy learn`: a policy proposed from what was pulled.

use super::{CliError, Connection};
use crate::cli::admin::learn::{self, Wanted};
use crate::mirror::desk::learn::PULLS_MIN;
use crate::mirror::desk::simulate::SimulateBody;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy learn > policy.yaml
      After some days with mode: audit: the policy that says what was pulled. Each rule has a comment
      that says what it rests on. What it would have done to those pulls is told on standard error.
  pratique policy learn --explain
      The same as a table.
  pratique policy learn --days 14 --min-pulls 10 > policy.yaml
  pratique policy check policy.yaml && pratique policy diff policy.yaml --against-history

It says what was so, and not what should be: read it before it is in force, and begin with mode: warn.
Nobody is trusted without people but who signed every image of a repository, and more than one. What
nobody gathered is told as not known: a rule in force that asks for signatures and a scan has them
gathered. Nothing changes. A token with role viewer does.

Exit codes: 0 told, 64 wrong use, 2 not reachable.";

/// From what to learn.
#[derive(Debug, clap::Args)]
pub(crate) struct LearnArguments {
    /// Learn from what was pulled in the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = SimulateBody::DAYS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SimulateBody::DAYS_MAX)))]
    days: u32,
    /// Propose rules for repositories that were pulled at least so often
    #[arg(long, value_name = "COUNT", default_value_t = PULLS_MIN)]
    min_pulls: u64,
    /// Print a table instead of the policy
    #[arg(long)]
    explain: bool,
}

/// Prints the proposal, and what it would do.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn run(
    arguments: &LearnArguments,
    connection: &Connection,
) -> Result<(), CliError> {
    let LearnArguments { days, min_pulls, explain } = *arguments;
    learn::run(connection, Wanted { days, min_pulls, explain }).await
}
