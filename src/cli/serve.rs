//! `pratique serve`: runs the mirror until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::{CliError, output};
use crate::app::{self, App};
use crate::config::{self, Failure, LogFormat, LogSettings, Overrides, Settings};
use crate::mirror::{PolicyError, load_policy};
use crate::policy::Mode;
use crate::sandbox;

/// What stands in a data directory that has been used before.
const LEDGER_FILE: &str = "ledger.db";
/// Said whenever the program does not start because of what it was told.
const NOTHING_STARTED: &str = "nothing was started.";
const EXAMPLES: &str = "\
Examples:
  pratique serve
      Everything at its default: nodes on 127.0.0.1:5000, admins on 127.0.0.1:5001, state in
      ./pratique-data, and a policy in which every image needs an approval.
  pratique serve --config /etc/pratique/pratique.toml
  pratique serve --policy policy.yaml --listen 127.0.0.1:15000

SIGHUP reads the policy again, SIGTERM and SIGINT stop after what is under way.";

/// What wins over the settings file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArguments {
    /// Keep everything here [default: ./pratique-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Decide by this policy [default: built in, every image needs an approval]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Serve nodes here [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Serve admins here [default: 127.0.0.1:5001]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Let a policy with a lower revision than the one before come into force; audited
    #[arg(long)]
    allow_rollback: bool,
    /// Print nothing but the log
    #[arg(long, short)]
    quiet: bool,
}

/// What is to be served, by a program that is confined to it.
pub(crate) struct Ready {
    settings: Settings,
    begun: Instant,
    quiet: bool,
}

/// Reads the settings and confines this thread, and with it every one that comes after.
///
/// # Errors
/// When the settings have mistakes, or the program cannot be confined as they say.
pub(crate) fn prepare(arguments: ServeArguments, file: Option<&Path>) -> Result<Ready, CliError> {
    let begun = Instant::now();
    crate::http::raise_descriptor_limit();
    let ServeArguments { data_dir, policy, listen, admin_listen, allow_rollback, quiet } =
        arguments;
    let overrides = Overrides { data_dir, policy, listen, admin_listen, allow_rollback };
    let settings = config::load(file, &overrides).map_err(refuse_to_start)?;
    start_log(&settings.log)?;
    for setting in &settings.dangers {
        warn!(setting, "a safeguard is switched off by the settings");
    }
    confine(&settings)?;
    Ok(Ready { settings, begun, quiet })
}

/// Gives up what these settings do not need, and says what is in force.
///
/// # Errors
/// When that cannot be done, or not as the settings require it.
pub(super) fn confine(settings: &Settings) -> Result<(), CliError> {
    if settings.sandbox.mode == sandbox::Mode::Off {
        info!("the program is not confined: [sandbox] mode = \"off\"");
        return Ok(());
    }
    // It has to be there for its contents to be open.
    std::fs::create_dir_all(&settings.data_dir).map_err(|error| {
        let text = format!("the data directory {} cannot be made", settings.data_dir.display());
        CliError::failed(text).caused_by(error)
    })?;
    let plan = settings.sandbox_plan();
    for path in plan.fixed() {
        warn!(
            path = %path.display(),
            "is read as it is now: its folder is not opened, because others have files there; what \
             replaces it by renaming is seen after a restart (or name the folder in [sandbox] read)"
        );
    }
    let in_force = sandbox::enter(&plan)
        .map_err(|error| CliError::failed("the program cannot be confined").caused_by(error))?;
    if in_force.is_whole() {
        info!("confined: {in_force}");
    } else {
        warn!("not wholly confined: {in_force}");
    }
    Ok(())
}

/// Runs the mirror until it is stopped.
///
/// # Errors
/// When the policy has mistakes, or something that is needed cannot be had.
pub(crate) async fn run(ready: Ready) -> Result<(), CliError> {
    let Ready { settings, begun, quiet } = ready;
    let start = Start::of(&settings);
    let started = |app: &App| {
        super::keep_freed_buffers();
        let lines = start.lines(app, begun);
        info!(nodes = %app.node_address, admin = %app.admin_address, "ready");
        if !quiet && start.format == LogFormat::Text {
            // A mirror that serves must not stop because nobody reads its greeting.
            drop(output::print(&lines));
        }
    };
    app::run(settings, started).await.map_err(not_started)
}

