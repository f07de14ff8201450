//! From what was written on the command line to a client of the server.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::client::Client;
use super::text::Times;
use crate::cli::{CliError, Connection};
use crate::config::{self, Settings};
use crate::oci::Secret;
use crate::time::{Clock as _, SystemClock};

/// Longest token file that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 4_096;
/// Longest CA file that is read, in bytes: all of the web's authorities are a quarter of it.
const CA_BYTES_MAX: u64 = 1 << 20;

/// What time it is here.
pub(super) fn now() -> crate::time::Timestamp {
    SystemClock.now()
}

/// How times are printed.
pub(super) fn times(connection: &Connection) -> Times {
    Times::new(SystemClock.now(), connection.utc)
}

/// A client of the server that `connection` leads to: by the addresses on the command line, else by
/// the settings file, else by the defaults.
///
/// # Errors
/// When the settings or the token cannot be read.
pub(super) fn client(connection: &Connection) -> Result<Client, CliError> {
    let settings = match (&connection.admin_url, &connection.token_file, &connection.config) {
        (Some(_), Some(_), None) => None,
        _ => Some(settings(connection)?),
    };
    let url = match (&connection.admin_url, &settings) {
        (Some(url), _) => url.clone(),
        (None, Some(settings)) => settings.admin_url(),
        (None, None) => return Err(CliError::misused("give --admin-url")),
    };
    let token_file = match (&connection.token_file, &settings) {
        (Some(file), _) => file.clone(),
        (None, Some(settings)) => settings.token_file(),
        (None, None) => return Err(CliError::misused("give --token-file")),
    };
    let roots = match &connection.ca_file {
        Some(file) => authorities(file)?,
        None => settings.as_ref().map_or_else(Vec::new, own_certificates),
    };
    Client::new(&url, token(&token_file)?, &roots)
}

/// The settings that `connection` names, or the defaults.
///
/// # Errors
/// When they have mistakes.
pub(super) fn settings(connection: &Connection) -> Result<Settings, CliError> {
    config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))
}

/// The authorities in `file`, bounded.
///
/// # Errors
/// When it cannot be read or holds no certificate.
fn authorities(file: &Path) -> Result<Vec<u8>, CliError> {
    use std::io::Read as _;
    let path = file.display();
    let failed = |error: std::io::Error| {
        CliError::misused(format!("could not read the CA file {path}")).caused_by(error)
    };
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(CA_BYTES_MAX).read_to_end(&mut pem).map_err(failed)?;
    if CertificateDer::pem_slice_iter(&pem).next().is_none() {
        return Err(CliError::misused(format!("the CA file {path} holds no certificate")));
    }
    Ok(pem)
}

/// The server's own certificates, which the settings file names: a client that is told by the same
/// file trusts them. Where they cannot be read, the web's roots have to do.
fn own_certificates(settings: &Settings) -> Vec<u8> {
    let path: Option<&PathBuf> = settings.admin.tls.as_ref().map(|tls| &tls.cert);
    path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default()
}

fn token(path: &Path) -> Result<Secret, CliError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        CliError::unreachable(format!(
            "could not read the token file {}; is the server set up, or does --token-file name it?",
            path.display()
        ))
        .caused_by(error)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        let text = format!("the token file {} holds no token", path.display());
        return Err(CliError::unreachable(text));
    }
    Ok(Secret::new(token))
}
