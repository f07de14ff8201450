//! Certificates that are right, and some that are not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// How the TLS side behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// A certificate that ended in the year 2001.
    Expired,
    /// As it should be.
    Good,
    /// Signed by nobody else.
    SelfSigned,
    /// No word of the handshake.
    Stalled,
    /// A certificate for another host.
    WrongName,
}

/// An acceptor that shows the certificate of `kind`, and the authority behind it.
pub(super) fn acceptor(kind: Tls) -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = Issuer::new(ca, ca_key);
    let names = match kind {
        Tls::WrongName => ["other.test"].as_slice(),
        Tls::Expired | Tls::Good | Tls::SelfSigned | Tls::Stalled => &["127.0.0.1", "localhost"],
    };
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).expect("parameters");
    if kind == Tls::Expired {
        leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let leaf = match kind {
        Tls::SelfSigned => leaf.self_signed(&key),
        Tls::Expired | Tls::Good | Tls::Stalled | Tls::WrongName => leaf.signed_by(&key, &issuer),
    };
    let leaf = leaf.expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a server configuration");
    (TlsAcceptor::from(Arc::new(config)), ca_pem)
}
