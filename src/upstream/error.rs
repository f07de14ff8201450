//! What can go wrong between here and an upstream.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::oci::{Digest, Registry};

/// Why nothing, or not the right thing, came from upstream.
///
/// The texts are fit for clients: they hold our words and the names of our configuration, never
/// text of an upstream, a query, or a secret. Causes are in `source` and are for the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The configured login is good, but not for the repository.
    #[error("upstream {registry} gives the configured credentials no access to the repository")]
    AccessDenied {
        /// The registry asked.
        registry: Registry,
    },
    /// The host has no address that an upstream may have, and it does not stand in the
    /// configuration.
    #[error("upstream {registry} leads to an address that is not public")]
    AddressRefused {
        /// The registry asked.
        registry: Registry,
        /// The host in question; may be of the upstream's choosing.
        host: String,
    },
    /// The certificate file cannot be used.
    #[error("ca_file {} cannot be used", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Arc<io::Error>,
    },
    /// A blob is not the same any more after its transfer broke off.
    #[error("upstream {registry} changed a blob in the middle of its transfer")]
    Changed {
        /// The registry asked.
        registry: Registry,
    },
    /// No connection.
    #[error("connection to upstream {registry} failed")]
    Connect {
        /// The registry asked.
        registry: Registry,
        /// What failed.
        source: Arc<io::Error>,
    },
    /// An answer is compressed although nobody asked for that.
    #[error("upstream {registry} sent encoded content")]
    ContentEncoded {
        /// The registry asked.
        registry: Registry,
    },
    /// The login cannot be had from its files or its helper.
    #[error("credentials for upstream {registry} cannot be read")]
    Credentials {
        /// The registry they are for.
        registry: Registry,
        /// What failed.
        source: Arc<io::Error>,
    },
    /// The bytes are not those that were asked for.
    #[error("upstream {registry} sent content of another digest than {expected}")]
    DigestMismatch {
        /// The registry asked.
        registry: Registry,
        /// The digest asked for or promised.
        expected: Box<Digest>,
        /// The digest of what came.
        actual: Box<Digest>,
    },
    /// The head of an answer is too large.
    #[error("upstream {registry} sent headers larger than {limit_bytes} bytes")]
    HeadersTooLarge {
        /// The registry asked.
        registry: Registry,
        /// The limit.
        limit_bytes: usize,
    },
    /// The next page of a list would be at another host.
    #[error("upstream {registry} continues a list at another host")]
    LinkElsewhere {
        /// The registry asked.
        registry: Registry,
    },
    /// The configured login was refused; it is not tried again for a while unless it changes.
    #[error("upstream {registry} refused the configured credentials")]
    LoginRefused {
        /// The registry asked.
        registry: Registry,
    },
    /// An answer is not what the protocol says.
    #[error("upstream {registry} sent a malformed {what}")]
    Malformed {
        /// The registry asked.
        registry: Registry,
        /// What is malformed, for example `token`.
        what: &'static str,
    },
    /// The upstream asked to slow down.
    #[error("upstream {registry} limits the rate of requests")]
    RateLimited {
        /// The registry asked.
        registry: Registry,
        /// When to try again.
        retry_after: Duration,
    },
    /// The token service named by the upstream is not one that may get its credentials.
    #[error("upstream {registry} names a token service that its token_hosts do not allow")]
    RealmRefused {
        /// The registry asked.
        registry: Registry,
    },
    /// A redirect that is not followed.
    #[error("upstream {registry} redirects {reason}")]
    RedirectRefused {
        /// The registry asked.
        registry: Registry,
        /// Why not: the rest of a sentence.
        reason: &'static str,
    },
    /// The upstream failed too often and is given a rest.
    #[error("upstream {registry} is not being asked after repeated failures")]
    Resting {
        /// The registry asked.
        registry: Registry,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// A setting that cannot be used.
    #[error("upstream {registry}: {setting} cannot be used")]
    Setting {
        /// The registry it belongs to.
        registry: String,
        /// The name of the setting.
        setting: &'static str,
    },
    /// An answer with a status that means failure.
    #[error("upstream {registry} answered with status {}", status.as_u16())]
    Status {
        /// The registry asked.
        registry: Registry,
        /// The status.
        status: StatusCode,
        /// `Retry-After`, when given.
        retry_after: Option<Duration>,
    },
    /// Nothing came in time.
    #[error("upstream {registry} did not answer in time ({stage})")]
    TimedOut {
        /// The registry asked.
        registry: Registry,
        /// What was waited for: `connect`, `first byte`, `body`, `free connection`.
        stage: &'static str,
    },
    /// No TLS connection: expired, another name, unknown authority, …
    #[error("TLS connection to upstream {registry} failed")]
    Tls {
        /// The registry asked.
        registry: Registry,
        /// What failed.
        source: Arc<io::Error>,
    },
    /// More than may be read.
    #[error("upstream {registry} sent more than {limit_bytes} bytes")]
    TooLarge {
        /// The registry asked.
        registry: Registry,
        /// The limit.
        limit_bytes: usize,
    },
    /// A list that does not end.
    #[error("upstream {registry} sent a list of more than {limit} pages")]
    TooManyPages {
        /// The registry asked.
        registry: Registry,
        /// The limit.
        limit: usize,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("connection to upstream {registry} broke")]
    Transport {
        /// The registry asked.
        registry: Registry,
        /// What failed.
        source: Arc<hyper::Error>,
    },
    /// The repository is not to be read with what we can show.
    #[error("upstream {registry} refuses access")]
    Unauthorized {
        /// The registry asked.
        registry: Registry,
    },
    /// No such registry is configured.
    #[error("registry {registry} is not configured")]
    UnknownRegistry {
        /// The registry asked for.
        registry: Registry,
    },
}

impl Error {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Changed { .. }
            | Self::Credentials { .. }
            | Self::DigestMismatch { .. }
            | Self::RateLimited { .. }
            | Self::Resting { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::Transport { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::AccessDenied { .. }
            | Self::AddressRefused { .. }
            | Self::CaFile { .. }
            | Self::ContentEncoded { .. }
            | Self::HeadersTooLarge { .. }
            | Self::LinkElsewhere { .. }
            | Self::LoginRefused { .. }
            | Self::Malformed { .. }
            | Self::RealmRefused { .. }
            | Self::RedirectRefused { .. }
            | Self::Setting { .. }
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. }
            | Self::Unauthorized { .. }
            | Self::UnknownRegistry { .. } => false,
        }
    }

    /// How long to wait before trying again, when that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::RateLimited { retry_after, .. } | Self::Resting { retry_after, .. } = self {
            return Some(*retry_after);
        }
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Whether the upstream asked to slow down.
    pub fn is_rate_limited(&self) -> bool {
        matches!(self, Self::RateLimited { .. })
    }

    /// Whether sending the same request once more, within the same call, is worth it. A time-out is
    /// not: the caller's patience is better spent elsewhere.
    pub(super) fn is_transient(&self) -> bool {
        let passes = matches!(
            self,
            Self::Connect { .. } | Self::RateLimited { .. } | Self::Transport { .. }
        );
        passes || self.is_server_error()
    }

    /// Whether this says that the upstream as a whole is not well.
    pub(super) fn is_outage(&self) -> bool {
        let out = matches!(
            self,
            Self::Connect { .. }
                | Self::TimedOut { .. }
                | Self::Tls { .. }
                | Self::Transport { .. }
        );
        out || self.is_server_error()
    }

    fn is_server_error(&self) -> bool {
        matches!(self, Self::Status { status, .. } if status.is_server_error())
    }
}
