//! Whether the node reaches registries by the network: whoever is root on it pulls past everything then.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ask::in_time;

/// Where registries answer that name no port.
const HTTPS_PORT: u16 = 443;

/// How far a connection came.
#[derive(Debug)]
pub(super) enum Reached {
    /// Nothing answers.
    Nothing(io::Error),
    /// Something takes connections and speaks no TLS, or not in time.
    Connection(io::Error),
    /// Something speaks TLS that is not who it should be.
    Other(io::Error),
    /// It answers by TLS as who it is.
    Itself,
}

/// Connects to `host[:port]`, says hello by TLS and no more.
pub(super) async fn reach(host: &str) -> Reached {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().unwrap_or(HTTPS_PORT)),
        _ => (host, HTTPS_PORT),
    };
    let name = name.trim_matches(['[', ']']);
    let stream = match in_time(TcpStream::connect((name, port))).await {
        Ok(stream) => stream,
        Err(error) => return Reached::Nothing(error),
    };
    let connecting = async {
        let config = config().map_err(io::Error::other)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    };
    match in_time(connecting).await {
        Ok(_) => Reached::Itself,
        Err(error) if is_tls(&error) => Reached::Other(error),
        Err(error) => Reached::Connection(error),
    }
}

/// Whether it was said by somebody who speaks TLS.
fn is_tls(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)))
}

fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_answers_is_told_apart_from_what_does_not() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap().to_string();
        drop(closed);
        assert!(matches!(reach(&address).await, Reached::Nothing(_)));

        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = plain.local_addr().unwrap().to_string();
        let serving = async {
            let (mut stream, _) = plain.accept().await.unwrap();
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        };
        let (reached, ()) = tokio::join!(reach(&address), serving);
        assert!(matches!(reached, Reached::Connection(_)), "{reached:?}");
    }
}
