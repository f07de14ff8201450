//! A proxy that makes tunnels.

use std::sync::{Arc, Mutex, PoisonError};

use pratique::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A `CONNECT` proxy on a loopback port, which leads to one place whatever it is asked for.
pub(crate) struct FakeProxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeProxy {
    /// A proxy that leads to `target` (`host:port`).
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("an address").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (tasks, seen) = (Tasks::new(), Arc::clone(&heads));
        let task = tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tasks.spawn(tunnel(stream, target.clone(), Arc::clone(&seen))));
            }
        });
        Self { address, heads, task }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tunnel(mut client: TcpStream, target: String, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_tunnel = head.starts_with("CONNECT ");
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let answer: &[u8] =
        if is_tunnel { b"HTTP/1.1 200 OK\r\n\r\n" } else { b"HTTP/1.1 400 No\r\n\r\n" };
    if client.write_all(answer).await.is_ok() && is_tunnel {
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    }
}
