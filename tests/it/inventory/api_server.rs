//! An API server of Kubernetes, as far as it lists: over TLS, with answers that a test gives.

use std::sync::{Arc, Mutex};

use pratique::tasks::Tasks;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::certs::{Authority, Validity};
use crate::support::tls::Front;

/// What is answered.
pub(super) enum Answer {
    /// It breaks off in the middle.
    Cut,
    /// A status and a body.
    Whole(u16, String),
}

/// What to answer to a path with its query; before it stands the method, where that is not GET.
type Answers = dyn Fn(&str) -> Answer + Send + Sync;

/// A running one, with the account of a pod of it.
pub(super) struct ApiServer {
    front: Front,
    account: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    pub(super) async fn start(answers: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let target = listener.local_addr().expect("an address").to_string();
        let (asked, bodies) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let tasks = Tasks::new();
        let answers: Arc<Answers> = Arc::new(answers);
        let logs = (Arc::clone(&asked), Arc::clone(&bodies));
        drop(tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tasks.spawn(answer(stream, Arc::clone(&answers), logs.clone())));
            }
        }));
        let authority = Authority::generate();
        let front = Front::start(&authority.sign("kubernetes", Validity::Now), &target).await;
        let account = tempfile::tempdir().expect("a folder");
        std::fs::write(account.path().join("ca.crt"), authority.pem()).expect("a file");
        std::fs::write(account.path().join("token"), "pods-own-token\n").expect("a file");
        Self { front, account, asked, bodies }
    }

    /// The folder with the account.
    pub(super) fn account(&self) -> &std::path::Path {
        self.account.path()
    }

    pub(super) fn host_and_port(&self) -> (&str, &str) {
        self.front.address().split_once(':').expect("a port")
    }

    /// What was sent besides.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    /// What was asked for, each with the credentials that were shown.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Log = Arc<Mutex<Vec<String>>>;

async fn answer(mut stream: TcpStream, answers: Arc<Answers>, (log, bodies): (Log, Log)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let (method, path) = (head.split(' ').next(), head.split(' ').nth(1).expect("a path"));
    let path = match method {
        Some("GET") | None => path.to_owned(),
        Some(method) => format!("{method} {path}"),
    };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if let Some(length) = length {
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        bodies.lock().unwrap().push(String::from_utf8(body).expect("text"));
    }
    let shown = head.lines().find(|it| it.to_lowercase().starts_with("authorization:"));
    log.lock().unwrap().push(format!("{path} {}", shown.unwrap_or_default()));
    let (status, body, length) = match answers(&path) {
        Answer::Whole(status, body) => (status, body.clone(), body.len()),
        Answer::Cut => (200, "{\"items\": [".to_owned(), 1_000),
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    // A client that has gone away has read enough.
    drop(stream.write_all(head.as_bytes()).await);
    drop(stream.write_all(body.as_bytes()).await);
    drop(stream.shutdown().await);
}
