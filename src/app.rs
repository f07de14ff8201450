//! The composition root: settings in, running program out. The one file that names every concrete
//! type.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::adapter::{self, AdapterSettings, AdapterSettingsError};
use crate::config::Settings;
use crate::evidence::Collector;
use crate::gate::{Logic, ReadyPolicy};
use crate::http::admin::AdminState;
use crate::http::admission::AdmissionState;
use crate::http::{self, AdmissionSettings, Listener, Node, TlsError};
use crate::layout::Layout;
use crate::ledger::{self, Ledger, Rollback};
use crate::metrics::Metrics;
use crate::mirror::{self, Mirror, PolicyError, Scanner, desk};
use crate::notify::{self, Notifier};
use crate::oci::Registry;
use crate::people::oidc::{self, ServiceAccountSettings, ServiceAccounts};
use crate::store::{self, Facts, Store};
use crate::summary::Keyring;
use crate::tasks::Tasks;
use crate::time::{Clock, SystemClock};
use crate::upstream;

/// How long shutdown waits for what is under way.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A scanner beside the one inside cannot be set up.
    #[error("scanners cannot be set up")]
    Adapters(#[source] Box<AdapterSettingsError>),
    /// A port cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The first-run token cannot be made.
    #[error("the first token cannot be made")]
    FirstToken(#[source] Box<desk::Error>),
    /// The trust ledger cannot be opened.
    #[error("the trust ledger in {path} cannot be opened")]
    Ledger {
        /// The data directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ledger::Error>,
    },
    /// The policy cannot be put in force.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The provider that people sign in at cannot be used.
    #[error("the provider of [admin.oidc] cannot be set up")]
    Provider(#[source] Box<oidc::Error>),
    /// The keys of the cluster whose pods are told apart cannot be read.
    #[error("the keys of [node.pods] cannot be used")]
    Pods(#[source] oidc::KeysFile),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// A webhook cannot be set up.
    #[error("webhooks cannot be set up")]
    Notify(#[source] Box<notify::Error>),
    /// The operating system gives no threads.
    #[error("the threads for large transfers cannot be started")]
    Threads(#[source] std::io::Error),
    /// The blob store cannot be opened.
    #[error("the blob store cannot be opened")]
    Store(#[source] Box<store::Error>),
    /// A listener's certificates cannot be used.
    #[error("certificates cannot be used")]
    Tls(#[source] Box<TlsError>),
    /// The upstream settings cannot be used.
    #[error("upstreams cannot be set up")]
    Upstream(#[source] Box<upstream::Error>),
}

/// The running program.
#[derive(Debug)]
pub struct App {
    /// Where nodes are served.
    pub node_address: SocketAddr,
    /// Where admins are served.
    pub admin_address: SocketAddr,
    /// Where API servers are answered, if they are.
    pub admission_address: Option<SocketAddr>,
    /// What is served.
    pub mirror: Mirror,
    /// The file with the first token, when this start made it.
    pub first_token: Option<PathBuf>,
    pods: Option<Arc<ServiceAccounts>>,
}

impl App {
    /// Starts everything; when it returns, both ports answer.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left running then.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        Self::start_at(settings, Arc::new(SystemClock)).await
    }

    /// As [`App::start`], by another clock.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_at(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let tasks = Tasks::with_bulk_lane().map_err(Error::Threads)?;
        let started = Self::assemble(settings, clock, &tasks).await;
        if started.is_err() {
            tasks.shut_down(SHUTDOWN_GRACE).await;
        }
        started
    }

    async fn assemble(
        settings: Settings,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::default());
        let policy = mirror::load_policy(settings.policy.as_deref())?;
        let nodes =
            listen(settings.node.listen, settings.node.tls.as_ref(), settings.node.connections_max);
        let nodes = nodes.await?;
        let admin = &settings.admin;
        let admins = listen(admin.listen, admin.tls.as_ref(), admin.connections_max).await?;
        let admission = Admission::begin(&settings).await?;
        let floor = Floor { clock: Arc::clone(&clock), tasks, metrics: &metrics };
        let client = floor.client(settings.upstream)?;
        let store = floor.store(settings.store).await?;
        let ledger = floor.ledger(&settings.data_dir).await?;
        if ledger.confirmed_logic().await.is_ok_and(|confirmed| confirmed != Logic::CURRENT) {
            warn!(
                "this version judges in another way than the one before; stored verdicts hold \
                 until `pratique rejudge --confirm`; `pratique rejudge --dry-run` shows what changes"
            );
        }
        let rollback = if settings.allow_rollback { Rollback::AtStart } else { Rollback::Refused };
        mirror::record_policy(&ledger, &policy, rollback).await?;
        let first_token = desk::first_token(&ledger, &settings.data_dir)
            .await
            .map_err(|error| Error::FirstToken(Box::new(error)))?;
        ledger.keep_checkpoints(tasks);
        floor.clear(work_in(&settings.data_dir)).await;
        let collector =
            Collector::new(client.clone(), store.clone(), Arc::clone(&clock), settings.evidence);
        let parts = mirror::Parts {
            ledger,
            store,
            client,
            collector,
            clock,
            tasks: tasks.clone(),
            metrics: Arc::clone(&metrics),
            keyring: Arc::new(Keyring::new(&settings.data_dir)),
            scanner: floor.scanner(settings.scan, settings.adapters, &settings.data_dir).await?,
            layout: None,
        };
        let mirror = Mirror::new(settings.mirror, parts, policy);
        mirror.begin_keeping();
        mirror.watch_endings();
        mirror.watch_emergencies();
        mirror.follow_database().await;
        let notifier = floor.notifier(settings.notify, mirror.ledger()).await?;
        if let Some(keep) = settings.audit_keep {
            // After webhooks were taken up: what they have not dealt with stays.
            mirror.ledger().keep_archiving(keep, tasks);
        }
        if let Some(path) = settings.policy {
            mirror.follow_policy(path);
        }
        let node_address = address_of(&nodes, settings.node.listen)?;
        let admin_address = address_of(&admins, settings.admin.listen)?;
        let public_url = settings.node.public_url.clone();
        let pods = floor.pods(settings.node.pods.clone()).await?;
        let node = Node::new(mirror.clone(), settings.node).telling_apart(pods.clone());
        let state = AdminState::new(mirror.clone(), settings.admin)
            .map_err(|error| Error::Provider(Box::new(error)))?;
        follow_approvals(&state, &mirror, settings.approvals).await;
        let router = http::admin::router(state.telling(notifier, public_url));
        http::serve_nodes(nodes, node, tasks).map_err(|error| Error::Tls(Box::new(error)))?;
        http::serve_admins(admins, router, metrics, tasks)
            .map_err(|error| Error::Tls(Box::new(error)))?;
        let admission_address = admission.map(|it| it.serve(&mirror)).transpose()?;
        Ok(Self { node_address, admin_address, admission_address, mirror, first_token, pods })
    }

    /// Reads the policy file, and the keys of the cluster, again now.
    pub fn reload_policy(&self) {
        self.mirror.reload_policy_soon();
        if let Some(pods) = self.pods.clone() {
            drop(self.mirror.tasks().spawn_blocking(move || {
                if let Err(error) = pods.reload() {
                    warn!(%error, "the keys of the cluster stay as they were");
                }
            }));
        }
    }

    /// Stops accepting, waits for what is under way, and gives whether all of it ended in time.
    pub async fn stop(self, grace: Duration) -> bool {
        let ended = self.mirror.tasks().shut_down(grace).await;
        self.mirror.ledger().close().await;
        if !ended {
            warn!("stopped with work under way; what was not complete is fetched again");
        }
        ended
    }
}

/// Counts the votes in the folder at `path`; says so where there is none, and something rests on one.
async fn follow_approvals(state: &AdminState, mirror: &Mirror, path: Option<PathBuf>) {
    if let Some(path) = path {
        state.follow_approval_files(path);
    } else if mirror.ledger().rests_on_files().await.is_ok_and(|it| !it.is_empty()) {
        warn!(
            "approvals rest on files, and [approvals] path names no folder: none of them is taken back"
        );
    }
}

/// The listener for API servers, as it is begun.
struct Admission {
    listener: Listener,
    settings: AdmissionSettings,
    default_registry: Registry,
    public_url: Option<Arc<str>>,
}

impl Admission {
    /// Binds its port, where the settings have one.
    async fn begin(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(own) = settings.admission.clone() else { return Ok(None) };
        let listener = listen(own.listen, own.tls.as_ref(), own.connections_max).await?;
        let default_registry = settings.node.default_registry.clone();
        let public_url = settings.node.public_url.clone();
        Ok(Some(Self { listener, settings: own, default_registry, public_url }))
    }

    /// Answers from `mirror`; gives where.
    fn serve(self, mirror: &Mirror) -> Result<SocketAddr, Error> {
        let Self { listener, settings, default_registry, public_url } = self;
        let address = address_of(&listener, settings.listen)?;
        let (metrics, tasks) = (Arc::clone(mirror.metrics()), mirror.tasks().clone());
        let state = AdmissionState::new(mirror.clone(), settings, default_registry, public_url);
        let router = http::admission::router(state);
        http::serve_admins(listener, router, metrics, &tasks)
            .map_err(|error| Error::Tls(Box::new(error)))?;
        Ok(address)
    }
}

/// The folder in which images are put for other scanners; these have other working directories.
fn work_in(data_dir: &Path) -> PathBuf {
    let path = data_dir.join("scans");
    std::path::absolute(&path).unwrap_or(path)
}

/// What everything stands on.
struct Floor<'a> {
    clock: Arc<dyn Clock>,
    tasks: &'a Tasks,
    metrics: &'a Arc<Metrics>,
}

impl Floor<'_> {
    fn client(&self, settings: upstream::Settings) -> Result<upstream::Client, Error> {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(self.metrics));
        upstream::Client::new(settings, clock, self.tasks.clone(), metrics)
            .map_err(|error| Error::Upstream(Box::new(error)))
    }

    async fn store(&self, settings: store::Settings) -> Result<Store, Error> {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(self.metrics));
        Store::open(settings, clock, self.tasks.clone(), metrics)
            .await
            .map_err(|error| Error::Store(Box::new(error)))
    }

    /// Removes what a process left in `work` that was killed. To be called by who has the data directory
    /// to itself.
    async fn clear(&self, work: PathBuf) {
        let clearing = self.tasks.spawn_blocking(move || {
            let removed = std::fs::remove_dir_all(&work);
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                warn!(path = %work.display(), %error, "old folders of scans not removed");
            }
        });
        drop(clearing.await);
    }

    async fn scanner(
        &self,
        settings: mirror::ScanSettings,
        adapters: Vec<AdapterSettings>,
        data_dir: &Path,
    ) -> Result<Arc<Scanner>, Error> {
        let (dir, bytes, tasks) =
            (data_dir.join("facts"), settings.facts_bytes, self.tasks.clone());
        let settings = mirror::ScanSettings { work: work_in(data_dir), ..settings };
        let (work, clock) = (settings.work.clone(), Arc::clone(&self.clock));
        let opening = self.tasks.spawn_blocking(move || {
            let adapters = adapter::adapters(adapters, &work, &clock, &tasks);
            (Facts::open(dir, bytes, tasks), adapters)
        });
        let (facts, adapters) = opening
            .await
            .unwrap_or_else(|_| (Facts::none(self.tasks.clone()), Ok(BTreeMap::new())));
        let adapters = adapters.map_err(|error| Error::Adapters(Box::new(error)))?;
        Ok(Arc::new(Scanner::new(settings, facts, adapters)))
    }

    async fn notifier(
        &self,
        settings: notify::Settings,
        ledger: &Ledger,
    ) -> Result<Notifier, Error> {
        let (ledger, clock, tasks) = (ledger.clone(), Arc::clone(&self.clock), self.tasks.clone());
        let parts = notify::Parts { ledger, clock, tasks };
        Notifier::start(settings, parts).await.map_err(|error| Error::Notify(Box::new(error)))
    }

    async fn pods(
        &self,
        settings: Option<ServiceAccountSettings>,
    ) -> Result<Option<Arc<ServiceAccounts>>, Error> {
        let Some(settings) = settings else { return Ok(None) };
        let clock = Arc::clone(&self.clock);
        let opening = self.tasks.spawn_blocking(move || ServiceAccounts::new(settings, clock));
        // No task stops while it starts; without an answer there are no pods, and nothing is for them.
        let opened = opening.await.ok().transpose().map_err(Error::Pods)?;
        Ok(opened.map(Arc::new))
    }

    async fn ledger(&self, data_dir: &Path) -> Result<Ledger, Error> {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(self.metrics));
        Ledger::open(data_dir, clock, self.tasks.clone(), metrics)
            .await
            .map_err(|source| Error::Ledger { path: data_dir.to_owned(), source: Box::new(source) })
    }
}

