//! What the client is told: registries, credentials, proxies, limits.

use std::path::PathBuf;
use std::time::Duration;

use crate::oci::{MANIFEST_BYTES_MAX, Registry};

/// Everything that [`super::Client`] is made from.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The registries that exist; every other one is unknown.
    pub registries: Vec<RegistrySettings>,
    /// The way out of this network.
    pub proxy: ProxySettings,
    /// Bounds of every exchange.
    pub limits: Limits,
}

/// One registry and what may be done on its behalf.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// The name in image references.
    pub registry: Registry,
    /// Where it is: `https://host[:port][/prefix]`.
    pub url: String,
    /// Hosts (`host[:port]`) that may be its token service, beside itself. They get its
    /// credentials.
    pub token_hosts: Vec<String>,
    /// Hosts (`host[:port]`) to which it may redirect although they are not public or not https.
    /// They get no credentials.
    pub redirect_hosts: Vec<String>,
    /// Logins, by repository; the most specific pattern wins.
    pub credentials: Vec<CredentialSettings>,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether `url` and `token_hosts` may be plain HTTP. Everything sent, credentials included,
    /// can then be read and changed on the way.
    pub danger_plain_http: bool,
}

/// A login for some repositories of a registry.
#[derive(Debug, Clone)]
pub struct CredentialSettings {
    /// Repositories it is for, such as `team-a/**` (`*` is within a segment, `**` any number of
    /// segments); `None`: the whole registry.
    pub pattern: Option<String>,
    /// Where the login is.
    pub source: CredentialSource,
}

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Two files, read again when they change; a final line break does not count.
    Files {
        /// File with the user name.
        username: PathBuf,
        /// File with the password or token.
        password: PathBuf,
    },
    /// A program that speaks the docker-credential-helper protocol: `docker-credential-…`, found by
    /// `PATH`, or an absolute path to one.
    Helper(String),
}

/// The proxies through which registries are reached.
#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    /// `http://[user:password@]host:port` for plain HTTP.
    pub http: Option<String>,
    /// The same for https (by `CONNECT`).
    pub https: Option<String>,
    /// Hosts that are reached directly: `host`, `.domain`, `host:port`, address, CIDR, `*`.
    pub no_proxy: Vec<String>,
}

/// Bounds of every exchange with an upstream.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Name look-up, connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// From the request to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body. There is no limit on the whole.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Exchanges with one upstream at a time.
    pub exchanges_max: usize,
    /// Unused connections kept for one upstream.
    pub pool_idle_max: usize,
    /// Bytes of a manifest, a page of referrers or a page of tags.
    pub manifest_bytes: usize,
    /// Bytes of a token service's answer.
    pub token_bytes: usize,
    /// Bytes of the head of an answer.
    pub header_bytes: usize,
    /// Redirects of one request.
    pub redirects: usize,
    /// Pages of referrers.
    pub referrer_pages: usize,
    /// Pages of tags.
    pub tag_pages: usize,
    /// Times that one request is sent, the first included.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with each one, and half of it is random.
    pub retry_delay: Duration,
    /// Longest `Retry-After` that is waited for within a request; a longer one fails the request.
    pub retry_after_wait: Duration,
    /// Longest `Retry-After` that is believed.
    pub retry_after_max: Duration,
    /// Times that one broken blob is taken up again.
    pub resumes: u32,
    /// Connections over which one large blob comes, at most; 1: never more than one.
    pub range_connections: usize,
    /// How long one connection must have been what a blob waits for before a second one is tried;
    /// zero: all of them at once, without a trial.
    pub range_after: Duration,
    /// Least rest of a blob for which more connections are tried, in bytes.
    pub range_bytes_min: u64,
    /// Size of what is asked for at a time over each of them, in bytes.
    pub range_segment_bytes: u64,
    /// Failures in a row after which an upstream is given a rest.
    pub breaker_failures: u32,
    /// While it rests, one attempt is let through this often.
    pub breaker_probe: Duration,
    /// How long a refused login is not tried again, unless it changes.
    pub login_rest: Duration,
    /// How long a credential helper may take.
    pub helper_timeout: Duration,
    /// How long a credential helper's answer is used.
    pub helper_lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            pool_idle_timeout: Duration::from_mins(1),
            exchanges_max: 128,
            pool_idle_max: 16,
            manifest_bytes: MANIFEST_BYTES_MAX,
            token_bytes: 64 * 1024,
            header_bytes: 64 * 1024,
            redirects: 5,
            referrer_pages: 10,
            tag_pages: 100,
            attempts: 3,
            retry_delay: Duration::from_millis(250),
            retry_after_wait: Duration::from_secs(2),
            retry_after_max: Duration::from_mins(15),
            resumes: 10,
            range_connections: 4,
            range_after: Duration::from_secs(2),
            range_bytes_min: 64 * 1024 * 1024,
            range_segment_bytes: 8 * 1024 * 1024,
            breaker_failures: 5,
            breaker_probe: Duration::from_secs(10),
            login_rest: Duration::from_mins(5),
            helper_timeout: Duration::from_secs(20),
            helper_lifetime: Duration::from_mins(1),
        }
    }
}

impl RegistrySettings {
    /// A registry at `url` of which nothing else is known.
    pub fn new(registry: Registry, url: impl Into<String>) -> Self {
        Self {
            registry,
            url: url.into(),
            token_hosts: Vec::new(),
            redirect_hosts: Vec::new(),
            credentials: Vec::new(),
            ca_file: None,
            danger_plain_http: false,
        }
    }

    /// The five public registries that are known without any configuration.
    ///
    /// Their blobs come by redirect from public https hosts, which needs no entry. Docker Hub's
    /// token service is at another host; the others' are at their own.
    pub fn built_in() -> Vec<Self> {
        let at = |registry: &str, url: &str| {
            registry.parse().ok().map(|registry| Self::new(registry, url))
        };
        let hub = Self {
            token_hosts: vec!["auth.docker.io".to_owned()],
            ..Self::new(Registry::docker_hub(), "https://registry-1.docker.io")
        };
        let others = [
            ("registry.k8s.io", "https://registry.k8s.io"),
            ("ghcr.io", "https://ghcr.io"),
            ("quay.io", "https://quay.io"),
            ("mcr.microsoft.com", "https://mcr.microsoft.com"),
        ];
        std::iter::once(hub)
            .chain(others.into_iter().filter_map(|(registry, url)| at(registry, url)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_registries_are_built_in() {
        let names: Vec<_> = RegistrySettings::built_in()
            .iter()
            .map(|built_in| built_in.registry.to_string())
            .collect();
        let expected = ["docker.io", "registry.k8s.io", "ghcr.io", "quay.io", "mcr.microsoft.com"];
        assert_eq!(names, expected);
    }
}
