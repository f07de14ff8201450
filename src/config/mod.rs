//! The settings file, checked and turned into each module's own settings.
//!
//! Every mistake is reported at once, with its line, its key and the way out, before any port is
//! bound ([`Problems`]). What stands on the command line wins over the file, the file over the
//! defaults. Secrets come in as the paths of files only. Whatever weakens trust is named `danger_…`,
//! is off unless written, and is listed in [`Settings::dangers`]. Nobody but the composition root and
//! the command line reads this module.

mod adapters;
mod address;
mod admission;
mod cache;
mod environment;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod lifecycle;
mod limits;
mod listeners;
mod load;
mod notify;
mod oidc;
mod problem;
mod sandbox;
mod scan;
mod section;
mod show;
mod show_adapters;
mod show_admission;
mod show_notify;
mod units;
mod upstreams;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use environment::{Environment, api_server, colour_is_welcome};
use load::Given;
pub use load::{Failure, load, load_for_client};
pub use problem::{Problem, Problems};
pub use scan::UpdateSettings;
pub(crate) use units::duration;

use crate::adapter::AdapterSettings;
use crate::http::{AdminSettings, AdmissionSettings, NodeSettings};
use crate::upstream::RegistrySettings;
use crate::{evidence, mirror, notify as telling, store, upstream};

/// The name of the file with the first token, in the data directory.
const TOKEN_FILE: &str = "admin.token";

/// Everything the program is told, ready for the modules that are told it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The policy file; `None` is the built-in policy.
    pub policy: Option<PathBuf>,
    /// Whether a policy of a lower revision than the one in force may be put in force (a flag only).
    pub allow_rollback: bool,
    /// The listener for nodes.
    pub node: NodeSettings,
    /// The listener for admins.
    pub admin: AdminSettings,
    /// The listener for API servers; `None`: there is none.
    pub admission: Option<AdmissionSettings>,
    /// How pulls are answered.
    pub mirror: mirror::Settings,
    /// The blob store.
    pub store: store::Settings,
    /// The registries and the way to them.
    pub upstream: upstream::Settings,
    /// How much is gathered about one subject.
    pub evidence: evidence::Limits,
    /// How images are scanned.
    pub scan: mirror::ScanSettings,
    /// Scanners beside the one inside.
    pub adapters: Vec<AdapterSettings>,
    /// Where the vulnerability database is fetched from.
    pub update: UpdateSettings,
    /// Who is told of what happens.
    pub notify: telling::Settings,
    /// The folder with approval files; `None`: there are none.
    pub approvals: Option<PathBuf>,
    /// How long records of the audit stay in the database; `None`: until somebody archives them.
    pub audit_keep: Option<Duration>,
    /// How the program confines itself.
    pub sandbox: crate::sandbox::Settings,
    /// The log.
    pub log: LogSettings,
    /// Every `danger_…` setting that is on, by its key; to be logged at start.
    pub dangers: Vec<String>,
}

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is written: a level, or levels by module (`info,pratique::upstream=debug`).
    pub level: String,
}

/// For whom the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object in a line.
    Json,
    /// Lines for people.
    #[default]
    Text,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

impl Default for Settings {
    /// What an empty file says in an empty environment.
    fn default() -> Self {
        let store = store::Settings::default();
        let store_dir = store.dir.clone();
        Self {
            data_dir: store.dir.clone(),
            policy: None,
            allow_rollback: false,
            node: NodeSettings::default(),
            admin: AdminSettings { data_dir: store.dir.clone(), ..AdminSettings::default() },
            admission: None,
            mirror: mirror::Settings::default(),
            store,
            upstream: upstream::Settings {
                registries: RegistrySettings::built_in(),
                ..upstream::Settings::default()
            },
            evidence: evidence::Limits::default(),
            scan: mirror::ScanSettings {
                database: Some(scan::database_in(&store_dir)),
                ..mirror::ScanSettings::default()
            },
            adapters: Vec::new(),
            update: UpdateSettings::default(),
            notify: telling::Settings::default(),
            approvals: None,
            audit_keep: None,
            sandbox: crate::sandbox::Settings::default(),
            log: LogSettings::default(),
            dangers: Vec::new(),
        }
    }
}

impl Settings {
    /// Where a client on this machine finds the admin API: `http://127.0.0.1:5001`. With TLS it is
    /// the public address if there is one, because certificates name hosts.
    pub fn admin_url(&self) -> String {
        match (&self.admin.tls, &self.node.public_url) {
            (Some(_), Some(public)) => public.to_string(),
            (tls, _) => web_address(tls.is_some(), self.admin.listen),
        }
    }

    /// The address of the node listener as a client on this machine would write it, or `None` when
    /// it listens on every address and no name is known.
    pub fn node_url(&self) -> Option<String> {
        let listen = self.node.listen;
        (!listen.ip().is_unspecified()).then(|| web_address(self.node.tls.is_some(), listen))
    }

    /// The file that the first start writes the admin token to.
    pub fn token_file(&self) -> PathBuf {
        self.data_dir.join(TOKEN_FILE)
    }
}

/// `http://127.0.0.1:5000`; an address that stands for all becomes the loopback one.
fn web_address(tls: bool, listen: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    format!("{scheme}://{}", SocketAddr::new(ip, listen.port()))
}

/// What the command line says; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--policy`.
    pub policy: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--allow-rollback`.
    pub allow_rollback: bool,
}

#[cfg(test)]
mod tests;
