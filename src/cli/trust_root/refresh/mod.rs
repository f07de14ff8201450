//! `pratique trust-root refresh`: a newer root from a repository of The Update Framework (TUF), verified
//! by its own chain, then put in its place as `import` does.
//!
//! The order of things and the checks between them are `sigstore-tuf`'s. What is ours: the way the
//! files come (`remote`), what is looked at before it gets to see them (`scrutiny`), and what is kept
//! from one run to the next (`memory`), so that a repository that goes back is noticed.

mod memory;
mod remote;
mod report;
mod scrutiny;
mod start;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sigstore_tuf::{Updater, UpdaterConfig};

use self::memory::Memory;
use self::remote::Remote;
use self::report::{Refreshed, Seen, seen, told};
use self::start::{Start, start};
use self::trouble::Trouble;
use super::indented;
use super::place::Candidate;
use crate::cli::{CliError, Connection, output};
use crate::config;
use crate::signature::{TRUST_ROOT_BYTES_MAX, TrustRoot, mistakes_in};
use crate::tasks::Tasks;
use crate::time::{Clock as _, SystemClock};
use crate::upstream::{Files, FilesSettings};

/// What a repository calls the trust root.
const TARGET: &str = "trusted_root.json";
/// Longest time that all of it may take.
const TIME_MAX: Duration = Duration::from_mins(5);
/// Most new roots of a repository in one run.
const ROTATIONS_MAX: u32 = 64;
/// Most roles that are asked for the trust root, the first included.
const DELEGATIONS_MAX: u32 = 8;
/// Longest root of a repository, in bytes.
const ROOT_BYTES_MAX: u64 = 512 << 10;
/// Longest timestamp, in bytes.
const TIMESTAMP_BYTES_MAX: u64 = 16 << 10;
/// Longest snapshot, and longest list of targets, in bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique trust-root refresh --to /etc/pratique/public_good.json
      The root of Sigstore's public instance, from https://tuf-repo-cdn.sigstore.dev
  pratique trust-root refresh --url https://tuf-mirror.corp/ --to /etc/pratique/public_good.json
      The same from a copy of that repository: who may sign it does not hang on the address.
  pratique trust-root refresh --name corp --url https://tuf.corp/ --root root.json \\
      --ca-file corp-ca.pem --to /etc/pratique/corp_root.json
      The root of an instance of your own. root.json is the first root of its repository: trust
      begins there, so get it by another way than from that address.

What is done, once and only when this is called: newer roots of the repository, each signed by who
may sign by the one before; then its timestamp, snapshot and targets, none of them expired or older
than those seen before; then the target trusted_root.json, with the size and hash that are signed.
That one is looked at and put in its place as by `import`: nothing that is older, lists less or
counts for longer, unless --force says so. --force does not change what the repository has to prove.

What was seen is kept in the file of --state, which is small and no secret. Without it, an older
state of the repository could not be told from a new one.
Proxies are those of the environment, or of the settings file; redirects are not followed.

Exit codes: 0 done, 1 failed, 2 not reached or not readable, 3 not taken, 64 wrong use.";

/// What is fetched from where.
#[derive(Debug, clap::Args)]
pub(crate) struct RefreshArguments {
    /// Whose root: public-good (where nothing is said) or staging
    #[arg(value_name = "INSTANCE", conflicts_with = "root")]
    instance: Option<String>,
    /// What the policy calls it [default: INSTANCE]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The TUF repository, instead of that of INSTANCE
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The first root of the repository, where trust begins, instead of that of INSTANCE
    #[arg(long, value_name = "FILE", requires_all = ["url", "name"])]
    root: Option<PathBuf>,
    /// Where to put what is found
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// What was seen of the repository before [default: the path of --to, and .tuf]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Replace what is there even by something that is older, lists less, or counts for longer
    #[arg(long)]
    force: bool,
    /// Let --url be http:// to another machine: whoever is in between sees what is asked for, and can
    /// keep what is new from coming
    #[arg(long)]
    danger_plain_http: bool,
}

