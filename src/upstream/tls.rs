//! Whom to believe on TLS connections.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::error::Error;

/// A configuration that believes the public authorities and those in `ca_file`, and speaks HTTP/1.1.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_all(&mut roots, path)?;
    }
    believing(roots)
}

/// The same where those in `ca_file` alone are believed.
///
/// # Errors
/// As [`client_config`].
pub(super) fn own_authority(ca_file: &Path) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    add_all(&mut roots, ca_file)?;
    believing(roots)
}

fn believing(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|_| Error::Setting { registry: "all".to_owned(), setting: "TLS versions" })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_all(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    add(roots, path)
        .map_err(|source| Error::CaFile { path: path.to_owned(), source: Arc::new(source) })
}

fn add(roots: &mut RootCertStore, path: &Path) -> io::Result<()> {
    let pem = std::fs::read(path)?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        found = true;
    }
    if found { Ok(()) } else { Err(io::Error::other("no certificate in the file")) }
}
