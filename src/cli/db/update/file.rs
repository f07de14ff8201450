//! A finished database at an address, with its signature beside it.

use std::io::Write as _;
use std::time::Duration;

use super::Way;
use crate::cli::db::place::{Candidate, not_written};
use crate::cli::{CliError, output};
use crate::mirror::DATABASE_BYTES_MAX;
use crate::signature::{Key, verify_detached};

/// What is added to the address of a database to get that of its signature.
const SIGNATURE_SUFFIX: &str = ".sig";
/// Largest signature, in bytes.
const SIGNATURE_BYTES_MAX: usize = 4 << 10;
/// Longest time for all of it.
const TIME_MAX: Duration = Duration::from_mins(30);

/// Fetches the database at `url` into `candidate`, signed by `key`.
///
/// # Errors
/// When it cannot be fetched, or is not signed by `key`.
pub(super) async fn fetch(
    way: &Way<'_>,
    url: &str,
    key: &Key,
    candidate: &mut Candidate,
) -> Result<(), CliError> {
    let work = Box::pin(fetched(way, url, key));
    let bounded = tokio::time::timeout(TIME_MAX, work);
    let bytes = Box::pin(output::with_progress(url, "fetching", bounded)).await;
    let minutes = TIME_MAX.as_secs() / 60;
    let late = |_| CliError::unreachable(format!("{url} was not fetched within {minutes} minutes"));
    let bytes = bytes.map_err(late)??;
    let written = candidate.file().write_all(&bytes);
    written.map_err(|error| not_written(candidate.path(), error))
}

/// The database, which is verified before anything of it is looked at.
async fn fetched(way: &Way<'_>, url: &str, key: &Key) -> Result<Vec<u8>, CliError> {
    let failed = |url: &str| CliError::unreachable(format!("{url} was not fetched"));
    let (files, name) = way.files(url)?;
    let signed_at = format!("{url}{SIGNATURE_SUFFIX}");
    let signature = files
        .get(&format!("{name}{SIGNATURE_SUFFIX}"), SIGNATURE_BYTES_MAX)
        .await
        .map_err(|error| failed(&signed_at).caused_by(error))?
        .map_err(|status| {
            let text = format!("{url} is not signed: {signed_at} was answered with {status}");
            CliError::refused(text)
        })?;
    let signature = String::from_utf8(signature.into())
        .map_err(|_| CliError::refused(format!("{signed_at} is no signature in base64")))?;
    let mut stream = files
        .open(name)
        .await
        .map_err(|error| failed(url).caused_by(error))?
        .map_err(|status| CliError::unreachable(format!("{url} was answered with {status}")))?;
    let mut bytes = Vec::new();
    let most = usize::try_from(DATABASE_BYTES_MAX).unwrap_or(usize::MAX);
    while let Some(piece) = stream.next().await.map_err(|error| failed(url).caused_by(error))? {
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(CliError::unreachable(format!("{url} is larger than {most} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    verify_detached(&bytes, &signature, key)
        .map_err(|refusal| CliError::refused(format!("{url} was not taken: {refusal}")))?;
    Ok(bytes)
}
