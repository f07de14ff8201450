//! What a hostile upstream can do to the mirror, and what comes of it: nothing.
//!
//! After every fault all promises are checked that can be read from outside; see
//! `support::hostile::invariants`.

mod bodies;
mod heads;
mod health;
mod logins;
mod manifests;
mod tokens;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::hostile::rig::Rig;

/// The whole answer of the admin listener to `GET path`, head and all.
async fn admin(rig: &Rig, path: &str, token: &str) -> String {
    let url = rig.mirror.admin_url();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a port");
    let token = token.trim();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}
