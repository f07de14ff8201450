//! Listeners and everything that knows HTTP.
//!
//! The node listener is by hand on hyper, because it must be fast and exact; the admin listener is
//! axum, because it need not be. [`respond`] is the only place where a [`crate::mirror::Error`]
//! becomes a status code.

pub mod admin;
pub mod admission;
mod attended;
mod body;
mod clients;
mod descriptors;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod lanes;
mod listen;
mod node;
mod passing;
mod punctual;
mod respond;
mod stall;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use body::NodeBody;
pub use descriptors::raise_descriptor_limit;
pub use listen::{Listener, bind, serve_admins, serve_nodes};
pub use node::Node;
pub use tls::{ClientCertificates, Error as TlsError, Reloading, TlsSettings};

use crate::oci::Registry;
use crate::people::oidc::ServiceAccountSettings;

/// At which request a node is told no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefuseAt {
    /// HEAD answers as if admitted, GET refuses: older clients show the whole message, but a node
    /// that has the blobs never asks.
    Get,
    /// HEAD and GET refuse alike.
    #[default]
    Head,
}

/// How nodes are listened to.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Where.
    pub listen: SocketAddr,
    /// By which certificates; `None` is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// The registry of names that name none.
    pub default_registry: Registry,
    /// Most connections at one time; one more is closed at once.
    pub connections_max: usize,
    /// How long the head of a request may take once it has begun.
    pub header_timeout: Duration,
    /// How long a connection may rest between two requests.
    pub idle_timeout: Duration,
    /// At which request a node is told no.
    pub refuse_at: RefuseAt,
    /// Where people find the requests that refusals name, without a trailing slash.
    pub public_url: Option<Arc<str>>,
    /// The cluster whose pods are told apart.
    pub pods: Option<ServiceAccountSettings>,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5000)),
            tls: None,
            default_registry: Registry::docker_hub(),
            connections_max: 4_096,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            refuse_at: RefuseAt::default(),
            public_url: None,
            pods: None,
        }
    }
}

/// How admins are listened to.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// Where.
    pub listen: SocketAddr,
    /// By which certificates; `None` is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Most connections at one time.
    pub connections_max: usize,
    /// The data directory: backups are written beside the ledger before they are sent.
    pub data_dir: PathBuf,
    /// Where people may sign in beside here.
    pub oidc: Option<OidcSettings>,
}

/// How API servers are listened to.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// Where.
    pub listen: SocketAddr,
    /// By which certificates; `None` is plain HTTP. Where client certificates are asked for, no review is
    /// answered without one, whether the handshake needs one or not.
    pub tls: Option<TlsSettings>,
    /// Most connections at one time.
    pub connections_max: usize,
    /// The names under which nodes reach this mirror: `mirror.corp:5443/docker.io/library/nginx` is
    /// `docker.io/library/nginx`.
    pub hosts: BTreeSet<Registry>,
    /// By what reviews are answered.
    pub rules: crate::admission::Rules,
}

impl AdmissionSettings {
    /// The settings of a listener at `listen` of which nothing else is said.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            connections_max: 256,
            hosts: BTreeSet::new(),
            rules: crate::admission::Rules::default(),
        }
    }
}

/// A provider that people sign in at, and what its groups mean here.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The provider, and what we are to it.
    pub provider: crate::people::oidc::Settings,
    /// Which group has which role; the first that somebody is in counts.
    pub roles: Vec<(String, crate::ledger::Role)>,
    /// What it is called on the sign-in page.
    pub label: String,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5001)),
            tls: None,
            connections_max: 512,
            data_dir: PathBuf::from("pratique-data"),
            oidc: None,
        }
    }
}
