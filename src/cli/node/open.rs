//! `pratique node open` and `close`: the way out, and its end.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::arguments::configured;
use super::{install, permit};
use crate::cli::{CliError, Exit, client_runtime, output};
use crate::node::opened::Opened;
use crate::node::{Kit, place};
use crate::opening::{self, OpeningError, PermitFile, Wish};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Shown beneath the help of `open`.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node open --permit permit.jsonl --ttl 1h --reason \"INC-77: the mirror's disk is lost\"
      Until then refusals, and a mirror that is away, lead to the registries. Ctrl-C closes at once.
  pratique node open --permit permit.jsonl --ttl 30m --reason INC-77 --detach
      Goes on waiting in the background, and closes by itself.

Nothing is asked of anybody: the permit, the keys in /etc/pratique/openers and this node's clock decide.
What is done is written to /etc/pratique/node/openings.jsonl first. `node verify` and `node keep` tell that
the node is open; `node keep`, or the timer of deploy/systemd, closes it when this was killed.";

/// Shown beneath the help of `close`.
pub(super) const CLOSE_EXAMPLES: &str = "\
Examples:
  pratique node close
  pratique node close --if-over      only when its time is over: for a timer";

/// Longest reason, in characters.
const REASON_MAX: usize = 300;
/// How often the clock is looked at: a node that slept is closed when it wakes.
const LOOK: Duration = Duration::from_secs(5);

/// By what, for how long, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenArguments {
    /// The permit that two people have signed
    #[arg(long, value_name = "FILE")]
    permit: PathBuf,
    /// For how long: 30m, 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    ttl: Duration,
    /// Why; it is kept
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Return at once, and wait for the end in the background
    #[arg(long)]
    detach: bool,
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Whether and when to close.
#[derive(Debug, clap::Args)]
pub(crate) struct CloseArguments {
    /// Only when the time it was opened for is over
    #[arg(long, conflicts_with = "when_over")]
    if_over: bool,
    /// Wait until it is over, and close then
    #[arg(long)]
    when_over: bool,
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Opens the node, and closes it when its time is over.
///
/// # Errors
/// When the permit does not count here, or a file cannot be written.
pub(super) fn open(arguments: &OpenArguments) -> Result<ExitCode, CliError> {
    let reason = arguments.reason.trim();
    if reason.is_empty()
        || reason.chars().count() > REASON_MAX
        || reason.chars().any(char::is_control)
    {
        let text = format!("--reason is one line of 1 to {REASON_MAX} characters");
        return Err(CliError::misused(text));
    }
    let root = arguments.root.as_path();
    let now = SystemClock.now();
    let file = PermitFile::parse(&permit::read(&arguments.permit)?).map_err(permit::told)?;
    let signed = file.counts(root, &name(root)?, now).map_err(permit::told)?;
    let kit = kit(root)?;
    let by = who();
    let wish = Wish { ttl: arguments.ttl, reason, by: &by };
    let (opened, done) = opening::open(root, &kit, &signed, &wish, now).map_err(told)?;
    let mut text = format!(
        "OPEN     until {} by permit {}, signed by {}",
        opened.until,
        opened.permit,
        signed.signers.join(", ")
    );
    if let Some(command) = done.restart {
        text.extend(["\nin force after: ", command]);
    }
    if arguments.detach {
        wait_elsewhere(root)?;
        output::print(&format!("{text}\nit closes by itself; pratique node close closes it now"))?;
        return Ok(Exit::Done.into());
    }
    output::print(&format!("{text}\nit closes by itself, or now with Ctrl-C"))?;
    client_runtime()?.block_on(until_over(&opened))?;
    close_now(root)
}

/// Closes the node.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn close(arguments: &CloseArguments) -> Result<ExitCode, CliError> {
    let root = arguments.root.as_path();
    let state = Opened::read(root).map_err(|error| told(OpeningError::State(error)))?;
    let Some(opened) = state else {
        output::message("the node is not open, so nothing was changed");
        return Ok(Exit::Done.into());
    };
    if arguments.if_over && SystemClock.now() < opened.until {
        output::message(&format!("open until {}, by permit {}", opened.until, opened.permit));
        return Ok(Exit::Done.into());
    }
    if arguments.when_over {
        client_runtime()?.block_on(until_over(&opened))?;
    }
    close_now(root)
}

