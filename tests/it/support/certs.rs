//! Certificates for tests: an authority, and what it signs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pratique::http::{ClientCertificates, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Someone who signs certificates.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, both as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It ended years ago.
    Expired,
    /// For all of a test.
    Now,
}

impl Authority {
    /// A new one.
    pub(crate) fn generate() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `127.0.0.1` and `localhost`, called `name`.
    pub(crate) fn sign(&self, name: &str, validity: Validity) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let names = ["127.0.0.1", "localhost"].map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        if validity == Validity::Expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Authorities between a root and what [`Authority::sign_far`] signs.
const LINKS: u8 = 5;

impl Authority {
    /// As [`Authority::sign`], with five authorities in between, and of each of them `width`
    /// certificates that are as good as one another: a chain can be tried in `width`^5 ways.
    pub(crate) fn sign_far(self, name: &str, width: u64) -> Pair {
        let mut above = self.issuer;
        let mut links = String::new();
        for link in 1..=LINKS {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(Vec::new()).expect("parameters");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, format!("link {link}"));
            for number in 1..=width {
                params.serial_number = Some(SerialNumber::from(number));
                let certificate = params.signed_by(&key, &above).expect("a certificate");
                links.push_str(&certificate.pem());
            }
            above = Issuer::new(params, key);
        }
        let last = Self { pem: String::new(), issuer: above };
        let mut pair = last.sign(name, Validity::Now);
        pair.certificate.push_str(&links);
        pair
    }
}

impl Pair {
    /// Writes both into `folder` and gives the settings that name them.
    pub(crate) fn listener(
        &self,
        folder: &Path,
        client_ca: Option<(&Authority, ClientCertificates)>,
    ) -> TlsSettings {
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        TlsSettings {
            cert: write("listener.crt", &self.certificate),
            key: write("listener.key", &self.key),
            client_ca: client_ca.map(|(ca, needed)| (write("clients.crt", ca.pem()), needed)),
        }
    }

    fn parsed(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificates = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates");
        (certificates, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key"))
    }
}

/// How a test connects by TLS.
pub(crate) fn client(
    trusted: &Authority,
    shown: Option<&Pair>,
    protocols: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trusted.pem.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let (certificates, key) = pair.parsed();
            builder.with_client_auth_cert(certificates, key).expect("a client certificate")
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
