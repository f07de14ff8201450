//! The verifier against mirrors that answer, refuse, lie, hang and are away.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pratique_plugins::verifier::{Answer, check, judge};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const IMAGE: &str = "up.test/lib/alpine:3.23";
const NAME: &str = "up.test/lib/alpine";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn image() -> String {
    sha256(b"the image")
}

/// What a mirror says to a path: the status line, headers, body.
#[derive(Clone)]
struct Said(String, Vec<(String, String)>, Vec<u8>);

impl Said {
    fn ok(body: &[u8]) -> Self {
        Self("200 OK".into(), vec![], body.to_vec())
    }

    fn admits(digest: &str) -> Self {
        Self("200 OK".into(), vec![("Docker-Content-Digest".into(), digest.into())], vec![])
    }

    fn status(line: &str) -> Self {
        Self(line.into(), vec![], vec![])
    }
}

/// A mirror on loopback that says what it is told to, and remembers what it was asked.
struct Mirror {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn start(answers: BTreeMap<String, Said>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop(answer(&stream, &answers, &seen));
            }
        });
        Self { address, asked }
    }

    /// Says `said` to the question about the image, and nothing else.
    fn saying(said: Said) -> Self {
        Self::start(BTreeMap::from([(manifest_of(&image()), said)]))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn manifest_of(digest: &str) -> String {
    format!("/v2/lib/alpine/manifests/{digest}?ns=up.test")
}

fn answer(
    mut stream: &TcpStream,
    answers: &BTreeMap<String, Said>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head)?;
    let mut line = String::from("x");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    seen.lock().unwrap().push(format!("{method} {path}"));
    let none = Said::status("404 Not Found");
    let Said(status, headers, body) = answers.get(path).unwrap_or(&none);
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text = format!("{text}{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if method != "HEAD" {
        stream.write_all(body)?;
    }
    Ok(())
}

struct Node {
    folder: TempDir,
}

impl Node {
    fn new(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("settings.toml"), settings).unwrap();
        Self { folder }
    }

    /// One that asks `mirrors`.
    fn of(mirrors: &[&str]) -> Self {
        Self::new(&format!("timeout = \"3s\"\nmirrors = {mirrors:?}\n"))
    }

    /// One that remembers in `summaries` what it is told, and believes `key`.
    fn remembering(mirrors: &[&str], key: &Key) -> Self {
        let node = Self::of(mirrors);
        node.add(&format!(
            "[offline]\nkeys = ['{}']\nsummaries = '{}'\nmax_age = \"10d\"\nremember = true\n",
            key.file(node.folder.path()).display(),
            node.summaries().display()
        ));
        node
    }

    fn add(&self, text: &str) {
        let path = self.settings();
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + text).unwrap();
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("settings.toml")
    }

    fn summaries(&self) -> PathBuf {
        self.folder.path().join("summaries")
    }

    fn ask_at(&self, name: &str, digest: &str, now: SystemTime) -> Answer {
        let arguments = ["-name", name, "-digest", digest].map(OsString::from);
        judge(&arguments, std::io::empty(), &self.settings(), now)
    }

    fn ask(&self, name: &str) -> Answer {
        self.ask_at(name, &image(), now())
    }
}

#[expect(clippy::disallowed_methods, reason = "files have the time of this machine")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn refused(answer: Answer) -> String {
    let Answer::Refused(reason) = answer else { panic!("{answer:?}") };
    reason
}

fn allowed(answer: Answer) -> String {
    let Answer::Allowed(reason) = answer else { panic!("{answer:?}") };
    reason
}

/// Nobody listens there.
fn away() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn what_the_mirror_admits_is_allowed_and_what_it_refuses_is_refused_in_its_words() {
    let mirror = Mirror::saying(Said::admits(&image()));
    let node = Node::of(&[&mirror.address]);
    assert_eq!(allowed(node.ask(IMAGE)), format!("admitted by {}", mirror.address));
    assert_eq!(mirror.asked(), [format!("HEAD {}", manifest_of(&image()))]);

    let words = "403 Denied by rule signed: not signed by team, run: pratique show R-8";
    let mirror = Mirror::saying(Said::status(words));
    let said = refused(Node::of(&[&mirror.address]).ask(IMAGE));
    assert_eq!(said, "Denied by rule signed: not signed by team, run: pratique show R-8");
    let mirror = Mirror::saying(Said::status("404 Not Found"));
    let said = refused(Node::of(&[&mirror.address]).ask(IMAGE));
    assert!(said.contains("knows no up.test/lib/alpine@sha256:"), "{said}");
}