/// A mirror that serves nobody: it judges as any other, by a policy that it is given, and keeps what it
/// reads in a folder that whoever made it removes.
#[derive(Debug)]
pub struct Bench {
    mirror: Mirror,
}

impl Bench {
    /// Sets one up in the empty folder `settings.data_dir`. With a `layout`, that stands for every
    /// repository and no registry is asked for evidence.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left running then.
    pub async fn set_up(
        settings: Settings,
        policy: ReadyPolicy,
        layout: Option<Arc<Layout>>,
    ) -> Result<Self, Error> {
        let tasks = Tasks::new();
        let set_up = Self::assemble(settings, policy, layout, &tasks).await;
        if set_up.is_err() {
            tasks.shut_down(SHUTDOWN_GRACE).await;
        }
        set_up
    }

    async fn assemble(
        settings: Settings,
        policy: ReadyPolicy,
        layout: Option<Arc<Layout>>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::default());
        let floor = Floor { clock: Arc::clone(&clock), tasks, metrics: &metrics };
        let client = floor.client(settings.upstream)?;
        let store = floor.store(settings.store).await?;
        let ledger = floor.ledger(&settings.data_dir).await?;
        mirror::record_policy(&ledger, &policy, Rollback::Refused).await?;
        let keyring = Arc::new(Keyring::new(&settings.data_dir));
        let (kept, time, limits) = (store.clone(), Arc::clone(&clock), settings.evidence);
        let collector = match &layout {
            Some(layout) => {
                Collector::of_layout(Arc::clone(layout), tasks.clone(), kept, time, limits)
            }
            None => Collector::new(client.clone(), kept, time, limits),
        };
        let scanner = floor.scanner(settings.scan, settings.adapters, &settings.data_dir).await?;
        let tasks = tasks.clone();
        let parts = mirror::Parts {
            ledger,
            store,
            client,
            collector,
            clock,
            tasks,
            metrics,
            keyring,
            scanner,
            layout,
        };
        let mirror = Mirror::new(settings.mirror, parts, policy);
        mirror.follow_database().await;
        Ok(Self { mirror })
    }

    /// What judges.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Ends everything that is under way.
    pub async fn clear(self, grace: Duration) {
        self.mirror.tasks().shut_down(grace).await;
        self.mirror.ledger().close().await;
    }
}

