//! `policy diff --against-history`: what is sent to the mirror, which reads no file for a draft.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::diff::POLICY_BYTES_MAX;
use super::{CliError, Connection, mistaken, read_text};
use crate::cli::admin::simulate;
use crate::gate::ReadyPolicy;
use crate::mirror::desk::simulate::SimulateBody;
use crate::mirror::referred_from;
use crate::policy::Policy;

/// Asks the mirror what the policy in `file` would change; gives whether anything that is served now would
/// be refused, or may be.
///
/// # Errors
/// When the file cannot be used, or the server cannot be reached or says no.
pub(super) async fn run(file: &Path, days: u32, connection: &Connection) -> Result<bool, CliError> {
    let body = body(file, days, connection.json)?;
    simulate::run(connection, &body).await
}

/// The policy with the contents of all files that it names.
fn body(file: &Path, days: u32, json: bool) -> Result<SimulateBody, CliError> {
    let policy = read_text(file, POLICY_BYTES_MAX)?;
    let (read, files) = (referred_from(file), RefCell::new(BTreeMap::new()));
    let reading = |path: &Path| {
        let bytes = read(path)?;
        if let Some(path) = path.to_str() {
            files.borrow_mut().insert(path.to_owned(), STANDARD.encode(&bytes));
        }
        Ok(bytes)
    };
    // Mistakes are told here, with their lines, and not by the server.
    Policy::parse(&policy, &reading)
        .and_then(ReadyPolicy::new)
        .map_err(|problems| mistaken(file, problems, json))?;
    Ok(SimulateBody { policy, files: files.into_inner(), days })
}