#[test]
fn an_image_by_the_mirrors_own_name_is_asked_for_as_such() {
    let path = format!("/v2/up.test/lib/alpine/manifests/{}", image());
    let mirror = Mirror::start(BTreeMap::from([(path, Said::admits(&image()))]));
    let own = mirror.address.strip_prefix("http://").unwrap();
    let node = Node::of(&[&mirror.address]);
    allowed(node.ask(&format!("{own}/up.test/lib/alpine:3.23")));
}

#[test]
fn what_cannot_be_found_out_is_a_no() {
    let other = sha256(b"another image");
    for (said, reason) in [
        (Said::ok(b""), "answers about another digest"),
        (Said::admits(&other), "answers about another digest"),
        (Said::status("401 Unauthorized"), "401 Unauthorized"),
        (Said::status("307 Temporary Redirect"), "307 Temporary Redirect"),
        (Said::status("503 Mirror unavailable failing closed"), "503 Mirror unavailable"),
        (Said::status("200"), "answers about another digest"),
        (Said::status("junk"), "no HTTP answer"),
    ] {
        let mirror = Mirror::saying(said);
        let text = refused(Node::of(&[&mirror.address]).ask(IMAGE));
        assert!(text.starts_with("no mirror answers: http://127.0.0.1:"), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let text = refused(Node::of(&[&away()]).ask(IMAGE));
    assert!(text.contains("no connection"), "{text}");
    let text = refused(Node::new("mirrors = 1").ask(IMAGE));
    assert!(text.contains("line 1") && text.contains("settings.toml"), "{text}");
    let misused = Node::of(&[&away()]).ask_at("alpine", &image(), now());
    assert!(matches!(misused, Answer::Misused(_)), "{misused:?}");
}

#[test]
fn a_mirror_that_hangs_or_is_away_leaves_the_question_to_the_next_and_a_no_does_not() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", hanging.local_addr().unwrap());
    let good = Mirror::saying(Said::admits(&image()));
    let node = Node::of(&[&hangs, &away(), &good.address]);
    allowed(node.ask(IMAGE));

    let denies = Mirror::saying(Said::status("403 Revoked 2026-11-20: key lost"));
    let said = refused(Node::of(&[&away(), &denies.address, &good.address]).ask(IMAGE));
    assert_eq!(said, "Revoked 2026-11-20: key lost");
}

#[test]
fn a_declared_registry_is_not_asked_about_and_its_neighbours_are() {
    let mirror = Mirror::saying(Said::status("403 Denied"));
    let node = Node::of(&[&mirror.address]);
    node.add("direct = [\"registry.corp:5000\"]");
    assert!(allowed(node.ask("registry.corp:5000/a/b:1")).contains("declared direct"));
    for name in ["registry.corp/a/b:1", "x.registry.corp:5000/a/b:1", IMAGE] {
        refused(node.ask(name));
    }
}

/// A key as a mirror has it.
struct Key(RsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn file(&self, folder: &Path) -> PathBuf {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        let path = folder.join("mirror.pub");
        let body = STANDARD.encode(der.as_ref());
        std::fs::write(
            &path,
            format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"),
        )
        .unwrap();
        path
    }

    fn bundle(&self, statement: &Value) -> Value {
        let payload = statement.to_string();
        let kind = "application/vnd.in-toto+json";
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "x"}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": kind,
                "signatures": [{"sig": STANDARD.encode(signature)}],
            },
        })
    }
}

fn statement() -> Value {
    let image = image();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": image.strip_prefix("sha256:").unwrap()}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "timeVerified": jiff::Timestamp::try_from(now()).unwrap().to_string(),
            "resourceUri": format!("oci://{NAME}@{image}"),
            "verificationResult": "PASSED",
        },
    })
}

