//! One process, and everything that it has started, until its end.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::tail::Tail;

/// How long pipes may stay open after everything that is known to hold them was ended.
const DRAIN: Duration = Duration::from_secs(2);
/// Read at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// The leader of a process group, and what it says. When it is dropped the group is ended.
pub(super) struct Running {
    child: Child,
    group: Pid,
    /// Becomes readable when the leader ends. It is not reaped by then: nothing else can have the number
    /// of its group, and the group can be ended.
    end: AsyncFd<OwnedFd>,
    is_reaped: bool,
    tail: Tail,
}

/// Why what a program wrote is not whole.
pub(super) enum Trouble {
    Io(io::Error),
    LeftBehind,
    TooMuch,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Running {
    /// Starts `command` as the leader of a group.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = pid.ok_or_else(|| io::Error::other("it has no number"))?;
        let end = pidfd_open(group, PidfdFlags::empty())?;
        #[expect(
            deprecated,
            reason = "what its unsafe successor asks for an owned descriptor gives"
        )]
        let end = AsyncFd::with_interest(end, tokio::io::Interest::READABLE)?;
        Ok(Self { child, group, end, is_reaped: false, tail: Tail::default() })
    }

    /// All of its standard output, when it has ended; nothing of it runs then.
    pub(super) async fn output(&mut self, limit: usize) -> Result<Vec<u8>, Trouble> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(io::Error::other("it has no pipes").into());
        };
        let (end, group, tail) = (&self.end, self.group, &mut self.tail);
        let reading = async {
            let (bytes, ()) = tokio::try_join!(all(stdout, limit), last(stderr, tail))?;
            Ok(bytes)
        };
        tokio::pin!(reading);
        let read = tokio::select! {
            read = &mut reading => read,
            ended = end.readable() => {
                drop(ended?);
                end_group(group);
                timeout(DRAIN, reading).await.unwrap_or(Err(Trouble::LeftBehind))
            }
        };
        let bytes = read?;
        // It may have closed its output long before its end.
        drop(self.end.readable().await?);
        Ok(bytes)
    }

    /// Ends whatever still runs, and tells how the leader ended.
    pub(super) async fn end(&mut self) -> io::Result<ExitStatus> {
        end_group(self.group);
        let status = timeout(DRAIN, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| Err(io::Error::other("it does not end")))?;
        self.is_reaped = true;
        Ok(status)
    }

    /// The end of what it said on its standard error.
    pub(super) fn said(&self) -> String {
        self.tail.text()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            end_group(self.group);
        }
    }
}

/// Ends a group whose leader has not been reaped.
fn end_group(group: Pid) {
    if let Err(error) = kill_process_group(group, Signal::KILL) {
        tracing::debug!(%error, "a process group could not be ended");
    }
}

async fn all(mut pipe: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    (&mut pipe).take(most).read_to_end(&mut bytes).await?;
    if bytes.len() > limit { Err(Trouble::TooMuch) } else { Ok(bytes) }
}

async fn last(mut pipe: impl AsyncRead + Unpin, tail: &mut Tail) -> Result<(), Trouble> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = pipe.read(&mut chunk).await?;
        match chunk.get(..length) {
            None | Some([]) => return Ok(()),
            Some(bytes) => tail.add(bytes),
        }
    }
}
