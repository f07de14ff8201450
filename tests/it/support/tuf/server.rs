//! A server of files on a loopback port, without any runtime: what it serves is asked for by processes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What it says to a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The file.
    File(Vec<u8>),
    /// A body that never ends.
    Endless,
    /// The beginning of the file, and no end to it while somebody waits.
    Stalled(Vec<u8>),
    /// A status and one header.
    Status(&'static str, String),
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Answer>,
    asked: Vec<String>,
    is_closed: bool,
}

/// The server; it ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// One that has nothing yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if locked(&shared).is_closed {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Whoever goes away early is no matter.
                thread::spawn(move || drop(answer(stream, &shared)));
            }
        });
        Self { address, state }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves `content` at `path`.
    pub(crate) fn put(&self, path: &str, content: Vec<u8>) {
        self.say(path, Answer::File(content));
    }

    /// Says `answer` at `path`.
    pub(crate) fn say(&self, path: &str, answer: Answer) {
        locked(&self.state).files.insert(path.to_owned(), answer);
    }

    /// Has nothing at `path` any more.
    pub(crate) fn remove(&self, path: &str) {
        assert!(locked(&self.state).files.remove(path).is_some(), "{path} was not there");
    }

    /// Everything that is served, to be put back later.
    pub(crate) fn files(&self) -> BTreeMap<String, Answer> {
        locked(&self.state).files.clone()
    }

    /// Serves `files` and nothing else.
    pub(crate) fn restore(&self, files: BTreeMap<String, Answer>) {
        locked(&self.state).files = files;
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        locked(&self.state).is_closed = true;
        // One more connection, so that it looks.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let answer = {
        let mut state = locked(state);
        state.asked.push(path.clone());
        state.files.get(&path).cloned()
    };
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n")
    };
    let mut stream = stream;
    match answer {
        None => stream.write_all(format!("{}\r\n", head("404 Not Found", 0)).as_bytes()),
        Some(Answer::Status(status, header)) => {
            stream.write_all(format!("{}{header}\r\n\r\n", head(status, 0)).as_bytes())
        }
        Some(Answer::File(content)) => {
            stream.write_all(format!("{}\r\n", head("200 OK", content.len())).as_bytes())?;
            stream.write_all(&content)
        }
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes())?;
            }
        }
        Some(Answer::Stalled(content)) => {
            let length = content.len() + 1;
            stream.write_all(format!("{}\r\n", head("200 OK", length)).as_bytes())?;
            stream.write_all(&content)?;
            reader.read_to_end(&mut Vec::new()).map(drop)
        }
    }
}