async fn listen(
    address: SocketAddr,
    tls: Option<&http::TlsSettings>,
    connections_max: usize,
) -> Result<Listener, Error> {
    http::bind(address, tls.cloned(), connections_max)
        .await
        .map_err(|source| Error::Bind { address, source })
}

fn address_of(listener: &Listener, address: SocketAddr) -> Result<SocketAddr, Error> {
    listener.address().map_err(|source| Error::Bind { address, source })
}

/// Runs the program until SIGTERM or SIGINT; `started` is told once it is ready.
///
/// # Errors
/// When it cannot start.
pub async fn run(settings: Settings, started: impl FnOnce(&App)) -> Result<(), Error> {
    // First of all: a signal that comes while it starts is obeyed once it has.
    let signals = Signals::listen().map_err(Error::Signals)?;
    let app = App::start(settings).await?;
    started(&app);
    signals.wait_for_stop(&app).await;
    info!("stopping");
    app.stop(SHUTDOWN_GRACE).await;
    Ok(())
}

/// The signals that the program takes.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    /// Only so that a write beyond the limit for files fails like one to a full disk: the default is
    /// to end the program.
    _file_size: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Returns at SIGTERM or SIGINT; SIGHUP reloads the policy.
    async fn wait_for_stop(mut self, app: &App) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => app.reload_policy(),
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
            }
        }
    }
}