/// Runs the command.
///
/// # Errors
/// When the repository cannot be reached or does not prove what it says, or its root is not taken.
pub(super) async fn run(
    arguments: &RefreshArguments,
    connection: &Connection,
) -> Result<(), CliError> {
    let start = start(arguments)?;
    let tasks = Tasks::new();
    let files = files(arguments, connection, &start.url, tasks)?;
    let state = arguments.state.clone().unwrap_or_else(|| {
        let mut path = arguments.to.clone().into_os_string();
        path.push(".tuf");
        path.into()
    });
    let fetched = tokio::time::timeout(TIME_MAX, fetched(&start, files, &state)).await;
    let late = |_| {
        let minutes = TIME_MAX.as_secs() / 60;
        let text = format!("nothing was taken from {}: not done in {minutes} minutes", start.url);
        CliError::unreachable(text)
    };
    let (seen, content) = fetched.map_err(late)??;
    let (text, root) = read(content, &start.url)?;
    let Start { name, url, .. } = &start;
    let candidate = Candidate { name, to: &arguments.to, text: &text, root: &root };
    let placed = candidate.place(arguments.force)?;
    if connection.json {
        let metadata = &seen;
        let refreshed = Refreshed { repository: url, state: &state, metadata, placed: &placed };
        return output::print_json(&refreshed);
    }
    for warning in &placed.warnings {
        output::message(&format!("warning: {warning}"));
    }
    output::print(&(told(&start, &seen, &text, connection.utc) + &placed.told()))
}

fn files(
    arguments: &RefreshArguments,
    connection: &Connection,
    url: &str,
    tasks: Tasks,
) -> Result<Files, CliError> {
    let settings = config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    let settings = FilesSettings {
        url: url.to_owned(),
        ca_file: connection.ca_file.clone(),
        danger_plain_http: arguments.danger_plain_http,
        proxy: settings.upstream.proxy,
    };
    Files::new(&settings, tasks).map_err(|error| {
        let hint = "https://host[:port][/path], or http:// on this machine";
        CliError::misused(format!("{url:?} cannot be asked ({hint})")).caused_by(error)
    })
}

/// The trust root of the repository, with what its metadata are; what was verified is in `state`
/// afterwards, even where something that came later was not.
async fn fetched(
    start: &Start,
    files: Files,
    state: &Path,
) -> Result<(Vec<Seen>, Vec<u8>), CliError> {
    let Start { url, root, source, .. } = start;
    let begin = |trouble: Trouble| {
        CliError::misused(format!("{source} is no root to begin with: {}", trouble.text()))
    };
    scrutiny::look_over(root).map_err(|fault| begin(fault.into()))?;
    let memory = Memory::load(state)?;
    let before = memory.versions();
    let mut updater = Updater::new(Remote::new(files, ROTATIONS_MAX), root)
        .map_err(|error| begin(error.into()))?
        .with_config(limits())
        .with_store(memory.clone());
    memory.check_reached(updater.trusted(), state, source)?;
    let refused = |error: sigstore_tuf::Error| Trouble::from(error).to_error(url);
    let now = now()?;
    let refreshed = updater.refresh(now).await;
    memory.save(state, refreshed.is_ok()).map_err(|error| {
        CliError::failed(format!("{} was not written", state.display())).caused_by(error)
    })?;
    refreshed.map_err(refused)?;
    let content = updater.get_target(TARGET, now).await.map_err(refused)?;
    Ok((seen(updater.trusted(), &before), content))
}

fn limits() -> UpdaterConfig {
    let mut limits = UpdaterConfig::default();
    limits.root_max_length = ROOT_BYTES_MAX;
    limits.timestamp_max_length = TIMESTAMP_BYTES_MAX;
    limits.snapshot_max_length = LIST_BYTES_MAX;
    limits.targets_max_length = LIST_BYTES_MAX;
    limits.target_max_length = u64::try_from(TRUST_ROOT_BYTES_MAX).unwrap_or(u64::MAX);
    // One more than ours, so that ours is the one that is met and can be told from others.
    limits.max_root_rotations = ROTATIONS_MAX + 1;
    limits.max_delegations = DELEGATIONS_MAX;
    limits
}

fn now() -> Result<jiff::Timestamp, CliError> {
    jiff::Timestamp::from_millisecond(SystemClock.now().milliseconds())
        .map_err(|error| CliError::failed("the clock is not set").caused_by(error))
}

/// What came, as a trust root.
fn read(content: Vec<u8>, url: &str) -> Result<(String, TrustRoot), CliError> {
    let mistaken = |mistakes: &[String]| {
        let text = format!("nothing was taken from {url}: its {TARGET} has mistakes");
        CliError::refused(text + &indented(mistakes))
    };
    let text = String::from_utf8(content).map_err(|_| mistaken(&["it is not text".to_owned()]))?;
    match TrustRoot::from_json(&text) {
        Ok(root) => Ok((text, root)),
        Err(_) => Err(mistaken(&mistakes_in(&text))),
    }
}
