//! `public-key`: what verifies the summaries of this mirror.

use std::process::ExitCode;

use super::connect;
use crate::cli::{CliError, Connection, Exit, output};
use crate::mirror::desk::view::PublicKeysView;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique public-key > mirror.pub
  cosign verify-attestation --key mirror.pub --insecure-ignore-tlog=true \\
    --type https://slsa.dev/verification_summary/v1 mirror.example/ghcr.io/acme/app@sha256:...";

/// Which keys to print, or whether to make a new one.
#[derive(Debug, clap::Args)]
pub(crate) struct PublicKeyArguments {
    /// Print the keys that signed before, too
    #[arg(long)]
    all: bool,
    /// Make a new key first, with which everything is signed from now on
    #[arg(long)]
    rotate: bool,
}

/// Prints the public key, and nothing else, so that it can be redirected into a file.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub(super) async fn public_key(
    connection: &Connection,
    arguments: &PublicKeyArguments,
) -> Result<ExitCode, CliError> {
    let client = connect::client(connection)?;
    let keys: PublicKeysView = if arguments.rotate {
        client.post("/public-keys", &serde_json::json!({})).await?
    } else {
        client.get("/public-keys").await?
    };
    if connection.json {
        output::print_json(&keys)?;
    } else {
        let retired = keys.retired.iter().filter(|_| arguments.all);
        let pems: String =
            std::iter::once(&keys.current).chain(retired).map(|key| key.pem.as_str()).collect();
        output::print(pems.trim_end())?;
    }
    Ok(Exit::Done.into())
}