/// Every mistake of the settings, and in the same breath those of the policy that they name.
fn refuse_to_start(failure: Failure) -> CliError {
    match failure {
        Failure::Problems(problems) => {
            let policy = problems.policy.as_deref().and_then(|path| load_policy(Some(path)).err());
            let policy = match policy {
                Some(error @ PolicyError::Problems { .. }) => format!("\n{error}"),
                Some(
                    PolicyError::Changing(_)
                    | PolicyError::Ledger { .. }
                    | PolicyError::Read { .. },
                )
                | None => String::new(),
            };
            CliError::misused(format!("{problems}{policy}\n{NOTHING_STARTED}"))
        }
        failure @ Failure::Read { .. } => CliError::misused("no settings").caused_by(failure),
    }
}

fn not_started(error: app::Error) -> CliError {
    let app::Error::Policy(error) = error else {
        return CliError::failed("pratique did not start").caused_by(error);
    };
    match error {
        PolicyError::Ledger { .. } => CliError::failed("pratique did not start").caused_by(error),
        PolicyError::Problems { .. } => CliError::misused(format!("{error}\n{NOTHING_STARTED}")),
        PolicyError::Changing(_) | PolicyError::Read { .. } => {
            CliError::misused("no policy").caused_by(error)
        }
    }
}

/// Sends the log to standard error.
fn start_log(settings: &LogSettings) -> Result<(), CliError> {
    let failed = |error| CliError::failed("the log cannot be started").caused_by(error);
    let filter = EnvFilter::builder()
        .parse(&settings.level)
        .map_err(|error| CliError::misused("the log level cannot be used").caused_by(error))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(config::colour_is_welcome(&io::stderr()));
    match settings.format {
        LogFormat::Json => log.json().flatten_event(true).try_init().map_err(failed),
        LogFormat::Text => log.try_init().map_err(failed),
    }
}

/// What the first lines say that only the settings know.
struct Start {
    data_dir: PathBuf,
    is_new: bool,
    built_in_policy: bool,
    node_scheme: &'static str,
    admin_scheme: &'static str,
    format: LogFormat,
}

impl Start {
    fn of(settings: &Settings) -> Self {
        let scheme = |has_tls| if has_tls { "https" } else { "http" };
        Self {
            data_dir: settings.data_dir.clone(),
            is_new: !settings.data_dir.join(LEDGER_FILE).exists(),
            built_in_policy: settings.policy.is_none(),
            node_scheme: scheme(settings.node.tls.is_some()),
            admin_scheme: scheme(settings.admin.tls.is_some()),
            format: settings.log.format,
        }
    }

    /// What is running, where, and what to try first.
    fn lines(&self, app: &App, begun: Instant) -> String {
        let policy = app.mirror.policy();
        let policy = if self.built_in_policy {
            "built-in: every image needs an approval".to_owned()
        } else {
            let mode = match policy.mode(app.mirror.now()) {
                mode @ (Mode::Audit | Mode::Warn) => format!(", mode {mode}"),
                Mode::Enforce => String::new(),
            };
            format!("{} revision {}{mode}", policy.name(), policy.revision())
        };
        let new = if self.is_new { " (new)" } else { "" };
        let token = app.first_token.as_ref();
        let token =
            token.map_or(String::new(), |path| format!("   first token: {}", path.display()));
        let (nodes, admins) = (app.node_address, app.admin_address);
        format!(
            "pratique {}  data {}{new}  policy {policy}\n\
             nodes   {}://{nodes}   admin  {}://{admins}{token}\n\
             ready in {} ms.  Try:  crane manifest {nodes}/docker.io/library/alpine:3.20",
            env!("CARGO_PKG_VERSION"),
            self.data_dir.display(),
            self.node_scheme,
            self.admin_scheme,
            begun.elapsed().as_millis(),
        )
    }
}
