//! `policy diff --against-history`: what is sent to the mirror, which reads no file for a draft.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{CliError, Connection, refused};
use crate::cli::admin::simulate;
use crate::gate::ReadyPolicy;
use crate::mirror::desk::simulate::SimulateBody;
use crate::mirror::{PolicyError, of_one_moment};
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
    let wrong = |problems| PolicyError::Problems { path: file.to_owned(), problems };
    let body = of_one_moment(file, |disk| {
        let files = RefCell::new(BTreeMap::new());
        let reading = |path: &Path| {
            let bytes = disk.read_file(path)?;
            if let Some(path) = path.to_str() {
                files.borrow_mut().insert(path.to_owned(), STANDARD.encode(&bytes));
            }
            Ok(bytes)
        };
        disk.check().map_err(wrong)?;
        let sources = disk.sources();
        // Mistakes are told here, with their lines, and not by the server.
        Policy::parse_all(&sources, &reading).and_then(ReadyPolicy::new).map_err(wrong)?;
        let (mut policy, mut directory) = (String::new(), BTreeMap::new());
        for source in sources {
            if source.path.is_empty() {
                source.text.clone_into(&mut policy);
            } else {
                directory.insert(source.path.to_owned(), source.text.to_owned());
            }
        }
        Ok(SimulateBody { policy, directory, files: files.into_inner(), days })
    });
    body.map_err(|error| refused(error, json))
}
