//! `policy propose`: the change of the policy that would have made a decision needless.

use super::{CliError, Connection};
use crate::cli::admin::propose::{self, Wanted};
use crate::mirror::desk::simulate::SimulateBody;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy propose R-42
      What the policy could say, so that nobody has to decide about the like of R-42 again: each with
      what it would do, what it would change about what was pulled, and its diff.
  pratique policy propose R-42 --option standing | git apply -p0
      The diff alone, where policy.yaml lies; patch -p0 takes it, too. The revision is raised in it.

Nothing is changed by this: the policy is a file that people review. A token with role viewer does.

Exit codes: 0 told, 64 no such option, 2 not reachable.";

/// For which request.
#[derive(Debug, clap::Args)]
pub(crate) struct ProposeArguments {
    /// The request, for example R-42
    request: String,
    /// Count what was pulled in the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = SimulateBody::DAYS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SimulateBody::DAYS_MAX)))]
    days: u32,
    /// Print the diff of this option and nothing else
    #[arg(long, value_name = "NAME")]
    option: Option<String>,
}

/// Prints what is offered.
///
/// # Errors
/// When the server cannot be reached or says no, or there is no such option.
pub(super) async fn run(
    arguments: ProposeArguments,
    connection: &Connection,
) -> Result<(), CliError> {
    let ProposeArguments { request, days, option } = arguments;
    propose::run(connection, Wanted { request, days, option }).await
}
