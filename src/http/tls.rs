//! Certificates of our own listeners, reloaded when their files change.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tracing::{info, warn};

use crate::tasks::Tasks;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Where a listener's certificates are.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// PEM file: the certificate and what chains it to its root.
    pub cert: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
    /// PEM file: whose client certificates are accepted, and whether one is needed.
    pub client_ca: Option<(PathBuf, ClientCertificates)>,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Checked when there is one.
    Optional,
    /// No handshake without one.
    Required,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client CA file holds nothing usable.
    #[error("client CA file {path} cannot be used")]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// Certificate and key do not go together, or the key is of a kind that is not supported.
    #[error("certificate {cert} and key {key} cannot be used together")]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A file cannot be read as PEM.
    #[error("{path} cannot be read as PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The protocol versions that are asked for are not to be had.
    #[error("TLS 1.2 and 1.3 cannot be offered")]
    Versions(#[source] rustls::Error),
}

/// A TLS configuration that follows its files.
#[derive(Debug, Clone)]
pub struct Reloading {
    settings: TlsSettings,
    protocols: &'static [&'static [u8]],
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Reloading {
    /// Reads the files once and, from then on, whenever one of them changes; a change that cannot
    /// be used is logged, and the old certificates stay.
    ///
    /// # Errors
    /// When the files cannot be used now.
    pub fn start(
        settings: TlsSettings,
        protocols: &'static [&'static [u8]],
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let current = Arc::new(RwLock::new(Arc::new(load(&settings, protocols)?)));
        let reloading = Self { settings, protocols, current };
        let (watching, stopping) = (reloading.clone(), tasks.stopping());
        let pool = tasks.clone();
        drop(tasks.spawn(async move { watching.follow(pool, stopping).await }));
        Ok(reloading)
    }

    /// The configuration for the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn follow(self, tasks: Tasks, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        let mut seen = stamps(&self.settings);
        loop {
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
            }
            let (settings, protocols, before) =
                (self.settings.clone(), self.protocols, seen.clone());
            let looked = tasks.spawn_blocking(move || {
                let now = stamps(&settings);
                let loaded = (now != before).then(|| load(&settings, protocols));
                (now, loaded)
            });
            let Ok((now, loaded)) = looked.await else { return };
            match loaded {
                None => continue,
                Some(Ok(config)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(config);
                    info!(cert = %self.settings.cert.display(), "certificates reloaded");
                }
                Some(Err(error)) => {
                    warn!(%error, cause = ?std::error::Error::source(&error), "certificates not reloaded; the old ones stay");
                }
            }
            seen = now;
        }
    }
}

fn stamps(settings: &TlsSettings) -> Vec<Option<(SystemTime, u64)>> {
    let client_ca = settings.client_ca.as_ref().map(|(path, _)| path);
    [Some(&settings.cert), Some(&settings.key), client_ca]
        .into_iter()
        .flatten()
        .map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
        .collect()
}

fn load(settings: &TlsSettings, protocols: &[&[u8]]) -> Result<ServerConfig, Error> {
    let certificates = read_certificates(&settings.cert)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|source| Error::Pem { path: settings.key.clone(), source })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Versions)?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some((path, needed)) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(read_certificates(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match needed {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::Required => verifier,
            };
            let verifier = verifier
                .build()
                .map_err(|source| Error::ClientCa { path: path.clone(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|source| Error::Pair {
        cert: settings.cert.clone(),
        key: settings.key.clone(),
        source,
    })?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn read_certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::Pem { path: path.clone(), source };
    CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)
}
