//! Fetching what attestations say.

use super::fetch::{Fetcher, Trouble};
use super::source::Source;
use crate::oci::Digest;
use crate::signature::FoundAttestation;

/// Fetches the content of `attestation` into the store; gives what is wrong with it, if upstream has it
/// no more or not so.
pub(super) async fn fetch<S: Source>(
    fetcher: &Fetcher<'_, S>,
    attestation: &FoundAttestation,
) -> Result<Option<(Digest, String)>, Trouble> {
    let FoundAttestation { content, size, .. } = attestation;
    let bytes = fetcher.content(content, *size).await?;
    Ok(bytes.is_none().then(|| (*content, format!("{content} is not there as listed"))))
}
