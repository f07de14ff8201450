//! Tries to break out, one way after the other: what tests hold against [`enter`](super::enter).
//!
//! Each of it succeeds where nothing is confined, so that a refusal says something. Nothing here does harm
//! beyond the folder that it is given.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// A program that every machine has.
const PROGRAM: &str = "/bin/true";

/// At what it is tried.
#[derive(Debug, Clone)]
pub struct Targets {
    /// A folder that nobody opened, with the files `secret`, `victim` and `log`.
    pub outside: PathBuf,
    /// The folder that may be written.
    pub inside: PathBuf,
    /// A port at which nobody was told to listen.
    pub port: u16,
    /// The name of an abstract socket at which somebody listens.
    pub socket: String,
}

/// One of them, and how it went.
#[derive(Debug)]
pub struct Attempt {
    /// What was tried, in a word.
    pub name: &'static str,
    /// Why it did not go.
    pub outcome: io::Result<()>,
}

/// Tries everything.
pub fn attempts(targets: &Targets) -> Vec<Attempt> {
    let (outside, inside) = (targets.outside.as_path(), targets.inside.as_path());
    let all: [(&'static str, &dyn Fn() -> io::Result<()>); 13] = [
        ("inside", &|| write_inside(inside)),
        ("read", &|| File::open(outside.join("secret"))?.read(&mut [0]).map(drop)),
        ("list", &|| fs::read_dir(outside).map(drop)),
        ("append", &|| append(&outside.join("log"))),
        ("create", &|| File::create_new(outside.join("created")).map(drop)),
        ("remove", &|| fs::remove_file(outside.join("victim"))),
        ("rename", &|| fs::rename(inside.join("kept"), outside.join("brought"))),
        ("link", &|| fs::hard_link(outside.join("secret"), inside.join("linked"))),
        ("listen", &|| TcpListener::bind(("127.0.0.1", targets.port)).map(drop)),
        ("socket", &|| connect(&targets.socket)),
        ("descriptor", &steal_descriptor),
        ("environment", &read_environment),
        ("program", &|| Command::new(PROGRAM).status().map(drop)),
    ];
    all.into_iter().map(|(name, attempt)| Attempt { name, outcome: attempt() }).collect()
}

fn write_inside(inside: &Path) -> io::Result<()> {
    fs::create_dir_all(inside.join("a"))?;
    File::create(inside.join("a/kept"))?.write_all(b"kept")?;
    fs::rename(inside.join("a/kept"), inside.join("kept"))?;
    fs::read(inside.join("kept")).map(drop)
}

fn append(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(b"forged\n")
}

fn connect(name: &str) -> io::Result<()> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
}

/// A descriptor of the process that started this one: who may do that may attach to it as well.
fn steal_descriptor() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(parent, PidfdFlags::empty())?;
    pidfd_getfd(process, 0, PidfdGetfdFlags::empty())?;
    Ok(())
}

/// What stands in its environment, often a password.
fn read_environment() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    fs::read(format!("/proc/{}/environ", parent.as_raw_nonzero())).map(drop)
}
