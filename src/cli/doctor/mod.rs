//! `pratique doctor`: tries every way around the mirror on this node, once or again and again.

mod exposed;
mod files;
mod metrics;
mod shown;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, Connection, Exit, admin, output};
use crate::config::duration;
use crate::doctor::runtime::Runtime;
use crate::doctor::{
    Doctor, Every, Finding, MirrorAccess, NodeName, OPENINGS_MAX, Plan, Report, State,
};
use crate::node::opened::Opened;
use crate::node::{Endpoint, Kit, kit, openings};
use crate::oci::{ImageReference, Registry};
use crate::tasks::Tasks;
use crate::time::{Clock as _, SystemClock};

/// How long a pull may take where nothing else is said.
const PULL_LIMIT: Duration = Duration::from_mins(1);
/// How long connections may take to end after the last look.
const GRACE: Duration = Duration::from_secs(2);
/// Where Linux says what the machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Most canaries, and most registries to connect to.
const NAMED_MAX: usize = 32;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique doctor
      Every way, by what `pratique node install` configured this node to.
  pratique doctor --mirror https://mirror.example:5443 --ca /etc/containerd/mirror-ca.pem \\
      --canary docker.io/library/hello-world:latest
      Every way with whatever pulls on this node. The canary is an image that the policy denies.
  pratique doctor --mirror https://mirror.example:5443 --no-fallback --no-egress
      Without the ways that need a network.
  pratique doctor --mirror URL --canary REF --every 5m --metrics-file /var/lib/node_exporter/pratique.prom
  pratique doctor --mirror URL --canary REF --every 5m --report https://mirror.example:5001 --token-file FILE
  pratique doctor --cluster
      What the doctors of all nodes reported to the server, the worst first.

Exit codes: 0 every way that was tried is closed, 3 a way is open, 2 a way could not be tried.";

/// What to try, and whom to tell.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct DoctorArguments {
    /// What `pratique node install` wrote: its mirrors, certificates, canaries, registries and declared holes
    /// hold where nothing else is said here, and the node's files are held against it
    #[arg(long, value_name = "FILE", default_value = kit::FILE)]
    kit: PathBuf,
    /// The folder that holds the node's root, where this runs in a container
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The mirror as the node's files name it: https://host:port
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// The file with the authority of the mirror's certificate; no other is believed then
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The file with the node's own certificate
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The file with the key of the node's own certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// An image that upstream has and the mirror refuses; one for each registry
    #[arg(long, value_name = "IMAGE")]
    canary: Vec<ImageReference>,
    /// What pulls: cri[=SOCKET], ctr[=PROGRAM], docker, podman or skopeo; may be repeated [default: what
    /// is found]
    #[arg(long, value_name = "RUNTIME", value_parser = Runtime::written)]
    runtime: Vec<Runtime>,
    /// containerd's socket, for ctr
    #[arg(long, value_name = "SOCKET")]
    ctr_socket: Option<PathBuf>,
    /// The folder with containerd's hosts.toml, for ctr
    #[arg(long, value_name = "DIR")]
    hosts_dir: Option<PathBuf>,
    /// A registry to connect to, beside those of the canaries: host[:port]
    #[arg(long, value_name = "HOST")]
    egress: Vec<String>,
    /// A registry that nodes are meant to pull from past the mirror: told as declared, and not tried
    #[arg(long, value_name = "REGISTRY")]
    direct: Vec<Registry>,
    /// Count a registry that answers this node as a way that is open
    #[arg(long, conflicts_with = "no_egress")]
    egress_closed: bool,
    /// Leave out whether registries answer this node
    #[arg(long, conflicts_with = "egress")]
    no_egress: bool,
    /// Leave out what becomes of a refusal
    #[arg(long, conflicts_with = "canary")]
    no_fallback: bool,
    /// How long each pull may take
    #[arg(long, value_name = "LENGTH", value_parser = duration)]
    timeout: Option<Duration>,
    /// Look again and again: 5m, 1h
    #[arg(long, value_name = "LENGTH", value_parser = every)]
    every: Option<Every>,
    /// Write figures for `node_exporter` into this file, which ends in .prom
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Serve the figures at /metrics of this address
    #[arg(long, value_name = "ADDRESS", requires = "every")]
    listen: Option<SocketAddr>,
    /// Report to the server at this address, with the token in --token-file
    #[arg(long, value_name = "URL")]
    report: Option<String>,
    /// The name of this node in figures and reports [default: that of the machine]
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// Show what the doctors of all nodes reported to the server
    #[arg(long, conflicts_with_all = ["mirror", "report", "every", "metrics_file", "node", "runtime"])]
    cluster: bool,
}

/// How often to look, as it is written: `5m`, `1h`.
///
/// # Errors
/// When it is no length, or longer than a week.
pub(in crate::cli) fn every(text: &str) -> Result<Every, String> {
    duration(text)?.try_into().map_err(str::to_owned)
}

