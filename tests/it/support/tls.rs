//! TLS in front of a server that speaks none.

use std::sync::Arc;

use pratique::tasks::Tasks;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certs::Pair;

/// A loopback port behind which another one is.
pub(crate) struct Front {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    /// Shows the certificate of `pair` and leads to `target` (`host:port`).
    pub(crate) async fn start(pair: &Pair, target: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("an address").to_string();
        let (tasks, target) = (Tasks::new(), target.to_owned());
        let task = tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tasks.spawn(lead(stream, acceptor.clone(), target.clone())));
            }
        });
        Self { address, task }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(stream: TcpStream, acceptor: TlsAcceptor, target: String) {
    let Ok(mut client) = acceptor.accept(stream).await else { return };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
}
