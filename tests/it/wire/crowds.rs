//! Crowds of connections on the real program: file descriptors, memory, and who still gets through
//! (hostile catalogue, "fd exhaustion" and "10,000 idle + 100 slow-loris").

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{Said, get, in_time, until_closed};
use crate::support::upstream::{FakeUpstream, Image};

const MIB: u64 = 1 << 20;
/// Memory that a crowd of idle and slow connections may cost, in all.
const RESIDENT_MAX: u64 = 250 * MIB;

/// Times that the program is started before it counts as one that does not.
const STARTS_MAX: usize = 5;

/// `pratique serve` in front of a fake upstream.
struct Running {
    child: Child,
    node: SocketAddr,
    folder: tempfile::TempDir,
    upstream: FakeUpstream,
}

impl Running {
    /// With at most `files` open files, where that is said.
    async fn start(files: Option<u32>) -> Self {
        for _ in 0..STARTS_MAX {
            let mut running = Self::launched(files).await;
            let is_up = in_time(async {
                loop {
                    if let Some(ended) = running.child.try_wait().expect("a process") {
                        break Err(ended);
                    }
                    if TcpStream::connect(running.node).await.is_ok() {
                        break Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            match is_up.await {
                Ok(()) => return running,
                // Another test may have got the port meanwhile.
                Err(ended) => say(&format!("{ended}: {}\n", running.log())),
            }
        }
        panic!("it does not start");
    }

    async fn launched(files: Option<u32>) -> Self {
        let upstream = FakeUpstream::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let (node, admin) = (free_port(), free_port());
        let path = |name: &str| folder.path().join(name);
        let policy = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
                      rules:\n- {id: open, match: [\"up.test/open/**\"], trust: allow}\n";
        std::fs::write(path("policy.yaml"), policy).expect("a policy");
        let settings = format!(
            "data_dir = {:?}\npolicy = {:?}\n[node]\nlisten = \"{node}\"\nmax_connections = 100000\n\
             [admin]\nlisten = \"{admin}\"\n[[upstream]]\nregistry = \"up.test\"\nurl = \"{}\"\n\
             danger_plain_http = true\n",
            path("data"),
            path("policy.yaml"),
            upstream.url()
        );
        std::fs::write(path("pratique.toml"), settings).expect("a settings file");
        let log = std::fs::File::create(path("log")).expect("a log");
        let limit = files.map_or(String::new(), |files| format!("ulimit -n {files} && "));
        let script = format!("{limit}exec \"$0\" serve --quiet --config \"$1\"");
        let child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_pratique")])
            .arg(path("pratique.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        Self { child, node, folder, upstream }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Resident memory in bytes.
    fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a process status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
        kib * 1024
    }

    /// Processor time so far, in clock ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a stat");
        let fields: Vec<&str> =
            stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system")
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("descriptors").count()
    }

    fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// The answer to one request on a connection of its own; `None` when there is none.
    async fn ask(&self, target: &str) -> Option<Said> {
        let mut stream = TcpStream::connect(self.node).await.ok()?;
        stream.write_all(&get(target, &[])).await.ok()?;
        let answer = until_closed(&mut stream).await;
        answer.starts_with(b"HTTP/1.1 ").then(|| Said::parse(&answer))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// How many files this process, and one that it starts, may open.
fn files_max() -> usize {
    pratique::http::raise_descriptor_limit();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn say(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// A thousand clients where 256 (or 64) files may be open: what is refused is refused at once, no
/// panic, no busy loop, and when they have gone everything is as before.
#[tokio::test]
async fn running_out_of_descriptors_is_survived_and_forgotten() {
    if files_max() < 1_200 {
        return say("skipped: 1,200 open files are needed\n");
    }
    for files in [256, 64] {
        let running = Running::start(Some(files)).await;
        let image = Image::new().layer("x").build();
        running.upstream.push("open/app", "1", &image);
        let manifest = "/v2/open/app/manifests/1?ns=up.test";
        let blob = format!("/v2/open/app/blobs/{}?ns=up.test", image.layer(0));
        for path in [manifest, &blob] {
            assert_eq!(running.ask(path).await.map(|said| said.status), Some(200), "{path}");
        }
        let before = running.open_files();
        let mut crowd = Vec::new();
        for _ in 0..1_000 {
            let Ok(mut stream) = TcpStream::connect(running.node).await else { continue };
            drop(stream.write_all(b"GET /v2/open/app/manifests/1?ns=up.test HTTP/1.1\r\n").await);
            crowd.push(stream);
        }
        let (ticks, seconds) = (running.ticks(), 3);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let spent = running.ticks() - ticks;
        assert!(spent * 5 < seconds * 100, "{spent} ticks of processor time in {seconds} s");
        drop(crowd);
        let recovered = tokio::time::timeout(Duration::from_secs(10), async {
            for path in [manifest, &blob] {
                while running.ask(path).await.is_none_or(|said| said.status != 200) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while running.open_files() > before + 4 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(recovered.await.is_ok(), "{files}: not recovered: {}", running.log());
        let log = running.log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.lines().count() < 400, "{} lines were logged", log.lines().count());
    }
}

/// Ten thousand connections that rest and a hundred that drip: they cost little memory, and whoever
/// asks is answered.
#[tokio::test]
async fn ten_thousand_resting_connections_cost_little_and_hold_up_nobody() {
    const DRIPPING: usize = 100;
    let resting_max = 10_000.min((files_max() / 8 * 5).saturating_sub(DRIPPING + 100));
    assert!(resting_max > 200, "too few open files are allowed to try anything");
    let running = Running::start(None).await;
    running.upstream.push("open/app", "1", &Image::new().layer("x").build());
    let manifest = "/v2/open/app/manifests/1?ns=up.test";
    assert_eq!(running.ask(manifest).await.map(|said| said.status), Some(200));
    let before = running.resident();
    let mut resting = Vec::new();
    for number in 0..resting_max {
        let mut stream = TcpStream::connect(running.node).await.expect("a connection");
        if number % 2 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a request");
            let mut answer = [0; 512];
            assert!(in_time(stream.read(&mut answer)).await.expect("an answer") > 0);
        }
        resting.push(stream);
    }
    let mut dripping = Vec::new();
    for _ in 0..DRIPPING {
        let mut stream = TcpStream::connect(running.node).await.expect("a connection");
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.expect("a beginning");
        dripping.push(stream);
    }
    let resident = running.resident();
    assert!(resident <= RESIDENT_MAX, "{} MiB resident", resident / MIB);
    assert_eq!(running.ask(manifest).await.map(|said| said.status), Some(200));
    let connections = u64::try_from(resting_max + DRIPPING).unwrap();
    let each = resident.saturating_sub(before) / connections;
    say(&format!(
        "{connections} connections: {} MiB resident, {each} bytes each\n",
        resident / MIB
    ));
    // Those who drip are gone within the time that a head may take; those who rest are not.
    for stream in &mut dripping {
        drop(stream.write_all(b"a").await);
        assert!(until_closed(stream).await.is_empty());
    }
    let last = resting.last_mut().expect("a connection");
    last.write_all(&get("/livez", &[])).await.expect("a request");
    assert_eq!(Said::parse(&until_closed(last).await).status, 200);
}