/// A mirror that admits the image and lists `bundle` about it.
fn with_summary(bundle: &Value) -> Mirror {
    let blob = bundle.to_string();
    let layer = json!({"mediaType": BUNDLE, "digest": sha256(blob.as_bytes()), "size": blob.len()});
    let manifest = json!({"schemaVersion": 2, "layers": [layer]}).to_string();
    let digest = sha256(manifest.as_bytes());
    let list = json!({"manifests": [{
        "digest": digest, "artifactType": BUNDLE,
        "annotations": {"dev.sigstore.bundle.predicateType": "https://slsa.dev/verification_summary/v1"},
    }]});
    let kind = "application/vnd.dev.sigstore.bundle.v0.3%2Bjson";
    let referrers = format!("/v2/lib/alpine/referrers/{}?ns=up.test&artifactType={kind}", image());
    Mirror::start(BTreeMap::from([
        (manifest_of(&image()), Said::admits(&image())),
        (referrers, Said::ok(list.to_string().as_bytes())),
        (manifest_of(&digest), Said::ok(manifest.as_bytes())),
        (
            format!("/v2/lib/alpine/blobs/{}?ns=up.test", sha256(blob.as_bytes())),
            Said::ok(blob.as_bytes()),
        ),
    ]))
}

fn kept(node: &Node) -> PathBuf {
    node.summaries().join(format!("{}~up.test~lib~alpine.json", image().replace(':', "-")))
}

/// Another mirror for the same node.
fn turn_to(node: &Node, mirror: &str) {
    let text = std::fs::read_to_string(node.settings()).unwrap();
    let rest = text.split_once("[offline]").unwrap().1;
    std::fs::write(
        node.settings(),
        format!("timeout = \"3s\"\nmirrors = [{mirror:?}]\n[offline]{rest}"),
    )
    .unwrap();
}

#[test]
fn what_was_admitted_is_remembered_for_when_every_mirror_is_away_and_a_no_still_counts() {
    let key = Key::new();
    let mirror = with_summary(&key.bundle(&statement()));
    let node = Node::remembering(&[&mirror.address], &key);
    allowed(node.ask(IMAGE));
    assert!(kept(&node).is_file(), "{:?}", mirror.asked());
    let asked = mirror.asked().len();
    allowed(node.ask(IMAGE));
    assert_eq!(mirror.asked().len(), asked + 1, "what is kept is not fetched again");

    turn_to(&node, &away());
    let said = allowed(node.ask(IMAGE));
    assert!(said.contains("by its summary") && said.contains("no connection"), "{said}");
    let (text, is_good) = check(&node.settings());
    assert!(text.contains("1 summaries in") && !is_good, "{text}");
    for name in ["up.test/lib/other:1", "other.test/lib/alpine:3.23"] {
        let said = refused(node.ask(name));
        assert!(said.contains("no summary of sha256:"), "{said}");
    }
    let later = now() + Duration::from_hours(11 * 24);
    let said = refused(node.ask_at(IMAGE, &image(), later));
    assert!(said.contains("too old"), "{said}");

    let revokes = Mirror::saying(Said::status("403 Revoked"));
    turn_to(&node, &revokes.address);
    assert_eq!(refused(node.ask(IMAGE)), "Revoked");
}

