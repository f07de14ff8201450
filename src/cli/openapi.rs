//! `openapi`: the description of the admin API.

use std::process::ExitCode;

use super::{CliError, Exit, output};
use crate::http::admin::openapi::document;

/// `openapi`
///
/// # Errors
/// When it cannot be printed.
pub(super) fn run() -> Result<ExitCode, CliError> {
    output::print_json(document())?;
    Ok(Exit::Done.into())
}
