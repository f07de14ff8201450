//! Who is answered, and what is told besides.

use std::sync::Arc;

use pratique::http::ClientCertificates;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Cluster, RULES, recorded};
use crate::support::certs::{self, Authority, Pair, Validity};

const OPEN: &str = "up.test/open/app:1";

/// The head of what is answered to a request over TLS; `None` where there is no connection for it.
async fn ask(
    cluster: &Cluster,
    client: Arc<rustls::ClientConfig>,
    request: &str,
) -> Option<String> {
    let stream =
        TcpStream::connect(cluster.mirror.admission_address()).await.expect("a connection");
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(client);
    let mut stream = connector.connect(name, stream).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    Some(String::from_utf8_lossy(&answer).into_owned()).filter(|it| !it.is_empty())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn no_review_is_answered_without_a_certificate_where_one_is_asked_for() {
    let (own, theirs, stranger) =
        (Authority::generate(), Authority::generate(), Authority::generate());
    let listener = own.sign("listener", Validity::Now);
    let client =
        |pair: Option<&Pair>| certs::client(&own, pair, &[b"http/1.1"], rustls::ALL_VERSIONS);
    let body = recorded("pod-create", OPEN, "").to_string();
    let review = post("/admission/v1/validate", &body);
    let api_server = theirs.sign("api-server", Validity::Now);
    let other = stranger.sign("stranger", Validity::Now);
    let old = theirs.sign("old", Validity::Expired);
    for needed in [ClientCertificates::Optional, ClientCertificates::Required] {
        let folder = tempfile::tempdir().unwrap();
        let tls = listener.listener(folder.path(), Some((&theirs, needed)));
        let cluster = Cluster::start_with(RULES, |it| it.tls = Some(tls)).await;
        let answer = ask(&cluster, client(Some(&api_server)), &review).await.expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("AdmissionReview"),
            "{answer}"
        );
        for none in [Some(&other), Some(&old)] {
            let answer = ask(&cluster, client(none), &review).await;
            assert!(answer.is_none(), "{answer:?}");
        }
        let without = ask(&cluster, client(None), &review).await;
        let probe = ask(&cluster, client(None), &get("/livez")).await;
        if needed == ClientCertificates::Optional {
            let without = without.expect("an answer");
            assert!(without.starts_with("HTTP/1.1 401 "), "{without}");
            assert!(without.contains("a client certificate is needed here"), "{without}");
            assert!(!without.contains("AdmissionReview"), "{without}");
            assert!(probe.expect("an answer").starts_with("HTTP/1.1 200 "));
        } else {
            assert!(without.is_none() && probe.is_none(), "{without:?} {probe:?}");
        }
    }
}

#[tokio::test]
async fn other_paths_methods_and_bodies_are_told_in_words() {
    let cluster = Cluster::start().await;
    let review = recorded("pod-create", OPEN, "").to_string();
    for path in ["/", "/admission/v1beta1/validate", "/metrics", "/api/v1/requests", "/v2/"] {
        let (status, body) = cluster.post(path, review.clone()).await;
        assert_eq!(status, 404, "{path}: {body:?}");
    }
    let (status, _) = cluster.post("/livez", "{}").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn decisions_are_counted_by_what_was_asked_and_said_and_timed() {
    let cluster = Cluster::start().await;
    cluster.known("open/app", "1", "app").await;
    for image in [OPEN, "up.test/never/app:1", "up.test/open/other:1"] {
        cluster.validate(&recorded("pod-create", image, "")).await;
    }
    cluster.mutate(&recorded("pod-create", OPEN, "")).await;
    let text = cluster.mirror.mirror().metrics().render();
    for line in [
        "pratique_admission_reviews_total{mode=\"validate\",result=\"allowed\"} 1\n",
        "pratique_admission_reviews_total{mode=\"validate\",result=\"denied\"} 1\n",
        "pratique_admission_reviews_total{mode=\"validate\",result=\"warned\"} 1\n",
        "pratique_admission_reviews_total{mode=\"mutate\",result=\"allowed\"} 1\n",
        "pratique_admission_duration_seconds_count 4\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn without_its_block_there_is_no_listener() {
    let mirror =
        crate::support::mirror::TestMirror::start(r#"- {id: open, match: ["**"], trust: allow}"#)
            .await;
    assert_eq!(mirror.admission_address_if_any(), None);
}