/// `pratique doctor`
///
/// # Errors
/// When the arguments are wrong, or figures and reports cannot be delivered.
pub(crate) async fn run(
    arguments: DoctorArguments,
    connection: Connection,
) -> Result<ExitCode, CliError> {
    if arguments.cluster {
        return admin::nodes::cluster(&connection).await;
    }
    let teller = Teller::new(&arguments, connection)?;
    let tasks = Tasks::new();
    let doctor = Doctor::new(plan(&arguments)?, tasks.clone(), Arc::new(SystemClock));
    let ended = match (arguments.every, arguments.listen) {
        (None, _) => look(&doctor, &teller).await.map(|looked| looked.exit()),
        (Some(every), address) => again_and_again(&doctor, &teller, every, address, &tasks).await,
    };
    tasks.shut_down(GRACE).await;
    ended.map(ExitCode::from)
}

/// Looks until somebody ends it. What goes wrong once is said, and is no reason to look no more.
async fn again_and_again(
    doctor: &Doctor,
    teller: &Teller,
    every: Every,
    listen: Option<SocketAddr>,
    tasks: &Tasks,
) -> Result<Exit, CliError> {
    let exposed = match listen {
        Some(address) => Some(exposed::Exposed::start(address, tasks).await?),
        None => None,
    };
    let ending = asked_to_end()?;
    tokio::pin!(ending);
    let mut ticks = tokio::time::interval(every.duration());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut ending => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        // A pull that is under way is given up with the program.
        let looked = tokio::select! {
            () = &mut ending => return Ok(Exit::Done),
            looked = look(doctor, teller) => looked,
        };
        match (looked, &exposed) {
            (Ok(looked), Some(exposed)) => exposed.show(metrics::text(&looked.report)),
            (Ok(_), None) => {}
            (Err(error), _) => output::message(&error.chain()),
        }
    }
}