#[test]
fn a_summary_that_is_forged_or_about_something_else_admits_nothing() {
    let (key, stranger) = (Key::new(), Key::new());
    let changed = |pointer: &str, value: Value| {
        let mut statement = statement();
        *statement.pointer_mut(pointer).unwrap() = value;
        key.bundle(&statement)
    };
    let mut flipped = key.bundle(&statement());
    let mut other = statement();
    other["predicate"]["verifier"] = json!("x");
    flipped["dsseEnvelope"]["payload"] = json!(STANDARD.encode(other.to_string()));
    let mut twice = key.bundle(&statement());
    let signatures = twice["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
    signatures.push(signatures[0].clone());
    let mut unsigned = key.bundle(&statement());
    unsigned["dsseEnvelope"]["signatures"] = json!([]);
    let future = jiff::Timestamp::try_from(now() + Duration::from_hours(1)).unwrap();
    for (bundle, reason) in [
        (stranger.bundle(&statement()), "signed by none of the keys"),
        (flipped, "signed by none of the keys"),
        (twice, "signed by none of the keys"),
        (unsigned, "signed by none of the keys"),
        (changed("/predicate/verificationResult", json!("FAILED")), "the result is another"),
        (
            changed("/predicateType", json!("https://slsa.dev/provenance/v1")),
            "no verification summary",
        ),
        (changed("/subject/0/digest/sha256", json!("11")), "about another digest"),
        (changed("/subject", json!([])), "about another digest"),
        (changed("/predicate/resourceUri", json!("oci://up.test/lib/x@y")), "another repository"),
        (changed("/predicate/timeVerified", json!(future.to_string())), "of the future"),
        (json!({"mediaType": BUNDLE}), "is damaged"),
        (json!([]), "is damaged"),
    ] {
        let node = Node::remembering(&[&away()], &key);
        std::fs::create_dir(node.summaries()).unwrap();
        std::fs::write(kept(&node), bundle.to_string()).unwrap();
        let said = refused(node.ask(IMAGE));
        assert!(said.contains(reason), "{reason}: {said}");
        // Nor is it kept where a mirror lists it.
        if reason != "of the future" {
            let node = Node::remembering(&[&with_summary(&bundle).address], &key);
            allowed(node.ask(IMAGE));
            assert!(!kept(&node).exists(), "{reason}");
        }
    }
}

#[test]
fn a_folder_that_others_may_write_into_is_not_believed() {
    let key = Key::new();
    let node = Node::remembering(&[&away()], &key);
    std::fs::create_dir(node.summaries()).unwrap();
    std::fs::write(kept(&node), key.bundle(&statement()).to_string()).unwrap();
    allowed(node.ask(IMAGE));
    std::fs::set_permissions(node.summaries(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let said = refused(node.ask(IMAGE));
    assert!(said.contains("others may write into it"), "{said}");
}

#[test]
fn a_check_names_what_is_away() {
    let mirror = Mirror::start(BTreeMap::from([("/readyz".to_owned(), Said::ok(b"ok"))]));
    let away = away();
    let node = Node::of(&[&mirror.address, &away]);
    let (text, is_good) = check(&node.settings());
    assert!(!is_good);
    assert!(text.contains(&format!("ready    {}", mirror.address)), "{text}");
    assert!(text.contains(&format!("away     {away}: no connection")), "{text}");
    let (text, is_good) = check(&Node::of(&[&mirror.address]).settings());
    assert!(is_good, "{text}");
    assert!(text.contains("every image is refused"), "{text}");
}

/// Certificates of an authority, of a mirror at 127.0.0.1 and of a node.
struct Certificates {
    ca: String,
    mirror: (rcgen::Certificate, rcgen::KeyPair),
    node: (String, String),
}

fn certificates() -> Certificates {
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (certificate, key) = signed("node-1");
    Certificates {
        ca: ca.pem(),
        mirror: signed("127.0.0.1"),
        node: (certificate.pem(), key.serialize_pem()),
    }
}

/// A mirror over TLS that takes nodes with a certificate only, and admits the image.
fn over_tls(certificates: &Certificates) -> String {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificates.ca.as_bytes()).unwrap()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let (certificate, key) = &certificates.mirror;
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                match std::io::Read::read(&mut stream, &mut byte) {
                    Ok(1) => head.push(byte[0]),
                    Ok(_) | Err(_) => break,
                }
            }
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDocker-Content-Digest: {}\r\n\r\n",
                image()
            );
            drop(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()));
        }
    });
    address
}

#[test]
fn a_mirror_is_believed_by_its_authority_alone_and_asked_with_the_nodes_certificate() {
    let certificates = certificates();
    let mirror = over_tls(&certificates);
    let node = Node::of(&[&mirror]);
    let said = refused(node.ask(IMAGE));
    assert!(said.contains("TLS: ") && said.contains("certificate"), "{said}");
    let place = |name: &str, text: &str| {
        let path = node.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    node.add(&format!("ca = '{}'\n", place("ca.pem", &certificates.ca).display()));
    let said = refused(node.ask(IMAGE));
    assert!(said.contains("no mirror answers"), "without a certificate of its own: {said}");
    let (certificate, key) = &certificates.node;
    let (certificate, key) = (place("node.pem", certificate), place("node.key", key));
    node.add(&format!(
        "client_cert = '{}'\nclient_key = '{}'\n",
        certificate.display(),
        key.display()
    ));
    allowed(node.ask(IMAGE));
    std::fs::write(key, "no key").unwrap();
    let said = refused(node.ask(IMAGE));
    assert!(said.contains("node.key: "), "{said}");
}
