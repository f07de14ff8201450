//! The composition root: settings in, running program out. The one file that names every concrete
//! type.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::config::Settings;
use crate::evidence::Collector;
use crate::gate::Logic;
use crate::http::admin::AdminState;
use crate::http::{self, Listener, Node, TlsError};
use crate::ledger::{self, Ledger};
use crate::metrics::Metrics;
use crate::mirror::{self, Mirror, PolicyError, desk};
use crate::store::{self, Store};
use crate::summary::{KeyFileError, Keyring};
use crate::tasks::Tasks;
use crate::time::{Clock, SystemClock};
use crate::upstream;

/// How long shutdown waits for what is under way.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// There is a key for signing, and it cannot be used.
    #[error("the signing key cannot be used")]
    SigningKey(#[source] Box<KeyFileError>),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
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
    /// What is served.
    pub mirror: Mirror,
    /// The file with the first token, when this start made it.
    pub first_token: Option<PathBuf>,
    reload: Arc<Notify>,
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
        let client = upstream::Client::new(
            settings.upstream,
            Arc::clone(&clock),
            tasks.clone(),
            Arc::clone(&metrics),
        )
        .map_err(|error| Error::Upstream(Box::new(error)))?;
        let store =
            Store::open(settings.store, Arc::clone(&clock), tasks.clone(), Arc::clone(&metrics))
                .await
                .map_err(|error| Error::Store(Box::new(error)))?;
        let ledger = Ledger::open(
            &settings.data_dir,
            Arc::clone(&clock),
            tasks.clone(),
            Arc::clone(&metrics),
        )
        .await
        .map_err(|source| Error::Ledger {
            path: settings.data_dir.clone(),
            source: Box::new(source),
        })?;
        if ledger.confirmed_logic().await.is_ok_and(|confirmed| confirmed != Logic::CURRENT) {
            warn!(
                "this version judges in another way than the one before; stored verdicts hold \
                 until `pratique rejudge --confirm`; `pratique rejudge --dry-run` shows what changes"
            );
        }
        mirror::record_policy(&ledger, &policy, settings.allow_rollback).await?;
        let first_token = desk::first_token(&ledger, &settings.data_dir)
            .await
            .map_err(|error| Error::FirstToken(Box::new(error)))?;
        let keyring = Keyring::open(&settings.data_dir)
            .map_err(|error| Error::SigningKey(Box::new(error)))?;
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
            keyring: Arc::new(keyring),
        };
        let mirror = Mirror::new(settings.mirror, parts, policy);
        mirror.begin_keeping();
        let reload = Arc::new(Notify::new());
        if let Some(path) = settings.policy {
            mirror.follow_policy(path, Arc::clone(&reload));
        }
        let node_address = address_of(&nodes, settings.node.listen)?;
        let admin_address = address_of(&admins, settings.admin.listen)?;
        let node = Node::new(mirror.clone(), settings.node);
        let router = http::admin::router(AdminState::new(mirror.clone(), settings.admin));
        http::serve_nodes(nodes, node, tasks).map_err(|error| Error::Tls(Box::new(error)))?;
        http::serve_admins(admins, router, metrics, tasks)
            .map_err(|error| Error::Tls(Box::new(error)))?;
        Ok(Self { node_address, admin_address, mirror, first_token, reload })
    }

    /// Reads the policy file again now.
    pub fn reload_policy(&self) {
        self.reload.notify_one();
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