/// Returns when this program is told to end.
///
/// # Errors
/// When signals cannot be listened for.
pub(in crate::cli) fn asked_to_end() -> Result<impl Future<Output = ()>, CliError> {
    let failed = |error| CliError::failed("signals cannot be listened for").caused_by(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One look, told to everybody who wants to know.
async fn look(doctor: &Doctor, teller: &Teller) -> Result<Looked, CliError> {
    let looking = doctor.look();
    let found = output::with_progress("doctor", "trying the ways around the mirror", looking).await;
    let mut found =
        found.map_err(|error| CliError::unreachable("nothing was tried").caused_by(error))?;
    found.extend(teller.files());
    let report = teller.report(found);
    let trouble = teller.tell(&report).await.err();
    if let Some(error) = &trouble {
        output::message(&error.chain());
    }
    Ok(Looked { report, trouble })
}

/// A look, and why it could not be told to everybody, which was said.
struct Looked {
    report: Report,
    trouble: Option<CliError>,
}

impl Looked {
    /// What was found comes first: that nobody could be told of it is worth less.
    fn exit(&self) -> Exit {
        match (exit(&self.report), &self.trouble) {
            (Exit::Done, Some(trouble)) => trouble.exit(),
            (found, _) => found,
        }
    }
}

fn exit(report: &Report) -> Exit {
    match report.state() {
        State::Open => Exit::Refused,
        State::Untried => Exit::Unreachable,
        State::Closed | State::Declared | State::Weak => Exit::Done,
    }
}

/// Whom a look is told to.
struct Teller {
    /// What the node's files are held against.
    kit: Option<Kit>,
    /// The folder that holds the node's root.
    root: PathBuf,
    node: NodeName,
    every: Option<Every>,
    metrics_file: Option<PathBuf>,
    report_to: Option<Connection>,
    json: bool,
}

impl Teller {
    fn new(arguments: &DoctorArguments, connection: Connection) -> Result<Self, CliError> {
        let node = match &arguments.node {
            Some(node) => node.clone(),
            None => host_name()?,
        };
        if let Some(file) = &arguments.metrics_file
            && file.extension().is_none_or(|it| it != "prom")
        {
            return Err(CliError::misused("node_exporter reads files that end in .prom alone"));
        }
        let json = connection.json;
        let report_to =
            arguments.report.clone().map(|url| Connection { admin_url: Some(url), ..connection });
        if report_to.as_ref().is_some_and(|it| it.token_file.is_none()) {
            return Err(CliError::misused(
                "--report needs --token-file FILE: a token of role node",
            ));
        }
        let metrics_file = arguments.metrics_file.clone();
        let (kit, root) = (kit_of(arguments)?, arguments.root.clone());
        Ok(Self { kit, root, node, every: arguments.every, metrics_file, report_to, json })
    }

    fn files(&self) -> Vec<Finding> {
        self.kit.as_ref().map_or_else(Vec::new, |kit| files::look(&self.root, kit))
    }

    /// What was found, seen in the light of what the node says of itself: that it was opened for a while.
    fn report(&self, mut found: Vec<Finding>) -> Report {
        let (now, root) = (SystemClock.now(), self.root.as_path());
        match Opened::read(root) {
            Ok(Some(opened)) => {
                found = found.into_iter().map(|it| it.on_opened(&opened, now)).collect();
            }
            Ok(None) => {}
            Err(error) => {
                output::message(&format!("whether the node was opened cannot be told: {error}"));
            }
        }
        let openings = openings::last(root, OPENINGS_MAX).unwrap_or_else(|error| {
            output::message(&format!("{} cannot be read: {error}", openings::JOURNAL));
            Vec::new()
        });
        Report::new(self.node.clone(), now, self.every, found).with_openings(openings)
    }

    async fn tell(&self, report: &Report) -> Result<(), CliError> {
        if self.json && self.every.is_some() {
            let line = serde_json::to_string(report)
                .map_err(|error| CliError::failed("no JSON").caused_by(error))?;
            output::print(&line)?;
        } else if self.json {
            output::print_json(report)?;
        } else {
            output::print(&shown::table(report))?;
        }
        if let Some(file) = &self.metrics_file {
            metrics::write(file, &metrics::text(report))?;
        }
        match &self.report_to {
            Some(connection) => admin::nodes::send(connection, report).await,
            None => Ok(()),
        }
    }
}

fn plan(arguments: &DoctorArguments) -> Result<Plan, CliError> {
    let named = [&arguments.canary.len(), &arguments.egress.len(), &arguments.direct.len()];
    if named.into_iter().any(|it| *it > NAMED_MAX) {
        return Err(CliError::misused(format!(
            "at most {NAMED_MAX} canaries, registries to connect to and declared holes"
        )));
    }
    let kit = kit_of(arguments)?;
    let mut mirrors = mirrors(arguments, kit.as_ref())?.into_iter();
    let mirror = mirrors.next().ok_or_else(|| {
        let path = arguments.kit.display();
        CliError::misused(format!("{path} is not there, so give --mirror https://HOST:PORT"))
    })?;
    let found = || {
        if arguments.runtime.is_empty() { Runtime::found() } else { arguments.runtime.clone() }
    };
    let (socket, hosts) = (arguments.ctr_socket.as_deref(), arguments.hosts_dir.as_deref());
    let runtimes = found().into_iter().map(|it| it.at(socket, hosts)).collect();
    let mut plan = Plan::new(mirror, runtimes, arguments.timeout.unwrap_or(PULL_LIMIT));
    plan.more_mirrors = mirrors.collect();
    let (mut canaries, mut direct) = (arguments.canary.clone(), arguments.direct.clone());
    let mut egress = arguments.egress.clone();
    if let Some(kit) = kit {
        if canaries.is_empty() {
            canaries = kit.canaries;
        }
        direct.extend(kit.direct);
        egress.extend(kit.registries.iter().map(ToString::to_string));
    }
    plan.canaries = (!arguments.no_fallback).then_some(canaries);
    plan.egress = (!arguments.no_egress).then_some(egress);
    plan.direct = direct;
    plan.egress_must_be_closed = arguments.egress_closed;
    Ok(plan)
}

/// What the node was configured to, where that is written down.
fn kit_of(arguments: &DoctorArguments) -> Result<Option<Kit>, CliError> {
    Kit::read(&arguments.kit).map_err(|error| {
        CliError::misused("what the node was configured to is not known").caused_by(error)
    })
}

/// The mirror that was named, or those of the kit.
fn mirrors(arguments: &DoctorArguments, kit: Option<&Kit>) -> Result<Vec<MirrorAccess>, CliError> {
    let client = arguments.client_cert.as_deref().zip(arguments.client_key.as_deref());
    let of_kit = kit.and_then(|kit| kit.client.as_ref());
    let client = client.or_else(|| of_kit.map(|it| (it.cert.as_path(), it.key.as_path())));
    let ca = arguments.ca.as_deref().or_else(|| kit.and_then(|kit| kit.ca.as_deref()));
    let urls: Vec<&str> = match &arguments.mirror {
        Some(url) => vec![url],
        None => kit.iter().flat_map(|kit| &kit.mirrors).map(Endpoint::url).collect(),
    };
    let access = |url: &str| {
        MirrorAccess::new(url, ca, client)
            .map_err(|error| CliError::misused("the mirror cannot be asked").caused_by(error))
    };
    urls.into_iter().map(access).collect()
}

/// What this machine is called.
fn host_name() -> Result<NodeName, CliError> {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default().trim().to_lowercase();
    name.parse().map_err(|_| {
        CliError::misused(format!(
            "this machine is called {name:?}; give the node's name by --node"
        ))
    })
}
