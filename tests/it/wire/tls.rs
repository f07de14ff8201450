//! TLS of our own listeners (hostile catalogue, row 42).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pratique::http::ClientCertificates;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Said, get, in_time};
use crate::support::certs::{self, Authority, Pair, Validity};
use crate::support::mirror::TestMirror;
use crate::support::upstream::Image;

const RULES: &str = "rules:\n- {id: asked, match: [\"up.test/asked/**\"], trust: approve}\n";
const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

struct Secured {
    mirror: TestMirror,
    server_ca: Authority,
    client_ca: Authority,
    _certificates: tempfile::TempDir,
}

async fn start(needed: ClientCertificates) -> Secured {
    let (server_ca, client_ca) = (Authority::generate(), Authority::generate());
    let folder = tempfile::tempdir().unwrap();
    let pair = server_ca.sign("mirror", Validity::Now);
    let tls = pair.listener(folder.path(), Some((&client_ca, needed)));
    let mirror = TestMirror::start_with(RULES, |settings| settings.node.tls = Some(tls)).await;
    Secured { mirror, server_ca, client_ca, _certificates: folder }
}

/// The answer to `bytes` by TLS; `None` when there was no handshake, or it ended without an answer.
async fn ask(address: SocketAddr, config: Arc<rustls::ClientConfig>, bytes: &[u8]) -> Option<Said> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connecting = TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream);
    let mut stream = in_time(connecting).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.ok()?;
    (!answer.is_empty()).then(|| Said::parse(&answer))
}

/// Row 42: without a certificate of the right authority that is valid now, there is no connection.
#[tokio::test]
async fn a_node_without_a_valid_certificate_of_the_right_authority_gets_no_answer() {
    let secured = start(ClientCertificates::Required).await;
    let address = secured.mirror.node_address();
    let stranger = Authority::generate();
    let good = secured.client_ca.sign("node-1", Validity::Now);
    let expired = secured.client_ca.sign("node-1", Validity::Expired);
    let foreign = stranger.sign("node-1", Validity::Now);
    // A server's own certificate is no node's either.
    let servers = secured.server_ca.sign("mirror", Validity::Now);
    let bytes = get("/v2/", &[]);
    for versions in [BOTH, &[&TLS12]] {
        let with = |pair: Option<&Pair>| certs::client(&secured.server_ca, pair, &[], versions);
        assert_eq!(
            ask(address, with(Some(&good)), &bytes).await.map(|said| said.status),
            Some(200)
        );
        for (why, pair) in [
            ("no certificate", None),
            ("expired", Some(&expired)),
            ("another authority", Some(&foreign)),
            ("the server's authority", Some(&servers)),
        ] {
            let said = ask(address, with(pair), &bytes).await;
            assert!(said.is_none(), "{why}: {said:?}");
        }
    }
}

/// Row 42 (RUSTSEC-2023-0053): whether a certificate leads to the authority is found out in a bounded
/// number of tries; all the ways there are through these hundred would take minutes.
#[tokio::test]
async fn a_chain_of_a_hundred_certificates_is_given_up() {
    let Secured { mirror, server_ca, client_ca, _certificates } =
        start(ClientCertificates::Required).await;
    let bytes = get("/v2/", &[]);
    // The stranger has the name of the right authority, so that only the signatures tell.
    let maze = Authority::generate().sign_far("node-1", 19);
    let straight = client_ca.sign_far("node-1", 1);
    for versions in [BOTH, &[&TLS12]] {
        for (pair, status) in [(&straight, Some(200)), (&maze, None)] {
            let config = certs::client(&server_ca, Some(pair), &[], versions);
            let said = ask(mirror.node_address(), config, &bytes).await;
            assert_eq!(said.map(|said| said.status), status, "{versions:?}");
        }
    }
}

/// What is optional is still checked; who shows nothing is known by address.
#[tokio::test]
async fn an_optional_certificate_names_the_node_and_a_wrong_one_is_refused() {
    let secured = start(ClientCertificates::Optional).await;
    secured.mirror.upstream.push("asked/app", "1", &Image::new().layer("x").build());
    let address = secured.mirror.node_address();
    let bytes = get("/v2/asked/app/manifests/1?ns=up.test", &[]);
    let with = |pair: Option<&Pair>| certs::client(&secured.server_ca, pair, &[], BOTH);
    let hostile = "node\r\nX: <script>\u{1b}[2J".to_owned() + &"n".repeat(300);
    for name in ["node-7", hostile.as_str()] {
        let pair = secured.client_ca.sign(name, Validity::Now);
        let said = ask(address, with(Some(&pair)), &bytes).await.unwrap();
        assert_eq!((said.status, said.code().as_str()), (403, "DENIED"), "{said:?}");
    }
    assert_eq!(ask(address, with(None), &bytes).await.unwrap().status, 403);
    let wrong = Authority::generate().sign("node-8", Validity::Now);
    assert!(ask(address, with(Some(&wrong)), &bytes).await.is_none());

    let token = std::fs::read_to_string(secured.mirror.folder().join("data/admin.token")).unwrap();
    let token = format!("Authorization: Bearer {}", token.trim());
    let admin = secured.mirror.admin_url();
    let admin = admin.strip_prefix("http://").unwrap().parse().unwrap();
    let shown = super::exchange(admin, &get("/api/v1/requests/R-1", &[&token])).await;
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    let text = shown.to_string();
    assert!(text.contains("node-7") && text.contains("127.0.0.1"), "{text}");
    assert!(!text.contains("node-8"), "{text}");
    let escaped = ["\\r", "\\n", "\\u001b"];
    assert!(escaped.iter().all(|control| !text.contains(control)), "{text}");
    assert!(!text.contains(&"n".repeat(200)), "{text}");
}

