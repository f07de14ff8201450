//! Logins from a program, by the docker-credential-helper protocol.
//!
//! Spec: <https://github.com/docker/docker-credential-helpers#usage>

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::credentials::Login;
use crate::oci::{Registry, Secret, from_strict_slice};

/// Longest answer of a helper, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The login that `program` has for `registry`. The program is killed when it takes longer than
/// `timeout`; what it writes to its standard error is dropped, for it may hold secrets.
pub(super) async fn ask(
    program: &str,
    registry: &Registry,
    timeout: Duration,
) -> io::Result<Login> {
    let asked = tokio::time::timeout(timeout, ask_now(program, registry));
    asked.await.unwrap_or_else(|_| Err(io::Error::other("credential helper took too long")))
}

async fn ask_now(program: &str, registry: &Registry) -> io::Result<Login> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("credential helper has no pipes"));
    };
    stdin.write_all(server(registry).as_bytes()).await?;
    drop(stdin);
    let mut answer = Vec::new();
    stdout.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer).await?;
    if u64::try_from(answer.len()).is_ok_and(|length| length > ANSWER_BYTES_MAX) {
        return Err(io::Error::other("credential helper says too much"));
    }
    if !child.wait().await?.success() {
        return Err(io::Error::other("credential helper failed"));
    }
    // The cause is left out: it could quote the answer.
    let answer: Answer = from_strict_slice(&answer)
        .map_err(|_| io::Error::other("credential helper's answer is malformed"))?;
    Ok(Login { username: answer.username, password: Secret::new(answer.secret), generation: 0 })
}

/// What Docker calls a registry when it asks for a login.
fn server(registry: &Registry) -> &str {
    if *registry == Registry::docker_hub() {
        return "https://index.docker.io/v1/";
    }
    registry.as_str()
}