/// Closes the node when its time is over, for `keep`; what there is to tell.
///
/// # Errors
/// When it is over and the node cannot be closed.
pub(super) fn look(root: &Path, now: Timestamp) -> Result<Option<Opened>, CliError> {
    let state = Opened::read(root).map_err(|error| told(OpeningError::State(error)))?;
    match state {
        Some(opened) if now >= opened.until => {
            close_now(root)?;
            Ok(None)
        }
        other => Ok(other),
    }
}

fn close_now(root: &Path) -> Result<ExitCode, CliError> {
    let closed = opening::close(root, &kit(root)?, &who(), SystemClock.now()).map_err(told)?;
    let mut text = "closed".to_owned();
    if let Some(command) = closed.and_then(|done| done.restart) {
        text.extend(["; in force after: ", command]);
    }
    output::message(&text);
    Ok(Exit::Done.into())
}

/// Returns when the time is over by the clock, or somebody ends the program, or closed it elsewhere.
async fn until_over(opened: &Opened) -> Result<(), CliError> {
    let listened = |kind| {
        signal(kind).map_err(|error| CliError::failed("signals cannot be had").caused_by(error))
    };
    let (mut interrupt, mut terminate, mut hangup) = (
        listened(SignalKind::interrupt())?,
        listened(SignalKind::terminate())?,
        listened(SignalKind::hangup())?,
    );
    while SystemClock.now() < opened.until {
        let left = opened.until.since(SystemClock.now()).min(LOOK);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
    }
    Ok(())
}

/// Starts what closes the node later.
fn wait_elsewhere(root: &Path) -> Result<(), CliError> {
    use std::os::unix::process::CommandExt as _;
    let failed = |error| {
        CliError::failed("nothing waits to close it; `pratique node close` has to").caused_by(error)
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut waiting = Command::new(program);
    waiting.args(["node", "close", "--when-over", "--root"]).arg(root);
    waiting.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    waiting.process_group(0).spawn().map(drop).map_err(failed)
}

fn kit(root: &Path) -> Result<Kit, CliError> {
    configured(root)?.ok_or_else(|| {
        CliError::misused(
            "/etc/pratique/node.toml is not there: this node was not closed by `node install`",
        )
    })
}

/// What the node is called: as the cluster calls it, if nobody said otherwise.
fn name(root: &Path) -> Result<String, CliError> {
    let own = root.join("etc/hostname");
    for path in [own.as_path(), Path::new("/proc/sys/kernel/hostname")] {
        if let Ok(Some(content)) = place::read(path) {
            let text = String::from_utf8_lossy(&content).trim().to_owned();
            if !text.is_empty() {
                return Ok(text);
            }
        }
    }
    Err(CliError::unreachable("/etc/hostname does not say how this node is called"))
}

/// Who does it: the user that signed in to the node, as the kernel keeps it, and who they are now.
fn who() -> String {
    let login = place::read(Path::new("/proc/self/loginuid")).ok().flatten();
    let login = login.map(|it| String::from_utf8_lossy(&it).trim().to_owned());
    let uid = rustix::process::getuid().as_raw();
    match login.filter(|it| it.parse::<u32>().is_ok_and(|it| it != u32::MAX)) {
        Some(login) => format!("uid {uid}, signed in as uid {login}"),
        None => format!("uid {uid}"),
    }
}

/// `30m`, `1h`, `90d`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write 30m, 1h, 90d");
    let (last, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let minutes: u64 = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(wrong()),
    };
    let count: u32 = text.get(..last).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
    if count == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(count) * minutes * 60))
}

fn told(error: OpeningError) -> CliError {
    match error {
        OpeningError::Install(error) => install::told(error),
        OpeningError::Permit(error) => permit::told(error),
        OpeningError::AlreadyOpen(_) | OpeningError::NeverClosed => {
            CliError::misused("nothing was changed").caused_by(error)
        }
        OpeningError::TooLong { .. } => CliError::refused("nothing was changed").caused_by(error),
        OpeningError::Journal { .. } | OpeningError::State(_) => {
            CliError::failed("the node's own record").caused_by(error)
        }
    }
}