/// Row 42: TLS 1.0 and 1.1 are refused in the handshake. Their hello is written by hand, because no
/// library says it any more.
#[tokio::test]
async fn old_versions_of_tls_are_refused() {
    let secured = start(ClientCertificates::Optional).await;
    for minor in [0, 1, 2] {
        let mut hello = vec![3, minor];
        hello.extend([7; 32]);
        hello.extend([0, 0, 4, 0x00, 0x2f, 0x00, 0x35, 1, 0]);
        let mut message = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
        message.extend(hello);
        let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        let answer = super::sent(secured.mirror.node_address(), &record).await;
        let alert_or_nothing = answer.is_empty() || answer[0] == 21;
        assert!(alert_or_nothing, "SSL 3.{minor} was answered by a handshake: {answer:?}");
    }
}

/// Row 41: nodes are offered HTTP/1.1 and nothing else, because no later version has a reason phrase.
#[tokio::test]
async fn nodes_are_offered_http_1_1_only() {
    let secured = start(ClientCertificates::Optional).await;
    let bytes = get("/v2/", &[]);
    let address = secured.mirror.node_address();
    for (protocols, works) in [
        (&[&b"h2"[..], b"http/1.1"][..], true),
        (&[b"http/1.1"], true),
        (&[], true),
        (&[b"h2"], false),
    ] {
        let config = certs::client(&secured.server_ca, None, protocols, BOTH);
        let said = ask(address, config, &bytes).await;
        assert_eq!(said.is_some_and(|said| said.status == 200), works, "{protocols:?}");
    }
}

/// Certificates are read again when they change; one that cannot be used changes nothing.
#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_bad_one_none() {
    let (old, new) = (Authority::generate(), Authority::generate());
    let folder = tempfile::tempdir().unwrap();
    let tls = old.sign("mirror", Validity::Now).listener(folder.path(), None);
    let key_path = tls.key.clone();
    let mirror = TestMirror::start_with(RULES, |settings| settings.node.tls = Some(tls)).await;
    let address = mirror.node_address();
    let trusts = |authority: &Authority| certs::client(authority, None, &[], BOTH);
    let bytes = get("/v2/", &[]);
    let (by_old, by_new) = (trusts(&old), trusts(&new));
    assert!(ask(address, Arc::clone(&by_old), &bytes).await.is_some());
    let mut kept = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(&by_old));
    let mut kept = connector.connect("localhost".try_into().unwrap(), &mut kept).await.unwrap();

    std::fs::write(&key_path, "no key at all\n").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(ask(address, Arc::clone(&by_old), &bytes).await.is_some(), "a bad key was taken");

    new.sign("mirror", Validity::Now).listener(folder.path(), None);
    let mut served = false;
    for _ in 0..100 {
        served = ask(address, Arc::clone(&by_new), &bytes).await.is_some();
        if served {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(served, "the new certificate was not taken up");
    assert!(ask(address, by_old, &bytes).await.is_none());
    kept.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    in_time(kept.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(Said::parse(&answer).status, 200, "a connection was cut by the change");
}

/// The admin commands find a server behind an authority of one's own, by `--ca-file` or by the
/// settings, and send no token to one that they do not trust.
#[tokio::test]
async fn admin_commands_trust_the_authority_they_are_told_and_no_other() {
    let (authority, stranger) = (Authority::generate(), Authority::generate());
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.sign("mirror", Validity::Now).listener(folder.path(), None);
    let settings = tls.clone();
    let mirror = TestMirror::start_with(RULES, |settings| settings.admin.tls = Some(tls)).await;
    let url = mirror.admin_url().replacen("http://", "https://", 1);
    let token = mirror.folder().join("data/admin.token");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ours = write("ours.crt", authority.pem());
    let theirs = write("theirs.crt", stranger.pem());
    let empty = write("empty.crt", "nothing\n");
    let listen = url.strip_prefix("https://").unwrap();
    let config = format!(
        "data_dir = {:?}\n[admin]\nlisten = \"{listen}\"\n[admin.tls]\ncert = {:?}\nkey = {:?}\n",
        mirror.folder().join("data"),
        settings.cert,
        settings.key
    );
    let config = write("pratique.toml", &config);
    let run = async |authority: Option<&std::path::Path>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.args(["status", "--json", "--admin-url", &url, "--token-file"]).arg(&token);
        if let Some(file) = authority {
            command.arg("--ca-file").arg(file);
        }
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(Some(&ours)).await, (Some(0), String::new()));
    for (why, file) in [("none", None), ("a stranger's", Some(theirs.as_path()))] {
        let (code, text) = run(file).await;
        assert_eq!(code, Some(2), "{why}: {text}");
        assert!(text.contains("no connection"), "{why}: {text}");
    }
    for file in [empty.as_path(), std::path::Path::new("/nonexistent")] {
        let (code, text) = run(Some(file)).await;
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains("CA file"), "{text}");
    }
    let mut by_config = tokio::process::Command::new(env!("CARGO_BIN_EXE_pratique"));
    by_config.args(["status", "--json", "--ca-file"]).arg(&ours).arg("--config").arg(&config);
    let output = by_config.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
